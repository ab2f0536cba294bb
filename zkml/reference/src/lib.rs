//! An ONNX model as it stands in its file, evaluated in f64: what every answer is measured against.
//!
//! Invariant: the nodes evaluated are the file's, one to one and in the file's order, each by its operator's
//! definition in the ONNX specification. Nothing is fused, folded or rewritten, and nothing of the compiler is in it, so that a
//! fault of the compiler cannot hide here. The compiler in its turn has what depends on constants and shapes alone evaluated by
//! this crate: a fault of that part is on both sides, and it is ONNX's own tests and onnxruntime that would show it. Any bytes give a model or an error, and a
//! model with any inputs gives outputs or an error, within stated limits of size and work; never a panic.

mod attribute;
mod constant;
mod element;
mod error;
mod evaluate;
mod layout;
mod limits;
mod link;
mod model;
mod node;
mod ops;
mod outline;
mod proto;
mod read;
mod repeat;
mod tensor;

pub use element::element_name;
pub use error::{EvaluateError, ReadError, UnsupportedNode};
pub use model::{Dimension, Model, Port, Precision};
pub use node::Node;
pub use ops::{first_opset, operators, operators_of_microsoft, operators_of_models};
pub use outline::Outline;
pub use tensor::{ElementType, Tensor, TensorError, Values};

/// A result whose error says in a sentence what is wrong; the caller adds which node or value it is about.
type Step<T> = Result<T, String>;
