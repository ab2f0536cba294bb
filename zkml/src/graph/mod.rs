//! The integer graph: the exact function that is proved, its values, and tensors as people have them.
//!
//! Invariant: the integer graph is a function of integers alone. The same bytes give the same graph and the same values on
//! every machine; no float and no measurement is in it. How one is made from an ONNX file is another crate's (`zkml-compile`).

mod accumulate;
pub mod array_file;
pub mod bound;
pub mod drawing;
pub mod evaluate;
pub mod ir;
mod json;
pub mod linear;
pub mod named;
pub mod npy;
mod npz;
mod ops;
pub mod other_file;
pub mod product;
pub mod ranks;
pub mod requantise;
pub mod rows;
pub mod sampled;
pub mod scale;
mod shared;
pub mod table;
mod tensor;
pub mod tensor_file;
pub mod validate;

#[cfg(test)]
mod tests;

pub use drawing::{Drawing, DrawingError, DrawnNode};
pub use evaluate::EvaluateError;
pub use ir::{IntGraph, Node};
pub use linear::LinearMap;
pub use named::{Inputs, Samples};
pub use ops::*;
pub use product::Product;
pub use ranks::{FloatKind, Missing, Ranking, Ranks};
pub use requantise::{Activation, Requantise};
pub use scale::{ProfileLimits, QuantisationPlan, TensorScale};
pub use shared::Shared;
pub use table::{Table, TableError, TableRef};
pub use tensor::{IntRange, IntTensor, TensorId, TensorInfo};
pub use tensor_file::{FloatInput, InputError, dequantise, given_floats, quantise_input, relative_error};
pub use validate::GraphError;
pub use zkinfer_crds::Profile;
