//! What proves one slice's relations.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rand::{CryptoRng, RngCore};
use zkinfer_crds::Digest;
use zkinfer_crds::slice_files::FileRole;

use super::{KeyError, Parameters, ProveError, Setup, SliceKeys, System, Verifier};
use crate::relations::SliceRelations;

/// A proof system that a program proves with. Who only verifies has none of these in it.
pub trait Proving: System {
    /// Makes the keys of a slice.
    ///
    /// # Errors
    /// A slice that cannot be proved, or a setup that is missing or too small.
    fn keygen(
        &self,
        relations: &SliceRelations,
        parameters: Parameters,
        setup: &Setup,
    ) -> Result<SliceKeys, KeyError>;

    /// Reads or derives the keys that proving takes.
    ///
    /// # Errors
    /// Files that are missing or not the slice's.
    fn prover(
        &self,
        relations: SliceRelations,
        parameters: Parameters,
        files: &ProvingFiles<'_>,
    ) -> Result<Box<dyn Prover>, KeyError>;
}

/// Everything that proving a slice again and again needs.
pub trait Prover: fmt::Debug + Send + Sync {
    /// The verifier that belongs to it; it shares the prover's keys.
    ///
    /// # Errors
    /// Keys that are damaged.
    fn verifier(&self) -> Result<Arc<dyn Verifier>, KeyError>;

    /// Proves the slice for a statement. Where the proof system hides anything, `rng` does it: it must be cryptographic and
    /// never seeded from the request.
    ///
    /// # Errors
    /// Inputs that are not the slice's, or a failing library.
    fn prove(
        &self,
        statement: &Digest,
        inputs: &[&[i64]],
        rng: &mut dyn SecretRng,
    ) -> Result<Proved, ProveError>;
}

/// Numbers that nobody can foresee.
pub trait SecretRng: RngCore + CryptoRng {}

impl<R: RngCore + CryptoRng + ?Sized> SecretRng for R {}

/// A proof with the outputs that it is for.
#[derive(Debug, Clone)]
pub struct Proved {
    /// The proof.
    pub proof: Vec<u8>,
    /// Values of the slice's outputs, in the manifest's order.
    pub outputs: Vec<Vec<i64>>,
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

    /// The file of a role.
    ///
    /// # Errors
    /// It is not there.
    pub fn get(&self, role: FileRole) -> Result<&[u8], KeyError> {
        let bytes = self.0.get(&role).ok_or(KeyError::NoSuchFile(role))?;
        Ok(bytes)
    }
}
