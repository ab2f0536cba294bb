//! Convolutions: `acc[o, p] = Σ_{c, k} W[o, c, k] · x[g(o) + c, q(p, k)]`, absent outside the image. At `(ρ_o, ρ_p)`:
//! `c(c, q) = Σ_k (Σ_o eq(ρ_o, o) · W[o, c, k]) · Σ_{p: q(p, k) = q} eq(ρ_p, p)`. Stride, dilation, groups and padding are all
//! in `q(p, k)`, which both sides take from the map.

use p3_field::PrimeCharacteristicRing;

use super::form::{Kind, Reading};
use crate::graph::{LinearMap, TensorId};
use crate::sumcheck::axes::Axes;
use crate::sumcheck::channel::Sender;
use crate::sumcheck::field::{EF, IntegerSum, coefficients as integers, combine_rows, dot};
use crate::sumcheck::shapes::Classes;
use crate::sumcheck::sums::prove_sum;
use crate::sumcheck::transcript::{Label, Recorder};
use crate::sumcheck::work::{MULTIPLY, VALUE};

/// Both tensors are cut between channels and positions.
pub(super) fn fit(image: usize, positions: usize, from: &Axes, to: &Axes) -> Option<Kind> {
    let split = [from.cut(image)?, to.cut(positions)?];
    Some(Kind::Convolve { split })
}

/// Between channels and positions, and, where that costs nothing, between rows and columns.
pub(super) fn cut(classes: &mut Classes, sides: [(TensorId, u32, u32); 2]) {
    for (id, h, w) in sides {
        classes.cut(id, h.saturating_mul(w) as usize);
        // Rows and columns apart make a verifier's work light, where they cost a prover no padding.
        let padded = |d: u32| d.checked_next_power_of_two();
        let apart = padded(h).and_then(|h| h.checked_mul(padded(w)?));
        if apart.is_some() && apart == padded(h.saturating_mul(w)) {
            classes.cut(id, w as usize);
        }
    }
}

/// The numbers of a convolution.
struct Geometry<'a> {
    weight: &'a [i64],
    groups: usize,
    /// Output channels per group, input channels per group, taps.
    sizes: [usize; 3],
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    pad: [usize; 2],
    image: [usize; 2],
    out: [usize; 2],
}

impl<'a> Geometry<'a> {
    fn new(map: &'a LinearMap) -> Option<Self> {
        let LinearMap::Conv2d {
            input: [ic, h, w],
            output: [oc, oh, ow],
            kernel,
            stride,
            dilation,
            pad,
            groups,
            weight,
            ..
        } = map
        else {
            return None;
        };
        let pair = |p: &[u32; 2]| p.map(|d| d as usize);
        let kernel = pair(kernel);
        Some(Self {
            weight,
            groups: *groups as usize,
            sizes: [
                (oc / groups) as usize,
                (ic / groups) as usize,
                kernel[0] * kernel[1],
            ],
            kernel,
            stride: pair(stride),
            dilation: pair(dilation),
            pad: pair(pad),
            image: pair(&[*h, *w]),
            out: pair(&[*oh, *ow]),
        })
    }

    /// The positions that read something through a tap: `(first, count)` on an axis, with the place that the first reads.
    fn span(&self, axis: usize, tap: usize) -> (usize, usize, usize) {
        let offset = tap * self.dilation[axis];
        let (pad, stride, extent) = (self.pad[axis], self.stride[axis], self.image[axis]);
        // Least y with y·stride + offset ≥ pad; then while it stays below pad + extent.
        let first = pad.saturating_sub(offset).div_ceil(stride);
        let end = (pad + extent)
            .saturating_sub(offset)
            .div_ceil(stride)
            .min(self.out[axis]);
        match end.checked_sub(first) {
            Some(count) if count > 0 => (first, count, first * stride + offset - pad),
            _ => (0, 0, 0),
        }
    }

    /// Calls `visit(position, place)` for every pair that a tap joins.
    fn pairs(&self, tap: usize, mut visit: impl FnMut(usize, usize)) {
        let (y0, rows, u0) = self.span(0, tap / self.kernel[1]);
        let (z0, columns, v0) = self.span(1, tap % self.kernel[1]);
        for y in 0..rows {
            let (position, place) = (
                (y0 + y) * self.out[1] + z0,
                (u0 + y * self.stride[0]) * self.image[1] + v0,
            );
            for z in 0..columns {
                visit(position + z, place + z * self.stride[1]);
            }
        }
    }
}

