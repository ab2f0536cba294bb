//! What verifies one slice's proof.

use std::fmt;

use zkinfer_crds::Digest;

use super::VerifyError;
use crate::relations::Boundary;

/// What verifying a slice again and again needs.
pub trait Verifier: fmt::Debug + Send + Sync {
    /// The verifying key's name in a manifest.
    fn vk_digest(&self) -> Digest;

    /// The digest of the SRS that it rests on; [`NO_SRS`](super::NO_SRS) without one.
    fn srs_digest(&self) -> Digest;

    /// The soundness of proofs, where the proof system computes it for every key; `None` where it does not.
    fn security(&self) -> Option<Security>;

    /// Accepts a proof for a statement and the boundary's values.
    ///
    /// # Errors
    /// A proof that does not hold, or values that are not the slice's.
    fn verify(
        &self,
        boundary: Boundary<'_>,
        statement: &Digest,
        inputs: &[&[i64]],
        outputs: &[&[i64]],
        proof: &[u8],
    ) -> Result<(), VerifyError>;
}

/// What a wrong proof costs, by the verifier's own account.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Security {
    /// log2 of the attack work.
    pub bits: f64,
    /// The regime in which they hold.
    pub regime: &'static str,
}
