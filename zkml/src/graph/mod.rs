//! From an ONNX file to the integer graph: the exact function that is proved.
//!
//! Invariant: the integer graph is a function of the ONNX bytes and of integers (the quantisation plan) alone.
//! The same bytes give the same graph on every machine; no float and no measurement is in it.

pub mod ir;
pub mod scale;

pub use ir::{Activation, IntGraph, IntRange, IntTensor, LinearMap, Node, Op, Requantise, TensorId, TensorInfo};
pub use scale::{Profile, QuantisationPlan, TensorScale};
