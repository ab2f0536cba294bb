//! Normalisations: values less a mean, over a deviation, then scaled and shifted.

use super::{Call, Made, Operator, Step, Tensor, binary, one, op, size};
use crate::{
    Values,
    attribute::{float, int, ints},
    layout::{around, axes, axis, rows, strides},
    limits::volume,
};

pub(super) const OPERATORS: &[Operator] = &[
    op("BatchNormalization", 5, 5, batch).attributes(&[
        float("epsilon"),
        float("momentum"),
        int("spatial").before(9),
        int("training_mode").from(14),
    ]),
    op("GroupNormalization", 3, 3, group).since(18).attributes(&[
        float("epsilon"),
        int("num_groups"),
        int("stash_type").from(21),
    ]),
    op("InstanceNormalization", 3, 3, instance)
        .since(6)
        .attributes(&[float("epsilon")]),
    op("LRN", 1, 1, lrn)
        .since(1)
        .attributes(&[float("alpha"), float("beta"), float("bias"), int("size")]),
    op("LayerNormalization", 2, 3, layer).since(17).attributes(&[
        int("axis"),
        float("epsilon"),
        int("stash_type"),
    ]),
    op("LpNormalization", 1, 1, lp)
        .since(1)
        .attributes(&[int("axis"), int("p")]),
    op("MeanVarianceNormalization", 1, 1, mean_variance)
        .since(9)
        .attributes(&[ints("axes")]),
    op("RMSNormalization", 2, 2, rms).since(23).attributes(&[
        int("axis"),
        float("epsilon"),
        int("stash_type"),
    ]),
];

const EPSILON: f32 = 1e-5;

fn mean(run: &[f64]) -> f64 {
    run.iter().sum::<f64>() / run.len() as f64
}

fn variance(run: &[f64], mean: f64) -> f64 {
    run.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / run.len() as f64
}

/// A list of one float per channel.
fn per_channel(t: &Tensor, channels: usize) -> Step<&[f64]> {
    if t.shape() == [channels] {
        t.floats()
    } else {
        Err(format!(
            "a parameter of shape {:?} for {channels} channels",
            t.shape()
        ))
    }
}

fn batch(call: &Call) -> Made {
    let x = call.input(0)?;
    let v = x.floats()?;
    call.room(x.shape())?;
    if call.int("spatial", 1) != 1 {
        return Err("normalisation that is not spatial is not evaluated".into());
    }
    let (before, channels, plane) = match *x.shape() {
        [] => return Err("a scalar has no channels".into()),
        [n] => (n, 1, 1),
        _ => around(x.shape(), 1),
    };
    let parameter = |i: usize| per_channel(call.input(i)?, channels);
    let (scale, shift) = (parameter(1)?, parameter(2)?);
    let (mut means, mut variances) = (parameter(3)?.to_vec(), parameter(4)?.to_vec());
    let parameters = (scale, shift);
    if !call.flag("training_mode", false)? {
        return one(normalised(
            call,
            x,
            (channels, plane),
            (&means, &variances),
            parameters,
        )?);
    }
    // The batch's own mean and variance, which move the running ones.
    let momentum = call.float("momentum", 0.9);
    let count = (before * plane) as f64;
    let (mut running_means, mut running_variances) = (means.clone(), variances.clone());
    for c in 0..channels {
        let of_channel = || (0..before).flat_map(|b| &v[(b * channels + c) * plane..][..plane]);
        let mean = of_channel().sum::<f64>() / count;
        means[c] = mean;
        variances[c] = of_channel().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
        let blend = |old: f64, new: f64| old * momentum + new * (1.0 - momentum);
        running_means[c] = blend(running_means[c], means[c]);
        running_variances[c] = blend(running_variances[c], variances[c]);
    }
    let like = |i: usize, values: Vec<f64>| {
        let element = call.input(i)?.element();
        Tensor::make(element, vec![channels], Values::Float(values))
    };
    let made = normalised(call, x, (channels, plane), (&means, &variances), parameters)?;
    Ok(vec![made, like(3, running_means)?, like(4, running_variances)?])
}

fn normalised(
    call: &Call,
    x: &Tensor,
    (channels, plane): (usize, usize),
    (means, variances): (&[f64], &[f64]),
    (scale, shift): (&[f64], &[f64]),
) -> Step<Tensor> {
    let epsilon = call.float("epsilon", EPSILON);
    let mut made = x.floats()?.to_vec();
    if !made.is_empty() {
        for (i, plane) in made.chunks_exact_mut(plane).enumerate() {
            let c = i % channels;
            let (mean, factor) = (means[c], scale[c] / (variances[c] + epsilon).sqrt());
            plane
                .iter_mut()
                .for_each(|v| *v = (*v - mean) * factor + shift[c]);
        }
    }
    Tensor::make(x.element(), x.shape().to_vec(), Values::Float(made))
}

