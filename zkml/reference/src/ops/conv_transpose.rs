//! Transposed convolution: every input adds a multiple of the weights around its place in the output.

use super::{
    Call, Made, Operator, Step, Tensor,
    conv::{Windows, add_bias},
    matmul::{Matrix, product},
    one, op, same_type, size,
    window::{Attributes, Axis, kernel},
};
use crate::{
    Values,
    attribute::{int, ints, text},
    limits::volume,
};

pub(super) const OPERATORS: &[Operator] =
    &[op("ConvTranspose", 2, 3, conv_transpose).since(1).attributes(&[
        text("auto_pad"),
        ints("dilations"),
        int("group"),
        ints("kernel_shape"),
        ints("output_padding"),
        ints("output_shape"),
        ints("pads"),
        ints("strides"),
    ])];

/// The axes of the convolution that this one transposes: its inputs are the outputs here.
fn axes(call: &Call, input: &[usize], kernel: &[usize]) -> Step<Vec<Axis>> {
    let rank = input.len();
    let attributes = Attributes::read(call, rank)?;
    let list = |name: &str| -> Step<Option<Vec<usize>>> {
        let Some(list) = call.ints(name) else {
            return Ok(None);
        };
        if list.len() != rank || list.iter().any(|&v| v >= 1 << 31) {
            return Err(format!("`{name}` is {list:?}"));
        }
        list.iter().map(|&v| size(v)).collect::<Step<_>>().map(Some)
    };
    let (more, shape) = (list("output_padding")?, list("output_shape")?);
    let mode = call.text("auto_pad", "NOTSET");
    let mut found = Vec::new();
    for i in 0..rank {
        let more = more.as_ref().map_or(0, |m| m[i]);
        let (stride, dilation) = (attributes.strides[i], attributes.dilations[i]);
        if input[i] == 0 {
            return Err("there is no input".into());
        }
        let reach = (input[i] - 1).checked_mul(stride);
        let extent = (kernel[i] - 1).checked_mul(dilation);
        let all = reach
            .zip(extent)
            .and_then(|(r, e)| r.checked_add(e)?.checked_add(1 + more));
        let all = all.ok_or("the output is too large")?;
        let (mut begin, mut end) = (attributes.pads[i], attributes.pads[i + rank]);
        let wanted = match (&shape, mode) {
            (Some(shape), _) => Some(shape[i]),
            (None, "SAME_UPPER" | "SAME_LOWER") => Some(input[i].saturating_mul(stride)),
            (None, "NOTSET" | "VALID") => None,
            (None, other) => return Err(format!("auto_pad is `{other}`")),
        };
        let output = match wanted {
            Some(wanted) => {
                let total = all.saturating_sub(wanted);
                begin = if mode == "SAME_UPPER" {
                    total / 2
                } else {
                    total - total / 2
                };
                end = total - begin;
                wanted
            }
            None => all
                .checked_sub(begin + end)
                .ok_or("the pads are larger than the output")?,
        };
        found.push(Axis {
            input: output,
            output: input[i],
            kernel: kernel[i],
            stride,
            dilation,
            begin,
            end,
        });
    }
    Ok(found)
}

fn conv_transpose(call: &Call) -> Made {
    let (x, w) = (call.input(0)?, call.input(1)?);
    same_type(x, w)?;
    let (&[batch, channels, ref input @ ..], &[depth, maps_each, ref window @ ..]) = (x.shape(), w.shape())
    else {
        return Err(format!(
            "an input of shape {:?} with weights of shape {:?}",
            x.shape(),
            w.shape()
        ));
    };
    let kernel = kernel(call, Some(window))?;
    let groups = size(call.int("group", 1))?;
    if input.len() != kernel.len()
        || input.is_empty()
        || groups == 0
        || channels != depth
        || channels % groups != 0
    {
        return Err(format!(
            "an input of shape {:?} with weights of shape {:?}",
            x.shape(),
            w.shape()
        ));
    }
    let axes = axes(call, input, &kernel)?;
    let maps = maps_each.checked_mul(groups).ok_or("too many maps")?;
    let mut shape = vec![batch, maps];
    shape.extend(axes.iter().map(|a| a.input));
    let mut made = vec![0.0; call.room(&shape)?];
    let (plane, taps, positions) = (volume(&shape[2..])?, volume(&kernel)?, volume(input)?);
    let each = channels / groups;
    let rows = maps_each.checked_mul(taps).ok_or("too many weights")?;
    let mut columns = vec![0.0; volume(&[rows, positions])?];
    if !made.is_empty() && each > 0 {
        let windows = Windows::new(call, &axes, (plane, taps, positions))?;
        let inputs = x.floats()?.chunks_exact(each * positions);
        let weights = w.floats()?.chunks_exact(each * rows).cycle();
        for ((x, w), out) in inputs.zip(weights).zip(made.chunks_exact_mut(maps_each * plane)) {
            let w = Matrix {
                values: w,
                rows,
                columns: each,
                transposed: true,
            };
            product(
                call,
                1.0,
                w,
                Matrix::new(x, each, positions),
                0.0,
                &mut columns,
                positions,
            )?;
            call.touch(columns.len())?;
            windows.add(&columns, out);
        }
    }
    if let Some(bias) = call.optional(2) {
        add_bias(&mut made, &shape, bias)?;
    }
    one(Tensor::make(x.element(), shape, Values::Float(made))?)
}
