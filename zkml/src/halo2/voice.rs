//! Who builds a circuit and fills it.
//!
//! Invariant: keys, proofs and verdicts of every program are [`Honest`]'s, which changes nothing. Tests have a voice that leaves a
//! gate out, to see that a lie which it alone refuses is then believed, and lies about cells of the second phase.

use std::fmt::Debug;

use halo2_proofs::halo2curves::bn256::Fr;

use super::layout::Layout;
use super::synthesize::Second;

/// What a circuit is built and filled with.
pub(super) trait Voice: Debug + Clone + Default {
    /// Whether the circuit has a gate, by its name.
    fn has_gate(name: &'static str) -> bool;

    /// The cells that follow the challenges `r`, `θ` and `β`.
    fn second(&self, layout: &Layout, challenges: [Fr; 3], second: Second) -> Second;
}

/// Every gate, and what they ask for.
#[derive(Debug, Clone, Default)]
pub(super) struct Honest;

impl Voice for Honest {
    fn has_gate(_: &'static str) -> bool {
        true
    }

    fn second(&self, _: &Layout, _: [Fr; 3], second: Second) -> Second {
        second
    }
}
