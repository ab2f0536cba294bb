//! Namespaces, and what tells an object from others of its name.

use rand::RngCore;
use rand::rngs::OsRng;
use zkinfer_crds::{Digest, RequestUid};

/// The namespace of objects that name none.
pub(super) const DEFAULT_NAMESPACE: &str = "default";
/// The namespace in which an operator is installed, unless somebody chose another.
pub(super) const OPERATOR_NAMESPACE: &str = "zkinfer-system";

/// The same for a pool in every run, so that a miner's signature over it holds in the next one.
pub(super) fn pool_uid(namespace: &str, name: &str) -> RequestUid {
    let hash = Digest::of(format!("zkinfer/local-pool/v1\n{namespace}/{name}\n").as_bytes());
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&hash.as_bytes()[..16]);
    uuid(bytes, 8)
}

/// A random UUID, version 4.
pub(super) fn random_uid() -> RequestUid {
    let mut bytes = [0u8; 16];
    OsRng.fill_bytes(&mut bytes);
    uuid(bytes, 4)
}

/// A UUID of this version.
fn uuid(mut bytes: [u8; 16], version: u8) -> RequestUid {
    bytes[6] = bytes[6] & 0x0f | version << 4;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    RequestUid::new(bytes)
}
