//! The model: read from ONNX bytes, evaluated on tensors.

use std::{fmt, sync::Arc};

use crate::{ElementType, Tensor, evaluate::evaluate, limits::MAX_WORK, ops::Operation, read};

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
    /// The values that it reads, by name; an input that is left out is empty.
    pub inputs: Vec<String>,
    /// The values that it makes, by name; an output that is left out is empty.
    pub outputs: Vec<String>,
}

/// Why bytes are no model that the reference evaluates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The bytes are not an ONNX model, or it contradicts itself.
    #[error("not a valid ONNX model: {0}")]
    Malformed(String),
    /// It has a form that the reference does not read, or is too large.
    #[error("not supported yet: {0}")]
    Unsupported(String),
    /// Nodes that it does not evaluate, all of them.
    #[error("not supported yet: {}", list(.0))]
    Nodes(Vec<UnsupportedNode>),
}

/// A node that the reference does not evaluate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsupportedNode {
    /// Its name, or its first output's where it has none.
    pub node: String,
    /// Its operator.
    pub op: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for UnsupportedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node `{}` ({}): {}", self.node, self.op, self.reason)
    }
}

fn list(nodes: &[UnsupportedNode]) -> String {
    let all: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    all.join("; ")
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
    /// It takes longer than it may.
    #[error("node `{node}` ({op}): the evaluation takes more than {most} multiply-adds")]
    Work {
        /// The node that nothing was left for.
        node: String,
        /// Its operator.
        op: String,
        /// What the evaluation may take.
        most: u64,
    },
    /// Another number of inputs than the model has.
    #[error("{got} inputs were given; the model has {wanted}")]
    Inputs {
        /// How many it has.
        wanted: usize,
        /// How many were given.
        got: usize,
    },
    /// A tensor that does not fit the input that it is for.
    #[error("input `{name}`: {reason}")]
    Input {
        /// The input.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// An output that is not what the file says.
    #[error("output `{name}`: {reason}")]
    Output {
        /// The output.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

/// A model as it stands in its file. Values are numbered; a name is only for messages.
#[derive(Debug, Clone)]
pub struct Model {
    pub(crate) inputs: Vec<Port>,
    pub(crate) outputs: Vec<Port>,
    pub(crate) nodes: Vec<Node>,
    /// One per node.
    pub(crate) operations: Vec<Operation>,
    /// How many values there are: inputs, constants and what nodes make.
    pub(crate) values: usize,
    /// Value of each input, and of each output.
    pub(crate) input_values: Vec<usize>,
    pub(crate) output_values: Vec<usize>,
    pub(crate) constants: Vec<(usize, Arc<Tensor>)>,
    /// For each node, the values that nothing reads after it.
    pub(crate) dying: Vec<Vec<usize>>,
}

impl Model {
    /// Reads a model.
    ///
    /// # Errors
    /// See [`ReadError`]; never a panic.
    pub fn read(onnx: &[u8]) -> Result<Self, ReadError> {
        read::model(onnx)
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
        inputs: &[Tensor],
        see: &mut dyn FnMut(&str, &Tensor),
    ) -> Result<Vec<Tensor>, EvaluateError> {
        evaluate(self, inputs, MAX_WORK, see)
    }

    /// [`Model::evaluate_seeing`] with at most `work` multiply-adds, every value that is made counted as eight: an answer
    /// soon, or none.
    ///
    /// # Errors
    /// As [`Model::evaluate`]; [`EvaluateError::Work`].
    pub fn evaluate_within(
        &self,
        work: u64,
        inputs: &[Tensor],
        see: &mut dyn FnMut(&str, &Tensor),
    ) -> Result<Vec<Tensor>, EvaluateError> {
        evaluate(self, inputs, work.min(MAX_WORK), see)
    }
}
