//! The proving engine: integer graph → relations → keys → proofs → receipts, and their verifiers.
//!
//! Invariants of the whole crate:
//! - It knows no Kubernetes, no HTTP, no clock and no environment: every function is one of its arguments.
//! - `relations` is the one list of what is ever claimed between integer tensors. Backends prove those
//!   relations and nothing else; they know nothing of ONNX.
//! - A verifier takes every parameter from its own manifest, never from a proof, and never panics.

pub mod accuracy;
pub mod backend;
pub mod canonical;
pub mod envelope;
pub mod graph;
pub mod halo2;
pub mod manifest;
pub mod processor;
pub mod proof;
pub mod qualification;
pub mod receipt;
pub mod relations;
pub mod setup;
pub mod statement;
pub mod sumcheck;
pub mod systems;
