//! `erase REQUEST`: the input of a request goes, and its answer and its receipt with it.

use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use zkinfer_crds::k8s::{InferenceRequest, RequestPhase, erasing};

use super::{ClientError, Cluster};

/// The operator removes a request's files well within this.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// What to erase.
#[derive(Debug, Clone)]
pub struct EraseOptions {
    /// The request.
    pub name: String,
    /// The cluster.
    pub cluster: Cluster,
}

/// Erases a request, and waits until nothing is left of it; its full name.
///
/// # Errors
/// A request that is not there or not the caller's to change, or an operator that does not come to it.
pub async fn erase(options: &EraseOptions) -> Result<String, ClientError> {
    let (_, client, namespace) = options.cluster.connect().await?;
    let full = format!("{namespace}/{}", options.name);
    let api: Api<InferenceRequest> = Api::namespaced(client.clone(), &namespace);
    let Some(request) = api.get_opt(&options.name).await? else {
        let message = format!("there is no InferenceRequest {full}");
        return Err(ClientError::Other(message));
    };
    if request.spec.input.erased.is_none() {
        let by = caller(&client).await;
        let mut patch = erasing(&request.spec.input, by.as_deref());
        patch["metadata"]["uid"] = request.metadata.uid.clone().into();
        api.patch(&options.name, &PatchParams::default(), &Patch::Merge(patch))
            .await?;
    }
    let until = Instant::now() + PATIENCE;
    loop {
        let now = api.get_opt(&options.name).await?;
        let gone = now
            .as_ref()
            .is_none_or(|now| now.metadata.uid != request.metadata.uid);
        if gone {
            let message = format!(
                "InferenceRequest {full} was deleted before the operator had erased it: its receipt, if it has one, may still be there"
            );
            return Err(ClientError::Other(message));
        }
        let phase = now.and_then(|now| now.status).map(|status| status.phase);
        if phase == Some(RequestPhase::Erased) {
            return Ok(full);
        }
        if Instant::now() >= until {
            let message = format!(
                "the input of InferenceRequest {full} is erased from the object, and the operator has not removed the rest within \
                 {} s: status.phase is Erased when it has",
                PATIENCE.as_secs()
            );
            return Err(ClientError::Unfollowed(message));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What the API server calls the caller; an API server that does not say is no reason to keep an input.
async fn caller(client: &Client) -> Option<String> {
    let api: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = api
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await;
    review.ok()?.status?.user_info?.username
}
