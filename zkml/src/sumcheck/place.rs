//! From relations to a plan: which columns each relation gets, and what each of them is looked up in.
//!
//! Invariant: every range that an argument relies on is proved by something placed here or checked by the verifier, never taken
//! from what a relation says of its inputs.

use std::collections::{BTreeMap, BTreeSet};

use super::axes::Axes;
use super::error::LayoutError;
use super::multiset;
use super::plan::{
    Group, Home, LIMB_BITS, Limbs, Lookup, Maximum, Plan, Quotient, Requantised, Second, Step, Tensor,
};
use super::relation::form::Form;
use super::relation::product::Factors;
use super::relation::table;
use super::shapes::{self, Shapes};
use super::table::{Function, Table};
use crate::graph::bound::accumulator_bound;
use crate::graph::{Activation, IntRange, LinearMap, Requantise, TensorId};
use crate::relations::{Product, Relation, SliceRelations, limb_widths};

/// What limbs can express stays below 2^62, as accumulators do.
const MAX_EXPRESSED_BITS: u32 = 62;

/// Most pairs of a tournament: each is two limbed columns.
const MAX_ROUNDS: usize = 1 << 12;

impl Plan {
    /// Places every relation of a slice.
    ///
    /// # Errors
    /// A relation that has no layout; see [`LayoutError`].
    pub(super) fn new(relations: &SliceRelations, limb_bits: u8) -> Result<Self, LayoutError> {
        if !LIMB_BITS.contains(&limb_bits) {
            return Err(LayoutError::Parameters {
                limb_bits,
                min: *LIMB_BITS.start(),
                max: *LIMB_BITS.end(),
            });
        }
        let shapes = Shapes::new(relations)?;
        let mut builder = Builder {
            limb_bits: u32::from(limb_bits),
            public: relations
                .outputs
                .iter()
                .enumerate()
                .map(|(i, t)| (t.id, i))
                .collect(),
            tables: BTreeSet::new(),
            wanted: Vec::new(),
            plan: Self {
                tensors: BTreeMap::new(),
                groups: Vec::new(),
                relation_groups: 0,
                tables: Vec::new(),
                explicit: Vec::new(),
                steps: Vec::new(),
            },
        };
        for (i, tensor) in relations.inputs.iter().enumerate() {
            if !(1..=IntRange::MAX_BITS).contains(&tensor.range.bits) {
                return Err(LayoutError::Range { tensor: tensor.id.0 });
            }
            builder.make(&shapes, tensor.id, tensor.range, Home::Input(i))?;
        }
        for relation in &relations.relations {
            let step = builder.place(&shapes, relation)?;
            builder.plan.steps.push(step);
        }
        for (index, output) in relations.outputs.iter().enumerate() {
            let made = builder.plan.tensors.get(&output.id);
            let fits = |t: &Tensor| {
                // The index too: of a tensor that is listed twice only one copy would be checked.
                matches!(t.home, Home::Output(i) if i == index)
                    && t.axes.len() == output.len
                    && t.range == output.range
            };
            if !made.is_some_and(fits) {
                return Err(LayoutError::Unmade { tensor: output.id.0 });
            }
        }
        Ok(builder.finish())
    }
}

/// A lookup whose table has no index yet.
struct Wanted {
    group: usize,
    table: Table,
    column: usize,
    second: Second,
}

/// A plan in the making.
pub(super) struct Builder {
    limb_bits: u32,
    public: BTreeMap<TensorId, usize>,
    tables: BTreeSet<Table>,
    wanted: Vec<Wanted>,
    pub(super) plan: Plan,
}

impl Builder {
    fn make(
        &mut self,
        shapes: &Shapes,
        id: TensorId,
        range: IntRange,
        inner: Home,
    ) -> Result<(), LayoutError> {
        let unmade = LayoutError::Unmade { tensor: id.0 };
        let is_input = matches!(inner, Home::Input(_));
        let home = match self.public.get(&id) {
            Some(_) if is_input => return Err(unmade),
            Some(&index) => Home::Output(index),
            None => inner,
        };
        let tensor = Tensor {
            range,
            axes: shapes.axes(id).ok_or(LayoutError::Unmade { tensor: id.0 })?,
            home,
            claims: 0,
        };
        match self.plan.tensors.insert(id, tensor) {
            None => Ok(()),
            Some(_) => Err(unmade),
        }
    }

    pub(super) fn get(&self, id: TensorId) -> Result<&Tensor, LayoutError> {
        self.plan.tensor(id).ok_or(LayoutError::Unmade { tensor: id.0 })
    }

    /// The group that the next columns of this relation belong to.
    pub(super) fn open_group(&mut self, axes: &Axes) -> usize {
        self.plan.groups.push(Group {
            axes: axes.clone(),
            columns: 0,
            lookups: Vec::new(),
            openings: Vec::new(),
        });
        self.plan.groups.len() - 1
    }

    pub(super) fn column(&mut self, group: usize) -> usize {
        let group = &mut self.plan.groups[group];
        group.columns += 1;
        group.columns - 1
    }

