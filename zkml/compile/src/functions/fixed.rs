//! Integer arithmetic of functions: 60 fraction bits unless a name says otherwise.
//!
//! Invariant: no float, no division by 0, and no number of 2^126 or more, for arguments within the limits of
//! [`Function::rows`](super::Function::rows). What is frozen is these steps, not "the nearest value": another step is another
//! version of the rules that use it. Shifts to the right are floors.

/// 1 at 60 fraction bits.
pub(super) const ONE: i128 = 1 << 60;
/// 1 at 44 fraction bits.
pub(super) const ONE_44: i128 = 1 << 44;

/// ⌊ln 2 · 2^100⌋.
const LN_2: i128 = 878_668_439_483_319_573_618_263_538_048;
/// ⌊π/2 · 2^96⌋.
const HALF_PI: i128 = 124_451_306_656_115_542_615_260_972_311;
/// ⌊π/2 · 2^60⌋.
pub(super) const HALF_PI_60: i128 = HALF_PI >> 36;
/// ⌊2/√π · 2^60⌋.
const TWO_OVER_ROOT_PI: i128 = 1_300_932_607_094_779_153;

/// `v · 2^-exponent`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Argument {
    /// At most 2^16 in absolute value.
    pub v: i128,
    /// From −8 to 48.
    pub exponent: i32,
}

impl Argument {
    /// The absolute value at so many fraction bits, times `factor`, which is not negative; `None` where that is 2^126 or more.
    pub(super) fn magnitude(self, factor: i128, bits: i32) -> Option<i128> {
        shifted(self.v.abs() * factor, bits - self.exponent)
    }
}

/// `numerator / (divisor · 2^fraction)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Value {
    /// Below 2^100 in absolute value.
    pub numerator: i128,
    pub divisor: u8,
    pub fraction: i32,
}

impl Value {
    pub(super) const fn new(numerator: i128, fraction: i32) -> Self {
        Self {
            numerator,
            divisor: 1,
            fraction,
        }
    }

    /// Less than any range has: of an argument that the function has no value for.
    pub(super) const fn below() -> Self {
        Self::new(-(1 << 90), 0)
    }

    /// With the other sign where it is asked for.
    pub(super) const fn signed(self, negative: bool) -> Self {
        let numerator = if negative { -self.numerator } else { self.numerator };
        Self { numerator, ..self }
    }

    /// The nearest multiple of `2^-exponent`, half up; `None` where it is 2^62 or more in absolute value.
    pub(super) fn rounded(self, exponent: i32) -> Option<i64> {
        let Self {
            numerator, fraction, ..
        } = self;
        let (divisor, shift) = (i128::from(self.divisor.max(1)), exponent - fraction);
        if numerator == 0 {
            return Some(0);
        }
        let (top, bottom) = if shift >= 0 {
            if numerator.unsigned_abs().ilog2() as i32 + shift > 66 {
                return None;
            }
            (numerator << shift, divisor)
        } else if shift < -101 {
            // Less than half of the last place.
            return Some(0);
        } else {
            (numerator, divisor << -shift)
        };
        let doubled = 2 * top + bottom;
        let nearest = match divisor {
            // The divisor is a power of two, by which a shift divides.
            1 => doubled >> (bottom.ilog2() + 1),
            _ => doubled.div_euclid(2 * bottom),
        };
        i64::try_from(nearest).ok().filter(|v| v.unsigned_abs() < 1 << 62)
    }
}

/// `a / by`, of numbers that are mostly of 64 bits: then ten times as fast.
fn over(a: i128, by: i128) -> i128 {
    let small = i64::try_from(a).ok().zip(i64::try_from(by).ok());
    match small.and_then(|(a, by)| a.checked_div(by)) {
        Some(quotient) => quotient.into(),
        None => a / by,
    }
}

/// Quotient and remainder of an `x` below 2^126 by a number above 2^95, as Euclid's: the first 62 bits give the quotient but
/// for a few.
const fn whole_and_rest(x: i128, by: i128) -> (i128, i128) {
    let mut whole = ((x >> 64) as i64 / (by >> 64) as i64) as i128;
    let mut rest = x - whole * by;
    while rest < 0 {
        (whole, rest) = (whole - 1, rest + by);
    }
    while rest >= by {
        (whole, rest) = (whole + 1, rest - by);
    }
    (whole, rest)
}

