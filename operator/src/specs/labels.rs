//! Labels and annotations on what the operator makes.

use std::collections::BTreeMap;

use zkinfer_crds::RequestUid;

/// Who made the object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`].
pub const MANAGER: &str = "zkinfer";
/// What part it has: [`WORKER`] or [`COMPILER`].
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// A miner's worker.
pub const WORKER: &str = "worker";
/// A model's compiler.
pub const COMPILER: &str = "compiler";
/// The name of the MinerPool.
pub const POOL: &str = "zkinfer.dev/pool";
/// The uid of the InferenceRequest.
pub const REQUEST_UID: &str = "zkinfer.dev/request-uid";
/// The uid of the Model.
pub const MODEL_UID: &str = "zkinfer.dev/model-uid";
/// Which Job of the pool for the request it is, from 0.
pub const ROUND: &str = "zkinfer.dev/round";
/// How many workers a Job has at once.
pub const WORKERS: &str = "zkinfer.dev/workers";
/// Which generation of the MinerPool a Job's pods were made from.
pub const GENERATION: &str = "zkinfer.dev/pool-generation";
/// The workers are kept running while there is nothing to do.
pub const WARM: &str = "zkinfer.dev/warm";
/// The Kueue queue that admits a Job.
pub const KUEUE_QUEUE: &str = "kueue.x-k8s.io/queue-name";
/// Which installation made the object; absent: that of the default class.
pub const CLASS: &str = "zkinfer.dev/controller-class";
/// An annotation: the object that it is for, as `namespace/name`.
pub const FOR: &str = "zkinfer.dev/for";

/// An annotation: what tells this attempt at compiling a Model from others.
pub const ATTEMPT: &str = "zkinfer.dev/attempt";

/// Selects the workers of a pool in its namespace.
#[must_use]
pub fn workers_of(pool: &str) -> String {
    format!("{MANAGED_BY}={MANAGER},{COMPONENT}={WORKER},{POOL}={pool}")
}

/// Selects the compiler of a Model in the operator's namespace.
#[must_use]
pub fn compiler_of(uid: &str) -> String {
    format!("{MANAGED_BY}={MANAGER},{MODEL_UID}={uid}")
}

/// The uid of the request that a Job is for.
#[must_use]
pub fn request_uid(labels: &BTreeMap<String, String>) -> Option<RequestUid> {
    labels.get(REQUEST_UID)?.parse().ok()
}
