//! Verifies one slice.

use std::borrow::Cow;
use std::sync::Arc;

use zkinfer_crds::{Digest, SliceIndex};

use super::keys::KeySources;
use crate::backend::{
    KeyError, ParametersId, Security, Setup, SystemId, UnknownSystem, Verifier, VerifyError,
};
use crate::canonical::CanonicalError;
use crate::envelope::Envelope;
use crate::manifest::Manifest;
use crate::relations::{self, Boundary, LowerError, SliceTensor};

/// Why a slice proof was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SliceVerifyError {
    /// The manifest has no such slice.
    #[error("the manifest has no slice {0}")]
    NoSlice(SliceIndex),
    /// The key is not the one that the manifest names. The manifest's keeper is at fault, not the prover.
    #[error("the verifying key is {got}, the manifest names {expected}")]
    OtherKey {
        /// The manifest's.
        expected: Digest,
        /// The given one.
        got: Digest,
    },
    /// The key cannot be read or derived.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The proof system.
    #[error(transparent)]
    System(#[from] UnknownSystem),
    /// The manifest's cut does not fit the graph.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// A file or the integer graph is not there.
    #[error("{0}")]
    Missing(String),
    /// The SRS is not the manifest's.
    #[error("the SRS is {got}, the manifest names {expected}")]
    OtherSrs {
        /// The manifest's.
        expected: Digest,
        /// The given one.
        got: Digest,
    },
    /// The bytes are no envelope.
    #[error("not a proof envelope: {0}")]
    Envelope(#[from] CanonicalError),
    /// The envelope names another proof system or other parameters.
    #[error("the envelope is of {got}, the manifest of {expected}")]
    Parameters {
        /// The manifest's parameter id.
        expected: ParametersId,
        /// The envelope's.
        got: ParametersId,
    },
    /// The proof was refused.
    #[error(transparent)]
    Proof(#[from] VerifyError),
}

impl SliceVerifyError {
    /// Whether the prover's bytes are why. Everything else is the matter of whoever verifies: keys, setup, the public values,
    /// and the program itself.
    #[must_use]
    pub const fn is_provers(&self) -> bool {
        match self {
            Self::Envelope(_) | Self::Parameters { .. } | Self::Proof(VerifyError::Refused(_)) => true,
            Self::NoSlice(_)
            | Self::OtherKey { .. }
            | Self::Key(_)
            | Self::System(_)
            | Self::Lower(_)
            | Self::Missing(_)
            | Self::OtherSrs { .. }
            | Self::Proof(VerifyError::Fault(_)) => false,
        }
    }
}

/// What verifying a slice again and again needs.
#[derive(Debug, Clone)]
pub struct SliceVerifier {
    system: SystemId,
    parameter_id: ParametersId,
    inputs: Vec<SliceTensor>,
    outputs: Vec<SliceTensor>,
    verifier: Arc<dyn Verifier>,
}

impl SliceVerifier {
    /// Reads or derives a verifying key and compares it, and the SRS, with the manifest.
    ///
    /// # Errors
    /// A slice, key or SRS that is not the manifest's, or something missing that the proof system needs.
    pub fn new(
        manifest: &Manifest,
        slice: SliceIndex,
        sources: &KeySources<'_>,
    ) -> Result<Self, SliceVerifyError> {
        let entry = manifest
            .slices
            .get(slice.0 as usize)
            .ok_or(SliceVerifyError::NoSlice(slice))?;
        let system = sources.systems.find(manifest.proof_system)?;
        if system.derives_keys() {
            let graph = sources
                .graph
                .ok_or_else(|| SliceVerifyError::Missing("there is no integer graph".to_owned()))?;
            let relations = relations::lower(graph, entry.nodes(), &entry.inputs, &entry.outputs)?;
            let parameters = system.parameters(&entry.circuit).map_err(KeyError::from)?;
            let (verifier, _) =
                system.derive_verifier(Cow::Owned(relations), parameters, &Setup::Transparent)?;
            return Self::of(manifest, slice, verifier);
        }
        let srs = sources
            .srs
            .ok_or_else(|| SliceVerifyError::Missing("no trusted setup was given".to_owned()))?;
        let (expected, got) = (manifest.srs, srs.digest());
        if expected != got {
            return Err(SliceVerifyError::OtherSrs { expected, got });
        }
        let vk = (sources.files)(entry.vk).ok_or_else(|| {
            SliceVerifyError::Missing(format!("the verifying key {} is not among the files", entry.vk))
        })?;
        let (expected, got) = (entry.vk, Digest::of(&vk));
        if expected != got {
            return Err(SliceVerifyError::OtherKey { expected, got });
        }
        let verifier = system.read_verifier(&vk, &entry.circuit, srs.clone())?;
        Self::of(manifest, slice, verifier)
    }

    /// Takes a verifier that has been made, and compares it with the manifest.
    ///
    /// # Errors
    /// A slice, key or SRS that is not the manifest's.
    pub fn of(
        manifest: &Manifest,
        slice: SliceIndex,
        verifier: Arc<dyn Verifier>,
    ) -> Result<Self, SliceVerifyError> {
        let entry = manifest
            .slices
            .get(slice.0 as usize)
            .ok_or(SliceVerifyError::NoSlice(slice))?;
        let (expected, got) = (entry.vk, verifier.vk_digest());
        if expected != got {
            return Err(SliceVerifyError::OtherKey { expected, got });
        }
        let (expected, got) = (manifest.srs, verifier.srs_digest());
        if expected != got {
            return Err(SliceVerifyError::OtherSrs { expected, got });
        }
        Ok(Self {
            system: manifest.proof_system,
            parameter_id: manifest.parameter_id,
            inputs: manifest.slice_tensors(&entry.inputs),
            outputs: manifest.slice_tensors(&entry.outputs),
            verifier,
        })
    }

    /// The soundness of this slice's proofs, where the proof system's verifier computes it.
    #[must_use]
    pub fn security(&self) -> Option<Security> {
        self.verifier.security()
    }

    /// Accepts an envelope for a statement and the slice's boundary values, and returns the proof in it.
    ///
    /// # Errors
    /// Bytes that are not an envelope of the manifest's parameters, or a proof that does not hold.
    pub fn verify(
        &self,
        envelope: &[u8],
        statement: &Digest,
        inputs: &[&[i64]],
        outputs: &[&[i64]],
    ) -> Result<Vec<u8>, SliceVerifyError> {
        let envelope = Envelope::from_bytes(envelope)?;
        if envelope.parameter_id != self.parameter_id || envelope.proof_system != self.system {
            let (expected, got) = (self.parameter_id, envelope.parameter_id);
            return Err(SliceVerifyError::Parameters { expected, got });
        }
        self.verify_proof(&envelope.proof, statement, inputs, outputs)?;
        Ok(envelope.proof)
    }

    /// Accepts a proof without its envelope.
    ///
    /// # Errors
    /// A proof that does not hold, or boundary values that are not the slice's.
    pub fn verify_proof(
        &self,
        proof: &[u8],
        statement: &Digest,
        inputs: &[&[i64]],
        outputs: &[&[i64]],
    ) -> Result<(), SliceVerifyError> {
        let boundary = Boundary {
            inputs: &self.inputs,
            outputs: &self.outputs,
        };
        Ok(self
            .verifier
            .verify(boundary, statement, inputs, outputs, proof)?)
    }

    /// A proof with the names that [`SliceVerifier::verify`] asks for.
    #[must_use]
    pub fn envelope(&self, proof: Vec<u8>) -> Envelope {
        Envelope::new(self.system, self.parameter_id, proof)
    }

    /// The slice's input tensors.
    #[must_use]
    pub fn inputs(&self) -> &[SliceTensor] {
        &self.inputs
    }

    /// The slice's output tensors.
    #[must_use]
    pub fn outputs(&self) -> &[SliceTensor] {
        &self.outputs
    }
}
