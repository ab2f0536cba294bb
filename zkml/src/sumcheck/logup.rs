//! The lookup argument: every looked-up cell is a row of its table. One argument for all tables and columns.
//!
//! A cell's fingerprint is `α + v + β·second + β²·tag`. Each cell of each looked-up column adds `1/fingerprint`, each row of each
//! table takes `m/fingerprint` away, with `m` committed before α and β. If the sum is 0 at random α, β, then as functions of α and β
//! the fractions cancel: every cell has the fingerprint of a row, tag and second part included. There are fewer cells than p, so
//! no multiplicity can wrap. Error ≤ 2 · leaves / |EF|.
//!
//! Leaves: a block per column and per table, largest first, so that each block is a subcube and the last coordinates of the
//! argument's point are the block's own point. Padding of a column is looked up like any cell: it must hold a row, and
//! holds the row of 0 in an honest proof. Leaves beyond all blocks are 0/1.

use std::collections::BTreeMap;

use p3_field::PrimeCharacteristicRing;
use serde::Serialize;

use super::axes::{Axes, log2_ceil};
use super::field::{EF, eq_at};
use super::fingerprint::Fingerprint;
use super::gkr::Leaves;
use super::layout::{Layout, Lookup, Second, Side};
use super::multiset;
use crate::graph::TensorId;

/// What a block of leaves holds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) enum Content {
    /// A looked-up column of a group.
    Cells { group: usize, lookup: Lookup },
    /// The rows of a table, with their multiplicities.
    Rows { table: usize },
    /// Entries of a permutation, a read or an explicit table, with their tag.
    Entries { side: Side, tag: u64 },
}

/// A subcube of the leaves.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Block {
    pub(super) content: Content,
    pub(super) arity: usize,
    /// First leaf.
    pub(super) offset: usize,
}

/// Where every block stands.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Blocks {
    pub(super) blocks: Vec<Block>,
    /// log2 of the number of leaves.
    pub(super) layers: usize,
}

impl Blocks {
    pub(super) fn new(layout: &Layout) -> Self {
        let mut blocks = Vec::new();
        let block = |content, arity| Block {
            content,
            arity,
            offset: 0,
        };
        for (group, g) in layout.groups.iter().enumerate() {
            let cells = g.lookups.iter().map(|&lookup| Content::Cells { group, lookup });
            blocks.extend(cells.map(|content| block(content, g.axes.arity())));
        }
        for (table, t) in layout.tables.iter().enumerate() {
            blocks.push(block(Content::Rows { table }, t.arity()));
        }
        for (instance, sides) in multiset::instances(layout).enumerate() {
            let tag = multiset::tag(instance);
            let sides = sides.into_iter();
            blocks.extend(sides.map(|(side, arity)| block(Content::Entries { side, tag }, arity)));
        }
        blocks.sort_by_key(|b| std::cmp::Reverse(b.arity));
        let mut offset = 0;
        for block in &mut blocks {
            block.offset = offset;
            offset += 1 << block.arity;
        }
        Self {
            blocks,
            layers: log2_ceil(offset),
        }
    }
}

/// Compares the leaves that the fractional sum-check ended in with the values of the columns at their points.
///
/// `values[g]` are those of group `g`'s columns at the last coordinates of the point, `tensors` those of compared tensors;
/// `output` computes the MLE of a public output, for which no value is taken from the proof.
pub(super) fn holds(
    layout: &Layout,
    blocks: &Blocks,
    fingerprint: Fingerprint,
    leaves: &Leaves,
    values: &[&[EF]],
    tensors: &BTreeMap<TensorId, EF>,
    output: impl Fn(usize, &Axes, &[EF]) -> EF,
) -> bool {
    let (mut numerator, mut denominator, mut covered) = (EF::ZERO, EF::ZERO, EF::ZERO);
    for block in &blocks.blocks {
        let (prefix, point) = leaves.point.split_at(leaves.point.len() - block.arity);
        let weight = eq_at(prefix, &bits(block.offset >> block.arity, prefix.len()));
        covered += weight;
        let at = |table: usize, value, second| {
            fingerprint.base(layout.tables[table].tag()) + value + fingerprint.beta() * second
        };
        let (n, d) = match block.content {
            Content::Cells { group, lookup } => {
                let second = match lookup.second {
                    Second::Zero => EF::ZERO,
                    Second::Column(column) => values[group][column],
                    Second::Output(index) => output(index, &layout.groups[group].axes, point),
                };
                (EF::ONE, at(lookup.table, values[group][lookup.column], second))
            }
            // The verifier computes the rows itself; only the multiplicities are the prover's.
            Content::Rows { table } => {
                let (value, second) = layout.tables[table].at(point);
                (
                    -values[layout.relation_groups + table][0],
                    at(table, value, second),
                )
            }
            Content::Entries { side, tag } => {
                multiset::at(layout, (side, tag), fingerprint, point, tensors, values)
            }
        };
        numerator += weight * n;
        denominator += weight * d;
    }
    // Every leaf beyond the blocks is 0/1.
    denominator += EF::ONE - covered;
    numerator == leaves.numerator && denominator == leaves.denominator
}

/// The bits of an index as a point, most significant first.
fn bits(index: usize, count: usize) -> Vec<EF> {
    (0..count)
        .rev()
        .map(|i| EF::from_bool((index >> i) & 1 == 1))
        .collect()
}
