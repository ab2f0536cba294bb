//! `(offset + scale·x)^-exponent`: what normalisations divide by. No operator of ONNX is this function alone; rules of the importer
//! make nodes of it.
//!
//! Where the base is 0 the value is 0: what is divided by a deviation of 0 is 0 itself. Below 0 there is no value.

use super::fixed::{Argument, Value, exp, ln, parts, shifted};
use super::{Function, Rule};

impl Function {
    /// `(offset + scale·x)^-exponent`, 0 where the base is 0.
    pub(crate) fn inverse_power(exponent: f32, scale: f32, offset: f32) -> Self {
        Self::new(&INVERSE_POWER, &[exponent, scale, offset])
    }
}

pub(super) static INVERSE_POWER: Rule = Rule {
    name: "inverse_power/1",
    float: |x, p| {
        let [exponent, scale, offset] = parameters(p).map(f64::from);
        match offset + scale * x {
            0.0 => 0.0,
            base if base < 0.0 => f64::NAN,
            base => base.powf(-exponent),
        }
    },
    exact: |x, p| {
        let [exponent, scale, offset] = parameters(p);
        let (base, bits) = base(x, scale, offset);
        match base {
            0 => return Value::new(0, 0),
            ..0 => return Value::below(),
            _ => {}
        }
        let logarithm = ln(base, bits);
        let (m, k) = parts(exponent);
        // Below 2^24 · 2^69, then at 100 fraction bits.
        let power = shifted(m.abs() * logarithm.abs(), 40 + k);
        let grows = (logarithm < 0) != (m < 0);
        match power {
            Some(power) => {
                let (m, k) = exp(if grows { power } else { -power });
                Value::new(m, 60 - k)
            }
            // Beyond all ranges, or nothing.
            None if grows => Value::new(1 << 90, 0),
            None => Value::new(0, 0),
        }
    },
    grows: true,
};

fn parameters(parameters: &[f32]) -> [f32; 3] {
    let at = |i: usize, default: f32| parameters.get(i).copied().unwrap_or(default);
    [at(0, 1.0), at(1, 1.0), at(2, 0.0)]
}

/// `(v, bits)` with `offset + scale·x` about `v · 2^-bits` and `|v|` below 2^61: exact where its terms differ by less than 2^18.
fn base(x: Argument, scale: f32, offset: f32) -> (i128, i32) {
    let ((m, k), (n, l)) = (parts(scale), parts(offset));
    // Below 2^40, and below 2^24.
    let terms = [(m * x.v, k - x.exponent), (n, l)];
    let top = terms.iter().filter(|(v, _)| *v != 0);
    let Some(top) = top.map(|(v, k)| v.abs().ilog2() as i32 + k).max() else {
        return (0, 0);
    };
    let bits = 59 - top;
    let at = |(v, k): (i128, i32)| match k + bits {
        by @ ..0 => v >> by.unsigned_abs().min(127),
        // Its top bit is the 59th at most.
        by => v << by.min(59),
    };
    (terms.map(at).iter().sum(), bits)
}
