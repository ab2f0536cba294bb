//! Proves one slice for one statement.

use zkinfer_crds::Digest;

use super::error::ProveError;
use super::instance::check_values;
use super::key::Key;

/// A slice proof with the outputs that it is for.
#[derive(Debug, Clone)]
pub struct Proved {
    /// The proof.
    pub proof: Vec<u8>,
    /// Values of the slice's outputs, in the manifest's order.
    pub outputs: Vec<Vec<i64>>,
}

/// Proves a slice. The proof is a function of the arguments alone.
///
/// # Errors
/// Inputs of the wrong length or range, inputs outside the calibrated range, or a failing library.
pub fn prove(key: &Key, _statement: &Digest, inputs: &[&[i64]]) -> Result<Proved, ProveError> {
    check_values("input", &key.relations.inputs, inputs)?;
    Err(ProveError::Prover("not built yet".to_owned()))
}
