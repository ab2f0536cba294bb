//! Trusted setups: the structured reference string (SRS) that `Halo2Kzg` rests on, and the files of public ceremonies.
//!
//! Invariant: an SRS is named by the digest of its verifier part, the same for every size; who verifies takes that part from
//! their own list. Nothing here knows a circuit.

mod ptau;
mod set;
mod srs;

pub use ptau::{PtauError, import_ptau};
pub use set::{SrsSet, SrsSource};
pub use srs::{Srs, SrsError, VerifierSrs, development_srs_digest};

/// Largest SRS: 2^20 points.
pub const MAX_K: u8 = 20;
