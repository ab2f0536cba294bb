//! The `Halo2Kzg` backend: proofs of 2–6 KB that hide what is inside a slice, and need a trusted setup.
//!
//! Nomenclature follows the halo2 book: advice (witness) and fixed columns, instance (public values), gates,
//! permutation (copies), challenges by phase, vk and pk, SRS.
//!
//! One file per idea: [`correlation`] (normal form of linear maps), [`forms`] (ranges, tables), [`plan`] (rows), [`layout`]
//! (fixed cells), [`circuit`] (gates and their claims), [`witness`] and [`synthesize`] (the prover's cells), [`voice`] (who fills
//! them), [`instance`] (public values), [`keys`], [`prover`], [`verifier`]. It knows relations only, nothing of ONNX.

mod circuit;
mod correlation;
mod forms;
mod instance;
mod keys;
mod layout;
mod parameters;
mod plan;
mod prover;
mod shape;
mod synthesize;
mod system;
mod verifier;
mod voice;
mod witness;

#[cfg(test)]
mod tests;

pub use keys::{KeyError, ProvingKey, VerifyingKey, keygen, keygen_verifier};
pub use parameters::{Cost, SliceParameters, choose_parameters, cost, is_least};
pub use plan::{LayoutError, MAX_K};
pub use prover::{ProveError, SliceProof, prove};
pub use shape::{CircuitShape, Role};
pub use system::Halo2Kzg;
pub use verifier::{VerifyError, verify};
pub use witness::WitnessError;
