//! The one normal form of every constant linear map: a two-dimensional correlation at stride 1.
//!
//! `y[o, p] = bias[o] + Σ_channels Σ_taps weight · x_channel[q]` where tap and image position add up to the output's
//! position in the *full grid*: `q + offset = p`, positions being exponents of one challenge monomial `S`, row
//! stride `R`. So the whole layer is a polynomial identity
//! `Σ_p S^p Y_p = Σ_channels x_channel(S) · w_channel(S)`; positions of the full grid that are not outputs
//! hold a witness each, determined by the identity and read by nobody.
//!
//! Strides are removed by splitting the image into its phases (every `stride`-th row and column is a channel of its
//! own). A dense layer is the case of 1×1 images, a batch is the image's row.

use crate::graph::LinearMap;

/// One image that is correlated with its own taps.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    /// Which input tensor of the relation the image is part of.
    pub(super) tensor: usize,
    /// Flat index into that tensor of each pixel, row-major `[height, width]`.
    pub(super) pixels: Vec<u32>,
    /// Width of the image.
    pub(super) width: usize,
    /// Every offset that a tap of it may have.
    pub(super) offsets: Vec<usize>,
    /// The taps that read this image; none where only rows are planned.
    pub(super) taps: Vec<Tap>,
}

/// Whether taps are wanted: a copy of every weight, which whoever only counts rows and columns has no use for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taps {
    /// None.
    Counted,
    /// All.
    Placed,
}

/// One coefficient.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tap {
    /// Output channel that it adds to.
    pub(super) output: usize,
    /// What it adds to the image's position, as an exponent of `S`.
    pub(super) offset: usize,
    /// The coefficient.
    pub(super) weight: i64,
}

/// A linear map in normal form.
#[derive(Debug, Clone)]
pub(super) struct Correlation {
    /// The images with their taps.
    pub(super) channels: Vec<Channel>,
    /// Number of output channels.
    pub(super) outputs: usize,
    /// Bias per output channel.
    pub(super) bias: Vec<i64>,
    /// Number of positions of the full grid.
    pub(super) positions: usize,
    /// Exponent step from the end of an image row to the start of the next: row stride `R`.
    pub(super) row_stride: usize,
    /// For each position of the full grid the index of the output image's pixel, if it is one.
    pub(super) crop: Vec<Option<usize>>,
    /// Flat index of output `(o, pixel)` is `o · output_stride + pixel · pixel_stride`.
    output_stride: usize,
    pixel_stride: usize,
}

impl Correlation {
    /// Flat index into the output tensor.
    pub(super) fn output_index(&self, output: usize, pixel: usize) -> usize {
        output * self.output_stride + pixel * self.pixel_stride
    }

    /// Number of outputs in all.
    pub(super) fn output_len(&self) -> usize {
        self.outputs * self.crop.iter().flatten().count()
    }

    /// Full-grid sums `Σ weight · x` without bias, `[position][output]`; exact in i128.
    pub(super) fn sums(&self, x: &[&[i64]]) -> Vec<Vec<i128>> {
        let mut sums = vec![vec![0i128; self.outputs]; self.positions];
        for channel in &self.channels {
            for (i, &pixel) in channel.pixels.iter().enumerate() {
                let value = i128::from(x[channel.tensor][pixel as usize]);
                if value == 0 {
                    continue;
                }
                let at = (i / channel.width) * self.row_stride + i % channel.width;
                for tap in &channel.taps {
                    sums[at + tap.offset][tap.output] += value * i128::from(tap.weight);
                }
            }
        }
        sums
    }

    /// The normal form of a validated map. `lens` are the lengths of the input tensors. `None` where the pad is as
    /// large as the kernel, which no exporter writes.
    pub(super) fn new(map: &LinearMap, lens: &[usize], wanted: Taps) -> Option<Self> {
        match map {
            LinearMap::Dense {
                inputs,
                outputs,
                weight,
                bias,
            } => {
                let (n, m) = (*inputs as usize, *outputs as usize);
                let batch = lens.first()?.checked_div(n)?;
                let channels = (0..n).map(|i| Channel {
                    tensor: 0,
                    pixels: (0..batch).map(|b| (b * n + i) as u32).collect(),
                    width: batch,
                    offsets: vec![0],
                    taps: (0..if wanted == Taps::Placed { m } else { 0 })
                        .map(|o| Tap {
                            output: o,
                            offset: 0,
                            weight: weight[o * n + i],
                        })
                        .collect(),
                });
                Some(Self::pointwise(channels.collect(), m, bias.to_vec(), batch, 1, m))
            }
            LinearMap::Affine {
                outer,
                channels,
                inner,
                scale,
                bias,
            } => {
                let (outer, count, inner) = (*outer as usize, *channels as usize, *inner as usize);
                let flat = outer * count;
                let channels = (0..lens.len())
                    .flat_map(|k| (0..flat).map(move |c| (k, c)))
                    .map(|(k, c)| Channel {
                        tensor: k,
                        pixels: (0..inner).map(|i| (c * inner + i) as u32).collect(),
                        width: inner,
                        offsets: vec![0],
                        taps: vec![Tap {
                            output: c,
                            offset: 0,
                            weight: scale[k * count + c % count],
                        }],
                    });
                let bias = (0..flat).map(|c| bias[c % count]).collect();
                Some(Self::pointwise(channels.collect(), flat, bias, inner, inner, 1))
            }
            LinearMap::Conv2d { .. } => Self::convolution(map, wanted),
        }
    }

