//! The values of every tensor, and the cells of every committed column.
//!
//! The prover's own account: whatever it gets wrong, the verifier refuses.

use std::collections::BTreeMap;

use p3_field::PrimeCharacteristicRing;

use super::error::ProveError;
use super::field::F;
use super::multiset::Multiset;
use super::plan::{Limbs, Plan, Quotient, Requantised, Step};
use super::relation::maximum::entry;
use crate::graph::TensorId;
use crate::relations::{Product, Relation, SliceRelations};

/// See the module.
pub(super) struct Witness {
    pub(super) values: BTreeMap<TensorId, Vec<i64>>,
    /// Per group its coordinates and its cells, a row per column. The last ones are the multiplicities.
    pub(super) groups: Vec<(usize, Vec<F>)>,
}

struct Columns<'a> {
    plan: &'a Plan,
    groups: Vec<(usize, Vec<F>)>,
    /// How often each row of each table is looked up.
    counts: Vec<Vec<u64>>,
    /// The same of each explicit table.
    reads: Vec<Vec<u64>>,
}

impl Columns<'_> {
    /// Writes a column, and counts its cells if it is looked up.
    fn put<T: Copy>(&mut self, group: usize, column: usize, values: &[T], cell: impl Fn(T) -> u64) {
        let plan = &self.plan.groups[group];
        let (arity, cells) = &mut self.groups[group];
        let size = 1 << *arity;
        let cube = &mut cells[column * size..(column + 1) * size];
        plan.axes.scatter_with(values, |v| F::from_u64(cell(v)), cube);
        if let Some(lookup) = plan.lookups.iter().find(|l| l.column == column) {
            let counts = &mut self.counts[lookup.table];
            // Padding is looked up too, as 0.
            counts[0] += (size - values.len()) as u64;
            for &value in values {
                counts[cell(value) as usize] += 1;
            }
        }
    }

    fn put_limbs(&mut self, group: usize, limbs: &Limbs, values: &[u64]) {
        for &(column, shift, width) in &limbs.parts {
            self.put(group, column, values, |v| (v >> shift) & ((1 << width) - 1));
        }
    }
}

impl Witness {
    /// Computes every tensor from the slice's inputs.
    ///
    /// # Errors
    /// A quotient outside its range.
    pub(super) fn new(
        plan: &Plan,
        relations: &SliceRelations,
        inputs: &[&[i64]],
    ) -> Result<Self, ProveError> {
        let mut values: BTreeMap<TensorId, Vec<i64>> = BTreeMap::new();
        for (tensor, input) in relations.inputs.iter().zip(inputs) {
            values.insert(tensor.id, input.to_vec());
        }
        let mut columns = Columns {
            plan,
            groups: plan
                .groups
                .iter()
                .map(|g| (g.axes.arity(), F::zero_vec(g.columns << g.axes.arity())))
                .collect(),
            counts: plan.tables.iter().map(|t| vec![0; 1 << t.width]).collect(),
            reads: plan.explicit.iter().map(|t| vec![0; t.axes.len()]).collect(),
        };
        for (step, relation) in plan.steps.iter().zip(&relations.relations) {
            if let Some((output, made)) = step_values(&mut columns, &values, step, relation)? {
                values.insert(output, made);
            }
        }
        for (table, read) in plan.explicit.iter().zip(std::mem::take(&mut columns.reads)) {
            columns.put(table.counts, 0, &read, |v| v);
        }
        let Columns {
            mut groups, counts, ..
        } = columns;
        for ((_, cells), counts) in groups[plan.relation_groups..].iter_mut().zip(counts) {
            for (cell, count) in cells.iter_mut().zip(counts) {
                *cell = F::from_u64(count);
            }
        }
        Ok(Self { values, groups })
    }
}

