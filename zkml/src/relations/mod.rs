//! The one list of what is ever claimed between integer tensors. Nothing else is proved.
//!
//! Whoever audits soundness reads this folder first. It knows no proof system: no challenge, no field element,
//! no column. Every relation is a file: what it claims, its bounds, what fixes its output, and a plain integer checker that
//! reads like its definition. This file is the closed list and asks each file by its name ([`check()`]); a backend is sound when
//! it accepts exactly what the checkers accept.
//!
//! | relation | claim |
//! |---|---|
//! | [`Relation::Range`] | every value of the tensor lies in its exact range |
//! | [`Relation::Requantised`] | `z = activation(q)`, `q = floor((acc + 2^(S-1)) / 2^S)`, `q` in its signed range, where `acc` is the linear map of the inputs |
//! | [`Relation::Maximum`] | `z` is the maximum of each window: a tournament of pairs, `m − a ≥ 0`, `m − b ≥ 0`, `(m − a)(m − b) = 0` |
//! | [`Relation::Wired`] | `z[t] = x[source[t]]` |
//! | [`Relation::Product`] | as [`Relation::Requantised`], where `acc` is a product of two tensors: element by element, or of matrices |
//! | [`Relation::Read`] | `z[t] = x[i[t]]`, where the indices `i` are a tensor of the slice, each inside `x` |
//! | [`Relation::Table`] | `z_c[t] = T_c[x[t]]`: each index is one of the table's, each output the entry of its column there |
//! | [`Relation::Rows`] | `z[t·w + c] = E[i[t]·w + c]`: rows of a constant, where the indices `i` are an input of the slice |
//! | [`Relation::Permutation`] | `z` has the values of `x`, each as often, in any order |
//!
//! Why these suffice: the integers are exact. Given the inputs, each relation has exactly one output that
//! satisfies it (floor division with `0 ≤ remainder < 2^S` is unique, a maximum is unique), so a slice's
//! relations determine its outputs: no tolerance, no freedom for a prover. A permutation alone is the exception: whoever
//! uses one adds what fixes the order, as ascending order is fixed by differences that are not negative.
//!
//! **No relation reads a padded entry.** An index outside a tensor does not exist here; a backend that pads must
//! make the padded coefficient 0.

mod boundary;
mod check;
mod follow;
mod limbs;
mod lower;
mod maximum;
mod permutation;
mod product;
mod range;
mod read;
mod requantised;
mod rows;
mod table;
mod wired;

use std::collections::BTreeMap;

pub(crate) use boundary::check_values;
pub use boundary::{Boundary, InstanceError};
pub use check::CheckError;
pub(crate) use follow::Named;
pub use limbs::{LimbPlan, limb_widths};
pub use lower::{LowerError, lower};

use self::check::Values;
use crate::graph::{IntRange, LinearMap, Product, Requantise, Shared, TableRef, TensorId, Windows};

/// The most relations of a slice.
pub const MAX_RELATIONS: usize = 8192;
/// The most rows of all tables of a slice, each table counted once.
pub const MAX_TABLE_ROWS: usize = 1 << 19;

/// One claim between integer tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relation {
    /// Every value of the tensor lies in `range`. Claimed for each input of a slice: inner tensors get their
    /// range from the relation that makes them.
    Range {
        /// The tensor.
        tensor: TensorId,
        /// Its exact range.
        range: IntRange,
    },
    /// A linear map with constant coefficients and the requantisation of its accumulator. The accumulator is not
    /// a tensor: it is determined by the limbs of the requantisation.
    Requantised {
        /// Tensors that the map reads.
        inputs: Vec<TensorId>,
        /// Exact range of each input.
        input_ranges: Vec<IntRange>,
        /// The coefficients and bias.
        map: LinearMap,
        /// From accumulator to output.
        requantise: Requantise,
        /// Greatest |accumulator| over all inputs in range; < 2^62.
        bound: i64,
        /// The tensor made.
        output: TensorId,
    },
    /// `z[t] = max(x[windows[t]])`.
    Maximum {
        /// The tensor read.
        input: TensorId,
        /// Exact range of input and output.
        range: IntRange,
        /// Indices into the flattened input per output value; never empty.
        windows: Windows,
        /// The tensor made.
        output: TensorId,
    },
    /// The requantised product of two tensors of the slice. Only the sum-check backend proves it.
    Product {
        /// The tensors multiplied.
        factors: [TensorId; 2],
        /// Their exact ranges.
        ranges: [IntRange; 2],
        /// How.
        product: Product,
        /// From accumulator to output.
        requantise: Requantise,
        /// The tensor made.
        output: TensorId,
    },
    /// `z[t] = x[index[t]]`, by computed indices. Only the sum-check backend proves it.
    Read {
        /// The tensor read.
        input: TensorId,
        /// The tensor of indices into the flattened input. An index outside it has no output.
        index: TensorId,
        /// The tensor made.
        output: TensorId,
    },
    /// `z[t·w + c] = E[i[t]·w + c]`. An index that names no row, from the first or from the end, has no output. Only the sum-check
    /// backend proves it.
    Rows {
        /// E, row by row.
        table: Shared<i64>,
        /// Values of a row.
        width: u32,
        /// The tensor of indices: an input of the slice.
        index: TensorId,
        /// The tensor made.
        output: TensorId,
    },
    /// `z` has the values of `x`, each as often. Only the sum-check backend proves it; an honest prover's `z` ascends.
    Permutation {
        /// The tensor read.
        input: TensorId,
        /// The tensor made.
        output: TensorId,
    },
    /// `z_c[t] = T_c[x[t]]`. An index that is none of the table's has no output.
    Table {
        /// The rows.
        table: TableRef,
        /// The tensor of indices: its range holds exactly the table's.
        index: TensorId,
        /// The tensors made: as many as the table has columns.
        outputs: Vec<TensorId>,
    },
    /// `z[t] = x[source[t]]`.
    Wired {
        /// The tensor read.
        input: TensorId,
        /// Index into the flattened input per output value; `None` keeps the order.
        source: Option<Shared<u32>>,
        /// The tensor made.
        output: TensorId,
    },
}

