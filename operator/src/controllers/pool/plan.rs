//! What is said of a pool.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use zkinfer_crds::k8s::miner_pool::{ClaimCounts, MinerPoolStatus, condition, reason};
use zkinfer_crds::k8s::{Truth, set_condition};

use super::facts::paused;
use super::identity::Possession;
use super::observed::Observed;
use super::trouble::Trouble;
use super::weighted::{self, Becomes};

/// Share of claims below which a pool is degraded, in millionths.
const DEGRADED_BELOW: u32 = 900_000;
/// Ended claims before anything is said of success.
const ENOUGH: u64 = 3;

/// Decides; the status to write.
#[must_use]
pub fn plan(observed: &Observed<'_>, now: &Time) -> MinerPoolStatus {
    let mut status = observed.status.clone();
    let score = &observed.score;
    status.observed_generation = observed.generation;
    status.identity = Some(observed.identity);
    status.score_millionths = Some(score.score_millionths);
    status.work_delivered = Some(score.work_delivered);
    status.success_millionths = Some(score.success_millionths);
    status.claims = Some(ClaimCounts {
        verified: score.verified,
        invalid: score.invalid,
        late: score.late,
        lost: score.lost,
    });
    status.failures = score.failures.clone();
    (status.p50_millis, status.p95_millis) = (score.p50_millis, score.p95_millis);
    let mut set = |type_: &str, truth, reason: &str, message: &str| {
        set_condition(
            &mut status.conditions,
            type_,
            truth,
            reason,
            message,
            observed.generation,
            now,
        );
    };
    let (ready, why, message) = ready(observed);
    set(condition::READY, ready.into(), why, &message);
    let identity = [reason::IDENTITY_NOT_PROVEN, reason::IDENTITY_TAKEN].contains(&why);
    let pods = !identity && observed.trouble.as_ref().is_some_and(Trouble::needs_a_person);
    if identity || pods {
        set(condition::STALLED, Truth::True, why, &message);
    }
    let ended = score.verified + score.invalid + score.late + score.lost;
    // Where none counts, such as after a consent that was withdrawn, there is no share of them.
    let unsuccessful = ended >= ENOUGH && score.faults > 0 && score.success_millionths < DEGRADED_BELOW;
    let mostly_wrong = score.invalid >= score.late + score.lost;
    let (why, message) = match (&observed.trouble, unsuccessful, mostly_wrong) {
        (Some(trouble), _, _) => (trouble.finding.reason, trouble.finding.message.clone()),
        (None, false, _) => (reason::AS_EXPECTED, "nothing is wrong".to_owned()),
        (None, true, true) => (
            reason::INVALID_PROOFS,
            format!("{} of {ended} claims ended with a wrong proof", score.invalid),
        ),
        (None, true, false) => (
            reason::LOST_CLAIMS,
            format!(
                "{} of {ended} claims ended without a proof",
                score.late + score.lost
            ),
        ),
    };
    let degraded = unsuccessful || observed.trouble.is_some();
    set(condition::DEGRADED, Truth::from(degraded), why, &message);
    let was_paused = zkinfer_crds::k8s::find_condition(&observed.status.conditions, condition::PAUSED);
    if observed.pause.is_some() || was_paused.is_some() {
        let (truth, why, message) = paused(observed.pause);
        set(condition::PAUSED, truth, why, &message);
    }
    let stalled = identity || pods;
    let was_drained = zkinfer_crds::k8s::find_condition(&observed.status.conditions, condition::DRAINING);
    if observed.spec.drain {
        set(
            condition::DRAINING,
            Truth::True,
            reason::DRAINING,
            "the pool gets no new slices",
        );
    } else if was_drained.is_some() {
        let message = "spec.drain is not set any more";
        set(condition::DRAINING, Truth::False, reason::SERVING, message);
    }
    let mut gone = Vec::new();
    for (type_, becomes) in weighted::told(&observed.weights, observed.pool) {
        match becomes {
            Becomes::Said(truth, why, message) => set(type_, truth, why, &message),
            Becomes::Gone => gone.push(type_),
            Becomes::Stays => {}
        }
    }
    if !stalled {
        gone.push(condition::STALLED);
    }
    status.conditions.retain(|c| !gone.contains(&c.type_.as_str()));
    status
}

