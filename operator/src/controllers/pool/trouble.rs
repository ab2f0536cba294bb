//! What is wrong with a pool's workers, from one look to the next.
//!
//! Invariant: trouble lasts until something shows that it is over; to look again is no reason to forget it, so no
//! condition flaps between two looks.

use std::time::Duration;

use zkinfer_crds::k8s::pods::reason;

use crate::fleet::{Evidence, Finding, Kind, Mends, Seen, Whose, diagnose};

/// Trouble that nothing has shown again for so long is forgotten: without pods nothing can show that it is over.
pub const FORGET: Duration = Duration::from_secs(300);
/// Workers of a lost node are replaced at once; for so long it is told why there were others.
const LINGER: Duration = Duration::from_secs(60);

/// Something that keeps workers from running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What is wrong.
    pub finding: Finding,
    /// No worker is up: the pool can be given no slices.
    pub idle: bool,
    /// The generation of the pool that has it: a changed spec may be the cure.
    pub generation: Option<i64>,
    /// When it was last seen, as time since any fixed moment.
    pub seen: Duration,
    /// The API server has refused objects; else it is about pods that were made.
    pub refused: bool,
}

impl Trouble {
    /// Nobody but a person can mend it.
    #[must_use]
    pub fn needs_a_person(&self) -> bool {
        self.idle && self.finding.mends == Mends::Person
    }

    /// Nobody could be started as the spec was: pods that were made then are of no use.
    #[must_use]
    pub fn is_of_an_older_spec(&self, generation: Option<i64>) -> bool {
        !self.refused && self.idle && self.generation != generation
    }
}

/// What is known of a pool's workers now.
#[derive(Debug, Clone, Default)]
pub struct Now<'a> {
    /// What the API server refused, in its words.
    pub refused: Vec<&'a str>,
    /// What the pods show; `None` where no worker is expected, and nothing was looked at.
    pub seen: Option<&'a Seen>,
    /// A warm worker is up.
    pub warm: bool,
    /// The pool's generation.
    pub generation: Option<i64>,
    /// Time since any fixed moment.
    pub now: Duration,
}

