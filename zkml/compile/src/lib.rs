//! From an ONNX file to what is proved, and from a receipt back to the file: import, calibration, quantisation, slices, keys,
//! and every check that needs the model.
//!
//! Invariants of the whole crate:
//! - It knows no Kubernetes, no HTTP, no clock and no environment.
//! - What [`compile`](compile::compile) puts into a manifest, [`derive`](compile::derive) finds again from the ONNX bytes and
//!   the manifest's integers, on any machine.
//! - ONNX is parsed here and in `zkml-reference` alone: whoever depends on `zkml` only carries no reader of models.

pub mod batch;
pub mod calibrate;
mod choose;
pub mod compile;
pub mod differs;
pub mod fidelity;
pub mod float;
pub mod float_model;
pub mod functions;
mod hold;
pub mod import;
mod interval;
mod measure;
mod ops;
pub mod outlook;
pub mod progress;
pub mod qualify;
pub mod quantise;
mod reach;
mod samples;
mod sensitivity;
pub mod slice;
pub mod verify;
mod widths;

#[cfg(test)]
pub(crate) mod tests;
