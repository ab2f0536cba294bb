//! Whether the graph that was read computes what the file states.
//!
//! Invariant: what is not the file's function is refused. The answers of the file are the reference's, which shares nothing with
//! the reader.

use zkml::accuracy;
use zkml::graph::TensorId;
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
                Some(true) => f64::from(u8::from(a != b)),
                Some(false) | None => accuracy::output_error(a, b, scale),
            };
            let error = difference(&own[at], &expected[at]);
            if error <= SAME {
                continue;
            }
            let node = graph.tensors[id.0 as usize].name.clone();
            let moved = SIGNS
                .iter()
                .filter_map(|signs| stirred(graph, &samples[index], *signs))
                .map(|all| difference(&all[id.0 as usize], &own[at]))
                .fold(0.0, f64::max);
            if error.is_finite() && moved * STIRRED >= error {
                return Err(CalibrateError::Unstable {
                    index,
                    output: node,
                    moved,
                });
            }
            return Err(Differs { node, error }.into());
        }
    }
    Ok(())
}

/// An answer that differs by up to so many times what one rounding of each tensor moves it by is no other function: roundings
/// add up.
const STIRRED: f64 = 64.0;

/// Which way even and odd places are moved. A value at a jump may be over it already, so each way is tried, and the opposite.
const SIGNS: [[f64; 2]; 4] = [[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [-1.0, -1.0]];

/// Every tensor of a sample where each value is changed by a part of 2^-24, which is what a rounded constant changes it by.
fn stirred(graph: &FloatGraph, sample: &[Vec<f64>], signs: [f64; 2]) -> Option<Tensors> {
    let stir = |_: TensorId, values: &mut Vec<f64>| {
        let greatest = values.iter().fold(0f64, |m, v| m.max(v.abs()));
        for (at, v) in values.iter_mut().enumerate() {
            *v += signs[at % 2] * greatest * power_of_two(-24);
        }
    };
    graph.evaluate_changing(sample, stir).ok()
}
