//! The geometry of linear maps: what fits, how long results are, which output channel a value belongs to. The maps themselves
//! are `accumulate.rs`.
//!
//! Invariant: after [`LinearMap::output_len`] succeeded, no index that [`LinearMap::accumulate`] forms is out of
//! bounds and no size product overflows, whatever the numbers in the map (they may come from an untrusted file).

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::shared::Shared;

/// The most values that one tensor may have.
pub const MAX_TENSOR_LEN: usize = 1 << 22;
/// The greatest kernel extent, stride, dilation and padding of a convolution.
pub const MAX_WINDOW_EXTENT: u32 = 4096;

/// A linear map with constant coefficients: accumulator = coefficients · inputs + bias. Coefficients are integers in
/// the integer graph, where a copy shares them, and floats in the float graph before it; the geometry is one definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum LinearMap<V = Shared<i64>> {
    /// One input viewed as `[batch, inputs]` (all leading dimensions are batch), output `[batch, outputs]`:
    /// `acc[b, o] = Σ_i weight[o·inputs + i] · x[b, i] + bias[o]`.
    Dense {
        /// `[outputs]`, at the accumulator's scale.
        bias: V,
        /// Length of the contracted axis.
        inputs: u32,
        /// Row-major `[outputs, inputs]`.
        weight: V,
        /// Number of outputs.
        outputs: u32,
    },
    /// One input `[1, in_channels, h, w]`, output `[1, out_channels, oh, ow]`, cross-correlation as in ONNX Conv:
    /// `acc[o, y, x] = Σ_{c, a, b} weight[o, c, a, b] · in[g(o)·in_channels/groups + c, y·stride + a·dilation − pad_top, …] + bias[o]`,
    /// entries outside the image are absent. Shapes are views: only lengths must agree. Average pooling is this with `groups = channels` and weights all equal.
    Conv2d {
        /// Rows above and columns left of the image.
        pad: [u32; 2],
        /// `[out_channels]`, at the accumulator's scale.
        bias: V,
        /// Input channels and image: `[channels, height, width]`.
        input: [u32; 3],
        /// Number of groups; divides both channel counts.
        groups: u32,
        /// `[height, width]` of the kernel.
        kernel: [u32; 2],
        /// Output channels and image.
        output: [u32; 3],
        /// `[vertical, horizontal]`.
        stride: [u32; 2],
        /// Row-major `[out_channels, in_channels/groups, kernel height, kernel width]`.
        weight: V,
        /// `[vertical, horizontal]`.
        dilation: [u32; 2],
    },
    /// Any number of inputs of the output's shape, element-wise, with one coefficient per (input, channel):
    /// `acc[c, i] = Σ_k scale[k·channels + c] · x_k[c, i] + bias[c]`. The tensor is viewed as
    /// `[outer, channels, inner]`, so that it covers residual additions, batch norm, and a lone requantisation.
    Affine {
        /// `[channels]`, at the accumulator's scale.
        bias: V,
        /// Product of the dimensions after the channel axis.
        inner: u32,
        /// Product of the dimensions before the channel axis.
        outer: u32,
        /// Row-major `[inputs, channels]`.
        scale: V,
        /// Number of channels.
        channels: u32,
    },
}

/// Why a linear map does not fit its tensors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GeometryError {
    /// A dimension is zero, or larger than any tensor or window may be.
    #[error("a dimension is 0 or too large")]
    Dimension,
    /// The number of groups does not divide both channel counts.
    #[error("{groups} groups do not divide {inputs} input and {outputs} output channels")]
    Groups {
        /// Number of groups.
        groups: u32,
        /// Input channels.
        inputs: u32,
        /// Output channels.
        outputs: u32,
    },
    /// The number of input tensors is not the map's.
    #[error("a map of {expected} inputs is given {got}")]
    InputCount {
        /// What the map reads.
        expected: usize,
        /// Number of tensors given.
        got: usize,
    },
    /// An input tensor, the coefficients or the biases have the wrong length.
    #[error("{what}: {expected} values expected, {got} given")]
    Length {
        /// `input`, `weight` or `bias`.
        what: &'static str,
        /// Number of values expected.
        expected: usize,
        /// Number of values given.
        got: usize,
    },
}

fn product(dims: &[u32]) -> Result<usize, GeometryError> {
    dims.iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d as usize))
        .filter(|n| (1..=MAX_TENSOR_LEN).contains(n))
        .ok_or(GeometryError::Dimension)
}

fn length(what: &'static str, expected: usize, got: usize) -> Result<(), GeometryError> {
    if expected == got {
        Ok(())
    } else {
        Err(GeometryError::Length { what, expected, got })
    }
}

impl<T, V: Deref<Target = [T]>> LinearMap<V> {
    /// The coefficients, without biases.
    #[must_use]
    pub fn weight(&self) -> &[T] {
        match self {
            Self::Dense { weight, .. } | Self::Conv2d { weight, .. } => weight,
            Self::Affine { scale, .. } => scale,
        }
    }

