//! A rule's constants, and what they may be.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::RuleName;
use crate::fixed::MILLION;

/// Why a rule cannot be in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// There is no rule of this name.
    #[error("there is no scoring rule `{got}`; there are {known}")]
    Unknown {
        /// The name that was given, shortened.
        got: String,
        /// The names that there are.
        known: String,
    },
    /// What is computed under its name is something else here.
    #[error("`{name}` of version {got} is not computed here, but of version {}", name.version())]
    Version {
        /// The rule.
        name: RuleName,
        /// The version that was asked for.
        got: u32,
    },
    /// A constant is out of its range.
    #[error("the scoring rule's `{name}` is {got}: it has to be from {least} to {most}")]
    Range {
        /// The constant.
        name: &'static str,
        /// What was given.
        got: u64,
        /// The least it may be.
        least: u64,
        /// The most it may be.
        most: u64,
    },
}

/// The constants of a rule. Those that a rule does not read are part of its digest all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constants {
    /// Hours after which a claim is forgotten.
    pub window_hours: u64,
    /// Minutes in which what was earned, and what is owed, halves.
    pub half_life_minutes: u64,
    /// The least predicted microseconds that count.
    pub least_work: u64,
    /// Verified proofs that a miner needs in the window to score.
    pub cold_start: u64,
    /// Hours without a score after something that is no proof of what was claimed.
    pub skip_hours: u64,
    /// What a fault owes, in millionths of what a proof of the slice would have earned.
    pub fault_millionths: u32,
    /// The power to which what a miner has earned is raised, in millionths.
    pub power_millionths: u32,
    /// The most that one owner may have of all, in millionths.
    pub owner_cap_millionths: u32,
    /// How much of a proof's worth goes by its time, in millionths; the rest goes by its size.
    pub speed_millionths: u32,
    /// Namespaces that have one owner, and that owner's name. Any other namespace is an owner by itself.
    pub owners: BTreeMap<String, String>,
}

impl Constants {
    pub(super) fn check(&self) -> Result<(), RuleError> {
        let million = MILLION;
        for (name, got, least, most) in [
            ("windowHours", self.window_hours, 1, 90 * 24),
            ("halfLifeMinutes", self.half_life_minutes, 1, 365 * 24 * 60),
            ("leastWorkMicros", self.least_work, 1, 3_600_000_000),
            ("coldStart", self.cold_start, 0, 1_000_000),
            ("skipHours", self.skip_hours, 0, 90 * 24),
            (
                "faultMillionths",
                u64::from(self.fault_millionths),
                0,
                100 * million,
            ),
            (
                "powerMillionths",
                u64::from(self.power_millionths),
                million / 2,
                2 * million,
            ),
            (
                "ownerCapMillionths",
                u64::from(self.owner_cap_millionths),
                1,
                million,
            ),
            ("speedMillionths", u64::from(self.speed_millionths), 0, million),
            ("owners", self.owners.len() as u64, 0, 100_000),
        ] {
            if !(least..=most).contains(&got) {
                return Err(RuleError::Range {
                    name,
                    got,
                    least,
                    most,
                });
            }
        }
        Ok(())
    }

    /// The owner of a namespace's pools.
    pub(crate) fn owner<'a>(&'a self, namespace: &'a str) -> Owner<'a> {
        match self.owners.get(namespace) {
            Some(group) => Owner::Group(group),
            None => Owner::Namespace(namespace),
        }
    }

    pub(super) fn hash(&self, hash: &mut Sha256) {
        let Self {
            window_hours,
            half_life_minutes,
            least_work,
            cold_start,
            skip_hours,
            fault_millionths,
            power_millionths,
            owner_cap_millionths,
            speed_millionths,
            owners,
        } = self;
        for number in [
            *window_hours,
            *half_life_minutes,
            *least_work,
            *cold_start,
            *skip_hours,
            u64::from(*fault_millionths),
            u64::from(*power_millionths),
            u64::from(*owner_cap_millionths),
            u64::from(*speed_millionths),
            owners.len() as u64,
        ] {
            hash.update(number.to_be_bytes());
        }
        for text in owners.iter().flat_map(|(namespace, owner)| [namespace, owner]) {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
    }
}

/// Who a miner belongs to. A listed owner's name is no namespace's, though it be spelt the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner<'a> {
    /// Somebody who is listed.
    Group(&'a str),
    /// Whoever has the namespace.
    Namespace(&'a str),
}
