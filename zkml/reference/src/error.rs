//! Why a file is no model, and why a model gives no answer.

use std::fmt;

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
