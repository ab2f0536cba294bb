//! First-phase cells of a slice: a function of the layout and the slice's inputs.
//!
//! It recomputes the slice from its relations and fails where an input leaves the calibrated range, so an honest
//! worker learns before proving that no proof exists.

use std::collections::BTreeMap;

use halo2_proofs::halo2curves::bn256::Fr;
use halo2_proofs::halo2curves::ff::{Field, PrimeField};

use super::instance::{power_of_two, signed};
use super::layout::Layout;
use super::plan::{LinearUnit, Placed, PlacedLinear};
use crate::graph::{IntRange, TensorId};
use crate::relations::{SliceRelations, limb_widths};

/// Why inputs have no witness.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    /// A quotient is outside its calibrated range, so no proof exists.
    #[error("tensor {tensor}: the value at {index} is outside its calibrated range")]
    OutOfCalibratedRange {
        /// The requantised tensor.
        tensor: u32,
        /// Flat index of the value.
        index: usize,
    },
    /// The layout and the relations are of different slices.
    #[error("the proving key is of another slice")]
    Inconsistent,
}

/// The first phase: small integers where the column holds small integers.
#[derive(Debug, Clone)]
pub(super) struct Witness {
    pub(super) limbs: Vec<Vec<u64>>,
    pub(super) sign: Vec<Fr>,
    pub(super) z: Vec<Fr>,
    pub(super) x: Vec<Fr>,
    pub(super) multiplicity: Vec<u64>,
    /// Values of the slice's outputs.
    pub(super) outputs: Vec<Vec<i64>>,
}

struct Builder<'a> {
    layout: &'a Layout,
    limbs: Vec<Vec<u64>>,
    sign: Vec<Fr>,
    z: Vec<Fr>,
    x: Vec<Fr>,
    values: BTreeMap<TensorId, (IntRange, Vec<i64>)>,
}

impl Witness {
    /// Computes the witness of inputs whose lengths and ranges have been checked.
    ///
    /// # Errors
    /// An accumulator whose quotient is out of range.
    pub(super) fn new(
        layout: &Layout,
        relations: &SliceRelations,
        inputs: &[&[i64]],
    ) -> Result<Self, WitnessError> {
        let rows = layout.on_rows;
        let mut builder = Builder {
            layout,
            limbs: vec![vec![0; rows]; usize::from(layout.shape.limb_columns)],
            sign: vec![Fr::ZERO; rows],
            z: vec![Fr::ZERO; rows],
            x: vec![Fr::ZERO; rows],
            values: BTreeMap::new(),
        };
        for (tensor, values) in relations.inputs.iter().zip(inputs) {
            builder.values.insert(tensor.id, (tensor.range, values.to_vec()));
        }
        for placed in &layout.plan.placed {
            builder.place(placed, relations)?;
        }
        let Builder {
            limbs,
            sign,
            z,
            mut x,
            values,
            ..
        } = builder;
        for ((_, from), (column, to)) in &layout.copies {
            if *column == super::layout::CopyColumn::X {
                x[*to] = z[*from];
            }
        }
        let multiplicity = multiplicities(layout, &limbs, &x, &z).ok_or(WitnessError::Inconsistent)?;
        let outputs = relations
            .outputs
            .iter()
            .map(|t| values[&t.id].1.clone())
            .collect();
        Ok(Self {
            limbs,
            sign,
            z,
            x,
            multiplicity,
            outputs,
        })
    }
}

