//! What each rule rewards, and what attacks on it earn.

mod hostile;
mod properties;
mod rules;

use std::sync::Arc;

use zkinfer_crds::{ClaimId, Digest, Identity, RequestUid, SliceIndex};

use crate::{Cause, Constants, End, Entry, Rule, RuleName, Scores};

pub(super) const HOUR: u64 = 3_600_000;
pub(super) const NOW: u64 = 500_000 * HOUR + 100;

pub(super) fn miner(n: u32) -> Identity {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    Identity::new(bytes)
}

pub(super) fn proof_id(n: u64) -> ClaimId {
    let mut claim = [0; 16];
    claim[..8].copy_from_slice(&n.to_be_bytes());
    ClaimId::new(claim)
}

/// A verified proof of the usual slice in the usual time, of a miner in its own namespace.
pub(super) fn proof(n: u64, of: u32) -> Entry {
    Entry {
        claim: proof_id(n),
        request: RequestUid::new([0; 16]),
        model: None,
        slice: SliceIndex(0),
        key: Some(Digest::new([7; 32])),
        namespace: Arc::from(format!("owner-{of}")),
        pool: Arc::from("pool"),
        miner: miner(of),
        attempt: 1,
        end: End::Verified,
        comparable: true,
        benchmark: false,
        work: 100_000,
        micros: 100_000,
        bytes: Some(2000),
        proof: None,
        at: NOW - 50,
    }
}

pub(super) fn ended(n: u64, of: u32, cause: Cause) -> Entry {
    Entry {
        end: End::Ended(cause),
        bytes: None,
        ..proof(n, of)
    }
}

/// A rule without a cold start.
pub(super) fn warm(name: RuleName) -> Rule {
    let constants = Constants {
        cold_start: 0,
        ..name.constants()
    };
    Rule::new(name, constants).unwrap()
}

pub(super) fn ours() -> Rule {
    warm(RuleName::SpeedSizeAccuracy)
}

pub(super) fn shares(rule: &Rule, entries: &[Entry]) -> Vec<u32> {
    let scores = Scores::of(rule, entries, NOW);
    scores.miners.values().map(|s| s.share_millionths).collect()
}
