//! What is said of a Validator.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use zkinfer_crds::k8s::validator::{ValidatorStatus, condition, reason};
use zkinfer_crds::k8s::{Truth, set_condition};

use super::observed::{Observed, Place};

/// Decides; the status to write.
#[must_use]
pub fn plan(observed: &Observed<'_>, now: &Time) -> ValidatorStatus {
    let mut status = observed.status.clone();
    status.observed_generation = observed.generation;
    let (why, message) = match &observed.place {
        Place::Rules {
            problem: None,
            settings,
            scoring,
            totals,
            ..
        } => {
            (status.settings, status.totals) = (settings.cloned(), Some(*totals));
            status.scoring = Some(scoring.clone());
            (reason::IN_FORCE, "the spec is in force".to_owned())
        }
        Place::Rules {
            problem: Some(problem),
            settings,
            scoring,
            totals,
            ..
        } => {
            (status.settings, status.totals) = (settings.cloned(), Some(*totals));
            status.scoring = Some(scoring.clone());
            let stay = match settings {
                Some(_) => "the settings of status.settings stay in force",
                None => "the defaults stay in force",
            };
            (
                reason::INVALID_SPEC,
                format!("{problem}; {stay} until it is mended"),
            )
        }
        Place::Superseded(other) => {
            (status.settings, status.scoring, status.totals) = (None, None, None);
            (
                reason::SUPERSEDED,
                format!("Validator `{other}` rules: it is older. Delete one of the two"),
            )
        }
        Place::Elsewhere(namespace) => {
            (status.settings, status.scoring, status.totals) = (None, None, None);
            (
                reason::SUPERSEDED,
                format!("only a Validator in the operator's namespace, `{namespace}`, rules"),
            )
        }
    };
    let rules = why == reason::IN_FORCE;
    let mut set = |type_: &str, truth| {
        set_condition(
            &mut status.conditions,
            type_,
            truth,
            why,
            &message,
            observed.generation,
            now,
        );
    };
    set(condition::READY, Truth::from(rules));
    if rules {
        status.conditions.retain(|c| c.type_ != condition::STALLED);
    } else {
        set(condition::STALLED, Truth::True);
    }
    (status.ledger, status.nearly_full) = match &observed.place {
        Place::Rules {
            ledger, nearly_full, ..
        } => (ledger.clone(), nearly_full.clone()),
        Place::Superseded(_) | Place::Elsewhere(_) => (None, Vec::new()),
    };
    ledger(&mut status, observed, now);
    benchmarks(&mut status, observed, now);
    weights(&mut status, observed, now);
    status
}

/// Whether anything is proved when nobody asks. How many there were stays: the next one has the next number.
fn benchmarks(status: &mut ValidatorStatus, observed: &Observed<'_>, now: &Time) {
    let Place::Rules {
        benchmarks: Some((told, totals)),
        ..
    } = &observed.place
    else {
        status.conditions.retain(|c| c.type_ != condition::BENCHMARKING);
        return;
    };
    status.benchmarks = Some(totals.clone());
    set_condition(
        &mut status.conditions,
        condition::BENCHMARKING,
        told.truth,
        told.reason,
        &told.message,
        observed.generation,
        now,
    );
}

/// Whether what is found is signed, and added to what was signed before.
fn ledger(status: &mut ValidatorStatus, observed: &Observed<'_>, now: &Time) {
    let Place::Rules { held, .. } = &observed.place else {
        status.conditions.retain(|c| c.type_ != condition::LEDGER_SIGNED);
        return;
    };
    let (truth, why, message) = match held {
        None => (
            Truth::True,
            reason::SIGNED,
            "the validator's key signs the ledger",
        ),
        Some(held) => (Truth::False, reason::KEY_NOT_NAMED, *held),
    };
    set_condition(
        &mut status.conditions,
        condition::LEDGER_SIGNED,
        truth,
        why,
        message,
        observed.generation,
        now,
    );
}

