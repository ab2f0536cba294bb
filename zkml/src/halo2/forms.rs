//! Which relations have a place in a circuit, and what of a slice's layout does not depend on `limb_bits`: normal forms of its
//! linear maps, its explicit tables, lengths and ranges.
//!
//! Invariant: a tensor is read, and leaves the slice, with the range that it is made with. A cell holds `v − lo`, so with
//! another range it would be another value's.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::correlation::{Correlation, Taps};
use super::instance::values_per_element;
use super::plan::{Lanes, LayoutError, MAX_K, Placed, Plan, RESERVED_ROWS};
use crate::graph::{IntRange, TableRef, TensorId};
use crate::relations::{Relation, SliceRelations, SliceTensor, limb_widths};

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Forms {
    /// Normal form of each linear map, in the order of the relations.
    pub(super) linear: Vec<Arc<Correlation>>,
    /// Every table that the slice reads, once each, in the order of their first reads.
    pub(super) tables: Vec<ExplicitTable>,
}

/// A table with the ranges of its columns.
#[derive(Debug, Clone)]
pub(super) struct ExplicitTable {
    pub(super) table: TableRef,
    /// The range of each column: its entries stand in the circuit as `entry − lo`.
    pub(super) ranges: Vec<IntRange>,
}

impl ExplicitTable {
    /// `entry − lo` of a column's row.
    pub(super) fn entry(&self, column: usize, row: usize) -> u64 {
        (self.table.columns[column][row] - self.ranges[column].lo()) as u64
    }

    /// Whether two tables are one function: all but the name, which is for people.
    fn same(&self, table: &TableRef) -> bool {
        self.table.digest() == table.digest()
    }
}

/// Most field elements of public values: a verifier takes up to 4.9 µs for each.
pub(super) const MAX_PUBLIC: usize = 10_000;

/// Refuses more public values than a verifier should evaluate. They cost a prover rows, of which it has a million.
fn check_public(relations: &SliceRelations) -> Result<(), LayoutError> {
    let tensors = relations.inputs.iter().chain(&relations.outputs);
    let elements = tensors.map(|t| match t.range.bits {
        1..=IntRange::MAX_BITS => t.len.div_ceil(values_per_element(t.range)),
        _ => t.len,
    });
    let elements = elements.fold(0usize, usize::saturating_add);
    if elements <= MAX_PUBLIC {
        return Ok(());
    }
    Err(LayoutError::Public {
        elements,
        limit: MAX_PUBLIC,
    })
}

/// The tensors made so far.
struct Made(BTreeMap<TensorId, (usize, IntRange)>);

impl Made {
    fn get(&self, id: TensorId) -> Result<(usize, IntRange), LayoutError> {
        self.0
            .get(&id)
            .copied()
            .ok_or(LayoutError::Unmade { tensor: id.0 })
    }

    /// Length of a tensor that is read with this range.
    fn read(&self, id: TensorId, range: IntRange) -> Result<usize, LayoutError> {
        let (len, made) = self.get(id)?;
        if made == range {
            Ok(len)
        } else {
            Err(LayoutError::Range { tensor: id.0 })
        }
    }
}

