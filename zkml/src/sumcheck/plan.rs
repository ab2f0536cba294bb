//! Where everything stands: tensors, columns, lookups, claims of a slice, before any value.
//!
//! Invariant: a plan is a function of the relations and `limb_bits` alone. The verifier's plan decides every count and
//! every size; nothing of it is read from a proof. A plan exists only for relations whose integers cannot wrap modulo p:
//! every accumulator stays below 2^62 and so does everything that limbs can express.

use std::collections::{BTreeMap, BTreeSet};

use super::axes::Axes;
use super::error::{LayoutError, VerifyError};
use super::field::{EF, power_of_two};
use super::relation::form::Form;
use super::shapes::{self, Shapes};
use super::table::{Function, Table};
use crate::graph::{Activation, IntRange, LinearMap, Requantise, TensorId};
use crate::relations::{Relation, SliceRelations, bound::accumulator_bound, limb_widths};

/// Narrowest and widest full limb.
pub(super) const LIMB_BITS: std::ops::RangeInclusive<u8> = 4..=16;

/// What limbs can express stays below 2^62, as accumulators do.
const MAX_EXPRESSED_BITS: u32 = 62;

/// Where a claim on a tensor is settled.
#[derive(Debug, Clone)]
pub(super) enum Home {
    /// The statement names the values: the verifier computes the claim.
    Input(usize),
    /// As [`Home::Input`], among the outputs.
    Output(usize),
    /// A committed column.
    Column { group: usize, column: usize },
    /// `Σ 2^shift · limb − offset` of committed columns, on values; the tensor is not committed itself.
    Limbs { group: usize, limbs: Limbs, offset: i64 },
    /// Claims are gathered and reduced to one on the tensor that the wiring reads.
    Wired,
}

/// Columns with their weights: a value cut into limbs.
#[derive(Debug, Clone, Default)]
pub(super) struct Limbs {
    /// `(column, exponent of its weight, its width)`, lowest first.
    pub(super) parts: Vec<(usize, u32, u32)>,
}

impl Limbs {
    /// The columns, lowest limb first.
    pub(super) fn columns(&self) -> impl Iterator<Item = usize> + '_ {
        self.parts.iter().map(|p| p.0)
    }

    /// `Σ 2^shift · limb`, from the values of all columns of the group.
    pub(super) fn value(&self, columns: &[EF]) -> EF {
        self.parts
            .iter()
            .map(|&(column, shift, _)| columns[column] * power_of_two(shift))
            .sum()
    }

    /// `Σ 2^shift · limb`, from the limbs' own values.
    pub(super) fn value_of(&self, limbs: &[EF]) -> EF {
        self.parts
            .iter()
            .zip(limbs)
            .map(|(&(_, shift, _), &limb)| limb * power_of_two(shift))
            .sum()
    }
}

/// A tensor of the slice.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    pub(super) range: IntRange,
    pub(super) axes: Axes,
    pub(super) home: Home,
    /// Number of claims that later relations make on it.
    pub(super) claims: usize,
}

/// Second part of a fingerprint.
#[derive(Debug, Clone, Copy)]
pub(super) enum Second {
    /// None: the table is a range.
    Zero,
    /// A column of the same group.
    Column(usize),
    /// A public output: its MLE is computed by the verifier.
    Output(usize),
}

/// One column that is looked up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lookup {
    pub(super) table: usize,
    pub(super) column: usize,
    pub(super) second: Second,
}

/// Committed columns of one shape, all looked up at the same point.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) axes: Axes,
    pub(super) columns: usize,
    pub(super) lookups: Vec<Lookup>,
    /// Columns of each later opening, in order: claims of consumers, then the group's own products.
    pub(super) openings: Vec<Vec<usize>>,
}

/// How a requantised output follows from the quotient's limbs.
#[derive(Debug, Clone)]
pub(super) enum Quotient {
    /// `z = q`, inner: `q + 2^(bits−1)` is cut into limbs.
    Limbs(Limbs),
    /// `z = q`, public, its range checked by the verifier: nothing is committed.
    Public,
    /// `(q + 2^(bits−1), z)` is a row of the activation table.
    Activation { column: usize },
    /// `q + 2^(bits−1)` is cut into limbs, the top one looked up with the sign; `z = sign · q` by a product sum-check.
    Signed { limbs: Limbs, sign: usize },
}

/// A relation with its place.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A public input: checked by the verifier before anything.
    PublicRange,
    /// `v − lo` of an inner tensor is cut into limbs.
    InnerRange {
        tensor: TensorId,
        group: usize,
        limbs: Limbs,
        lo: i64,
    },
    Requantised(Requantised),
    Maximum(Maximum),
    /// Also a maximum over windows of one entry each.
    Wired {
        input: TensorId,
        output: TensorId,
        /// The order is kept: both tensors have the same axes, so the same MLE.
        same: bool,
    },
}