/// Which weights were made last, and whether they have left.
fn weights(status: &mut ValidatorStatus, observed: &Observed<'_>, now: &Time) {
    let Place::Rules {
        weights: Some(told), ..
    } = &observed.place
    else {
        status.weights = None;
        status
            .conditions
            .retain(|c| c.type_ != condition::WEIGHTS_PUBLISHED);
        return;
    };
    // After a restart what was told before stands until something else is known.
    if told.status.is_some() {
        status.weights.clone_from(&told.status);
    }
    let (truth, why, message) = match &told.said {
        Some(said) => (said.truth, said.reason, said.message.as_str()),
        None => (
            Truth::Unknown,
            reason::PUBLISHING,
            "it is looked whether weights are due",
        ),
    };
    set_condition(
        &mut status.conditions,
        condition::WEIGHTS_PUBLISHED,
        truth,
        why,
        message,
        observed.generation,
        now,
    );
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;
    use zkinfer_crds::Digest;
    use zkinfer_crds::k8s::find_condition;
    use zkinfer_crds::k8s::validator::{BenchmarkTotals, ValidatorSpec, ValidatorTotals, WeightsStatus};

    use super::super::made::Told;
    use super::*;
    use crate::weights::{self as publication, Said};

    fn planned(place: Place<'_>, before: &ValidatorStatus) -> ValidatorStatus {
        let observed = Observed {
            generation: Some(3),
            status: before,
            place,
        };
        plan(&observed, &Time(Timestamp::UNIX_EPOCH))
    }

    fn ready(status: &ValidatorStatus) -> (String, String, String) {
        let ready = find_condition(&status.conditions, condition::READY).unwrap();
        (ready.status.clone(), ready.reason.clone(), ready.message.clone())
    }

    fn rules<'a>(problem: Option<&'a str>, settings: Option<&'a ValidatorSpec>) -> Place<'a> {
        Place::Rules {
            problem,
            settings,
            held: None,
            scoring: crate::scoring::told(&zkinfer_scoring::Rule::default()),
            totals: ValidatorTotals::default(),
            ledger: None,
            nearly_full: Vec::new(),
            benchmarks: None,
            weights: None,
        }
    }

    fn weighing(told: &publication::Told) -> Place<'_> {
        Place::Rules {
            problem: None,
            settings: None,
            held: None,
            scoring: crate::scoring::told(&zkinfer_scoring::Rule::default()),
            totals: ValidatorTotals::default(),
            ledger: None,
            nearly_full: Vec::new(),
            benchmarks: None,
            weights: Some(told),
        }
    }

    #[test]
    fn weights_and_whether_they_have_left_are_told_as_long_as_some_are_published() {
        let published = |status: &ValidatorStatus| {
            let found = find_condition(&status.conditions, condition::WEIGHTS_PUBLISHED);
            found.map(|c| (c.status.clone(), c.reason.clone()))
        };
        let said = |truth: &str, why: &str| Some((truth.to_owned(), why.to_owned()));
        let status = planned(
            weighing(&publication::Told::default()),
            &ValidatorStatus::default(),
        );
        assert_eq!(published(&status), said("Unknown", "Publishing"));
        let made = WeightsStatus {
            netuid: 2,
            block: 7,
            at: Time(Timestamp::UNIX_EPOCH),
            digest: Digest::of(b"weights"),
            uids: 3,
            left_out: 1,
            greatest: Vec::new(),
            sent: Some(8),
            next: 108,
        };
        let told = publication::Told {
            status: Some(made.clone()),
            said: Some(Said {
                truth: Truth::False,
                reason: reason::CHAIN_UNREACHABLE,
                message: "wss://chain.example: it is away".to_owned(),
            }),
            ..publication::Told::default()
        };
        let status = planned(weighing(&told), &status);
        assert_eq!(published(&status), said("False", "ChainUnreachable"));
        assert_eq!(status.weights.as_ref(), Some(&made));
        assert_eq!(
            ready(&status).0,
            "True",
            "a chain that is away is no fault of the spec"
        );
        // The operator has started again, and has not looked yet.
        let status = planned(weighing(&publication::Told::default()), &status);
        assert_eq!(status.weights.as_ref(), Some(&made));
        let status = planned(rules(None, None), &status);
        assert_eq!((published(&status), status.weights), (None, None));
    }

    #[test]
    fn the_one_that_rules_tells_what_is_in_force() {
        let spec = ValidatorSpec::default();
        let status = planned(rules(None, Some(&spec)), &ValidatorStatus::default());
        assert_eq!(ready(&status).0, "True");
        assert_eq!(ready(&status).1, reason::IN_FORCE);
        assert_eq!(
            (status.settings, status.observed_generation),
            (Some(spec), Some(3))
        );
        assert!(status.totals.is_some());
        assert_eq!(status.scoring.unwrap().rule, "SpeedSizeAccuracy");
    }

    #[test]
    fn an_invalid_one_says_what_is_wrong_and_what_stays_in_force() {
        let spec = ValidatorSpec::default();
        let status = planned(
            rules(Some("leases: no"), Some(&spec)),
            &ValidatorStatus::default(),
        );
        let (truth, why, message) = ready(&status);
        assert_eq!((truth.as_str(), why.as_str()), ("False", reason::INVALID_SPEC));
        assert!(
            message.contains("leases: no") && message.contains("status.settings"),
            "{message}"
        );
        assert_eq!(status.settings, Some(spec), "what is in force");
        let message = ready(&planned(rules(Some("no"), None), &ValidatorStatus::default())).2;
        assert!(message.contains("defaults"), "{message}");
    }

    #[test]
    fn one_that_does_not_rule_names_who_does_and_claims_no_settings() {
        let spec = ValidatorSpec::default();
        let before = planned(rules(None, Some(&spec)), &ValidatorStatus::default());
        for (place, word) in [
            (Place::Superseded("older"), "`older`"),
            (Place::Elsewhere("system"), "`system`"),
        ] {
            let status = planned(place, &before);
            let (truth, why, message) = ready(&status);
            assert_eq!((truth.as_str(), why.as_str()), ("False", reason::SUPERSEDED));
            assert!(message.contains(word), "{message}");
            assert!(status.settings.is_none() && status.totals.is_none() && status.scoring.is_none());
            assert!(find_condition(&status.conditions, condition::STALLED).is_some());
            let again = planned(rules(None, Some(&spec)), &status);
            assert!(find_condition(&again.conditions, condition::STALLED).is_none());
        }
    }

    #[test]
    fn what_is_said_of_benchmarks_goes_with_them_and_their_number_stays() {
        let spec = ValidatorSpec::default();
        let mut place = rules(None, Some(&spec));
        let totals = BenchmarkTotals {
            made: 4,
            latest: None,
        };
        if let Place::Rules { benchmarks, .. } = &mut place {
            let told = Told {
                truth: Truth::False,
                reason: reason::ORGANIC_WORK_WAITS,
                message: "more waits".to_owned(),
            };
            *benchmarks = Some((told, totals.clone()));
        }
        let status = planned(place, &ValidatorStatus::default());
        let said = find_condition(&status.conditions, condition::BENCHMARKING).unwrap();
        assert_eq!(
            (said.status.as_str(), said.reason.as_str()),
            ("False", "OrganicWorkWaits")
        );
        assert_eq!(ready(&status).0, "True");
        let status = planned(rules(None, Some(&spec)), &status);
        assert!(find_condition(&status.conditions, condition::BENCHMARKING).is_none());
        assert_eq!(status.benchmarks, Some(totals));
    }

    #[test]
    fn a_key_that_the_ledger_does_not_name_is_told_of_and_leaves_the_spec_in_force() {
        let spec = ValidatorSpec::default();
        let signed = |status: &ValidatorStatus| {
            let signed = find_condition(&status.conditions, condition::LEDGER_SIGNED);
            signed.map(|c| (c.status.clone(), c.reason.clone()))
        };
        let status = planned(rules(None, Some(&spec)), &ValidatorStatus::default());
        assert_eq!(signed(&status), Some(("True".to_owned(), "Signed".to_owned())));
        let mut place = rules(None, Some(&spec));
        if let Place::Rules { held, .. } = &mut place {
            *held = Some("restore that key");
        }
        let status = planned(place, &status);
        assert_eq!(
            signed(&status),
            Some(("False".to_owned(), "KeyNotNamed".to_owned()))
        );
        assert_eq!(ready(&status).0, "True");
        let status = planned(Place::Superseded("older"), &status);
        assert_eq!(signed(&status), None);
    }
}
