//! Keys of a slice, for whoever compiles a model.

use zkinfer_crds::Digest;
use zkinfer_crds::slice_files::FileRole;

use super::Circuit;

/// What making a slice's keys gives.
#[derive(Debug, Clone)]
pub struct SliceKeys {
    /// What the manifest records.
    pub circuit: Circuit,
    /// The verifying key's name in the manifest.
    pub vk: Digest,
    /// Keys that are files; absent where prover and verifier derive theirs from the integer graph.
    pub files: Option<KeyFiles>,
}

/// Keys, encoded.
#[derive(Debug, Clone)]
pub struct KeyFiles {
    /// log2 of the points that proving takes from the SRS.
    pub k: u8,
    /// The proving key.
    pub pk: Vec<u8>,
    /// The verifying key.
    pub vk: Vec<u8>,
}

impl KeyFiles {
    /// The keys by what they are.
    #[must_use]
    pub fn by_role(&self) -> [(FileRole, &[u8]); 2] {
        [
            (FileRole::VerifyingKey, &self.vk),
            (FileRole::ProvingKey, &self.pk),
        ]
    }
}
