//! Operators in the forms that they had before opset 7, where these are others than today's.
//!
//! Invariant: an old form is today's after its second tensor was aligned, its list became an input, or it was found not to be
//! one of training. What an operator computes stands with today's.

use std::sync::Arc;

use super::slice::joined;
use super::{Call, MANY, Made, Operator, Step, Tensor, one, op};
use crate::attribute::{Declared, float, int, ints};
use crate::layout::axis;

/// The first opset of today's forms.
const TODAY: i64 = 7;

/// An operator before it is today's.
const fn old(name: &'static str, inputs: (usize, usize), run: fn(&Call) -> Made) -> Operator {
    op(name, inputs.0, inputs.1, run).since(1).until(TODAY)
}

/// Along the second axis, unless the file says which.
fn concat(call: &Call) -> Made {
    let parts = call.all()?;
    let first = parts.first().ok_or("there is no input")?;
    one(joined(call, &parts, axis(call.int("axis", 1), first.rank())?)?)
}

/// An operator of two tensors of which the second is repeated where `broadcast` says so.
const fn of_two(name: &'static str) -> Operator {
    let run = |c: &Call| today(c, &[c.inputs.first().cloned().flatten(), Some(aligned(c)?)]);
    old(name, (2, 2), run).attributes(BROADCAST)
}

const BROADCAST: &[Declared] = &[int("axis"), int("broadcast")];

const OPERATORS: &[Operator] = &[
    of_two("Add"),
    of_two("And"),
    of_two("Div"),
    of_two("Equal"),
    of_two("Greater"),
    of_two("Less"),
    of_two("Mul"),
    of_two("Or"),
    of_two("Pow"),
    of_two("Sub"),
    of_two("Xor"),
    old("BatchNormalization", (5, 5), |c| {
        tested(c).and_then(|()| as_is(c))
    })
    .attributes(&[
        float("epsilon"),
        int("is_test"),
        float("momentum"),
        int("spatial"),
    ]),
    old("Concat", (1, MANY), concat)
        .until(4)
        .attributes(&[int("axis")]),
    old("Dropout", (1, 1), |c| tested(c).and_then(|()| as_is(c)))
        .attributes(&[int("is_test"), float("ratio")]),
    old("Gemm", (3, 3), gemm).attributes(&[
        float("alpha"),
        float("beta"),
        int("broadcast"),
        int("transA"),
        int("transB"),
    ]),
    old("PRelu", (2, 2), prelu),
    old("Reshape", (1, 1), reshape)
        .until(5)
        .attributes(&[ints("shape")]),
];

/// Operators of which opset 6 says no more than that they write over no input, as those before could say.
const IN_PLACE: &[&str] = &[
    "Abs",
    "Ceil",
    "Clip",
    "Elu",
    "Exp",
    "Floor",
    "HardSigmoid",
    "InstanceNormalization",
    "LeakyRelu",
    "Log",
    "Max",
    "Mean",
    "Min",
    "Neg",
    "Reciprocal",
    "Relu",
    "Selu",
    "Sigmoid",
    "Sqrt",
    "Sum",
    "Tanh",
];

/// The form that an operator had, if it was another than today's.
pub(super) fn find(name: &str, opset: i64) -> Option<&'static Operator> {
    let old = OPERATORS.iter().find(|o| o.name == name);
    old.filter(|o| o.opsets.0 <= opset && opset < o.opsets.1)
}

/// Whether today's form is that of all opsets.
pub(super) fn is_in_place(name: &str) -> bool {
    IN_PLACE.contains(&name)
}

/// What today's operator makes of other inputs.
fn today(call: &Call, inputs: &[Option<Arc<Tensor>>]) -> Made {
    let operator = super::find("", call.operation.operator.name, TODAY)?;
    (operator.run)(&Call {
        operation: call.operation,
        inputs,
        budget: call.budget,
    })
}

fn as_is(call: &Call) -> Made {
    today(call, call.inputs)
}

/// The second tensor in the shape in which today's operator repeats it: from `axis` on its dimensions are the first one's, which
/// are the last without an axis.
fn aligned(call: &Call) -> Step<Arc<Tensor>> {
    let (a, b) = (call.input(0)?.shape(), call.input(1)?);
    if !call.flag("broadcast", false)? {
        return match a == b.shape() {
            true => Ok(Arc::new(b.clone())),
            false => Err(format!("shapes {a:?} and {:?} without `broadcast`", b.shape())),
        };
    }
    let last = a.len().checked_sub(b.rank());
    let axis = match call.has("axis") {
        // -1 is what files state who mean no axis.
        true if call.int("axis", 0) != -1 => usize::try_from(call.int("axis", 0)).ok(),
        _ => last,
    };
    let behind = axis.and_then(|axis| last?.checked_sub(axis));
    let Some(behind) = behind else {
        return Err(format!("the shape {:?} is no part of {a:?}", b.shape()));
    };
    let mut shape = b.shape().to_vec();
    shape.resize(shape.len() + behind, 1);
    if crate::layout::broadcast(a, &shape)? != a {
        return Err(format!("the shape {:?} is no part of {a:?}", b.shape()));
    }
    Ok(Arc::new(b.with_shape(shape)?))
}

/// Training is what these operators do unless told otherwise.
fn tested(call: &Call) -> Step<()> {
    match call.flag("is_test", false)? {
        true => Ok(()),
        false => Err("without `is_test` it is that of training".into()),
    }
}

fn gemm(call: &Call) -> Made {
    let made = as_is(call)?;
    let product = made.first().map_or(&[][..], Tensor::shape);
    if !call.flag("broadcast", false)? && call.input(2)?.shape() != product {
        return Err(format!(
            "C of shape {:?} for {product:?} without `broadcast`",
            call.input(2)?.shape()
        ));
    }
    Ok(made)
}

/// One slope for all, or for each channel.
fn prelu(call: &Call) -> Made {
    let (x, slope) = (call.input(0)?, call.input(1)?);
    let shape = match (slope.len(), x.shape().get(1)) {
        (1, _) => vec![1],
        (n, Some(&channels)) if n == channels => {
            let mut shape = vec![1; x.rank() - 1];
            shape[0] = n;
            shape
        }
        _ => return Err(format!("a slope of shape {:?}", slope.shape())),
    };
    let slope = Arc::new(slope.with_shape(shape)?);
    today(call, &[call.inputs.first().cloned().flatten(), Some(slope)])
}

fn reshape(call: &Call) -> Made {
    let shape = call.ints("shape").ok_or("there is no shape")?;
    let shape = Arc::new(Tensor::int64(vec![shape.len()], shape.to_vec())?);
    today(call, &[call.inputs.first().cloned().flatten(), Some(shape)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_old_form_has_one_of_today() {
        for operator in OPERATORS {
            assert!(
                super::super::find("", operator.name, TODAY).is_ok(),
                "{}",
                operator.name
            );
            assert_eq!(super::super::find("", operator.name, 1).unwrap().opsets.0, 1);
        }
        for name in IN_PLACE {
            let today = super::super::find("", name, TODAY).unwrap();
            assert_eq!(today.opsets.0, 6, "{name}");
        }
    }
}
