//! The model as floats, already in the shape of the integer graph.
//!
//! Invariant: tensors and nodes are one to one (same ids, same order) with those of the integer graph that
//! [`quantise`](super::quantise) makes of it. What can be fused has been fused here. All arithmetic is scalar f64 in
//! one fixed order, so that the same model gives the same floats on every machine.

use zkml::graph::linear::GeometryError;
use zkml::graph::{Ranks, TensorId};

pub use crate::hold::Hold;
pub use crate::interval::Interval;
use crate::ops::NoValues;
pub use crate::ops::{FloatMap, FloatOp};

/// A tensor of the float graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FloatTensor {
    /// The name in the model, or the name of the node that makes it.
    pub name: String,
    /// Dimensions, outermost first; row-major.
    pub shape: Vec<u32>,
    /// What every value is between, whatever the inputs are, where that is known. An input that is not has no answer.
    pub bound: Option<Interval>,
    /// Whether every value is a whole number, whatever the inputs are: then it is held in steps of 1, within its bound, or where
    /// there is none, as far as calibration's go.
    pub whole: bool,
    /// Of an input that nothing but comparisons with constants reads: how it is ranked. What reads it reads the ranks, which are
    /// whole numbers; what is given are the values.
    pub ranks: Option<Ranks>,
    /// Which values it has room for, where they are not whole.
    pub hold: Hold,
}

impl FloatTensor {
    /// Whether the model takes whole numbers there.
    #[must_use]
    pub const fn takes_whole(&self) -> bool {
        self.whole && self.ranks.is_none()
    }

    /// What the graph reads of the values that are given: these, or their ranks.
    fn read(&self, given: &[f64]) -> Result<Vec<f64>, FloatError> {
        let Some(ranks) = &self.ranks else {
            return Ok(given.to_vec());
        };
        let rank = |(index, value): (usize, &f64)| {
            let rank = ranks.rank(index, *value).map(|rank| rank as f64);
            rank.ok_or_else(|| FloatError::NotFinite {
                name: self.name.clone(),
                index,
            })
        };
        given.iter().enumerate().map(rank).collect()
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().map(|&d| d as usize).product()
    }

    /// Whether there is no value at all (never in an imported graph).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One operator with its tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatNode {
    /// The model's name for the node (after fusion, the last fused one's).
    pub name: String,
    /// What it does.
    pub op: FloatOp,
    /// Tensors read.
    pub inputs: Vec<TensorId>,
    /// The tensor made.
    pub output: TensorId,
}

/// The model before quantisation.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatGraph {
    /// Every tensor; `TensorId` indexes it.
    pub tensors: Vec<FloatTensor>,
    /// Operators in topological order.
    pub nodes: Vec<FloatNode>,
    /// The model's inputs, in its order.
    pub inputs: Vec<TensorId>,
    /// The model's outputs, in its order.
    pub outputs: Vec<TensorId>,
    /// By output, whether the file says that it is of whole numbers, or of yes and no.
    pub exact: Vec<bool>,
}

/// Why a float graph does not evaluate.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FloatError {
    /// The wrong number of input tensors.
    #[error("the model has {expected} input(s), {got} were given")]
    InputCount {
        /// Inputs of the model.
        expected: usize,
        /// Inputs given.
        got: usize,
    },
    /// An input has the wrong number of values.
    #[error("input `{name}` has {expected} values, {got} were given")]
    InputLength {
        /// The input.
        name: String,
        /// Values expected.
        expected: usize,
        /// Values given.
        got: usize,
    },
    /// A value is missing or infinite, and the model takes none there.
    #[error("input `{name}`: the value at {index} is missing or not finite")]
    NotFinite {
        /// The input.
        name: String,
        /// Flat index.
        index: usize,
    },
    /// A node's map does not fit its tensors. Never for an imported graph.
    #[error("node `{node}`: {source}")]
    Geometry {
        /// The node.
        node: String,
        /// What does not fit.
        source: GeometryError,
    },
    /// A tensor that is not there, or an index outside one. Never for an imported graph.
    #[error("node `{node}` reads a value that does not exist")]
    Absent {
        /// The node.
        node: String,
    },
}

impl FloatGraph {
    /// Every tensor's values by id, for flat inputs in the model's order.
    ///
    /// # Errors
    /// Inputs that do not fit the model, or a graph whose parts do not fit each other.
    pub fn evaluate(&self, inputs: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, FloatError> {
        self.evaluate_seeing(inputs, |_, _| ())
    }

    /// [`FloatGraph::evaluate`], showing each linear node's values before its activation to `see`.
    ///
    /// # Errors
    /// As [`FloatGraph::evaluate`].
    pub(super) fn evaluate_seeing(
        &self,
        inputs: &[Vec<f64>],
        see: impl FnMut(&FloatNode, &[f64]),
    ) -> Result<Vec<Vec<f64>>, FloatError> {
        self.run(inputs, see, |_, _| ())
    }

    /// [`FloatGraph::evaluate`] where `change` may change each tensor's values, inputs included, before anything reads
    /// them.
    ///
    /// # Errors
    /// As [`FloatGraph::evaluate`].
    pub fn evaluate_changing(
        &self,
        inputs: &[Vec<f64>],
        change: impl FnMut(TensorId, &mut Vec<f64>),
    ) -> Result<Vec<Vec<f64>>, FloatError> {
        self.run(inputs, |_, _| (), change)
    }

    fn run(
        &self,
        inputs: &[Vec<f64>],
        mut see: impl FnMut(&FloatNode, &[f64]),
        mut change: impl FnMut(TensorId, &mut Vec<f64>),
    ) -> Result<Vec<Vec<f64>>, FloatError> {
        if inputs.len() != self.inputs.len() {
            return Err(FloatError::InputCount {
                expected: self.inputs.len(),
                got: inputs.len(),
            });
        }
        let mut values: Vec<Vec<f64>> = vec![Vec::new(); self.tensors.len()];
        for (id, input) in self.inputs.iter().zip(inputs) {
            let tensor = &self.tensors[id.0 as usize];
            if tensor.len() != input.len() {
                let (name, expected) = (tensor.name.clone(), tensor.len());
                return Err(FloatError::InputLength {
                    name,
                    expected,
                    got: input.len(),
                });
            }
            let value = &mut values[id.0 as usize];
            *value = tensor.read(input)?;
            change(*id, value);
        }
        for node in &self.nodes {
            let mut made = evaluate_node(node, &values, &mut see)?;
            change(node.output, &mut made);
            *values
                .get_mut(node.output.0 as usize)
                .ok_or_else(|| absent(node))? = made;
        }
        Ok(values)
    }
}

fn absent(node: &FloatNode) -> FloatError {
    FloatError::Absent {
        node: node.name.clone(),
    }
}

fn evaluate_node(
    node: &FloatNode,
    values: &[Vec<f64>],
    see: &mut impl FnMut(&FloatNode, &[f64]),
) -> Result<Vec<f64>, FloatError> {
    let x: Vec<&[f64]> = node
        .inputs
        .iter()
        .map(|id| {
            values
                .get(id.0 as usize)
                .map(Vec::as_slice)
                .ok_or_else(|| absent(node))
        })
        .collect::<Result<_, _>>()?;
    if x.is_empty() {
        return Err(absent(node));
    }
    let made = node.op.evaluate(&x, &mut |before| see(node, before));
    made.map_err(|why| match why {
        NoValues::Absent => absent(node),
        NoValues::Geometry(source) => FloatError::Geometry {
            node: node.name.clone(),
            source,
        },
    })
}
