//! What has been published last, as it is kept beside the weights, and what is to be done next.
//!
//! ```text
//! nothing sent, or it never counted       ──▶ make
//! sent, and the chain has it, or a file   ──▶ wait until `interval` blocks after that, then make
//! sent, and the chain does not say so     ──▶ wait until it cannot count any more, then make
//! ```
//!
//! Invariants: a record of what leaves is written before it does, so that no crash makes it leave twice; what may still count keeps
//! all others back; a record of another subnet or chain says nothing of this one; a block before the record's own, as of a node that
//! is behind or a clock that was set back, never makes anything due.

use serde::{Deserialize, Serialize};
use zkinfer_crds::Digest;

use crate::publication::LEAST_INTERVAL;

/// What has been published last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// To which subnet.
    pub netuid: u16,
    /// The hash of the chain's block 0, as `0x` and hexadecimal digits; `None` where it goes into a file alone.
    pub genesis: Option<String>,
    /// The weights file.
    pub digest: Digest,
    /// In which block it was made.
    pub block: u64,
    /// When, in Unix milliseconds.
    pub at: u64,
    /// What has left and may still be taken; `None` where nothing has, or where it was taken, refused or lost.
    pub sent: Option<Sent>,
    /// The block in which weights were taken last, as far as is known: these, or those before.
    pub last: Option<u64>,
}

/// What has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sent {
    /// In which block.
    pub block: u64,
    /// The first block in which it does not count any more unless it has been taken.
    pub until: u64,
}

/// What is known when it is asked what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now<'a> {
    /// The subnet that is declared.
    pub netuid: u16,
    /// The chain that is declared, as in [`Record::genesis`].
    pub genesis: Option<&'a str>,
    /// Blocks between two publications; at least [`LEAST_INTERVAL`] hold.
    pub interval: u64,
    /// The block.
    pub block: u64,
    /// When the chain says that the validator's weights were set last; 0 for never, `None` where there is no chain.
    pub last_update: Option<u64>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Weights are due.
    Make,
    /// They are due in this block.
    Wait {
        /// In which.
        next: u64,
    },
    /// What was sent has been taken; to be written down.
    Taken {
        /// In which block.
        block: u64,
    },
    /// What was sent may still be taken.
    Await {
        /// Until this block.
        until: u64,
    },
    /// What was sent cannot be taken any more, and was not; to be written down.
    Lost,
}

/// The first block in which weights are due again after those that were taken in `last`.
#[must_use]
pub fn next(last: u64, interval: u64) -> u64 {
    last.saturating_add(interval.max(LEAST_INTERVAL))
}

impl Record {
    /// What is to be written down before weights leave, after the record of those before.
    #[must_use]
    pub fn of(before: Option<&Self>, now: &Now<'_>, digest: Digest, at: u64) -> Self {
        Self {
            netuid: now.netuid,
            genesis: now.genesis.map(str::to_owned),
            digest,
            block: now.block,
            at,
            sent: None,
            last: last(before, now),
        }
    }

    /// It was taken in this block.
    #[must_use]
    pub fn taken(self, block: u64) -> Self {
        Self {
            sent: None,
            last: self.last.max(Some(block)),
            ..self
        }
    }

    /// Whether it is of the subnet and chain that are declared.
    fn is_of(&self, now: &Now<'_>) -> bool {
        self.netuid == now.netuid && self.genesis.as_deref() == now.genesis
    }
}

/// The block in which weights of this subnet were taken last, as far as it is written down.
#[must_use]
pub fn last(record: Option<&Record>, now: &Now<'_>) -> Option<u64> {
    record.filter(|record| record.is_of(now))?.last
}

/// What is to be done, after this record.
#[must_use]
pub fn step(record: Option<&Record>, now: &Now<'_>) -> Step {
    let record = record.filter(|record| record.is_of(now));
    if let Some(sent) = record.and_then(|record| record.sent) {
        return match now.last_update {
            Some(update) if update >= sent.block => Step::Taken { block: update },
            _ if now.block < sent.until => Step::Await { until: sent.until },
            _ => Step::Lost,
        };
    }
    // Weights that somebody else has set with this hotkey keep these back as well: the chain would refuse them.
    let last = record.and_then(|record| record.last);
    let last = last.max(now.last_update.filter(|update| *update > 0));
    match last.map(|last| next(last, now.interval)) {
        Some(next) if now.block < next => Step::Wait { next },
        _ => Step::Make,
    }
}
