//! The integer graph as a function: plain loops, each operator's in its file of `ops/`. This is the specification of what is
//! proved.
//!
//! Invariant: values that [`IntGraph::evaluate`] returns satisfy every relation that the graph lowers to, and no
//! other outputs do for the same inputs.

use std::collections::BTreeSet;

use super::ops::OutOfRange;
use super::{GraphError, IntGraph, IntTensor, Node, TensorId};

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    /// The graph breaks its own invariants.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The wrong number of inputs.
    #[error("the model has {expected} inputs, {got} were given")]
    InputCount {
        /// Inputs of the model.
        expected: usize,
        /// Inputs given.
        got: usize,
    },
    /// An input of the wrong shape, or with more or fewer values than its shape says.
    #[error("input `{name}` has shape {expected:?}, {got:?} was given")]
    InputShape {
        /// The input.
        name: String,
        /// Its shape in the model.
        expected: Vec<u32>,
        /// The shape given.
        got: Vec<u32>,
    },
    /// An input value outside the input's exact range.
    #[error("input `{name}`: value {value} at {index} is outside [{lo}, {hi}]")]
    InputRange {
        /// The input.
        name: String,
        /// Flat index of the value.
        index: usize,
        /// The value.
        value: i64,
        /// Least accepted value.
        lo: i64,
        /// Greatest accepted value.
        hi: i64,
    },
    /// A value inside the model leaves the range that the model was calibrated for: this input has no proof.
    #[error("node `{node}`: a value of `{tensor}` is {value}, outside the calibrated [{lo}, {hi}]")]
    OutOfCalibratedRange {
        /// The node that makes the value.
        node: String,
        /// The tensor.
        tensor: String,
        /// The quotient before the activation.
        value: i64,
        /// Least accepted quotient.
        lo: i64,
        /// Greatest accepted quotient.
        hi: i64,
    },
}

/// A graph that has been validated, so that no index leaves a tensor and no integer overflows.
#[derive(Debug, Clone, Copy)]
pub struct Evaluator<'g>(&'g IntGraph);

impl Evaluator<'_> {
    /// As [`IntGraph::evaluate`].
    ///
    /// # Errors
    /// Inputs that do not fit, or a value that leaves its calibrated range.
    pub fn run(&self, inputs: &[IntTensor]) -> Result<Vec<IntTensor>, EvaluateError> {
        self.0.evaluate_validated(inputs, |_| true)
    }
}

impl IntGraph {
    /// Every tensor by id, for inputs in the model's order.
    ///
    /// # Errors
    /// A graph that does not validate, inputs that do not fit, or a value that leaves its calibrated range.
    pub fn evaluate(&self, inputs: &[IntTensor]) -> Result<Vec<IntTensor>, EvaluateError> {
        self.evaluator()?.run(inputs)
    }

    /// As [`IntGraph::evaluate`], for whoever needs the values of some tensors alone: of the others none are returned, and none
    /// are in memory once no node reads them any more.
    ///
    /// # Errors
    /// A graph that does not validate, inputs that do not fit, or a value that leaves its calibrated range.
    pub fn evaluate_for(
        &self,
        keep: &BTreeSet<TensorId>,
        inputs: &[IntTensor],
    ) -> Result<Vec<IntTensor>, EvaluateError> {
        self.validate()?;
        self.evaluate_validated(inputs, |id| keep.contains(&id))
    }

    /// The most values that [`IntGraph::evaluate_for`] has in memory at once, of a graph that validates: those of the tensors,
    /// and twice those of the one that is being made, for an operator may have accumulators beside them.
    #[must_use]
    pub fn evaluation_len(&self, keep: &BTreeSet<TensorId>) -> u64 {
        let len = |id: &TensorId| self.tensors.get(id.0 as usize).map_or(0, |t| t.len() as u64);
        let mut there: u64 = self.inputs.iter().map(len).sum();
        let mut most = there;
        for (node, done) in self.nodes.iter().zip(self.done_after(|id| keep.contains(&id))) {
            let made = len(&node.output);
            most = most.max(there.saturating_add(made.saturating_mul(2)));
            there = there.saturating_add(made);
            there = there.saturating_sub(done.iter().map(len).sum());
        }
        most
    }

    /// By node: the tensors whose values nobody needs when it is done.
    fn done_after(&self, keep: impl Fn(TensorId) -> bool) -> Vec<Vec<TensorId>> {
        let mut last: Vec<Option<usize>> = vec![None; self.tensors.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            for id in node.inputs.iter().chain([&node.output]) {
                if let Some(last) = last.get_mut(id.0 as usize) {
                    *last = Some(at);
                }
            }
        }
        let mut done = vec![Vec::new(); self.nodes.len()];
        for (id, last) in last.into_iter().enumerate() {
            let id = TensorId(id as u32);
            if let Some(at) = last.filter(|_| !keep(id)) {
                done[at].push(id);
            }
        }
        done
    }

    /// For whoever evaluates one graph many times: it is validated once.
    ///
    /// # Errors
    /// A graph that does not validate.
    pub fn evaluator(&self) -> Result<Evaluator<'_>, EvaluateError> {
        self.validate()?;
        Ok(Evaluator(self))
    }

    fn evaluate_validated(
        &self,
        inputs: &[IntTensor],
        keep: impl Fn(TensorId) -> bool,
    ) -> Result<Vec<IntTensor>, EvaluateError> {
        if inputs.len() != self.inputs.len() {
            return Err(EvaluateError::InputCount {
                expected: self.inputs.len(),
                got: inputs.len(),
            });
        }
        let empty = |t: &super::TensorInfo| IntTensor {
            shape: t.shape.clone(),
            values: Vec::new(),
        };
        let mut values: Vec<IntTensor> = self.tensors.iter().map(empty).collect();
        for (id, input) in self.inputs.iter().zip(inputs) {
            self.check_input(*id, input)?;
            values[id.0 as usize].values.clone_from(&input.values);
        }
        for (node, done) in self.nodes.iter().zip(self.done_after(keep)) {
            values[node.output.0 as usize].values = self.evaluate_node(node, &values)?;
            for id in done {
                values[id.0 as usize].values = Vec::new();
            }
        }
        Ok(values)
    }

    fn check_input(&self, id: TensorId, input: &IntTensor) -> Result<(), EvaluateError> {
        let info = &self.tensors[id.0 as usize];
        if input.shape != info.shape || input.values.len() != info.len() {
            return Err(EvaluateError::InputShape {
                name: info.name.clone(),
                expected: info.shape.clone(),
                got: if input.shape == info.shape {
                    vec![input.values.len() as u32]
                } else {
                    input.shape.clone()
                },
            });
        }
        match input
            .values
            .iter()
            .enumerate()
            .find(|(_, v)| !info.range.contains(**v))
        {
            None => Ok(()),
            Some((index, &value)) => Err(EvaluateError::InputRange {
                name: info.name.clone(),
                index,
                value,
                lo: info.range.lo(),
                hi: info.range.hi(),
            }),
        }
    }

    fn evaluate_node(&self, node: &Node, values: &[IntTensor]) -> Result<Vec<i64>, EvaluateError> {
        let x: Vec<&[i64]> = node
            .inputs
            .iter()
            .map(|id| values[id.0 as usize].values.as_slice())
            .collect();
        let made = node.op.evaluate(&x, &self.tables);
        made.map_err(
            |OutOfRange { value, lo, hi }| EvaluateError::OutOfCalibratedRange {
                node: node.name.clone(),
                tensor: self.tensors[node.output.0 as usize].name.clone(),
                value,
                lo,
                hi,
            },
        )
    }
}
