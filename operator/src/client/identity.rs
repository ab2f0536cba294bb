//! `identity`: a miner's key, and its signature over a pool.
//!
//! Invariant: the key stays in its file, which nobody else may read; what is printed is public.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signer as _, SigningKey};
use kube::{Api, ResourceExt};
use rand::rngs::OsRng;
use zkinfer_crds::Identity;
use zkinfer_crds::k8s::{MinerPool, possession_message};

use super::{ClientError, Cluster};

/// Whose possession is to be proven.
#[derive(Debug, Clone)]
pub struct ProveOptions {
    /// The MinerPool's name.
    pub pool: String,
    /// The key's file.
    pub key: PathBuf,
    /// The pool's uid; absent: asked of the cluster.
    pub uid: Option<String>,
    /// The cluster.
    pub cluster: Cluster,
}

/// Makes a key and writes it to a file that is not there yet; the identity.
///
/// # Errors
/// A path.
pub fn new_identity(path: &Path) -> Result<Identity, ClientError> {
    let key = SigningKey::generate(&mut OsRng);
    let failed = |source| ClientError::Path {
        path: path.to_owned(),
        source,
    };
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed)?;
    writeln!(file, "{}", hex::encode(key.to_bytes())).map_err(failed)?;
    Ok(Identity::new(key.verifying_key().to_bytes()))
}

/// The key's identity.
///
/// # Errors
/// A file that is no key.
pub fn show_identity(path: &Path) -> Result<Identity, ClientError> {
    Ok(Identity::new(read(path)?.verifying_key().to_bytes()))
}

/// The signature for a pool's `spec.possession`.
///
/// # Errors
/// A file that is no key, or a pool that is not there.
pub async fn prove_identity(options: &ProveOptions) -> Result<String, ClientError> {
    let key = read(&options.key)?;
    let (namespace, uid) = match (&options.uid, &options.cluster.namespace) {
        (Some(uid), Some(namespace)) => (namespace.clone(), uid.clone()),
        (uid, _) => {
            let (_, client, namespace) = options.cluster.connect().await?;
            let uid = match uid {
                Some(uid) => uid.clone(),
                None => uid_of(&client, &namespace, &options.pool).await?,
            };
            (namespace, uid)
        }
    };
    let message = possession_message(&namespace, &options.pool, &uid);
    Ok(hex::encode(key.sign(&message).to_bytes()))
}

async fn uid_of(client: &kube::Client, namespace: &str, name: &str) -> Result<String, ClientError> {
    let api: Api<MinerPool> = Api::namespaced(client.clone(), namespace);
    let pool = api.get_opt(name).await?;
    pool.and_then(|p| p.uid()).ok_or_else(|| {
        ClientError::Other(format!(
            "there is no MinerPool {name} in namespace {namespace}: make it first, its uid is signed"
        ))
    })
}

fn read(path: &Path) -> Result<SigningKey, ClientError> {
    let text = std::fs::read_to_string(path).map_err(|source| ClientError::Path {
        path: path.to_owned(),
        source,
    })?;
    let mut seed = [0; 32];
    hex::decode_to_slice(text.trim(), &mut seed).map_err(|_| {
        ClientError::Other(format!(
            "{}: not 32 bytes of hexadecimal: `operator identity new` makes a key",
            path.display()
        ))
    })?;
    Ok(SigningKey::from_bytes(&seed))
}
