//! `receipt NAME -o FILE`: the proof of an answer, for a stranger.
//!
//! Invariant: what is written is what the request's status names: its digest is compared.

use std::path::{Path, PathBuf};

use kube::Api;
use zkinfer_crds::Digest;
use zkinfer_crds::k8s::{InferenceRequest, find_condition, inference_request};
use zkml::manifest::Manifest;
use zkml::systems::SYSTEMS;

use super::gateway::Gateway;
use super::{ClientError, Cluster, GatewayAccess};

/// Which receipt, and where to.
#[derive(Debug, Clone)]
pub struct ReceiptOptions {
    /// The request's name.
    pub name: String,
    /// Where the receipt is written.
    pub out: PathBuf,
    /// Where manifest and the files that it names are written, for a verifier.
    pub files: Option<PathBuf>,
    /// The cluster.
    pub cluster: Cluster,
    /// How to reach the gateway.
    pub access: GatewayAccess,
}

/// Fetches a receipt; its digest.
///
/// # Errors
/// A request without one, a gateway that refuses, a path.
pub async fn receipt(options: &ReceiptOptions) -> Result<Digest, ClientError> {
    let (config, client, namespace) = options.cluster.connect().await?;
    let api: Api<InferenceRequest> = Api::namespaced(client.clone(), &namespace);
    let (name, out) = (&options.name, &options.out);
    let request = api.get_opt(name).await?.ok_or_else(|| {
        ClientError::Other(format!(
            "there is no InferenceRequest {name} in namespace {namespace}"
        ))
    })?;
    let status = request.status.unwrap_or_default();
    let Some(receipt) = status.receipt else {
        let ready = find_condition(&status.conditions, inference_request::condition::READY);
        let why = ready
            .map(|c| format!(" ({}: {})", c.reason, c.message))
            .unwrap_or_default();
        let message = format!(
            "InferenceRequest {name} is {} and has no receipt{why}",
            status.phase
        );
        return Err(ClientError::Other(message));
    };
    let gateway = Gateway::connect(&config, &client, &namespace, &options.access).await?;
    let bytes = gateway.receipt(&namespace, &receipt.digest).await?;
    let bytes = checked(bytes, &receipt.digest)?;
    write(out, &bytes)?;
    if let (Some(dir), Some(manifest)) = (&options.files, status.manifest_digest) {
        let model = &request.spec.model_ref.name;
        let file = async |digest: &Digest| {
            let bytes = gateway.model_file(&namespace, model, digest).await?;
            checked(bytes, digest)
        };
        let bytes = file(&manifest).await?;
        write(&dir.join("manifest.cbor"), &bytes)?;
        let other = |e: &dyn std::fmt::Display| ClientError::Other(e.to_string());
        let manifest = Manifest::from_bytes(&bytes, SYSTEMS).map_err(|e| other(&e))?;
        let system = SYSTEMS.find(manifest.proof_system).map_err(|e| other(&e))?;
        for digest in manifest.files(system) {
            let bytes = file(&digest).await?;
            write(&dir.join("blobs").join("sha256").join(digest.hex()), &bytes)?;
        }
    }
    Ok(receipt.digest)
}

fn checked(bytes: Vec<u8>, expected: &Digest) -> Result<Vec<u8>, ClientError> {
    match Digest::of(&bytes) {
        got if got == *expected => Ok(bytes),
        got => Err(ClientError::Gateway(format!("{expected} arrived as {got}"))),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ClientError> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    let made = parent.map_or(Ok(()), std::fs::create_dir_all);
    made.and_then(|()| std::fs::write(path, bytes))
        .map_err(|source| ClientError::Path {
            path: path.to_owned(),
            source,
        })
}
