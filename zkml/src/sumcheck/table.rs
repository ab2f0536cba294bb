//! Lookup tables: what a row holds, and the row's MLE in closed form.
//!
//! A table of width `w` has the rows `(v, second(v))` for `v` in `[0, 2^w)`, repeated until there are `2^MIN_ARITY`.
//! Repeated rows are rows of the table, so no row is padding and a multiplicity can stand on any of them: the values that
//! a column may take are exactly `[0, 2^w)`. A verifier needs `O(w)` operations and no memory for a table.

use p3_field::PrimeCharacteristicRing;
use serde::Serialize;

use super::axes::MIN_ARITY;
use super::field::{EF, index_at};

/// The function that a table relates its values to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum Function {
    /// `second = 0`: membership alone.
    Range,
    /// `second = max(v − 2^(w−1), 0)`: the rectified value of an offset quotient.
    Relu,
    /// `second` = the top bit: whether an offset quotient is not negative.
    Sign,
}

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Table {
    pub(super) function: Function,
    pub(super) width: u32,
}

impl Table {
    /// The tag that sets its rows apart from every other table's: injective, and below 2^10.
    pub(super) fn tag(self) -> u64 {
        let function = match self.function {
            Function::Range => 1,
            Function::Relu => 2,
            Function::Sign => 3,
        };
        function << 8 | u64::from(self.width)
    }

    /// log2 of the number of rows, repeated ones included.
    pub(super) fn arity(self) -> usize {
        (self.width as usize).max(MIN_ARITY)
    }

    /// The second part of the row of `value`.
    pub(super) fn second(self, value: u64) -> u64 {
        let half = 1 << (self.width - 1);
        match self.function {
            Function::Range => 0,
            Function::Relu => value.saturating_sub(half),
            Function::Sign => u64::from(value >= half),
        }
    }

    /// The MLEs of value and second part over the rows, at a point of [`Table::arity`] coordinates. Row `j` is that of
    /// `j mod 2^w`, so the leading coordinates of a narrow table do not matter.
    pub(super) fn at(self, point: &[EF]) -> (EF, EF) {
        let point = &point[point.len() - self.width as usize..];
        let second = match (self.function, point.split_first()) {
            (Function::Range, _) | (_, None) => EF::ZERO,
            // Multilinear: the top coordinate times the index that the others form.
            (Function::Relu, Some((&top, low))) => top * index_at(low),
            (Function::Sign, Some((&top, _))) => top,
        };
        (index_at(point), second)
    }
}

#[cfg(test)]
mod tests {
    use super::super::field::{F, dot_base, eq_table};
    use super::*;

    #[test]
    fn closed_forms_are_the_rows() {
        for function in [Function::Range, Function::Relu, Function::Sign] {
            for width in 1..=7 {
                let table = Table { function, width };
                let point: Vec<EF> = (0..table.arity())
                    .map(|i| EF::from(F::from_usize(i * 31 + 7)))
                    .collect();
                let rows = (0..1u64 << table.arity()).map(|j| j & ((1 << width) - 1));
                let (values, seconds): (Vec<F>, Vec<F>) = rows
                    .map(|v| (F::from_u64(v), F::from_u64(table.second(v))))
                    .unzip();
                let eq = eq_table(&point);
                assert_eq!(
                    table.at(&point),
                    (dot_base(&eq, &values), dot_base(&eq, &seconds))
                );
            }
        }
    }
}
