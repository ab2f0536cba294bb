//! What is known of a pool's workers: looked at only while workers are to come.

use kube::ResourceExt;
use zkinfer_crds::k8s::MinerPool;

use crate::cluster::Context;
use crate::dispatch::PoolId;
use crate::fleet::{self, Evidence, Kind, Look};

/// What the pool's pods show, as its spec is now; `None` if none is expected. Jobs of which nothing comes any more are
/// given up.
///
/// # Errors
/// The API server.
pub(super) async fn look(
    ctx: &Context,
    id: &PoolId,
    object: &MinerPool,
) -> Result<Option<Look>, kube::Error> {
    let keeps = if object.spec.drain { 0 } else { object.spec.warm };
    if !ctx.jobs.proving_with(id) && keeps <= ctx.warm(id) {
        return Ok(None);
    }
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let mut look = fleet::at_pool(ctx, id, (&namespace, &name), object.metadata.generation).await?;
    for job in &look.lost {
        if ctx.jobs.lose(&namespace, job) {
            tracing::warn!(
                namespace,
                job,
                "its pods are on nodes that do not answer: it is given up"
            );
            ctx.fleet.notify_one();
        }
    }
    if let Some(words) = ctx.pools().get(id).and_then(|p| p.warm_refused.clone()) {
        look.seen.evidence.push(Evidence {
            kind: Kind::Refused,
            text: format!("its warm workers cannot be made: {}", fleet::without_name(&words)),
        });
    }
    Ok(Some(look))
}
