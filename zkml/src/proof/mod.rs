//! Proving and verifying one slice of a manifest, whatever its proof system.
//!
//! Invariant: a prover publishes nothing that it has not verified itself; a verifier takes its parameters from the
//! manifest and nothing but an envelope from the prover.

mod prover;
mod verifier;

pub use prover::{SliceProver, SliceProverError};
pub use verifier::{SliceVerifier, SliceVerifyError};

/// The largest encoded list of slice inputs that is read, in bytes.
pub const MAX_INPUTS_BYTES: usize = 256 << 20;
