//! What is fetched to verify: receipts, and the files of compiled models.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use zkinfer_crds::Digest;
use zkinfer_crds::calls::Reason;
use zkinfer_crds::calls::clients::{ReadModelFile, ReadReceipt, ReceiptOf};

use super::front::{Front, MODELS, REQUESTS, not_found};
use crate::gateway::blob::{send_blob, send_receipt};
use crate::gateway::call::{Answer, Named, Routes};
use crate::gateway::doors::Peer;
use crate::gateway::problem::Reject;

pub(super) fn routes(routes: Routes<Front>) -> Routes<Front> {
    routes.call(ReadReceipt, receipt).call(ReadModelFile, file)
}

async fn receipt(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    named: Named,
    of: Result<Query<ReceiptOf>, QueryRejection>,
) -> Answer {
    let digest = front.named(&headers, from, named).await?;
    let Query(ReceiptOf { namespace }) = of.map_err(|e| Reject::new(Reason::InvalidQuery, e.body_text()))?;
    front
        .allowed((&headers, from), ("get", REQUESTS), &namespace, None)
        .await?;
    let absent = || not_found(format!("namespace `{namespace}` has no receipt {digest}"));
    let parsed: Digest = digest.parse().map_err(|_| absent())?;
    let of_namespace = front.artifacts.receipt_is_of(&parsed, &namespace).await;
    if !of_namespace.map_err(|e| Reject::store(&e))? {
        return Err(absent());
    }
    send_receipt::<ReadReceipt>(&front.artifacts, &parsed, absent).await
}

async fn file(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    named: Named<(String, String, String)>,
) -> Answer {
    let (namespace, name, digest) = front.named(&headers, from, named).await?;
    front
        .allowed((&headers, from), ("get", MODELS), &namespace, Some(&name))
        .await?;
    front.watches(&namespace)?;
    let absent = || not_found(format!("Model {namespace}/{name} has no such file"));
    let digest: Digest = digest.parse().map_err(|_| absent())?;
    if !front.directory.model_files(&namespace, &name).contains(&digest) {
        return Err(absent());
    }
    send_blob::<ReadModelFile>(&front.artifacts, &digest, absent).await
}
