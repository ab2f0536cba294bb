//! How long lists stand in a key: by SHA-256 of their number and little-endian bytes.

use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use zkinfer_crds::Digest;

use crate::graph::{Shared, Windows};

/// Bytes of a list that are hashed at once.
const HASHED_AT_ONCE: usize = 8192;

/// Coefficients.
pub(super) fn integers<S: Serializer>(items: &&[i64], serializer: S) -> Result<S::Ok, S::Error> {
    digest(items.iter().map(|w| w.to_le_bytes())).serialize(serializer)
}

/// Indices.
pub(super) fn indices<S: Serializer>(items: &Option<&Shared<u32>>, serializer: S) -> Result<S::Ok, S::Error> {
    let list = items.map(|s| digest(s.iter().map(|i| i.to_le_bytes())));
    list.serialize(serializer)
}

/// Windows, each with its length in front, so that two cuts of one list differ.
pub(super) fn windows<S: Serializer>(items: &&Windows, serializer: S) -> Result<S::Ok, S::Error> {
    let entries = items
        .iter()
        .flat_map(|w| [w.len() as u32].into_iter().chain(w.iter().copied()));
    digest(entries.map(u32::to_le_bytes)).serialize(serializer)
}

/// The number of items, then the items; hashed as they come, since a layer's weights fill 32 MiB.
fn digest<const N: usize>(items: impl Iterator<Item = [u8; N]> + Clone) -> Digest {
    let mut hash = Sha256::new();
    hash.update((items.clone().count() as u64).to_le_bytes());
    let mut buffer = Vec::with_capacity(HASHED_AT_ONCE + N);
    for item in items {
        buffer.extend_from_slice(&item);
        if buffer.len() >= HASHED_AT_ONCE {
            hash.update(&buffer);
            buffer.clear();
        }
    }
    hash.update(&buffer);
    Digest::new(hash.finalize().into())
}
