//! `upload FILE`: a model, calibration data or an input that is too large for a ConfigMap, to be named by digest.

use std::path::PathBuf;

use zkinfer_crds::Digest;

use super::gateway::{Gateway, may_upload};
use super::{ClientError, Cluster, GatewayAccess};

/// What to upload, and where to.
#[derive(Debug, Clone)]
pub struct UploadOptions {
    /// The file.
    pub file: PathBuf,
    /// The cluster; objects of its namespace may name the file.
    pub cluster: Cluster,
    /// How to reach the gateway.
    pub access: GatewayAccess,
}

/// Uploads a file; its digest.
///
/// # Errors
/// A path, or a gateway that refuses.
pub async fn upload(options: &UploadOptions) -> Result<Digest, ClientError> {
    let bytes = std::fs::read(&options.file).map_err(|source| ClientError::Path {
        path: options.file.clone(),
        source,
    })?;
    let (config, client, namespace) = options.cluster.connect().await?;
    may_upload(&client, &namespace).await?;
    let gateway = Gateway::connect(&config, &client, &namespace, &options.access).await?;
    let digest = Digest::of(&bytes);
    let path = format!("/v1/artifacts/{namespace}/{digest}");
    gateway.put(&path, bytes).await?;
    Ok(digest)
}
