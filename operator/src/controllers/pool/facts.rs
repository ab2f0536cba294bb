//! What the dispatcher knows of a pool, and what it makes known.
//!
//! Invariant: nothing here is what a worker says of itself: sizes are those of the pods that the operator makes.

use zkinfer_crds::k8s::miner_pool::{MinerPoolSpec, reason};
use zkinfer_crds::k8s::{MinerPool, Truth};

use super::identity::identity_of;
use crate::dispatch::{Pause, PauseCause, PoolFacts};

/// What a pool may hold, and who it is.
#[must_use]
pub fn facts(pool: &MinerPool) -> PoolFacts {
    PoolFacts {
        identity: identity_of(pool),
        claims: claims(&pool.spec),
        score_millionths: pool
            .status
            .as_ref()
            .and_then(|s| s.score_millionths)
            .unwrap_or_default(),
        drained: pool.spec.drain,
    }
}

/// The most claims at once: a worker may hold one for each core that it is given.
fn claims(spec: &MinerPoolSpec) -> u32 {
    let cores = spec.resources.cpu.millicores().div_ceil(1000).max(1);
    u32::try_from(u64::from(spec.parallelism).saturating_mul(cores)).unwrap_or(u32::MAX)
}

/// The condition `Paused`: truth, reason and message.
pub(super) fn paused(pause: Option<Pause>) -> (Truth, &'static str, String) {
    let Some(Pause { cause, length }) = pause else {
        let message = "the pool takes its turn";
        return (Truth::False, reason::AS_EXPECTED, message.to_owned());
    };
    let (why, what) = match cause {
        PauseCause::Faults => (reason::TOO_MANY_FAULTS, "claims ended by the miner's fault"),
        PauseCause::HandBacks => (
            reason::TOO_MANY_HAND_BACKS,
            "slices were handed back beyond the ration",
        ),
    };
    let message = format!(
        "{what} (status.failures): the pool gets only what no other pool can prove, and after {} s one slice at a time, \
         until it delivers one",
        length.as_secs()
    );
    (Truth::True, why, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_may_hold_one_claim_for_each_core_of_each_worker() {
        let claims_of = |parallelism: u32, cpu: &str| {
            let spec =
                serde_json::json!({ "image": "x", "parallelism": parallelism, "resources": { "cpu": cpu } });
            claims(&serde_json::from_value(spec).unwrap())
        };
        assert_eq!(claims_of(1, "200m"), 1);
        assert_eq!(claims_of(3, "1500m"), 6);
        assert_eq!(claims_of(256, "8"), 2048);
    }
}