/// Whether an argument is below 1.
pub(super) fn below_one(x: Argument) -> bool {
    // With a negative exponent every positive number is above.
    shifted(1, x.exponent).is_none_or(|one| x.v < one.max(1))
}

/// A number that is not negative, times `2^by`; `None` where that is 2^126 or more.
pub(super) fn shifted(value: i128, by: i32) -> Option<i128> {
    if value == 0 {
        return Some(0);
    }
    if by < 0 {
        return Some(if by <= -127 { 0 } else { value >> -by });
    }
    (value.ilog2() as i32 + by < 126).then(|| value << by)
}

/// `e^x` of an `x` at 100 fraction bits: `(m, k)` with the value `m · 2^(k − 60)` and `2^60 <= m < 2^61`.
pub(super) fn exp(x: i128) -> (i128, i32) {
    let (k, rest) = whole_and_rest(x, LN_2);
    // 0 <= rest < ln 2.
    let m = exp_below_ln_2((rest >> 40) as u64);
    // |x| < 2^126, so that |k| < 2^27.
    (m.into(), k as i32)
}

/// `1 + rest · (1 + rest / 2 · (1 + rest / 3 · …))` to the twentieth power, at 60 fraction bits. Each number is below 2, so that
/// 64 bits hold it; each divisor is a constant, by which the compiler multiplies.
fn exp_below_ln_2(rest: u64) -> u64 {
    const ONE: u64 = 1 << 60;
    macro_rules! horner {
        ($($i:literal)*) => {{
            let mut m = ONE;
            $( m = ONE + ((u128::from(rest) * u128::from(m)) >> 60) as u64 / $i; )*
            m
        }};
    }
    horner!(20 19 18 17 16 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1)
}

/// `e^-x` at 60 fraction bits, of an `x >= 0` at 100; 0 where `x` is too large to be written.
pub(super) fn exp_of_minus(x: Option<i128>) -> i128 {
    let Some(x) = x else { return 0 };
    let (m, k) = exp(-x);
    shifted(m, k).unwrap_or(ONE)
}

/// The logistic function at 60 fraction bits, from the absolute value at 100 fraction bits and the sign.
pub(super) fn logistic(magnitude: Option<i128>, negative: bool) -> i128 {
    let u = exp_of_minus(magnitude);
    if negative {
        u * ONE / (ONE + u)
    } else {
        // 2^120 / (2^60 + u).
        (ONE * ONE) / (ONE + u)
    }
}

/// The error function at 44 fraction bits, of an `a >= 0` at 44; 1 from 4.5 on.
pub(super) fn error_function(a: Option<i128>) -> i128 {
    let Some(a) = a.filter(|a| *a < 9 * ONE_44 / 2) else {
        return ONE_44;
    };
    let q = (a * a) >> 44;
    let (mut term, mut sum) = (a, a);
    for i in 1.. {
        term = over((2 * q * term) >> 44, 2 * i + 1);
        if term == 0 {
            break;
        }
        sum += term;
    }
    let (m, k) = exp(-(q << 56));
    let product = shifted(sum * (m >> 8), k - 52).unwrap_or(0);
    (product * TWO_OVER_ROOT_PI) >> 60
}

/// The natural logarithm of `v · 2^-exponent` at 60 fraction bits, of a `v > 0` below 2^62: `m · 2^k` with `1 <= m < 2` has
/// `k · ln 2 + 2 · atanh((m − 1) / (m + 1))`.
pub(super) fn ln(v: i128, exponent: i32) -> i128 {
    let top = v.max(1).ilog2() as i32;
    // At 60 fraction bits.
    let m = if top <= 60 {
        v << (60 - top)
    } else {
        v >> (top - 60)
    };
    // At most a third, so that 64 bits hold it and its powers.
    let z = (((m - ONE) << 60) / (m + ONE)) as u64;
    let times = |a: u64, b: u64| ((u128::from(a) * u128::from(b)) >> 60) as u64;
    let square = times(z, z);
    let (mut power, mut sum) = (z, z);
    for i in 1.. {
        power = times(power, square);
        if power == 0 {
            break;
        }
        sum += power / (2 * i + 1);
    }
    let sum = i128::from(sum);
    2 * sum + ((i128::from(top - exponent) * LN_2) >> 40)
}

