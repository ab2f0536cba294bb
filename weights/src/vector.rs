//! The vector: a whole number of 16 bits for each uid, as the chain takes it.
//!
//! ```text
//! value = round(weight / greatest · 65535)      in double precision, ties to even; nothing is left out but what is 0 then
//! owner = the subnet owner's part of all: weights of the others times (1 - share), the owner's sum times share
//! ```
//!
//! Invariants: the greatest value is 65535; uids ascend, each once. Values are those that the chain's own SDK computes of the same
//! weights: three operations that IEEE 754 rounds the same on every machine. For weights below 2^32 they are what exact division
//! gives, except that an exact half may go either way.

use std::collections::BTreeMap;

/// A whole.
pub const MILLION: u32 = 1_000_000;

/// Why there is no vector, or not this one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VectorError {
    /// Nobody has any.
    #[error("nobody has a weight: there is nothing to set")]
    Nobody,
    /// The owner's share is more than all.
    #[error("ownerShareMillionths {0} is more than 1000000")]
    Share(u32),
    /// The owner's uid is a miner's too.
    #[error(
        "uid {0} is the subnet owner's, and a miner's with a weight of its own: let one of them have another hotkey"
    )]
    OwnerMines(u16),
    /// Weights too great to be shared.
    #[error("the weights are too great to be added up")]
    Great,
    /// The chain takes no vector with so few.
    #[error("the subnet wants at least {least} weights, and only {got} are not zero")]
    Few {
        /// What it wants.
        least: u16,
        /// What there are.
        got: usize,
    },
    /// The chain takes no vector with so much for one.
    #[error("uid {uid} has {value} of {sum}, more than the {limit} of 65535 that the subnet allows one")]
    Much {
        /// Whose it is.
        uid: u16,
        /// Its value.
        value: u16,
        /// All values.
        sum: u64,
        /// What the subnet allows.
        limit: u16,
    },
}

/// The subnet owner's part of all weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerShare {
    /// The owner's uid.
    pub uid: u16,
    /// Its part, in millionths.
    pub millionths: u32,
}

/// What a subnet takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `MinAllowedWeights`.
    pub least_weights: u16,
    /// `MaxWeightsLimit`, of 65535.
    pub most_for_one: u16,
}

/// Uids with their values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vector {
    uids: Vec<u16>,
    values: Vec<u16>,
}

impl Vector {
    /// The vector of these weights, with the owner's part.
    ///
    /// # Errors
    /// Weights that make none.
    pub fn of(weights: &BTreeMap<u16, u128>, owner: Option<OwnerShare>) -> Result<Self, VectorError> {
        let shared;
        let weights = match owner {
            Some(owner) => {
                shared = with_owner(weights, owner)?;
                &shared
            }
            None => weights,
        };
        let greatest = weights.values().max().copied().unwrap_or_default();
        if greatest == 0 {
            return Err(VectorError::Nobody);
        }
        let (uids, values) = weights
            .iter()
            .map(|(uid, weight)| (*uid, value(*weight, greatest)))
            .filter(|(_, value)| *value != 0)
            .unzip();
        Ok(Self { uids, values })
    }

    /// Who has one, ascending.
    #[must_use]
    pub fn uids(&self) -> &[u16] {
        &self.uids
    }

    /// What they have, in the same order.
    #[must_use]
    pub fn values(&self) -> &[u16] {
        &self.values
    }

    /// One uid's value; 0 for who has none.
    #[must_use]
    pub fn value(&self, uid: u16) -> u16 {
        self.uids.binary_search(&uid).map_or(0, |at| self.values[at])
    }

    /// Whether the chain would take it of `own`, which may give all to itself.
    ///
    /// # Errors
    /// What it would not.
    pub fn fits(&self, limits: Limits, own: u16) -> Result<(), VectorError> {
        if self.uids == [own] {
            return Ok(());
        }
        if self.uids.len() < usize::from(limits.least_weights) {
            return Err(VectorError::Few {
                least: limits.least_weights,
                got: self.uids.len(),
            });
        }
        // Nothing is taken from who has too much: what would leave then is not what was computed.
        let sum: u64 = self.values.iter().map(|value| u64::from(*value)).sum();
        let limit = limits.most_for_one;
        let much = |(_, value): &(&u16, &u16)| u64::from(**value) * 65535 > u64::from(limit) * sum;
        match self.uids.iter().zip(&self.values).find(much) {
            None => Ok(()),
            Some((uid, value)) => Err(VectorError::Much {
                uid: *uid,
                value: *value,
                sum,
                limit,
            }),
        }
    }
}

fn value(weight: u128, greatest: u128) -> u16 {
    // `weight` is at most `greatest`, so that what is cast is in 0..=65535.
    (weight as f64 / greatest as f64 * 65535.0).round_ties_even() as u16
}

fn with_owner(weights: &BTreeMap<u16, u128>, owner: OwnerShare) -> Result<BTreeMap<u16, u128>, VectorError> {
    let rest = MILLION
        .checked_sub(owner.millionths)
        .ok_or(VectorError::Share(owner.millionths))?;
    if weights.get(&owner.uid).is_some_and(|weight| *weight > 0) {
        return Err(VectorError::OwnerMines(owner.uid));
    }
    let mut sum: u128 = 0;
    let mut shared = BTreeMap::new();
    for (uid, weight) in weights {
        sum = sum.checked_add(*weight).ok_or(VectorError::Great)?;
        let part = weight.checked_mul(rest.into()).ok_or(VectorError::Great)?;
        shared.insert(*uid, part);
    }
    let part = match sum {
        // While nobody has earned anything, the owner's part is all there is.
        0 => u128::from(owner.millionths),
        sum => sum
            .checked_mul(owner.millionths.into())
            .ok_or(VectorError::Great)?,
    };
    shared.insert(owner.uid, part);
    Ok(shared)
}
