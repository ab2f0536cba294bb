//! The rules, by name, with their constants: from entries to what each miner has earned and owes.
//!
//! Invariants: a rule is a name, a version and constants, and its digest is of all of them; a change of what a rule computes
//! raises its version. Every rule sees entries in one order, whatever order they were given in. What a rule finds of a
//! miner is a [`Total`]; what totals come to is the same for all rules (`shares`).

mod constants;
mod delivered_work;
mod reference;
mod response_curve;
mod speed_size_accuracy;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use zkinfer_crds::{Digest, Identity};

pub use constants::{Constants, Owner, RuleError};

use crate::entry::Entry;

/// Claims of a minute ended together: they are taken in the order of their ids, which nobody chooses.
const TICK_MILLIS: u64 = 60_000;
/// Work is forgotten by the hour.
pub const BUCKET_MILLIS: u64 = 3_600_000;

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $name:ident, $version:literal, $module:ident;)+) => {
        /// The rules there are.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum RuleName {
            $($(#[doc = $doc])+ $name,)+
        }

        impl RuleName {
            /// All of them; the first is the default.
            pub const ALL: [Self; 3] = [$(Self::$name),+];

            /// Its name.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// The version of what it computes.
            #[must_use]
            pub const fn version(self) -> u32 {
                match self { $(Self::$name => $version,)+ }
            }

            /// What it is constants for, unless somebody says otherwise.
            #[must_use]
            pub fn constants(self) -> Constants {
                match self { $(Self::$name => $module::constants(),)+ }
            }

            fn totals(self, seen: &Seen<'_>) -> BTreeMap<Identity, Total> {
                match self { $(Self::$name => $module::totals(seen),)+ }
            }

            fn worth(self, seen: &Seen<'_>) -> Vec<(usize, Worth)> {
                match self { $(Self::$name => $module::worth(seen),)+ }
            }
        }
    };
}

rules! {
    /// Verified work, each proof of it by how quick and how small it is beside what the network's best tenth takes; faults
    /// owe twice their work.
    SpeedSizeAccuracy, 2, speed_size_accuracy;
    /// A reference price for each verified proof of a slice, whatever it took; faults owe twice that.
    DeliveredWork, 3, delivered_work;
    /// A moving mean of how each proof's time stands between the network's least and greatest.
    ResponseCurve, 1, response_curve;
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for RuleName {
    type Err = RuleError;
    fn from_str(text: &str) -> Result<Self, RuleError> {
        let known = Self::ALL.into_iter().find(|name| name.word() == text);
        known.ok_or_else(|| RuleError::Unknown {
            got: text.chars().take(80).collect(),
            known: Self::ALL.map(Self::word).join(", "),
        })
    }
}

/// A rule that can be in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    name: RuleName,
    constants: Constants,
}

impl Default for Rule {
    fn default() -> Self {
        RuleName::SpeedSizeAccuracy.into()
    }
}

/// A rule with the constants that it has unless somebody says otherwise.
impl From<RuleName> for Rule {
    fn from(name: RuleName) -> Self {
        Self {
            name,
            constants: name.constants(),
        }
    }
}

impl Rule {
    /// A rule with constants.
    ///
    /// # Errors
    /// A constant that is out of its range, by name.
    pub fn new(name: RuleName, constants: Constants) -> Result<Self, RuleError> {
        constants.check()?;
        Ok(Self { name, constants })
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> RuleName {
        self.name
    }

    /// Its constants.
    #[must_use]
    pub const fn constants(&self) -> &Constants {
        &self.constants
    }

    /// What tells it from every other: its name, version and constants.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hash = Sha256::new();
        hash.update(b"zkinfer/scoring-rule/v1\0");
        hash.update(self.name.word().as_bytes());
        hash.update([0]);
        hash.update(self.name.version().to_be_bytes());
        self.constants.hash(&mut hash);
        Digest::new(hash.finalize().into())
    }

    /// What each miner of these entries has earned and owes at a time.
    pub(crate) fn totals(&self, seen: &Seen<'_>) -> BTreeMap<Identity, Total> {
        self.name.totals(seen)
    }

    /// What each entry that bears on a total adds to it, by its place in [`Seen::entries`].
    pub(crate) fn worth(&self, seen: &Seen<'_>) -> Vec<(usize, Worth)> {
        self.name.worth(seen)
    }
}

/// What an entry adds to its miner's total.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Worth {
    /// That much is earned.
    pub(crate) credit: u128,
    /// That much is owed.
    pub(crate) debit: u128,
    /// That much could have been earned.
    pub(crate) possible: u128,
}

/// What a rule finds of one miner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Total {
    /// What it has earned, less what time has taken.
    pub credit: u128,
    /// What it owes for its faults, less what time has taken.
    pub debit: u128,
    /// What it would have earned had all of it been as good as can be.
    pub possible: u128,
    /// Verified proofs that were counted.
    pub samples: u64,
}

impl Total {
    fn add(&mut self, worth: Worth) {
        // Sums of 64-bit work: a ledger would need 2^64 entries to reach the end.
        self.credit = self.credit.saturating_add(worth.credit);
        self.debit = self.debit.saturating_add(worth.debit);
        self.possible = self.possible.saturating_add(worth.possible);
    }
}

/// What a rule looks at: entries of the window that bear on scores, oldest first, each claim once.
pub(crate) struct Seen<'a> {
    pub(crate) entries: Vec<&'a Entry>,
    pub(crate) now: u64,
    pub(crate) constants: &'a Constants,
}

impl<'a> Seen<'a> {
    /// Chooses and sorts. Entries of after `now` have not happened yet.
    pub(crate) fn new(entries: &'a [Entry], now: u64, constants: &'a Constants) -> Self {
        let from = (now / BUCKET_MILLIS).saturating_sub(constants.window_hours);
        let mut seen: Vec<&Entry> = entries
            .iter()
            .filter(|e| e.at <= now && e.at / BUCKET_MILLIS >= from)
            .filter(|e| e.comparable && e.work >= constants.least_work && e.key.is_some())
            .filter(|e| e.verified() || e.fault())
            .collect();
        seen.sort_unstable_by_key(|e| (e.claim, e.at));
        seen.dedup_by_key(|e| e.claim);
        seen.sort_unstable_by_key(|e| (e.at / TICK_MILLIS, e.claim));
        Self {
            entries: seen,
            now,
            constants,
        }
    }

    /// What is left of an entry's worth by now.
    fn aged(&self, entry: &Entry) -> u64 {
        let hours = (self.now / BUCKET_MILLIS).saturating_sub(entry.at / BUCKET_MILLIS);
        crate::fixed::halved(hours.saturating_mul(60), self.constants.half_life_minutes)
    }

    /// Adds up what entries are worth.
    fn sum(&self, worth: &[(usize, Worth)]) -> BTreeMap<Identity, Total> {
        let mut totals: BTreeMap<Identity, Total> = BTreeMap::new();
        for (index, worth) in worth {
            let entry = self.entries[*index];
            let total = totals.entry(entry.miner).or_default();
            total.add(*worth);
            total.samples += u64::from(entry.verified());
        }
        totals
    }
}
