//! The field, its extension, and multilinear extensions over them.
//!
//! Conventions: a point's first coordinate belongs to the most significant bit of an index. `eq(p, i)` is the product over
//! the bits of `p_j` where the bit is set and `1 − p_j` where it is not; the MLE of a vector at `p` is `Σ_i eq(p, i) · v_i`.

use std::iter::Sum;
use std::ops::{Add, Mul, Sub};

use p3_field::extension::CubicTrinomialExtensionField;
use p3_field::{BasedVectorSpace, PrimeCharacteristicRing, PrimeField64};
use p3_goldilocks::Goldilocks;

/// Values, weights, columns: p = 2^64 − 2^32 + 1.
pub(super) type F = Goldilocks;

/// Challenges and claims: 192 bits, so that every algebraic error here is below 2^-150.
pub(super) type EF = CubicTrinomialExtensionField<Goldilocks>;

/// Coefficients of an extension element.
pub(super) const DEGREE: usize = 3;

/// Bytes of an extension element in a proof.
pub(super) const EF_BYTES: usize = 8 * DEGREE;

/// The field element of a signed integer.
pub(super) fn signed(value: i64) -> F {
    let magnitude = F::from_u64(value.unsigned_abs());
    if value < 0 { -magnitude } else { magnitude }
}

/// What an identity between columns is written in: [`EF`] for a verifier, who has their MLEs at a point, and [`F`] for cells. Tests
/// have small prime fields besides, in which they try every value of every column.
pub(super) trait Ring:
    Copy + PartialEq + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Sum
{
    /// The element of an integer.
    fn integer(value: i64) -> Self;

    /// `self · factor`.
    fn times(self, factor: i64) -> Self;
}

impl Ring for F {
    fn integer(value: i64) -> Self {
        signed(value)
    }

    fn times(self, factor: i64) -> Self {
        self * signed(factor)
    }
}

impl Ring for EF {
    fn integer(value: i64) -> Self {
        signed(value).into()
    }

    fn times(self, factor: i64) -> Self {
        self * signed(factor)
    }
}

/// How many bits may be expressed modulo a prime: a number of so many bits, less one below 2^reach in absolute value and an offset
/// below 2^reach, is below the prime in absolute value. So it is 0 if it is 0 modulo the prime.
pub(super) const fn reach(modulus: u64) -> u32 {
    modulus.ilog2() - 1
}

/// 2^exponent.
pub(super) fn power_of_two(exponent: u32) -> F {
    F::TWO.exp_u64(u64::from(exponent))
}

/// `eq(point, i)` for every `i` below `2^len`.
pub(super) fn eq_table(point: &[EF]) -> Vec<EF> {
    eq_table_below(point, 1 << point.len())
}

/// `eq(point, i)` for every `i < len`.
pub(super) fn eq_table_below(point: &[EF], len: usize) -> Vec<EF> {
    let mut table = Vec::with_capacity(len.max(1));
    table.push(EF::ONE);
    for (j, &p) in point.iter().enumerate() {
        // Prefixes that no index below `len` has are dropped.
        let wanted = len.div_ceil(1 << (point.len() - 1 - j));
        let mut next = Vec::with_capacity(wanted + 1);
        for &e in &table {
            let high = e * p;
            next.push(e - high);
            next.push(high);
        }
        next.truncate(wanted);
        table = next;
    }
    table
}

/// `Σ_{i < len} Π_j f_j(bit_j of i)` for `factors[j] = (f_j(0), f_j(1))`, first bit most significant: the range is cut into
/// at most one dyadic interval per bit.
fn product_sum_below(factors: &[(EF, EF)], len: usize) -> EF {
    if len >= 1 << factors.len() {
        return factors.iter().map(|f| f.0 + f.1).product();
    }
    // Product of the whole cube on the coordinates from j on.
    let mut free = vec![EF::ONE; factors.len() + 1];
    for (j, f) in factors.iter().enumerate().rev() {
        free[j] = free[j + 1] * (f.0 + f.1);
    }
    let (mut sum, mut fixed) = (EF::ZERO, EF::ONE);
    for (j, f) in factors.iter().enumerate() {
        if (len >> (factors.len() - 1 - j)) & 1 == 1 {
            sum += fixed * f.0 * free[j + 1];
            fixed *= f.1;
        } else {
            fixed *= f.0;
        }
    }
    sum
}

/// `Σ_{i < len} eq(point, i)`: the MLE of the indicator of `[0, len)`.
pub(super) fn indicator(point: &[EF], len: usize) -> EF {
    let factors: Vec<_> = point.iter().map(|&p| (EF::ONE - p, p)).collect();
    product_sum_below(&factors, len)
}

/// `Σ_{i < len} eq(a, i) · eq(b, i)`.
pub(super) fn agreement(a: &[EF], b: &[EF], len: usize) -> EF {
    let factors = a.iter().zip(b);
    let factors: Vec<_> = factors
        .map(|(&a, &b)| ((EF::ONE - a) * (EF::ONE - b), a * b))
        .collect();
    product_sum_below(&factors, len)
}

/// `eq(a, b)`, extended to both arguments.
pub(super) fn eq_at(a: &[EF], b: &[EF]) -> EF {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| {
            let ab = a * b;
            ab + ab + EF::ONE - a - b
        })
        .product()
}

/// The MLE of `i ↦ i` at a point.
pub(super) fn index_at(point: &[EF]) -> EF {
    point.iter().fold(EF::ZERO, |acc, &p| acc.double() + p)
}

