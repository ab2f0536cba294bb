//! Element-wise maps: `acc[o, c, i] = Σ_k scale_k[c] · x_k[o, c, i]`. Input and output have the same axes, so every
//! coordinate but the channels' is kept: `c(c) = eq(ρ_c, c) · scale[c]`. With one channel there is no round at all.

use std::ops::Range;

use p3_field::PrimeCharacteristicRing;

use super::form::{Kind, Reading};
use crate::graph::TensorId;
use crate::sumcheck::axes::Axes;
use crate::sumcheck::field::{EF, dot_integers, signed};
use crate::sumcheck::shapes::Classes;

/// Both tensors have the same axes, cut around the channels.
pub(super) fn fit(channels: usize, inner: usize, from: &Axes, to: &Axes) -> Option<Kind> {
    let end = to.cut(inner)?;
    let start = if channels == 1 {
        end
    } else {
        to.cut(channels * inner)?
    };
    (from == to && start <= end).then_some(Kind::Scale { channels: start..end })
}

/// Around the channels, if there are several.
pub(super) fn cut(classes: &mut Classes, output: TensorId, channels: u32, inner: u32) {
    if channels > 1 {
        classes.cut(output, inner as usize);
        classes.cut(output, inner.saturating_mul(channels) as usize);
    }
}

fn factors_of<'a>(reading: &Reading<'a>) -> &'a [i64] {
    let channels = reading.map.bias().len();
    &reading.map.weight()[reading.index * channels..(reading.index + 1) * channels]
}

/// `Σ_c eq(ρ_c, c) · scale[c] · eq(r, c)`.
pub(super) fn coefficient_at(
    reading: &Reading<'_>,
    channels: &Range<usize>,
    output_point: &[EF],
    chosen: &[EF],
) -> EF {
    let [_, middle, _] = reading.to.split(output_point, channels.clone());
    let part = reading.to.part(channels.clone());
    let both: Vec<EF> = part
        .eq(middle)
        .into_iter()
        .zip(part.eq(chosen))
        .map(|(a, b)| a * b)
        .collect();
    dot_integers(&both, factors_of(reading))
}

/// `c(c)` and `Σ_{o, i} eq(ρ_o, o) · eq(ρ_i, i) · x[o, c, i]`.
pub(super) fn factors(
    reading: &Reading<'_>,
    channels: &Range<usize>,
    output_point: &[EF],
    x: &[i64],
) -> [Vec<EF>; 2] {
    let axes = reading.from;
    let [head, middle, tail] = axes.split(output_point, channels.clone());
    let (outer, inner) = (
        axes.part(0..channels.start),
        axes.part(channels.end..axes.count()),
    );
    let part = axes.part(channels.clone());
    let scale = factors_of(reading);
    let (outer_eq, inner_eq) = (outer.eq(head), inner.eq(tail));
    let mut sums = vec![EF::ZERO; part.len()];
    for (weight, block) in outer_eq.into_iter().zip(x.chunks(part.len() * inner_eq.len())) {
        for (sum, row) in sums.iter_mut().zip(block.chunks(inner_eq.len())) {
            *sum += weight * dot_integers(&inner_eq, row);
        }
    }
    let mut coefficients = part.eq(middle);
    for (c, &s) in coefficients.iter_mut().zip(scale) {
        *c *= signed(s);
    }
    [part.spread(&coefficients), part.spread(&sums)]
}