    fn look_up(&mut self, group: usize, column: usize, function: Function, width: u32, second: Second) {
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
    fn limbs(&mut self, group: usize, bits: u32) -> Limbs {
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

    fn place(&mut self, shapes: &Shapes, relation: &Relation) -> Result<Step, LayoutError> {
        match relation {
            Relation::Range { tensor, range } => self.place_range(*tensor, *range),
            Relation::Requantised {
                inputs,
                input_ranges,
                map,
                requantise,
                output,
                ..
            } => self.place_linear(shapes, inputs, input_ranges, map, *requantise, *output),
            Relation::Product {
                factors,
                ranges,
                product,
                requantise,
                output,
            } => self.place_product(shapes, *factors, *ranges, *product, *requantise, *output),
            Relation::Maximum {
                input,
                range,
                windows,
                output,
            } => self.place_maximum(shapes, *input, *range, windows, *output),
            Relation::Table {
                table,
                index,
                outputs,
            } => table::place(self, shapes, table, *index, outputs),
            Relation::Permutation { input, output } => {
                multiset::place_permutation(self, shapes, *input, *output)
            }
            Relation::Read { input, index, output } => {
                multiset::place_read(self, shapes, *input, *index, *output)
            }
            Relation::Wired {
                input,
                source,
                output,
            } => {
                let range = self.get(*input)?.range;
                self.make(shapes, *output, range, Home::Wired)?;
                Ok(Step::Wired {
                    input: *input,
                    output: *output,
                    same: source.is_none(),
                })
            }
        }
    }

    fn place_range(&mut self, tensor: TensorId, range: IntRange) -> Result<Step, LayoutError> {
        let made = self.get(tensor)?;
        if let Home::Input(_) | Home::Output(_) = made.home {
            // The verifier checks the tensor's own range, which must be this one.
            return if made.range == range {
                Ok(Step::PublicRange)
            } else {
                Err(LayoutError::Range { tensor: tensor.0 })
            };
        }
        if !(1..=IntRange::MAX_BITS).contains(&range.bits) {
            return Err(LayoutError::Range { tensor: tensor.0 });
        }
        let axes = made.axes.clone();
        let group = self.open_group(&axes);
        let limbs = self.limbs(group, u32::from(range.bits));
        Ok(Step::InnerRange {
            tensor,
            group,
            limbs,
            lo: range.lo(),
        })
    }

    fn place_linear(
        &mut self,
        shapes: &Shapes,
        inputs: &[TensorId],
        input_ranges: &[IntRange],
        map: &LinearMap,
        requantise: Requantise,
        output: TensorId,
    ) -> Result<Step, LayoutError> {
        self.check_ranges(inputs, input_ranges)?;
        let bound = accumulator_bound(map, input_ranges);
        let mut step = self.place_requantised(shapes, bound, requantise, output)?;
        let axes = self.get(output)?.axes.clone();
        for &input in inputs {
            step.forms
                .push(Form::new(map, input, &self.get(input)?.axes, &axes)?);
        }
        Ok(Step::Requantised(step))
    }

    fn place_product(
        &mut self,
        shapes: &Shapes,
        factors: [TensorId; 2],
        ranges: [IntRange; 2],
        product: Product,
        requantise: Requantise,
        output: TensorId,
    ) -> Result<Step, LayoutError> {
        self.check_ranges(&factors, &ranges)?;
        let mut step = self.place_requantised(shapes, product.bound(ranges), requantise, output)?;
        let axes = [factors[0], factors[1], output].map(|id| self.get(id).map(|t| &t.axes));
        let [left, right, to] = axes;
        step.factors = Factors::new(factors, product, [left?, right?, to?]);
        match step.factors {
            Some(_) => Ok(Step::Requantised(step)),
            None => Err(LayoutError::Factors { output: output.0 }),
        }
    }

    /// Bounds are computed from ranges that are proved: what a relation states must be those.
    fn check_ranges(&self, inputs: &[TensorId], ranges: &[IntRange]) -> Result<(), LayoutError> {
        for (i, &id) in inputs.iter().enumerate() {
            if ranges.get(i) != Some(&self.get(id)?.range) {
                return Err(LayoutError::Range { tensor: id.0 });
            }
        }
        Ok(())
    }

    /// The part of a requantised relation that does not depend on where its accumulators come from.
    fn place_requantised(
        &mut self,
        shapes: &Shapes,
        bound: Option<i64>,
        requantise: Requantise,
        output: TensorId,
    ) -> Result<Requantised, LayoutError> {
        let (shift, bits) = (u32::from(requantise.shift), u32::from(requantise.bits));
        let wide = |bits| LayoutError::Wide {
            output: output.0,
            bits,
        };
        if bound.is_none() {
            return Err(wide(63));
        }
        if !(2..=32).contains(&bits) || bits + shift > MAX_EXPRESSED_BITS {
            return Err(wide(bits + shift));
        }
        let axes = shapes
            .axes(output)
            .ok_or(LayoutError::Unmade { tensor: output.0 })?;
        let public = self.public.get(&output).copied();
        let relu = requantise.activation == Activation::Relu;
        let group = (shift > 0 || relu || public.is_none()).then(|| self.open_group(&axes));
        // For a public output `make` puts the statement's values in this place.
        let mut home = Home::Wired;
        let (mut remainder, mut quotient) = (Limbs::default(), Quotient::Public);
        if let Some(group) = group {
            remainder = self.limbs(group, shift);
            (quotient, home) = if relu {
                self.place_relu(group, bits, public)
            } else if public.is_none() {
                let limbs = self.limbs(group, bits);
                let offset = 1 << (bits - 1);
                let home = Home::Limbs {
                    group,
                    limbs: limbs.clone(),
                    offset,
                };
                (Quotient::Limbs(limbs), home)
            } else {
                (Quotient::Public, home)
            };
        }
        self.make(shapes, output, requantise.output_range(), home)?;
        Ok(Requantised {
            output,
            requantise,
            group,
            remainder,
            quotient,
            forms: Vec::new(),
            factors: None,
        })
    }

    /// A narrow quotient is looked up with its rectified value; a wide one is cut, and its sign looked up.
    fn place_relu(&mut self, group: usize, bits: u32, public: Option<usize>) -> (Quotient, Home) {
        let inner = |column| Home::Column { group, column };
        if bits <= self.limb_bits {
            let column = self.column(group);
            let (second, home) = match public {
                Some(index) => (Second::Output(index), Home::Wired),
                None => {
                    let z = self.column(group);
                    (Second::Column(z), inner(z))
                }
            };
            self.look_up(group, column, Function::Relu, bits, second);
            return (Quotient::Activation { column }, home);
        }
        let widths = limb_widths(bits, self.limb_bits);
        let mut limbs = Limbs::default();
        let (mut shift, mut sign) = (0, 0);
        for (i, &width) in widths.iter().enumerate() {
            let column = self.column(group);
            if i + 1 == widths.len() {
                sign = self.column(group);
                self.look_up(group, column, Function::Sign, width, Second::Column(sign));
            } else {
                self.look_up(group, column, Function::Range, width, Second::Zero);
            }
            limbs.parts.push((column, shift, width));
            shift += width;
        }
        let home = match public {
            Some(_) => Home::Wired,
            None => inner(self.column(group)),
        };
        (Quotient::Signed { limbs, sign }, home)
    }

    fn place_maximum(
        &mut self,
        shapes: &Shapes,
        input: TensorId,
        range: IntRange,
        windows: &[Vec<u32>],
        output: TensorId,
    ) -> Result<Step, LayoutError> {
        if self.get(input)?.range != range {
            return Err(LayoutError::Range { tensor: input.0 });
        }
        let rounds = windows.iter().map(Vec::len).max().unwrap_or(0).saturating_sub(1);
        if rounds == 0 {
            // A window of one entry each: a wiring.
            self.make(shapes, output, range, Home::Wired)?;
            return Ok(Step::Wired {
                input,
                output,
                same: false,
            });
        }
        if rounds > MAX_ROUNDS {
            return Err(LayoutError::Large {
                what: "entries in one window",
                got: rounds as u64 + 1,
                limit: MAX_ROUNDS as u64 + 1,
            });
        }
        let axes = shapes
            .axes(output)
            .ok_or(LayoutError::Unmade { tensor: output.0 })?;
        let group = self.open_group(&axes);
        let bits = u32::from(range.bits);
        let above = (0..rounds).map(|_| self.limbs(group, bits)).collect();
        let below = (0..rounds).map(|_| self.limbs(group, bits)).collect();
        let home = match self.public.get(&output) {
            Some(_) => Home::Wired,
            None => Home::Column {
                group,
                column: self.column(group),
            },
        };
        self.make(shapes, output, range, home)?;
        Ok(Step::Maximum(Maximum {
            input,
            output,
            group,
            above,
            below,
        }))
    }

    /// A tensor whose range follows from what its values are shown to be: a column unless it is public.
    pub(super) fn make_unbounded(
        &mut self,
        shapes: &Shapes,
        output: TensorId,
        range: IntRange,
    ) -> Result<(), LayoutError> {
        let axes = shapes
            .axes(output)
            .ok_or(LayoutError::Unmade { tensor: output.0 })?;
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
        self.make(shapes, output, range, home)
    }

    /// Gives tables their index and their multiplicities a group each, and counts claims and openings, last relation first.
    fn finish(mut self) -> Plan {
        let plan = &mut self.plan;
        plan.tables = self.tables.into_iter().collect();
        plan.relation_groups = plan.groups.len();
        for wanted in self.wanted {
            let table = plan.tables.partition_point(|t| *t < wanted.table);
            plan.groups[wanted.group].lookups.push(Lookup {
                table,
                column: wanted.column,
                second: wanted.second,
            });
        }
        for table in &plan.tables {
            plan.groups.push(Group {
                axes: Axes::new(1 << table.arity(), &[]),
                columns: 1,
                lookups: Vec::new(),
                openings: Vec::new(),
            });
        }
        shapes::count_claims(plan);
        self.plan
    }
}
