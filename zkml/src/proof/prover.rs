//! Proves one slice.

use rand::{CryptoRng, RngCore};
use zkinfer_crds::{Digest, SliceIndex};

use super::verifier::{SliceVerifier, SliceVerifyError};
use crate::envelope::Envelope;
use crate::graph::IntGraph;
use crate::halo2::{self, KeyError, ProveError, ProvingKey, Srs, SrsError};
use crate::manifest::Manifest;
use crate::relations::{self, LowerError, SliceRelations};

/// Why a slice could not be proved.
#[derive(Debug, thiserror::Error)]
pub enum SliceProverError {
    /// The manifest has no such slice.
    #[error("the manifest has no slice {0}")]
    NoSlice(SliceIndex),
    /// The manifest's cut does not fit the graph.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// The keys are not those of the slice.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The SRS is not readable.
    #[error(transparent)]
    Srs(#[from] SrsError),
    /// Proving failed.
    #[error(transparent)]
    Prove(#[from] ProveError),
    /// The own proof does not verify: keys, SRS or machine are damaged.
    #[error("the proof was made but does not verify, so it is not published: {0}")]
    SelfCheck(#[from] SliceVerifyError),
}

/// Everything that proving a slice again and again needs.
#[derive(Debug)]
pub struct SliceProver {
    manifest: Manifest,
    relations: SliceRelations,
    pk: ProvingKey,
    srs: Srs,
    verifier: SliceVerifier,
}

impl SliceProver {
    /// Reads keys. The bytes of `pk` and `srs` must have been compared with trusted digests: their points are not
    /// checked again.
    ///
    /// # Errors
    /// A slice that does not exist, or files that are not its.
    pub fn new(
        manifest: &Manifest,
        graph: &IntGraph,
        slice: SliceIndex,
        pk: &[u8],
        srs: &[u8],
    ) -> Result<Self, SliceProverError> {
        let entry = manifest
            .slices
            .get(slice.0 as usize)
            .ok_or(SliceProverError::NoSlice(slice))?;
        let relations = relations::lower(graph, entry.nodes(), &entry.inputs, &entry.outputs)?;
        let pk = ProvingKey::from_bytes(pk, &relations, entry.parameters())?;
        let srs = Srs::read_unchecked(srs)?;
        let verifier = SliceVerifier::new(manifest, slice, &pk.verifying_key().to_bytes(), srs.verifier())?;
        Ok(Self {
            manifest: manifest.clone(),
            relations,
            pk,
            srs,
            verifier,
        })
    }

    /// Proves the slice for a statement and verifies the proof. Returns the envelope's bytes and the outputs.
    ///
    /// # Errors
    /// Inputs that are not the slice's, or a failing library.
    pub fn prove(
        &self,
        statement: &Digest,
        inputs: &[Vec<i64>],
        rng: impl RngCore + CryptoRng,
    ) -> Result<(Vec<u8>, Vec<Vec<i64>>), SliceProverError> {
        let views: Vec<&[i64]> = inputs.iter().map(Vec::as_slice).collect();
        let made = halo2::prove(&self.pk, &self.relations, &self.srs, statement, &views, rng)?;
        let envelope = Envelope::new(self.manifest.parameter_id, made.proof).to_bytes();
        let outputs: Vec<&[i64]> = made.outputs.iter().map(Vec::as_slice).collect();
        self.verifier.verify(&envelope, statement, &views, &outputs)?;
        Ok((envelope, made.outputs))
    }
}
