//! Convolutions with a constant kernel.
//!
//! Invariant: values stand as `[batch, channels, height, width]`; layouts with channels last are permuted before and after; a
//! one-dimensional convolution is one of height 1.

use tract_onnx::tract_core::ops::cnn::{Conv, KernelFormat, PoolSpec};
use zkml::graph::TensorId;

use super::batch::{self, Images, Plane};
use super::draft::{Constant, Draft, Refusal, unsupported};
use super::translate::Operands;
use super::wiring;

/// The geometry of a window that slides over an image, with height first.
pub(super) struct Window {
    pub batch: usize,
    pub channels: usize,
    pub plane: Plane,
    /// Padding below and to the right, as stated.
    pub pad_after: [usize; 2],
    channels_last: bool,
    rank: usize,
}

impl Window {
    /// Of a pooling or convolution over a tensor of this shape.
    pub(super) fn new(spec: &PoolSpec, shape: &[usize]) -> Result<Self, Refusal> {
        let Ok(view) = spec.data_format.shape(shape) else {
            return unsupported("an image of that rank");
        };
        let (hw, rank) = (view.hw_dims(), view.hw_dims().len());
        if !(1..=2).contains(&rank) || spec.kernel_shape.len() != rank {
            return unsupported(format!("a window of {rank} dimensions"));
        }
        let padding = spec.computed_padding(hw);
        // A missing height is 1.
        let two = |of: &dyn Fn(usize) -> usize, missing: usize| {
            if rank == 2 {
                [of(0), of(1)]
            } else {
                [missing, of(0)]
            }
        };
        Ok(Self {
            batch: view.n().copied().unwrap_or(1),
            channels: *view.c(),
            plane: Plane {
                image: two(&|d| hw[d], 1),
                output: two(&|d| padding[d].convoluted, 1),
                kernel: two(&|d| spec.kernel_shape[d], 1),
                stride: two(&|d| spec.stride(d), 1),
                dilation: two(&|d| spec.dilation(d), 1),
                pad: two(&|d| padding[d].pad_before, 0),
            },
            pad_after: two(&|d| padding[d].pad_after, 0),
            channels_last: spec.data_format.c_is_last(),
            rank,
        })
    }

    /// The image with its channels first.
    pub(super) fn enter(&self, draft: &mut Draft, name: &str, x: TensorId) -> Result<TensorId, Refusal> {
        if !self.channels_last {
            return Ok(x);
        }
        let last = draft.shape(x).len() - 1;
        let batch = last - self.rank;
        let order: Vec<usize> = (0..batch).chain([last]).chain(batch..last).collect();
        wiring::permute(draft, name, x, &order)
    }

    /// The shape of a result with so many channels to an image.
    pub(super) fn made(&self, channels: usize) -> [usize; 3] {
        let [h, w] = self.plane.output;
        [self.batch * channels, h, w]
    }

    /// The result, `[channels, height, width]` of each image, in the model's layout and shape.
    pub(super) fn leave(
        &self,
        draft: &mut Draft,
        name: &str,
        y: TensorId,
        shape: &[usize],
    ) -> Result<TensorId, Refusal> {
        let y = if self.channels_last {
            let [h, w] = self.plane.output;
            let channels = draft.shape(y).iter().product::<usize>() / (self.batch * h * w);
            let y = wiring::reshape(draft, name, y, &[self.batch, channels, h, w])?;
            wiring::permute(draft, name, y, &[0, 2, 3, 1])?
        } else {
            y
        };
        wiring::reshape(draft, name, y, shape)
    }
}

/// Translates a convolution with constant kernel and bias.
pub(super) fn conv(
    draft: &mut Draft,
    operands: &Operands<'_>,
    name: &str,
    op: &Conv,
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    if op.q_params.is_some() {
        return unsupported("a quantised convolution");
    }
    let x = operands.computed(0)?;
    let window = Window::new(&op.pool_spec, &draft.shape(x))?;
    let (out_channels, groups) = (op.output_channels(), op.group);
    let weight = kernel(&operands.constant(1)?, op, &window)?;
    let bias = match operands.constant(2)?.values.as_slice() {
        [one] => vec![*one; out_channels],
        many if many.len() == out_channels => many.to_vec(),
        _ => return unsupported("a bias that is not one per output channel"),
    };
    let kernel = batch::Kernel {
        channels: window.channels,
        maps: out_channels,
        groups,
        weight,
        bias,
    };
    let images = Images {
        name,
        x: window.enter(draft, name, x)?,
        count: window.batch,
        shape: &window.made(out_channels),
    };
    let y = batch::convolved(draft, &images, &window.plane, kernel)?;
    window.leave(draft, name, y, shape)
}

/// The kernel as `[out_channels, in_channels/groups, height, width]`.
fn kernel(constant: &Constant, op: &Conv, window: &Window) -> Result<Vec<f64>, Refusal> {
    let (o, area) = (
        op.output_channels(),
        window.plane.kernel.iter().product::<usize>(),
    );
    let Some(i) = op.input_channels().checked_div(op.group) else {
        return unsupported("a convolution of 0 groups");
    };
    if constant.values.len() != o * i * area {
        return unsupported("a kernel whose size is not that of the convolution");
    }
    let place = |out: usize, input: usize, tap: usize| match op.kernel_fmt {
        KernelFormat::OIHW => (out * i + input) * area + tap,
        KernelFormat::HWIO => (tap * i + input) * o + out,
        KernelFormat::OHWI => (out * area + tap) * i + input,
    };
    if op.group != 1 && op.kernel_fmt != KernelFormat::OIHW {
        return unsupported("a grouped convolution with that order of kernel axes");
    }
    let taps =
        (0..o).flat_map(|out| (0..i).flat_map(move |input| (0..area).map(move |tap| (out, input, tap))));
    Ok(taps
        .map(|(out, input, tap)| constant.values[place(out, input, tap)])
        .collect())
}
