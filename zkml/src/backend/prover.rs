//! Proves one slice's relations.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rand::{CryptoRng, RngCore};
use zkinfer_crds::Digest;
use zkinfer_crds::slice_files::FileRole;

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

/// Files that a prover is given beside the integer graph, by what they are. Their bytes must have been compared with trusted
/// digests: points in them are not checked again. Those that the proof system does not take are passed over.
#[derive(Debug, Clone, Default)]
pub struct ProvingFiles<'a>(BTreeMap<FileRole, Cow<'a, [u8]>>);

impl<'a> ProvingFiles<'a> {
    /// Adds a file; one of the same role before is forgotten.
    pub fn insert(&mut self, role: FileRole, bytes: impl Into<Cow<'a, [u8]>>) {
        self.0.insert(role, bytes.into());
    }

    fn get(&self, role: FileRole) -> Result<&[u8], KeyError> {
        let bytes = self.0.get(&role).ok_or(KeyError::NoSuchFile(role))?;
        Ok(bytes)
    }
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
        files: &ProvingFiles<'_>,
    ) -> Result<Self, KeyError> {
        match parameters {
            Parameters::Halo2Kzg(p) => {
                let pk = halo2::ProvingKey::from_bytes(files.get(FileRole::ProvingKey)?, &relations, p)?;
                let srs = Srs::read_unchecked(files.get(FileRole::Setup)?).map_err(SetupError::from)?;
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
