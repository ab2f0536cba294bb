//! Erasing a request: everything that tells of its input or its answer is removed, and a tombstone stays.
//!
//! Invariants: the status says `Erased` only when nothing is left in the store and in the object; what another object, another run
//! or another namespace has too stays theirs. The ledger is not touched: its entries name digests.

use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::controller::Action as Requeue;
use kube::runtime::events::EventType;
use serde_json::json;
use zkinfer_crds::RequestUid;
use zkinfer_crds::k8s::inference_request::reason;
use zkinfer_crds::k8s::{ErasedInput, InferenceRequest, InferenceRequestStatus, LAST_APPLIED};

use super::records::Requests;
use super::status;
use crate::artifacts::ArtifactError;
use crate::clock::now;
use crate::world::{Part, ReconcileError};

/// Erases a request whose input is not in its object any more.
pub(super) async fn erase(
    ctx: &Requests,
    object: &InferenceRequest,
    uid: RequestUid,
    (stated, seen): (&ErasedInput, InferenceRequestStatus),
) -> Result<Requeue, ReconcileError> {
    // What is named by others is known only once they are.
    ctx.world.ready.wait(&[Part::Model, Part::InferenceRequest]).await;
    // Whoever holds a claim of it is told that it is over, as with one that was cancelled.
    ctx.world.dispatcher.remove(uid, false);
    let written = ctx.runs().remove(&uid).and_then(|run| run.written);
    ctx.looked.lock().remove(&uid);
    ctx.leave(uid);
    ctx.world.fleet.notify_one();
    // The watch may be behind.
    let last = written.map_or(seen, |(status, _)| status);
    store(ctx, object, uid, (stated, &last)).await?;
    strip(ctx, object).await?;
    let told = status::erased(&last, stated.by.as_deref(), object.metadata.generation, &now());
    if ctx.world.write_status(object, &told).await? {
        let by = stated.by.as_deref().unwrap_or("somebody who does not say who");
        let note = format!("erased by {by}");
        ctx.world
            .events
            .tell(object, EventType::Normal, reason::ERASED, "Erase", &note)
            .await;
    }
    Ok(Requeue::await_change())
}

/// Removes what the store has of it. What says what there is goes last, so that what fails is found again.
async fn store(
    ctx: &Requests,
    object: &InferenceRequest,
    uid: RequestUid,
    (stated, last): (&ErasedInput, &InferenceRequestStatus),
) -> Result<(), ArtifactError> {
    let (artifacts, namespace) = (&ctx.world.artifacts, object.namespace().unwrap_or_default());
    // Nobody begins meanwhile who could come to need what is removed.
    let _nobody_begins = ctx.beginning.write().await;
    let mut inputs = artifacts.inputs_of(uid).await?;
    // Only a file of this namespace's is this namespace's to remove.
    if let Some(digest) = stated.artifact
        && artifacts.blob_is_of(&digest, &namespace).await?
    {
        inputs.push(digest);
    }
    if !inputs.is_empty() {
        let named = ctx.named(|_| true).await?;
        for digest in inputs.iter().filter(|digest| !named.contains(digest)) {
            if !artifacts.blob_is_of_another(digest, &namespace).await? {
                artifacts.erase_blob(digest, &namespace).await?;
            }
        }
    }
    // A status may have been written by others than the operator: a digest is no permission.
    if let Some(receipt) = &last.receipt
        && artifacts.receipt_is_of(&receipt.digest, &namespace).await?
    {
        artifacts.remove_receipt(&receipt.digest).await?;
    }
    artifacts.delete_request(uid).await
}

/// Removes the input from where `kubectl apply` has kept it.
async fn strip(ctx: &Requests, object: &InferenceRequest) -> Result<(), ReconcileError> {
    if !object.annotations().contains_key(LAST_APPLIED) {
        return Ok(());
    }
    let api: Api<InferenceRequest> =
        Api::namespaced(ctx.world.client.clone(), &object.namespace().unwrap_or_default());
    let patch = json!({ "metadata": { "uid": object.uid(), "annotations": { LAST_APPLIED: null } } });
    let params = PatchParams {
        field_manager: Some(ctx.world.workers.class.manager()),
        ..PatchParams::default()
    };
    match api.patch(&object.name_any(), &params, &Patch::Merge(patch)).await {
        Ok(_) => Ok(()),
        // It is gone, or another one by now.
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        Err(e) => Err(e.into()),
    }
}
