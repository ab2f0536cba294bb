//! Whether the graph that was read computes what the file states.
//!
//! Invariant: what is not the file's function is refused. The answers of the file are the reference's, which shares nothing with
//! the reader.

use std::collections::HashSet;

use zkml::accuracy;
use zkml::graph::TensorId;
use zkml::graph::linear::MAX_TENSOR_LEN;
use zkml::graph::scale::power_of_two;

use crate::calibrate::{CalibrateError, Tensors};
use crate::float::FloatGraph;

/// The graph that was read from the file computes something else than the file: a fault of the reader, never of the model.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "node `{node}`: this program reads the model as another function than the file states (it differs by {error:.1e} of \
     the output's size); please report it"
)]
pub struct Differs {
    /// The first node whose values differ, where it is known, or the output.
    pub node: String,
    /// By how much an output differs, as [`accuracy::output_error`] measures it.
    pub error: f64,
}

/// How far the graph's f64 answers may be from the reference's, which adds in another order and holds constants that
/// the reader has folded in 32-bit floats: below the least step of the most precise profile, 2^-14 of a tensor's size.
const SAME: f64 = 1e-5;
/// Outputs that are what remains of far greater tensors are compared as a part of those: constants that are rounded to 32
/// bits leave up to `SAME` of this part, which is 2^-23 of the greatest tensor.
const REMAINS: f64 = 1e-2;

/// The graph's own answers to the samples are the model's, as the reference gives them; `magnitudes` are its tensors' greatest
/// absolute values.
///
/// # Errors
/// [`Differs`], an answer that rounding decides, or one that is no number.
pub(crate) fn same_answers(
    graph: &FloatGraph,
    samples: &[Tensors],
    answers: &[Tensors],
    expected: &[Tensors],
    magnitudes: &[f64],
) -> Result<(), CalibrateError> {
    let floor = REMAINS * magnitudes.iter().fold(0f64, |m, v| m.max(*v));
    for (at, id) in graph.outputs.iter().enumerate() {
        let scale = magnitudes.get(id.0 as usize).map_or(floor, |m| m.max(floor));
        for (index, (own, expected)) in answers.iter().zip(expected).enumerate() {
            if expected[at].iter().any(|v| !v.is_finite()) {
                let tensor = graph.tensors[id.0 as usize].name.clone();
                return Err(CalibrateError::NonFinite { index, tensor });
            }
            let difference = |a: &[f64], b: &[f64]| match graph.exact.get(at) {
                // What was stirred on the way is whole but for that.
                Some(true) => f64::from(u8::from(a.iter().zip(b).any(|(a, b)| (a - b).abs() >= 0.5))),
                Some(false) | None => accuracy::output_error(a, b, scale),
            };
            let error = difference(&own[at], &expected[at]);
            if error <= SAME {
                continue;
            }
            let node = graph.tensors[id.0 as usize].name.clone();
            let moved = ways()
                .filter_map(|way| stirred(graph, &samples[index], way))
                .map(|all| difference(&all[id.0 as usize], &own[at]))
                .find(|moved| error.is_finite() && moved * STIRRED >= error);
            return Err(match moved {
                Some(moved) => CalibrateError::Unstable {
                    index,
                    output: node,
                    moved,
                },
                None => Differs { node, error }.into(),
            });
        }
    }
    Ok(())
}

/// An answer that differs by up to so many times what one rounding of each tensor moves it by is no other function: roundings
/// add up.
const STIRRED: f64 = 64.0;

/// Which way places are moved: all one way, or those that have a bit in their number the other way, so that any two are moved
/// apart in one of the ways: a tie is one between any two. A value at a jump may be over it already, so each way is tried, and the
/// opposite.
fn ways() -> impl Iterator<Item = (Option<u32>, f64)> {
    let bits = std::iter::once(None).chain((0..MAX_TENSOR_LEN.ilog2()).map(Some));
    bits.flat_map(|bit| [(bit, 1.0), (bit, -1.0)])
}

/// Every tensor of a sample where each value that is rounded is changed by a part of 2^-24, which is what a rounded constant changes
/// it by. The greatest of values, values moved, ranks and yes or no are no program's to round: a maximum that was changed would be none.
fn stirred(graph: &FloatGraph, sample: &[Vec<f64>], (bit, sign): (Option<u32>, f64)) -> Option<Tensors> {
    let exact = graph.nodes.iter().filter(|node| node.op.exact());
    let ranked = graph.inputs.iter().copied().filter(|id| {
        let input = graph.tensors.get(id.0 as usize);
        input.is_some_and(|input| input.ranks.is_some())
    });
    let exact: HashSet<TensorId> = exact.map(|node| node.output).chain(ranked).collect();
    let stir = |id: TensorId, values: &mut Vec<f64>| {
        if exact.contains(&id) {
            return;
        }
        let greatest = values.iter().fold(0f64, |m, v| m.max(v.abs()));
        for (at, v) in values.iter_mut().enumerate() {
            let other = bit.is_some_and(|bit| at >> bit & 1 == 1);
            *v += if other { -sign } else { sign } * greatest * power_of_two(-24);
        }
    };
    graph.evaluate_changing(sample, stir).ok()
}
