//! A layout in the making: tensors, groups, columns and lookups, as relations ask for them.
//!
//! Invariant: every range that an argument relies on is proved by something placed here or checked by the verifier, never taken
//! from what a relation says of its inputs.

use std::collections::{BTreeMap, BTreeSet};

use super::axes::Axes;
use super::disclosed::NO_LIMBS;
use super::error::LayoutError;
use super::layout::{Group, Home, Layout, Limbs, Lookup, Multiset, Second, Tensor};
use super::shapes::Shapes;
use super::table::{Function, Table};
use crate::graph::{IntRange, TensorId};
use crate::relations::{SliceTensor, limb_widths};

/// A lookup whose table has no index yet.
struct Wanted {
    group: usize,
    table: Table,
    column: usize,
    second: Second,
}

/// See the module.
pub(super) struct Placer<'a> {
    limb_bits: u32,
    shapes: &'a Shapes,
    public: BTreeMap<TensorId, usize>,
    tables: BTreeSet<Table>,
    wanted: Vec<Wanted>,
    pub(super) layout: Layout,
}

impl<'a> Placer<'a> {
    /// Nothing is placed yet; these outputs are public.
    pub(super) fn new(limb_bits: u8, shapes: &'a Shapes, outputs: &[SliceTensor]) -> Self {
        Self {
            limb_bits: u32::from(limb_bits),
            shapes,
            public: outputs.iter().enumerate().map(|(i, t)| (t.id, i)).collect(),
            tables: BTreeSet::new(),
            wanted: Vec::new(),
            layout: Layout {
                disclosed: limb_bits == NO_LIMBS,
                ..Layout::default()
            },
        }
    }

    /// Width of a full limb, and of the widest activation table.
    pub(super) fn limb_bits(&self) -> u32 {
        self.limb_bits
    }

    /// Whether nothing is committed, so that accumulators stand in the proof.
    pub(super) fn discloses(&self) -> bool {
        self.layout.disclosed
    }

    /// The axes of a tensor, made or not.
    ///
    /// # Errors
    /// One that no relation makes.
    pub(super) fn axes(&self, id: TensorId) -> Result<Axes, LayoutError> {
        self.shapes.axes(id)
    }

    /// Which of the outputs a tensor is.
    pub(super) fn public(&self, id: TensorId) -> Option<usize> {
        self.public.get(&id).copied()
    }

    /// Lists whose entries the lookup argument compares.
    pub(super) fn compare(&mut self, lists: Multiset) {
        self.layout.multisets.push(lists);
    }

    /// A tensor is made: where a claim on it is settled, unless it is public.
    pub(super) fn make(&mut self, id: TensorId, range: IntRange, inner: Home) -> Result<(), LayoutError> {
        let unmade = LayoutError::Unmade { tensor: id.0 };
        let is_input = matches!(inner, Home::Input(_));
        let home = match self.public.get(&id) {
            Some(_) if is_input => return Err(unmade),
            Some(&index) => Home::Output(index),
            None => inner,
        };
        let tensor = Tensor {
            range,
            axes: self.shapes.axes(id)?,
            home,
            claims: 0,
        };
        match self.layout.tensors.insert(id, tensor) {
            None => Ok(()),
            Some(_) => Err(unmade),
        }
    }

    /// A tensor that is made already.
    pub(super) fn get(&self, id: TensorId) -> Result<&Tensor, LayoutError> {
        self.layout.tensor(id).ok_or(LayoutError::Unmade { tensor: id.0 })
    }

    /// The group that the next columns of this relation belong to.
    pub(super) fn open_group(&mut self, axes: &Axes) -> usize {
        self.layout.groups.push(Group {
            axes: axes.clone(),
            columns: 0,
            lookups: Vec::new(),
            openings: Vec::new(),
        });
        self.layout.groups.len() - 1
    }

    /// One more column of a group.
    pub(super) fn column(&mut self, group: usize) -> usize {
        let group = &mut self.layout.groups[group];
        group.columns += 1;
        group.columns - 1
    }

    /// A column that is looked up.
    pub(super) fn look_up(
        &mut self,
        group: usize,
        column: usize,
        function: Function,
        width: u32,
        second: Second,
    ) {
        let table = Table { function, width };
        self.tables.insert(table);
        self.wanted.push(Wanted {
            group,
            table,
            column,
            second,
        });
    }

    /// Columns for a value of `bits` bits, each looked up in the range table of its exact width.
    pub(super) fn limbs(&mut self, group: usize, bits: u32) -> Limbs {
        let mut limbs = Limbs::default();
        let mut shift = 0;
        for width in limb_widths(bits, self.limb_bits) {
            let column = self.column(group);
            self.look_up(group, column, Function::Range, width, Second::Zero);
            limbs.parts.push((column, shift, width));
            shift += width;
        }
        limbs
    }

    /// Bounds are computed from ranges that are proved: what a relation states must be those.
    pub(super) fn check_ranges(&self, inputs: &[TensorId], ranges: &[IntRange]) -> Result<(), LayoutError> {
        for (i, &id) in inputs.iter().enumerate() {
            if ranges.get(i) != Some(&self.get(id)?.range) {
                return Err(LayoutError::Range { tensor: id.0 });
            }
        }
        Ok(())
    }

    /// A tensor whose range follows from what its values are shown to be: a column unless it is public.
    pub(super) fn make_unbounded(&mut self, output: TensorId, range: IntRange) -> Result<(), LayoutError> {
        let axes = self.shapes.axes(output)?;
        let home = match self.public.get(&output) {
            Some(_) => Home::Wired,
            None => {
                let group = self.open_group(&axes);
                Home::Column {
                    group,
                    column: self.column(group),
                }
            }
        };
        self.make(output, range, home)
    }

    /// Gives tables their index and their multiplicities a group each. No claim is counted yet.
    pub(super) fn finish(mut self) -> Layout {
        let layout = &mut self.layout;
        layout.tables = self.tables.into_iter().collect();
        layout.relation_groups = layout.groups.len();
        for wanted in self.wanted {
            let table = layout.tables.partition_point(|t| *t < wanted.table);
            layout.groups[wanted.group].lookups.push(Lookup {
                table,
                column: wanted.column,
                second: wanted.second,
            });
        }
        for table in &layout.tables {
            layout.groups.push(Group {
                axes: Axes::new(1 << table.arity(), &[]),
                columns: 1,
                lookups: Vec::new(),
                openings: Vec::new(),
            });
        }
        self.layout
    }
}
