//! Powers with one exponent for all values: `x^p`. There is no value at 0 where p is negative, nor below 0 where p is no whole
//! number: such a row is refused as one beyond the range.

use super::fixed::{Argument, ONE, Value, exp, ln, parts, shifted};
use super::{Function, Rule};

/// Greatest exponent, and the least with the other sign.
const MOST: f32 = 64.0;

static POWER: Rule = Rule {
    name: "pow/1",
    float: |x, p| x.powf(exponent(p).into()),
    exact: |x, p| {
        let p = exponent(p);
        if p == 0.0 {
            return Value::new(1, 0);
        }
        if x.v == 0 {
            return if p > 0.0 { Value::new(0, 0) } else { Value::below() };
        }
        if p.fract() == 0.0 {
            // At most 64.
            let n = p.abs() as u32;
            return whole(x, n, p < 0.0).signed(x.v < 0 && n % 2 == 1);
        }
        if x.v < 0 { Value::below() } else { broken(x, p) }
    },
    grows: true,
};

impl Function {
    /// `x^p`.
    ///
    /// # Errors
    /// An exponent beyond ±64.
    pub(crate) fn power(p: f64) -> Result<Self, String> {
        let exponent = p as f32;
        if exponent.abs() <= MOST {
            // 0 has one sign.
            return Ok(Self::new(&POWER, &[exponent + 0.0]));
        }
        Err(format!(
            "its exponent is {p}; only those from -{MOST} to {MOST} are supported"
        ))
    }
}

fn exponent(parameters: &[f32]) -> f32 {
    parameters.first().copied().unwrap_or(1.0)
}

/// The nth power of the absolute value, or 1 by it, of an `x` that is not 0.
fn whole(x: Argument, n: u32, inverse: bool) -> Value {
    let v = x.v.abs().max(1);
    let top = v.ilog2() as i32;
    // |x| = base · 2^(step − 60), the power m · 2^(k − 60), both factors from 2^60 to 2^61.
    let (base, step) = (v << (60 - top).max(0), top - x.exponent);
    let (mut m, mut k) = (ONE, 0);
    for _ in 0..n {
        m = (m * base) >> 60;
        k += step;
        if m >= 2 * ONE {
            (m, k) = (m >> 1, k + 1);
        }
    }
    if inverse {
        Value::new((1 << 121) / m, 61 + k)
    } else {
        Value::new(m, 60 - k)
    }
}

/// `e^(p · ln x)`, of an `x > 0`.
fn broken(x: Argument, p: f32) -> Value {
    // The exponent is the float exactly. The product is below 2^12, so below 2^112 at 100 fraction bits.
    let (m, k) = parts(p);
    let product = ln(x.v, x.exponent) * m;
    let magnitude = shifted(product.abs(), 40 + k).unwrap_or(0);
    let (m, k) = exp(if product < 0 { -magnitude } else { magnitude });
    Value::new(m, 60 - k)
}
