//! A function's table, from the integers of a plan.
//!
//! Invariant: `T[v] = clamp(round(f(v · 2^-e_in) · 2^e_out))`, half up, the clamp being that of a signed number of so many bits;
//! whether some row is the clamp's end and not the function is said, so that nobody takes one for the other.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use zkml::graph::table::{MAX_ROWS, MAX_TOTAL_ROWS};
use zkml::graph::{IntRange, Table, TableRef};

use super::Function;
use super::fixed::Argument;

/// Exponents of the argument that the integer arithmetic is made for.
pub(crate) const EXPONENTS_IN: RangeInclusive<i16> = -8..=48;
/// Exponents of the value: from the least that a profile has, of which what has no value is still far beyond 32 bits.
pub(crate) const EXPONENTS_OUT: RangeInclusive<i16> = -24..=24;
/// Widest index of a table, in bits.
pub const MAX_BITS: u8 = MAX_ROWS.ilog2() as u8;
/// Bits of a value.
const VALUE_BITS: RangeInclusive<u8> = 2..=32;

/// Why a function has no table for a plan's integers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FunctionError {
    /// Too many rows.
    #[error("a function's argument has {0} bits, and a table has rows for {MAX_BITS} at most")]
    Index(u8),
    /// A scale outside the limits of the arithmetic.
    #[error("the exponent of a function's {what} is {got}, and its table is made for {min} to {max}")]
    Exponent {
        /// Which.
        what: &'static str,
        /// The plan's.
        got: i16,
        /// The least.
        min: i16,
        /// The greatest.
        max: i16,
    },
    /// More rows than a graph may have.
    #[error(
        "the tables of the model's functions have more than {MAX_TOTAL_ROWS} rows together; a narrower profile makes fewer"
    )]
    Total,
    /// A width outside the limits.
    #[error("a function's value has {0} bits, and its table is made for 2 to 32")]
    Width(u8),
}

/// A table and what was lost in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// The table.
    pub table: TableRef,
    /// The range of its values.
    pub range: IntRange,
    /// Whether some row is the end of the clamp instead of the function's value.
    pub clamped: bool,
}

/// What tables have been made for, so that each is made once, and no more of them than a graph may have.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    made: BTreeMap<(String, u8, bool, i16, i16, u8), Rows>,
    total: usize,
}

impl Tables {
    /// As [`Function::rows`].
    ///
    /// # Errors
    /// As there, and more rows in all than a graph may have.
    pub(crate) fn rows(
        &mut self,
        function: &Function,
        index: IntRange,
        e_in: i16,
        (e_out, bits): (i16, u8),
    ) -> Result<Rows, FunctionError> {
        let key = (function.name(), index.bits, index.signed, e_in, e_out, bits);
        if let Some(made) = self.made.get(&key) {
            return Ok(made.clone());
        }
        if self.total > MAX_TOTAL_ROWS {
            return Err(FunctionError::Total);
        }
        let made = function.rows(index, e_in, e_out, bits)?;
        self.total += made.table.rows();
        self.made.insert(key, made.clone());
        if self.total > MAX_TOTAL_ROWS {
            return Err(FunctionError::Total);
        }
        Ok(made)
    }
}

impl Function {
    /// The table over all of `index`, whose values stand for `v · 2^-e_in`, with values of `bits` bits that stand for
    /// `v · 2^-e_out`.
    ///
    /// # Errors
    /// Integers outside the limits of the arithmetic.
    pub fn rows(&self, index: IntRange, e_in: i16, e_out: i16, bits: u8) -> Result<Rows, FunctionError> {
        if index.bits > MAX_BITS {
            return Err(FunctionError::Index(index.bits));
        }
        within("argument", e_in, EXPONENTS_IN)?;
        within("value", e_out, EXPONENTS_OUT)?;
        if !VALUE_BITS.contains(&bits) {
            return Err(FunctionError::Width(bits));
        }
        let ends = IntRange::signed(bits);
        let mut clamped = false;
        let mut row = |v: i64| {
            let argument = Argument {
                v: v.into(),
                exponent: e_in.into(),
            };
            let value = (self.rule.exact)(argument, &self.parameters);
            let nearest = value.rounded(e_out.into());
            let inside = nearest.filter(|v| ends.contains(*v));
            clamped |= inside.is_none();
            let end = if value.numerator < 0 { ends.lo() } else { ends.hi() };
            inside.unwrap_or(end)
        };
        let column: Arc<[i64]> = (index.lo()..=index.hi()).map(&mut row).collect();
        let table = Table {
            name: format!("{} of 2^-{e_in} to 2^-{e_out}, {bits} bits", self.name()),
            first: index.lo(),
            columns: vec![column],
        };
        // Every value has at most 32 bits, so that there is a range.
        let range = table.column_range(0).ok_or(FunctionError::Width(bits))?;
        Ok(Rows {
            table: TableRef::new(table),
            range,
            clamped,
        })
    }

    /// The greatest absolute value that it takes in floats over all of `index`.
    pub(crate) fn reach(&self, index: IntRange, e_in: i16) -> f64 {
        let step = zkml::graph::scale::power_of_two(-i32::from(e_in));
        let values = (index.lo()..=index.hi()).map(|v| self.of(v as f64 * step).abs());
        values.fold(0.0, f64::max)
    }
}

fn within(what: &'static str, got: i16, limits: RangeInclusive<i16>) -> Result<(), FunctionError> {
    if limits.contains(&got) {
        return Ok(());
    }
    Err(FunctionError::Exponent {
        what,
        got,
        min: *limits.start(),
        max: *limits.end(),
    })
}
