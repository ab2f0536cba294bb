//! Proving and verifying one slice of a manifest, whatever its proof system.
//!
//! Invariant: a prover publishes nothing that it has not verified itself; a verifier takes its parameters from the
//! manifest and nothing but an envelope from the prover.

mod keys;
mod prover;
mod verifier;

pub use keys::{Files, KeySources, SliceKeyError, graph_of, slice_verifiers};
pub use prover::{SliceProver, SliceProverError};
pub use verifier::{SliceVerifier, SliceVerifyError};

/// The largest encoded list of slice inputs that is read, in bytes.
pub const MAX_INPUTS_BYTES: usize = 256 << 20;
/// The largest encoded integer graph that is read, in bytes.
pub const MAX_GRAPH_BYTES: usize = 512 << 20;
