//! What the constraint system of a slice depends on. It stands in the manifest, so that a verifier can read a
//! verifying key with nothing but manifest and key.
//!
//! Invariant: a shape that [`CircuitShape::check`] accepts configures without a panic. Whether it is the shape of the
//! slice's relations is a question for whoever derives the manifest; a verifier trusts its own manifest.

use serde::{Deserialize, Serialize};

use super::plan::MAX_K;
use crate::graph::Requantise;

/// What a fixed column is for. A slice has only the columns that it uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Role {
    /// 1 on every row that gates hold on; 0 on the closing and blinding rows.
    On,
    /// 1 on the first and on the closing row of the running sum.
    Edge,
    /// Value of a limb, or number of a row of an explicit table.
    TableValue,
    /// Width of the limb, or 17 + the explicit table's number.
    TableTag,
    /// What column `c` of an explicit table has in this row, in offset form; 0 for limbs.
    TableOut(u8),
    /// The row is a read of an explicit table.
    Read,
    /// The table that the row reads: its [`Role::TableTag`].
    ReadTag,
    /// The read's second output stands in the row below.
    ReadTwo,
    /// Width of limb `i` of this row; 0 where the limb is not used, which forces it to 0.
    Tag(u8),
    /// Factor of this row's value in the accumulator: a power of the packing base.
    Factor,
    /// What is added to this row's value before the factor: minus offset, bias and input offsets.
    Constant,
    /// The accumulator goes on from the row above, unchanged.
    Keep,
    /// The accumulator goes on from the row above, times r.
    Step,
    /// The row is a slice input: `z` is the sum of its limbs.
    Input,
    /// The row is packed into the instance.
    Pack,
    /// The row is a witness of the full grid.
    Witness,
    /// The row starts a tournament.
    TournamentStart,
    /// The row is a further step of a tournament.
    TournamentStep,
    /// The row is a requantisation of this kind.
    Requantise(u8),
    /// The image polynomial goes on from the row above, times r^exponent.
    ImageStep(u32),
    /// The weight polynomial goes on from the row above, times r.
    WeightStep,
    /// Packed weights, to be multiplied by r^exponent.
    Weight(u32),
    /// The sum over channels goes on from the row above.
    SumKeep,
    /// The sum takes in image times weights of this row.
    SumAdd,
}

/// The circuit's parameters in halo2's sense, with its size.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CircuitShape {
    /// log2 of the number of rows.
    pub k: u8,
    /// Fixed columns, in ascending order.
    pub roles: Vec<Role>,
    /// Width of a full limb.
    pub limb_bits: u8,
    /// Limbs of the widest difference in a tournament; 0 without one.
    pub max_limbs: u8,
    /// Advice columns for limbs.
    pub limb_columns: u8,
    /// Kinds of requantisation.
    pub requantisations: Vec<Requantise>,
}

impl CircuitShape {
    /// Most fixed columns of a circuit.
    pub const MAX_ROLES: usize = 1024;

    /// Whether the slice reads an explicit table.
    pub(super) fn reads_tables(&self) -> bool {
        self.roles.binary_search(&Role::Read).is_ok()
    }

    /// Whether the constraint system can be built: numbers in their limits, roles ascending.
    #[must_use]
    pub fn check(&self) -> bool {
        let limbs = usize::from(self.limb_columns);
        (4..=MAX_K).contains(&self.k)
            && (2..=16).contains(&self.limb_bits)
            && (1..=64).contains(&limbs)
            && 2 * usize::from(self.max_limbs) <= limbs
            && self.roles.len() <= Self::MAX_ROLES
            && self.roles.is_sorted_by(|a, b| a < b)
            && self.requantisations.len() <= 64
            && self.requantisations.iter().all(|r| {
                let plan = crate::relations::LimbPlan::new(*r, u32::from(self.limb_bits));
                r.shift <= 40 && (2..=32).contains(&r.bits) && plan.widths().count() <= limbs
            })
    }
}
