//! What a division by a constant leaves: `x − c · ⌊x / c⌋`, with the sign of `c`, or with that of `x` where the quotient loses
//! what is behind its point. It is that of the quantised x: at a jump a neighbouring one.

use super::fixed::{Argument, Value, parts, shifted};
use super::{Function, Rule};

/// With the sign of the divisor.
static MODULO: Rule = Rule {
    name: "mod/1",
    float: |x, p| {
        let c = f64::from(divisor(p));
        let left = x % c;
        if left != 0.0 && (left < 0.0) != (c < 0.0) {
            left + c
        } else {
            left
        }
    },
    exact: |x, p| {
        let c = divisor(p);
        let (left, fraction) = left(x, c);
        if left == 0 || (x.v < 0) == (c < 0.0) {
            return Value::new(left, fraction).signed(c < 0.0);
        }
        let (m, k) = parts(c);
        // A divisor that is far beyond the argument is beyond every range too.
        let whole = shifted(m.abs(), fraction + k).map_or(1 << 90, |c| (c - left).min(1 << 90));
        Value::new(whole, fraction).signed(c < 0.0)
    },
    grows: false,
};

/// With the sign of what is divided.
static REMAINDER: Rule = Rule {
    name: "fmod/1",
    float: |x, p| x % f64::from(divisor(p)),
    exact: |x, p| {
        let (left, fraction) = left(x, divisor(p));
        Value::new(left, fraction).signed(x.v < 0)
    },
    grows: false,
};

impl Function {
    /// What is left of a division by `c`.
    ///
    /// # Errors
    /// A divisor of 0, or of more than a float of 32 bits has.
    pub(crate) fn modulo(c: f64, sign_of_x: bool) -> Result<Self, String> {
        let divisor = c as f32;
        if divisor == 0.0 || !divisor.is_finite() || f64::from(divisor) != c {
            return Err(format!(
                "its divisor is {c}: only a float of 32 bits that is not 0 is supported"
            ));
        }
        Ok(Self::new(
            if sign_of_x { &REMAINDER } else { &MODULO },
            &[divisor],
        ))
    }
}

fn divisor(parameters: &[f32]) -> f32 {
    parameters.first().copied().unwrap_or(1.0)
}

/// What is left of `|x|` by `|c|`, exactly: a number, and how many fraction bits it has.
fn left(x: Argument, c: f32) -> (i128, i32) {
    let ((m, k), v) = (parts(c), x.v.abs());
    let m = m.abs().max(1);
    // |x| = v · 2^by in units of 2^k, the divisor's.
    let by = -x.exponent - k;
    if by >= 0 {
        // The factor leaves what its parts leave: `m` is below 2^24.
        let left = (0..by).fold(v % m, |left, _| 2 * left % m);
        return (left, -k);
    }
    // A divisor of 2^126 units is more than any argument.
    (shifted(m, -by).map_or(v, |c| v % c), x.exponent)
}
