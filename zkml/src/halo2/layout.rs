//! The plan in field elements: every fixed cell and every copy of a slice's circuit.
//!
//! Invariant: nothing here depends on a witness, so a verifying key is a function of the relations and parameters.

use std::collections::{BTreeMap, BTreeSet};

use halo2_proofs::halo2curves::bn256::Fr;
use halo2_proofs::halo2curves::ff::Field;

use super::SliceParameters;
use super::correlation::Taps;
use super::forms::Forms;
use super::instance::{power_of_two, signed, values_per_element};
use super::plan::{LayoutError, LinearUnit, MAX_K, Placed, PlacedLinear, Plan, RESERVED_ROWS};
use super::shape::{CircuitShape, Role};
use crate::graph::IntRange;
use crate::relations::{SliceRelations, SliceTensor, limb_widths};

/// Advice columns that copies join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CopyColumn {
    /// A value in offset (non-negative) form.
    Z,
    /// A copy of a value.
    X,
    /// The unit lane's accumulator.
    Accumulator,
    /// The image lane's sum.
    Sum,
}

/// A slice's circuit, ready for keys or a witness.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) k: u32,
    pub(super) shape: CircuitShape,
    pub(super) plan: Plan,
    /// Values of each fixed column on the usable rows.
    pub(super) fixed: BTreeMap<Role, Vec<Fr>>,
    pub(super) copies: Vec<((CopyColumn, usize), (CopyColumn, usize))>,
    /// `(row of the accumulator, row of the instance)`.
    pub(super) public: Vec<(usize, usize)>,
    /// Rows that gates hold on.
    pub(super) on_rows: usize,
}

impl Layout {
    /// Lays out a slice.
    ///
    /// # Errors
    /// Parameters outside the closed set, rows that do not fit, or a relation without a layout.
    pub(super) fn new(relations: &SliceRelations, parameters: SliceParameters) -> Result<Self, LayoutError> {
        let SliceParameters { limb_bits, k } = parameters;
        if !(2..=16).contains(&limb_bits) || !(4..=MAX_K).contains(&k) {
            return Err(LayoutError::Parameters { limb_bits, k });
        }
        let forms = Forms::new(relations, Taps::Placed)?;
        let plan = Plan::new(relations, &forms, u32::from(limb_bits))?;
        let available = (1usize << k).saturating_sub(RESERVED_ROWS);
        if plan.rows > available {
            return Err(LayoutError::Rows {
                rows: plan.rows,
                k,
                available,
            });
        }
        let mut writer = Writer {
            on_rows: available,
            fixed: BTreeMap::new(),
            copies: Vec::new(),
            public: Vec::new(),
        };
        writer.table(&plan);
        let mut instance_row = 2;
        for placed in &plan.placed {
            match placed {
                Placed::Input { index, row } => {
                    let tensor = &relations.inputs[*index];
                    let widths = limb_widths(u32::from(tensor.range.bits), plan.limb_bits);
                    for r in *row..row + tensor.len {
                        writer.set(Role::Input, r, Fr::ONE);
                        writer.tags(r, 0, &widths);
                    }
                    instance_row = writer.pack(*row, tensor.len, tensor.range, instance_row);
                }
                Placed::Output { index, row } => {
                    let tensor = &relations.outputs[*index];
                    for (r, &source) in (*row..).zip(&plan.cells[&tensor.id]) {
                        writer.copies.push(((CopyColumn::Z, source), (CopyColumn::Z, r)));
                    }
                    instance_row = writer.pack(*row, tensor.len, tensor.range, instance_row);
                }
                Placed::Linear(linear) => {
                    let kind = plan
                        .requantisations
                        .iter()
                        .position(|r| *r == linear.requantise)
                        .unwrap_or(0) as u8;
                    writer.units(linear, kind);
                    writer.images(linear, &plan);
                }
                Placed::Maximum {
                    input,
                    windows,
                    range,
                    row,
                    ..
                } => {
                    let widths = limb_widths(u32::from(range.bits), plan.limb_bits);
                    let sources = &plan.cells[input];
                    let mut r = *row;
                    for window in windows.iter() {
                        for (i, &source) in window.iter().enumerate() {
                            writer
                                .copies
                                .push(((CopyColumn::Z, sources[source as usize]), (CopyColumn::X, r)));
                            if i == 0 {
                                writer.set(Role::TournamentStart, r, Fr::ONE);
                            } else {
                                writer.set(Role::TournamentStep, r, Fr::ONE);
                                writer.tags(r, 0, &widths);
                                writer.tags(r, plan.max_limbs, &widths);
                            }
                            r += 1;
                        }
                    }
                }
                Placed::Table {
                    number,
                    index,
                    outputs,
                    row,
                } => {
                    let rows = (*row..).step_by(outputs.len());
                    for (r, &source) in rows.zip(&plan.cells[index]) {
                        writer.copies.push(((CopyColumn::Z, source), (CopyColumn::X, r)));
                        writer.set(Role::Read, r, Fr::ONE);
                        writer.set(Role::ReadTag, r, explicit_tag(*number));
                        if outputs.len() > 1 {
                            writer.set(Role::ReadTwo, r, Fr::ONE);
                        }
                    }
                }
                Placed::Wired { .. } => {}
            }
        }
        let shape = CircuitShape {
            k,
            limb_bits: plan.limb_bits as u8,
            limb_columns: plan.limb_columns as u8,
            max_limbs: plan.max_limbs as u8,
            requantisations: plan.requantisations.clone(),
            roles: writer.fixed.keys().copied().collect(),
        };
        let Writer {
            on_rows,
            fixed,
            copies,
            public,
        } = writer;
        Ok(Self {
            k: u32::from(k),
            shape,
            plan,
            fixed,
            copies,
            public,
            on_rows,
        })
    }
}