/// `Σ_i weights_i · values_i` with base-field values.
pub(super) fn dot_base(weights: &[EF], values: &[F]) -> EF {
    let mut sum = EF::ZERO;
    for (&w, &v) in weights.iter().zip(values) {
        sum += w * v;
    }
    sum
}

/// `Σ_i weights_i · values_i` of extension elements.
pub(super) fn dot(weights: &[EF], values: &[EF]) -> EF {
    let mut sum = EF::ZERO;
    for (&w, &v) in weights.iter().zip(values) {
        sum += w * v;
    }
    sum
}

/// Most terms that an [`IntegerSum`] takes before it is reduced, and the bound on their integers.
const CHUNK: usize = 1 << 10;
const SMALL: u64 = 1 << 52;

/// Lazily reduced coefficients of `Σ element · integer`: a coefficient is below 2^64, an integer below [`SMALL`], so
/// [`CHUNK`] products stay below 2^126. So do 2^22 products, more than a tensor has values, where integers are below 2^40.
#[derive(Clone, Copy, Default)]
pub(super) struct IntegerSum([i128; DEGREE]);

impl IntegerSum {
    #[inline(always)]
    pub(super) fn add(&mut self, coefficients: [u64; DEGREE], integer: i64) {
        for (sum, c) in self.0.iter_mut().zip(coefficients) {
            *sum = sum.wrapping_add(i128::from(c).wrapping_mul(i128::from(integer)));
        }
    }

    pub(super) fn reduce(self) -> EF {
        EF::from_basis_coefficients_fn(|i| {
            let magnitude = F::from_u128(self.0[i].unsigned_abs());
            if self.0[i] < 0 { -magnitude } else { magnitude }
        })
    }
}

/// The coefficients as integers.
#[inline(always)]
pub(super) fn coefficients(x: &EF) -> [u64; DEGREE] {
    let c: &[F] = x.as_basis_coefficients_slice();
    [
        c[0].as_canonical_u64(),
        c[1].as_canonical_u64(),
        c[2].as_canonical_u64(),
    ]
}

fn small(values: &[i64]) -> bool {
    values.iter().fold(0, |all, v| all | v.unsigned_abs()) < SMALL
}

/// `Σ_i weights_i · values_i` with integer values.
pub(super) fn dot_integers(weights: &[EF], values: &[i64]) -> EF {
    let mut total = EF::ZERO;
    for (weights, values) in weights.chunks(CHUNK).zip(values.chunks(CHUNK)) {
        if small(values) {
            let mut sum = IntegerSum::default();
            for (w, &v) in weights.iter().zip(values) {
                sum.add(coefficients(w), v);
            }
            total += sum.reduce();
        } else {
            for (&w, &v) in weights.iter().zip(values) {
                total += w * signed(v);
            }
        }
    }
    total
}

/// `Σ_r weights_r · matrix[r, ·]` of a row-major integer matrix with `columns` columns.
pub(super) fn combine_rows(weights: &[EF], matrix: &[i64], columns: usize) -> Vec<EF> {
    let mut total = vec![EF::ZERO; columns];
    if columns == 0 {
        return total;
    }
    for (weights, rows) in weights.chunks(CHUNK).zip(matrix.chunks(CHUNK * columns)) {
        if small(rows) {
            let mut sums = vec![IntegerSum::default(); columns];
            for (w, row) in weights.iter().zip(rows.chunks(columns)) {
                let w = coefficients(w);
                for (sum, &v) in sums.iter_mut().zip(row) {
                    sum.add(w, v);
                }
            }
            for (total, sum) in total.iter_mut().zip(sums) {
                *total += sum.reduce();
            }
        } else {
            for (&w, row) in weights.iter().zip(rows.chunks(columns)) {
                for (total, &v) in total.iter_mut().zip(row) {
                    *total += w * signed(v);
                }
            }
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn element(seed: u64) -> EF {
        EF::from_basis_coefficients_fn(|i| {
            F::from_u64(
                seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    .rotate_left(i as u32 * 21),
            )
        })
    }

    proptest! {
        #[test]
        fn closed_forms_agree_with_their_sums(v in 0usize..7, seed in any::<u64>(), len in 0usize..130) {
            let point: Vec<EF> = (0..v as u64).map(|i| element(seed ^ i)).collect();
            let table = eq_table(&point);
            let len = len.min(table.len());
            prop_assert_eq!(indicator(&point, len), table[..len].iter().copied().sum::<EF>());
            prop_assert_eq!(&eq_table_below(&point, len.max(1))[..], &table[..len.max(1)]);
            let values: Vec<F> = (0..table.len()).map(|i| F::from_u64(i as u64)).collect();
            prop_assert_eq!(index_at(&point), dot_base(&table, &values));
        }

        #[test]
        fn integer_sums_agree_with_field_sums(seed in any::<u64>(), values in proptest::collection::vec(any::<i64>(), 0..40), shift in 0u32..40) {
            let values: Vec<i64> = values.iter().map(|v| v >> shift).collect();
            let weights: Vec<EF> = (0..values.len() as u64).map(|i| element(seed ^ i)).collect();
            let expected: EF = weights.iter().zip(&values).map(|(&w, &v)| w * signed(v)).sum();
            prop_assert_eq!(dot_integers(&weights, &values), expected);
            let half = values.len() / 2;
            let rows = combine_rows(&weights[..2.min(weights.len())], &values[..half * 2], half);
            for (i, sum) in rows.iter().enumerate() {
                prop_assert_eq!(*sum, weights[0] * signed(values[i]) + weights[1] * signed(values[half + i]));
            }
        }
    }
}
