//! The scalars of a proof: what the prover sends beside commitment and opening, one after another.
//!
//! Invariant: a scalar is absorbed the moment it is sent or received, under the same label on both sides.

use p3_field::{BasedVectorSpace, PrimeCharacteristicRing, PrimeField64};

use super::error::VerifyError;
use super::field::{DEGREE, EF, EF_BYTES, F};
use super::transcript::{Label, Transcript};

/// The prover's side.
pub(super) struct Sender {
    pub(super) transcript: Transcript,
    pub(super) scalars: Vec<EF>,
}

impl Sender {
    pub(super) fn new(transcript: Transcript) -> Self {
        Self {
            transcript,
            scalars: Vec::new(),
        }
    }

    pub(super) fn send(&mut self, label: Label, scalars: &[EF]) {
        self.transcript.absorb(label, scalars);
        self.scalars.extend_from_slice(scalars);
    }

    pub(super) fn draw(&mut self, label: Label) -> EF {
        self.transcript.draw(label)
    }
}

/// The verifier's side.
pub(super) struct Receiver<'a> {
    pub(super) transcript: Transcript,
    rest: &'a [u8],
}

impl<'a> Receiver<'a> {
    /// Over exactly the bytes of all scalars of a proof.
    pub(super) fn new(transcript: Transcript, bytes: &'a [u8]) -> Self {
        Self {
            transcript,
            rest: bytes,
        }
    }

    /// Receives `count` scalars. A coefficient that is not below the modulus is refused: it would be a second spelling.
    pub(super) fn receive(&mut self, label: Label, count: usize) -> Result<Vec<EF>, VerifyError> {
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

    /// Receives a fixed number of scalars.
    pub(super) fn receive_array<const N: usize>(&mut self, label: Label) -> Result<[EF; N], VerifyError> {
        let scalars = self.receive(label, N)?;
        <[EF; N]>::try_from(scalars).map_err(|_| VerifyError::Malformed("it is too short"))
    }

    pub(super) fn draw(&mut self, label: Label) -> EF {
        self.transcript.draw(label)
    }

    /// Nothing is left.
    pub(super) fn finish(self) -> Result<Transcript, VerifyError> {
        if self.rest.is_empty() {
            Ok(self.transcript)
        } else {
            Err(VerifyError::Malformed("it has more scalars than the argument"))
        }
    }
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