/// The fixed columns that a plan's circuit has: those of its [`Layout`], told without a cell of theirs.
pub(super) fn roles(plan: &Plan, relations: &SliceRelations) -> BTreeSet<Role> {
    let mut roles = BTreeSet::from([Role::On, Role::Edge]);
    roles.extend(
        (!plan.widths.is_empty() || !plan.tables.is_empty())
            .then_some([Role::TableValue, Role::TableTag])
            .into_iter()
            .flatten(),
    );
    for table in &plan.tables {
        for (c, (column, range)) in table.table.columns.iter().zip(&table.ranges).enumerate() {
            let any = column.iter().any(|entry| *entry != range.lo());
            roles.extend(any.then_some(Role::TableOut(c as u8)));
        }
    }
    let tags = |first: usize, limbs: usize| {
        (first..first + limbs)
            .map(|i| Role::Tag(i as u8))
            .collect::<Vec<_>>()
    };
    for placed in &plan.placed {
        match placed {
            Placed::Input { index, .. } => {
                let SliceTensor { len, range, .. } = &relations.inputs[*index];
                roles.insert(Role::Input);
                roles.extend(tags(0, limb_widths(u32::from(range.bits), plan.limb_bits).len()));
                roles.extend(packed_roles(*len, *range));
            }
            Placed::Output { index, .. } => {
                let SliceTensor { len, range, .. } = &relations.outputs[*index];
                roles.extend(packed_roles(*len, *range));
            }
            Placed::Linear(linear) => {
                let kind = plan.requantisations.iter().position(|r| *r == linear.requantise);
                roles.extend([
                    Role::Requantise(kind.unwrap_or(0) as u8),
                    Role::Factor,
                    Role::Constant,
                ]);
                roles.extend(tags(0, linear.limbs.widths().count()));
                let groups = linear.packing.groups;
                let cropped = linear.form.crop.iter().any(Option::is_none);
                roles.extend(cropped.then_some(Role::Witness));
                roles.extend((linear.form.positions * groups > 1).then_some(Role::Step));
                roles.extend((linear.packing.per_element > 1).then_some(Role::Keep));
                roles.insert(Role::SumAdd);
                roles.extend((linear.image_rows > 1).then_some(Role::SumKeep));
                roles.extend((groups > 1).then_some(Role::WeightStep));
                for channel in &linear.form.channels {
                    let (pixels, width) = (channel.pixels.len(), channel.width);
                    roles.extend((width > 1 && pixels > 1).then_some(Role::ImageStep(groups as u32)));
                    let gap = linear.form.row_stride - width + 1;
                    roles.extend((pixels > width).then_some(Role::ImageStep((groups * gap) as u32)));
                    roles.extend(channel.offsets.iter().map(|o| Role::Weight((groups * o) as u32)));
                }
            }
            Placed::Maximum { windows, range, .. } => {
                let limbs = limb_widths(u32::from(range.bits), plan.limb_bits).len();
                roles.insert(Role::TournamentStart);
                if windows.iter().any(|w| w.len() > 1) {
                    roles.insert(Role::TournamentStep);
                    roles.extend(tags(0, limbs));
                    roles.extend(tags(plan.max_limbs, limbs));
                }
            }
            Placed::Table { index, outputs, .. } if !plan.cells[index].is_empty() => {
                roles.extend([Role::Read, Role::ReadTag]);
                roles.extend((outputs.len() > 1).then_some(Role::ReadTwo));
            }
            Placed::Wired { .. } | Placed::Table { .. } => {}
        }
    }
    roles
}