/// `Σ_k (Σ_{o, c} eq(ρ_o, o) · W[o, c, k] · eq(r_c, g(o) + c)) · (Σ_p eq(ρ_p, p) · eq(r_q, q(p, k)))`.
pub(super) fn coefficient_at(
    reading: &Reading<'_>,
    split: [usize; 2],
    output_point: &[EF],
    chosen: &[EF],
) -> EF {
    let Some(geometry) = Geometry::new(reading.map) else {
        return EF::ZERO;
    };
    let (from, to) = (reading.from, reading.to);
    let channels = |axes: &Axes, split: usize, point: &[EF]| {
        let part = axes.part(0..split);
        part.eq(&point[..part.arity()])
    };
    let out_channel = channels(to, split[1], output_point);
    let in_channel = channels(from, split[0], chosen);
    let [ocg, icg, taps] = geometry.sizes;
    let mut total = vec![EF::ZERO; taps];
    for group in 0..geometry.groups {
        let outs = &out_channel[group * ocg..(group + 1) * ocg];
        let ins = &in_channel[group * icg..(group + 1) * icg];
        let weights = &geometry.weight[group * ocg * icg * taps..(group + 1) * ocg * icg * taps];
        for (row, &e) in combine_rows(outs, weights, icg * taps).chunks(taps).zip(ins) {
            for (total, &w) in total.iter_mut().zip(row) {
                *total += e * w;
            }
        }
    }
    let tails = [
        &chosen[from.part(0..split[0]).arity()..],
        &output_point[to.part(0..split[1]).arity()..],
    ];
    let Some(axes) = in_rows(reading.map, split, from, to) else {
        let places = from.part(split[0]..from.count()).eq(tails[0]);
        let positions = to.part(split[1]..to.count()).eq(tails[1]);
        let mut sum = EF::ZERO;
        for (tap, weight) in total.into_iter().enumerate() {
            let mut joined = EF::ZERO;
            geometry.pairs(tap, |position, place| {
                joined += positions[position] * places[place];
            });
            sum += weight * joined;
        }
        return sum;
    };
    // A tap joins rows with rows and columns with columns, so its sum is a product of one over either.
    let [rows, columns] = [0, 1].map(|axis| {
        let [place, position] = [0, 1].map(|side: usize| {
            let (before, own) = (axes[side][0].arity(), &axes[side][axis]);
            let from = if axis == 0 { 0 } else { before };
            own.all().eq(&tails[side][from..from + own.arity()])
        });
        (0..geometry.kernel[axis])
            .map(|tap| {
                let (first, count, read) = geometry.span(axis, tap);
                let pairs = (0..count).map(|i| position[first + i] * place[read + i * geometry.stride[axis]]);
                pairs.sum::<EF>()
            })
            .collect::<Vec<_>>()
    });
    let mut sum = EF::ZERO;
    for (row, weights) in rows.iter().zip(total.chunks(geometry.kernel[1])) {
        sum += *row * dot(weights, &columns);
    }
    sum
}

/// Steps of a verifier for [`coefficient_at`].
pub(super) fn steps(reading: &Reading<'_>, split: [usize; 2]) -> u64 {
    let Some(geometry) = Geometry::new(reading.map) else {
        return 0;
    };
    let [ocg, icg, taps] = geometry.sizes;
    let channels = geometry.groups * (ocg + icg);
    // Each weight once; each row of weights and each combined coefficient by itself.
    let weights = geometry.weight.len() as u64 * VALUE
        + MULTIPLY * (2 * channels + geometry.groups * icg * taps + taps) as u64;
    let pairs = |axis: usize| {
        let counts = (0..geometry.kernel[axis]).map(|tap| geometry.span(axis, tap).1 as u64);
        counts.sum::<u64>()
    };
    let sides = [geometry.image, geometry.out];
    let joined = if in_rows(reading.map, split, reading.from, reading.to).is_some() {
        pairs(0) + pairs(1) + sides.iter().flatten().sum::<usize>() as u64
    } else {
        // Whole equality vectors are written and read, and every pair is visited.
        let entries: usize = sides.iter().map(|[rows, columns]| rows * columns).sum();
        pairs(0)
            .saturating_mul(pairs(1))
            .saturating_add(3 * entries as u64)
    };
    weights.saturating_add(joined.saturating_mul(MULTIPLY))
}

/// The axes of places and of positions in rows and columns, where both can be cut so: `[[rows, columns]; 2]`.
fn in_rows(map: &LinearMap, split: [usize; 2], from: &Axes, to: &Axes) -> Option<[[Axes; 2]; 2]> {
    let LinearMap::Conv2d {
        input: [_, _, w],
        output: [_, _, ow],
        ..
    } = map
    else {
        return None;
    };
    let places = from.part(split[0]..from.count()).in_two(*w as usize)?;
    let positions = to.part(split[1]..to.count()).in_two(*ow as usize)?;
    Some([places, positions])
}

