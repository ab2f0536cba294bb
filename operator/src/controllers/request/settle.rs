//! Carries out what the end of a run asks for: the receipt is written, and the end is kept.
//!
//! Invariant: a receipt is in the store before anything says that there is one.

use std::time::Instant;

use bytes::Bytes;
use kube::runtime::reflector::ObjectRef;
use zkinfer_crds::RequestUid;
use zkinfer_crds::k8s::InferenceRequest;
use zkinfer_crds::k8s::inference_request::reason;
use zkinfer_crds::k8s::request_status::ReceiptRef;

use super::end::Ends;
use super::gather::Seen;
use super::observed::{RunEnd, RunState};
use super::records::Requests;
use crate::artifacts::ArtifactError;
use crate::runs::{Judgement, OutboxOf, ReceiptFiles, Run, verify_command};
use crate::traces;

/// Keeps how the run is, and returns it; one whose slices are all verified gets its receipt here.
pub(super) async fn settle(ctx: &Requests, uid: RequestUid, seen: Seen) -> RunState {
    let (run, key, counts, ends) = match seen {
        Seen::Is(state) => return state,
        Seen::AtWork {
            run,
            key,
            counts,
            ends,
        } => (run, key, counts, ends),
    };
    if let (Some(record), Some(counts)) = (ctx.runs().get_mut(&uid), counts) {
        if counts.verified > record.view.counts.verified {
            (record.moved, record.view.makes_way) = (Instant::now(), false);
        }
        record.view.counts = counts;
    }
    let mut no_float = None;
    let end = match ends {
        Ends::No(why) => {
            no_float = why;
            None
        }
        Ends::Failed(end) => Some(end),
        Ends::Receipt(judgement) => {
            match traces::part_of_request("receipt", uid, receipt(ctx, &run, &key, &judgement)).await {
                Ok(end) => Some(end),
                Err(NoReceipt::Made(why)) => Some(RunEnd::failed(reason::INTERNAL_ERROR, why)),
                // It will be back, and everything that the receipt is made of is here.
                Err(NoReceipt::Store(error)) => {
                    tracing::warn!(%error, "the receipt was not written, trying again");
                    ctx.world.store.failed();
                    None
                }
            }
        }
    };
    let mut runs = ctx.runs();
    let Some(record) = runs.get_mut(&uid) else {
        return RunState::None;
    };
    record.view.no_float = no_float;
    record.state = match end {
        Some(end) => RunState::Ended(record.view.clone(), end),
        None => RunState::Active(record.view.clone()),
    };
    record.state.clone()
}

/// Why there is no receipt.
#[derive(Debug, thiserror::Error)]
enum NoReceipt {
    /// It cannot be made.
    #[error("{0}")]
    Made(String),
    /// It cannot be stored now.
    #[error(transparent)]
    Store(#[from] ArtifactError),
}

async fn receipt(
    ctx: &Requests,
    run: &Run,
    key: &ObjectRef<InferenceRequest>,
    judgement: &Judgement,
) -> Result<RunEnd, NoReceipt> {
    let namespace = key.namespace.as_deref().unwrap_or_default();
    let made = run.finish().map_err(|e| NoReceipt::Made(e.to_string()))?;
    let bytes = Bytes::from(made);
    let digest = ctx.world.artifacts.put_receipt(bytes.clone(), namespace).await?;
    let model = ctx.runs().get(&run.uid).map(|r| r.model.clone());
    let of = OutboxOf {
        namespace,
        request: &key.name,
        model: &model.unwrap_or_default(),
    };
    let files = match &ctx.outbox {
        Some(outbox) => Some(outbox.put(of, &bytes, run).await.map_err(NoReceipt::Made)?),
        None => None,
    };
    let words = match &files {
        Some(files) => files.clone(),
        None => ReceiptFiles::named(&key.name),
    };
    Ok(RunEnd::Receipt {
        receipt: ReceiptRef {
            digest,
            bytes: bytes.len() as u64,
            path: files.map(|files| files.receipt),
        },
        output: run.output(),
        batch: (run.batch(), run.answers()),
        error_millionths: judgement.error_millionths,
        verify: verify_command(&words, &judgement.flags, run.model.proof_system, ctx.world.setup),
    })
}
