//! How well the integer graph holds each tensor of the float graph on one input.
//!
//! Invariant: measured on the input at hand, against floats that no scale of the manifest has touched; what a manifest
//! says of its own precision (profile, bits, exponents) decides nothing.
//!
//! What the bound is for. Whoever writes a manifest chooses the scale of every tensor. Scales so coarse that a tensor
//! loses its values (every pixel rounds to 0) turn the model into another one that still bears its name. The answer itself
//! is judged against the float model on the requester's own floats (`accuracy`), so that such an answer is refused when it
//! is wrong; but errors of several coarse tensors could be chosen so that they cancel on this input, and the requester
//! wants to know which tensor was too coarse. Hence the two steps:
//!
//! 1. A tensor is *coarse* on this input where it is off by more than [`COARSE`] of its greatest float value. That covers
//!    its own step, and what coefficients and biases lost on the way to it.
//! 2. Coarse tensors are refused where they matter: the float graph is evaluated with the integer graph's values in
//!    their places and floats everywhere else, and its answer must stay within [`CANCELLED`] times the judge's greatest
//!    error.
//!
//! No bound on step 1 alone could do. Eight bits with a bit of headroom leave 64 steps for the greatest calibrated value;
//! on an input where a tensor is a sixteenth of that (a nearly dead branch, a quiet recording), an honest tensor is off by
//! an eighth of its greatest value, and whether that does harm is what step 2 finds out.
//!
//! Why an honest receipt passes. Its answer is within the greatest error E already, and differs from the answer of step 2
//! only by the rounding R of all that is not coarse; so step 2 is off by at most E + R. R is what calibration measures on
//! ordinary inputs and keeps within the budget, about E. Nor can a forger use what is left: every answer that passes is
//! within E of the float model's on the requester's own floats, with the same class.

use zkml::accuracy::{CANCELLED, COARSE, Rule, output_error};
use zkml::graph::{IntGraph, IntTensor, TensorId, dequantise};

use crate::float::{FloatError, FloatGraph};

/// A tensor on one input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TensorFidelity {
    /// Greatest absolute float value; infinite where one is not finite.
    pub magnitude: f64,
    /// Greatest absolute difference of the integers' values from the floats; infinite where one is not finite.
    pub deviation: f64,
    /// `deviation / magnitude`: 0 where both are 0.
    pub error: f64,
}

/// Every tensor of the graph on one input, by tensor id.
#[derive(Debug, Clone, PartialEq)]
pub struct Fidelity {
    /// By tensor id.
    pub tensors: Vec<TensorFidelity>,
}

/// What the coarse tensors alone do to the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// The coarse tensors, in the order in which they are made; never empty.
    pub coarse: Vec<TensorId>,
    /// The greatest error of any output.
    pub error: f64,
}

impl Effect {
    /// Whether the rule accepts it.
    #[must_use]
    pub fn harmless(&self, rule: &Rule) -> bool {
        self.error <= CANCELLED * rule.max_error
    }
}

impl Fidelity {
    /// Compares `values`, all tensors of the integer graph by id, with the float graph on these floats.
    ///
    /// # Errors
    /// Inputs that do not fit the float graph.
    pub fn new(
        float: &FloatGraph,
        int: &IntGraph,
        inputs: &[Vec<f64>],
        values: &[IntTensor],
    ) -> Result<Self, FloatError> {
        let size = |v: f64| if v.is_finite() { v.abs() } else { f64::INFINITY };
        let one = |(info, (floats, ints)): (&zkml::graph::TensorInfo, (&Vec<f64>, &IntTensor))| {
            let got = dequantise(info, &ints.values);
            let magnitude = floats.iter().fold(0f64, |m, v| m.max(size(*v)));
            let deviation = if got.len() == floats.len() {
                let differences = got.iter().zip(floats).map(|(a, b)| size(a - b));
                differences.fold(0f64, f64::max)
            } else {
                f64::INFINITY
            };
            TensorFidelity {
                magnitude,
                deviation,
                error: output_error(&got, floats, 0.0),
            }
        };
        let floats = float.evaluate(inputs)?;
        let tensors = int.tensors.iter().zip(floats.iter().zip(values)).map(one);
        Ok(Self {
            tensors: tensors.collect(),
        })
    }

    /// Coarse tensors in the order in which they are made, inputs first.
    fn coarse(&self, int: &IntGraph) -> Vec<TensorId> {
        let made = int
            .inputs
            .iter()
            .copied()
            .chain(int.nodes.iter().map(|n| n.output));
        let error = |id: &TensorId| self.tensors.get(id.0 as usize).map_or(0.0, |t| t.error);
        made.filter(|id| error(id) > COARSE).collect()
    }

    /// The tensor with the greatest error.
    #[must_use]
    pub fn worst(&self) -> Option<(TensorId, TensorFidelity)> {
        let all = (0u32..).map(TensorId).zip(self.tensors.iter().copied());
        all.reduce(|a, b| if b.1.error > a.1.error { b } else { a })
    }

    /// The answer of the float graph with the coarse tensors' integers in their places, against `answer`, the float
    /// model's. `None` where no tensor is coarse.
    ///
    /// # Errors
    /// Inputs that do not fit the float graph.
    pub fn effect(
        &self,
        (float, int): (&FloatGraph, &IntGraph),
        inputs: &[Vec<f64>],
        values: &[IntTensor],
        answer: &[Vec<f64>],
        rule: &Rule,
    ) -> Result<Option<Effect>, FloatError> {
        let coarse = self.coarse(int);
        if coarse.is_empty() {
            return Ok(None);
        }
        let mut replaced = vec![false; int.tensors.len()];
        for id in &coarse {
            if let Some(place) = replaced.get_mut(id.0 as usize) {
                *place = true;
            }
        }
        let all = float.evaluate_changing(inputs, |id, floats| {
            let at = id.0 as usize;
            if replaced.get(at) == Some(&true)
                && let (Some(info), Some(ints)) = (int.tensors.get(at), values.get(at))
            {
                *floats = dequantise(info, &ints.values);
            }
        })?;
        let mut error = 0f64;
        for (at, (id, answer)) in int.outputs.iter().zip(answer).enumerate() {
            // Whole numbers are the float model's, or the answer is refused for them.
            if float.exact.get(at) == Some(&true) {
                continue;
            }
            let got = all.get(id.0 as usize).map(Vec::as_slice).unwrap_or_default();
            let scale = rule.output_scale.get(at).copied().unwrap_or(0.0);
            error = error.max(output_error(got, answer, scale));
        }
        Ok(Some(Effect { coarse, error }))
    }
}
