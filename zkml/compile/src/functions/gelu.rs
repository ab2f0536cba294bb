//! Gelu: `x · (1 + erf(x/√2)) / 2`, and ONNX's approximation of it by tanh.

use super::fixed::{ONE_44, Value, error_function, logistic};
use super::swish::gated;
use super::{Function, Operator, Rule, sigmoid};

pub(super) const OPERATOR: Operator = Operator {
    onnx: "Gelu",
    read: |attributes| match attributes.text("approximate", "none")?.as_str() {
        "none" => Ok(Function::new(&EXACT, &[])),
        "tanh" => Ok(Function::new(&BY_TANH, &[])),
        other => Err(format!(
            "its attribute `approximate` is `{other}`; ONNX has `none` and `tanh`"
        )),
    },
};

/// ⌊2^60/√2⌋.
const ROOT_HALF: i128 = 815_238_614_083_298_888;
/// ⌊0.044715 · 2^60⌋.
const CUBIC: i128 = 51_552_885_078_495_162;
/// ⌊2·√(2/π) · 2^60⌋.
const TWICE_ROOT: i128 = 1_839_796_536_686_825_613;

pub(super) static EXACT: Rule = Rule {
    name: "gelu/1",
    float: |x, _| 0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2)),
    exact: |x, _| {
        // |x| · 2^60/√2 at −16 fraction bits more is |x|/√2 at 44.
        let erf = error_function(x.magnitude(ROOT_HALF, -16));
        let twice = if x.v < 0 { ONE_44 - erf } else { ONE_44 + erf };
        Value::new(x.v * twice, 45 + x.exponent)
    },
    grows: false,
};

/// `x/2 · (1 + tanh(w))` is `x · sigmoid(2w)`, with `2w = 2·√(2/π) · (x + 0.044715·x³)`.
static BY_TANH: Rule = Rule {
    name: "gelu_tanh/1",
    float: |x, _| {
        let twice = 2.0 * (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
        x * sigmoid::of(twice)
    },
    exact: |x, _| {
        // From 8 on 2w is above 49, and e^-2w is 0 at 60 fraction bits.
        let small = x.magnitude(1, 44).filter(|a| *a < 8 * ONE_44);
        let twice = small.map(|a| {
            let cube = (((a * a) >> 44) * a) >> 44;
            let inner = a + ((cube * CUBIC) >> 60);
            ((inner * TWICE_ROOT) >> 60) << 56
        });
        gated(x, logistic(twice, x.v < 0))
    },
    grows: false,
};
