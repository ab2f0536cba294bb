//! Softmax and its kin. Before opset 13 the tensor is a matrix split at the axis; since then they work along the axis.

use super::{Call, Made, Operator, Tensor, binary::maximum, one, op};
use crate::{
    Values,
    attribute::int,
    layout::{around, axis},
};

pub(super) const OPERATORS: &[Operator] = &[
    op("Hardmax", 1, 1, |c| along(c, hardmax))
        .since(1)
        .attributes(&[int("axis")]),
    op("LogSoftmax", 1, 1, |c| along(c, log_softmax))
        .since(1)
        .attributes(&[int("axis")]),
    op("Softmax", 1, 1, |c| along(c, softmax))
        .since(1)
        .attributes(&[int("axis")]),
];

/// Applies `f` to every run of values that belong together.
fn along(call: &Call, f: fn(&mut [f64])) -> Made {
    let x = call.input(0)?;
    let mut values = x.floats()?.to_vec();
    call.touch(values.len())?;
    let (count, behind) = if call.opset() < 13 {
        let split = call.int("axis", 1);
        let at = if split == x.rank() as i64 {
            x.rank()
        } else {
            axis(split, x.rank())?
        };
        let (_, along, behind) = around(x.shape(), at);
        (along * behind, 1)
    } else {
        let (_, along, behind) = around(x.shape(), axis(call.int("axis", -1), x.rank())?);
        (along, behind)
    };
    if !values.is_empty() {
        let mut run = vec![0.0; count];
        for block in values.chunks_exact_mut(count * behind) {
            for p in 0..behind {
                let places = || (0..count).map(|i| i * behind + p);
                run.iter_mut().zip(places()).for_each(|(r, at)| *r = block[at]);
                f(&mut run);
                run.iter().zip(places()).for_each(|(r, at)| block[at] = *r);
            }
        }
    }
    one(Tensor::make(
        x.element(),
        x.shape().to_vec(),
        Values::Float(values),
    )?)
}

fn greatest(run: &[f64]) -> f64 {
    run.iter().copied().fold(f64::NEG_INFINITY, maximum)
}

pub(super) fn softmax(run: &mut [f64]) {
    let greatest = greatest(run);
    run.iter_mut().for_each(|v| *v = (*v - greatest).exp());
    let sum: f64 = run.iter().sum();
    run.iter_mut().for_each(|v| *v /= sum);
}

fn log_softmax(run: &mut [f64]) {
    let greatest = greatest(run);
    let sum: f64 = run.iter().map(|v| (v - greatest).exp()).sum();
    run.iter_mut().for_each(|v| *v = *v - greatest - sum.ln());
}

/// 1 at the first of the greatest.
fn hardmax(run: &mut [f64]) {
    let greatest = greatest(run);
    let first = run.iter().position(|&v| v == greatest);
    run.fill(0.0);
    if let Some(v) = first.and_then(|i| run.get_mut(i)) {
        *v = 1.0;
    }
}
