//! What identities claim of comparisons, quotients and rounding.
//!
//! Invariant: each function here gives the one number that its name says, whoever fills in the sheet. Beside each stands why.

use crate::sheet::{Expr, LIMB_BITS, Number, Sheet, Sum, zip};

/// A comparison.
#[derive(Debug, Clone)]
pub(crate) struct Compared {
    /// 1 where the first is at least the second, else 0.
    pub(crate) flag: Number,
    /// By how much it is more; where it is less, by how much, less 1.
    pub(crate) gap: Number,
}

impl Compared {
    /// `max(0, a - b)`.
    pub(crate) fn over(&self) -> Expr {
        self.flag.by(&self.gap)
    }

    /// `max(0, b - a)`.
    pub(crate) fn under(&self) -> Expr {
        let values = zip(&self.flag.values, &self.gap.values, |flag, gap| match flag {
            0 => gap + 1,
            _ => 0,
        });
        let sum = self.gap.sum() + Sum::constant(1) - self.flag.sum() - self.over().sum;
        Expr { sum, values }
    }
}

impl Sheet {
    /// A number that is 0 or 1: `b² = b`.
    pub(crate) fn flag(&mut self, name: &'static str, values: Vec<u128>) -> Number {
        let flag = self.number(name, values, 1);
        self.zero(name, &(flag.by(&flag).sum - flag.sum()));
        flag
    }

    /// Whether `a >= b`. `a - b = gap` for a flag of 1, `a - b = -1 - gap` for 0: since a gap is not negative, the sign of `a - b`
    /// has one flag, and then one gap.
    pub(crate) fn compare(&mut self, name: &'static str, a: &Expr, b: &Expr, bits: u32) -> Compared {
        let flag = self.flag(name, zip(&a.values, &b.values, |a, b| u128::from(a >= b)));
        let gap = zip(&a.values, &b.values, |a, b| match a.checked_sub(b) {
            Some(gap) => gap,
            None => b - a - 1,
        });
        let gap = self.number(name, gap, bits);
        let right = flag.by(&gap).sum * 2 - gap.sum() + flag.sum() - Sum::constant(1);
        self.zero(name, &(a.sum.clone() - b.sum.clone() - right));
        Compared { flag, gap }
    }

    /// Claims `a <= b`: what is missing is not negative.
    pub(crate) fn at_most(&mut self, name: &'static str, a: &Expr, b: &Expr, bits: u32) {
        let missing = self.number(name, zip(&a.values, &b.values, |a, b| b.saturating_sub(a)), bits);
        self.zero(name, &(a.sum.clone() + missing.sum() - b.sum.clone()));
    }

    /// `floor(a / by)` for a constant, and what is left: `a = q · by + rest` with `rest < by` has one solution.
    pub(crate) fn floor(&mut self, name: &'static str, a: &Expr, by: u64, bits: u32) -> (Number, Number) {
        let by = u128::from(by);
        let quotient = self.number(name, a.values.iter().map(|a| a / by).collect(), bits);
        let width = 128 - (by - 1).leading_zeros();
        let rest = self.number(name, a.values.iter().map(|a| a % by).collect(), width);
        let whole = quotient.sum() * by as i128 + rest.sum();
        self.zero(name, &(a.sum.clone() - whole));
        // A power of 2^13 is what its limbs cannot reach.
        if !(by.is_power_of_two() && width.is_multiple_of(LIMB_BITS)) {
            let most = self.constant(by - 1);
            self.at_most(name, &rest.expr(), &most, width);
        }
        (quotient, rest)
    }

    /// `floor(a / by)` for what is not 0: as [`Sheet::floor`], with `rest + 1 <= by`, which a `by` of 0 has not.
    pub(crate) fn quotient(&mut self, name: &'static str, a: &Expr, by: &Number, bits: u32) -> Number {
        let (quotient, rest) = self.divided(name, a, by, bits);
        let one = self.constant(1);
        self.at_most(name, &rest.expr().plus(&one), &by.expr(), limbs(by));
        quotient
    }

    /// `floor(a / by)` where `by` is not 0, and 0 where both are 0. Where only `by` is 0, there is none.
    ///
    /// `rest + 1 <= by + none`, `none · by = 0` and `none · q = 0`: where `by` is not 0, `none` is 0, and this is
    /// [`Sheet::quotient`]; where it is 0, `none` has to be 1, so that `q` and with it `a` are 0.
    pub(crate) fn quotient_or_zero(
        &mut self,
        name: &'static str,
        a: &Expr,
        by: &Number,
        bits: u32,
    ) -> Number {
        let (quotient, rest) = self.divided(name, a, by, bits);
        let none = by.values.iter().map(|by| u128::from(*by == 0)).collect();
        let none = self.flag(name, none);
        self.zero(name, &none.by(by).sum);
        self.zero(name, &none.by(&quotient).sum);
        let one = self.constant(1);
        self.at_most(
            name,
            &rest.expr().plus(&one),
            &by.expr().plus(&none.expr()),
            limbs(by),
        );
        quotient
    }

    fn divided(&mut self, name: &'static str, a: &Expr, by: &Number, bits: u32) -> (Number, Number) {
        let both =
            |f: fn(u128, u128) -> Option<u128>| zip(&a.values, &by.values, |a, b| f(a, b).unwrap_or(0));
        let quotient = self.number(name, both(u128::checked_div), bits);
        let rest = self.number(name, both(u128::checked_rem), limbs(by));
        self.zero(name, &(a.sum.clone() - quotient.by(by).sum - rest.sum()));
        (quotient, rest)
    }

    /// `a / by`, rounded to the nearest, ties to even, as IEEE 754 does; `times(q)` is `q · by`, and `by` is not 0.
    ///
    /// With `t = 2a - 2q·by + by`, `0 <= t <= 2by` says that `q` is at most ½ away. An odd `q` may not be exactly ½ away: `t - 1` and
    /// `2by - 1 - t` are not negative either. One `q` is left: two neighbours are never both even.
    pub(crate) fn nearest(
        &mut self,
        name: &'static str,
        a: &Expr,
        (by, by_bits): (&Expr, u32),
        bits: u32,
        times: impl FnOnce(&Number) -> Sum,
    ) -> Number {
        let values = zip(&a.values, &by.values, |a, by| {
            let (down, rest) = (a.checked_div(by).unwrap_or(0), a.checked_rem(by).unwrap_or(0));
            let up = 2 * rest > by || (2 * rest == by && by > 0 && down % 2 == 1);
            down + u128::from(up)
        });
        let quotient = self.number(name, values, bits);
        let odd = self.flag(name, quotient.values.iter().map(|q| q % 2).collect());
        let half = self.number(name, quotient.values.iter().map(|q| q / 2).collect(), bits);
        self.zero(name, &(quotient.sum() - half.sum() * 2 - odd.sum()));
        let width = by_bits + 1;
        let over: Vec<u128> = (0..self.rows())
            .map(|row| {
                let (a, by, q) = (a.values[row], by.values[row], quotient.values[row]);
                (2 * a + by).saturating_sub(2 * q * by + odd.values[row])
            })
            .collect();
        let over = self.number(name, over, width);
        let distance = a.sum.clone() * 2 - times(&quotient) * 2 + by.sum.clone();
        self.zero(name, &(distance - over.sum() - odd.sum()));
        let taken = over.expr().plus(&odd.expr().times(2));
        self.at_most(name, &taken, &by.clone().times(2), width);
        quotient
    }
}

/// All bits of a number's limbs.
fn limbs(number: &Number) -> u32 {
    number.limbs.len() as u32 * LIMB_BITS
}