/// May the pool be given slices?
fn ready(observed: &Observed<'_>) -> (bool, &'static str, String) {
    let (namespace, name, uid) = observed.pool;
    let unproven = match observed.possession {
        Possession::Derived | Possession::Proven => None,
        Possession::Missing => Some("spec.possession is not there yet"),
        Possession::Wrong => Some("spec.possession is no signature of the identity's key over this pool"),
    };
    if let Some(why) = unproven {
        let remedy = format!("operator identity prove {name} -n {namespace} --uid {uid} --key FILE");
        let message = format!("{why}: sign it with `{remedy}`");
        return (false, reason::IDENTITY_NOT_PROVEN, message);
    }
    if let Some(older) = &observed.identity_taken_by {
        let message = format!(
            "the older pool {older} has this identity: remove one of them, or give this one an identity of its own"
        );
        return (false, reason::IDENTITY_TAKEN, message);
    }
    if let Some(trouble) = observed.trouble.as_ref().filter(|t| t.idle) {
        return (false, trouble.finding.reason, trouble.finding.message.clone());
    }
    if observed.spec.drain {
        return (false, reason::DRAINING, "spec.drain is set".to_owned());
    }
    (true, reason::SERVING, "the pool may be given slices".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use zkinfer_crds::Identity;
    use zkinfer_crds::k8s::find_condition;
    use zkinfer_crds::k8s::miner_pool::MinerPoolSpec;

    use super::super::weighted::Weighted;
    use super::*;
    use crate::dispatch::Pause;
    use crate::fleet::{Finding, Mends};
    use crate::scoring::MinerScore;

    #[test]
    fn a_pool_that_is_drained_no_longer_says_so() {
        let mut spec: MinerPoolSpec =
            serde_json::from_value(serde_json::json!({ "image": "x", "drain": true })).unwrap();
        let planned = |spec: &MinerPoolSpec, status: &MinerPoolStatus| {
            let observed = Observed {
                spec,
                generation: Some(1),
                pool: ("miners", "alpha", "uid"),
                identity: Identity::new([1; 32]),
                possession: Possession::Derived,
                status,
                identity_taken_by: None,
                weights: Weighted::default(),
                score: MinerScore::default(),
                pause: None,
                trouble: None,
            };
            plan(&observed, &crate::clock::now())
        };
        let draining = |status: &MinerPoolStatus| {
            find_condition(&status.conditions, condition::DRAINING).map(|c| c.status.clone())
        };
        let drained = planned(&spec, &MinerPoolStatus::default());
        assert_eq!(draining(&drained).as_deref(), Some("True"));
        spec.drain = false;
        assert_eq!(draining(&planned(&spec, &drained)).as_deref(), Some("False"));
        assert_eq!(draining(&planned(&spec, &MinerPoolStatus::default())), None);
    }

    #[test]
    fn a_pause_shows_in_a_condition_and_its_end_too() {
        let spec: MinerPoolSpec = serde_json::from_value(serde_json::json!({ "image": "x" })).unwrap();
        let planned = |pause, status: &MinerPoolStatus| {
            let observed = Observed {
                spec: &spec,
                generation: Some(1),
                pool: ("miners", "alpha", "uid"),
                identity: Identity::new([1; 32]),
                possession: Possession::Derived,
                status,
                identity_taken_by: None,
                weights: Weighted::default(),
                score: MinerScore::default(),
                pause,
                trouble: None,
            };
            plan(&observed, &crate::clock::now())
        };
        let pause = Pause {
            cause: crate::dispatch::PauseCause::HandBacks,
            length: Duration::from_secs(60),
        };
        let before = planned(None, &MinerPoolStatus::default());
        assert!(find_condition(&before.conditions, condition::PAUSED).is_none());
        let paused = planned(Some(pause), &before);
        let said = find_condition(&paused.conditions, condition::PAUSED).unwrap();
        assert_eq!(
            (said.status.as_str(), said.reason.as_str()),
            ("True", "TooManyHandBacks")
        );
        assert!(said.message.contains("after 60 s"), "{}", said.message);
        let over = planned(None, &paused);
        let said = find_condition(&over.conditions, condition::PAUSED).unwrap();
        assert_eq!(
            (said.status.as_str(), said.reason.as_str()),
            ("False", "AsExpected")
        );
    }

    #[test]
    fn a_pool_whose_identity_is_not_proven_gets_no_slices_and_is_told_how() {
        let spec: MinerPoolSpec = serde_json::from_value(serde_json::json!({ "image": "x" })).unwrap();
        for (possession, reason) in [
            (Possession::Missing, "IdentityNotProven"),
            (Possession::Wrong, "IdentityNotProven"),
            (Possession::Proven, "Serving"),
            (Possession::Derived, "Serving"),
        ] {
            let observed = Observed {
                spec: &spec,
                generation: Some(1),
                pool: ("miners", "alpha", "uid"),
                identity: Identity::new([1; 32]),
                possession,
                status: &MinerPoolStatus::default(),
                identity_taken_by: None,
                weights: Weighted::default(),
                score: MinerScore::default(),
                pause: None,
                trouble: None,
            };
            let status = plan(&observed, &crate::clock::now());
            let ready = find_condition(&status.conditions, condition::READY).unwrap();
            assert_eq!(ready.reason, reason);
            let remedy = "operator identity prove alpha -n miners --uid uid --key FILE";
            assert_eq!(ready.message.contains(remedy), reason == "IdentityNotProven");
        }
    }

    #[test]
    fn claims_that_ended_by_the_pools_fault_degrade_it_and_others_do_not() {
        let spec: MinerPoolSpec = serde_json::from_value(serde_json::json!({ "image": "x" })).unwrap();
        for (faults, degraded) in [(0, ("False", "AsExpected")), (3, ("True", "LostClaims"))] {
            let observed = Observed {
                spec: &spec,
                generation: Some(1),
                pool: ("miners", "alpha", "uid"),
                identity: Identity::new([1; 32]),
                possession: Possession::Derived,
                status: &MinerPoolStatus::default(),
                identity_taken_by: None,
                weights: Weighted::default(),
                score: MinerScore {
                    lost: 3,
                    faults,
                    ..MinerScore::default()
                },
                pause: None,
                trouble: None,
            };
            let status = plan(&observed, &crate::clock::now());
            let said = find_condition(&status.conditions, condition::DEGRADED).unwrap();
            assert_eq!((said.status.as_str(), said.reason.as_str()), degraded);
        }
    }

    #[test]
    fn trouble_shows_in_the_conditions_and_stops_the_pool_only_if_no_worker_is_up() {
        let spec: MinerPoolSpec = serde_json::from_value(serde_json::json!({ "image": "x" })).unwrap();
        let mut status = MinerPoolStatus::default();
        for (mends, idle, stalled) in [
            (Mends::Person, true, true),
            (Mends::Person, false, false),
            (Mends::Time, true, false),
        ] {
            let finding = Finding {
                reason: zkinfer_crds::k8s::pods::reason::NOT_STARTED,
                message: "why".to_owned(),
                mends,
                lasts: true,
            };
            let observed = Observed {
                spec: &spec,
                generation: Some(1),
                pool: ("miners", "alpha", "uid"),
                identity: Identity::new([1; 32]),
                possession: Possession::Derived,
                status: &status,
                identity_taken_by: None,
                weights: Weighted::default(),
                score: MinerScore::default(),
                pause: None,
                trouble: Some(Trouble {
                    finding,
                    idle,
                    generation: Some(1),
                    seen: Duration::ZERO,
                    refused: false,
                }),
            };
            let planned = plan(&observed, &crate::clock::now());
            let told = |type_| {
                let c = find_condition(&planned.conditions, type_)?;
                Some((c.status.clone(), c.reason.clone(), c.message.clone()))
            };
            let said = |truth: &str| Some((truth.to_owned(), "NotStarted".to_owned(), "why".to_owned()));
            assert_eq!(told(condition::DEGRADED), said("True"));
            let ready = told(condition::READY).unwrap();
            assert_eq!(ready.0, if idle { "False" } else { "True" });
            assert_eq!(
                told(condition::STALLED),
                if stalled { said("True") } else { None }
            );
            status = planned;
        }
    }

    #[test]
    fn an_identity_that_only_its_owner_can_settle_is_stalled() {
        let spec: MinerPoolSpec = serde_json::from_value(serde_json::json!({ "image": "x" })).unwrap();
        let mut observed = Observed {
            spec: &spec,
            generation: Some(1),
            pool: ("miners", "alpha", "uid"),
            identity: Identity::new([1; 32]),
            possession: Possession::Missing,
            status: &MinerPoolStatus::default(),
            identity_taken_by: None,
            weights: Weighted::default(),
            score: MinerScore::default(),
            pause: None,
            trouble: None,
        };
        let stalled = |observed: &Observed<'_>| {
            let status = plan(observed, &crate::clock::now());
            find_condition(&status.conditions, condition::STALLED).map(|c| c.reason.clone())
        };
        assert_eq!(stalled(&observed).as_deref(), Some("IdentityNotProven"));
        observed.possession = Possession::Proven;
        assert_eq!(stalled(&observed), None);
        observed.identity_taken_by = Some("a/older".to_owned());
        assert_eq!(stalled(&observed).as_deref(), Some("IdentityTaken"));
    }
}
