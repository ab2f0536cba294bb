//! The accumulators of linear maps, as loops that a processor likes.
//!
//! Invariant: every accumulator is its bias, then its products in the order of its coefficients: floats give one result however
//! the loops are nested. What each is by definition stands in [`relations`](crate::relations), which tests compare with this.

use std::ops::{AddAssign, Deref, Mul};

use super::linear::LinearMap;

/// What can be multiplied and added up.
pub trait Number: Copy + AddAssign + Mul<Output = Self> {}

impl<T: Copy + AddAssign + Mul<Output = T>> Number for T {}

impl<T: Number, V: Deref<Target = [T]>> LinearMap<V> {
    /// The accumulators of flat inputs. The order of additions is fixed, so that floats give one result.
    ///
    /// # Panics
    /// When [`LinearMap::output_len`] of the inputs' lengths is an error.
    #[must_use]
    pub fn accumulate(&self, x: &[&[T]]) -> Vec<T> {
        match self {
            Self::Dense {
                inputs, weight, bias, ..
            } => dense(x[0], *inputs as usize, weight, bias),
            Self::Conv2d { .. } => self.convolve(x[0], |v| v),
            Self::Affine {
                channels,
                inner,
                scale,
                bias,
                ..
            } => {
                let (channels, inner) = (*channels as usize, *inner as usize);
                (0..x[0].len())
                    .map(|i| {
                        let c = i / inner % channels;
                        let mut sum = bias[c];
                        for (k, x) in x.iter().enumerate() {
                            sum += scale[k * channels + c] * x[i];
                        }
                        sum
                    })
                    .collect()
            }
        }
    }

    /// The accumulators of a convolution, in numbers of any kind that the map's stand for.
    fn convolve<U: Number>(&self, x: &[U], number: impl Fn(T) -> U) -> Vec<U> {
        let Self::Conv2d {
            input,
            output,
            kernel,
            stride,
            dilation,
            pad,
            groups,
            weight,
            bias,
        } = self
        else {
            return Vec::new();
        };
        let ([ic, h, w], [oc, oh, ow]) = (input.map(|d| d as usize), output.map(|d| d as usize));
        let [kh, kw] = kernel.map(|d| d as usize);
        let (icg, ocg) = (ic / *groups as usize, oc / *groups as usize);
        let taps = |axis: usize, kernel: usize, extent: usize, results: usize| -> Vec<Tap> {
            let [stride, dilation, pad] = [stride[axis], dilation[axis], pad[axis]].map(|d| d as usize);
            let tap = |a: usize| Tap::new(a * dilation, pad, stride, extent, results);
            (0..kernel).map(tap).collect()
        };
        let (rows, columns) = (taps(0, kh, h, oh), taps(1, kw, w, ow));
        let mut made = Vec::with_capacity(oc * oh * ow);
        for &bias in bias.iter() {
            made.extend(std::iter::repeat_n(number(bias), oh * ow));
        }
        for (o, plane) in made.chunks_exact_mut(oh * ow).enumerate() {
            let weights = &weight[o * icg * kh * kw..(o + 1) * icg * kh * kw];
            for (c, weights) in weights.chunks_exact(kh * kw).enumerate() {
                let channel = (o / ocg) * icg + c;
                let image = &x[channel * h * w..(channel + 1) * h * w];
                // Tap after tap over the whole plane: each value meets its taps in their order.
                for (row, weights) in rows.iter().zip(weights.chunks_exact(kw)) {
                    for (column, &weight) in columns.iter().zip(weights) {
                        for y in row.first..row.end {
                            let sums = &mut plane[y * ow + column.first..y * ow + column.end];
                            let from = row.place(y) * w + column.place(column.first);
                            column.add(sums, number(weight), image.get(from..).unwrap_or_default());
                        }
                    }
                }
            }
        }
        made
    }
}

/// Integers below this in absolute value are doubles, and so are their sums and products while these stay below it.
const EXACT: i64 = 1 << 53;
/// Results of a plane up to which a window is written out for each: shorter loops would be mostly their own beginning.
const SMALL_PLANE: usize = 16;

