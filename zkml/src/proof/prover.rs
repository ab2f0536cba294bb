//! Proves one slice.

use rand::{CryptoRng, RngCore};
use zkinfer_crds::{Digest, SliceIndex};

use super::verifier::{SliceVerifier, SliceVerifyError};
use crate::backend::{KeyError, ProveError, Proved, Prover, Proving, ProvingFiles, Systems, UnknownSystem};
use crate::graph::IntGraph;
use crate::manifest::Manifest;
use crate::relations::{self, LowerError};

/// Why a slice could not be proved.
#[derive(Debug, thiserror::Error)]
pub enum SliceProverError {
    /// The manifest has no such slice.
    #[error("the manifest has no slice {0}")]
    NoSlice(SliceIndex),
    /// The proof system.
    #[error(transparent)]
    System(#[from] UnknownSystem),
    /// The manifest's cut does not fit the graph.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// The keys are not those of the slice.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Proving failed.
    #[error(transparent)]
    Prove(#[from] ProveError),
    /// The own keys are not the manifest's, or the own proof does not verify: keys, SRS or machine are damaged.
    #[error("what was made does not verify, so it is not published: {0}")]
    SelfCheck(#[from] SliceVerifyError),
}

/// Everything that proving a slice again and again needs.
#[derive(Debug)]
pub struct SliceProver {
    prover: Box<dyn Prover>,
    verifier: SliceVerifier,
}

impl SliceProver {
    /// Reads or derives keys. The bytes of `files` must have been compared with trusted digests: their points are not
    /// checked again. Which are needed is the proof system's matter; others are without effect.
    ///
    /// # Errors
    /// A slice that does not exist, a proof system that is not in the list, or files that are not the slice's.
    pub fn new(
        systems: Systems<'_, dyn Proving>,
        manifest: &Manifest,
        graph: &IntGraph,
        slice: SliceIndex,
        files: &ProvingFiles<'_>,
    ) -> Result<Self, SliceProverError> {
        let entry = manifest
            .slices
            .get(slice.0 as usize)
            .ok_or(SliceProverError::NoSlice(slice))?;
        let relations = relations::lower(graph, entry.nodes(), &entry.inputs, &entry.outputs)?;
        let system = systems.find(manifest.proof_system)?;
        let parameters = system.parameters(&entry.circuit).map_err(KeyError::from)?;
        let prover = system.prover(relations, parameters, files)?;
        let verifier = SliceVerifier::of(manifest, slice, prover.verifier()?)?;
        Ok(Self { prover, verifier })
    }

    /// Proves the slice for a statement and verifies the proof. Returns the envelope's bytes and the outputs.
    ///
    /// # Errors
    /// Inputs that are not the slice's, or a failing library.
    pub fn prove(
        &self,
        statement: &Digest,
        inputs: &[Vec<i64>],
        mut rng: impl RngCore + CryptoRng,
    ) -> Result<(Vec<u8>, Vec<Vec<i64>>), SliceProverError> {
        let views: Vec<&[i64]> = inputs.iter().map(Vec::as_slice).collect();
        let Proved { proof, outputs } = self.prover.prove(statement, &views, &mut rng)?;
        let envelope = self.verifier.envelope(proof).to_bytes();
        let of_slice: Vec<&[i64]> = outputs.iter().map(Vec::as_slice).collect();
        self.verifier.verify(&envelope, statement, &views, &of_slice)?;
        Ok((envelope, outputs))
    }

    /// The verifier that belongs to it.
    #[must_use]
    pub fn verifier(&self) -> &SliceVerifier {
        &self.verifier
    }
}
