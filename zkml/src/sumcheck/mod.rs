//! The `SumcheckWhir` backend: proofs of 60–130 KB without a trusted setup, two orders of magnitude lighter to make than
//! `Halo2Kzg`'s. They hide nothing, and whoever verifies needs the weights.
//!
//! Nomenclature follows the literature: multilinear extension (MLE), sum-check, LogUp, GKR, WHIR, claim (a value that the
//! MLE of a tensor is said to have at a point), transcript.
//!
//! The order of a proof, which is the order of its transcript:
//!
//! 1. statement digest, key digest, every public value ([`instance`]);
//! 2. one WHIR commitment to every inner column: limbs, tensors that are no linear function of limbs, multiplicities;
//! 3. challenges α, β; one LogUp argument for all tables and columns, permutations and reads ([`multiset`]), by a fractional
//!    GKR ([`logup`]). It ends in one claim per column at one point, whose last coordinates are the point of every smaller
//!    column;
//! 4. the relations, last first ([`relation`]): each turns a claim on its output into claims on its inputs by a sum-check;
//! 5. one WHIR opening of the commitment at all points ([`commitment`]).
//!
//! Where a slice's accumulators are few they stand in the proof instead ([`disclosed`]): then there is neither commitment nor lookup
//! nor opening, and of the order above remain the first step, what is named, and the relations.
//!
//! Public tensors are never committed: a claim on one is computed by the verifier from the values that the statement
//! names. So nothing that a prover sends stands between a public value and the relations.

#[cfg(not(panic = "unwind"))]
compile_error!("a verifier refuses where a library panics: build with panic = \"unwind\"");

mod axes;
mod budget;
mod channel;
mod columns;
mod commitment;
mod description;
mod disclosed;
mod error;
mod explicit;
mod field;
mod fingerprint;
mod gkr;
mod instance;
mod key;
mod layout;
mod logup;
mod multiset;
mod parameters;
mod placer;
mod plan;
mod prover;
mod proving;
mod relation;
mod shapes;
mod sums;
mod system;
mod table;
mod tally;
mod transcript;
mod verifier;
mod verifying;
mod walk;
mod witness;
mod work;

#[cfg(test)]
pub(crate) mod tests;

pub use error::{Claim, Fault, LayoutError, ProveError, Refutation, VerifyError};
pub use key::{Key, Security, security};
pub use parameters::{Cost, SliceParameters, choose_parameters, cost};
pub use plan::LIMB_BITS;
pub use prover::{Proved, prove};
pub use system::{SumcheckShape, SumcheckWhir};
pub use verifier::{MAX_PROOF_BYTES, verify};

/// The name of the one parameter set of this proof system: field, extension, hash, code, rate, folding and level.
pub const PARAMETER_ID: &str = "sumcheck-whir-goldilocks/v1";

/// Every key has at least this many bits of attack work, grinding included (docs/soundness.md), or it is refused.
pub const SECURITY_BITS: u32 = 100;

/// The regime in which [`SECURITY_BITS`] hold.
pub const REGIME: &str =
    "12 of these bits grinding; proven up to Johnson's bound, with Blake3 as a random oracle";

/// The same of a slice whose accumulators stand in its proofs.
pub const REGIME_DISCLOSED: &str = "proven, with Blake3 as a random oracle";