impl LinearMap {
    /// As [`LinearMap::accumulate`], where no accumulator exceeds `bound` in absolute value, whatever the inputs in their ranges
    /// ([`accumulator_bound`](super::bound::accumulator_bound)): then no partial sum does either, in any order. Convolutions are
    /// made in doubles where those are exact, which processors multiply several at a time.
    ///
    /// # Panics
    /// As there.
    #[must_use]
    pub fn accumulate_within(&self, x: &[&[i64]], bound: i64) -> Vec<i64> {
        let Self::Conv2d {
            input: [ic, h, w],
            output: [_, oh, ow],
            kernel: [kh, kw],
            weight,
            groups,
            bias,
            ..
        } = self
        else {
            return self.accumulate(x);
        };
        if bound >= EXACT {
            return self.accumulate(x);
        }
        let image: Vec<f64> = x[0].iter().map(|&v| v as f64).collect();
        let (plane, taps) = ((oh * ow) as usize, (kh * kw) as usize);
        let made = if plane <= SMALL_PLANE && *groups == 1 {
            let inputs = *ic as usize * taps;
            let windows = self.windows(&image, *ic as usize, (h * w) as usize, plane);
            let weight: Vec<f64> = weight.iter().map(|&v| v as f64).collect();
            let bias: Vec<f64> = bias.iter().map(|&v| v as f64).collect();
            let rows = dense(&windows, inputs, &weight, &bias);
            let outputs = bias.len();
            let at = |i: usize| rows[i % plane * outputs + i / plane];
            (0..rows.len()).map(at).collect()
        } else {
            self.convolve(&image, |v| v as f64)
        };
        made.into_iter().map(|sum| sum as i64).collect()
    }

    /// For each result of a plane what its window reads, in the order of a channel's weights; 0 outside the image.
    fn windows(&self, x: &[f64], channels: usize, image: usize, plane: usize) -> Vec<f64> {
        let Self::Conv2d {
            input: [_, h, w],
            output: [_, _, ow],
            kernel: [kh, kw],
            stride,
            dilation,
            pad,
            ..
        } = self
        else {
            return Vec::new();
        };
        let at = |result: usize, tap: usize, axis: usize, extent: u32| {
            let place = result * stride[axis] as usize + tap * dilation[axis] as usize;
            let place = place.checked_sub(pad[axis] as usize)?;
            (place < extent as usize).then_some(place)
        };
        let (ow, kw, width) = (*ow as usize, *kw as usize, *w as usize);
        let mut made = Vec::with_capacity(plane * channels * *kh as usize * kw);
        for result in 0..plane {
            for channel in 0..channels {
                for tap in 0..*kh as usize * kw {
                    let row = at(result / ow, tap / kw, 0, *h);
                    let place = row.zip(at(result % ow, tap % kw, 1, *w));
                    made.push(place.map_or(0.0, |(y, z)| x[channel * image + y * width + z]));
                }
            }
        }
        made
    }
}

/// Where a tap of a window meets the image, along one axis: at the results `first..end`.
struct Tap {
    first: usize,
    end: usize,
    stride: usize,
    /// How far the tap lies from the image's edge at result 0; negative in the padding.
    offset: isize,
}

impl Tap {
    fn new(distance: usize, pad: usize, stride: usize, extent: usize, results: usize) -> Self {
        let first = pad.saturating_sub(distance).div_ceil(stride);
        // The first result whose tap is beyond the image.
        let end = (extent + pad).saturating_sub(distance).div_ceil(stride);
        let end = end.min(results);
        Self {
            first: first.min(end),
            end,
            stride,
            offset: distance as isize - pad as isize,
        }
    }

    /// The place in the image at a result that it has.
    fn place(&self, result: usize) -> usize {
        (result * self.stride).saturating_add_signed(self.offset)
    }

    /// Adds `weight · image`, a stride apart.
    fn add<T: Number>(&self, sums: &mut [T], weight: T, image: &[T]) {
        if self.stride == 1 {
            for (sum, &v) in sums.iter_mut().zip(image) {
                *sum += weight * v;
            }
        } else {
            for (sum, &v) in sums.iter_mut().zip(image.iter().step_by(self.stride)) {
                *sum += weight * v;
            }
        }
    }
}

/// Rows of `inputs` values times the weights. Four sums are made at once, so that none waits for its own last addition.
fn dense<T: Number>(x: &[T], inputs: usize, weight: &[T], bias: &[T]) -> Vec<T> {
    let mut made = Vec::with_capacity(x.len() / inputs * bias.len());
    for row in x.chunks_exact(inputs) {
        for (weights, bias) in weight.chunks(4 * inputs).zip(bias.chunks(4)) {
            if let [a, b, c, d] = *bias {
                let (mut a, mut b, mut c, mut d) = (a, b, c, d);
                let (ab, cd) = weights.split_at(2 * inputs);
                let ((of_a, of_b), (of_c, of_d)) = (ab.split_at(inputs), cd.split_at(inputs));
                for ((&v, (&wa, &wb)), (&wc, &wd)) in
                    row.iter().zip(of_a.iter().zip(of_b)).zip(of_c.iter().zip(of_d))
                {
                    a += wa * v;
                    b += wb * v;
                    c += wc * v;
                    d += wd * v;
                }
                made.extend([a, b, c, d]);
                continue;
            }
            for (weights, &bias) in weights.chunks_exact(inputs).zip(bias) {
                let mut sum = bias;
                for (&w, &v) in weights.iter().zip(row) {
                    sum += w * v;
                }
                made.push(sum);
            }
        }
    }
    made
}
