//! Where everything stands: rows and columns of a slice's circuit, before any field element.
//!
//! Two lanes share the rows. The **unit lane** (limbs, sign, `z`, accumulator) has one row per value that is
//! range-checked: slice inputs, requantised outputs, witness positions of a full grid, tournament steps, packed
//! outputs. The **image lane** (`x`, image and weight polynomials, their sum) has one block of rows per channel of a
//! linear map. Tournament steps and reads of tables use `x` too, so they stand below the image lane. The rows of the tables
//! themselves are fixed columns of their own, which begin at the top.
//!
//! Invariant: a plan is a function of the relations and `limb_bits` alone, so every machine makes the same one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::correlation::Correlation;
use super::forms::{ExplicitTable, Forms};
use crate::graph::{IntRange, Requantise, Shared, TableError, TensorId, Windows};
use crate::relations::{LimbPlan, SliceRelations, limb_widths};

/// Rows that a circuit cannot use: five blinding rows, the row after them, and the row that closes the running sum.
pub(super) const RESERVED_ROWS: usize = 7;

/// Largest supported circuit: a row for each point of the largest SRS.
pub const MAX_K: u8 = crate::setup::MAX_K;

/// Why a slice has no circuit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The slice's rows do not fit 2^k.
    #[error("the slice needs {rows} rows, k = {k} offers {available}")]
    Rows {
        /// Rows needed.
        rows: usize,
        /// The circuit's k.
        k: u8,
        /// Usable rows at that k.
        available: usize,
    },
    /// A relation that this proof system does not prove.
    #[error("tensor {output}: Halo2Kzg proves no such relation")]
    Unsupported {
        /// The output tensor's id.
        output: u32,
    },
    /// A linear map has no normal form: its padding is as large as its kernel.
    #[error("tensor {output}: padding as large as the kernel is not supported")]
    Padding {
        /// The output tensor's id.
        output: u32,
    },
    /// A relation reads a tensor that no earlier relation makes, or leaves an output unmade.
    #[error("tensor {tensor} is read before it is made")]
    Unmade {
        /// The tensor's id.
        tensor: u32,
    },
    /// Accumulators are too wide: not even one output fits a packed weight.
    #[error("tensor {output}: accumulators of {bits} bits are too wide")]
    Wide {
        /// The output tensor's id.
        output: u32,
        /// Their width.
        bits: u32,
    },
    /// A relation or the boundary names a range that the tensor is not made with.
    #[error("tensor {tensor} is used with another range than the one it is made with")]
    Range {
        /// The tensor's id.
        tensor: u32,
    },
    /// What no table may be.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A table's entries have no range.
    #[error("table `{table}`: its entries lie in no range of at most 32 bits")]
    Entries {
        /// The table.
        table: String,
    },
    /// The largest circuit has too few rows for the slice's tables.
    #[error(
        "table `{table}`: with it the slice's tables have {rows} rows, and a circuit of Halo2Kzg has at most {available}: \
         read fewer tables in one slice, or smaller ones"
    )]
    Tables {
        /// The first that does not fit.
        table: String,
        /// Rows of the tables up to it.
        rows: usize,
        /// Rows of the largest circuit.
        available: usize,
    },
    /// More public values than a verifier should evaluate.
    #[error("its inputs and outputs are {elements} field elements, at most {limit} are supported")]
    Public {
        /// Field elements.
        elements: usize,
        /// The most that are supported.
        limit: usize,
    },
    /// `limb_bits` is outside 2..=16 or `k` outside 4..=20.
    #[error("limb_bits = {limb_bits}, k = {k} are not parameters of this proof system")]
    Parameters {
        /// The given limb width.
        limb_bits: u8,
        /// The given k.
        k: u8,
    },
}

/// How the outputs of one linear map share field elements: `Σ_i B^i · y_i` with `B = 2^base_bits`.
///
/// Soundness: `B > |y| + |true y|` for every allowed and every possible accumulator, and `B^per_element ≤ 2^252 < p/2`.
/// So if the packed difference is 0 modulo p it is 0 over the integers, and each digit of it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packing {
    pub(super) base_bits: u32,
    /// Outputs per element.
    pub(super) per_element: usize,
    /// Elements per position.
    pub(super) groups: usize,
}

impl Packing {
    fn new(requantise: Requantise, bound: i64, outputs: usize) -> Option<Self> {
        // Accumulators that the limbs can express: |acc| ≤ 2^(S + bits − 1) + 2^(S − 1).
        let allowed = 1i128 << (u32::from(requantise.shift) + u32::from(requantise.bits));
        let base_bits = 128 - (allowed + i128::from(bound)).leading_zeros();
        let per_element = ((252 / base_bits) as usize).min(outputs);
        (base_bits <= 120 && per_element > 0).then(|| Self {
            base_bits,
            per_element,
            groups: outputs.div_ceil(per_element),
        })
    }

    /// The output channels of one group.
    pub(super) fn members(self, group: usize, outputs: usize) -> std::ops::Range<usize> {
        group * self.per_element..((group + 1) * self.per_element).min(outputs)
    }
}

