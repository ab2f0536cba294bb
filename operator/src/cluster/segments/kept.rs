//! Checkpoints of the ledger, and what goes once one stands for it.
//!
//! Invariants: entries go by themselves only when a segment has them, no score needs them any more and nothing is left of their request,
//! by which they could be asked for; that is before the checkpoint is written which counts them, since after it nothing would say that
//! a segment had them. Segments go only from the first on, only those that the checkpoint in the store stands for, and only where the
//! Validator says how long they are kept. Whenever the operator ends in between, what there is is whole.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use zkinfer_crds::k8s::validator::Retention;
use zkinfer_crds::{ClaimId, RequestUid};
use zkinfer_scoring::ledger::{Chain, compact, whole_from};
use zkinfer_scoring::{BUCKET_MILLIS, Constants};

use super::{Segments, SegmentsError};
use crate::artifacts::StoredSegment;
use crate::dispatch::unix_millis;
use crate::in_force::InForce;
use crate::world::lock;

/// How often it is looked whether a checkpoint is due.
const LOOK: Duration = Duration::from_secs(60);
/// So many segments follow a checkpoint at most before the next is made, or so many entries: a start reads what follows.
const SEGMENTS: u64 = 360;
const ENTRIES: u64 = 250_000;

/// What a checkpoint was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// The last segment that it stands for.
    pub sequence: u64,
    /// Entries that went by themselves, and are counted from now on.
    pub counted: usize,
}

/// Whether enough has followed the last checkpoint, or another key signs by now.
fn is_due(mark: Option<&Chain>, chain: &Chain) -> bool {
    let (next, entries) = mark.map_or((0, 0), |mark| (mark.next, mark.entries));
    chain.next.saturating_sub(next) >= SEGMENTS
        || chain.entries.saturating_sub(entries) >= ENTRIES
        || mark.is_some_and(|mark| mark.validator != chain.validator)
}

/// The segments that were kept long enough, of those before `next`, which the checkpoint stands for: by age, and by bytes of all with
/// the oldest first. What stays follows each other.
fn doomed(all: &[StoredSegment], next: u64, retention: &Retention) -> Vec<u64> {
    let age = retention.ledger_days;
    let age = age.map(|days| Duration::from_secs(u64::from(days) * 24 * 3600));
    let most = retention.ledger_bytes.as_ref().map(|bytes| bytes.bytes());
    let mut left = all.iter().fold(0, |sum: u64, one| sum.saturating_add(one.size));
    let mut doomed = Vec::new();
    for segment in all.iter().take_while(|segment| segment.number < next) {
        let old = age.is_some_and(|age| segment.age > age);
        if !old && most.is_none_or(|most| left <= most) {
            break;
        }
        left = left.saturating_sub(segment.size);
        doomed.push(segment.number);
    }
    doomed
}