/// Fills the relation's columns; the tensor that it makes.
fn step_values(
    columns: &mut Columns<'_>,
    values: &BTreeMap<TensorId, Vec<i64>>,
    step: &Step,
    relation: &Relation,
) -> Result<Option<(TensorId, Vec<i64>)>, ProveError> {
    let get = |id: &TensorId| values.get(id).map(Vec::as_slice).unwrap_or_default();
    Ok(match (step, relation) {
        (
            Step::InnerRange {
                tensor,
                group,
                limbs,
                lo,
            },
            _,
        ) => {
            let offset: Vec<u64> = get(tensor).iter().map(|v| (v - lo) as u64).collect();
            columns.put_limbs(*group, limbs, &offset);
            None
        }
        (Step::Requantised(step), Relation::Requantised { map, inputs, .. }) => {
            let x: Vec<&[i64]> = inputs.iter().map(get).collect();
            Some((step.output, requantise(columns, step, map.accumulate(&x))?))
        }
        (Step::Requantised(step), Relation::Product { factors, product, .. }) => {
            let accumulators = multiply(*product, get(&factors[0]), get(&factors[1]));
            Some((step.output, requantise(columns, step, accumulators)?))
        }
        (Step::Maximum(step), Relation::Maximum { windows, .. }) => {
            let x = get(&step.input);
            let mut m: Vec<i64> = windows.iter().map(|w| x[entry(w, 0)]).collect();
            for (k, (above, below)) in step.above.iter().zip(&step.below).enumerate() {
                let (mut up, mut down) = (Vec::with_capacity(m.len()), Vec::with_capacity(m.len()));
                for (m, window) in m.iter_mut().zip(windows) {
                    let x = x[entry(window, k + 1)];
                    let next = x.max(*m);
                    up.push((next - *m) as u64);
                    down.push((next - x) as u64);
                    *m = next;
                }
                columns.put_limbs(step.group, above, &up);
                columns.put_limbs(step.group, below, &down);
            }
            put_output(columns, step.output, &m);
            Some((step.output, m))
        }
        (Step::Multiset(Multiset::Permutation { input, output }), _) => {
            let mut made = get(input).to_vec();
            made.sort_unstable();
            put_output(columns, *output, &made);
            Some((*output, made))
        }
        (
            Step::Multiset(Multiset::Read {
                input,
                index,
                output,
                counts,
            }),
            _,
        ) => {
            let x = get(input);
            let (mut made, mut read) = (Vec::new(), vec![0u64; x.len()]);
            for (at, &i) in get(index).iter().enumerate() {
                let inside = usize::try_from(i).ok().filter(|i| *i < x.len());
                let i = inside.ok_or(ProveError::Index {
                    tensor: index.0,
                    index: at,
                })?;
                made.push(x[i]);
                read[i] += 1;
            }
            columns.put(*counts, 0, &read, |v| v);
            put_output(columns, *output, &made);
            Some((*output, made))
        }
        (Step::Table { table, index, output }, _) => {
            let explicit = &columns.plan.explicit[*table];
            let made = explicit.fill(*index, get(index), &mut columns.reads[*table])?;
            put_output(columns, *output, &made);
            Some((*output, made))
        }
        (Step::Wired { input, output, .. }, relation) => {
            let x = get(input);
            let made = match relation {
                Relation::Wired {
                    source: Some(source), ..
                } => source.iter().map(|&i| x[i as usize]).collect(),
                Relation::Maximum { windows, .. } => windows.iter().map(|w| x[w[0] as usize]).collect(),
                _ => x.to_vec(),
            };
            Some((*output, made))
        }
        _ => None,
    })
}

fn requantise(
    columns: &mut Columns<'_>,
    step: &Requantised,
    accumulators: Vec<i64>,
) -> Result<Vec<i64>, ProveError> {
    let (shift, bits) = (u32::from(step.requantise.shift), u32::from(step.requantise.bits));
    let half = 1i64 << (bits - 1);
    let offset = (half << shift) + if shift == 0 { 0 } else { 1 << (shift - 1) };
    let mut cut = Vec::new();
    for (index, acc) in accumulators.into_iter().enumerate() {
        match u64::try_from(acc + offset) {
            Ok(v) if v >> (bits + shift) == 0 => cut.push(v),
            _ => {
                return Err(ProveError::OutOfRange {
                    tensor: step.output.0,
                    index,
                });
            }
        }
    }
    let relu = step.requantise.output_range().lo() == 0;
    let made: Vec<i64> = cut
        .iter()
        .map(|v| {
            let q = (v >> shift) as i64 - half;
            if relu { q.max(0) } else { q }
        })
        .collect();
    let Some(group) = step.group else { return Ok(made) };
    columns.put_limbs(group, &step.remainder, &cut);
    let quotients: Vec<u64> = cut.into_iter().map(|v| v >> shift).collect();
    match &step.quotient {
        Quotient::Limbs(limbs) => columns.put_limbs(group, limbs, &quotients),
        Quotient::Public => {}
        Quotient::Activation { column } => columns.put(group, *column, &quotients, |v| v),
        Quotient::Signed { limbs, sign } => {
            columns.put_limbs(group, limbs, &quotients);
            columns.put(group, *sign, &quotients, |v| v >> (bits - 1));
        }
    }
    if relu {
        put_output(columns, step.output, &made);
    }
    Ok(made)
}

fn multiply(product: Product, left: &[i64], right: &[i64]) -> Vec<i64> {
    match product {
        Product::Elements => left.iter().zip(right).map(|(a, b)| a * b).collect(),
        Product::Matrix { inner, columns, .. } => {
            let mut made = Vec::new();
            for row in left.chunks(inner as usize) {
                let mut sums = vec![0; columns as usize];
                for (a, values) in row.iter().zip(right.chunks(columns as usize)) {
                    for (sum, b) in sums.iter_mut().zip(values) {
                        *sum += a * b;
                    }
                }
                made.extend(sums);
            }
            made
        }
    }
}

/// Commits to a tensor that has a column of its own. Its values are not negative or stand for themselves modulo p.
fn put_output(columns: &mut Columns<'_>, output: TensorId, values: &[i64]) {
    if let Some((group, column)) = columns.plan.column_of(output) {
        let (arity, cells) = &mut columns.groups[group];
        let size = 1 << *arity;
        let cube = &mut cells[column * size..(column + 1) * size];
        columns.plan.groups[group]
            .axes
            .scatter_with(values, super::field::signed, cube);
    }
}
