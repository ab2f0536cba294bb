//! Two lists with the same entries, compared in the lookup argument: permutations, reads and explicit tables.
//!
//! An entry `(first, second)` has the fingerprint `α + first + β·second + β²·tag`, as a row of a table has ([`super::logup`]).
//!
//! | relation | adds | takes away | so, as the sum is 0 |
//! |---|---|---|---|
//! | permutation | `1/(z_t, 0)` | `1/(x_s, 0)` | each value is as often in `z` as in `x` |
//! | read | `1/(i_t, z_t)` | `m_j/(j, x_j)`, with `m` committed | `i_t` is some `j`, and `z_t` is `x_j` |
//! | table ([`super::relation::table`]) | `1/(x_t, z_t)` | `m_j/(first + j, T_j)`, with `m` committed | `x_t` is some `first + j`, and `z_t` is `T_j` |
//!
//! Every instance has a tag of its own: if two shared one, only the union would be proved, and values could change places
//! between them. Values, indices and positions stay below 2^48 in absolute value, so equality modulo p is equality, and there
//! are fewer entries than p, so no count wraps.
//!
//! **Padding** has the tag + 1. So no value is exchanged for a padded 0, and a row beyond the end is none that a value may read,
//! whatever multiplicity the prover puts on it. And padding of what is made is 0, on which other relations rely: the tensors of a
//! permutation have the same axes, so `z` has on its padding what `x` has, which is 0; what a read adds on its padding is taken
//! away by one leaf of the verifier's, `places/(0, 0)`, while rows beyond the end are `(0, 0)` too.

use std::collections::BTreeMap;

use p3_field::PrimeCharacteristicRing;

use super::axes::Axes;
use super::field::{EF, F, Ring};
use super::fingerprint::Fingerprint;
use super::layout::{Layout, Side};
use super::work::evaluation;
use crate::graph::TensorId;

/// Tags of tables are smaller.
const FIRST_TAG: u64 = 1 << 10;

/// The tag of a layout's instance; the next one is that of its padding.
pub(super) fn tag(instance: usize) -> u64 {
    FIRST_TAG + 2 * instance as u64
}

/// The instances of a layout, in the order of their tags: the blocks of each.
pub(super) fn instances(layout: &Layout) -> impl Iterator<Item = Vec<(Side, usize)>> + '_ {
    let lists = layout.multisets.iter().map(|m| m.sides.clone());
    lists.chain((0..layout.explicit.len()).map(|table| explicit_sides(layout, table)))
}

/// The blocks of an explicit table: each read, the rows, and one leaf for the padding of all reads.
fn explicit_sides(layout: &Layout, table: usize) -> Vec<(Side, usize)> {
    let explicit = &layout.explicit[table];
    let mut sides: Vec<_> = explicit
        .reads
        .iter()
        .map(|&[index, output]| (Side::Reads { index, output }, layout.arity(output)))
        .collect();
    sides.push((Side::Constants { table }, explicit.axes.arity()));
    let places: u64 = explicit.reads.iter().map(|&[_, z]| layout.padded(z)).sum();
    sides.extend((places > 0).then_some((Side::Padding { places }, 0)));
    sides
}

/// The MLEs of a block's numerators and denominators at a point. `tensors` are values of tensors at their own last coordinates
/// of the argument's point, `columns` those of groups.
pub(super) fn at(
    layout: &Layout,
    (side, tag): (Side, u64),
    fingerprint: Fingerprint,
    point: &[EF],
    tensors: &BTreeMap<TensorId, EF>,
    columns: &[&[EF]],
) -> (EF, EF) {
    let value = |id: TensorId| tensors.get(&id).copied().unwrap_or_default();
    let axes = |id: TensorId| layout.tensor(id).map(|t| t.axes.all());
    let padding = |id| EF::ONE - axes(id).map_or(EF::ZERO, |a| a.indicator(point));
    let (times, padding, first, second) = match side {
        Side::Output(id) => (EF::ONE, padding(id), value(id), EF::ZERO),
        Side::Input(id) => (-EF::ONE, padding(id), value(id), EF::ZERO),
        Side::Reads { index, output } => (EF::ONE, padding(output), value(index), value(output)),
        Side::Rows { input, counts } => {
            let position = axes(input).map_or(EF::ZERO, |a| a.evaluate(point, &positions(a.len())));
            (-columns[counts][0], padding(input), position, value(input))
        }
        Side::Constants { table } => {
            let table = &layout.explicit[table];
            let [index, entry] = table.at(point);
            let padding = EF::ONE - table.axes.all().indicator(point);
            (-columns[table.counts][0], padding, index, entry)
        }
        Side::Padding { places } => (-EF::from_u64(places), EF::ONE, EF::ZERO, EF::ZERO),
    };
    let base = fingerprint.base(tag);
    let step = fingerprint.base(tag + 1) - base;
    (times, base + padding * step + first + fingerprint.beta() * second)
}

