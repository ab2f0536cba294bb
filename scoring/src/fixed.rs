//! Fixed-point arithmetic: halving over time, powers, and the curve of response times.
//!
//! Invariants: whole numbers alone, so that every machine finds the same; every function is monotone; none overflows,
//! whatever it is given. Tables are computed by the compiler from their definitions.

/// One, with 32 bits behind the point.
pub(crate) const ONE: u64 = 1 << 32;
/// One, in millionths.
pub(crate) const MILLION: u64 = 1_000_000;

const STEPS: usize = 256;
/// 2^(i/256), with 62 bits behind the point.
pub const EXP2: [u64; STEPS + 1] = exp2_table();
/// log2(1 + i/256), with 32 bits behind the point.
pub const LOG2: [u64; STEPS + 1] = log2_table();
/// The curve of response times at i/256, with 32 bits behind the point.
const CURVE: [u64; STEPS + 1] = curve_table();

const fn exp2_table() -> [u64; STEPS + 1] {
    // roots[j] = 2^(1/2^(j+1)), each the square root of the one before.
    let mut roots = [0u128; 8];
    roots[0] = (1u128 << 125).isqrt();
    let mut j = 1;
    while j < 8 {
        roots[j] = (roots[j - 1] << 62).isqrt();
        j += 1;
    }
    let mut table = [0u64; STEPS + 1];
    let mut i = 0;
    while i < STEPS {
        let mut product = 1u128 << 62;
        let mut j = 0;
        while j < 8 {
            if (i >> (7 - j)) & 1 == 1 {
                product = (product * roots[j]) >> 62;
            }
            j += 1;
        }
        table[i] = product as u64;
        i += 1;
    }
    table[STEPS] = 1 << 63;
    table
}

const fn log2_table() -> [u64; STEPS + 1] {
    let mut table = [0u64; STEPS + 1];
    let mut i = 0;
    while i < STEPS {
        let mut x = ((STEPS + i) as u128) << 54;
        let mut bits = 0u64;
        let mut b = 0;
        // Each squaring doubles the logarithm: what passes two is its next bit.
        while b < 32 {
            x = (x * x) >> 62;
            bits <<= 1;
            if x >= 1 << 63 {
                x >>= 1;
                bits |= 1;
            }
            b += 1;
        }
        table[i] = bits;
        i += 1;
    }
    table[STEPS] = ONE;
    table
}

/// π, with 60 bits behind the point.
const PI: i128 = 3_622_009_729_038_561_421;

/// tan of an angle between -1.5 and 1.5, by the series of sine and cosine; 60 bits behind the point.
const fn tan(angle: i128) -> i128 {
    let square = (angle * angle) >> 60;
    let (mut sine, mut cosine) = (0i128, 0i128);
    let (mut odd, mut even) = (angle, 1i128 << 60);
    let mut n = 1;
    while n < 40 {
        sine += odd;
        cosine += even;
        even = -((even * square) >> 60) / (n * (n + 1));
        odd = -((odd * square) >> 60) / ((n + 1) * (n + 2));
        n += 2;
    }
    (sine << 60) / cosine
}

const fn curve_table() -> [u64; STEPS + 1] {
    let half = tan(PI * 9 / 20);
    let mut table = [0u64; STEPS + 1];
    let mut i = 0;
    while i < STEPS {
        let of = tan((i as i128 - 128) * (PI * 9 / 10) / 256);
        table[i] = (((of + half) << 32) / (2 * half)) as u64;
        i += 1;
    }
    // The two ends are what they are by definition, whatever the last bit of a tangent.
    table[0] = 0;
    table[STEPS] = ONE;
    table
}

/// A value between two of a table: `rest` of `2^bits` on the way from one to the next.
fn between(table: &[u64; STEPS + 1], index: usize, rest: u64, bits: u32) -> u64 {
    let (low, high) = (table[index], table[index + 1]);
    low + ((u128::from(high - low) * u128::from(rest)) >> bits) as u64
}

/// log2, with 32 bits behind the point, of what is not zero.
fn log2(x: u128) -> u64 {
    let whole = 127 - x.max(1).leading_zeros();
    let scaled = if whole >= 62 {
        x >> (whole - 62)
    } else {
        x.max(1) << (62 - whole)
    };
    let fraction = (scaled - (1 << 62)) as u64;
    let (index, rest) = ((fraction >> 54) as usize, fraction & ((1 << 54) - 1));
    (u64::from(whole) << 32) + between(&LOG2, index, rest, 54)
}

/// 2^exponent, for an exponent with 32 bits behind the point; the greatest number where there is no such one.
fn exp2(exponent: u64) -> u128 {
    let (whole, fraction) = (exponent >> 32, exponent & (ONE - 1));
    let (index, rest) = ((fraction >> 24) as usize, fraction & ((1 << 24) - 1));
    let mantissa = u128::from(between(&EXP2, index, rest, 24));
    match whole {
        0..62 => mantissa >> (62 - whole),
        62..128 => mantissa << (whole - 62),
        _ => u128::MAX,
    }
}