fn instance(call: &Call) -> Made {
    let x = call.input(0)?;
    let channels = x.shape().get(1).copied().ok_or("there are no channels")?;
    grouped(
        call,
        x,
        channels,
        per_channel(call.input(1)?, channels)?,
        per_channel(call.input(2)?, channels)?,
    )
}

/// Before opset 21 a scale and shift per group, since then per channel.
fn group(call: &Call) -> Made {
    let x = call.input(0)?;
    let channels = x.shape().get(1).copied().ok_or("there are no channels")?;
    let groups = size(call.int("num_groups", 0))?;
    if groups == 0 || !channels.is_multiple_of(groups) {
        return Err(format!("{channels} channels in {groups} groups"));
    }
    let parameter = |i: usize| -> Step<Vec<f64>> {
        if call.opset() < 21 {
            let list = per_channel(call.input(i)?, groups)?;
            return Ok(list
                .iter()
                .flat_map(|&v| std::iter::repeat_n(v, channels / groups))
                .collect());
        }
        Ok(per_channel(call.input(i)?, channels)?.to_vec())
    };
    grouped(call, x, groups, &parameter(1)?, &parameter(2)?)
}

/// Each group of channels of each batch on its own, scaled and shifted by channel.
fn grouped(call: &Call, x: &Tensor, groups: usize, scale: &[f64], shift: &[f64]) -> Made {
    let epsilon = call.float("epsilon", EPSILON);
    let mut made = x.floats()?.to_vec();
    call.room(x.shape())?;
    let (_, channels, plane) = around(x.shape(), 1);
    if !made.is_empty() {
        for run in made.chunks_exact_mut(channels / groups * plane) {
            let mean = mean(run);
            let factor = 1.0 / (variance(run, mean) + epsilon).sqrt();
            run.iter_mut().for_each(|v| *v = (*v - mean) * factor);
        }
        for (i, plane) in made.chunks_exact_mut(plane).enumerate() {
            let c = i % channels;
            plane.iter_mut().for_each(|v| *v = *v * scale[c] + shift[c]);
        }
    }
    one(Tensor::make(
        x.element(),
        x.shape().to_vec(),
        Values::Float(made),
    )?)
}

/// The runs of values from an axis on, and the shape with those dimensions 1.
fn from_axis(call: &Call, x: &Tensor) -> Step<(usize, Vec<usize>)> {
    let from = axis(call.int("axis", -1), x.rank())?;
    call.room(x.shape())?;
    let (before, behind) = x.shape().split_at(from);
    let mut shape = before.to_vec();
    shape.resize(x.rank(), 1);
    Ok((volume(behind)?, shape))
}

/// The normalised values times a scale, plus a shift, both broadcast to them.
fn scaled(call: &Call, x: &Tensor, values: Vec<f64>) -> Step<Tensor> {
    let mut made = values;
    let check = |(shape, made): (Vec<usize>, Vec<f64>)| {
        if shape == x.shape() {
            Ok(made)
        } else {
            Err(format!("the scale or shift makes {shape:?} of {:?}", x.shape()))
        }
    };
    let scale = call.input(1)?;
    made = check(binary::zip(
        call,
        (&made, x.shape()),
        (scale.floats()?, scale.shape()),
        |v, s| v * s,
    )?)?;
    if let Some(shift) = call.optional(2) {
        made = check(binary::zip(
            call,
            (&made, x.shape()),
            (shift.floats()?, shift.shape()),
            |v, s| v + s,
        )?)?;
    }
    Tensor::make(x.element(), x.shape().to_vec(), Values::Float(made))
}

fn layer(call: &Call) -> Made {
    let x = call.input(0)?;
    let mut values = x.floats()?.to_vec();
    let (run, shape) = from_axis(call, x)?;
    let epsilon = call.float("epsilon", EPSILON);
    let (mut means, mut factors) = (Vec::new(), Vec::new());
    if !values.is_empty() {
        for run in values.chunks_exact_mut(run) {
            let mean = mean(run);
            let factor = 1.0 / (variance(run, mean) + epsilon).sqrt();
            run.iter_mut().for_each(|v| *v = (*v - mean) * factor);
            means.push(mean);
            factors.push(factor);
        }
    }
    let stash = super::cast::named_type(call, "stash_type", Some(crate::ElementType::Float32))?;
    let made = scaled(call, x, values)?;
    if call.asked() < 2 {
        return one(made);
    }
    let means = Tensor::make(stash, shape.clone(), Values::Float(means))?;
    let factors = Tensor::make(stash, shape, Values::Float(factors))?;
    Ok(vec![made, means, factors])
}

