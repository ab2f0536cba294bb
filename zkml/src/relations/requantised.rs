//! `Requantised`: `z = activation(q)`, `q = floor((acc + 2^(S-1)) / 2^S)`, `q` in its signed range, where `acc` is a linear map
//! with constant coefficients of the inputs.
//!
//! The accumulator is not a tensor: the limbs of the requantisation determine it. *Bounds:* `|acc| < 2^62` over all inputs in
//! their ranges ([`accumulator_bound`](crate::graph::bound::accumulator_bound)), `bits` from 2 to 32, `S` up to 40, together at
//! most 60. *Fixes its output:* the linear map is a function, and floor division with `0 <= remainder < 2^S` is unique; where `q`
//! leaves its range there is no output.

use super::Relation;
use super::check::{CheckError, Values};
use super::lower::{Lower, LowerError, Site};
use crate::graph::bound::accumulator_bound;
use crate::graph::{self, IntRange, LinearMap, Requantise, TensorId};

impl Lower for graph::Linear {
    fn lower(&self, site: &Site<'_>) -> Result<Relation, LowerError> {
        let ranges = site.inputs().iter().map(|&id| site.range(id));
        let input_ranges = ranges.collect::<Result<Vec<_>, _>>()?;
        let bound = accumulator_bound(&self.map, &input_ranges).ok_or_else(|| site.overflow())?;
        Ok(Relation::Requantised {
            inputs: site.inputs().to_vec(),
            input_ranges,
            map: self.map.clone(),
            requantise: self.requantise,
            bound,
            output: site.output(),
        })
    }
}

/// The output is what the requantisation gives for the map of the inputs.
pub(super) fn check(
    values: &Values<'_>,
    inputs: &[TensorId],
    map: &LinearMap,
    requantise: Requantise,
    output: TensorId,
) -> Result<(), CheckError> {
    values.expect(output, &made(values, inputs, map, requantise, output)?)
}

/// What the requantisation gives for the map of the inputs.
pub(super) fn made(
    values: &Values<'_>,
    inputs: &[TensorId],
    map: &LinearMap,
    requantise: Requantise,
    output: TensorId,
) -> Result<Vec<Option<i64>>, CheckError> {
    let tensors = inputs.iter().map(|id| values.of(*id));
    let tensors = tensors.collect::<Result<Vec<_>, _>>()?;
    let accumulators = linear(map, &tensors).ok_or(CheckError::Tensor(output))?;
    Ok(requantised(requantise, accumulators))
}

/// What a requantisation gives for each accumulator; `None` where the quotient is out of its range.
pub(super) fn requantised(requantise: Requantise, accumulators: Vec<i64>) -> Vec<Option<i64>> {
    let range = IntRange::signed(requantise.bits);
    let activate = |acc| {
        let q = requantise.quotient(acc);
        range.contains(q).then(|| requantise.activation.of(q))
    };
    accumulators.into_iter().map(activate).collect()
}

/// The accumulators of a linear map, written as its definition; `None` when a length does not fit.
fn linear(map: &LinearMap, x: &[&[i64]]) -> Option<Vec<i64>> {
    match map {
        LinearMap::Dense {
            inputs,
            outputs,
            weight,
            bias,
        } => {
            let (n, m, x) = (*inputs as usize, *outputs as usize, x.first()?);
            let batch = x.len().checked_div(n)?;
            let mut acc = Vec::with_capacity(batch * m);
            for b in 0..batch {
                for o in 0..m {
                    let dot: i64 = (0..n).map(|i| weight[o * n + i] * x[b * n + i]).sum();
                    acc.push(dot + bias[o]);
                }
            }
            Some(acc)
        }
        LinearMap::Conv2d {
            input,
            output,
            kernel,
            stride,
            dilation,
            pad,
            groups,
            weight,
            bias,
        } => {
            let [ic, h, w] = input.map(i64::from);
            let [oc, oh, ow] = output.map(i64::from);
            let ([kh, kw], [sh, sw], [dh, dw], [ph, pw]) = (
                kernel.map(i64::from),
                stride.map(i64::from),
                dilation.map(i64::from),
                pad.map(i64::from),
            );
            let (icg, ocg) = (ic / i64::from(*groups), oc / i64::from(*groups));
            let x = x.first()?;
            let mut acc = Vec::with_capacity((oc * oh * ow) as usize);
            for o in 0..oc {
                for (y, z) in (0..oh).flat_map(|y| (0..ow).map(move |z| (y, z))) {
                    let mut sum = bias[o as usize];
                    for (c, a, b) in
                        (0..icg).flat_map(|c| (0..kh).flat_map(move |a| (0..kw).map(move |b| (c, a, b))))
                    {
                        let (u, v) = (y * sh + a * dh - ph, z * sw + b * dw - pw);
                        if (0..h).contains(&u) && (0..w).contains(&v) {
                            let weight = weight[(((o * icg + c) * kh + a) * kw + b) as usize];
                            sum += weight * x[((((o / ocg) * icg + c) * h + u) * w + v) as usize];
                        }
                    }
                    acc.push(sum);
                }
            }
            Some(acc)
        }
        LinearMap::Affine {
            outer,
            channels,
            inner,
            scale,
            bias,
        } => {
            let (outer, channels, inner) = (*outer as usize, *channels as usize, *inner as usize);
            if x.iter().any(|x| x.len() != outer * channels * inner) {
                return None;
            }
            Some(
                (0..outer * channels * inner)
                    .map(|i| {
                        let c = i / inner % channels;
                        let sum: i64 = x
                            .iter()
                            .enumerate()
                            .map(|(k, x)| scale[k * channels + c] * x[i])
                            .sum();
                        sum + bias[c]
                    })
                    .collect(),
            )
        }
    }
}