    /// The biases, one per output channel.
    #[must_use]
    pub fn bias(&self) -> &[T] {
        match self {
            Self::Dense { bias, .. } | Self::Conv2d { bias, .. } | Self::Affine { bias, .. } => bias,
        }
    }

    /// The output channel (the index into the biases) of flat output index `t`.
    #[must_use]
    pub fn channel_of(&self, t: usize) -> usize {
        match self {
            Self::Dense { outputs, .. } => t % *outputs as usize,
            Self::Conv2d {
                output: [_, h, w], ..
            } => t / (*h as usize * *w as usize),
            Self::Affine { channels, inner, .. } => t / *inner as usize % *channels as usize,
        }
    }

    /// Checks the map against the lengths of its inputs; the length of its output.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn output_len(&self, inputs: &[usize]) -> Result<usize, GeometryError> {
        let one = || match inputs {
            [n] => Ok(*n),
            _ => Err(GeometryError::InputCount {
                expected: 1,
                got: inputs.len(),
            }),
        };
        match self {
            Self::Dense {
                inputs: n,
                outputs: m,
                weight,
                bias,
            } => {
                let (len, per_row) = (one()?, product(&[*n])?);
                length("weight", product(&[*n, *m])?, weight.len())?;
                length("bias", product(&[*m])?, bias.len())?;
                let batch = len / per_row;
                length("input", batch.max(1) * per_row, len)?;
                product(&[u32::try_from(batch).map_err(|_| GeometryError::Dimension)?, *m])
            }
            Self::Conv2d {
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
                let (ic, oc) = (input[0], output[0]);
                if *groups == 0 || !ic.is_multiple_of(*groups) || !oc.is_multiple_of(*groups) {
                    return Err(GeometryError::Groups {
                        groups: *groups,
                        inputs: ic,
                        outputs: oc,
                    });
                }
                let extents = [kernel, stride, dilation].into_iter().flatten();
                if extents.clone().any(|e| *e == 0) || extents.chain(pad).any(|e| *e > MAX_WINDOW_EXTENT) {
                    return Err(GeometryError::Dimension);
                }
                length("input", product(input)?, one()?)?;
                length(
                    "weight",
                    product(&[oc, ic / *groups, kernel[0], kernel[1]])?,
                    weight.len(),
                )?;
                length("bias", oc as usize, bias.len())?;
                product(output)
            }
            Self::Affine {
                outer,
                channels,
                inner,
                scale,
                bias,
            } => {
                let len = product(&[*outer, *channels, *inner])?;
                for &got in inputs {
                    length("input", len, got)?;
                }
                if inputs.is_empty() {
                    return Err(GeometryError::InputCount { expected: 1, got: 0 });
                }
                let channels = *channels as usize;
                length("weight", inputs.len().saturating_mul(channels), scale.len())?;
                length("bias", channels, bias.len())?;
                Ok(len)
            }
        }
    }

    /// Number of multiplications for an output of `output_len` values.
    #[must_use]
    pub fn multiplications(&self, output_len: usize) -> u64 {
        output_len as u64 * self.weight().len().checked_div(self.bias().len()).unwrap_or(0) as u64
    }

    /// The same map with other coefficients: `weight(row, w)` and `bias(channel, b)`, where `row` is the tensor read
    /// for [`LinearMap::Affine`] and 0 otherwise.
    ///
    /// # Errors
    /// The first error of either function.
    pub fn try_map<U, E>(
        &self,
        mut weight: impl FnMut(usize, &T) -> Result<U, E>,
        mut bias: impl FnMut(usize, &T) -> Result<U, E>,
    ) -> Result<LinearMap<Shared<U>>, E> {
        let channels = self.bias().len().max(1);
        let affine = matches!(self, Self::Affine { .. });
        let row = |i: usize| if affine { i / channels } else { 0 };
        let new_weight = self
            .weight()
            .iter()
            .enumerate()
            .map(|(i, w)| weight(row(i), w))
            .collect::<Result<Shared<_>, _>>()?;
        let new_bias = self
            .bias()
            .iter()
            .enumerate()
            .map(|(c, b)| bias(c, b))
            .collect::<Result<Shared<_>, _>>()?;
        Ok(match self {
            Self::Dense { inputs, outputs, .. } => LinearMap::Dense {
                inputs: *inputs,
                outputs: *outputs,
                weight: new_weight,
                bias: new_bias,
            },
            Self::Conv2d {
                input,
                output,
                kernel,
                stride,
                dilation,
                pad,
                groups,
                ..
            } => LinearMap::Conv2d {
                input: *input,
                output: *output,
                kernel: *kernel,
                stride: *stride,
                dilation: *dilation,
                pad: *pad,
                groups: *groups,
                weight: new_weight,
                bias: new_bias,
            },
            Self::Affine {
                outer,
                channels,
                inner,
                ..
            } => LinearMap::Affine {
                outer: *outer,
                channels: *channels,
                inner: *inner,
                scale: new_weight,
                bias: new_bias,
            },
        })
    }
}