    fn pointwise(
        channels: Vec<Channel>,
        outputs: usize,
        bias: Vec<i64>,
        positions: usize,
        output_stride: usize,
        pixel_stride: usize,
    ) -> Self {
        let crop = (0..positions).map(Some).collect();
        Self {
            channels,
            outputs,
            bias,
            positions,
            row_stride: positions,
            crop,
            output_stride,
            pixel_stride,
        }
    }

    fn convolution(map: &LinearMap, wanted: Taps) -> Option<Self> {
        let LinearMap::Conv2d {
            input,
            output,
            kernel,
            stride,
            dilation,
            pad,
            groups,
            weight,
            bias,
        } = map
        else {
            return None;
        };
        let [ic, h, w] = input.map(|v| v as usize);
        let [oc, oh, ow] = output.map(|v| v as usize);
        let (icg, ocg) = (ic / *groups as usize, oc / *groups as usize);
        // Kernel index a reads row y·s + (a·d − pad) = s·(y + t) + phase.
        let split = |axis: usize| -> Vec<(i64, usize)> {
            let s = i64::from(stride[axis]);
            (0..i64::from(kernel[axis]))
                .map(|a| a * i64::from(dilation[axis]) - i64::from(pad[axis]))
                .map(|o| (o.div_euclid(s), o.rem_euclid(s) as usize))
                .collect()
        };
        let (rows, cols) = (split(0), split(1));
        let range = |taps: &[(i64, usize)]| {
            let ts = taps.iter().map(|(t, _)| *t);
            Some((ts.clone().min()?, ts.max()?))
        };
        let ((row_min, row_max), (col_min, col_max)) = (range(&rows)?, range(&cols)?);
        if row_max < 0 || col_max < 0 {
            return None;
        }
        let (sh, sw) = (stride[0] as usize, stride[1] as usize);
        let (image_h, image_w) = (h.div_ceil(sh), w.div_ceil(sw));
        // The product of image and kernel polynomials fits the grid, and so does every output.
        let grid_w = (image_w + (col_max - col_min) as usize).max(ow + col_max as usize);
        let grid_h = (image_h + (row_max - row_min) as usize).max(oh + row_max as usize);
        let mut channels = Vec::new();
        for c in 0..ic {
            for (ph, pw) in (0..sh).flat_map(|ph| (0..sw).map(move |pw| (ph, pw))) {
                let (height, width) = (
                    h.saturating_sub(ph).div_ceil(sh),
                    w.saturating_sub(pw).div_ceil(sw),
                );
                // Which places of the kernel read this phase, and at which offset.
                let mut places = Vec::new();
                for (a, &(tr, _)) in rows.iter().enumerate().filter(|(_, r)| r.1 == ph) {
                    for (b, &(tc, _)) in cols.iter().enumerate().filter(|(_, r)| r.1 == pw) {
                        let offset = (row_max - tr) as usize * grid_w + (col_max - tc) as usize;
                        places.push((a * cols.len() + b, offset));
                    }
                }
                if height == 0 || width == 0 || places.is_empty() {
                    continue;
                }
                let outputs = if wanted == Taps::Placed { ocg } else { 0 };
                let mut taps = Vec::with_capacity(outputs * places.len());
                for o in (c / icg) * ocg..(c / icg) * ocg + outputs {
                    let first = (o * icg + c % icg) * rows.len() * cols.len();
                    taps.extend(places.iter().map(|&(place, offset)| Tap {
                        output: o,
                        offset,
                        weight: weight[first + place],
                    }));
                }
                let pixels = (0..height)
                    .flat_map(|u| (0..width).map(move |v| (c * h + u * sh + ph) * w + v * sw + pw))
                    .map(|i| i as u32)
                    .collect();
                channels.push(Channel {
                    tensor: 0,
                    pixels,
                    width,
                    offsets: places.iter().map(|p| p.1).collect(),
                    taps,
                });
            }
        }
        // Where strides and dilations lead every tap past the image, the identity is `Σ S^p Y_p = 0`; its right side needs a
        // row of its own all the same, which is one pixel times nothing.
        if channels.is_empty() {
            channels.push(Channel {
                tensor: 0,
                pixels: vec![0],
                width: 1,
                offsets: Vec::new(),
                taps: Vec::new(),
            });
        }
        let mut crop = vec![None; grid_h * grid_w];
        for (y, z) in (0..oh).flat_map(|y| (0..ow).map(move |z| (y, z))) {
            crop[(y + row_max as usize) * grid_w + z + col_max as usize] = Some(y * ow + z);
        }
        Some(Self {
            channels,
            outputs: oc,
            bias: bias.to_vec(),
            positions: grid_h * grid_w,
            row_stride: grid_w,
            crop,
            output_stride: oh * ow,
            pixel_stride: 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Activation, IntRange, Requantise, TensorId};
    use crate::relations::{Relation, SliceRelations, SliceTensor, check};
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use std::collections::BTreeMap;

    /// The normal form computes what the relation's plain checker computes.
    fn agrees(map: &LinearMap, lens: &[usize], seed: u64) {
        let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(seed);
        let x: Vec<Vec<i64>> = lens
            .iter()
            .map(|&n| (0..n).map(|_| rng.gen_range(-128..128)).collect())
            .collect();
        let views: Vec<&[i64]> = x.iter().map(Vec::as_slice).collect();
        let form = Correlation::new(map, lens, Taps::Placed).unwrap();
        let sums = form.sums(&views);
        let mut y = vec![i64::MIN; form.output_len()];
        for (position, pixel) in form.crop.iter().enumerate() {
            let Some(pixel) = pixel else { continue };
            for o in 0..form.outputs {
                y[form.output_index(o, *pixel)] = (sums[position][o] + i128::from(form.bias[o])) as i64;
            }
        }
        let range = IntRange::signed(32);
        let ids: Vec<_> = (0..lens.len() as u32).map(TensorId).collect();
        let out = TensorId(99);
        let mut values: BTreeMap<_, _> = ids.iter().copied().zip(x.clone()).collect();
        values.insert(out, y.clone());
        let slice = SliceRelations {
            inputs: ids
                .iter()
                .zip(lens)
                .map(|(&id, &len)| SliceTensor { id, len, range })
                .collect(),
            outputs: vec![SliceTensor {
                id: out,
                len: y.len(),
                range,
            }],
            relations: vec![Relation::Requantised {
                input_ranges: vec![range; ids.len()],
                inputs: ids,
                map: map.clone(),
                requantise: Requantise {
                    shift: 0,
                    bits: 32,
                    activation: Activation::Identity,
                },
                bound: 0,
                output: out,
            }],
        };
        check(&slice, &values).unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn convolutions_of_any_stride_pad_and_dilation_agree_with_the_plain_checker(
            h in 1usize..8, w in 1usize..8, k in 1usize..4, kw in 1usize..4, s in 1usize..4, sw in 1usize..3,
            d in 1usize..3, pad in 0usize..3, groups in 1usize..3, seed: u64,
        ) {
            let (ic, oc, pw) = (2 * groups, 3 * groups, pad.min(kw - 1));
            let pad = pad.min(k - 1);
            let size = |n: usize, k: usize, s: usize, d: usize, p: usize| (n + 2 * p).checked_sub(d * (k - 1) + 1).map(|v| v / s + 1);
            let (Some(oh), Some(ow)) = (size(h, k, s, d, pad), size(w, kw, sw, 1, pw)) else { return Ok(()) };
            let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(seed);
            let map = LinearMap::Conv2d {
                input: [ic, h, w].map(|v| v as u32), output: [oc, oh, ow].map(|v| v as u32),
                kernel: [k, kw].map(|v| v as u32), stride: [s, sw].map(|v| v as u32), dilation: [d as u32, 1],
                pad: [pad, pw].map(|v| v as u32), groups: groups as u32,
                weight: (0..oc * 2 * k * kw).map(|_| rng.gen_range(-99..99)).collect(),
                bias: (0..oc).map(|_| rng.gen_range(-99..99)).collect(),
            };
            agrees(&map, &[ic * h * w], seed);
        }
    }

    #[test]
    fn dense_and_affine_agree_with_the_plain_checker() {
        let dense = LinearMap::Dense {
            inputs: 5,
            outputs: 3,
            weight: (0..15).map(|v| v - 7).collect(),
            bias: vec![1, -2, 3].into(),
        };
        agrees(&dense, &[20], 1);
        let affine = LinearMap::Affine {
            outer: 2,
            channels: 3,
            inner: 4,
            scale: vec![1, 2, 3, -4, 5, -6].into(),
            bias: vec![7, 8, 9].into(),
        };
        agrees(&affine, &[24, 24], 2);
    }
}
