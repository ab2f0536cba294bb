//! Where the windows of convolutions and pools lie.
//!
//! Invariant: every window's places are stated along each axis on its own; places outside of the input are padding.

use super::{Call, Step, size};
use crate::{
    attribute::{Declared, int, ints, text},
    limits::volume,
};

/// What convolutions declare.
pub(super) const WINDOWS: &[Declared] = &[
    text("auto_pad"),
    ints("dilations"),
    int("group"),
    ints("kernel_shape"),
    ints("pads"),
    ints("strides"),
];

/// Windows along one axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    /// Values of the input, and number of windows.
    pub input: usize,
    pub output: usize,
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    /// Padding before and behind.
    pub begin: usize,
    pub end: usize,
}

impl Axis {
    /// Where tap `k` of window `o` reads; none in the padding.
    pub(super) fn place(&self, o: usize, k: usize) -> Option<usize> {
        let at = (o * self.stride + k * self.dilation).checked_sub(self.begin)?;
        (at < self.input).then_some(at)
    }

    /// The windows `from..to` whose tap `k` reads the input, the first of them reading at the place given third.
    pub(super) fn windows(&self, k: usize) -> (usize, usize, usize) {
        let offset = k * self.dilation;
        let from = self.begin.saturating_sub(offset).div_ceil(self.stride);
        let to = match (self.begin + self.input).checked_sub(offset) {
            Some(reach) => reach.div_ceil(self.stride).min(self.output),
            None => 0,
        };
        if from >= to {
            return (0, 0, 0);
        }
        (from, to, from * self.stride + offset - self.begin)
    }
}

/// The attributes that say where windows lie, held against the number of axes.
pub(super) struct Attributes {
    pub strides: Vec<usize>,
    pub dilations: Vec<usize>,
    /// Before each axis, then behind each.
    pub pads: Vec<usize>,
}

/// A product of these stays far from overflowing.
const MAX_EXTENT: usize = 1 << 31;

impl Attributes {
    pub(super) fn read(call: &Call, rank: usize) -> Step<Self> {
        let list = |name: &str, len: usize, default: usize, least: usize| -> Step<Vec<usize>> {
            let Some(given) = call.ints(name) else {
                return Ok(vec![default; len]);
            };
            if given.len() != len {
                return Err(format!("`{name}` has {} numbers, not {len}", given.len()));
            }
            let sizes = given.iter().map(|&v| match size(v) {
                Ok(v) if (least..MAX_EXTENT).contains(&v) => Ok(v),
                _ => Err(format!("`{name}` has {v}")),
            });
            sizes.collect()
        };
        Ok(Self {
            strides: list("strides", rank, 1, 1)?,
            dilations: list("dilations", rank, 1, 1)?,
            pads: list("pads", 2 * rank, 0, 0)?,
        })
    }
}

/// The kernel's shape: what is given, as the attribute says too if it is there.
pub(super) fn kernel(call: &Call, given: Option<&[usize]>) -> Step<Vec<usize>> {
    let stated = call.ints("kernel_shape");
    let stated: Option<Vec<usize>> = stated.map(|l| l.iter().map(|&v| size(v)).collect()).transpose()?;
    let kernel = match (stated, given) {
        (Some(stated), Some(given)) if stated != given => {
            return Err(format!("kernel_shape is {stated:?}, the weights' is {given:?}"));
        }
        (Some(kernel), _) => kernel,
        (None, Some(given)) => given.to_vec(),
        (None, None) => return Err("attribute `kernel_shape` is missing".into()),
    };
    if kernel.contains(&0) || kernel.iter().any(|&k| k >= MAX_EXTENT) {
        return Err(format!("a kernel of shape {kernel:?}"));
    }
    volume(&kernel)?;
    Ok(kernel)
}

/// The windows over an input.
pub(super) fn axes(call: &Call, input: &[usize], kernel: &[usize]) -> Step<Vec<Axis>> {
    if input.len() != kernel.len() || input.is_empty() {
        return Err(format!(
            "a kernel of {} dimensions on {} of the input",
            kernel.len(),
            input.len()
        ));
    }
    let Attributes {
        strides,
        dilations,
        pads,
    } = Attributes::read(call, input.len())?;
    let mode = call.text("auto_pad", "NOTSET");
    if mode != "NOTSET" && pads.iter().any(|&p| p != 0) {
        return Err(format!("auto_pad is `{mode}`, and pads are stated too"));
    }
    let ceil = call.flag("ceil_mode", false)?;
    let mut found = Vec::new();
    for (i, (&input, &kernel)) in input.iter().zip(kernel).enumerate() {
        let mut axis = Axis {
            input,
            output: 0,
            kernel,
            stride: strides[i],
            dilation: dilations[i],
            begin: pads[i],
            end: pads[i + strides.len()],
        };
        let extent = (kernel - 1)
            .checked_mul(axis.dilation)
            .filter(|&e| e < MAX_EXTENT);
        let extent = extent.ok_or("a kernel that reaches too far")? + 1;
        match mode {
            "SAME_UPPER" | "SAME_LOWER" => {
                axis.output = input.div_ceil(axis.stride);
                let reach = axis.output.saturating_sub(1) * axis.stride + extent;
                let total = reach.saturating_sub(input);
                axis.begin = if mode == "SAME_UPPER" {
                    total / 2
                } else {
                    total.div_ceil(2)
                };
                axis.end = total - axis.begin;
            }
            "NOTSET" | "VALID" => {
                let padded = axis.begin + input + axis.end;
                let free = padded.checked_sub(extent);
                let free =
                    free.ok_or_else(|| format!("a window of {extent} on {padded} values of axis {i}"))?;
                axis.output = free / axis.stride + 1;
                let partial = ceil && free % axis.stride != 0;
                // ONNX's text has whole windows only, its shape inference one more, and programs do either.
                if partial && mode == "VALID" {
                    return Err("auto_pad is `VALID` with ceil_mode: whether a last window that is not whole counts is \
                                told in several ways"
                        .into());
                }
                // A window may begin in the input and end beyond the padding, but not begin behind the input.
                if partial && axis.output * axis.stride < axis.begin + input {
                    axis.output += 1;
                }
            }
            other => return Err(format!("auto_pad is `{other}`")),
        }
        found.push(axis);
    }
    volume(&found.iter().map(|a| a.output).collect::<Vec<_>>())?;
    Ok(found)
}