/// The prover's rounds of `Σ_{c, q} c(c, q) · x[c, q]`, as they are of both factors written out, in far fewer multiplications of
/// extension elements. Channels come first: `c(c, q) = Σ_k w_k(c) · e_k(q)` with `w_k(c) = Σ_o eq(ρ_o, o) · W[o, c, k]` and
/// `e_k(q) = Σ_{p: q(p, k) = q} eq(ρ_p, p)`, so while they are bound the sum is `Σ_k Σ_c w_k(c) · X_k(c)` with `X_k(c) = Σ_q e_k(q) ·
/// x[c, q]`: a pair of short factors for each tap, and the image only read, as integers. Then one image is left.
pub(super) fn prove<R: Recorder>(
    sender: &mut Sender<R>,
    rounds: [Label; 2],
    (reading, split): (&Reading<'_>, [usize; 2]),
    output_point: &[EF],
    x: &[i64],
) -> Vec<EF> {
    let Some(geometry) = Geometry::new(reading.map) else {
        return Vec::new();
    };
    let (out_channel, out_position) = halves(reading.to, split[1], output_point);
    let [ocg, icg, taps] = geometry.sizes;
    let image = geometry.image[0] * geometry.image[1];
    let from = reading.from;
    let (channels, places) = (from.part(0..split[0]), from.part(split[0]..from.count()));

    let mut weights = vec![Vec::with_capacity(geometry.groups * icg); taps];
    let matrices = geometry.weight.chunks(ocg * icg * taps);
    for (outs, matrix) in out_channel.chunks(ocg).zip(matrices) {
        for row in combine_rows(outs, matrix, icg * taps).chunks(taps) {
            for (weights, &w) in weights.iter_mut().zip(row) {
                weights.push(w);
            }
        }
    }
    let positions: Vec<_> = out_position.iter().map(integers).collect();
    let read = |tap: usize| {
        let plane = |plane: &[i64]| {
            let mut sum = IntegerSum::default();
            geometry.pairs(tap, |position, place| sum.add(positions[position], plane[place]));
            sum.reduce()
        };
        x.chunks(image).map(plane).collect::<Vec<_>>()
    };
    let pairs = weights.iter().enumerate();
    let pairs = pairs.map(|(tap, w)| [channels.spread(w), channels.spread(&read(tap))]);
    let mut chosen = prove_sum(sender, rounds, pairs.collect(), None);

    let eq = channels.eq(&chosen);
    let mut joined = EF::zero_vec(image);
    for (tap, weights) in weights.iter().enumerate() {
        let weight = dot(&eq, weights);
        geometry.pairs(tap, |position, place| {
            joined[place] += weight * out_position[position]
        });
    }
    let plane = combine_rows(&eq, x, image);
    let pair = [places.spread(&joined), places.spread(&plane)];
    chosen.extend(prove_sum(sender, rounds, vec![pair], None));
    chosen
}

/// `c(c, q)` on the input's cube, 0 on padding: as it is defined.
#[cfg(test)]
pub(super) fn coefficients(reading: &Reading<'_>, split: [usize; 2], output_point: &[EF]) -> Vec<EF> {
    let Some(geometry) = Geometry::new(reading.map) else {
        return EF::zero_vec(1 << reading.from.arity());
    };
    let (out_channel, out_position) = halves(reading.to, split[1], output_point);
    let [ocg, icg, taps] = geometry.sizes;
    let image = geometry.image[0] * geometry.image[1];
    let mut values = EF::zero_vec(geometry.groups * icg * image);
    for group in 0..geometry.groups {
        let outs = &out_channel[group * ocg..(group + 1) * ocg];
        let weights = &geometry.weight[group * ocg * icg * taps..(group + 1) * ocg * icg * taps];
        let combined = combine_rows(outs, weights, icg * taps);
        let planes = values[group * icg * image..].chunks_mut(image);
        for (row, plane) in combined.chunks(taps).zip(planes) {
            for (tap, &weight) in row.iter().enumerate() {
                geometry.pairs(tap, |position, place| {
                    plane[place] += weight * out_position[position]
                });
            }
        }
    }
    reading.from.all().spread(&values)
}

/// Equality vectors of channels and positions.
fn halves(axes: &Axes, split: usize, point: &[EF]) -> (Vec<EF>, Vec<EF>) {
    let channels = axes.part(0..split);
    let (head, tail) = point.split_at(channels.arity());
    (channels.eq(head), axes.part(split..axes.count()).eq(tail))
}
