//! Functions of one value, element by element.

use super::{Call, Made, Operator, Tensor, one, op};
use crate::{
    ElementType, Values,
    attribute::{float, int, text},
};

pub(super) const OPERATORS: &[Operator] = &[
    op("Abs", 1, 1, abs).since(6),
    op("Acos", 1, 1, |c| floats(c, f64::acos)),
    op("Acosh", 1, 1, |c| floats(c, f64::acosh)).since(9),
    op("Asin", 1, 1, |c| floats(c, f64::asin)),
    op("Asinh", 1, 1, |c| floats(c, f64::asinh)).since(9),
    op("Atan", 1, 1, |c| floats(c, f64::atan)),
    op("Atanh", 1, 1, |c| floats(c, f64::atanh)).since(9),
    op("BitwiseNot", 1, 1, |c| integers(c, |_, i| !i)).since(18),
    op("Ceil", 1, 1, |c| floats(c, f64::ceil)).since(6),
    op("Celu", 1, 1, celu).since(12).attributes(&[float("alpha")]),
    op("Cos", 1, 1, |c| floats(c, f64::cos)),
    op("Cosh", 1, 1, |c| floats(c, f64::cosh)).since(9),
    op("Elu", 1, 1, elu).since(6).attributes(&[float("alpha")]),
    op("Erf", 1, 1, |c| numbers(c, libm::erf, |_, i| i.signum())).since(9),
    op("Exp", 1, 1, |c| floats(c, f64::exp)).since(6),
    op("Floor", 1, 1, |c| floats(c, f64::floor)).since(6),
    op("Gelu", 1, 1, gelu)
        .since(20)
        .attributes(&[text("approximate")]),
    op("HardSigmoid", 1, 1, hard_sigmoid)
        .since(6)
        .attributes(&[float("alpha"), float("beta")]),
    op("HardSwish", 1, 1, |c| {
        floats(c, |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0))
    })
    .since(14),
    op("IsInf", 1, 1, is_inf)
        .since(10)
        .attributes(&[int("detect_negative"), int("detect_positive")]),
    op("IsNaN", 1, 1, |c| tests(c, f64::is_nan)).since(9),
    op("LeakyRelu", 1, 1, leaky_relu)
        .since(6)
        .attributes(&[float("alpha")]),
    op("Log", 1, 1, |c| floats(c, f64::ln)).since(6),
    op("Mish", 1, 1, |c| floats(c, |x| x * softplus(x).tanh())).since(18),
    op("Neg", 1, 1, |c| {
        numbers(c, |x| -x, |e, i| e.wrap(i.wrapping_neg()))
    })
    .since(6),
    op("Not", 1, 1, not).since(1),
    op("Reciprocal", 1, 1, |c| floats(c, f64::recip)).since(6),
    op("Relu", 1, 1, relu).since(6),
    op("Round", 1, 1, |c| floats(c, f64::round_ties_even)).since(11),
    op("Selu", 1, 1, selu)
        .since(6)
        .attributes(&[float("alpha"), float("gamma")]),
    op("Shrink", 1, 1, shrink)
        .since(9)
        .attributes(&[float("bias"), float("lambd")]),
    op("Sigmoid", 1, 1, |c| floats(c, sigmoid)).since(6),
    op("Sign", 1, 1, |c| numbers(c, sign, sign_int)).since(9),
    op("Sin", 1, 1, |c| floats(c, f64::sin)),
    op("Sinh", 1, 1, |c| floats(c, f64::sinh)).since(9),
    op("Softplus", 1, 1, |c| floats(c, softplus)).since(1),
    op("Softsign", 1, 1, |c| floats(c, |x| x / (1.0 + x.abs()))).since(1),
    op("Sqrt", 1, 1, |c| floats(c, f64::sqrt)).since(6),
    op("Swish", 1, 1, swish).since(24).attributes(&[float("alpha")]),
    op("Tan", 1, 1, |c| floats(c, f64::tan)),
    op("Tanh", 1, 1, |c| floats(c, f64::tanh)).since(6),
    op("ThresholdedRelu", 1, 1, thresholded_relu)
        .since(10)
        .attributes(&[float("alpha")]),
];

/// 1 / (1 + e^-x), without overflow on either side.
pub(super) fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

/// ln(1 + e^x), without overflow.
pub(super) fn softplus(x: f64) -> f64 {
    if x > 0.0 {
        x + (-x).exp().ln_1p()
    } else {
        x.exp().ln_1p()
    }
}

fn sign(x: f64) -> f64 {
    if x == 0.0 || x.is_nan() { x } else { x.signum() }
}

