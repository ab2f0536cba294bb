//! What is known of a pool's workers: their pods, looked at only while workers are to come.
//!
//! Invariant: pods are listed by the pool's labels, in its own namespace, and nothing of them is kept but what
//! [`PodView`] has; there is no watch of pods.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use zkinfer_crds::k8s::MinerPool;

use super::trouble::PodView;
use crate::build::labels;
use crate::cluster::Context;
use crate::dispatch::PoolId;
use crate::local::now;

/// The pool's pods that have not ended and are as its spec is now; `None` if none is expected.
///
/// # Errors
/// The API server.
pub(super) async fn pods(
    ctx: &Context,
    id: &PoolId,
    object: &MinerPool,
) -> Result<Option<Vec<PodView>>, kube::Error> {
    let keeps = if object.spec.drain { 0 } else { object.spec.warm };
    if !ctx.jobs.proving_with(id) && keeps <= ctx.warm(id) {
        return Ok(None);
    }
    let api: Api<Pod> = Api::namespaced(ctx.client.clone(), &object.namespace().unwrap_or_default());
    let params = ListParams::default()
        .labels(&labels::workers_of(&object.name_any()))
        .fields("status.phase!=Succeeded,status.phase!=Failed");
    let (now, generation) = (now(), object.metadata.generation.map(|g| g.to_string()));
    let current = |pod: &&Pod| {
        let made_from = pod.labels().get(labels::GENERATION);
        pod.metadata.deletion_timestamp.is_none() && (made_from.is_none() || made_from == generation.as_ref())
    };
    let pods = api.list(&params).await?;
    let views = pods.iter().filter(current).map(|pod| PodView::of(pod, &now));
    Ok(Some(views.collect()))
}
