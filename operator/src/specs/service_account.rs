//! Who a pool's workers are: a ServiceAccount of their own, which may do nothing. Its name is how the gateway knows the
//! pool that a token belongs to.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use zkinfer_crds::k8s::MinerPool;

use super::{Class, labels, owner};
use crate::dispatch::PoolId;

const PREFIX: &str = "zkinfer-miner-";

/// The name of the ServiceAccount (and of the Deployment) of a pool.
#[must_use]
pub fn service_account_name(pool: &str) -> String {
    format!("{PREFIX}{pool}")
}

/// The pool whose worker `system:serviceaccount:<namespace>:<name>` is.
#[must_use]
pub fn pool_of(username: &str) -> Option<PoolId> {
    let (namespace, name) = username.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    Some(PoolId::new(namespace, name.strip_prefix(PREFIX)?))
}

/// Builds the ServiceAccount.
#[must_use]
pub fn service_account(pool: &MinerPool, class: &Class) -> ServiceAccount {
    ServiceAccount {
        metadata: pool_metadata(pool, class),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// Of an object that a pool has one of: it is called as its ServiceAccount.
pub(super) fn pool_metadata(pool: &MinerPool, class: &Class) -> ObjectMeta {
    let name = pool.name_any();
    let mut labels = class.labels(labels::WORKER);
    labels.insert(labels::POOL.to_owned(), name.clone());
    ObjectMeta {
        name: Some(service_account_name(&name)),
        namespace: pool.namespace(),
        labels: Some(labels),
        owner_references: owner(pool),
        ..ObjectMeta::default()
    }
}