fn rms(call: &Call) -> Made {
    let x = call.input(0)?;
    let mut values = x.floats()?.to_vec();
    let (run, _) = from_axis(call, x)?;
    let epsilon = call.float("epsilon", EPSILON);
    if !values.is_empty() {
        for run in values.chunks_exact_mut(run) {
            let factor = 1.0 / (variance(run, 0.0) + epsilon).sqrt();
            run.iter_mut().for_each(|v| *v *= factor);
        }
    }
    one(scaled(call, x, values)?)
}

fn lp(call: &Call) -> Made {
    let x = call.input(0)?;
    let mut values = x.floats()?.to_vec();
    call.room(x.shape())?;
    let (_, n, behind) = around(x.shape(), axis(call.int("axis", -1), x.rank())?);
    let p = call.int("p", 2);
    if p != 1 && p != 2 {
        return Err(format!("a norm of exponent {p}"));
    }
    if !values.is_empty() {
        for block in values.chunks_exact_mut(n * behind) {
            for i in 0..behind {
                let run = || (0..n).map(|k| k * behind + i);
                let norm = match p {
                    1 => run().map(|at| block[at].abs()).sum::<f64>(),
                    _ => run().map(|at| block[at] * block[at]).sum::<f64>().sqrt(),
                };
                // A run of zeros stays zeros.
                let norm = if norm == 0.0 { 1.0 } else { norm };
                run().for_each(|at| block[at] /= norm);
            }
        }
    }
    one(Tensor::make(
        x.element(),
        x.shape().to_vec(),
        Values::Float(values),
    )?)
}

/// Each value over a power of the mean square of its neighbours in the channels around.
fn lrn(call: &Call) -> Made {
    let x = call.input(0)?;
    let v = x.floats()?;
    let (alpha, beta) = (call.float("alpha", 0.0001), call.float("beta", 0.75));
    let (bias, window) = (call.float("bias", 1.0), size(call.int("size", 0))?);
    let (_, channels, plane) = around(x.shape(), 1);
    if window == 0 || x.rank() < 2 {
        return Err(format!(
            "a window of {window} channels on the shape {:?}",
            x.shape()
        ));
    }
    call.touch(x.len().saturating_mul(window.min(channels)))?;
    let mut made = vec![0.0; x.len()];
    for (i, m) in made.iter_mut().enumerate() {
        let (batch, c, p) = (i / (channels * plane), i / plane % channels, i % plane);
        let from = c.saturating_sub((window - 1) / 2);
        let to = c.saturating_add(window / 2).saturating_add(1).min(channels);
        let squares = (from..to).map(|k| v[(batch * channels + k) * plane + p].powi(2));
        *m = v[i] / (bias + alpha / window as f64 * squares.sum::<f64>()).powf(beta);
    }
    one(Tensor::make(
        x.element(),
        x.shape().to_vec(),
        Values::Float(made),
    )?)
}

/// Less the mean, over the deviation, both over some axes.
fn mean_variance(call: &Call) -> Made {
    let x = call.input(0)?;
    let v = x.floats()?;
    let reduced = axes(call.ints("axes").unwrap_or(&[0, 2, 3]), x.rank())?;
    call.room(x.shape())?;
    let kept = x
        .shape()
        .iter()
        .enumerate()
        .map(|(d, &n)| if reduced.contains(&d) { 1 } else { n });
    let kept: Vec<usize> = kept.collect();
    let mut by = strides(&kept);
    reduced.iter().for_each(|&d| by[d] = 0);
    let len = volume(&kept)?;
    let count = (x.len() / len.max(1)) as f64;
    let sum = |f: &dyn Fn(usize, usize) -> f64| {
        let mut sums = vec![0.0; len];
        each_place(x.shape(), &by, |at, to| sums[to] += f(at, to));
        sums
    };
    let means: Vec<f64> = sum(&|at, _| v[at]).iter().map(|s| s / count).collect();
    let variances = sum(&|at, to| (v[at] - means[to]).powi(2));
    let mut made = vec![0.0; x.len()];
    each_place(x.shape(), &by, |at, to| {
        // The specification adds 1e-9 to the deviation.
        made[at] = (v[at] - means[to]) / ((variances[to] / count).sqrt() + 1e-9);
    });
    one(Tensor::make(
        x.element(),
        x.shape().to_vec(),
        Values::Float(made),
    )?)
}

/// Every place of a shape with the place that it goes to.
fn each_place(shape: &[usize], by: &[usize], mut visit: impl FnMut(usize, usize)) {
    let inner = shape.last().copied().unwrap_or(1);
    let step = by.last().copied().unwrap_or(0);
    rows(shape, [&strides(shape), by], |[at, to]| {
        (0..inner).for_each(|i| visit(at + i, to + i * step))
    });
}
