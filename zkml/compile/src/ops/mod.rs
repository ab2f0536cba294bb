//! Operators on floats, and how each becomes one of the integer graph: each is one file here, one variant of [`FloatOp`] and one
//! arm of its matches.
//!
//! Invariant: an operator's file says all that the compiler knows of it: what it computes on floats, how its output's scale is
//! chosen, and which operator of the integer graph it is under a plan. What that one computes is said in `zkml::graph`.

mod linear;
mod max;
mod product;
mod quantising;
mod scales;
mod step;
mod table;
mod wiring;

use zkml::graph::linear::GeometryError;
use zkml::graph::{Activation, IntRange, Op, Product, TensorId};

pub use self::linear::FloatMap;
pub use self::quantising::QuantiseError;
pub(crate) use self::quantising::{Place, TableList, scale_of};
pub(crate) use self::scales::Scales;
use crate::functions::Function;

/// What a node does, on floats.
#[derive(Debug, Clone, PartialEq)]
pub enum FloatOp {
    /// A linear map, then an activation.
    Linear {
        /// The coefficients.
        map: FloatMap,
        /// What follows.
        activation: Activation,
    },
    /// `z[t] = max over windows[t] of x`.
    Max {
        /// Indices into the flattened input per output value, sorted and without repeats; never empty.
        windows: Vec<Vec<u32>>,
    },
    /// The product of two tensors.
    Product {
        /// How they are multiplied.
        product: Product,
    },
    /// 1 where a linear map of whole coefficients is above 0, else 0.
    Step {
        /// The coefficients; constants need not be whole.
        map: FloatMap,
    },
    /// `z[t] = x[source[t]]`; `None` keeps the order.
    Wiring {
        /// Index into the flattened input per output value.
        source: Option<Vec<u32>>,
    },
    /// `z[t] = f(x[t])`.
    Function {
        /// f.
        function: Function,
    },
}

/// Why there are no values.
pub(crate) enum NoValues {
    /// A map does not fit its tensors.
    Geometry(GeometryError),
    /// An index leaves the tensor.
    Absent,
}

/// What every operator says of itself. Nothing has a default, so that none forgets it.
trait Form {
    /// The values made, for at least one tensor read. `see` is shown them before an activation.
    fn evaluate(&self, x: &[&[f64]], see: &mut dyn FnMut(&[f64])) -> Result<Vec<f64>, NoValues>;

    /// Chooses the output's scale from those of the inputs, and from its own, which holds the values that were observed. The
    /// shift of the node.
    fn scale(&self, inputs: &[TensorId], output: TensorId, scales: &mut Scales) -> u8;

    /// The operator of the integer graph, and its output's range.
    fn quantise(&self, place: &Place<'_>, tables: &mut TableList) -> Result<(Op, IntRange), QuantiseError>;

    /// Number of coefficients and indices that it keeps in memory.
    fn kept(&self) -> usize;

    /// Number of multiplications for an output of so many values.
    fn multiplications(&self, output_len: usize) -> u64;

    /// `(a, b)` where every value is `a·x + b` of the one tensor read, value by value.
    fn scaling(&self) -> Option<(f64, f64)>;
}

impl FloatOp {
    fn form<R>(&self, ask: impl FnOnce(&dyn Form) -> R) -> R {
        match self {
            Self::Linear { map, activation } => ask(&linear::Linear {
                map,
                activation: *activation,
            }),
            Self::Max { windows } => ask(&max::Max { windows }),
            Self::Product { product } => ask(&product::Multiply { product: *product }),
            Self::Step { map } => ask(&step::Step { map }),
            Self::Wiring { source } => ask(&wiring::Wiring {
                source: source.as_deref(),
            }),
            Self::Function { function } => ask(&table::Lookup { function }),
        }
    }

    pub(crate) fn evaluate(&self, x: &[&[f64]], see: &mut dyn FnMut(&[f64])) -> Result<Vec<f64>, NoValues> {
        self.form(|f| f.evaluate(x, see))
    }

    pub(crate) fn scale(&self, inputs: &[TensorId], output: TensorId, scales: &mut Scales) -> u8 {
        self.form(|f| f.scale(inputs, output, scales))
    }

    pub(crate) fn quantise(
        &self,
        place: &Place<'_>,
        tables: &mut TableList,
    ) -> Result<(Op, IntRange), QuantiseError> {
        self.form(|f| f.quantise(place, tables))
    }

    pub(crate) fn kept(&self) -> usize {
        self.form(|f| f.kept())
    }

    pub(crate) fn multiplications(&self, output_len: usize) -> u64 {
        self.form(|f| f.multiplications(output_len))
    }

    pub(crate) fn scaling(&self) -> Option<(f64, f64)> {
        self.form(|f| f.scaling())
    }

    /// The function that it is.
    pub(crate) fn function(&self) -> Option<&Function> {
        match self {
            Self::Function { function } => Some(function),
            Self::Linear { .. }
            | Self::Max { .. }
            | Self::Product { .. }
            | Self::Step { .. }
            | Self::Wiring { .. } => None,
        }
    }

    /// The same values, each held by a requantisation of its own.
    pub(crate) fn guard(len: usize) -> Self {
        Self::Linear {
            map: FloatMap::Affine {
                outer: 1,
                channels: 1,
                // A tensor's length fits.
                inner: len as u32,
                scale: vec![1.0],
                bias: vec![0.0],
            },
            activation: Activation::Identity,
        }
    }

    /// Whether it is one.
    pub(crate) fn is_guard(&self) -> bool {
        match self {
            Self::Linear { map, activation } => {
                let affine = matches!(map, FloatMap::Affine { .. });
                affine && map.weight() == [1.0] && map.bias() == [0.0] && *activation == Activation::Identity
            }
            Self::Max { .. }
            | Self::Product { .. }
            | Self::Step { .. }
            | Self::Wiring { .. }
            | Self::Function { .. } => false,
        }
    }
}
