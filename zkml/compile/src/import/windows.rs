//! Maxima over windows of three dimensions and more.
//!
//! Invariant: a window holds only entries of the input, each once; one without an entry has no maximum and is refused.

use zkml::graph::TensorId;

use super::draft::{Draft, Refusal, unsupported};
use super::recipe::{Call, Recipe, sizes};
use super::span::Span;
use crate::float::FloatOp;
use crate::ops::Max;

pub(super) const RECIPES: &[Recipe] = &[Recipe::new("MaxPool", maxima).only(|node, _| {
    let kernel = node.attribute.iter().find(|a| a.name == "kernel_shape");
    kernel.is_some_and(|k| k.ints.len() > 2)
})];

fn maxima(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    if call.node.output.iter().skip(1).any(|name| !name.is_empty()) {
        return unsupported("the places of the maxima");
    }
    let x = call.computed(0)?;
    let from = draft.shape(x);
    let kernel = sizes(&call.ints("kernel_shape")?.unwrap_or_default())?;
    if from.len() < 3 || call.shape.len() != from.len() || call.shape[..2] != from[..2] {
        return unsupported("an image of that rank");
    }
    let spans = Span::all(call, &from[2..], &call.shape[2..], &kernel)?;
    let made = call.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let entries = kernel
        .iter()
        .try_fold(made.unwrap_or(usize::MAX), |n, &k| n.checked_mul(k));
    if entries.is_none_or(|n| n > super::MAX_TENSOR_LEN) {
        return Err(Refusal::TooLarge);
    }
    // For each window of one image: the places that it covers, axis after axis.
    let mut windows = vec![vec![0usize]];
    for span in &spans {
        let covered = |o: usize| {
            (0..span.kernel)
                .filter_map(move |k| span.place(o, k))
                .collect::<Vec<_>>()
        };
        let along: Vec<Vec<usize>> = (0..span.output).map(covered).collect();
        windows = windows
            .iter()
            .flat_map(|places| along.iter().map(move |covered| (places, covered)))
            .map(|(places, covered)| {
                let next = |p: &usize| {
                    covered
                        .iter()
                        .map(move |c| *p * span.input + c)
                        .collect::<Vec<_>>()
                };
                places.iter().flat_map(next).collect()
            })
            .collect();
    }
    if windows.iter().any(Vec::is_empty) {
        return unsupported("a window that lies in the padding");
    }
    let image: usize = from[2..].iter().product();
    let windows = (0..from[0] * from[1])
        .flat_map(|c| {
            let shifted = move |w: &Vec<usize>| w.iter().map(|p| (c * image + p) as u32).collect();
            windows.iter().map(shifted)
        })
        .collect();
    draft.node(call.name, FloatOp::Max(Max { windows }), &[x], call.shape)
}
