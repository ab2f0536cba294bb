//! Verifies one slice proof against one statement.
//!
//! Invariants: it never panics; it takes nothing but bytes from the prover; exactly one byte string is the encoding
//! of a proof (no trailing bytes, no second spelling of a point or scalar), so a proof cannot be altered into
//! another that verifies.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use halo2_proofs::halo2curves::bn256::{Bn256, Fr, G1Affine};
use halo2_proofs::halo2curves::ff::PrimeField;
use halo2_proofs::halo2curves::group::GroupEncoding;
use halo2_proofs::plonk::verify_proof;
use halo2_proofs::poly::kzg::commitment::KZGCommitmentScheme;
use halo2_proofs::poly::kzg::multiopen::VerifierSHPLONK;
use halo2_proofs::poly::kzg::strategy::SingleStrategy;
use halo2_proofs::transcript::{Blake2bRead, Challenge255, Transcript, TranscriptRead, TranscriptReadBuffer};
use zkinfer_crds::Digest;

use super::instance::instance;
use super::keys::VerifyingKey;
use crate::relations::{Boundary, InstanceError};
use crate::setup::VerifierSrs;

/// Why a proof was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The public values are not those of this slice.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// The proof's bytes are too many, too few, or not canonical.
    #[error("the proof is malformed: {0}")]
    Malformed(&'static str),
    /// The proof does not hold for this statement.
    #[error("the proof does not hold for this statement")]
    Invalid,
}

/// Accepts `proof` for `statement` and the public values, or says why not.
///
/// # Errors
/// Public values of the wrong length or range, malformed bytes, or a proof that does not hold.
pub fn verify(
    vk: &VerifyingKey,
    srs: &VerifierSrs,
    boundary: Boundary<'_>,
    statement: &Digest,
    inputs: &[&[i64]],
    outputs: &[&[i64]],
    proof: &[u8],
) -> Result<(), VerifyError> {
    let column = instance(boundary, statement, inputs, outputs)?;
    let params = srs.for_rows(vk.vk.get_domain().k());
    let mut transcript = CanonicalRead {
        rest: proof,
        malformed: None,
        inner: Blake2bRead::init(io::empty()),
    };
    // The library unwraps inversions of challenge-dependent values; a proof that hits one is refused.
    let run = || {
        verify_proof::<KZGCommitmentScheme<Bn256>, VerifierSHPLONK<'_, Bn256>, _, _, _>(
            &params,
            &vk.vk,
            SingleStrategy::new(&params),
            &[&[&column]],
            &mut transcript,
        )
    };
    let verdict = catch_unwind(AssertUnwindSafe(run));
    if let Some(why) = transcript.malformed {
        return Err(VerifyError::Malformed(why));
    }
    match verdict {
        Ok(Ok(())) if transcript.rest.is_empty() => Ok(()),
        Ok(Ok(())) => Err(VerifyError::Malformed("bytes after the proof")),
        Ok(Err(_)) | Err(_) => Err(VerifyError::Invalid),
    }
}

/// A transcript reader that refuses every encoding but the canonical one. The curve library ignores a flag bit of
/// compressed points, so a point is decoded, encoded again and compared.
struct CanonicalRead<'a> {
    rest: &'a [u8],
    malformed: Option<&'static str>,
    inner: Blake2bRead<io::Empty, G1Affine, Challenge255<G1Affine>>,
}

impl<'a> CanonicalRead<'a> {
    fn take(&mut self) -> io::Result<&'a [u8; 32]> {
        match self.rest.split_first_chunk::<32>() {
            Some((chunk, rest)) => {
                self.rest = rest;
                Ok(chunk)
            }
            None => Err(self.refuse("it is too short")),
        }
    }

    fn refuse(&mut self, why: &'static str) -> io::Error {
        self.malformed = Some(why);
        io::Error::new(io::ErrorKind::InvalidData, why)
    }
}

impl Transcript<G1Affine, Challenge255<G1Affine>> for CanonicalRead<'_> {
    fn squeeze_challenge(&mut self) -> Challenge255<G1Affine> {
        self.inner.squeeze_challenge()
    }

    fn common_point(&mut self, point: G1Affine) -> io::Result<()> {
        self.inner.common_point(point)
    }

    fn common_scalar(&mut self, scalar: Fr) -> io::Result<()> {
        self.inner.common_scalar(scalar)
    }
}

impl TranscriptRead<G1Affine, Challenge255<G1Affine>> for CanonicalRead<'_> {
    fn read_point(&mut self) -> io::Result<G1Affine> {
        let bytes = self.take()?;
        let mut repr = <G1Affine as GroupEncoding>::Repr::default();
        repr.as_mut().copy_from_slice(bytes);
        match Option::<G1Affine>::from(G1Affine::from_bytes(&repr)) {
            Some(point) if point.to_bytes().as_ref() == bytes => {
                self.common_point(point)?;
                Ok(point)
            }
            _ => Err(self.refuse("a point is not canonical")),
        }
    }

    fn read_scalar(&mut self) -> io::Result<Fr> {
        let bytes = *self.take()?;
        match Option::<Fr>::from(Fr::from_repr(bytes)) {
            Some(scalar) => {
                self.common_scalar(scalar)?;
                Ok(scalar)
            }
            None => Err(self.refuse("a scalar is not canonical")),
        }
    }
}