/// `x` to a power in millionths. To the power of one it is `x` itself.
pub(crate) fn power(x: u128, millionths: u32) -> u128 {
    if x == 0 || u64::from(millionths) == MILLION {
        return x;
    }
    let exponent = u128::from(log2(x)) * u128::from(millionths) / u128::from(MILLION);
    exp2(exponent.min(128 << 32) as u64)
}

/// What is left of [`ONE`] of what halves every `half_life`, after `age` of the same unit.
pub(crate) fn halved(age: u64, half_life: u64) -> u64 {
    let exponent = (u128::from(age) << 32) / u128::from(half_life.max(1));
    if exponent >= 33 << 32 {
        return 0;
    }
    let (whole, fraction) = ((exponent >> 32) as u32, (exponent as u64) & (ONE - 1));
    match fraction {
        0 => ONE >> whole,
        // 2^-f = 2^(1-f) / 2.
        _ => {
            let up = ONE - fraction;
            let mantissa = between(&EXP2, (up >> 24) as usize, up & ((1 << 24) - 1), 24);
            mantissa >> (31 + whole)
        }
    }
}

/// `(T(x) - T(0)) / (T(1) - T(0))` with `T(x) = tan(0.9 π (x - ½))`, for x up to [`ONE`].
pub(crate) fn curve(x: u64) -> u64 {
    if x >= ONE {
        return ONE;
    }
    between(&CURVE, (x >> 24) as usize, x & ((1 << 24) - 1), 24)
}

/// `x` times a factor of at most [`ONE`].
pub(crate) fn part(x: u128, factor: u64) -> u128 {
    // In halves, so that nothing of 128 bits overflows.
    let (high, low) = (x >> 64, x & u128::from(u64::MAX));
    let factor = u128::from(factor.min(ONE));
    ((high * factor) << 32) + ((low * factor) >> 32)
}

/// The factor `numerator / denominator`, of at most [`ONE`]; [`ONE`] where there is nothing to divide by.
pub(crate) fn ratio(numerator: u128, denominator: u128) -> u64 {
    if numerator >= denominator {
        return ONE;
    }
    // Both lose the same bits, and only where there are more than 96.
    let lose = 32u32.saturating_sub(denominator.leading_zeros());
    let (numerator, denominator) = (numerator >> lose, denominator >> lose);
    ((numerator << 32) / denominator) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tables_are_what_their_definitions_say() {
        for i in 0..=STEPS {
            let x = i as f64 / 256.0;
            let exp = EXP2[i] as f64 / (1u64 << 62) as f64;
            assert!((exp - x.exp2()).abs() < 1e-12, "2^{x}");
            let log = LOG2[i] as f64 / ONE as f64;
            assert!((log - (1.0 + x).log2()).abs() < 1e-9, "log2(1+{x})");
            let tangent = |x: f64| ((x - 0.5) * std::f64::consts::PI * 0.9).tan();
            let wanted = (tangent(x) - tangent(0.0)) / (tangent(1.0) - tangent(0.0));
            assert!((CURVE[i] as f64 / ONE as f64 - wanted).abs() < 1e-8, "curve({x})");
        }
    }

    #[test]
    fn what_halves_every_two_hours_is_half_after_two_and_nothing_after_seventy() {
        assert_eq!(halved(0, 2), ONE);
        assert_eq!(halved(2, 2), ONE / 2);
        assert_eq!(halved(24, 2), ONE >> 12);
        assert_eq!(halved(70, 2), 0);
        let root = halved(1, 2) as f64 / ONE as f64;
        assert!((root - 0.5f64.sqrt()).abs() < 1e-8, "{root}");
        assert_eq!(halved(u64::MAX, 1), 0);
        assert_eq!(halved(1, 0), ONE / 2);
    }

    proptest! {
        #[test]
        fn powers_are_right_to_a_hundred_thousandth(x in 1u64..1 << 40, millionths in 500_000u32..2_000_000) {
            let found = power(u128::from(x), millionths) as f64;
            let wanted = (x as f64).powf(f64::from(millionths) / 1e6);
            // The last place of a whole number is one.
            prop_assert!((found - wanted).abs() <= wanted * 2e-5 + 1.0, "{x}^{millionths}: {found}, {wanted}");
        }

        #[test]
        fn powers_and_the_curve_are_monotone(a: u128, b: u128, millionths: u32, x in 0..2 * ONE, y in 0..2 * ONE) {
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(power(low, millionths) <= power(high, millionths));
            prop_assert!(curve(x.min(y)) <= curve(x.max(y)));
            prop_assert!(curve(x) <= ONE);
        }

        #[test]
        fn a_part_is_never_more_than_the_whole(x: u128, y: u128, factor in 0..=ONE) {
            prop_assert!(part(x, factor) <= x);
            prop_assert_eq!(part(x, ONE), x);
            prop_assert!(ratio(x, y) <= ONE);
            prop_assert_eq!(ratio(y, y), ONE);
        }

        #[test]
        fn a_ratio_is_right_to_its_last_bits(a in 0..u64::MAX, b in 1..u64::MAX) {
            let (small, great) = (u128::from(a.min(b)), u128::from(a.max(b)));
            let wanted = if small == great { ONE } else { ((small << 32) / great) as u64 };
            prop_assert_eq!(ratio(small, great), wanted);
        }
    }
}
