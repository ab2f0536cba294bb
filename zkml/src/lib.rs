//! The proving engine: ONNX → integer graph → slices → circuits → keys → proofs → receipts, and their verifiers.
//!
//! Invariants of the whole crate:
//! - It knows no Kubernetes, no HTTP, no clock and no environment: every function is one of its arguments.
//! - `relations` is the one list of what is ever claimed between integer tensors. Backends prove those
//!   relations and nothing else; they know nothing of ONNX.
//! - A verifier takes every parameter from its own manifest, never from a proof, and never panics.

pub mod accuracy;
pub mod backend;
pub mod canonical;
pub mod compile;
pub mod envelope;
pub mod fidelity;
pub mod float_model;
pub mod graph;
pub mod halo2;
pub mod manifest;
pub mod progress;
pub mod proof;
pub mod qualify;
pub mod receipt;
pub mod relations;
pub mod slice;
pub mod statement;
pub mod sumcheck;
