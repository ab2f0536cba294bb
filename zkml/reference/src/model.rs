//! The model: read from ONNX bytes, evaluated on tensors.

use crate::{ElementType, Tensor};

/// A dimension of an input as the file states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dimension {
    /// A number.
    Fixed(usize),
    /// A name, or nothing: any size.
    Free(String),
}

/// An input or output of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name in the file.
    pub name: String,
    /// Its element type.
    pub element: ElementType,
    /// Its dimensions, outermost first; `None` where the file states none.
    pub shape: Option<Vec<Dimension>>,
}

/// A node of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name, or its first output's where it has none.
    pub name: String,
    /// Its operator.
    pub op: String,
    /// The values that it makes, by name; an output that is left out is empty.
    pub outputs: Vec<String>,
}

/// Why bytes are no model that the reference evaluates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The bytes are not an ONNX model, or it contradicts itself.
    #[error("not a valid ONNX model: {0}")]
    Malformed(String),
}

/// Why a model does not evaluate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    /// A node cannot be evaluated on these inputs.
    #[error("node `{node}` ({op}): {reason}")]
    Node {
        /// Its name.
        node: String,
        /// Its operator.
        op: String,
        /// What is wrong.
        reason: String,
    },
}

/// A model as it stands in its file.
#[derive(Debug, Clone)]
pub struct Model {
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    nodes: Vec<Node>,
}

impl Model {
    /// Reads a model.
    ///
    /// # Errors
    /// See [`ReadError`]; never a panic.
    pub fn read(_onnx: &[u8]) -> Result<Self, ReadError> {
        Err(ReadError::Malformed("not read yet".into()))
    }

    /// The inputs that a caller gives, in the file's order: those that are no initializers.
    #[must_use]
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// The outputs, in the file's order.
    #[must_use]
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// The nodes, one to one with the file's and in its order.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The outputs for these inputs, in the file's order.
    ///
    /// # Errors
    /// See [`EvaluateError`]; never a panic.
    pub fn evaluate(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EvaluateError> {
        self.evaluate_seeing(inputs, &mut |_, _| ())
    }

    /// [`Model::evaluate`], showing every value that a node makes by its name.
    ///
    /// # Errors
    /// As [`Model::evaluate`].
    pub fn evaluate_seeing(
        &self,
        _inputs: &[Tensor],
        _see: &mut dyn FnMut(&str, &Tensor),
    ) -> Result<Vec<Tensor>, EvaluateError> {
        Err(EvaluateError::Node {
            node: String::new(),
            op: String::new(),
            reason: "not evaluated yet".into(),
        })
    }
}
