//! Numbers that look random and are the same on every machine for ever: SplitMix64, seeded with a word.

use zkinfer_crds::Digest;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// Those of a word.
    pub(super) fn of(word: &str) -> Self {
        let digest = Digest::of(word.as_bytes());
        let first = digest.as_bytes().iter().take(8);
        Self(first.fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From zero to less than one.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(super) fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.unit()
    }

    /// Less than `n`.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub(super) fn chance(&mut self, of: f64) -> bool {
        self.unit() < of
    }

    /// Around one, seldom more than three times `spread` off.
    pub(super) fn around_one(&mut self, spread: f64) -> f64 {
        // Four even numbers' sum has a variance of a third.
        let sum: f64 = (0..4).map(|_| self.unit() - 0.5).sum();
        1.0 + spread * sum * 3f64.sqrt()
    }

    /// How long until something that happens once in `mean`, at any moment alike.
    pub(super) fn until(&mut self, mean: f64) -> f64 {
        -(1.0 - self.unit()).ln() * mean
    }

    pub(super) fn bytes(&mut self) -> [u8; 16] {
        let (high, low) = (self.next(), self.next());
        ((u128::from(high) << 64) | u128::from(low)).to_be_bytes()
    }
}
