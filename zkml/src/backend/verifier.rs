//! Verifies one slice's proof.

use zkinfer_crds::Digest;

use super::keys::sumcheck_circuit;
use super::{Circuit, KeyError, NO_SRS, Parameters, Setup, SetupError};
use crate::halo2;
use crate::relations::{Boundary, SliceRelations};
use crate::setup::VerifierSrs;
use crate::sumcheck;

/// Why a proof was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The halo2 verifier.
    #[error(transparent)]
    Halo2Kzg(#[from] halo2::VerifyError),
    /// The sum-check verifier.
    #[error(transparent)]
    SumcheckWhir(#[from] sumcheck::VerifyError),
}

/// What verifying a slice again and again needs.
#[derive(Debug, Clone)]
pub enum Verifier {
    /// The key and the SRS's verifier part; no graph and no weights.
    Halo2Kzg(Box<Halo2Verifier>),
    /// The key, with relations, weights and tables in it.
    SumcheckWhir(sumcheck::Key),
}

/// See [`Verifier::Halo2Kzg`].
#[derive(Debug, Clone)]
pub struct Halo2Verifier {
    /// The verifying key.
    vk: halo2::VerifyingKey,
    /// The verifier's part of the SRS.
    srs: VerifierSrs,
}

impl Verifier {
    pub(super) fn halo2(vk: halo2::VerifyingKey, srs: VerifierSrs) -> Self {
        Self::Halo2Kzg(Box::new(Halo2Verifier { vk, srs }))
    }

    /// Reads a verifying key that is a file.
    ///
    /// # Errors
    /// Bytes that are no key of such a circuit.
    pub fn from_file(vk: &[u8], circuit: &Circuit, srs: VerifierSrs) -> Result<Self, KeyError> {
        match circuit {
            Circuit::Halo2Kzg(shape) => Ok(Self::halo2(halo2::VerifyingKey::from_bytes(vk, shape)?, srs)),
            Circuit::SumcheckWhir(_) => Err(KeyError::NoFile),
        }
    }

    /// Derives a verifying key from the slice's relations, and what a manifest must record of it.
    ///
    /// # Errors
    /// A slice that cannot be proved with these parameters, or a setup that is missing or too small.
    pub fn derive(
        relations: &SliceRelations,
        parameters: Parameters,
        setup: &Setup,
    ) -> Result<(Self, Circuit), KeyError> {
        match parameters {
            Parameters::Halo2Kzg(p) => {
                let points = setup.points(p.k).ok_or(SetupError::Missing)?;
                let (vk, shape) = halo2::keygen_verifier(relations, p, points)?;
                Ok((Self::halo2(vk, points.verifier()), Circuit::Halo2Kzg(shape)))
            }
            Parameters::SumcheckWhir(p) => Ok((
                Self::SumcheckWhir(sumcheck::Key::new(relations, p)?),
                sumcheck_circuit(p),
            )),
        }
    }

    /// [`Verifier::derive`] of relations that nobody else needs: their weights are not copied.
    ///
    /// # Errors
    /// As [`Verifier::derive`].
    pub fn derive_owning(
        relations: SliceRelations,
        parameters: Parameters,
        setup: &Setup,
    ) -> Result<(Self, Circuit), KeyError> {
        match parameters {
            Parameters::Halo2Kzg(_) => Self::derive(&relations, parameters, setup),
            Parameters::SumcheckWhir(p) => Ok((
                Self::SumcheckWhir(sumcheck::Key::owning(relations, p)?),
                sumcheck_circuit(p),
            )),
        }
    }

    /// The digest of the SRS that it rests on; all zero without one.
    #[must_use]
    pub fn srs_digest(&self) -> Digest {
        match self {
            Self::Halo2Kzg(v) => v.srs.digest(),
            Self::SumcheckWhir(_) => NO_SRS,
        }
    }

    /// The verifying key's name in a manifest.
    #[must_use]
    pub fn vk_digest(&self) -> Digest {
        match self {
            Self::Halo2Kzg(v) => v.vk.digest(),
            Self::SumcheckWhir(key) => key.digest(),
        }
    }

    /// The soundness of proofs, where the proof system computes it for every key.
    #[must_use]
    pub fn security(&self) -> Option<sumcheck::Security> {
        match self {
            Self::Halo2Kzg(_) => None,
            Self::SumcheckWhir(key) => Some(sumcheck::security(key)),
        }
    }

    /// Accepts a proof for a statement and the boundary's values.
    ///
    /// # Errors
    /// A proof that does not hold, or values that are not the slice's.
    pub fn verify(
        &self,
        boundary: Boundary<'_>,
        statement: &Digest,
        inputs: &[&[i64]],
        outputs: &[&[i64]],
        proof: &[u8],
    ) -> Result<(), VerifyError> {
        match self {
            Self::Halo2Kzg(v) => Ok(halo2::verify(
                &v.vk, &v.srs, boundary, statement, inputs, outputs, proof,
            )?),
            Self::SumcheckWhir(key) => Ok(sumcheck::verify(key, statement, inputs, outputs, proof)?),
        }
    }
}
