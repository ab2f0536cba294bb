//! Operators on floats, and how each becomes one of the integer graph: each is one file here. Which there are is said once, in the
//! list `zkml::operators!`.
//!
//! Invariant: an operator's file says all that the compiler knows of it: what it computes on floats, how its output's scale is
//! chosen, and which operator of the integer graph it is under a plan. What that one computes is said in `zkml::graph`.

mod floor;
mod quantising;
mod scales;
mod step;
mod transposed;

use zkml::graph::linear::GeometryError;
use zkml::graph::{IntRange, Op, TensorId};

pub use self::floor::Floor;
pub(crate) use self::linear::FEWEST_WEIGHT_BITS;
pub use self::linear::FloatMap;
pub use self::quantising::QuantiseError;
pub(crate) use self::quantising::{Place, TableList, scale_of};
pub(crate) use self::scales::{Scales, whole_range, whole_scale};
pub use self::step::Step;
use crate::functions::Function;
use crate::interval::Interval;

/// Declares the operators' files; [`FloatOp`], and the match that names every one.
macro_rules! float_operators {
    ($($(#[$doc:meta])* $variant:ident($file:ident::$form:ident),)*) => {
        $(
            mod $file;
            pub use self::$file::$form;
        )*

        /// What a node does, on floats.
        #[derive(Debug, Clone, PartialEq)]
        pub enum FloatOp {
            $($(#[$doc])* $variant($form),)*
            /// Whether a linear map is above 0; a linear map in integers, too.
            Step(Step),
            /// The whole part of a tensor; a linear map in integers, too.
            Floor(Floor),
        }

        impl FloatOp {
            fn form(&self) -> &dyn Form {
                match self {
                    $(Self::$variant(op) => op,)*
                    Self::Step(op) => op,
                    Self::Floor(op) => op,
                }
            }
        }
    };
}

zkml::operators!(float_operators);

/// No change, of tensors as long as these.
fn nothing(x: &[&[f64]]) -> Vec<Vec<f64>> {
    x.iter().map(|x| vec![0.0; x.len()]).collect()
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

    /// By tensor read, how `Σ of[t] · z[t]` changes with each of its values, `made` being `z` of `x`: 0 where it does so in steps.
    fn pull_back(&self, x: &[&[f64]], made: &[f64], of: &[f64]) -> Vec<Vec<f64>>;

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

    /// As what it reads its tensors, so many of them; where it hands their values on as they are, as what its own output is read.
    fn reads(&self, tensors: usize, made: Readers) -> Readers;

    /// Which whole numbers it makes of whole numbers that go so far; `None` where its own are not whole, or nothing is known of them.
    fn reach(&self, read: &[Interval]) -> Option<Interval>;

    /// Whether the plan says how wide its output is. It does not where that follows from what is read or kept.
    fn planned(&self) -> bool;

    /// What a wider value costs, in limbs; `None` where its tensor has another's width, or steps that are given.
    fn price(&self) -> Option<f64>;

    /// Whether a value beyond the range that samples gave its output is refused.
    fn requantises(&self) -> bool;

    /// Whether no program rounds what it makes: values that it reads, or yes and no.
    fn exact(&self) -> bool;
}

/// Who reads a tensor, through whatever hands its values on as they are; the first that one of the readers is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Readers {
    /// A table, by its rows.
    Table,
    /// Any.
    Any,
    /// Linear maps alone.
    Linear,
}

impl FloatOp {
    pub(crate) fn evaluate(&self, x: &[&[f64]], see: &mut dyn FnMut(&[f64])) -> Result<Vec<f64>, NoValues> {
        self.form().evaluate(x, see)
    }

    pub(crate) fn pull_back(&self, x: &[&[f64]], made: &[f64], of: &[f64]) -> Vec<Vec<f64>> {
        self.form().pull_back(x, made, of)
    }

    pub(crate) fn scale(&self, inputs: &[TensorId], output: TensorId, scales: &mut Scales) -> u8 {
        self.form().scale(inputs, output, scales)
    }

    pub(crate) fn quantise(
        &self,
        place: &Place<'_>,
        tables: &mut TableList,
    ) -> Result<(Op, IntRange), QuantiseError> {
        self.form().quantise(place, tables)
    }

    pub(crate) fn kept(&self) -> usize {
        self.form().kept()
    }

    pub(crate) fn multiplications(&self, output_len: usize) -> u64 {
        self.form().multiplications(output_len)
    }

    pub(crate) fn scaling(&self) -> Option<(f64, f64)> {
        self.form().scaling()
    }

    pub(crate) fn reads(&self, tensors: usize, made: Readers) -> Readers {
        self.form().reads(tensors, made)
    }

    pub(crate) fn reach(&self, read: &[Interval]) -> Option<Interval> {
        self.form().reach(read)
    }

    pub(crate) fn planned(&self) -> bool {
        self.form().planned()
    }

    pub(crate) fn price(&self) -> Option<f64> {
        self.form().price()
    }

    pub(crate) fn requantises(&self) -> bool {
        self.form().requantises()
    }

    pub(crate) fn exact(&self) -> bool {
        self.form().exact()
    }

    /// The function that it is.
    pub(crate) fn function(&self) -> Option<&Function> {
        if let Self::Table(Lookup { function }) = self {
            Some(function)
        } else {
            None
        }
    }

    /// The same values, each held by a requantisation of its own.
    pub(crate) fn guard(len: usize) -> Self {
        Self::Linear(Linear::guard(len))
    }

    /// Whether it is one.
    pub(crate) fn is_guard(&self) -> bool {
        matches!(self, Self::Linear(linear) if linear.is_guard())
    }
}