/// The sine of `x + quarters · π/2` at 60 fraction bits, of an `x >= 0` at 96.
pub(super) fn sine(x: i128, quarters: i128) -> i128 {
    let (turned, rest) = whole_and_rest(x, HALF_PI);
    let (turned, rest) = (turned + quarters, rest >> 36);
    let square = (rest * rest) >> 60;
    // Odd powers for the sine, even ones for the cosine.
    let odd = turned % 2 == 0;
    let mut term = if odd { rest } else { ONE };
    let mut sum = term;
    for i in 1.. {
        let at = if odd {
            2 * i * (2 * i + 1)
        } else {
            (2 * i - 1) * 2 * i
        };
        term = -over((term * square) >> 60, at);
        if term == 0 {
            break;
        }
        sum += term;
    }
    if turned % 4 < 2 { sum } else { -sum }
}

/// The angle whose tangent is `y / x` at 60 fraction bits, of a `y >= 0` and an `x >= 0` below 2^63 that are not both 0. With
/// `t <= 1` the smaller by the larger, `atan(t) = 2 · atan(t / (1 + √(1 + t²)))` three times, then odd powers of `t < 0.1`.
pub(super) fn angle(y: i128, x: i128) -> i128 {
    let (small, large) = (y.min(x), y.max(x).max(1));
    let mut t = (small << 60) / large;
    for _ in 0..3 {
        t = (t << 60) / (ONE + (ONE * ONE + t * t).isqrt());
    }
    let square = (t * t) >> 60;
    let (mut power, mut sum) = (t, t);
    for i in 1.. {
        power = -((power * square) >> 60);
        if power.abs() <= 1 {
            break;
        }
        sum += over(power, 2 * i + 1);
    }
    if y <= x { 8 * sum } else { HALF_PI_60 - 8 * sum }
}

/// `(X, f)` of an `x >= 0`: `X · 2^-f` is `x` exactly, and `X < 2^60`, with `f` from 35 to 60 as great as can be.
pub(super) fn finest(x: Argument) -> (i128, i32) {
    let v = x.v.abs();
    // x < 2^above.
    let above = v.max(1).ilog2() as i32 + 1 - x.exponent;
    let f = 60 - above.max(0);
    // f − exponent is 12 or more.
    (v << (f - x.exponent).max(0), f)
}

/// `(e^x ± e^-x) / 2` of the absolute value of `x`; the sign is that of `e^-x`.
pub(super) fn hyperbolic(x: Argument, sign: i128) -> Value {
    // Within the limits of an argument its magnitude is below 2^126.
    let magnitude = x.magnitude(1, 100).unwrap_or(0);
    let (m, k) = exp(magnitude);
    if k > 38 {
        // The other part is below 2^-76 of this one.
        return Value::new(m, 61 - k);
    }
    Value::new((m << k.max(0)) + sign * exp_of_minus(Some(magnitude)), 61)
}

/// The greatest whole number that is no more than `x`.
pub(super) fn floor(x: Argument) -> Value {
    let whole = x.v << (-x.exponent).max(0);
    Value::new(whole.div_euclid(1 << x.exponent.max(0)), 0)
}

/// Whether `x` is more than a float, exactly: `v · 2^-exponent > m · 2^k`, both brought to whole numbers.
pub(super) fn above(x: Argument, float: f32) -> bool {
    let (m, k) = parts(float);
    let by = k + x.exponent;
    let at = |n: i128, by: i32| shifted(n.abs(), by).map_or(i128::MAX, |v| v) * n.signum();
    if by >= 0 {
        x.v > at(m, by)
    } else {
        at(x.v, -by) > m
    }
}

/// `m · 2^k` at 60 fraction bits, and no more than `most` in absolute value.
pub(super) fn at_60(m: i128, k: i32, most: i128) -> i128 {
    let magnitude = shifted(m.abs(), 60 + k).map_or(most, |v| v.min(most));
    if m < 0 { -magnitude } else { magnitude }
}

/// `(m, k)` with `m · 2^k` the float exactly; finite floats only.
pub(super) fn parts(float: f32) -> (i128, i32) {
    let bits = float.to_bits();
    let (exponent, low) = ((bits >> 23 & 0xff) as i32, i128::from(bits & 0x7f_ffff));
    let (m, k) = match exponent {
        0 => (low, -149),
        _ => (low | 1 << 23, exponent - 150),
    };
    // The shortest form, so that 1 is 1 · 2^0.
    let zeros = if m == 0 { 0 } else { m.trailing_zeros() as i32 };
    let (m, k) = (m >> zeros, if m == 0 { 0 } else { k + zeros });
    (if float.is_sign_negative() { -m } else { m }, k)
}
