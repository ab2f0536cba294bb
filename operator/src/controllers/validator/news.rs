//! What of a status is worth an event.

use kube::runtime::events::EventType;
use zkinfer_crds::k8s::validator::{ValidatorStatus, condition, reason};
use zkinfer_crds::k8s::{Truth, find_condition, holds, is_true};

use crate::world::News;

/// The conditions changed, not only what is counted and what becomes of benchmarks.
fn more_than_totals(old: &ValidatorStatus, new: &ValidatorStatus) -> bool {
    let without = |status: &ValidatorStatus| {
        let conditions = status.conditions.iter().cloned();
        ValidatorStatus {
            totals: None,
            ledger: None,
            nearly_full: Vec::new(),
            benchmarks: None,
            conditions: conditions
                .filter(|c| c.type_ != condition::BENCHMARKING)
                .collect(),
            ..status.clone()
        }
    };
    without(old) != without(new)
}

/// The events that the change is worth.
pub(super) fn news(old: &ValidatorStatus, new: &ValidatorStatus) -> Vec<News> {
    rules(old, new).into_iter().chain(benchmarks(old, new)).collect()
}

fn rules(old: &ValidatorStatus, new: &ValidatorStatus) -> Vec<News> {
    if !more_than_totals(old, new) {
        return Vec::new();
    }
    let weights = of_weights(old, new);
    // What the weights are is no news of the spec.
    let spec = |status: &ValidatorStatus| {
        let others = status.conditions.iter();
        let others = others.filter(|c| c.type_ != condition::WEIGHTS_PUBLISHED);
        (status.settings.clone(), others.cloned().collect::<Vec<_>>())
    };
    let ready = find_condition(&new.conditions, condition::READY).filter(|_| spec(old) != spec(new));
    let ready = ready.map(|ready| {
        let type_ = match is_true(&new.conditions, condition::READY) {
            true => EventType::Normal,
            false => EventType::Warning,
        };
        (type_, ready.reason.clone(), "Rule", ready.message.clone())
    });
    ready.into_iter().chain(weights).collect()
}

/// Weights have left, or they have not, for another reason than before.
fn of_weights(old: &ValidatorStatus, new: &ValidatorStatus) -> Option<News> {
    let published = find_condition(&new.conditions, condition::WEIGHTS_PUBLISHED)?;
    let sent = |status: &ValidatorStatus| status.weights.as_ref().map(|of| (of.digest, of.sent));
    let before = find_condition(&old.conditions, condition::WEIGHTS_PUBLISHED);
    let same = before.is_some_and(|before| before.reason == published.reason);
    match Truth::of(published) {
        Some(Truth::True) if same && sent(old) == sent(new) => None,
        Some(Truth::True) => Some((
            EventType::Normal,
            published.reason.clone(),
            "Publish",
            published.message.clone(),
        )),
        Some(Truth::False) if !same => Some((
            EventType::Warning,
            published.reason.clone(),
            "Publish",
            published.message.clone(),
        )),
        Some(Truth::False | Truth::Unknown) | None => None,
    }
}

/// That benchmarks begin, and what somebody has to mend before they go on. That others go first is no news.
fn benchmarks(old: &ValidatorStatus, new: &ValidatorStatus) -> Option<News> {
    let said =
        |status: &ValidatorStatus| find_condition(&status.conditions, condition::BENCHMARKING).cloned();
    let (before, now) = (said(old), said(new)?);
    let before = before.map_or_else(String::new, |c| c.reason);
    let passes = [reason::ORGANIC_WORK_WAITS, reason::BENCHMARKS_RUN];
    let news = before != now.reason
        && now.reason != reason::ORGANIC_WORK_WAITS
        && !(passes.contains(&before.as_str()) && now.reason == reason::BENCHMARKS_RUN);
    let type_ = match holds(&now) {
        true => EventType::Normal,
        false => EventType::Warning,
    };
    news.then_some((type_, now.reason, "Benchmark", now.message))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;
    use zkinfer_crds::k8s::set_condition;
    use zkinfer_crds::k8s::validator::reason;

    use super::*;

    fn with(
        status: &ValidatorStatus,
        type_: &str,
        truth: Truth,
        reason: &str,
        message: &str,
    ) -> ValidatorStatus {
        let mut status = status.clone();
        let now = Time(Timestamp::UNIX_EPOCH);
        set_condition(
            &mut status.conditions,
            type_,
            truth,
            reason,
            message,
            Some(1),
            &now,
        );
        status
    }

    #[test]
    fn a_chain_that_is_away_is_told_once_and_that_it_is_back_too() {
        let nothing = ValidatorStatus::default();
        let ready = with(
            &nothing,
            condition::READY,
            Truth::True,
            reason::IN_FORCE,
            "in force",
        );
        assert_eq!(news(&nothing, &ready).len(), 1);
        let say = |old: &ValidatorStatus, truth, why, message| {
            let new = with(old, condition::WEIGHTS_PUBLISHED, truth, why, message);
            let told: Vec<_> = news(old, &new).into_iter().map(|(_, why, ..)| why).collect();
            (new, told)
        };
        let (away, told) = say(&ready, Truth::False, reason::CHAIN_UNREACHABLE, "away");
        assert_eq!(told, ["ChainUnreachable"]);
        let (still, told) = say(&away, Truth::False, reason::CHAIN_UNREACHABLE, "still away");
        assert!(told.is_empty(), "{told:?}");
        let (sent, told) = say(&still, Truth::Unknown, reason::PUBLISHING, "sent");
        assert!(told.is_empty(), "{told:?}");
        let (_, told) = say(&sent, Truth::True, reason::PUBLISHED, "they have left");
        assert_eq!(told, ["Published"]);
    }

    fn saying(why: &str) -> ValidatorStatus {
        let mut status = ValidatorStatus::default();
        let truth = Truth::from(why == reason::BENCHMARKS_RUN);
        let at = Time(Timestamp::UNIX_EPOCH);
        let type_ = condition::BENCHMARKING;
        set_condition(&mut status.conditions, type_, truth, why, "", None, &at);
        status
    }

    #[test]
    fn that_benchmarks_begin_or_cannot_be_made_is_an_event_and_that_they_pause_is_none() {
        let told = |from: &ValidatorStatus, to: &str| {
            let news = news(from, &saying(to));
            news.first().map(|(_, reason, ..)| reason.clone())
        };
        let (run, waits) = (reason::BENCHMARKS_RUN, reason::ORGANIC_WORK_WAITS);
        let none = reason::NO_BENCHMARK_MODEL;
        assert_eq!(told(&ValidatorStatus::default(), run).as_deref(), Some(run));
        assert_eq!(told(&saying(run), waits), None);
        assert_eq!(told(&saying(waits), run), None);
        assert_eq!(told(&saying(run), none).as_deref(), Some(none));
        assert_eq!(told(&saying(none), none), None);
        assert_eq!(told(&saying(none), run).as_deref(), Some(run));
    }
}