impl Segments {
    /// Makes a checkpoint where one is due, and removes what was kept long enough then; for ever.
    pub async fn keep(self: Arc<Self>, in_force: Arc<InForce>) {
        let mut look_through = true;
        loop {
            let rules = in_force.get();
            match self
                .compact_if_due(rules.scoring.constants(), unix_millis())
                .await
            {
                Ok(None) => {}
                Ok(Some(Compacted { sequence, counted })) => {
                    tracing::info!(sequence, counted, "a checkpoint stands for the ledger up to here");
                    look_through = true;
                }
                Err(error) => tracing::error!(%error, "no checkpoint of the ledger was made, trying again"),
            }
            if look_through {
                match self.remove_old(&rules.retention).await {
                    Ok(removed) => {
                        tracing::debug!(removed, "segments of the ledger were kept long enough");
                        look_through = false;
                    }
                    Err(error) => tracing::warn!(%error, "old segments are not removed, trying again"),
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn compact_if_due(
        &self,
        constants: &Constants,
        at: u64,
    ) -> Result<Option<Compacted>, SegmentsError> {
        let chain = *self.chain.lock().await;
        let mark = *lock(&self.mark);
        if self.held.is_some() || !is_due(mark.as_ref(), &chain) {
            return Ok(None);
        }
        self.compact(constants, at).await
    }

    /// Makes a checkpoint of the ledger, for scores of this time and later by rules with these constants, and removes the entries that
    /// it counts where they stand by themselves; `None` of a ledger that has not begun, or is held.
    ///
    /// # Errors
    /// A failing store, a ledger that does not hold, or one that has no place in a checkpoint; it can be tried again.
    pub async fn compact(&self, constants: &Constants, at: u64) -> Result<Option<Compacted>, SegmentsError> {
        if self.held.is_some() {
            return Ok(None);
        }
        let keys = lock(&self.keys).clone();
        {
            // A head that is behind would let nobody go on from the checkpoint.
            let chain = self.chain.lock().await;
            let Some(head) = chain.head(at) else {
                return Ok(None);
            };
            let sequence = head.sequence;
            let broken = |error| SegmentsError::Broken { sequence, error };
            let signed = head.sign(&keys.key).map_err(broken)?;
            self.artifacts.put_ledger_head(signed).await?;
        }
        let ledger = {
            let _reading = self.reading.read().await;
            keys.read(&self.artifacts).await?.ledger
        };
        // What a request that is here may still ask for stays.
        let living: BTreeSet<RequestUid> = self.artifacts.requests().await?.into_iter().collect();
        let from = whole_from(constants, at);
        let old = ledger.entries().iter().filter(|e| e.at / BUCKET_MILLIS < from);
        let (standing, gone): (Vec<_>, Vec<_>) = old.partition(|entry| living.contains(&entry.request));
        let standing: BTreeSet<ClaimId> = standing.into_iter().map(|entry| entry.claim).collect();
        let gone: Vec<ClaimId> = gone.into_iter().map(|entry| entry.claim).collect();
        // The segments have them; see the module.
        self.artifacts.remove_ledger_entries(&gone).await?;
        let chain = ledger
            .chain()
            .map_err(|error| SegmentsError::Broken { sequence: 0, error })?;
        let sequence = chain.next.saturating_sub(1);
        let made = move || compact(&ledger, from, &standing, at, &keys.key);
        let bytes = tokio::task::spawn_blocking(made).await;
        let bytes = bytes.map_err(|error| SegmentsError::Stopped(error.to_string()))?;
        let bytes = bytes.map_err(|error| SegmentsError::Broken { sequence, error })?;
        self.artifacts.put_ledger_checkpoint(bytes).await?;
        *lock(&self.mark) = Some(chain);
        Ok(Some(Compacted {
            sequence,
            counted: gone.len(),
        }))
    }

    /// Removes segments that were kept long enough; how many.
    ///
    /// # Errors
    /// A failing store; what it has not removed goes the next time.
    pub async fn remove_old(&self, retention: &Retention) -> Result<usize, SegmentsError> {
        let mark = *lock(&self.mark);
        let kept_for_ever = retention.ledger_days.is_none() && retention.ledger_bytes.is_none();
        let Some(mark) = mark.filter(|_| !kept_for_ever) else {
            return Ok(0);
        };
        let doomed = doomed(&self.artifacts.stored_segments().await?, mark.next, retention);
        let _alone = self.reading.write().await;
        for number in &doomed {
            self.artifacts.remove_segment(*number).await?;
        }
        Ok(doomed.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(number: u64, size: u64, days: u64) -> StoredSegment {
        StoredSegment {
            number,
            size,
            age: Duration::from_secs(days * 24 * 3600 + 1),
        }
    }

    fn kept(json: &str) -> Retention {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn segments_go_from_the_first_on_and_only_those_that_the_checkpoint_stands_for() {
        let all = [
            segment(3, 5, 9),
            segment(4, 5, 9),
            segment(5, 5, 2),
            segment(6, 5, 9),
        ];
        let goes = |next: u64, json: &str| doomed(&all, next, &kept(json));
        assert!(
            goes(7, "{}").is_empty(),
            "for ever, unless somebody says how long"
        );
        assert_eq!(goes(7, r#"{"ledgerDays":5}"#), [3, 4], "none is left out between");
        assert_eq!(goes(4, r#"{"ledgerDays":5}"#), [3]);
        assert_eq!(goes(7, r#"{"ledgerDays":1}"#), [3, 4, 5, 6]);
        assert!(goes(0, r#"{"ledgerDays":1}"#).is_empty());
        assert_eq!(goes(7, r#"{"ledgerBytes":"12"}"#), [3, 4]);
        assert_eq!(goes(4, r#"{"ledgerBytes":"12"}"#), [3]);
        assert_eq!(goes(7, r#"{"ledgerDays":5,"ledgerBytes":"7"}"#), [3, 4, 5, 6]);
    }

    #[test]
    fn a_checkpoint_is_due_when_enough_has_followed_the_last_or_another_key_signs() {
        let [one, other] = [1, 2].map(|n| zkinfer_crds::Identity::new([n; 32]));
        let chain = |next, entries, validator| Chain {
            next,
            entries,
            ..Chain::new(validator)
        };
        let mark = chain(100, 1000, one);
        for (now, due) in [
            (chain(100, 1000, one), false),
            (chain(100 + SEGMENTS - 1, 1000 + ENTRIES - 1, one), false),
            (chain(100 + SEGMENTS, 1000, one), true),
            (chain(101, 1000 + ENTRIES, one), true),
            (chain(101, 1000, other), true),
        ] {
            assert_eq!(is_due(Some(&mark), &now), due, "{now:?}");
        }
        assert!(!is_due(None, &chain(5, 5, one)) && is_due(None, &chain(SEGMENTS, 5, one)));
    }
}
