//! Verifies one slice.

use zkinfer_crds::{Digest, SliceIndex};

use crate::canonical::CanonicalError;
use crate::envelope::Envelope;
use crate::halo2::{self, KeyError, VerifierSrs, VerifyError, VerifyingKey};
use crate::manifest::Manifest;
use crate::relations::{Boundary, SliceTensor};

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
    /// The key cannot be read.
    #[error(transparent)]
    Key(#[from] KeyError),
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
        expected: &'static str,
        /// The envelope's.
        got: &'static str,
    },
    /// The proof was refused.
    #[error(transparent)]
    Proof(#[from] VerifyError),
}

/// What verifying a slice again and again needs. It needs no graph and no weights.
#[derive(Debug, Clone)]
pub struct SliceVerifier {
    parameter_id: zkinfer_crds::ParameterId,
    inputs: Vec<SliceTensor>,
    outputs: Vec<SliceTensor>,
    vk: VerifyingKey,
    srs: VerifierSrs,
}

impl SliceVerifier {
    /// Reads a verifying key and compares it and the SRS with the manifest.
    ///
    /// # Errors
    /// A slice, key or SRS that is not the manifest's.
    pub fn new(
        manifest: &Manifest,
        slice: SliceIndex,
        vk: &[u8],
        srs: VerifierSrs,
    ) -> Result<Self, SliceVerifyError> {
        let entry = manifest
            .slices
            .get(slice.0 as usize)
            .ok_or(SliceVerifyError::NoSlice(slice))?;
        let (expected, got) = (entry.vk, Digest::of(vk));
        if expected != got {
            return Err(SliceVerifyError::OtherKey { expected, got });
        }
        let (expected, got) = (manifest.srs, srs.digest());
        if expected != got {
            return Err(SliceVerifyError::OtherSrs { expected, got });
        }
        Ok(Self {
            parameter_id: manifest.parameter_id,
            inputs: manifest.slice_tensors(&entry.inputs),
            outputs: manifest.slice_tensors(&entry.outputs),
            vk: VerifyingKey::from_bytes(vk, &entry.circuit)?,
            srs,
        })
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
        if envelope.parameter_id != self.parameter_id
            || envelope.proof_system != self.parameter_id.proof_system()
        {
            let (expected, got) = (self.parameter_id.as_str(), envelope.parameter_id.as_str());
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
        Ok(halo2::verify(
            &self.vk, &self.srs, boundary, statement, inputs, outputs, proof,
        )?)
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