/// The closed list for whoever makes something of all of it: each relation, its file's name here and there, its fields. Handed to a
/// macro of the caller's, whose match over [`Relation`] does not compile while one is missing here.
macro_rules! relations {
    ($make:ident) => {
        $make! {
            Range(range) { tensor, range },
            Requantised(requantised) { inputs, input_ranges, map, requantise, bound, output },
            Maximum(maximum) { input, range, windows, output },
            Product(product) { factors, ranges, product, requantise, output },
            Read(read) { input, index, output },
            Rows(rows) { table, width, index, output },
            Permutation(permutation) { input, output },
            Table(table) { table, index, outputs },
            Wired(wired) { input, source, output },
        }
    };
}
pub(crate) use relations;

/// A tensor as the relations see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceTensor {
    /// Its id in the graph.
    pub id: TensorId,
    /// Number of values.
    pub len: usize,
    /// The exact range.
    pub range: IntRange,
}

/// All that is claimed of one slice: what a backend turns into a circuit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceRelations {
    /// Tensors that come from outside, in the manifest's order. Public.
    pub inputs: Vec<SliceTensor>,
    /// Tensors that leave, in the manifest's order. Public. Never one of `inputs`.
    pub outputs: Vec<SliceTensor>,
    /// The claims, each reading only inputs and outputs of earlier ones.
    pub relations: Vec<Relation>,
}

impl SliceRelations {
    /// The slice's public tensors.
    #[must_use]
    pub fn boundary(&self) -> Boundary<'_> {
        Boundary {
            inputs: &self.inputs,
            outputs: &self.outputs,
        }
    }
}

impl Relation {
    /// Its name in the closed list, as reports and pages say it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        macro_rules! names {
            ($($relation:ident($file:ident) { $($field:ident),* $(,)? }),* $(,)?) => {
                match self {
                    $(Self::$relation { .. } => stringify!($relation),)*
                }
            };
        }
        relations!(names)
    }

    /// The tensor that it makes; the first of several.
    pub(crate) fn output(&self) -> Option<TensorId> {
        match self {
            Self::Range { .. } => None,
            Self::Requantised { output, .. }
            | Self::Maximum { output, .. }
            | Self::Product { output, .. }
            | Self::Read { output, .. }
            | Self::Rows { output, .. }
            | Self::Permutation { output, .. }
            | Self::Wired { output, .. } => Some(*output),
            Self::Table { outputs, .. } => outputs.first().copied(),
        }
    }

    /// The table that it is about.
    fn table(&self) -> Option<&TableRef> {
        match self {
            Self::Table { table, .. } => Some(table),
            Self::Range { .. }
            | Self::Requantised { .. }
            | Self::Maximum { .. }
            | Self::Product { .. }
            | Self::Read { .. }
            | Self::Rows { .. }
            | Self::Permutation { .. }
            | Self::Wired { .. } => None,
        }
    }

    /// Constant coefficients that a verifier evaluates, the biases left out. Rows of tables are counted with the tables.
    pub(crate) fn weights(&self) -> usize {
        match self {
            Self::Requantised { map, .. } => map.weight().len(),
            Self::Range { .. }
            | Self::Maximum { .. }
            | Self::Product { .. }
            | Self::Read { .. }
            | Self::Rows { .. }
            | Self::Permutation { .. }
            | Self::Table { .. }
            | Self::Wired { .. } => 0,
        }
    }

    /// Whether the claim holds for these values.
    fn check(&self, values: &Values<'_>) -> Result<(), CheckError> {
        match self {
            Self::Range { tensor, range } => range::check(values, *tensor, *range),
            Self::Requantised {
                inputs,
                input_ranges: _,
                map,
                requantise,
                bound: _,
                output,
            } => requantised::check(values, inputs, map, *requantise, *output),
            Self::Maximum {
                input,
                range: _,
                windows,
                output,
            } => maximum::check(values, *input, windows, *output),
            Self::Product {
                factors,
                ranges: _,
                product,
                requantise,
                output,
            } => product::check(values, *factors, *product, *requantise, *output),
            Self::Read { input, index, output } => read::check(values, *input, *index, *output),
            Self::Rows {
                table,
                width,
                index,
                output,
            } => rows::check(values, table, *width, *index, *output),
            Self::Permutation { input, output } => permutation::check(values, *input, *output),
            Self::Table {
                table,
                index,
                outputs,
            } => table::check(values, table, *index, outputs),
            Self::Wired {
                input,
                source,
                output,
            } => wired::check(values, *input, source.as_deref(), *output),
        }
    }
}

/// Checks every relation of a slice against the values of all its tensors.
///
/// # Errors
/// The first claim that does not hold.
pub fn check(relations: &SliceRelations, values: &BTreeMap<TensorId, Vec<i64>>) -> Result<(), CheckError> {
    let values = Values(values);
    for tensor in relations.inputs.iter().chain(&relations.outputs) {
        if values.of(tensor.id)?.len() != tensor.len {
            return Err(CheckError::Tensor(tensor.id));
        }
    }
    relations.relations.iter().try_for_each(|r| r.check(&values))
}
