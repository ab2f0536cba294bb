//! The words that every part of zkinfer shares: digests, indices and identities; the wire contract between
//! the gateway and a worker; and, behind the default feature `k8s`, the Kubernetes API types.
//!
//! Invariant: a word is valid by construction. Whatever parses has the right length and alphabet, and prints
//! back to the same text.

pub mod compile_report;
#[cfg(feature = "k8s")]
pub mod k8s;
pub mod wire;
pub mod words;

pub use words::{ClaimId, Digest, Identity, ParameterId, ProofSystem, RequestUid, SliceIndex, WordError};
