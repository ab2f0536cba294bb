//! Proves one slice for one statement.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use halo2_proofs::halo2curves::bn256::{Bn256, G1Affine};
use halo2_proofs::plonk::create_proof;
use halo2_proofs::poly::kzg::commitment::KZGCommitmentScheme;
use halo2_proofs::poly::kzg::multiopen::ProverSHPLONK;
use halo2_proofs::transcript::{Blake2bWrite, Challenge255, TranscriptWriterBuffer};
use rand::{CryptoRng, RngCore};
use zkinfer_crds::Digest;

use super::instance::instance;
use super::keys::ProvingKey;
use super::synthesize::SliceCircuit;
use super::voice::Honest;
use super::witness::{Witness, WitnessError};
use crate::relations::{InstanceError, SliceRelations, check_values};
use crate::setup::{Srs, SrsError};

/// Why no proof was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProveError {
    /// The inputs are not those of this slice.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// The inputs have no proof.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// The SRS does not fit.
    #[error(transparent)]
    Srs(#[from] SrsError),
    /// The library failed.
    #[error("the prover failed: {0}")]
    Prover(String),
}

/// A slice proof with the outputs that it is for.
#[derive(Debug, Clone)]
pub struct SliceProof {
    /// The proof.
    pub proof: Vec<u8>,
    /// Values of the slice's outputs, in the manifest's order.
    pub outputs: Vec<Vec<i64>>,
}

/// Proves a slice. `rng` blinds the proof: it must be cryptographic and never seeded from the request, or what is
/// inside the slice is no longer hidden.
///
/// # Errors
/// Inputs of the wrong length or range, inputs outside the calibrated range, or a failing library.
pub fn prove(
    pk: &ProvingKey,
    relations: &SliceRelations,
    srs: &Srs,
    statement: &Digest,
    inputs: &[&[i64]],
    rng: impl RngCore + CryptoRng,
) -> Result<SliceProof, ProveError> {
    check_values("input", &relations.inputs, inputs)?;
    let witness = Witness::new(&pk.layout, relations, inputs)?;
    let outputs = witness.outputs.clone();
    let views: Vec<&[i64]> = outputs.iter().map(Vec::as_slice).collect();
    let column = instance(relations.boundary(), statement, inputs, &views)?;
    let fitted;
    let srs = if srs.k() == pk.layout.k {
        srs
    } else {
        fitted = srs.downsize(pk.layout.k)?;
        &fitted
    };
    let circuit = SliceCircuit::new(Arc::clone(&pk.layout), Some(Arc::new(witness)), Honest);
    // The library panics where it cannot go on.
    let run = || {
        let mut transcript = Blake2bWrite::<_, G1Affine, Challenge255<_>>::init(Vec::new());
        create_proof::<KZGCommitmentScheme<Bn256>, ProverSHPLONK<'_, Bn256>, _, _, _, _>(
            &srs.0,
            &pk.pk,
            &[circuit],
            &[&[&column]],
            rng,
            &mut transcript,
        )
        .map(|()| transcript.finalize())
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(proof)) => Ok(SliceProof { proof, outputs }),
        Ok(Err(e)) => Err(ProveError::Prover(e.to_string())),
        Err(_) => Err(ProveError::Prover("the library panicked".to_owned())),
    }
}