/// A requantised linear map with its rows.
#[derive(Debug, Clone)]
pub(super) struct PlacedLinear {
    pub(super) form: Arc<Correlation>,
    pub(super) inputs: Vec<TensorId>,
    pub(super) input_ranges: Vec<IntRange>,
    pub(super) requantise: Requantise,
    pub(super) limbs: LimbPlan,
    pub(super) packing: Packing,
    pub(super) output: TensorId,
    /// First row in the unit lane.
    pub(super) unit_row: usize,
    /// First row in the image lane.
    pub(super) image_row: usize,
    /// Rows in the image lane.
    pub(super) image_rows: usize,
}

/// One row of a linear map in the unit lane.
#[derive(Debug, Clone, Copy)]
pub(super) enum LinearUnit {
    /// The requantisation of output `(output, pixel)` at full-grid `position`.
    Output {
        position: usize,
        pixel: usize,
        output: usize,
    },
    /// The packed witness of a position that is no output.
    Witness { position: usize, group: usize },
}

impl PlacedLinear {
    /// Rows of the unit lane in order, each with the step of the accumulator before it: positions and groups run
    /// downwards, so that Horner's rule gives `Σ r^(position · groups + group)`.
    pub(super) fn units(&self) -> impl Iterator<Item = (LinearUnit, bool)> + '_ {
        (0..self.form.positions).rev().flat_map(move |position| {
            (0..self.packing.groups).rev().flat_map(move |group| {
                let members = self.packing.members(group, self.form.outputs);
                let start = members.start;
                let count = if self.form.crop[position].is_some() {
                    members.len()
                } else {
                    1
                };
                (0..count).map(move |i| match self.form.crop[position] {
                    Some(pixel) => (
                        LinearUnit::Output {
                            position,
                            pixel,
                            output: start + i,
                        },
                        i == 0,
                    ),
                    None => (LinearUnit::Witness { position, group }, true),
                })
            })
        })
    }

    /// Length of one channel's block in the image lane.
    pub(super) fn block_len(&self, channel: usize) -> usize {
        self.form.channels[channel].pixels.len().max(self.packing.groups)
    }
}

/// A relation with its rows.
#[derive(Debug, Clone)]
pub(super) enum Placed {
    /// Slice input `index`: range-checked, packed into the instance.
    Input {
        index: usize,
        row: usize,
    },
    Linear(Box<PlacedLinear>),
    /// One row per (output, window entry).
    Maximum {
        input: TensorId,
        output: TensorId,
        windows: Windows,
        range: IntRange,
        row: usize,
    },
    Wired {
        input: TensorId,
        output: TensorId,
        source: Option<Shared<u32>>,
    },
    /// Reads of table `number`. One row per value, and one more below it where the table has a second column.
    Table {
        number: usize,
        index: TensorId,
        outputs: Vec<TensorId>,
        row: usize,
    },
    /// Slice output `index`: copied and packed into the instance.
    Output {
        index: usize,
        row: usize,
    },
}

/// The plan of a slice's circuit.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) limb_bits: u32,
    /// Number of limb columns.
    pub(super) limb_columns: usize,
    /// Limb columns of one difference of a tournament.
    pub(super) max_limbs: usize,
    /// Every requantisation of the slice, once each.
    pub(super) requantisations: Vec<Requantise>,
    /// Widths that the range table holds.
    pub(super) widths: BTreeSet<u32>,
    /// Explicit tables by number; their rows follow those of the range table.
    pub(super) tables: Vec<ExplicitTable>,
    pub(super) placed: Vec<Placed>,
    /// Row in the unit lane of every value of every tensor.
    pub(super) cells: BTreeMap<TensorId, Vec<usize>>,
    /// Rows used by any lane or the table.
    pub(super) rows: usize,
}

/// The first free rows of the lanes of linear maps, and the maps' normal forms that are not placed yet.
pub(super) struct Lanes<'f> {
    unit: usize,
    image: usize,
    forms: std::slice::Iter<'f, Arc<Correlation>>,
}

impl Plan {
    /// Places every relation of a slice.
    ///
    /// # Errors
    /// A relation that has no layout; see [`LayoutError`].
    pub(super) fn new(
        relations: &SliceRelations,
        forms: &Forms,
        limb_bits: u32,
    ) -> Result<Self, LayoutError> {
        let mut plan = Self {
            limb_bits,
            limb_columns: 1,
            max_limbs: 0,
            requantisations: Vec::new(),
            widths: BTreeSet::new(),
            tables: forms.tables.clone(),
            placed: Vec::new(),
            cells: BTreeMap::new(),
            rows: 0,
        };
        let mut lanes = Lanes {
            unit: 0,
            image: 0,
            forms: forms.linear.iter(),
        };
        for (index, tensor) in relations.inputs.iter().enumerate() {
            let row = lanes.unit;
            plan.claim_limbs(&limb_widths(u32::from(tensor.range.bits), limb_bits), 1);
            plan.cells.insert(tensor.id, (row..row + tensor.len).collect());
            plan.placed.push(Placed::Input { index, row });
            lanes.unit += tensor.len;
        }
        for relation in &relations.relations {
            plan.place(relation, forms, &mut lanes)?;
        }
        // Tournaments and reads stand below the image lane, since all use the column of copies.
        let mut row = lanes.unit.max(lanes.image);
        let mut placed = std::mem::take(&mut plan.placed);
        for p in &mut placed {
            plan.resolve(p, &mut row)?;
        }
        for (index, tensor) in relations.outputs.iter().enumerate() {
            if plan.cells.get(&tensor.id).is_none_or(|c| c.len() != tensor.len) {
                return Err(LayoutError::Unmade { tensor: tensor.id.0 });
            }
            placed.push(Placed::Output { index, row });
            row += tensor.len;
        }
        plan.placed = placed;
        plan.rows = row.max(plan.table_start(plan.tables.len()));
        Ok(plan)
    }

