//! Concatenation, as a sum of tensors each of which is 0 outside its own part.
//!
//! Invariant: exact in floats. Every operand is first stretched to the result's shape (outside its part it repeats its
//! first or last entry along the axis), then multiplied by 1 inside its part and by 0 outside; constants are the biases.

use zkml::graph::TensorId;

use super::draft::{Draft, Refusal, small, unsupported};
use super::translate::Operands;
use crate::float::{FloatMap, FloatOp};
use crate::ops::Wiring;

/// One operand's part of the axis.
struct Part {
    start: usize,
    extent: usize,
}

/// Translates a concatenation of computed tensors and constants along one axis.
pub(super) fn concat(
    draft: &mut Draft,
    operands: &Operands<'_>,
    name: &str,
    axis: usize,
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let Some(&whole) = shape.get(axis) else {
        return unsupported("a concatenation along an axis that does not exist");
    };
    let [outer, inner] = [&shape[..axis], &shape[axis + 1..]].map(|d| d.iter().product::<usize>());
    let len = outer.saturating_mul(whole).saturating_mul(inner);
    if len > super::MAX_TENSOR_LEN {
        return Err(Refusal::TooLarge);
    }
    // Per place of the axis where all constants allow it, else per value.
    let has_constant = (0..operands.len()).any(|at| !operands.is_computed(at));
    let (channels, repeats) = if has_constant { (len, 1) } else { (whole, inner) };
    let computed = (0..operands.len()).filter(|&at| operands.is_computed(at)).count();
    if computed.saturating_mul(channels) > super::MAX_TENSOR_LEN {
        return Err(Refusal::TooLarge);
    }
    let along_axis = |channel: usize| {
        if has_constant {
            channel / inner % whole
        } else {
            channel
        }
    };
    let (mut tensors, mut scale, mut bias) = (Vec::new(), Vec::new(), vec![0.0; channels]);
    let mut start = 0;
    for at in 0..operands.len() {
        let constant = if operands.is_computed(at) {
            None
        } else {
            Some(operands.constant(at)?)
        };
        let from = match &constant {
            None => draft.shape(operands.computed(at)?),
            Some(constant) => constant.shape.clone(),
        };
        let fits = from.len() == shape.len() && (0..shape.len()).all(|d| d == axis || from[d] == shape[d]);
        let part = Part {
            start,
            extent: if fits { from[axis] } else { 0 },
        };
        if !fits || part.extent > whole - start {
            return unsupported("a concatenation of tensors that do not fit");
        }
        start += part.extent;
        if part.extent == 0 {
            continue;
        }
        // The operand's flat index for a place of the result, the nearest one along the axis outside its part.
        let source = |t: usize| {
            let (o, rest) = (t / (whole * inner), t % (whole * inner));
            let (c, i) = (rest / inner, rest % inner);
            let own = c.saturating_sub(part.start).min(part.extent - 1);
            (o * part.extent + own) * inner + i
        };
        let inside = |channel: usize| (part.start..part.start + part.extent).contains(&along_axis(channel));
        match constant {
            Some(constant) => {
                for t in (0..len).filter(|&t| inside(t)) {
                    bias[t] = constant.values[source(t)];
                }
            }
            None => {
                let x = operands.computed(at)?;
                let sources: Vec<u32> = (0..len).map(|t| source(t) as u32).collect();
                let stretched = FloatOp::Wiring(Wiring {
                    source: Some(sources),
                });
                tensors.push(draft.node(name, stretched, &[x], shape)?);
                scale.extend((0..channels).map(|channel| f64::from(u8::from(inside(channel)))));
            }
        }
    }
    if start != whole || tensors.is_empty() {
        return unsupported("a concatenation of tensors that do not fit");
    }
    let [outer, channels, inner] = small([len / channels / repeats, channels, repeats])?;
    let map = FloatMap::Affine {
        outer,
        channels,
        inner,
        scale,
        bias,
    };
    draft.linear(name, map, &tensors, shape)
}
