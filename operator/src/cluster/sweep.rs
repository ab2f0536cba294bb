//! Removing what belongs to objects that are gone. There are no finalizers, so that an uninstall never hangs: what a
//! controller that is told of a deletion does not clean up, because the operator was away, a later sweep does; so for uploads that
//! were killed.
//!
//! Invariant: a blob is removed only if nothing names it, it is older than two hours, and it has been kept as long as the Validator
//! says; so is a receipt, which an unfinished request never has; the ledger stays.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use zkinfer_crds::compile_report::CompileOutcome;
use zkinfer_crds::k8s::InferenceRequest;
use zkinfer_crds::k8s::validator::Retention;
use zkinfer_crds::{Digest, RequestUid};

use super::operator::Operator;
use super::retention::{Rule, keeps_input, least, total};
use crate::artifacts::{ArtifactError, CompiledName, Kept};
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
    ctx.world.metrics.stored(total(&blobs), total(&receipts), room);
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
    let named = named(ctx, &retention).await?;
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

/// Every blob that an object, a compiled model or a run names.
async fn named(ctx: &Operator, retention: &Retention) -> Result<BTreeSet<Digest>, ArtifactError> {
    let mut named = BTreeSet::new();
    named.extend(ctx.models.srs_file.as_ref().map(|b| b.digest));
    for model in ctx.world.stores.models.state() {
        named.extend(model.spec.source.artifact);
        let calibration = model.spec.quantization.calibration.as_ref();
        named.extend(calibration.and_then(|c| c.artifact));
        named.extend(model.status.as_ref().and_then(|s| s.model_digest));
        let uid = model.uid().unwrap_or_default();
        {
            let models = ctx.models.records();
            let record = models.get(&uid);
            let files = record.map(|m| [m.known.onnx.as_ref(), m.known.calibration.as_ref()]);
            named.extend(files.into_iter().flatten().flatten().map(|b| b.digest));
        }
        match ctx
            .world
            .artifacts
            .compiled(CompiledName::Model(&uid))
            .await?
            .map(|json| Kept::read(&json))
        {
            None => {}
            // What it is compiled from again.
            Some(Kept::Old { onnx, calibration }) => named.extend(onnx.into_iter().chain(calibration)),
            Some(Kept::Record(record)) => {
                named.insert(record.onnx.digest);
                named.extend(record.calibration.map(|b| b.digest));
                if let CompileOutcome::Compiled(report) = record.outcome {
                    named.extend(report.blobs().map(|b| b.digest));
                }
            }
        }
    }
    for request in ctx.world.stores.requests.state() {
        if keeps_input(retention, since_end(&request)) {
            named.extend(request.spec.input.artifact);
        }
    }
    for record in ctx.requests.runs().values() {
        named.extend(record.run.iter().flat_map(|run| run.blobs()).map(|b| b.digest));
        // The float reference is handed it.
        named.extend(record.run.iter().map(|run| run.model.manifest.model));
    }
    Ok(named)
}