impl Builder<'_> {
    fn place(&mut self, placed: &Placed, relations: &SliceRelations) -> Result<(), WitnessError> {
        match placed {
            Placed::Input { index, row } => {
                let tensor = &relations.inputs[*index];
                let (range, values) = self.values[&tensor.id].clone();
                for (r, v) in (*row..).zip(values) {
                    self.offset_value(r, v, range);
                    self.split(r, 0, (v - range.lo()) as u64, range);
                }
            }
            Placed::Output { index, row } => {
                let (range, values) = self.values[&relations.outputs[*index].id].clone();
                for (r, v) in (*row..).zip(values) {
                    self.offset_value(r, v, range);
                }
            }
            Placed::Linear(linear) => self.linear(linear)?,
            Placed::Maximum {
                input,
                output,
                windows,
                range,
                row,
            } => {
                let source = self.values[input].1.clone();
                let (mut r, mut made) = (*row, Vec::with_capacity(windows.len()));
                for window in windows.iter() {
                    let mut max = source[window[0] as usize];
                    self.offset_value(r, max, *range);
                    r += 1;
                    for &i in &window[1..] {
                        let (above, x) = (max, source[i as usize]);
                        max = above.max(x);
                        self.offset_value(r, max, *range);
                        self.split(r, 0, (max - above) as u64, *range);
                        self.split(r, self.layout.plan.max_limbs, (max - x) as u64, *range);
                        r += 1;
                    }
                    made.push(max);
                }
                self.values.insert(*output, (*range, made));
            }
            Placed::Table {
                number,
                index,
                outputs,
                row,
            } => {
                let table = &self.layout.plan.tables[*number];
                let rows: Option<Vec<usize>> =
                    self.values[index].1.iter().map(|&v| table.table.row(v)).collect();
                // The index has exactly the table's range.
                let rows = rows.ok_or(WitnessError::Inconsistent)?;
                for (c, (output, &range)) in outputs.iter().zip(&table.ranges).enumerate() {
                    let column = &table.table.columns[c];
                    let made: Vec<i64> = rows.iter().map(|&j| column[j]).collect();
                    for (r, &v) in (row + c..).step_by(outputs.len()).zip(&made) {
                        self.offset_value(r, v, range);
                    }
                    self.values.insert(*output, (range, made));
                }
            }
            Placed::Wired {
                input,
                output,
                source,
            } => {
                let (range, values) = &self.values[input];
                let wired = match source {
                    None => values.clone(),
                    Some(source) => source.iter().map(|&i| values[i as usize]).collect(),
                };
                let made = (*range, wired);
                self.values.insert(*output, made);
            }
        }
        Ok(())
    }

    fn offset_value(&mut self, row: usize, value: i64, range: IntRange) {
        self.z[row] = Fr::from((value - range.lo()) as u64);
    }

    fn split(&mut self, row: usize, first: usize, value: u64, range: IntRange) {
        let mut rest = value;
        for (i, w) in limb_widths(u32::from(range.bits), self.layout.plan.limb_bits)
            .into_iter()
            .enumerate()
        {
            self.limbs[first + i][row] = rest & ((1 << w) - 1);
            rest >>= w;
        }
    }

    fn linear(&mut self, linear: &PlacedLinear) -> Result<(), WitnessError> {
        let inputs: Vec<&[i64]> = linear
            .inputs
            .iter()
            .map(|id| self.values[id].1.as_slice())
            .collect();
        let shifted: Vec<Vec<i64>> = inputs
            .iter()
            .zip(&linear.input_ranges)
            .map(|(x, range)| x.iter().map(|v| v - range.lo()).collect())
            .collect();
        let sums = linear.form.sums(&inputs);
        let shifted_sums = linear
            .form
            .sums(&shifted.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let range = linear.requantise.output_range();
        let mut made = vec![0; linear.form.output_len()];
        for (row, (unit, _)) in (linear.unit_row..).zip(linear.units()) {
            match unit {
                LinearUnit::Output {
                    position,
                    pixel,
                    output,
                } => {
                    let index = linear.form.output_index(output, pixel);
                    let out_of_range = || WitnessError::OutOfCalibratedRange {
                        tensor: linear.output.0,
                        index,
                    };
                    let acc = sums[position][output] + i128::from(linear.form.bias[output]);
                    let acc = i64::try_from(acc).map_err(|_| out_of_range())?;
                    let (sign, limbs) = linear.limbs.decompose(acc).ok_or_else(out_of_range)?;
                    for (i, limb) in limbs.into_iter().enumerate() {
                        self.limbs[i][row] = limb;
                    }
                    self.sign[row] = Fr::from(sign);
                    let value = linear.requantise.activation.of(linear.requantise.quotient(acc));
                    self.offset_value(row, value, range);
                    made[index] = value;
                }
                LinearUnit::Witness { position, group } => {
                    let members = linear.packing.members(group, linear.form.outputs);
                    let base = power_of_two(linear.packing.base_bits);
                    self.z[row] = members
                        .rev()
                        .fold(Fr::ZERO, |acc, o| acc * base + signed(shifted_sums[position][o]));
                }
            }
        }
        self.values.insert(linear.output, (range, made));
        Ok(())
    }
}

/// How often each table row is looked up; `None` where a limb or a read is in no table. Idle limbs look up row 0.
pub(super) fn multiplicities(layout: &Layout, limbs: &[Vec<u64>], x: &[Fr], z: &[Fr]) -> Option<Vec<u64>> {
    let mut tables = BTreeMap::from([(Fr::ZERO, (0usize, 1u64))]);
    let mut row = 1;
    for &w in &layout.plan.widths {
        tables.insert(Fr::from(u64::from(w)), (row, 1 << w));
        row += 1 << w;
    }
    let mut multiplicity = vec![0; layout.on_rows];
    for (i, column) in limbs.iter().enumerate() {
        let tags = layout.fixed.get(&super::shape::Role::Tag(i as u8));
        for (row, &limb) in column.iter().enumerate() {
            let (start, len) = tables[&tags.map_or(Fr::ZERO, |t| t[row])];
            if limb >= len {
                return None;
            }
            multiplicity[start + limb as usize] += 1;
        }
    }
    for placed in &layout.plan.placed {
        let Placed::Table {
            number,
            index,
            outputs,
            row,
        } = placed
        else {
            continue;
        };
        let (plan, columns) = (&layout.plan, outputs.len());
        let table = &plan.tables[*number];
        for r in (*row..).step_by(columns).take(plan.cells[index].len()) {
            let read = row_number(x[r]).filter(|&j| j < table.table.rows())?;
            if (0..columns).any(|c| z[r + c] != Fr::from(table.entry(c, read))) {
                return None;
            }
            multiplicity[plan.table_start(*number) + read] += 1;
        }
    }
    Some(multiplicity)
}

/// The number that an element is, if it is one of a row: below 2^32.
fn row_number(x: Fr) -> Option<usize> {
    let bytes = x.to_repr();
    let (low, high) = bytes.split_first_chunk::<4>()?;
    let zero = high.iter().all(|b| *b == 0);
    zero.then_some(u32::from_le_bytes(*low) as usize)
}
