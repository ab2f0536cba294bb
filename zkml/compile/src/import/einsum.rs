//! Products with a constant matrix, and those of two computed ones (`product`), in whatever order of axes typing has left them.
//!
//! Invariant: with the computed operand brought to `[kept…, contracted…]` and the constant to `[new…, contracted…]`,
//! the product is a dense map; the result `[kept…, new…]` is brought back to the order that the model asks for.

use tract_onnx::tract_core::ops::einsum::EinSum;
use zkml::graph::TensorId;

use super::draft::{Draft, Refusal, small, unsupported};
use super::einsum_batch::{self, Named};
use super::product::{self, Factor};
use super::translate::Operands;
use super::wiring;
use crate::float::FloatMap;

fn repeats(axes: &[char]) -> bool {
    axes.iter().enumerate().any(|(i, c)| axes[..i].contains(c))
}

/// Translates an Einstein sum of two tensors, at least one of them computed.
pub(super) fn einsum(
    draft: &mut Draft,
    operands: &Operands<'_>,
    name: &str,
    op: &EinSum,
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    if op.q_params.is_some() || operands.len() != 2 {
        return unsupported("a product that is quantised, or not of two operands");
    }
    let (inputs, outputs) = op.axes.to_strs();
    let axes = |text: &String| text.chars().collect::<Vec<char>>();
    if let (true, true, [l, r], [out]) = (
        operands.is_computed(0),
        operands.is_computed(1),
        &inputs[..],
        &outputs[..],
    ) {
        let (l, r, out) = (axes(l), axes(r), axes(out));
        if repeats(&l) || repeats(&r) || repeats(&out) {
            return unsupported("a product along a diagonal");
        }
        let [left, right] = [(&l, 0), (&r, 1)].map(|(axes, at)| {
            let tensor = operands.computed(at)?;
            Ok::<_, Refusal>(Factor { axes, tensor })
        });
        return product::einsum(draft, name, &left?, &right?, &out, shape);
    }
    let at = usize::from(!operands.is_computed(0));
    let (x, w) = (operands.computed(at)?, operands.constant(1 - at)?);
    let (Some(xs), Some(ws), Some(out)) = (
        inputs.get(at).map(axes),
        inputs.get(1 - at).map(axes),
        outputs.first().map(axes),
    ) else {
        return unsupported("a product without axes");
    };
    let x_shape = draft.shape(x);
    if xs.len() != x_shape.len() || ws.len() != w.shape.len() || out.len() != shape.len() {
        return unsupported("a product whose axes are not those of its operands");
    }
    if repeats(&xs) || repeats(&ws) || repeats(&out) {
        return unsupported("a product along a diagonal");
    }
    let size_in =
        |axes: &[char], shape: &[usize], c: char| axes.iter().position(|&a| a == c).map_or(1, |d| shape[d]);
    // An axis of the constant that has length 1 there does nothing.
    let in_w = |c: char| size_in(&ws, &w.shape, c) != 1;
    let kept: Vec<char> = xs.iter().copied().filter(|c| out.contains(c)).collect();
    let contracted: Vec<char> = xs.iter().copied().filter(|c| !out.contains(c)).collect();
    let new: Vec<char> = ws
        .iter()
        .copied()
        .filter(|&c| !xs.contains(&c) && (out.contains(&c) || in_w(c)))
        .collect();
    if kept.iter().any(|&c| in_w(c)) {
        let named = |axes, shape| Named { axes, shape };
        let (computed, made) = (named(&xs, &x_shape), named(&out, shape));
        return einsum_batch::product(draft, name, x, computed, (&w, &ws), made);
    }
    if new.iter().any(|c| !out.contains(c)) {
        return unsupported("a sum over an axis of the constant alone");
    }
    let order: Vec<usize> = kept
        .iter()
        .chain(&contracted)
        .filter_map(|c| xs.iter().position(|a| a == c))
        .collect();
    let x = wiring::permute(draft, name, x, &order)?;
    let sizes = |axes: &[char], of: &[char], shape: &[usize]| -> Vec<usize> {
        axes.iter().map(|&c| size_in(of, shape, c)).collect()
    };
    let (k, n) = (sizes(&contracted, &xs, &x_shape), sizes(&new, &ws, &w.shape));
    let (inputs, outputs): (usize, usize) = (k.iter().product(), n.iter().product());
    // The constant as [new…, contracted…]; an axis that it lacks or has with length 1 repeats.
    let mut sources = vec![0usize];
    for (&c, &size) in new.iter().zip(&n).chain(contracted.iter().zip(&k)) {
        let step = match ws.iter().position(|&a| a == c) {
            Some(d) if w.shape[d] == size => w.shape[d + 1..].iter().product(),
            _ if in_w(c) => return unsupported("operands whose sizes differ"),
            _ => 0,
        };
        if sources.len().saturating_mul(size) > super::MAX_TENSOR_LEN {
            return Err(Refusal::TooLarge);
        }
        sources = sources
            .iter()
            .flat_map(|&s| (0..size).map(move |i| s + i * step))
            .collect();
    }
    let weight = sources
        .iter()
        .map(|&s| w.values.get(s).copied())
        .collect::<Option<Vec<_>>>();
    let Some(weight) = weight else {
        return unsupported("a constant with too few values");
    };
    let [inputs, outputs] = small([inputs, outputs])?;
    let map = FloatMap::Dense {
        inputs,
        outputs,
        weight,
        bias: vec![0.0; outputs as usize],
    };
    let made: Vec<char> = kept.iter().chain(&new).copied().collect();
    let made_shape: Vec<usize> = sizes(&kept, &xs, &x_shape).into_iter().chain(n).collect();
    let product = draft.linear(name, map, &[x], &made_shape)?;
    // Axes of the result that neither operand has are of length 1: a reshape puts them in.
    let order: Vec<usize> = out
        .iter()
        .filter_map(|c| made.iter().position(|a| a == c))
        .collect();
    let permuted = wiring::permute(draft, name, product, &order)?;
    wiring::reshape(draft, name, permuted, shape)
}
