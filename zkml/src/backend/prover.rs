//! Proves one slice's relations.

use rand::{CryptoRng, RngCore};
use zkinfer_crds::Digest;

use super::{KeyError, Parameters, SetupError, Verifier};
use crate::halo2;
use crate::relations::SliceRelations;
use crate::setup::Srs;
use crate::sumcheck;

/// Why no proof was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProveError {
    /// The halo2 prover.
    #[error(transparent)]
    Halo2Kzg(#[from] halo2::ProveError),
    /// The sum-check prover.
    #[error(transparent)]
    SumcheckWhir(#[from] sumcheck::ProveError),
}

/// Files that a prover is given beside the integer graph. Their bytes must have been compared with trusted digests: points
/// in them are not checked again.
#[derive(Debug, Clone, Copy)]
pub struct ProvingFiles<'a> {
    /// The proving key.
    pub pk: &'a [u8],
    /// The SRS.
    pub srs: &'a [u8],
}

/// Everything that proving a slice again and again needs.
#[derive(Debug)]
pub enum Prover {
    /// Key, relations and points.
    Halo2Kzg(Box<Halo2Prover>),
    /// The key, with relations, weights and tables in it.
    SumcheckWhir(sumcheck::Key),
}

/// See [`Prover::Halo2Kzg`].
#[derive(Debug)]
pub struct Halo2Prover {
    relations: SliceRelations,
    pk: halo2::ProvingKey,
    srs: Srs,
}

impl Prover {
    /// Reads or derives the keys.
    ///
    /// # Errors
    /// Files that are missing or not the slice's.
    pub fn new(
        relations: SliceRelations,
        parameters: Parameters,
        files: Option<ProvingFiles<'_>>,
    ) -> Result<Self, KeyError> {
        match parameters {
            Parameters::Halo2Kzg(p) => {
                let files = files.ok_or(SetupError::Missing)?;
                let pk = halo2::ProvingKey::from_bytes(files.pk, &relations, p)?;
                let srs = Srs::read_unchecked(files.srs).map_err(SetupError::from)?;
                Ok(Self::Halo2Kzg(Box::new(Halo2Prover { relations, pk, srs })))
            }
            Parameters::SumcheckWhir(p) => Ok(Self::SumcheckWhir(sumcheck::Key::owning(relations, p)?)),
        }
    }

    /// The verifier that belongs to it; it shares the prover's keys.
    ///
    /// # Errors
    /// Keys that are damaged.
    pub fn verifier(&self) -> Result<Verifier, KeyError> {
        match self {
            Self::Halo2Kzg(p) => Ok(Verifier::halo2(p.pk.verifying_key(), p.srs.verifier())),
            Self::SumcheckWhir(key) => Ok(Verifier::SumcheckWhir(key.clone())),
        }
    }

    /// Proves the slice for a statement; returns the proof and the outputs. Where the proof system hides anything, `rng`
    /// does it: it must be cryptographic and never seeded from the request.
    ///
    /// # Errors
    /// Inputs that are not the slice's, or a failing library.
    pub fn prove(
        &self,
        statement: &Digest,
        inputs: &[&[i64]],
        rng: impl RngCore + CryptoRng,
    ) -> Result<(Vec<u8>, Vec<Vec<i64>>), ProveError> {
        match self {
            Self::Halo2Kzg(p) => {
                let made = halo2::prove(&p.pk, &p.relations, &p.srs, statement, inputs, rng)?;
                Ok((made.proof, made.outputs))
            }
            Self::SumcheckWhir(key) => {
                let made = sumcheck::prove(key, statement, inputs)?;
                Ok((made.proof, made.outputs))
            }
        }
    }
}
