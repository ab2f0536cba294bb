//! The model as it stands in its file, on the flat inputs of a model whose shapes are known: what answers are measured
//! against.
//!
//! Invariant: every float here comes from [`zkml_reference`], which shares nothing with the importer.

use std::collections::BTreeMap;

use zkml_reference::{EvaluateError, Model, ReadError, Tensor, TensorError, Values};

use crate::accuracy;
use crate::graph::{FloatGraph, TensorInfo};

/// A model with the shapes that its inputs are given.
#[derive(Debug, Clone)]
pub struct Reference {
    model: Model,
    shapes: Vec<Vec<usize>>,
}

/// Why there is no float answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The file.
    #[error("the float reference: {0}")]
    Read(#[from] ReadError),
    /// The model on these inputs.
    #[error("the float reference: {0}")]
    Evaluate(#[from] EvaluateError),
    /// Values that are no tensor of the model's shape.
    #[error("the float reference: input `{input}`: {source}")]
    Input {
        /// The input.
        input: String,
        /// What does not fit.
        source: TensorError,
    },
    /// Another number of inputs.
    #[error("the float reference: the model has {expected} inputs, {got} were given")]
    Count {
        /// The model's.
        expected: usize,
        /// Given.
        got: usize,
    },
}

impl Reference {
    /// The model of these bytes, with the shapes that the importer has bound its inputs to.
    ///
    /// # Errors
    /// Bytes that the reference does not read, or another number of inputs.
    pub fn new(onnx: &[u8], graph: &FloatGraph) -> Result<Self, ReferenceError> {
        let shapes = graph.inputs.iter().map(|id| &graph.tensors[id.0 as usize].shape);
        Self::with_shapes(onnx, shapes.map(Vec::as_slice))
    }

    /// The model of these bytes, with the shapes that a manifest states for its inputs.
    ///
    /// # Errors
    /// As [`Reference::new`].
    pub fn of_inputs<'a>(
        onnx: &[u8],
        inputs: impl Iterator<Item = &'a TensorInfo>,
    ) -> Result<Self, ReferenceError> {
        Self::with_shapes(onnx, inputs.map(|info| info.shape.as_slice()))
    }

    fn with_shapes<'a>(onnx: &[u8], shapes: impl Iterator<Item = &'a [u32]>) -> Result<Self, ReferenceError> {
        let model = Model::read(onnx)?;
        let shapes: Vec<Vec<usize>> = shapes.map(|s| s.iter().map(|&d| d as usize).collect()).collect();
        let (expected, got) = (model.inputs().len(), shapes.len());
        if expected == got {
            Ok(Self { model, shapes })
        } else {
            Err(ReferenceError::Count { expected, got })
        }
    }

    /// The outputs for flat inputs in the model's order, flat.
    ///
    /// # Errors
    /// Inputs that do not fit, or a model that does not evaluate on them.
    pub fn outputs(&self, inputs: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, ReferenceError> {
        let outputs = self.model.evaluate(&self.tensors(inputs)?)?;
        Ok(outputs.iter().map(Tensor::to_f64).collect())
    }

    fn tensors(&self, inputs: &[Vec<f64>]) -> Result<Vec<Tensor>, ReferenceError> {
        let (expected, got) = (self.shapes.len(), inputs.len());
        if expected != got {
            return Err(ReferenceError::Count { expected, got });
        }
        let ports = self.model.inputs().iter();
        ports
            .zip(&self.shapes)
            .zip(inputs)
            .map(|((port, shape), values)| {
                Tensor::new(port.element, shape.clone(), Values::Float(values.clone())).map_err(|source| {
                    ReferenceError::Input {
                        input: port.name.clone(),
                        source,
                    }
                })
            })
            .collect()
    }

    /// The first node of the graph whose values are not those that the file's node of that name makes, on one sample.
    /// Nodes that have no counterpart of the same length are passed over.
    pub(crate) fn first_difference(&self, graph: &FloatGraph, sample: &[Vec<f64>]) -> Option<String> {
        let mut made: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        let inputs = self.tensors(sample).ok()?;
        let see = &mut |value: &str, tensor: &Tensor| {
            made.insert(value.to_owned(), tensor.to_f64());
        };
        self.model.evaluate_seeing(&inputs, see).ok()?;
        let by_node: BTreeMap<&str, &Vec<f64>> = self
            .model
            .nodes()
            .iter()
            .filter_map(|n| Some((n.name.as_str(), made.get(n.outputs.first()?)?)))
            .collect();
        let own = graph.evaluate(sample).ok()?;
        // Of the nodes that share a name, the last makes what the file's node makes.
        let last: BTreeMap<&str, usize> = graph
            .nodes
            .iter()
            .enumerate()
            .map(|(at, n)| (n.name.as_str(), at))
            .collect();
        graph.nodes.iter().enumerate().find_map(|(at, node)| {
            let theirs = by_node
                .get(node.name.as_str())
                .filter(|_| last[node.name.as_str()] == at)?;
            let ours = own
                .get(node.output.0 as usize)
                .filter(|v| v.len() == theirs.len())?;
            let differs = accuracy::output_error(ours, theirs, f64::MIN_POSITIVE) > 1e-4;
            differs.then(|| node.name.clone())
        })
    }
}
