//! The transcript: what both sides have said, in one order, and the challenges that follow from it.
//!
//! Invariant: every message is absorbed under its label and with its length before any challenge that must not be known
//! when it is chosen. Both sides use this one type, so neither can leave a message out on its own.

use p3_blake3::Blake3;
use p3_challenger::{CanObserve, CanSample, FieldChallenger, HashChallenger, SerializingChallenger64};
use p3_field::PrimeCharacteristicRing;
use zkinfer_crds::Digest;

use super::field::{EF, F};

/// The library's duplex over Blake3; the commitment scheme speaks to it directly, with its own domain separators.
pub(super) type Challenger = SerializingChallenger64<F, HashChallenger<u8, Blake3, 32>>;

/// What a message or a challenge is. The numbers are absorbed: they are part of the proof system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    /// The statement digest.
    Statement = 1,
    /// The key's digest: relations, weights, tables, parameters.
    Key = 2,
    /// One public tensor.
    Public = 3,
    /// The root of the committed columns, absorbed by the commitment scheme.
    Commitment = 4,
    /// Challenge: where fingerprints are evaluated.
    Alpha = 5,
    /// Challenge: how the parts of a fingerprint are combined.
    Beta = 6,
    /// The denominator of the sum of all fractions.
    Root = 7,
    /// Challenge: how numerator and denominator are combined.
    Lambda = 8,
    /// A round polynomial of the fractional sum-check.
    FractionRound = 9,
    /// Challenge of such a round.
    FractionPoint = 10,
    /// Two numerators and two denominators at the end of a layer.
    Layer = 11,
    /// Challenge: which half of the layer below.
    Branch = 12,
    /// Values of a group's columns at the point of the fractional sum-check.
    Columns = 13,
    /// Challenge: the point of a relation whose output is not looked up.
    OutputPoint = 14,
    /// How much each input of a linear map contributes.
    Contributions = 15,
    /// A round polynomial of a sum-check over an input.
    Round = 16,
    /// Challenge of such a round.
    Point = 17,
    /// What makes up the value of a tensor at a point.
    Claim = 18,
    /// Challenge: how several claims or identities are combined.
    Gamma = 19,
    /// A round polynomial of a sum-check over products.
    ProductRound = 20,
    /// Challenge of such a round.
    ProductPoint = 21,
    /// Values of the factors at the end of a sum-check over products.
    Factors = 22,
    /// The opening, spoken by the commitment scheme.
    Opening = 23,
    /// What a proof names of one relation, where nothing is committed.
    Named = 24,
    /// What ends a proof that commits to nothing.
    Seal = 25,
}

/// Follows a transcript. A verifier's is [`Silent`], and so is an honest prover's; a test's may keep what it hears, and may leave
/// messages out, as a prover would who knows its challenges before.
pub(super) trait Recorder {
    /// Whether a message is absorbed at all.
    fn absorbs(&self, label: Label) -> bool;
    /// A message of so many field elements is absorbed.
    fn absorbed(&mut self, label: Label, elements: usize);
    /// A challenge is drawn.
    fn drawn(&mut self, label: Label);
}

/// Absorbs everything and keeps nothing.
pub(super) struct Silent;

impl Recorder for Silent {
    fn absorbs(&self, _: Label) -> bool {
        true
    }

    fn absorbed(&mut self, _: Label, _: usize) {}

    fn drawn(&mut self, _: Label) {}
}

/// Where challenges come from.
pub(super) trait Challenges {
    /// Draws a challenge.
    fn draw(&mut self, label: Label) -> EF;

    /// Draws a point.
    fn draw_point(&mut self, label: Label, coordinates: usize) -> Vec<EF> {
        (0..coordinates).map(|_| self.draw(label)).collect()
    }

    /// Weights that join several claims: 1, γ, γ², … A single claim needs no challenge.
    fn combination(&mut self, claims: usize) -> Vec<EF> {
        if claims == 1 {
            return vec![EF::ONE];
        }
        self.draw(Label::Gamma).powers().take(claims).collect()
    }
}

/// See the module.
pub(super) struct Transcript<R> {
    challenger: Challenger,
    pub(super) recorder: R,
}

impl<R: Recorder> Transcript<R> {
    pub(super) fn new(recorder: R) -> Self {
        Self {
            challenger: Challenger::from_hasher(b"zkinfer/sumcheck-whir-goldilocks/v1".to_vec(), Blake3),
            recorder,
        }
    }

    fn open(&mut self, label: Label, elements: usize) {
        self.recorder.absorbed(label, elements);
        self.challenger.observe(F::from_u64(label as u64));
        self.challenger.observe(F::from_usize(elements));
    }

    /// Absorbs a digest, 4 bytes to an element.
    pub(super) fn digest(&mut self, label: Label, digest: &Digest) {
        self.bytes(label, digest.as_bytes());
    }

    /// Absorbs the values of a public tensor, as the Blake3 hash of their number and their little-endian bytes.
    pub(super) fn values(&mut self, label: Label, values: &[i64]) {
        let mut bytes = Vec::with_capacity(8 * values.len() + 8);
        bytes.extend((values.len() as u64).to_le_bytes());
        for value in values {
            bytes.extend(value.to_le_bytes());
        }
        self.bytes(label, blake3::hash(&bytes).as_bytes());
    }

    fn bytes(&mut self, label: Label, bytes: &[u8; 32]) {
        if !self.recorder.absorbs(label) {
            return;
        }
        self.open(label, 8);
        for chunk in bytes.chunks(4) {
            let word = chunk.iter().rev().fold(0u64, |acc, &b| (acc << 8) | u64::from(b));
            self.challenger.observe(F::from_u64(word));
        }
    }

    /// Absorbs extension elements.
    pub(super) fn absorb(&mut self, label: Label, elements: &[EF]) {
        if !self.recorder.absorbs(label) {
            return;
        }
        self.open(label, elements.len());
        for element in elements {
            self.challenger.observe_algebra_element(*element);
        }
    }

    /// Hands the duplex to the commitment scheme for a step of its own.
    pub(super) fn delegate(&mut self, label: Label) -> &mut Challenger {
        self.open(label, 0);
        &mut self.challenger
    }
}

impl<R: Recorder> Challenges for Transcript<R> {
    fn draw(&mut self, label: Label) -> EF {
        self.recorder.drawn(label);
        self.challenger.observe(F::from_u64(label as u64));
        self.challenger.sample()
    }
}
