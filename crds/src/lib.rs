//! The words that every part of zkinfer shares: digests, indices and identities; the wire contracts between
//! the gateway and a worker, and between the operator and the float reference; and, behind the default feature `k8s`,
//! the Kubernetes API types.
//!
//! Invariant: a word is valid by construction. Whatever parses has the right length and alphabet, and prints
//! back to the same text.

pub mod calls;
pub mod compile_report;
pub mod dimensions;
mod encode;
pub mod float_wire;
pub mod generated;
#[cfg(feature = "k8s")]
pub mod k8s;
pub mod outlook;
pub mod slice_files;
pub mod wire;
pub mod words;

pub use encode::encode;
pub use words::{
    ClaimId, Digest, Identity, ParameterId, Profile, ProofSystem, RequestUid, SliceIndex, WordError,
};