/// Steps of a verifier for [`at`].
pub(super) fn work(layout: &Layout, side: Side) -> u64 {
    match side {
        // Positions are written out first.
        Side::Rows { input, .. } => layout.tensor(input).map_or(0, |t| 2 * evaluation(t.axes.len())),
        Side::Constants { table } => layout.explicit[table].work(),
        Side::Output(_) | Side::Input(_) | Side::Reads { .. } | Side::Padding { .. } => 0,
    }
}

/// One leaf of a block: how often it is added, whether it has the instance's tag or that of padding, and both parts of its entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<R> {
    pub(super) times: R,
    pub(super) inside: bool,
    pub(super) first: R,
    pub(super) second: R,
}

/// The entries of a block; `cube` gives a tensor's cells and `column` a group's first column.
pub(super) fn entries<R: Ring>(
    layout: &Layout,
    side: Side,
    cube: impl Fn(TensorId) -> Vec<R>,
    column: impl Fn(usize) -> Vec<R>,
) -> Vec<Entry<R>> {
    let axes = |id| layout.tensor(id).map(|t| &t.axes);
    let scattered = |axes: &Axes, values: &[i64]| {
        let mut cube = vec![R::integer(0); 1 << axes.arity()];
        axes.scatter_with(values, R::integer, &mut cube);
        cube
    };
    let (axes, first, second) = match side {
        Side::Output(id) | Side::Input(id) => (axes(id), cube(id), None),
        Side::Reads { index, output } => (axes(output), cube(index), Some(cube(output))),
        Side::Rows { input, .. } => {
            let positions = axes(input).map_or_else(Vec::new, |a| scattered(a, &positions(a.len())));
            (axes(input), positions, Some(cube(input)))
        }
        Side::Constants { table } => {
            let table = &layout.explicit[table];
            let [indices, entries] = table.rows().map(|values| scattered(&table.axes, &values));
            (Some(&table.axes), indices, Some(entries))
        }
        Side::Padding { places } => {
            return vec![Entry {
                times: R::integer(-(places as i64)),
                inside: false,
                first: R::integer(0),
                second: R::integer(0),
            }];
        }
    };
    let counts = match side {
        Side::Rows { counts, .. } => Some(column(counts)),
        Side::Constants { table } => Some(column(layout.explicit[table].counts)),
        Side::Input(_) | Side::Output(_) | Side::Reads { .. } | Side::Padding { .. } => None,
    };
    let sign = match side {
        Side::Rows { .. } | Side::Constants { .. } | Side::Input(_) => -1,
        Side::Output(_) | Side::Reads { .. } | Side::Padding { .. } => 1,
    };
    let mut inside = vec![false; first.len()];
    if let Some(axes) = axes {
        axes.scatter_with(&vec![true; axes.len()], |v| v, &mut inside);
    }
    let entry = |(at, (inside, first))| Entry {
        times: counts
            .as_ref()
            .map_or(R::integer(1), |c: &Vec<R>| c[at])
            .times(sign),
        inside,
        first,
        second: second.as_ref().map_or(R::integer(0), |s| s[at]),
    };
    inside.into_iter().zip(first).enumerate().map(entry).collect()
}

/// The prover's leaves of a block.
pub(super) fn fill(
    layout: &Layout,
    (side, tag): (Side, u64),
    fingerprint: Fingerprint,
    cube: impl Fn(TensorId) -> Vec<F>,
    column: impl Fn(usize) -> Vec<F>,
    [numerators, denominators]: [&mut [EF]; 2],
) {
    let bases = [fingerprint.base(tag + 1), fingerprint.base(tag)];
    let leaves = numerators.iter_mut().zip(denominators);
    for ((n, d), entry) in leaves.zip(entries(layout, side, cube, column)) {
        *n = entry.times.into();
        *d = bases[usize::from(entry.inside)] + entry.first + fingerprint.beta() * entry.second;
    }
}

/// The position of each of `len` values.
fn positions(len: usize) -> Vec<i64> {
    (0..len as i64).collect()
}
