//! Whose weight goes to which uid.
//!
//! Invariants: a miner's weight goes to the uid of the hotkey that is bound to it, or to its newest key, and to no other; who has
//! none gets nothing, and the reason is told. Nobody's weight is given to somebody else. A revoked key has no weight under any
//! name. Several pools of one hotkey add up. What cannot be so is told, and costs those alone who say it.

use std::collections::{BTreeMap, BTreeSet};

use zkinfer_crds::Identity;
use zkinfer_scoring::Scores;

use crate::binding::Bound;
use crate::hotkey::Hotkey;
use crate::rotation::Rotations;

/// Where a miner's weight goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// To this uid.
    Uid {
        /// The hotkey that is bound to it.
        hotkey: Hotkey,
        /// The uid that the hotkey has.
        uid: u16,
    },
    /// Nowhere: no hotkey is bound to it.
    NotBound,
    /// Nowhere: the hotkey has no uid.
    NotRegistered(Hotkey),
    /// Nowhere: its key is revoked.
    Revoked,
}

/// Who is who, at one time.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    hotkeys: BTreeMap<Identity, Hotkey>,
    uids: BTreeMap<Hotkey, u16>,
    rotations: Rotations,
    revoked: BTreeSet<Identity>,
}

/// Why two things cannot both be so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// One identity with two hotkeys.
    #[error("{identity} is bound to hotkey {first} and to {second}: a miner has one")]
    TwoHotkeys {
        /// The miner.
        identity: Identity,
        /// The one.
        first: Hotkey,
        /// The other.
        second: Hotkey,
    },
    /// One uid with two hotkeys.
    #[error("uid {uid} is said to be {first} and {second}")]
    TwoUids {
        /// The uid.
        uid: u16,
        /// The one.
        first: Hotkey,
        /// The other.
        second: Hotkey,
    },
}

impl Registry {
    /// Puts together what was found, and tells what cannot be so: who has two hotkeys has none, and two hotkeys of one uid
    /// have none.
    #[must_use]
    pub fn new(
        bound: &[Bound],
        mut uids: BTreeMap<Hotkey, u16>,
        rotations: Rotations,
        revoked: BTreeSet<Identity>,
    ) -> (Self, Vec<RegistryError>) {
        let mut told = Vec::new();
        let mut said: BTreeMap<Identity, BTreeSet<Hotkey>> = BTreeMap::new();
        for of in bound {
            said.entry(of.identity()).or_default().insert(of.hotkey());
        }
        let mut hotkeys = BTreeMap::new();
        for (identity, said) in said {
            let mut said = said.into_iter();
            match (said.next(), said.next()) {
                (Some(first), Some(second)) => told.push(RegistryError::TwoHotkeys {
                    identity,
                    first,
                    second,
                }),
                (Some(hotkey), None) => {
                    hotkeys.insert(identity, hotkey);
                }
                (None, _) => {}
            }
        }
        let mut whose: BTreeMap<u16, Hotkey> = BTreeMap::new();
        let mut twice = BTreeSet::new();
        for (hotkey, uid) in &uids {
            let first = *whose.entry(*uid).or_insert(*hotkey);
            if first != *hotkey {
                twice.insert(*uid);
                told.push(RegistryError::TwoUids {
                    uid: *uid,
                    first,
                    second: *hotkey,
                });
            }
        }
        uids.retain(|_, uid| !twice.contains(uid));
        let registry = Self {
            hotkeys,
            uids,
            rotations,
            revoked,
        };
        (registry, told)
    }

    /// Where a miner's weight goes.
    #[must_use]
    pub fn place(&self, miner: &Identity) -> Place {
        let newest = self.rotations.newest(miner);
        if self.revoked.contains(miner) || self.revoked.contains(&newest) {
            return Place::Revoked;
        }
        let Some(hotkey) = self.hotkeys.get(&newest) else {
            return Place::NotBound;
        };
        match self.uids.get(hotkey) {
            Some(uid) => Place::Uid {
                hotkey: *hotkey,
                uid: *uid,
            },
            None => Place::NotRegistered(*hotkey),
        }
    }

    /// Everybody's place, by the identity that the ledger has.
    #[must_use]
    pub fn places(&self, scores: &Scores) -> BTreeMap<Identity, Place> {
        scores
            .miners
            .keys()
            .map(|miner| (*miner, self.place(miner)))
            .collect()
    }
}
