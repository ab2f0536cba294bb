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

use crate::graph::validate::{MAX_COEFFICIENTS, MAX_NAME_LEN, MAX_NODES, MAX_TENSORS};

/// The largest encoded list of slice inputs that is read, in bytes.
pub const MAX_INPUTS_BYTES: usize = 256 << 20;
/// The largest encoded integer graph that is read, in bytes, by whoever reads one: no graph that validates has more. Its numbers
/// have 8 bytes each; then there are names, and the ids that nodes read.
pub const MAX_GRAPH_BYTES: usize = 8 * MAX_COEFFICIENTS + (128 << 20);
const _: () = {
    let names = (MAX_TENSORS + 2 * MAX_NODES) * MAX_NAME_LEN;
    let ids = MAX_NODES * MAX_NODES * 5;
    assert!(8 * MAX_COEFFICIENTS + names + ids + (16 << 20) <= MAX_GRAPH_BYTES);
};
