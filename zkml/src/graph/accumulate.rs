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
            Self::Conv2d { .. } => self.convolve(x[0]),
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

    fn convolve(&self, x: &[T]) -> Vec<T> {
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
            made.extend(std::iter::repeat_n(bias, oh * ow));
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
                            column.add(sums, weight, image.get(from..).unwrap_or_default());
                        }
                    }
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
