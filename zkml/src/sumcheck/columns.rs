//! The cells of every committed column, as relations fill them.

use std::collections::BTreeMap;

use p3_field::PrimeCharacteristicRing;

use super::field::{F, signed};
use super::layout::{Group, Layout, Limbs};
use crate::graph::TensorId;

/// The values of the tensors that are made already.
pub(super) type Values = BTreeMap<TensorId, Vec<i64>>;

/// Those of one tensor.
pub(super) fn values_of(values: &Values, id: TensorId) -> &[i64] {
    values.get(&id).map(Vec::as_slice).unwrap_or_default()
}

/// See the module.
pub(super) struct Columns<'a> {
    pub(super) layout: &'a Layout,
    /// Per group its coordinates and its cells, a row per column.
    pub(super) groups: Vec<(usize, Vec<F>)>,
    /// How often each row of each table is looked up.
    counts: Vec<Vec<u64>>,
    /// The same of each explicit table.
    pub(super) reads: Vec<Vec<u64>>,
    named: Values,
}

impl<'a> Columns<'a> {
    /// Zeros everywhere, and nothing looked up.
    pub(super) fn new(layout: &'a Layout) -> Self {
        let zeros = |g: &Group| (g.axes.arity(), F::zero_vec(g.columns << g.axes.arity()));
        Self {
            layout,
            groups: layout.groups.iter().map(zeros).collect(),
            counts: layout.tables.iter().map(|t| vec![0; 1 << t.width]).collect(),
            reads: layout.explicit.iter().map(|t| vec![0; t.axes.len()]).collect(),
            named: Values::new(),
        }
    }

    /// Writes a column, and counts its cells if it is looked up.
    pub(super) fn put<T: Copy>(
        &mut self,
        group: usize,
        column: usize,
        values: &[T],
        cell: impl Fn(T) -> u64,
    ) {
        let placed = &self.layout.groups[group];
        let (arity, cells) = &mut self.groups[group];
        let size = 1 << *arity;
        let cube = &mut cells[column * size..(column + 1) * size];
        placed.axes.scatter_with(values, |v| F::from_u64(cell(v)), cube);
        if let Some(lookup) = placed.lookups.iter().find(|l| l.column == column) {
            let counts = &mut self.counts[lookup.table];
            // Padding is looked up too, as 0.
            counts[0] += (size - values.len()) as u64;
            for &value in values {
                counts[cell(value) as usize] += 1;
            }
        }
    }

    pub(super) fn put_limbs(&mut self, group: usize, limbs: &Limbs, values: &[u64]) {
        for &(column, shift, width) in &limbs.parts {
            self.put(group, column, values, |v| (v >> shift) & ((1 << width) - 1));
        }
    }

    /// Commits to a tensor that has a column of its own. Its values are not negative or stand for themselves modulo p.
    pub(super) fn put_output(&mut self, output: TensorId, values: &[i64]) {
        if let Some((group, column)) = self.layout.column_of(output) {
            let (arity, cells) = &mut self.groups[group];
            let size = 1 << *arity;
            let cube = &mut cells[column * size..(column + 1) * size];
            self.layout.groups[group].axes.scatter_with(values, signed, cube);
        }
    }

    /// Names what a relation leaves to be named.
    pub(super) fn name(&mut self, output: TensorId, values: &[i64]) {
        self.named.insert(output, values.to_vec());
    }

    /// Writes the multiplicities, the last columns. The columns, and all that was named.
    pub(super) fn finish(mut self) -> (Vec<(usize, Vec<F>)>, Values) {
        for (table, read) in self.layout.explicit.iter().zip(std::mem::take(&mut self.reads)) {
            self.put(table.counts, 0, &read, |v| v);
        }
        let Self {
            layout,
            mut groups,
            counts,
            named,
            ..
        } = self;
        for ((_, cells), counts) in groups[layout.relation_groups..].iter_mut().zip(counts) {
            for (cell, count) in cells.iter_mut().zip(counts) {
                *cell = F::from_u64(count);
            }
        }
        (groups, named)
    }
}
