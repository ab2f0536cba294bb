//! Where everything stands: tensors, columns, lookups, claims of a slice, before any value.
//!
//! Invariant: a plan is a function of the relations and `limb_bits` alone. The verifier's plan decides every count and
//! every size; nothing of it is read from a proof. A plan exists only for relations whose integers cannot wrap modulo p:
//! every accumulator stays below 2^62 and so does everything that limbs can express.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::axes::Axes;
use super::error::{Fault, VerifyError};
use super::field::{EF, power_of_two};
use super::multiset::Multiset;
use super::relation::form::Form;
use super::relation::product::Factors;
use super::relation::table::Explicit;
use super::table::Table;
use crate::graph::{IntRange, Requantise, TensorId};

/// Narrowest and widest full limb.
pub const LIMB_BITS: std::ops::RangeInclusive<u8> = 4..=16;

/// Where a claim on a tensor is settled. In each of them padding is 0, and proved to be ([`super::relation`]).
#[derive(Debug, Clone, Serialize)]
pub(super) enum Home {
    /// The statement names the values: the verifier computes the claim.
    Input(usize),
    /// As [`Home::Input`], among the outputs.
    Output(usize),
    /// A committed column.
    Column { group: usize, column: usize },
    /// `Σ 2^shift · limb − offset` of committed columns, on values; the tensor is not committed itself.
    Limbs { group: usize, limbs: Limbs, offset: i64 },
    /// Claims are gathered and reduced to one on the tensor that the wiring reads.
    Wired,
}

/// Columns with their weights: a value cut into limbs.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Limbs {
    /// `(column, exponent of its weight, its width)`, lowest first.
    pub(super) parts: Vec<(usize, u32, u32)>,
}

impl Limbs {
    /// The columns, lowest limb first.
    pub(super) fn columns(&self) -> impl Iterator<Item = usize> + '_ {
        self.parts.iter().map(|p| p.0)
    }

    /// `Σ 2^shift · limb`, from the values of all columns of the group.
    pub(super) fn value(&self, columns: &[EF]) -> EF {
        self.parts
            .iter()
            .map(|&(column, shift, _)| columns[column] * power_of_two(shift))
            .sum()
    }

    /// `Σ 2^shift · limb`, from the limbs' own values.
    pub(super) fn value_of(&self, limbs: &[EF]) -> EF {
        self.parts
            .iter()
            .zip(limbs)
            .map(|(&(_, shift, _), &limb)| limb * power_of_two(shift))
            .sum()
    }
}

/// A tensor of the slice.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Tensor {
    pub(super) range: IntRange,
    pub(super) axes: Axes,
    pub(super) home: Home,
    /// Number of claims that later relations make on it.
    pub(super) claims: usize,
}

/// Second part of a fingerprint.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) enum Second {
    /// None: the table is a range.
    Zero,
    /// A column of the same group.
    Column(usize),
    /// A public output: its MLE is computed by the verifier.
    Output(usize),
}

/// One column that is looked up.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Lookup {
    pub(super) table: usize,
    pub(super) column: usize,
    pub(super) second: Second,
}

/// Committed columns of one shape, all looked up at the same point.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Group {
    pub(super) axes: Axes,
    pub(super) columns: usize,
    pub(super) lookups: Vec<Lookup>,
    /// Columns of each later opening, in order: claims of consumers, then the group's own products.
    pub(super) openings: Vec<Vec<usize>>,
}

/// How a requantised output follows from the quotient's limbs.
#[derive(Debug, Clone, Serialize)]
pub(super) enum Quotient {
    /// `z = q`, inner: `q + 2^(bits−1)` is cut into limbs.
    Limbs(Limbs),
    /// `z = q`, public, its range checked by the verifier: nothing is committed.
    Public,
    /// `(q + 2^(bits−1), z)` is a row of the activation table.
    Activation { column: usize },
    /// `q + 2^(bits−1)` is cut into limbs, the top one looked up with the sign; `z = sign · q` by a product sum-check.
    Signed { limbs: Limbs, sign: usize },
}

