//! The one list of what is ever claimed between integer tensors. Nothing else is proved.
//!
//! Whoever audits soundness reads this folder first. It knows no proof system: no challenge, no field element,
//! no column. Every relation has a plain integer checker ([`check`]) that reads like its definition; a backend
//! is sound when it accepts exactly what the checkers accept.
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
//! | [`Relation::Permutation`] | `z` has the values of `x`, each as often, in any order |
//!
//! Why these suffice: the integers are exact. Given the inputs, each relation has exactly one output that
//! satisfies it (floor division with `0 ≤ remainder < 2^S` is unique, a maximum is unique), so a slice's
//! relations determine its outputs: no tolerance, no freedom for a prover. A permutation alone is the exception: whoever
//! uses one adds what fixes the order, as ascending order is fixed by differences that are not negative.
//!
//! **No relation reads a padded entry.** An index outside a tensor does not exist here; a backend that pads must
//! make the padded coefficient 0.

pub mod bound;
mod boundary;
mod check;
mod limbs;
mod lower;

pub(crate) use boundary::check_values;
pub use boundary::{Boundary, InstanceError};
pub use check::{CheckError, check};
pub use limbs::{LimbPlan, limb_widths};
pub use lower::{LowerError, lower};

use crate::graph::{IntRange, LinearMap, Requantise, TableRef, TensorId};

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
        windows: Vec<Vec<u32>>,
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
        source: Option<Vec<u32>>,
        /// The tensor made.
        output: TensorId,
    },
}

/// How two tensors are multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum Product {
    /// `acc[t] = left[t] · right[t]`. Broadcasting is a wiring before it.
    Elements,
    /// `acc[i, j] = Σ_k left[i, k] · right[k, j]`, row-major.
    Matrix {
        /// Rows of `left`.
        rows: u32,
        /// Columns of `left`, rows of `right`.
        inner: u32,
        /// Columns of `right`.
        columns: u32,
    },
}

impl Product {
    /// The length of the product of tensors of these lengths, when they fit.
    #[must_use]
    pub fn output_len(self, left: usize, right: usize) -> Option<usize> {
        match self {
            Self::Elements => (left == right).then_some(left),
            Self::Matrix { rows, inner, columns } => {
                let [rows, inner, columns] = [rows, inner, columns].map(|d| d as usize);
                let fits = left > 0
                    && right > 0
                    && rows.checked_mul(inner) == Some(left)
                    && inner.checked_mul(columns) == Some(right);
                if fits { rows.checked_mul(columns) } else { None }
            }
        }
    }

    /// Greatest |accumulator|; `None` when it could reach [`bound::LIMIT`].
    #[must_use]
    pub fn bound(self, ranges: [IntRange; 2]) -> Option<i64> {
        let terms = match self {
            Self::Elements => 1,
            Self::Matrix { inner, .. } => i64::from(inner),
        };
        let product = ranges[0].magnitude().checked_mul(ranges[1].magnitude())?;
        product.checked_mul(terms).filter(|b| *b < bound::LIMIT)
    }
}

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
