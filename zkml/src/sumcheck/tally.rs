//! What every proof of a plan has: its scalars and its claims, counted by the verifier's own code.
//!
//! A dry run: it is sent ones, its challenges are ones, it computes nothing and checks nothing. That is no verification, and
//! nothing but counts comes out of it; a proof is verified on a [`Receiver`](super::channel::Receiver) alone.

use std::collections::BTreeMap;

use p3_field::PrimeCharacteristicRing;

use super::channel::Channel;
use super::error::VerifyError;
use super::field::EF;
use super::transcript::{Challenges, Label};
use crate::graph::TensorId;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// What was received.
    pub(super) scalars: usize,
    /// Of each tensor, the claims that relations make on it.
    pub(super) claims: BTreeMap<TensorId, usize>,
}

impl Challenges for Tally {
    fn draw(&mut self, _: Label) -> EF {
        EF::ONE
    }
}

impl Channel for Tally {
    fn receive(&mut self, _: Label, count: usize) -> Result<Vec<EF>, VerifyError> {
        self.scalars += count;
        Ok(vec![EF::ONE; count])
    }

    fn compute(&self, _: impl FnOnce() -> EF) -> EF {
        EF::ONE
    }

    fn compute_all(&self, count: usize, _: impl FnOnce() -> Vec<EF>) -> Vec<EF> {
        vec![EF::ONE; count]
    }

    fn check(&self, _: impl Into<VerifyError>, _: impl FnOnce() -> bool) -> Result<(), VerifyError> {
        Ok(())
    }

    fn claimed(&mut self, tensor: TensorId) {
        *self.claims.entry(tensor).or_default() += 1;
    }
}