impl Forms {
    /// Walks a slice's relations.
    ///
    /// # Errors
    /// A relation without a layout at every width, or too many public values or table rows.
    pub(super) fn new(relations: &SliceRelations, taps: Taps) -> Result<Self, LayoutError> {
        check_public(relations)?;
        let boundary = |t: &SliceTensor| (t.id, (t.len, t.range));
        let mut forms = Self {
            linear: Vec::new(),
            tables: Vec::new(),
        };
        let mut made = Made(relations.inputs.iter().map(boundary).collect());
        for relation in &relations.relations {
            match relation {
                Relation::Range { tensor, range } => {
                    made.read(*tensor, *range)?;
                }
                Relation::Requantised {
                    inputs,
                    input_ranges,
                    map,
                    requantise,
                    output,
                    ..
                } => {
                    if inputs.len() != input_ranges.len() {
                        return Err(LayoutError::Range { tensor: output.0 });
                    }
                    let read = |(id, range): (&TensorId, &IntRange)| made.read(*id, *range);
                    let lens = inputs.iter().zip(input_ranges).map(read);
                    let lens = lens.collect::<Result<Vec<_>, _>>()?;
                    let form = Correlation::new(map, &lens, taps)
                        .ok_or(LayoutError::Padding { output: output.0 })?;
                    made.0
                        .insert(*output, (form.output_len(), requantise.output_range()));
                    forms.linear.push(Arc::new(form));
                }
                Relation::Product { output, .. }
                | Relation::Read { output, .. }
                | Relation::Rows { output, .. }
                | Relation::Permutation { output, .. } => {
                    return Err(LayoutError::Unsupported { output: output.0 });
                }
                Relation::Maximum {
                    input,
                    range,
                    windows,
                    output,
                } => {
                    made.read(*input, *range)?;
                    made.0.insert(*output, (windows.len(), *range));
                }
                Relation::Wired {
                    input,
                    source,
                    output,
                } => {
                    let (len, range) = made.get(*input)?;
                    made.0
                        .insert(*output, (source.as_deref().map_or(len, <[u32]>::len), range));
                }
                Relation::Table {
                    table,
                    index,
                    outputs,
                } => {
                    let number = forms.table(table)?;
                    // Exactly the table's indices, so the cell `x − lo` is the row's number, and every value has a row.
                    let indices = table
                        .index_range()
                        .ok_or(LayoutError::Range { tensor: index.0 })?;
                    let len = made.read(*index, indices)?;
                    let ranges = &forms.tables[number].ranges;
                    if outputs.len() != ranges.len() {
                        return Err(LayoutError::Unmade { tensor: index.0 });
                    }
                    let columns = outputs.iter().zip(ranges);
                    made.0.extend(columns.map(|(&id, &range)| (id, (len, range))));
                }
            }
        }
        for tensor in &relations.outputs {
            made.read(tensor.id, tensor.range)?;
        }
        Ok(forms)
    }

    /// The number of a table, a new one if it was not read before.
    fn table(&mut self, table: &TableRef) -> Result<usize, LayoutError> {
        if let Some(number) = self.number(table) {
            return Ok(number);
        }
        table.check()?;
        let ranges = (0..table.columns.len()).map(|column| table.column_range(column));
        let ranges = ranges.collect::<Option<_>>().ok_or(LayoutError::Entries {
            table: table.name.clone(),
        })?;
        self.tables.push(ExplicitTable {
            table: table.clone(),
            ranges,
        });
        let rows = 1 + self.tables.iter().map(|t| t.table.rows()).sum::<usize>();
        let available = (1 << MAX_K) - RESERVED_ROWS;
        if rows <= available {
            return Ok(self.tables.len() - 1);
        }
        Err(LayoutError::Tables {
            table: table.name.clone(),
            rows,
            available,
        })
    }

    /// The number of a table that is read.
    pub(super) fn number(&self, table: &TableRef) -> Option<usize> {
        self.tables.iter().position(|t| t.same(table))
    }
}

impl Plan {
    /// Gives linear maps their rows, and takes down what stands below the image lane, whose rows are not known yet.
    ///
    /// # Errors
    /// A relation that has no layout.
    pub(super) fn place(
        &mut self,
        relation: &Relation,
        forms: &Forms,
        lanes: &mut Lanes<'_>,
    ) -> Result<(), LayoutError> {
        match relation {
            Relation::Requantised {
                inputs,
                input_ranges,
                map: _,
                requantise,
                bound,
                output,
            } => self.place_linear(lanes, (inputs, input_ranges), (*requantise, *bound), *output)?,
            Relation::Maximum {
                input,
                range,
                windows,
                output,
            } => {
                let widths = limb_widths(u32::from(range.bits), self.limb_bits);
                self.claim_limbs(&widths, 2);
                self.max_limbs = self.max_limbs.max(widths.len());
                self.limb_columns = self.limb_columns.max(2 * self.max_limbs);
                let (input, output, range, windows) = (*input, *output, *range, windows.clone());
                self.placed.push(Placed::Maximum {
                    input,
                    output,
                    windows,
                    range,
                    row: 0,
                });
            }
            Relation::Wired {
                input,
                source,
                output,
            } => {
                self.placed.push(Placed::Wired {
                    input: *input,
                    output: *output,
                    source: source.clone(),
                });
            }
            Relation::Table {
                table,
                index,
                outputs,
            } => {
                let number = forms
                    .number(table)
                    .ok_or(LayoutError::Unmade { tensor: index.0 })?;
                self.placed.push(Placed::Table {
                    number,
                    index: *index,
                    outputs: outputs.clone(),
                    row: 0,
                });
            }
            // An input's range is proved where its cells are placed.
            Relation::Range { .. } => {}
            // They were refused with the normal forms.
            Relation::Product { .. }
            | Relation::Read { .. }
            | Relation::Rows { .. }
            | Relation::Permutation { .. } => {}
        }
        Ok(())
    }
}
