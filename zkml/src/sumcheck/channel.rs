//! The scalars of a proof: what the prover sends beside commitment and opening, one after another.
//!
//! Invariant: a scalar is absorbed the moment it is sent or received, under the same label on both sides.

use p3_field::{BasedVectorSpace, PrimeCharacteristicRing, PrimeField64};

use super::error::VerifyError;
use super::field::{DEGREE, EF, EF_BYTES, F};
use super::transcript::{Challenges, Label, Recorder, Silent, Transcript};
use crate::graph::TensorId;

/// The prover's side.
pub(super) struct Sender<R> {
    pub(super) transcript: Transcript<R>,
    pub(super) scalars: Vec<EF>,
}

impl<R: Recorder> Sender<R> {
    pub(super) fn new(transcript: Transcript<R>) -> Self {
        Self {
            transcript,
            scalars: Vec::new(),
        }
    }

    pub(super) fn send(&mut self, label: Label, scalars: &[EF]) {
        self.transcript.absorb(label, scalars);
        self.scalars.extend_from_slice(scalars);
    }
}

impl<R: Recorder> Challenges for Sender<R> {
    fn draw(&mut self, label: Label) -> EF {
        self.transcript.draw(label)
    }
}

/// The verifier's side, as the verifier's code sees it: what it receives, what it computes itself, what it asks for.
///
/// A verification runs on a [`Receiver`]. The same code on a [`Tally`](super::tally::Tally) counts what every proof has: so what
/// is received, and how often, may depend on nothing but the plan, and what takes time stands in closures.
pub(super) trait Channel: Challenges {
    /// Receives `count` scalars.
    fn receive(&mut self, label: Label, count: usize) -> Result<Vec<EF>, VerifyError>;

    /// Receives a fixed number of scalars.
    fn receive_array<const N: usize>(&mut self, label: Label) -> Result<[EF; N], VerifyError> {
        let scalars = self.receive(label, N)?;
        <[EF; N]>::try_from(scalars).map_err(|_| VerifyError::Malformed("it is too short"))
    }

    /// What the verifier computes itself.
    fn compute(&self, value: impl FnOnce() -> EF) -> EF;

    /// As [`Channel::compute`], several values.
    fn compute_all(&self, count: usize, values: impl FnOnce() -> Vec<EF>) -> Vec<EF>;

    /// A check: `refusal` unless it holds.
    fn check(&self, refusal: impl Into<VerifyError>, holds: impl FnOnce() -> bool)
    -> Result<(), VerifyError>;

    /// A relation claims a value of a tensor.
    fn claimed(&mut self, tensor: TensorId);
}

/// Receives a proof, and judges it.
pub(super) struct Receiver<'a> {
    transcript: Transcript<Silent>,
    rest: &'a [u8],
}

impl<'a> Receiver<'a> {
    /// Over exactly the bytes of all scalars of a proof.
    pub(super) fn new(transcript: Transcript<Silent>, bytes: &'a [u8]) -> Self {
        Self {
            transcript,
            rest: bytes,
        }
    }

    /// Nothing is left.
    pub(super) fn finish(self) -> Result<Transcript<Silent>, VerifyError> {
        if self.rest.is_empty() {
            Ok(self.transcript)
        } else {
            Err(VerifyError::Malformed("it has more scalars than the argument"))
        }
    }
}

impl Challenges for Receiver<'_> {
    fn draw(&mut self, label: Label) -> EF {
        self.transcript.draw(label)
    }
}

impl Channel for Receiver<'_> {
    /// A coefficient that is not below the modulus is refused: it would be a second spelling.
    fn receive(&mut self, label: Label, count: usize) -> Result<Vec<EF>, VerifyError> {
        let mut scalars = Vec::with_capacity(count.min(self.rest.len() / EF_BYTES));
        for _ in 0..count {
            let (bytes, rest) = self
                .rest
                .split_first_chunk::<EF_BYTES>()
                .ok_or(VerifyError::Malformed("it is too short"))?;
            self.rest = rest;
            scalars.push(decode(bytes).ok_or(VerifyError::Malformed("a field element is not canonical"))?);
        }
        self.transcript.absorb(label, &scalars);
        Ok(scalars)
    }

    fn compute(&self, value: impl FnOnce() -> EF) -> EF {
        value()
    }

    fn compute_all(&self, _: usize, values: impl FnOnce() -> Vec<EF>) -> Vec<EF> {
        values()
    }

    fn check(
        &self,
        refusal: impl Into<VerifyError>,
        holds: impl FnOnce() -> bool,
    ) -> Result<(), VerifyError> {
        if holds() { Ok(()) } else { Err(refusal.into()) }
    }

    fn claimed(&mut self, _: TensorId) {}
}

/// Little-endian coefficients, lowest first.
pub(super) fn encode(scalar: &EF) -> [u8; EF_BYTES] {
    let mut bytes = [0; EF_BYTES];
    let coefficients: &[F] = scalar.as_basis_coefficients_slice();
    for (chunk, c) in bytes.chunks_mut(8).zip(coefficients) {
        chunk.copy_from_slice(&c.as_canonical_u64().to_le_bytes());
    }
    bytes
}

fn decode(bytes: &[u8; EF_BYTES]) -> Option<EF> {
    let mut coefficients = [F::ZERO; DEGREE];
    for (c, chunk) in coefficients.iter_mut().zip(bytes.chunks(8)) {
        let value = chunk.iter().rev().fold(0u64, |acc, &b| (acc << 8) | u64::from(b));
        if value >= F::ORDER_U64 {
            return None;
        }
        *c = F::from_u64(value);
    }
    EF::from_basis_coefficients_slice(&coefficients)
}
