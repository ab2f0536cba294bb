//! Removing what belongs to objects that are gone. There are no finalizers, so that an uninstall never hangs: what a
//! controller that is told of a deletion does not clean up, because the operator was away, a later sweep does; so for uploads that
//! were killed.
//!
//! Invariant: a blob is removed only if nothing names it, it is older than two hours, and it has been kept as long as the Validator
//! says; so is a receipt, which an unfinished request never has; the ledger is its own to keep (`segments/kept.rs`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use zkinfer_crds::k8s::{InferenceRequest, RequestPhase};
use zkinfer_crds::{Digest, RequestUid};

use super::operator::Operator;
use super::retention::{Rule, keeps_input, least, total};
use super::usage;
use crate::artifacts::ArtifactError;
use crate::world::Part;

/// How often everything is looked through.
const EVERY: Duration = Duration::from_secs(600);
/// No upload takes as long as this.
const UPLOAD: Duration = Duration::from_secs(2 * 3600);

/// Looks through the store now and then, for ever.
pub(super) async fn run(ctx: Arc<Operator>) {
    ctx.world.ready.wait(&[Part::Model, Part::InferenceRequest]).await;
    // A Validator may keep things longer than the defaults do.
    ctx.world.settings_are_known().await;
    loop {
        // What cannot be seen is not gone.
        if !ctx.world.scope.problems().is_empty() {
            tracing::warn!("nothing is swept from the store while a namespace may not be read");
        } else if let Err(error) = sweep(&ctx).await {
            tracing::warn!(%error, "sweeping the artifact store");
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn sweep(ctx: &Operator) -> Result<(), ArtifactError> {
    // Listed before the objects are looked at: what is made meanwhile is not in the list.
    let (kept, compiled) = (
        ctx.world.artifacts.requests().await?,
        ctx.world.artifacts.models().await?,
    );
    let living: BTreeSet<RequestUid> = ctx
        .world
        .stores
        .requests
        .state()
        .iter()
        // A proof that came while its request was erased came for nobody.
        .filter(|r| r.status.as_ref().is_none_or(|s| s.phase != RequestPhase::Erased))
        .filter_map(|r| r.uid()?.parse().ok())
        .collect();
    for uid in kept.into_iter().filter(|uid| !living.contains(uid)) {
        tracing::info!(request = %uid, "removing the artifacts of a request that is gone");
        ctx.world.artifacts.delete_request(uid).await?;
    }
    let models = ctx.world.stores.models.state();
    let living: BTreeSet<&str> = models.iter().filter_map(|m| m.metadata.uid.as_deref()).collect();
    for uid in compiled.iter().filter(|uid| !living.contains(uid.as_str())) {
        tracing::info!(model = uid, "removing the report on a Model that is gone");
        ctx.world.artifacts.delete_model(uid).await?;
    }
    ctx.world.artifacts.remove_broken_uploads(UPLOAD).await?;
    let retention = ctx.world.in_force.get().retention.clone();
    let (blobs, receipts) = (
        ctx.world.artifacts.stored_blobs().await?,
        ctx.world.artifacts.stored_receipts().await?,
    );
    let room = retention.store_bytes.as_ref().map_or(0, |room| room.bytes());
    let segments = ctx.world.artifacts.stored_segments().await?;
    let ledger = segments.iter().map(|segment| segment.size).sum();
    ctx.world
        .metrics
        .stored([total(&blobs), total(&receipts), ledger], room);
    usage::count(ctx, &blobs, &receipts).await?;
    let rule = Rule::of_receipts(&retention);
    if rule.applies(&receipts) {
        let unfinished = receipts_of_unfinished(ctx);
        for stored in rule.doomed(&receipts, |digest| unfinished.contains(digest)) {
            tracing::info!(receipt = %stored.digest, "removing a receipt that was kept long enough");
            ctx.world.artifacts.remove_receipt(&stored.digest).await?;
        }
    }
    let rule = Rule::of_blobs(&retention);
    if !rule.applies(&blobs) {
        return Ok(());
    }
    let keeps = |request: &InferenceRequest| keeps_input(&retention, since_end(request));
    let named = ctx.requests.named(keeps).await?;
    for stored in rule.doomed(&blobs, |digest| named.contains(digest)) {
        ctx.world
            .artifacts
            .remove_old_blob(&stored.digest, least())
            .await?;
    }
    Ok(())
}

/// Receipts that a request names which is not over: there is none but while its last status is written.
fn receipts_of_unfinished(ctx: &Operator) -> BTreeSet<Digest> {
    let requests = ctx.world.stores.requests.state();
    let statuses = requests.iter().filter_map(|r| r.status.as_ref());
    let unfinished = statuses.filter(|status| !status.phase.is_over());
    unfinished
        .filter_map(|status| status.receipt.as_ref().map(|receipt| receipt.digest))
        .collect()
}

/// How long ago a request has ended; `None` for one that is not over.
fn since_end(request: &InferenceRequest) -> Option<Duration> {
    let status = request.status.as_ref().filter(|status| status.phase.is_over())?;
    let ended = status.finished_at.as_ref()?.0.as_second();
    let since = k8s_openapi::jiff::Timestamp::now().as_second() - ended;
    Some(Duration::from_secs(u64::try_from(since).unwrap_or_default()))
}
