//! What is known of a pool's workers: looked at only while workers are to come.

use zkinfer_crds::k8s::MinerPool;

use super::records::Pools;
use crate::dispatch::PoolId;
use crate::fleet::{self, Evidence, Kind, Look};

/// What the pool's pods show, as its spec is now; `None` if none is expected.
///
/// # Errors
/// The API server.
pub(super) async fn look(ctx: &Pools, id: &PoolId, object: &MinerPool) -> Result<Option<Look>, kube::Error> {
    let keeps = if object.spec.drain { 0 } else { object.spec.warm };
    if !ctx.world.jobs.proving_with(id) && keeps <= ctx.warm(id) {
        return Ok(None);
    }
    let mut look = fleet::at_pool(&ctx.world.client, &ctx.world.jobs, id, object.metadata.generation).await?;
    if let Some(words) = ctx.records().get(id).and_then(|p| p.warm_refused.clone()) {
        look.seen.evidence.push(Evidence {
            kind: Kind::Refused,
            text: format!("its warm workers cannot be made: {}", fleet::without_name(&words)),
        });
    }
    Ok(Some(look))
}
