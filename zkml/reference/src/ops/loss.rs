//! Losses of classifiers: the negative logarithm of the class that is right.

use super::{Call, Made, Operator, Step, Tensor, one, op};
use crate::{
    Values,
    attribute::{int, text},
    layout::around,
};

pub(super) const OPERATORS: &[Operator] = &[
    op("NegativeLogLikelihoodLoss", 2, 3, |c| loss(c, c.input(0)?))
        .since(12)
        .attributes(&[int("ignore_index"), text("reduction")]),
    op("SoftmaxCrossEntropyLoss", 2, 3, cross_entropy)
        .since(12)
        .attributes(&[int("ignore_index"), text("reduction")]),
];

/// The logarithm of softmax along the classes first.
fn cross_entropy(call: &Call) -> Made {
    let x = call.input(0)?;
    let mut v = x.floats()?.to_vec();
    call.touch(3 * v.len())?;
    let (_, classes, behind) = around(x.shape(), 1);
    if !v.is_empty() {
        for block in v.chunks_exact_mut(classes * behind) {
            for p in 0..behind {
                let at = |c: usize| c * behind + p;
                let greatest = (0..classes)
                    .map(|c| block[at(c)])
                    .fold(f64::NEG_INFINITY, super::binary::maximum);
                let sum: f64 = (0..classes).map(|c| (block[at(c)] - greatest).exp()).sum();
                (0..classes).for_each(|c| block[at(c)] -= greatest + sum.ln());
            }
        }
    }
    let logs = Tensor::make(x.element(), x.shape().to_vec(), Values::Float(v))?;
    let mut made = loss(call, &logs)?;
    made.push(logs);
    Ok(made)
}

/// `x` is `[N, C, …]` of logarithms, the target `[N, …]` of classes, the weights `[C]`.
fn loss(call: &Call, x: &Tensor) -> Made {
    let (target, weights) = (call.input(1)?, call.optional(2));
    if x.rank() < 2 {
        return Err(format!("an input of shape {:?}", x.shape()));
    }
    let (_, classes, behind) = around(x.shape(), 1);
    let wanted = [&x.shape()[..1], &x.shape()[2..]].concat();
    if target.shape() != wanted || weights.is_some_and(|w| w.shape() != [classes]) {
        return Err(format!(
            "classes of shape {:?} for {:?}",
            target.shape(),
            x.shape()
        ));
    }
    call.touch(target.len())?;
    let v = x.floats()?;
    let ignored = call.has("ignore_index").then(|| call.int("ignore_index", 0));
    let weigh = |(i, &class): (usize, &i64)| -> Step<(f64, f64)> {
        if Some(class) == ignored {
            return Ok((0.0, 0.0));
        }
        let class = usize::try_from(class).ok().filter(|&c| c < classes);
        let class = class.ok_or_else(|| format!("a class that is none of {classes}"))?;
        let weight = weights.map_or(1.0, |w| w.number(class));
        Ok((
            -v[(i / behind * classes + class) * behind + i % behind] * weight,
            weight,
        ))
    };
    let losses: Vec<(f64, f64)> = target
        .ints()?
        .iter()
        .enumerate()
        .map(weigh)
        .collect::<Step<_>>()?;
    let sum: f64 = losses.iter().map(|l| l.0).sum();
    let (shape, made) = match call.text("reduction", "mean") {
        "none" => (wanted, losses.iter().map(|l| l.0).collect()),
        "sum" => (vec![], vec![sum]),
        "mean" => (vec![], vec![sum / losses.iter().map(|l| l.1).sum::<f64>()]),
        other => return Err(format!("reduction is `{other}`")),
    };
    one(Tensor::make(x.element(), shape, Values::Float(made))?)
}
