//! `upload FILE`: a model, calibration data or an input that is too large for a ConfigMap, to be named by digest.

use std::path::PathBuf;

use zkinfer_crds::Digest;
use zkml::graph::other_file::{OtherFile, recognise};
use zkml::graph::tensor_file::begins_as_numbers;

use super::gateway::{Gateway, may_upload};
use super::{ClientError, Cluster, GatewayAccess};
use crate::sources::file;

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
    let bytes = file::read(&options.file)?;
    if let Some(other) = useless(&bytes) {
        let file = options.file.display();
        return Err(ClientError::Other(format!(
            "{file} is neither a model nor numbers but {other}"
        )));
    }
    let (config, client, namespace) = options.cluster.connect().await?;
    may_upload(&client, &namespace).await?;
    let gateway = Gateway::connect(&config, &client, &namespace, &options.access).await?;
    let digest = Digest::of(&bytes);
    gateway.upload(&namespace, &digest, bytes).await?;
    Ok(digest)
}

/// What a file is of which neither a model nor a tensor can be read: it would be taken, and refused when it is used.
fn useless(bytes: &[u8]) -> Option<OtherFile> {
    if begins_as_numbers(bytes) {
        None
    } else {
        recognise(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_or_a_page_is_useless_and_models_and_numbers_are_not() {
        let says = |bytes: &[u8]| useless(bytes).map(|other| other.to_string()).unwrap_or_default();
        let pointer = says(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n");
        assert!(
            pointer.contains("a Git LFS pointer to a file of 9 bytes"),
            "{pointer}"
        );
        assert!(says(b"<!DOCTYPE html>").contains("a web page"));
        assert!(says(b"").contains("an empty file"));
        let model = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/models/wine.onnx")).unwrap();
        for good in [
            &model[..],
            b" [[1, 2]]",
            br#"{"x": [1]}"#,
            b"\xef\xbb\xbf[1]",
            b"\x93NUMPY\x01\0",
            &[&b"PK\x03\x04"[..], &[0; 22], &[5, 0, 0, 0], b"a.npy"].concat(),
        ] {
            assert_eq!(says(good), "");
        }
    }
}
