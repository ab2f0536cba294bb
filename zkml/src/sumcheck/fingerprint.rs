//! Fingerprints: `α + first + β·second + β²·tag` of an entry, under challenges drawn after everything that is committed.

use p3_field::PrimeCharacteristicRing;

use super::field::{EF, F};
use super::transcript::{Challenges, Label};

/// α and β.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fingerprint {
    alpha: EF,
    beta: EF,
}

impl Fingerprint {
    /// From α and β, in the order in which they are drawn.
    pub(super) fn new(alpha: EF, beta: EF) -> Self {
        Self { alpha, beta }
    }

    /// `α + β²·tag`: what a table's fingerprints have in common.
    pub(super) fn base(self, tag: u64) -> EF {
        self.alpha + self.beta.square() * F::from_u64(tag)
    }

    /// The coefficient of the second part.
    pub(super) fn beta(self) -> EF {
        self.beta
    }

    /// Draws α and β.
    pub(super) fn draw(challenges: &mut impl Challenges) -> Self {
        let alpha = challenges.draw(Label::Alpha);
        Self::new(alpha, challenges.draw(Label::Beta))
    }
}
