//! What of the store has been kept long enough: by age, and by bytes with the oldest first.
//!
//! Invariant: nothing that is named goes, and nothing that is so young that it may be about to be named, however full the store is.

use std::time::Duration;

use zkinfer_crds::Digest;
use zkinfer_crds::k8s::validator::Retention;

use crate::artifacts::Stored;

/// What is younger may be about to be named; more than the time after which a blob that is handed in again is written again.
const LEAST: Duration = Duration::from_secs(2 * 3600);

/// How long something is kept that nothing names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    /// Until it is so old; absent: for ever.
    age: Option<Duration>,
    /// As long as all of it is no more than this; absent: without end.
    bytes: Option<u64>,
}

impl Rule {
    /// For blobs.
    pub(super) fn of_blobs(retention: &Retention) -> Self {
        Self {
            age: Some(hours(retention.unnamed_hours)),
            bytes: retention.blob_bytes.as_ref().map(|b| b.bytes()),
        }
    }

    /// For receipts.
    pub(super) fn of_receipts(retention: &Retention) -> Self {
        Self {
            age: retention.receipt_days.map(|days| hours(days.saturating_mul(24))),
            bytes: retention.receipt_bytes.as_ref().map(|b| b.bytes()),
        }
    }

    /// Whether anything of this size and age may have to go.
    pub(super) fn applies(self, all: &[Stored]) -> bool {
        let old = |s: &Stored| self.age.is_some_and(|age| s.age > age.max(LEAST));
        self.bytes.is_some_and(|bytes| total(all) > bytes) || all.iter().any(old)
    }

    /// What goes, the oldest first.
    pub(super) fn doomed(self, all: &[Stored], named: impl Fn(&Digest) -> bool) -> Vec<Stored> {
        let mut free: Vec<Stored> = all
            .iter()
            .copied()
            .filter(|s| s.age > LEAST && !named(&s.digest))
            .collect();
        free.sort_by_key(|s| (std::cmp::Reverse(s.age), s.digest));
        let mut left = total(all);
        free.retain(|s| {
            let old = self.age.is_some_and(|age| s.age > age);
            let much = self.bytes.is_some_and(|bytes| left > bytes);
            if old || much {
                left -= s.size;
            }
            old || much
        });
        free
    }
}

/// The youngest that may go.
pub(super) const fn least() -> Duration {
    LEAST
}

/// Whether the input of a request that ended so long ago is still named by it.
pub(super) fn keeps_input(retention: &Retention, since_end: Option<Duration>) -> bool {
    match (retention.input_days, since_end) {
        (Some(days), Some(since)) => since <= hours(days.saturating_mul(24)),
        _ => true,
    }
}

/// All of it, in bytes.
pub(super) fn total(all: &[Stored]) -> u64 {
    all.iter().map(|s| s.size).sum()
}

fn hours(hours: u32) -> Duration {
    Duration::from_secs(u64::from(hours) * 3600)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(name: u8, size: u64, age: u32) -> Stored {
        Stored {
            digest: Digest::of(&[name]),
            size,
            age: hours(age),
        }
    }

    fn goes(rule: Rule, all: &[Stored], named: &[u8]) -> Vec<Digest> {
        let named: Vec<Digest> = named.iter().map(|n| Digest::of(&[*n])).collect();
        let doomed = rule.doomed(all, |digest| named.contains(digest));
        doomed.iter().map(|s| s.digest).collect()
    }

    fn names(names: &[u8]) -> Vec<Digest> {
        names.iter().map(|n| Digest::of(&[*n])).collect()
    }

    #[test]
    fn what_is_old_goes_and_what_is_named_stays_however_old() {
        let rule = Rule::of_blobs(&Retention::default());
        let all = [stored(1, 5, 25), stored(2, 5, 23), stored(3, 5, 9000)];
        assert_eq!(goes(rule, &all, &[3]), names(&[1]));
        assert_eq!(goes(rule, &all, &[]), names(&[3, 1]), "the oldest first");
        assert!(rule.applies(&all) && !rule.applies(&all[1..2]));
    }

    #[test]
    fn more_than_the_bytes_goes_oldest_first_until_it_fits() {
        let rule = Rule {
            age: None,
            bytes: Some(10),
        };
        let all = [stored(1, 4, 5), stored(2, 4, 9), stored(3, 4, 7), stored(4, 4, 8)];
        assert_eq!(goes(rule, &all, &[]), names(&[2, 4]));
        assert_eq!(
            goes(rule, &all, &[2, 4]),
            names(&[3, 1]),
            "what is named takes room too"
        );
        assert!(goes(rule, &all[..2], &[]).is_empty() && !rule.applies(&all[..2]));
    }

    #[test]
    fn what_may_be_about_to_be_named_stays_however_full_the_store_is() {
        let rule = Rule {
            age: Some(hours(1)),
            bytes: Some(0),
        };
        assert!(goes(rule, &[stored(1, 100, 2)], &[]).is_empty());
        assert_eq!(goes(rule, &[stored(1, 100, 3)], &[]), names(&[1]));
    }

    #[test]
    fn receipts_stay_for_ever_unless_somebody_says_how_long() {
        let all = [stored(1, 1 << 40, 90_000)];
        assert!(goes(Rule::of_receipts(&Retention::default()), &all, &[]).is_empty());
        let rule = Rule::of_receipts(&serde_json::from_str(r#"{"receiptDays":30}"#).unwrap());
        assert_eq!(goes(rule, &all, &[]), names(&[1]));
    }

    #[test]
    fn an_input_is_named_by_its_request_until_it_has_been_over_for_so_long() {
        let day: Retention = serde_json::from_str(r#"{"inputDays":1}"#).unwrap();
        assert!(keeps_input(&day, None), "it is not over");
        assert!(keeps_input(&day, Some(hours(24))) && !keeps_input(&day, Some(hours(25))));
        assert!(keeps_input(&Retention::default(), Some(hours(90_000))));
    }
}