    /// Gives a linear map its rows of both lanes.
    ///
    /// # Errors
    /// Accumulators that no packing holds.
    pub(super) fn place_linear(
        &mut self,
        lanes: &mut Lanes<'_>,
        (inputs, input_ranges): (&[TensorId], &[IntRange]),
        (requantise, bound): (Requantise, i64),
        output: TensorId,
    ) -> Result<(), LayoutError> {
        let form = lanes.forms.next();
        let form = form.ok_or(LayoutError::Unmade { tensor: output.0 })?.clone();
        let packing = Packing::new(requantise, bound, form.outputs).ok_or(LayoutError::Wide {
            output: output.0,
            bits: 64 - bound.leading_zeros(),
        })?;
        let limbs = LimbPlan::new(requantise, self.limb_bits);
        self.claim_limbs(&limbs.widths().collect::<Vec<_>>(), 1);
        if !self.requantisations.contains(&requantise) {
            self.requantisations.push(requantise);
        }
        let mut linear = PlacedLinear {
            form,
            inputs: inputs.to_vec(),
            input_ranges: input_ranges.to_vec(),
            requantise,
            limbs,
            packing,
            output,
            unit_row: lanes.unit,
            image_row: lanes.image,
            image_rows: 0,
        };
        linear.image_rows = (0..linear.form.channels.len()).map(|c| linear.block_len(c)).sum();
        lanes.image += linear.image_rows;
        let mut rows = vec![usize::MAX; linear.form.output_len()];
        for (at, (kind, _)) in linear.units().enumerate() {
            if let LinearUnit::Output { pixel, output, .. } = kind {
                rows[linear.form.output_index(output, pixel)] = lanes.unit + at;
            }
        }
        lanes.unit += linear.units().count();
        self.cells.insert(output, rows);
        self.placed.push(Placed::Linear(Box::new(linear)));
        Ok(())
    }

    /// The row at which explicit table `number` begins; of the number after the last, the row after all tables.
    pub(super) fn table_start(&self, number: usize) -> usize {
        let limbs: usize = self.widths.iter().map(|w| 1usize << w).sum();
        let before = self.tables.iter().take(number);
        1 + limbs + before.map(|t| t.table.rows()).sum::<usize>()
    }

    pub(super) fn claim_limbs(&mut self, widths: &[u32], times: usize) {
        self.limb_columns = self.limb_columns.max(widths.len() * times);
        self.widths.extend(widths);
    }

    /// Gives tournaments and reads their rows and wired tensors their cells, in order; checks that what is read is made.
    fn resolve(&mut self, placed: &mut Placed, next_row: &mut usize) -> Result<(), LayoutError> {
        let unmade = |id: &TensorId| LayoutError::Unmade { tensor: id.0 };
        match placed {
            Placed::Maximum {
                input,
                output,
                windows,
                row,
                ..
            } => {
                let len = self.cells.get(input).ok_or_else(|| unmade(input))?.len();
                if windows
                    .iter()
                    .any(|w| w.is_empty() || w.iter().any(|&i| i as usize >= len))
                {
                    return Err(unmade(input));
                }
                *row = *next_row;
                let ends = windows.iter().map(|w| {
                    *next_row += w.len();
                    *next_row - 1
                });
                let cells = ends.collect();
                self.cells.insert(*output, cells);
            }
            Placed::Wired {
                input,
                output,
                source,
            } => {
                let cells = self.cells.get(input).ok_or_else(|| unmade(input))?;
                let wired = match source {
                    None => Some(cells.clone()),
                    Some(source) => source.iter().map(|&i| cells.get(i as usize).copied()).collect(),
                };
                self.cells.insert(*output, wired.ok_or_else(|| unmade(input))?);
            }
            Placed::Table {
                index, outputs, row, ..
            } => {
                let len = self.cells.get(index).ok_or_else(|| unmade(index))?.len();
                *row = *next_row;
                let step = outputs.len();
                *next_row += len * step;
                for (column, output) in outputs.iter().enumerate() {
                    let cells = (0..len).map(|t| *row + t * step + column);
                    self.cells.insert(*output, cells.collect());
                }
            }
            Placed::Linear(linear) => {
                if let Some(id) = linear.inputs.iter().find(|id| !self.cells.contains_key(id)) {
                    return Err(unmade(id));
                }
            }
            Placed::Input { .. } | Placed::Output { .. } => {}
        }
        Ok(())
    }
}
