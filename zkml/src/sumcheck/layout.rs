//! Where tensors and columns of a slice stand, and what is looked up, before any value. No relation is known here.
//!
//! Invariant: the verifier's layout decides every count and every size; nothing of it is read from a proof.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::axes::Axes;
use super::error::{Fault, VerifyError};
use super::explicit::Explicit;
use super::field::Ring;
use super::table::Table;
use crate::graph::{IntRange, TensorId};

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
    /// The verifier derives the values and computes the claim ([`super::disclosed`]).
    Derived,
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
    pub(super) fn value<R: Ring>(&self, columns: &[R]) -> R {
        self.parts
            .iter()
            .map(|&(column, shift, _)| columns[column].times(1 << shift))
            .sum()
    }

    /// `Σ 2^shift · limb`, from the limbs' own values.
    pub(super) fn value_of<R: Ring>(&self, limbs: &[R]) -> R {
        self.parts
            .iter()
            .zip(limbs)
            .map(|(&(_, shift, _), &limb)| limb.times(1 << shift))
            .sum()
    }

    /// What a tensor has whose limbs express its values with an offset: `ones` is 1 at values, 0 at padding.
    pub(super) fn less<R: Ring>(expressed: R, offset: i64, ones: R) -> R {
        expressed - ones.times(offset)
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

/// One list of entries that the lookup argument compares with others ([`super::multiset`]).
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) enum Side {
    /// What a permutation makes.
    Output(TensorId),
    /// What a permutation reads.
    Input(TensorId),
    /// Indices with the values read there.
    Reads { index: TensorId, output: TensorId },
    /// Positions with their values and multiplicities.
    Rows { input: TensorId, counts: usize },
    /// Rows of an explicit table, with their multiplicities.
    Constants { table: usize },
    /// As many padded reads as there are.
    Padding { places: u64 },
}

/// Lists whose entries are compared: those that are added, and those that are taken away.
#[derive(Debug, Clone)]
pub(super) struct Multiset {
    /// The tensors whose values at the point of the lookup argument are compared.
    pub(super) tensors: Vec<TensorId>,
    /// Blocks of leaves, each with its coordinates.
    pub(super) sides: Vec<(Side, usize)>,
}

/// What a proof names of one relation: `value + offset` in `width` bits each.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Named {
    /// The tensor that the relation makes.
    pub(super) tensor: TensorId,
    pub(super) len: usize,
    /// Of each value; 62 at most. Every value of so many bits may stand there.
    pub(super) width: u32,
    pub(super) offset: i64,
}

impl Named {
    /// Bytes in a proof: each list begins with a byte of its own.
    pub(super) fn bytes(&self) -> usize {
        (self.len * self.width as usize).div_ceil(8)
    }
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Layout {
    pub(super) tensors: BTreeMap<TensorId, Tensor>,
    /// Groups of relations, then one per table that holds its multiplicities.
    pub(super) groups: Vec<Group>,
    /// Number of groups that belong to relations.
    pub(super) relation_groups: usize,
    pub(super) tables: Vec<Table>,
    /// Tables by their rows, in the order of their first reads.
    pub(super) explicit: Vec<Explicit>,
    /// Lists that are compared, in the order of their tags.
    pub(super) multisets: Vec<Multiset>,
    /// Whether a verifier derives every tensor, and nothing is committed.
    pub(super) disclosed: bool,
    /// What a proof of such a slice names, in the order of the relations.
    pub(super) named: Vec<Named>,
}

impl Layout {
    /// The tensor that the layout itself names.
    pub(super) fn tensor(&self, id: TensorId) -> Option<&Tensor> {
        self.tensors.get(&id)
    }

    /// The axes of a tensor that a relation names.
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

    /// Coordinates of a tensor.
    pub(super) fn arity(&self, id: TensorId) -> usize {
        self.tensor(id).map_or(0, |t| t.axes.arity())
    }

    /// Padded places of a tensor.
    pub(super) fn padded(&self, id: TensorId) -> u64 {
        self.tensor(id)
            .map_or(0, |t| (1 << t.axes.arity()) - t.axes.len() as u64)
    }

    /// The tensors that the lookup argument compares, each once.
    pub(super) fn compared(&self) -> BTreeSet<TensorId> {
        let reads = self.explicit.iter().flat_map(|t| t.reads.iter().flatten());
        let lists = self.multisets.iter().flat_map(|m| &m.tensors);
        lists.chain(reads).copied().collect()
    }

    /// Committed cells.
    pub(super) fn cells(&self) -> u64 {
        self.groups
            .iter()
            .map(|g| (g.columns as u64) << g.axes.arity())
            .sum()
    }
}
