//! Columns of blocks put back into an image, added where blocks lie over each other.

use super::{
    Call, Made, Operator, Step, Tensor, list_of, one, op, size,
    window::{Attributes, Axis},
};
use crate::{Values, attribute::ints, limits::volume};

pub(super) const OPERATORS: &[Operator] =
    &[op("Col2Im", 3, 3, col2im)
        .since(18)
        .attributes(&[ints("dilations"), ints("pads"), ints("strides")])];

fn sizes(tensor: &Tensor) -> Step<Vec<usize>> {
    list_of(tensor)?.into_iter().map(size).collect()
}

fn col2im(call: &Call) -> Made {
    let x = call.input(0)?;
    let (image, block) = (sizes(call.input(1)?)?, sizes(call.input(2)?)?);
    let rank = image.len();
    let &[batch, columns, blocks] = x.shape() else {
        return Err(format!("columns of shape {:?}", x.shape()));
    };
    if block.len() != rank || rank == 0 || image.iter().chain(&block).any(|n| *n == 0) {
        return Err(format!("blocks of shape {block:?} of an image of {image:?}"));
    }
    let given = Attributes::read(call, rank)?;
    let mut axes = Vec::new();
    for d in 0..rank {
        let (begin, end) = (given.pads[d], given.pads[rank + d]);
        let padded = image[d].saturating_add(begin).saturating_add(end);
        let reach = given.dilations[d].saturating_mul(block[d] - 1).saturating_add(1);
        let room = padded.checked_sub(reach);
        let room = room.ok_or_else(|| format!("blocks of {reach} in an image of {padded}"))?;
        axes.push(Axis {
            input: image[d],
            output: room / given.strides[d] + 1,
            kernel: block[d],
            stride: given.strides[d],
            dilation: given.dilations[d],
            begin,
            end,
        });
    }
    let counts: Vec<usize> = axes.iter().map(|a| a.output).collect();
    let values_each = volume(&block)?;
    if volume(&counts)? != blocks || !columns.is_multiple_of(values_each) {
        return Err(format!(
            "{columns} values in each of {blocks} blocks: there are {counts:?}"
        ));
    }
    let channels = columns / values_each;
    let mut shape = vec![batch, channels];
    shape.extend(&image);
    let area = volume(&image)?;
    call.touch(x.len().saturating_mul(rank))?;
    let mut made = vec![0.0; call.room(&shape)?];
    for (i, &value) in x.floats()?.iter().enumerate() {
        let (plane, inside) = (i / (values_each * blocks), i % (values_each * blocks));
        if let Some(at) = place(&axes, inside / blocks, inside % blocks) {
            made[plane * area + at] += value;
        }
    }
    one(Tensor::make(x.element(), shape, Values::Float(made))?)
}

/// The place in the image of a value of a block; none in the padding.
fn place(axes: &[Axis], mut value: usize, mut block: usize) -> Option<usize> {
    let (mut at, mut by) = (0, 1);
    for axis in axes.iter().rev() {
        at += axis.place(block % axis.output, value % axis.kernel)? * by;
        by *= axis.input;
        block /= axis.output;
        value /= axis.kernel;
    }
    Some(at)
}
