//! Whose weight goes to which uid.
//!
//! Invariants: a miner's weight goes to the uid of the hotkey that is bound to it, or to its newest key, and to no other; who has
//! none gets nothing, and the reason is told. Nobody's weight is given to somebody else. A revoked key has no weight under any
//! name. Several pools of one hotkey add up.

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
    /// Puts together what was found.
    ///
    /// # Errors
    /// What cannot be so.
    pub fn new(
        bound: &[Bound],
        uids: BTreeMap<Hotkey, u16>,
        rotations: Rotations,
        revoked: BTreeSet<Identity>,
    ) -> Result<Self, RegistryError> {
        let mut hotkeys = BTreeMap::new();
        for of in bound {
            let first = *hotkeys.entry(of.identity()).or_insert(of.hotkey());
            if first != of.hotkey() {
                return Err(RegistryError::TwoHotkeys {
                    identity: of.identity(),
                    first,
                    second: of.hotkey(),
                });
            }
        }
        let mut whose = BTreeMap::new();
        for (hotkey, uid) in &uids {
            if let Some(first) = whose.insert(*uid, *hotkey) {
                return Err(RegistryError::TwoUids {
                    uid: *uid,
                    first,
                    second: *hotkey,
                });
            }
        }
        Ok(Self {
            hotkeys,
            uids,
            rotations,
            revoked,
        })
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
