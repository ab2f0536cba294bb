//! What a weights file says of a proof's inputs: everybody's totals, whose they are, and where their weights go.
//!
//! Invariant: of a file, and of who is on the skip list, there is one; nothing of it is a prover's to choose. What has no place in a
//! proof is refused by name.

use std::collections::{BTreeMap, BTreeSet};

use zkinfer_crds::Identity;
use zkinfer_scoring::{Rule, RuleName};
use zkinfer_weights::assign::Place;
use zkinfer_weights::file::{ReplayError, Row, WeightsFile};
use zkinfer_weights::vector::{MILLION, Vector};

use crate::rule::{Given, SAMPLE_BITS, TOTAL_BITS};

/// Rows of a proof: the least that holds a file's miners, and its uids with one more for the subnet's owner.
pub const SIZES: [usize; 3] = [16, 64, 256];

/// Why a file has no place in a proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GivenError {
    /// A rule that is not known here, or with other constants than it has unless somebody says otherwise.
    #[error("its rule cannot be proved: {0}")]
    Rule(#[from] ReplayError),
    /// A rule whose weights are no proof's.
    #[error("weights by {0} cannot be proved: there are proofs of SpeedSizeAccuracy and DeliveredWork")]
    NoProof(RuleName),
    /// Too many.
    #[error("it has {got} {what}, and a proof has room for {most}")]
    Many {
        /// What.
        what: &'static str,
        /// How many there are.
        got: usize,
        /// How many can be.
        most: usize,
    },
    /// A total that is beyond all that can be earned.
    #[error("{what} of {miner} is {got}, and a proof holds less than 2^{bits}")]
    Great {
        /// Whose.
        miner: Identity,
        /// What.
        what: &'static str,
        /// What it is.
        got: u128,
        /// Bits that there are.
        bits: u32,
    },
}

/// A file as a proof begins with it.
#[derive(Debug, Clone)]
pub(crate) struct OfFile {
    pub(crate) rule: Rule,
    pub(crate) given: Given,
    /// Whose row it is, by the rows from the first on.
    uids: Vec<u16>,
    owner: Option<u16>,
}

impl OfFile {
    /// Of a file whose signature and vector hold, and of those of its miners that are on the skip list.
    pub(crate) fn new(file: &WeightsFile, skipped: &BTreeSet<Identity>) -> Result<Self, GivenError> {
        let rule = provable(file)?;
        let owner = file.subnet.owner;
        let uid = |row: &Row| match row.place {
            // The owner's own has no weight, by the vector's rule, and is no miner's.
            Place::Uid { uid, .. } if owner.is_none_or(|owner| owner.uid != uid) => Some(uid),
            Place::Uid { .. } | Place::NotBound | Place::NotRegistered(_) | Place::Revoked => None,
        };
        let uids: BTreeSet<u16> = file.rows.iter().filter_map(uid).collect();
        let rows = size(file.rows.len(), uids.len())?;
        let owners: BTreeSet<&str> = file.rows.iter().map(|row| row.owner.as_str()).collect();
        let place = |at: usize| at as u32;
        let owners: BTreeMap<&str, u32> = owners.into_iter().zip((0..rows).map(place)).collect();
        let places: BTreeMap<u16, u32> = uids.iter().copied().zip((0..rows).map(place)).collect();
        let shares = owner.map_or([1, 0], |owner| [MILLION - owner.millionths, owner.millionths]);
        let mut given = Given::blank(rows, shares);
        for (at, row) in file.rows.iter().enumerate() {
            given.credit[at] = held(row, "what is earned", row.total.credit, TOTAL_BITS)?;
            given.debit[at] = held(row, "what is owed", row.total.debit, TOTAL_BITS)?;
            given.samples[at] = held(row, "the count of proofs", row.total.samples.into(), SAMPLE_BITS)?;
            given.skipped[at] = u128::from(skipped.contains(&row.miner));
            given.owners[at] = owners[row.owner.as_str()];
            if let Some(uid) = uid(row) {
                given.slots[at] = places[&uid];
            }
        }
        Ok(Self {
            rule,
            given,
            uids: uids.into_iter().collect(),
            owner: owner.map(|owner| owner.uid),
        })
    }

    /// The vector as a proof has it: a value for each row.
    pub(crate) fn vector(&self, vector: &Vector) -> Vec<i64> {
        let mut values = vec![0; self.given.owners.len()];
        for (value, uid) in values.iter_mut().zip(&self.uids) {
            *value = vector.value(*uid).into();
        }
        if let (Some(last), Some(uid)) = (values.last_mut(), self.owner) {
            *last = vector.value(uid).into();
        }
        values
    }
}

/// The file's rule, if there are proofs of it.
fn provable(file: &WeightsFile) -> Result<Rule, GivenError> {
    let rule = file.known_rule()?;
    match rule.name() {
        RuleName::SpeedSizeAccuracy | RuleName::DeliveredWork => Ok(rule),
        name @ RuleName::ResponseCurve => Err(GivenError::NoProof(name)),
    }
}

fn size(miners: usize, uids: usize) -> Result<usize, GivenError> {
    let fits = |rows: &usize| miners <= *rows && uids < *rows;
    let most = SIZES[SIZES.len() - 1];
    SIZES.into_iter().find(fits).ok_or_else(|| match miners > most {
        true => GivenError::Many {
            what: "miners",
            got: miners,
            most,
        },
        false => GivenError::Many {
            what: "uids beside the owner's",
            got: uids,
            most: most - 1,
        },
    })
}

fn held(row: &Row, what: &'static str, got: u128, bits: u32) -> Result<u128, GivenError> {
    match got >> bits {
        0 => Ok(got),
        _ => Err(GivenError::Great {
            miner: row.miner,
            what,
            got,
            bits,
        }),
    }
}
