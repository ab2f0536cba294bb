//! Helpers shared by the behaviour tests: one place for each thing that more than one test needs.

pub mod behaviours;
pub mod cluster;
pub mod collector;
pub mod fake_node;
pub mod files;
pub mod gitops;
pub mod helm;
pub mod images;
pub mod local;
pub mod local_operator;
pub mod onnx;
pub mod openapi;
pub mod operator;
pub mod prometheus;
pub mod sim;
mod tell;
pub mod values;

pub use tell::{measured, tell};