/// The trouble that a pool has now.
#[must_use]
pub fn trouble(old: Option<Trouble>, now: &Now<'_>) -> Option<Trouble> {
    let old = old.filter(|t| t.generation == now.generation && now.now.saturating_sub(t.seen) < FORGET);
    let up = now.warm || now.seen.is_some_and(|s| s.up);
    let refused = now.refused.iter().map(|words| Evidence {
        kind: Kind::Refused,
        text: (*words).to_owned(),
    });
    let refused: Vec<Evidence> = refused.collect();
    let pods = now.seen.map(|s| s.evidence.as_slice()).unwrap_or_default();
    for (evidence, refused) in [(refused.as_slice(), true), (pods, false)] {
        let Some(mut finding) = diagnose(evidence, Whose::Pool) else {
            continue;
        };
        // The kubelet tells of a try and of the pause after it in turn, and others count.
        let same = old
            .as_ref()
            .filter(|t| t.finding.reason == finding.reason && t.refused == refused);
        if let Some(same) = same.filter(|_| finding.lasts) {
            finding.message.clone_from(&same.finding.message);
        }
        return Some(Trouble {
            finding,
            idle: !up,
            generation: now.generation,
            seen: now.now,
            refused,
        });
    }
    // What pods waited for is there, or they are gone. Of what ended them nothing but a pod that runs is a proof.
    old.filter(|t| !t.refused).and_then(|t| match t.finding.reason {
        reason::NODE_LOST if now.now.saturating_sub(t.seen) < LINGER => Some(Trouble { idle: false, ..t }),
        _ => (t.finding.lasts && !up).then_some(t),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn seen(kind: Kind, text: &str, up: bool) -> Seen {
        Seen {
            evidence: vec![Evidence {
                kind,
                text: text.to_owned(),
            }],
            up,
        }
    }

    fn at(seen: Option<&Seen>, generation: i64, now: Duration) -> Now<'_> {
        Now {
            seen,
            generation: Some(generation),
            now,
            ..Now::default()
        }
    }

    fn running() -> Seen {
        Seen {
            evidence: Vec::new(),
            up: true,
        }
    }

    #[test]
    fn what_stops_every_worker_stops_the_pool_and_what_stops_one_does_not() {
        let stopped = trouble(
            None,
            &at(Some(&seen(Kind::Waiting, "x: ErrImagePull: no", false)), 1, NOW),
        )
        .unwrap();
        assert!(stopped.idle && stopped.needs_a_person());
        assert_eq!(stopped.finding.reason, "ImageUnavailable");
        let partly = trouble(
            None,
            &at(Some(&seen(Kind::Waiting, "x: ErrImagePull: no", true)), 1, NOW),
        )
        .unwrap();
        assert!(!partly.idle && !partly.needs_a_person());
        let full = trouble(
            None,
            &at(Some(&seen(Kind::Unscheduled, "no room", false)), 1, NOW),
        )
        .unwrap();
        assert!(full.idle && !full.needs_a_person(), "it may pass");
        let pending = seen(Kind::Unscheduled, "no room", false);
        let warm = Now {
            warm: true,
            ..at(Some(&pending), 1, NOW)
        };
        assert!(!trouble(None, &warm).unwrap().idle);
    }

    #[test]
    fn what_is_said_stays_the_same_while_the_kubelet_tries_and_waits() {
        let first = trouble(
            None,
            &at(Some(&seen(Kind::Waiting, "x: ErrImagePull: no", false)), 1, NOW),
        )
        .unwrap();
        let later = NOW + Duration::from_secs(20);
        let backing_off = seen(Kind::Waiting, "x: ImagePullBackOff: back-off", false);
        let then = trouble(Some(first.clone()), &at(Some(&backing_off), 1, later));
        assert_eq!(then, Some(Trouble { seen: later, ..first }));
    }

    #[test]
    fn an_image_s_trouble_ends_when_a_pod_runs_the_spec_changes_or_nothing_is_seen_for_long() {
        let old = trouble(
            None,
            &at(Some(&seen(Kind::Waiting, "x: ErrImagePull: no", false)), 1, NOW),
        );
        let soon = NOW + Duration::from_secs(30);
        assert_eq!(
            trouble(old.clone(), &at(None, 1, soon)),
            old,
            "no pods are left to look at"
        );
        assert_eq!(trouble(old.clone(), &at(Some(&Seen::default()), 1, soon)), old);
        assert_eq!(trouble(old.clone(), &at(Some(&running()), 1, soon)), None);
        assert_eq!(trouble(old.clone(), &at(None, 2, soon)), None);
        let is_old = |generation| old.as_ref().unwrap().is_of_an_older_spec(Some(generation));
        assert!(is_old(2) && !is_old(1), "its Jobs are made again");
        assert_eq!(trouble(old, &at(None, 1, NOW + FORGET)), None);
    }

    #[test]
    fn what_pods_wait_for_is_over_when_none_waits() {
        for (kind, text) in [
            (Kind::Unscheduled, "0/1 nodes"),
            (Kind::Suspended, "Job a is suspended"),
            (Kind::Refused, "exceeded quota"),
        ] {
            let old = trouble(None, &at(Some(&seen(kind, text, false)), 1, NOW));
            assert!(old.is_some());
            assert_eq!(trouble(old, &at(Some(&Seen::default()), 1, NOW)), None, "{text}");
        }
    }

    #[test]
    fn a_lost_node_is_told_of_for_a_while_and_keeps_nobody_from_another() {
        let old = trouble(None, &at(Some(&seen(Kind::Lost, "node n", false)), 1, NOW)).unwrap();
        assert!(old.idle);
        let soon = NOW + Duration::from_secs(3);
        let lingers = trouble(Some(old.clone()), &at(Some(&Seen::default()), 1, soon)).unwrap();
        assert!(!lingers.idle && lingers.finding == old.finding);
        assert_eq!(trouble(Some(lingers), &at(None, 1, NOW + LINGER)), None);
    }

    #[test]
    fn what_the_api_server_refuses_is_over_when_it_takes_it() {
        let none = Seen::default();
        let refused = Now {
            refused: vec!["its Jobs cannot be made: exceeded quota: q, used: count/jobs.batch=1, limited: 1"],
            ..at(Some(&none), 1, NOW)
        };
        let old = trouble(None, &refused).unwrap();
        assert!(old.refused && old.idle && !old.needs_a_person());
        assert_eq!(old.finding.reason, "QuotaExceeded");
        assert!(trouble(Some(old.clone()), &refused).is_some());
        assert_eq!(trouble(Some(old), &at(None, 1, NOW)), None);
    }
}