/// A relation with its place.
#[derive(Debug, Clone, Serialize)]
pub(super) enum Step {
    /// A public input: checked by the verifier before anything.
    PublicRange,
    /// `v − lo` of an inner tensor is cut into limbs.
    InnerRange {
        tensor: TensorId,
        group: usize,
        limbs: Limbs,
        lo: i64,
    },
    Requantised(Requantised),
    Maximum(Maximum),
    /// Shown by the lookup argument alone.
    Multiset(Multiset),
    /// Shown by the lookup argument alone, with all reads of its table.
    Table {
        /// Among the explicit ones.
        table: usize,
        index: TensorId,
        output: TensorId,
    },
    /// Also a maximum over windows of one entry each.
    Wired {
        input: TensorId,
        output: TensorId,
        /// The order is kept: both tensors have the same axes, so the same MLE.
        same: bool,
    },
}

/// A requantised linear map or product.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Requantised {
    pub(super) output: TensorId,
    pub(super) requantise: Requantise,
    /// `None`: nothing is committed, so nothing is looked up.
    pub(super) group: Option<usize>,
    pub(super) remainder: Limbs,
    pub(super) quotient: Quotient,
    /// One per input of a linear map; none for a product.
    pub(super) forms: Vec<Form>,
    /// The factors, if the accumulator is a product.
    pub(super) factors: Option<Factors>,
}

impl Requantised {
    /// The tensors that a product reads.
    pub(super) fn factors(&self) -> impl Iterator<Item = TensorId> + use<> {
        self.factors
            .iter()
            .flat_map(|f| f.tensors)
            .collect::<Vec<_>>()
            .into_iter()
    }
}

/// A tournament: per pair the limbs of `m_k − m_(k−1)` and of `m_k − x`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Maximum {
    pub(super) input: TensorId,
    pub(super) output: TensorId,
    pub(super) group: usize,
    pub(super) above: Vec<Limbs>,
    pub(super) below: Vec<Limbs>,
}

/// See the module.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Plan {
    pub(super) tensors: BTreeMap<TensorId, Tensor>,
    /// Groups of relations, then one per table that holds its multiplicities.
    pub(super) groups: Vec<Group>,
    /// Number of groups that belong to relations.
    pub(super) relation_groups: usize,
    pub(super) tables: Vec<Table>,
    /// Tables by their rows, in the order of their first reads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) explicit: Vec<Explicit>,
    /// One per relation.
    pub(super) steps: Vec<Step>,
}

impl Plan {
    /// The tensor that the plan itself names.
    pub(super) fn tensor(&self, id: TensorId) -> Option<&Tensor> {
        self.tensors.get(&id)
    }

    /// The axes of a tensor that a step names.
    pub(super) fn axes(&self, id: TensorId) -> Result<&Axes, VerifyError> {
        self.tensor(id)
            .map(|t| &t.axes)
            .ok_or(VerifyError::Fault(Fault::NoTensor(id)))
    }

    /// The committed column that holds a tensor, if one does.
    pub(super) fn column_of(&self, id: TensorId) -> Option<(usize, usize)> {
        match self.tensor(id)?.home {
            Home::Column { group, column } => Some((group, column)),
            _ => None,
        }
    }

    /// Permutations and reads, in the order of their tags.
    pub(super) fn multisets(&self) -> impl Iterator<Item = Multiset> + '_ {
        self.steps.iter().filter_map(|step| match step {
            Step::Multiset(multiset) => Some(*multiset),
            _ => None,
        })
    }

    /// The tensors that the lookup argument compares, each once.
    pub(super) fn compared(&self) -> BTreeSet<TensorId> {
        let reads = self.explicit.iter().flat_map(|t| t.reads.iter().flatten());
        self.multisets()
            .flat_map(|m| m.tensors())
            .chain(reads.copied())
            .collect()
    }

    /// Claims on the output of a wiring that its turn settles: of a public one that at a point of the verifier's.
    pub(super) fn wired_claims(&self, output: TensorId) -> usize {
        self.tensor(output).map_or(0, |t| match t.home {
            Home::Output(_) => 1,
            _ => t.claims,
        })
    }

    /// Committed cells.
    pub(super) fn cells(&self) -> u64 {
        self.groups
            .iter()
            .map(|g| (g.columns as u64) << g.axes.arity())
            .sum()
    }
}
