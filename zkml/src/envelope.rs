//! How a proof travels: proof system, parameter id, bytes.
//!
//! Invariant: an envelope whose ids are not the manifest's is refused before its bytes are looked at.

use serde::{Deserialize, Serialize};
use zkinfer_crds::wire::MAX_ENVELOPE_BYTES;

use crate::backend::{ParametersId, SystemId};
use crate::canonical::{self, CanonicalError};

/// A proof with the names of what verifies it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The proof.
    #[serde(with = "serde_bytes")]
    pub proof: Vec<u8>,
    /// Its system's parameters.
    pub parameter_id: ParametersId,
    /// Its system.
    pub proof_system: SystemId,
}

impl Envelope {
    /// Wraps a proof.
    #[must_use]
    pub const fn new(proof_system: SystemId, parameter_id: ParametersId, proof: Vec<u8>) -> Self {
        Self {
            proof,
            parameter_id,
            proof_system,
        }
    }

    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        canonical::to_bytes(self)
    }

    /// Decodes an envelope of at most 512 KiB.
    ///
    /// # Errors
    /// Too many bytes, not an envelope, or a second spelling of one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CanonicalError> {
        canonical::from_bytes(bytes, MAX_ENVELOPE_BYTES as usize)
    }
}

#[cfg(test)]
mod tests {
    use zkinfer_crds::ParameterId;

    use super::*;

    fn envelope(parameters: ParameterId, proof: Vec<u8>) -> Envelope {
        Envelope::new(parameters.proof_system().into(), parameters.into(), proof)
    }

    #[test]
    fn encoding_matches_the_golden_vector() {
        let envelope = envelope(ParameterId::Halo2KzgBn254V1, vec![1, 2, 3]);
        let expected = format!(
            "a365{}43010203{}{}{}{}",
            hex::encode("proof"),
            format_args!("6c{}", hex::encode("parameter_id")),
            format_args!("72{}", hex::encode("halo2-kzg-bn254/v1")),
            format_args!("6c{}", hex::encode("proof_system")),
            format_args!("68{}", hex::encode("Halo2Kzg")),
        );
        assert_eq!(hex::encode(envelope.to_bytes()), expected);
        assert_eq!(Envelope::from_bytes(&envelope.to_bytes()), Ok(envelope));
    }

    #[test]
    fn the_other_proof_systems_encoding_matches_its_golden_vector() {
        let envelope = envelope(ParameterId::SumcheckWhirGoldilocksV1, vec![1, 2, 3]);
        let text = String::from_utf8_lossy(&envelope.to_bytes()).into_owned();
        assert!(
            text.ends_with(
                "eproofC\u{1}\u{2}\u{3}lparameter_idx\u{1b}sumcheck-whir-goldilocks/v1lproof_systemlSumcheckWhir"
            ),
            "{text}"
        );
    }

    #[test]
    fn refuses_other_bytes() {
        let good = envelope(ParameterId::Halo2KzgBn254V1, vec![1; 40]).to_bytes();
        for len in 0..good.len() {
            assert!(Envelope::from_bytes(&good[..len]).is_err());
        }
        assert!(Envelope::from_bytes(&[good.as_slice(), &[0]].concat()).is_err());
        assert!(matches!(
            Envelope::from_bytes(&vec![0; 600 << 10]),
            Err(CanonicalError::TooLarge { .. })
        ));
    }
}
