//! From an ONNX file to the integer graph: the exact function that is proved.
//!
//! Invariant: the integer graph is a function of the ONNX bytes and of integers (the quantisation plan) alone.
//! The same bytes give the same graph on every machine; no float and no measurement is in it.
//!
//! [`import()`] reads ONNX into a [`FloatGraph`], fused and 1:1 with the later integer graph; [`calibrate()`] chooses a
//! [`QuantisationPlan`] from samples; [`apply`] makes the [`IntGraph`]; [`IntGraph::evaluate`] is what it computes.

pub mod calibrate;
pub mod evaluate;
pub mod float;
pub mod import;
pub mod ir;
pub mod linear;
pub mod named;
pub mod npy;
pub mod other_file;
pub mod quantise;
pub mod scale;
pub mod table;
pub mod tensor_file;
#[cfg(test)]
pub(crate) mod tests;
pub mod validate;

pub use calibrate::{AccuracyReport, CalibrateError, CalibrationOptions, calibrate, synthetic_samples};
pub use evaluate::EvaluateError;
pub use float::{FloatGraph, FloatMap, FloatNode, FloatOp, FloatTensor};
pub use import::{ImportError, UnsupportedNode, import};
pub use ir::{
    Activation, IntGraph, IntRange, IntTensor, LinearMap, Node, Op, Requantise, TensorId, TensorInfo, Windows,
};
pub use named::Inputs;
pub use quantise::{QuantiseError, apply};
pub use scale::{Profile, QuantisationPlan, TensorScale};
pub use table::{Table, TableError};
pub use tensor_file::{FloatInput, InputError, dequantise, quantise_input, relative_error};
pub use validate::GraphError;
