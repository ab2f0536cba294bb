//! Maxima over windows of three dimensions and more, and over any windows whose maxima's places are asked for.
//!
//! Invariant: a window holds only entries of the input, each once; one without an entry has no maximum and is refused. A place is
//! that of the first of equal entries, which a list of a window's entries that is filled up with its first one leaves as it is.

use tract_onnx::pb::NodeProto;
use zkml::graph::TensorId;

use super::draft::{Draft, Refusal, unsupported};
use super::recipe::{Call, Recipe, sizes};
use super::span::Span;
use super::{greatest, wiring};
use crate::float::FloatOp;
use crate::ops::Max;

pub(super) const RECIPES: &[Recipe] = &[Recipe::several("MaxPool", maxima).only(|node, _| {
    let kernel = node.attribute.iter().find(|a| a.name == "kernel_shape");
    kernel.is_some_and(|k| k.ints.len() > 2) || asks_for_places(node)
})];

fn asks_for_places(node: &NodeProto) -> bool {
    node.output.iter().skip(1).any(|name| !name.is_empty())
}

fn maxima(draft: &mut Draft, call: &Call<'_>) -> Result<Vec<Option<TensorId>>, Refusal> {
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
    let windows: Vec<Vec<u32>> = (0..from[0] * from[1])
        .flat_map(|c| {
            let shifted = move |w: &Vec<usize>| w.iter().map(|p| (c * image + p) as u32).collect();
            windows.iter().map(shifted)
        })
        .collect();
    let places = if asks_for_places(call.node) {
        Some(places(draft, call, x, &windows)?)
    } else {
        None
    };
    let made = draft.node(call.name, FloatOp::Max(Max { windows }), &[x], call.shape)?;
    Ok(vec![Some(made), places])
}

/// Where in the whole tensor each window's greatest value stands; with a `storage_order` of 1 in a plane whose first axis is the
/// fastest.
fn places(
    draft: &mut Draft,
    call: &Call<'_>,
    x: TensorId,
    windows: &[Vec<u32>],
) -> Result<TensorId, Refusal> {
    let from = draft.shape(x);
    let plane = from[2..].iter().product::<usize>();
    let most = windows.iter().map(Vec::len).max().unwrap_or(1);
    if windows.len().saturating_mul(most) > super::MAX_TENSOR_LEN {
        return Err(Refusal::TooLarge);
    }
    let first_is_fastest = call.int("storage_order", 0)? != 0;
    let named = |at: u32| {
        let at = at as usize;
        if !first_is_fastest {
            return at as f64;
        }
        let (mut rest, mut found) = (at % plane, 0);
        for d in from[2..].iter().rev() {
            found = found * d + rest % d;
            rest /= d;
        }
        (at - at % plane + found) as f64
    };
    // Each window's entries, then its first one again.
    let row = |w: &Vec<u32>| {
        let first = w.first().copied().unwrap_or(0);
        w.iter()
            .copied()
            .chain(std::iter::repeat(first))
            .take(most)
            .collect::<Vec<u32>>()
    };
    let sources: Vec<u32> = windows.iter().flat_map(row).collect();
    let names: Vec<f64> = sources.iter().map(|at| named(*at)).collect();
    let sizes = [windows.len(), most];
    let rows = wiring::emit(draft, call.name, x, &sizes, sources)?;
    greatest::names(draft, call.name, rows, sizes, names, call.shape)
}
