//! Pooling and reductions: a maximum over windows, or a convolution with equal weights.
//!
//! Invariant: a window holds only entries of the image. An average whose divisor depends on the place, because it
//! leaves out the padding, has no constant weights and is refused.

use tract_onnx::tract_core::ops::cnn::{MaxPool, SumPool};
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer};
use zkml::graph::TensorId;

use super::batch::{self, Images};
use super::conv::Window;
use super::draft::{Draft, OTHER_FORM, Refusal, small, unsupported};
use super::translate::Operands;
use super::wiring;
use crate::float::{FloatMap, FloatOp};
use crate::ops::Max;

/// Translates a maximum over sliding windows.
pub(super) fn max_pool(
    draft: &mut Draft,
    operands: &Operands<'_>,
    name: &str,
    op: &MaxPool,
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    if op.with_index_outputs.is_some() {
        return unsupported("the places of the maxima");
    }
    let x = operands.computed(0)?;
    let window = Window::new(&op.pool_spec, &draft.shape(x))?;
    let x = window.enter(draft, name, x)?;
    let plane = &window.plane;
    let [h, w] = plane.image;
    let [oh, ow] = plane.output;
    let area = plane.kernel[0].saturating_mul(plane.kernel[1]);
    // Each image has channels of its own.
    let channels = window.batch.saturating_mul(window.channels);
    if channels
        .saturating_mul(oh)
        .saturating_mul(ow)
        .saturating_mul(area)
        > super::MAX_TENSOR_LEN
    {
        return Err(Refusal::TooLarge);
    }
    // Places along one axis that a window covers, without the padding.
    let along = |axis: usize, at: usize, extent: usize| -> Vec<usize> {
        let tap =
            |k: usize| (at * plane.stride[axis] + k * plane.dilation[axis]).checked_sub(plane.pad[axis]);
        (0..plane.kernel[axis])
            .filter_map(tap)
            .filter(|p| *p < extent)
            .collect()
    };
    let mut windows = Vec::with_capacity(channels * oh * ow);
    for c in 0..channels {
        for y in 0..oh {
            let rows = along(0, y, h);
            for z in 0..ow {
                let columns = along(1, z, w);
                let places = rows
                    .iter()
                    .flat_map(|r| columns.iter().map(move |v| ((c * h + r) * w + v) as u32));
                windows.push(places.collect::<Vec<_>>());
            }
        }
    }
    if windows.iter().any(Vec::is_empty) {
        return unsupported("a window that lies in the padding");
    }
    let y = draft.node(
        name,
        FloatOp::Max(Max { windows }),
        &[x],
        &window.made(window.channels),
    )?;
    window.leave(draft, name, y, shape)
}

/// Translates a sum or average over sliding windows.
pub(super) fn sum_pool(
    draft: &mut Draft,
    operands: &Operands<'_>,
    name: &str,
    op: &SumPool,
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let x = operands.computed(0)?;
    let window = Window::new(&op.pool_spec, &draft.shape(x))?;
    // Rounding the number of windows up makes the last one reach past the padding, where nothing counts.
    let plane = &window.plane;
    let reaches = |axis: usize, padded: usize| {
        (plane.output[axis] - 1) * plane.stride[axis] + (plane.kernel[axis] - 1) * plane.dilation[axis]
            >= padded
    };
    let padded = |axis: usize| plane.pad[axis] + plane.image[axis] + window.pad_after[axis];
    let has_padding = (0..2).any(|a| plane.pad[a] > 0 || reaches(a, plane.pad[a] + plane.image[a]));
    if op.normalize && ((!op.count_include_pad && has_padding) || (0..2).any(|a| reaches(a, padded(a)))) {
        return unsupported("an average that leaves out the padding");
    }
    let area = plane.kernel[0].saturating_mul(plane.kernel[1]);
    let weight = if op.normalize { 1.0 / area as f64 } else { 1.0 };
    let channels = window.channels;
    if channels.saturating_mul(area) > super::MAX_TENSOR_LEN {
        return Err(Refusal::TooLarge);
    }
    let kernel = batch::Kernel {
        channels,
        maps: channels,
        groups: channels,
        weight: vec![weight; channels * area],
        bias: vec![0.0; channels],
    };
    let images = Images {
        name,
        x: window.enter(draft, name, x)?,
        count: window.batch,
        shape: &window.made(channels),
    };
    let y = batch::convolved(draft, &images, plane, kernel)?;
    window.leave(draft, name, y, shape)
}

/// Translates a sum or maximum over whole axes.
pub(super) fn reduce(
    draft: &mut Draft,
    operands: &Operands<'_>,
    name: &str,
    op: &Reduce,
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let x = operands.computed(0)?;
    let from = draft.shape(x);
    if op.axes.iter().any(|a| *a >= from.len()) {
        return unsupported("a reduction of an axis that does not exist");
    }
    let (gone, kept): (Vec<usize>, Vec<usize>) = (0..from.len()).partition(|d| op.axes.contains(d));
    let order: Vec<usize> = kept.iter().chain(&gone).copied().collect();
    let inputs: usize = gone.iter().map(|&d| from[d]).product();
    let outputs: usize = kept.iter().map(|&d| from[d]).product();
    let x = wiring::permute(draft, name, x, &order)?;
    let y = match op.reducer {
        Reducer::Sum => {
            let [inputs] = small([inputs])?;
            let map = FloatMap::Dense {
                inputs,
                outputs: 1,
                weight: vec![1.0; inputs as usize],
                bias: vec![0.0],
            };
            draft.linear(name, map, &[x], &[outputs, 1])?
        }
        Reducer::Max => {
            let window = |t: usize| (t * inputs..(t + 1) * inputs).map(|i| i as u32).collect();
            draft.node(
                name,
                FloatOp::Max(Max {
                    windows: (0..outputs).map(window).collect(),
                }),
                &[x],
                &[outputs],
            )?
        }
        _ => return unsupported(OTHER_FORM),
    };
    wiring::reshape(draft, name, y, shape)
}