fn sign_int(element: ElementType, i: i64) -> i64 {
    element.number(i).signum() as i64
}

/// A function of floats, on every float of the first input.
fn floats(call: &Call, f: impl Fn(f64) -> f64) -> Made {
    let x = call.input(0)?;
    let values = x.floats()?;
    call.touch(values.len())?;
    let made = values.iter().map(|&v| f(v)).collect();
    one(Tensor::make(
        x.element(),
        x.shape().to_vec(),
        Values::Float(made),
    )?)
}

fn integers(call: &Call, f: impl Fn(ElementType, i64) -> i64) -> Made {
    let x = call.input(0)?;
    let values = x.ints()?;
    call.touch(values.len())?;
    let made = values
        .iter()
        .map(|&v| x.element().wrap(f(x.element(), v)))
        .collect();
    one(Tensor::make(x.element(), x.shape().to_vec(), Values::Int(made))?)
}

fn numbers(call: &Call, f: impl Fn(f64) -> f64, i: impl Fn(ElementType, i64) -> i64) -> Made {
    if call.input(0)?.element().is_int() {
        integers(call, i)
    } else {
        floats(call, f)
    }
}

fn abs(call: &Call) -> Made {
    numbers(
        call,
        f64::abs,
        |e, i| if e.number(i) < 0 { i.wrapping_neg() } else { i },
    )
}

fn relu(call: &Call) -> Made {
    numbers(
        call,
        |x| if x < 0.0 { 0.0 } else { x },
        |e, i| if e.number(i) < 0 { 0 } else { i },
    )
}

fn tests(call: &Call, f: impl Fn(f64) -> bool) -> Made {
    let x = call.input(0)?;
    let values = x.floats()?;
    call.touch(values.len())?;
    one(Tensor::bool(
        x.shape().to_vec(),
        values.iter().map(|&v| f(v)).collect(),
    )?)
}

fn not(call: &Call) -> Made {
    let x = call.input(0)?;
    let values = x.bools()?;
    call.touch(values.len())?;
    one(Tensor::bool(
        x.shape().to_vec(),
        values.iter().map(|&v| !v).collect(),
    )?)
}

fn celu(call: &Call) -> Made {
    let alpha = call.float("alpha", 1.0);
    floats(call, |x| if x > 0.0 { x } else { alpha * (x / alpha).exp_m1() })
}

fn elu(call: &Call) -> Made {
    let alpha = call.float("alpha", 1.0);
    floats(call, |x| if x < 0.0 { alpha * x.exp_m1() } else { x })
}

fn gelu(call: &Call) -> Made {
    match call.text("approximate", "none") {
        "none" => floats(call, |x| {
            0.5 * x * (1.0 + libm::erf(x / std::f64::consts::SQRT_2))
        }),
        "tanh" => floats(call, |x| {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            0.5 * x * (1.0 + inner.tanh())
        }),
        other => Err(format!("approximate is `{other}`")),
    }
}

fn hard_sigmoid(call: &Call) -> Made {
    let (alpha, beta) = (call.float("alpha", 0.2), call.float("beta", 0.5));
    floats(call, |x| (alpha * x + beta).clamp(0.0, 1.0))
}

fn is_inf(call: &Call) -> Made {
    let negative = call.flag("detect_negative", true)?;
    let positive = call.flag("detect_positive", true)?;
    tests(call, |x| {
        x.is_infinite() && if x > 0.0 { positive } else { negative }
    })
}

fn leaky_relu(call: &Call) -> Made {
    let alpha = call.float("alpha", 0.01);
    floats(call, |x| if x < 0.0 { alpha * x } else { x })
}

fn selu(call: &Call) -> Made {
    let alpha = call.float("alpha", 1.673_263_2);
    let gamma = call.float("gamma", 1.050_701);
    floats(call, |x| gamma * if x <= 0.0 { alpha * x.exp_m1() } else { x })
}

fn shrink(call: &Call) -> Made {
    let (bias, lambd) = (call.float("bias", 0.0), call.float("lambd", 0.5));
    let f = |x: f64| {
        if x < -lambd {
            x + bias
        } else if x > lambd {
            x - bias
        } else {
            0.0
        }
    };
    if call.input(0)?.element().is_int() {
        integers(call, |e, i| e.truncate(f(e.number(i) as f64)))
    } else {
        floats(call, f)
    }
}

fn swish(call: &Call) -> Made {
    let alpha = call.float("alpha", 1.0);
    floats(call, |x| x * sigmoid(alpha * x))
}

fn thresholded_relu(call: &Call) -> Made {
    let alpha = call.float("alpha", 1.0);
    floats(call, |x| if x > alpha { x } else { 0.0 })
}
