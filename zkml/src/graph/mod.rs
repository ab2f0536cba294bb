//! The integer graph: the exact function that is proved, its values, and tensors as people have them.
//!
//! Invariant: the integer graph is a function of integers alone. The same bytes give the same graph and the same values on
//! every machine; no float and no measurement is in it. How one is made from an ONNX file is another crate's (`zkml-compile`).

pub mod evaluate;
pub mod ir;
pub mod linear;
pub mod named;
pub mod npy;
pub mod other_file;
pub mod scale;
pub mod table;
pub mod tensor_file;
pub mod validate;

#[cfg(test)]
mod tests;

pub use evaluate::EvaluateError;
pub use ir::{
    Activation, IntGraph, IntRange, IntTensor, LinearMap, Node, Op, Requantise, TensorId, TensorInfo, Windows,
};
pub use named::Inputs;
pub use scale::{ProfileLimits, QuantisationPlan, TensorScale};
pub use table::{Table, TableError, TableRef};
pub use tensor_file::{FloatInput, InputError, dequantise, quantise_input, relative_error};
pub use validate::GraphError;
pub use zkinfer_crds::Profile;