/// A requantised linear map.
#[derive(Debug, Clone)]
pub(super) struct Requantised {
    pub(super) output: TensorId,
    pub(super) requantise: Requantise,
    /// `None`: nothing is committed, so nothing is looked up.
    pub(super) group: Option<usize>,
    pub(super) remainder: Limbs,
    pub(super) quotient: Quotient,
    /// One per input, never empty.
    pub(super) forms: Vec<Form>,
}

/// A tournament: per pair the limbs of `m_k − m_(k−1)` and of `m_k − x`.
#[derive(Debug, Clone)]
pub(super) struct Maximum {
    pub(super) input: TensorId,
    pub(super) output: TensorId,
    pub(super) group: usize,
    pub(super) above: Vec<Limbs>,
    pub(super) below: Vec<Limbs>,
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) tensors: BTreeMap<TensorId, Tensor>,
    /// Groups of relations, then one per table that holds its multiplicities.
    pub(super) groups: Vec<Group>,
    /// Number of groups that belong to relations.
    pub(super) relation_groups: usize,
    pub(super) tables: Vec<Table>,
    /// One per relation.
    pub(super) steps: Vec<Step>,
}

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
        for output in &relations.outputs {
            let made = builder.plan.tensors.get(&output.id);
            let fits = |t: &Tensor| {
                matches!(t.home, Home::Output(_)) && t.axes.len() == output.len && t.range == output.range
            };
            if !made.is_some_and(fits) {
                return Err(LayoutError::Unmade { tensor: output.id.0 });
            }
        }
        Ok(builder.finish())
    }

    /// The tensor that the plan itself names.
    pub(super) fn tensor(&self, id: TensorId) -> Option<&Tensor> {
        self.tensors.get(&id)
    }

    /// The axes of a tensor that a step names.
    pub(super) fn axes(&self, id: TensorId) -> Result<&Axes, VerifyError> {
        self.tensor(id)
            .map(|t| &t.axes)
            .ok_or(VerifyError::Invalid("no such tensor"))
    }

    /// The committed column that holds a tensor, if one does.
    pub(super) fn column_of(&self, id: TensorId) -> Option<(usize, usize)> {
        match self.tensor(id)?.home {
            Home::Column { group, column } => Some((group, column)),
            _ => None,
        }
    }

    /// Committed cells.
    pub(super) fn cells(&self) -> u64 {
        self.groups
            .iter()
            .map(|g| (g.columns as u64) << g.axes.arity())
            .sum()
    }
}

/// A lookup whose table has no index yet.
struct Wanted {
    group: usize,
    table: Table,
    column: usize,
    second: Second,
}

struct Builder {
    limb_bits: u32,
    public: BTreeMap<TensorId, usize>,
    tables: BTreeSet<Table>,
    wanted: Vec<Wanted>,
    plan: Plan,
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

    fn get(&self, id: TensorId) -> Result<&Tensor, LayoutError> {
        self.plan.tensor(id).ok_or(LayoutError::Unmade { tensor: id.0 })
    }

    /// The group that the next columns of this relation belong to.
    fn open_group(&mut self, axes: &Axes) -> usize {
        self.plan.groups.push(Group {
            axes: axes.clone(),
            columns: 0,
            lookups: Vec::new(),
            openings: Vec::new(),
        });
        self.plan.groups.len() - 1
    }

    fn column(&mut self, group: usize) -> usize {
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
            } => self.place_requantised(shapes, inputs, input_ranges, map, *requantise, *output),
            Relation::Maximum {
                input,
                range,
                windows,
                output,
            } => self.place_maximum(shapes, *input, *range, windows, *output),
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

    fn place_requantised(
        &mut self,
        shapes: &Shapes,
        inputs: &[TensorId],
        input_ranges: &[IntRange],
        map: &LinearMap,
        requantise: Requantise,
        output: TensorId,
    ) -> Result<Step, LayoutError> {
        // The bound is computed from ranges that are proved, not from those that the relation states.
        for (&id, range) in inputs.iter().zip(input_ranges) {
            if self.get(id)?.range != *range {
                return Err(LayoutError::Range { tensor: id.0 });
            }
        }
        let (shift, bits) = (u32::from(requantise.shift), u32::from(requantise.bits));
        let wide = |bits| LayoutError::Wide {
            output: output.0,
            bits,
        };
        if inputs.len() != input_ranges.len() || accumulator_bound(map, input_ranges).is_none() {
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
        let forms = (0..inputs.len())
            .map(|k| {
                let input = self.get(inputs[k])?;
                Form::new(map, inputs[k], &input.axes, &axes)
            })
            .collect::<Result<Vec<_>, _>>()?;
        self.make(shapes, output, requantise.output_range(), home)?;
        Ok(Step::Requantised(Requantised {
            output,
            requantise,
            group,
            remainder,
            quotient,
            forms,
        }))
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
