//! The operators of the integer graph: each is one file here, one of the compiler's, and one line of the list below.
//!
//! Invariant: an operator's file says all that is known of it in integers: its parameters, which tensors it fits, what it
//! computes, what it is claimed as, and what it costs. Nothing outside asks which operator a node is.
//!
//! What a node is claimed as is an operator (`claimed`): itself, where it has a relation of its own, in whose file
//! ([`relations`](crate::relations)) it is said what is claimed; else the one that it is a case of.

mod linear;
mod max;
mod product;
mod rows;
mod table;
mod wiring;

use serde::{Deserialize, Serialize};

pub use self::linear::Linear;
pub use self::max::{Max, Windows};
pub use self::product::Multiply;
pub use self::rows::{Rows, range_of_rows};
pub(crate) use self::rows::{range_of_constant, rows_at};
pub use self::table::Lookup;
pub use self::wiring::Wiring;
use super::linear::GeometryError;
use super::requantise::{MAX_SHIFT, Requantise};
use super::table::TableRef;
use super::tensor::{IntRange, TensorInfo};

/// The closed list of the operators: a variant, the file in this folder and in the compiler's, the type there. Handed to a macro
/// of the caller's, here for [`Op`], in the compiler for the same operators on floats, so that neither can lack one.
#[doc(hidden)]
#[macro_export]
macro_rules! operators {
    ($make:ident) => {
        $make! {
            /// A linear map with constant coefficients, then an activation; requantised in integers.
            Linear(linear::Linear),
            /// The maximum of windows.
            Max(max::Max),
            /// A product of two tensors; requantised in integers.
            Product(product::Multiply),
            /// Rows of a constant at given places.
            Rows(rows::Rows),
            /// A function of one value, by its rows in integers.
            Table(table::Lookup),
            /// Values moved.
            Wiring(wiring::Wiring),
        }
    };
}

/// [`Op`], and the match that names every operator.
macro_rules! integer_operators {
    ($($(#[$doc:meta])* $variant:ident($file:ident::$form:ident),)*) => {
        /// What a node does.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Op {
            $($(#[$doc])* $variant($file::$form),)*
        }

        impl Op {
            fn operator(&self) -> &dyn Operator {
                match self {
                    $(Self::$variant(op) => op,)*
                }
            }
        }
    };
}

operators!(integer_operators);

/// What an operator sees of the graph around it.
pub(super) struct Site<'g> {
    /// Of the graph.
    pub tables: &'g [TableRef],
    /// The tensors read, in the operator's order.
    pub inputs: Vec<&'g TensorInfo>,
    /// The tensor made.
    pub output: &'g TensorInfo,
}

impl<'g> Site<'g> {
    /// The tensor read by an operator that reads one.
    fn one_input(&self) -> Result<&'g TensorInfo, Misfit> {
        match self.inputs[..] {
            [input] => Ok(input),
            _ => Err(Misfit::Reason("the operator reads exactly one tensor")),
        }
    }

    /// Limits of a requantisation; the output has its range.
    fn check_requantise(&self, requantise: Requantise) -> Result<(), Misfit> {
        let Requantise {
            shift,
            bits,
            activation: _,
        } = requantise;
        if !(2..=IntRange::MAX_BITS).contains(&bits) {
            return Err(Misfit::Reason("the quotient is not 2..=32 bits wide"));
        }
        if shift > MAX_SHIFT || bits + shift > 60 {
            return Err(Misfit::Reason(
                "the shift is above 40, or bits and shift together above 60",
            ));
        }
        if self.output.range == requantise.output_range() {
            Ok(())
        } else {
            Err(Misfit::Reason("the output's range is not the requantisation's"))
        }
    }

    /// The same, with the output's range and exponent.
    fn one_like_output(&self) -> Result<&'g TensorInfo, Misfit> {
        let input = self.one_input()?;
        if (input.range, input.exponent) == (self.output.range, self.output.exponent) {
            Ok(input)
        } else {
            Err(Misfit::Reason(
                "range and exponent of the output are not the input's",
            ))
        }
    }
}

/// Why an operator does not fit its tensors.
pub(super) enum Misfit {
    /// In words.
    Reason(&'static str),
    /// A linear map of other sizes.
    Geometry(GeometryError),
    /// An accumulator could reach 2^62.
    Overflow,
}

/// A value that leaves its calibrated range: the operator has no output.
pub(super) struct OutOfRange {
    /// The quotient before the activation.
    pub value: i64,
    /// Least accepted quotient.
    pub lo: i64,
    /// Greatest accepted quotient.
    pub hi: i64,
}

impl OutOfRange {
    /// What a requantisation makes of accumulators.
    fn requantised(requantise: Requantise, mut accumulators: Vec<i64>) -> Result<Vec<i64>, Self> {
        let quotients = IntRange::signed(requantise.bits);
        for v in &mut accumulators {
            let value = requantise.quotient(*v);
            if !quotients.contains(value) {
                let (lo, hi) = (quotients.lo(), quotients.hi());
                return Err(Self { value, lo, hi });
            }
            *v = requantise.activation.of(value);
        }
        Ok(accumulators)
    }
}

/// What every operator says of itself. Nothing has a default, so that none forgets it.
trait Operator {
    /// For people.
    fn name(&self) -> &'static str;

    /// Whether it fits its tensors. Afterwards [`Operator::evaluate`] leaves no tensor and overflows no integer.
    fn check(&self, site: &Site<'_>) -> Result<(), Misfit>;

    /// The output, in plain loops: the specification.
    fn evaluate(&self, x: &[&[i64]], tables: &[TableRef]) -> Result<Vec<i64>, OutOfRange>;

    /// Number of its coefficients and indices.
    fn kept(&self) -> usize;

    /// Number of multiplications for an output of so many values.
    fn multiplications(&self, output_len: usize) -> u64;

    /// Constant coefficients that a verifier evaluates, the biases left out; rows of tables are counted with the tables.
    fn weights(&self) -> usize;

    /// The place of the table that it reads.
    fn table(&self) -> Option<u32>;

    /// Whether it computes nothing: every value that it makes is one that it reads or keeps.
    fn moves(&self) -> bool;
}

impl Op {
    /// Its name, for people.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.operator().name()
    }

    /// Constant coefficients that a verifier evaluates, the biases left out. Rows of its table are not among them: slices and
    /// graphs have a table once, however often it is read.
    #[must_use]
    pub fn weights(&self) -> usize {
        self.operator().weights()
    }

    /// The place in [`IntGraph::tables`](super::IntGraph::tables) of the table that it reads.
    #[must_use]
    pub fn table(&self) -> Option<u32> {
        self.operator().table()
    }

    /// Whether it computes nothing: every value that it makes is one that it reads or keeps. A slice of nothing else would prove
    /// nothing.
    #[must_use]
    pub fn moves(&self) -> bool {
        self.operator().moves()
    }

    pub(super) fn check(&self, site: &Site<'_>) -> Result<(), Misfit> {
        self.operator().check(site)
    }

    pub(super) fn evaluate(&self, x: &[&[i64]], tables: &[TableRef]) -> Result<Vec<i64>, OutOfRange> {
        self.operator().evaluate(x, tables)
    }

    pub(super) fn kept(&self) -> usize {
        self.operator().kept()
    }

    pub(super) fn multiplications(&self, output_len: usize) -> u64 {
        self.operator().multiplications(output_len)
    }
}