fn packed_roles(len: usize, range: IntRange) -> impl Iterator<Item = Role> {
    let several = len.min(values_per_element(range)) > 1;
    [Role::Pack, Role::Factor]
        .into_iter()
        .chain(several.then_some(Role::Keep))
}

/// The tag of an explicit table's rows and reads: limbs have their widths, at most 16, and 0.
fn explicit_tag(number: usize) -> Fr {
    Fr::from(17 + number as u64)
}

struct Writer {
    on_rows: usize,
    fixed: BTreeMap<Role, Vec<Fr>>,
    copies: Vec<((CopyColumn, usize), (CopyColumn, usize))>,
    public: Vec<(usize, usize)>,
}

impl Writer {
    fn set(&mut self, role: Role, row: usize, value: Fr) {
        let rows = self.on_rows + 1;
        if value != Fr::ZERO {
            self.fixed.entry(role).or_insert_with(|| vec![Fr::ZERO; rows])[row] = value;
        }
    }

    fn tags(&mut self, row: usize, first: usize, widths: &[u32]) {
        for (i, &w) in widths.iter().enumerate() {
            self.set(Role::Tag((first + i) as u8), row, Fr::from(u64::from(w)));
        }
    }

    /// The range table: `(0, tag 0)` for idle limbs, then `[0, 2^w)` with tag `w` for each width; after it the explicit
    /// tables, each with a tag of its own. Further rows repeat the first: each is a true row, so it does not matter which of them a multiplicity stands on.
    fn table(&mut self, plan: &Plan) {
        for row in 0..self.on_rows {
            self.set(Role::On, row, Fr::ONE);
        }
        self.set(Role::Edge, 0, Fr::ONE);
        self.set(Role::Edge, self.on_rows, Fr::ONE);
        let mut row = 1;
        for &w in &plan.widths {
            for v in 0..1u64 << w {
                self.set(Role::TableValue, row, Fr::from(v));
                self.set(Role::TableTag, row, Fr::from(u64::from(w)));
                row += 1;
            }
        }
        for (number, table) in plan.tables.iter().enumerate() {
            let start = plan.table_start(number);
            for v in 0..table.table.rows() {
                self.set(Role::TableValue, start + v, Fr::from(v as u64));
                self.set(Role::TableTag, start + v, explicit_tag(number));
                for c in 0..table.ranges.len() {
                    let entry = Fr::from(table.entry(c, v));
                    self.set(Role::TableOut(c as u8), start + v, entry);
                }
            }
        }
    }

    /// Accumulates `Σ 2^(w·t) · z` over the values of each element and joins it to the instance. Returns the next
    /// instance row.
    fn pack(&mut self, row: usize, len: usize, range: IntRange, mut instance_row: usize) -> usize {
        let per_element = values_per_element(range);
        for i in 0..len {
            let place = i % per_element;
            self.set(Role::Pack, row + i, Fr::ONE);
            self.set(
                Role::Factor,
                row + i,
                power_of_two(place as u32 * u32::from(range.bits)),
            );
            if place > 0 {
                self.set(Role::Keep, row + i, Fr::ONE);
            }
            if place + 1 == per_element || i + 1 == len {
                self.public.push((row + i, instance_row));
                instance_row += 1;
            }
        }
        instance_row
    }

