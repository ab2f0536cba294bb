//! The float model: the ONNX file as it stands, evaluated by the reference on floats.
//!
//! Invariant: nothing of the compiler is in its answers, so that a fault of the compiler does not hide in what its own
//! answers are measured against. Inputs go to the file's inputs by name, outputs come in the file's order.

use zkml_reference::{EvaluateError, Model, ReadError, Tensor};

use crate::graph::IntGraph;

/// Why the float model has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FloatModelError {
    /// The file.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The evaluation.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The file asks for an input that was not given.
    #[error("the model's input `{0}` was not given")]
    Missing(String),
    /// An input does not have its shape.
    #[error("the model's input `{0}` was given with another number of values")]
    Length(String),
    /// The file has other outputs than the integer graph.
    #[error("the model's outputs are not those of the integer graph: {0}")]
    Outputs(String),
}

/// A model file, ready to be evaluated.
#[derive(Debug, Clone)]
pub struct FloatModel(Model);

impl FloatModel {
    /// Reads the file.
    ///
    /// # Errors
    /// Bytes that are no model.
    pub fn read(onnx: &[u8]) -> Result<Self, FloatModelError> {
        Ok(Self(Model::read(onnx)?))
    }

    /// The outputs for flat inputs in the integer graph's order, which gives names and shapes.
    ///
    /// # Errors
    /// Inputs that are not the file's, a node that cannot be evaluated, or outputs of other sizes than the graph's.
    pub fn outputs(&self, graph: &IntGraph, inputs: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, FloatModelError> {
        let info = |id: &crate::graph::TensorId| graph.tensors.get(id.0 as usize);
        let tensor = |name: &str| {
            let given = graph.inputs.iter().zip(inputs);
            let (shape, values) = given
                .filter_map(|(id, values)| Some((info(id)?, values)))
                .find(|(info, _)| info.name == name)
                .map(|(info, values)| (info.shape.iter().map(|&d| d as usize).collect(), values.clone()))
                .ok_or_else(|| FloatModelError::Missing(name.to_owned()))?;
            Tensor::float(shape, values).map_err(|_| FloatModelError::Length(name.to_owned()))
        };
        let tensors = self.0.inputs().iter().map(|port| tensor(&port.name));
        let made = self.0.evaluate(&tensors.collect::<Result<Vec<_>, _>>()?)?;
        if made.len() != graph.outputs.len() {
            let counts = format!("{} instead of {}", made.len(), graph.outputs.len());
            return Err(FloatModelError::Outputs(counts));
        }
        for (port, (id, tensor)) in self.0.outputs().iter().zip(graph.outputs.iter().zip(&made)) {
            let expected = info(id).map_or(0, crate::graph::TensorInfo::len);
            if tensor.len() != expected {
                let lengths = format!(
                    "`{}` has {} values instead of {expected}",
                    port.name,
                    tensor.len()
                );
                return Err(FloatModelError::Outputs(lengths));
            }
        }
        Ok(made.iter().map(Tensor::to_f64).collect())
    }
}