    /// The unit lane of a linear map: `Σ r^(position·groups + group) Σ_i B^i (acc_i − bias_i − offsets_i)`.
    fn units(&mut self, linear: &PlacedLinear, kind: u8) {
        // Inputs stand in offset form x' = x − lo, so the identity is over x' and Σ weight·lo moves to this side.
        let offsets: Vec<Vec<i64>> = linear
            .inputs
            .iter()
            .zip(&linear.input_ranges)
            .map(|_| Vec::new())
            .collect();
        let constant = offset_sums(linear, offsets);
        let widths: Vec<_> = linear.limbs.widths().collect();
        let mut first = true;
        for (row, (unit, steps)) in (linear.unit_row..).zip(linear.units()) {
            if !first {
                self.set(if steps { Role::Step } else { Role::Keep }, row, Fr::ONE);
            }
            first = false;
            match unit {
                LinearUnit::Witness { .. } => self.set(Role::Witness, row, Fr::ONE),
                LinearUnit::Output { position, output, .. } => {
                    let place = output % linear.packing.per_element;
                    self.set(Role::Requantise(kind), row, Fr::ONE);
                    self.set(
                        Role::Factor,
                        row,
                        power_of_two(place as u32 * linear.packing.base_bits),
                    );
                    let moved = i128::from(linear.limbs.offset()) + i128::from(linear.form.bias[output]);
                    self.set(Role::Constant, row, -signed(moved + constant[position][output]));
                    self.tags(row, 0, &widths);
                }
            }
        }
        let last = linear.unit_row + linear.units().count() - 1;
        let sum = linear.image_row + linear.image_rows - 1;
        self.copies
            .push(((CopyColumn::Accumulator, last), (CopyColumn::Sum, sum)));
    }

    /// The image lane: per channel `x(S) = Σ S^(u·R + v) x[u, v]` and `w = Σ_g r^g Σ_offsets S^offset F`, both by Horner's
    /// rule and ending in the same row, where their product joins the sum. `S = r^groups`.
    fn images(&mut self, linear: &PlacedLinear, plan: &Plan) {
        let groups = linear.packing.groups;
        let mut start = linear.image_row;
        for (c, channel) in linear.form.channels.iter().enumerate() {
            let len = linear.block_len(c);
            let end = start + len - 1;
            for row in start..=end {
                if row > linear.image_row {
                    self.set(Role::SumKeep, row, Fr::ONE);
                }
            }
            self.set(Role::SumAdd, end, Fr::ONE);
            let cells = &plan.cells[&linear.inputs[channel.tensor]];
            for (i, &pixel) in channel.pixels.iter().enumerate() {
                self.copies
                    .push(((CopyColumn::Z, cells[pixel as usize]), (CopyColumn::X, end - i)));
                if i + 1 < channel.pixels.len() {
                    let ends_image_row = i % channel.width == channel.width - 1;
                    let gap = if ends_image_row {
                        linear.form.row_stride - channel.width + 1
                    } else {
                        1
                    };
                    self.set(Role::ImageStep((groups * gap) as u32), end - i, Fr::ONE);
                }
            }
            let mut packed: BTreeMap<(usize, usize), Fr> = BTreeMap::new();
            for tap in &channel.taps {
                let (group, place) = (
                    tap.output / linear.packing.per_element,
                    tap.output % linear.packing.per_element,
                );
                *packed.entry((tap.offset, group)).or_insert(Fr::ZERO) +=
                    signed(i128::from(tap.weight)) * power_of_two(place as u32 * linear.packing.base_bits);
            }
            for ((offset, group), value) in packed {
                self.set(Role::Weight((groups * offset) as u32), end - group, value);
            }
            for group in 0..groups - 1 {
                self.set(Role::WeightStep, end - group, Fr::ONE);
            }
            start += len;
        }
    }
}

/// `Σ weight · lo` per full-grid position and output.
fn offset_sums(linear: &PlacedLinear, mut lows: Vec<Vec<i64>>) -> Vec<Vec<i128>> {
    for channel in &linear.form.channels {
        let needed = channel.pixels.iter().max().map_or(0, |&p| p as usize + 1);
        let (low, range) = (&mut lows[channel.tensor], linear.input_ranges[channel.tensor]);
        if low.len() < needed {
            low.resize(needed, range.lo());
        }
    }
    linear
        .form
        .sums(&lows.iter().map(Vec::as_slice).collect::<Vec<_>>())
}
