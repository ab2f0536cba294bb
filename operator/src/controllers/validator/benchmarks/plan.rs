//! What is made and what goes: a pure function of what was found and the time.

use std::time::Duration;

use zkinfer_crds::k8s::Truth;
use zkinfer_crds::k8s::validator::{Benchmarks, reason};

use super::super::made::{Benchmark, End, Told};

/// Two benchmarks are at least so far apart, in milliseconds: each has entries in the ledger, however little its work is.
const CLOSEST: u64 = 5000;
/// What nobody tells of is looked at again after this: pressure that passes, and a Model that becomes ready.
const SOON: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(10);
/// So many of the latest that all failed are told of.
const FAILING: usize = 3;

/// Everything that a plan is made from.
#[derive(Debug, Clone)]
pub(super) struct Observed<'a> {
    /// What the Validator says.
    pub(super) spec: &'a Benchmarks,
    /// The time, in Unix milliseconds.
    pub(super) now: u64,
    /// One person runs all of it.
    pub(super) local: bool,
    /// Why the artifact store cannot be used now.
    pub(super) store: Option<String>,
    /// Slices of other requests that wait, of requests that most pools could serve.
    pub(super) organic: u32,
    /// The Models of the spec, in its order.
    pub(super) models: Vec<Candidate>,
    /// The number of the benchmark that was made last; 0: none was.
    pub(super) made: u64,
    /// The benchmarks that there are, by number.
    pub(super) there: Vec<Benchmark>,
}

/// A Model of the spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) weight: u32,
    /// Predicted microseconds of all of it, or why it cannot be benchmarked now.
    pub(super) work: Result<u64, String>,
    /// The operator, which has just started, knows what it is.
    pub(super) known: bool,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// The number of the benchmark to make.
    pub(super) make: Option<u64>,
    /// Names of those that go.
    pub(super) remove: Vec<String>,
    pub(super) told: Told,
    /// Whether none would be made now, however long ago the last one was.
    pub(super) paused: bool,
    /// When to look again.
    pub(super) again: Duration,
}

/// Decides.
pub(super) fn plan(observed: &Observed<'_>) -> Plan {
    let ended = observed.there.iter().filter(|b| b.end.is_some());
    let many = ended.clone().count().saturating_sub(observed.spec.keep as usize);
    let remove = ended.take(many).map(|b| b.name.clone()).collect();
    let said = |truth: bool, reason, message| Told {
        truth: Truth::from(truth),
        reason,
        message,
    };
    if let Some((reason, message, again)) = pause(observed) {
        return Plan {
            make: None,
            remove,
            told: said(false, reason, message),
            paused: true,
            again,
        };
    }
    let told = match failing(&observed.there) {
        Some(message) => said(false, reason::BENCHMARKS_FAIL, message),
        None => {
            let message = "benchmarks are made where a worker waits and nobody asks".to_owned();
            said(true, reason::BENCHMARKS_RUN, message)
        }
    };
    let under_way = observed.there.iter().filter(|b| b.end.is_none()).count();
    let due = due(observed);
    let usable = observed.models.iter().any(|m| m.work.is_ok());
    let (make, again) = if !usable || under_way >= observed.spec.max_in_flight as usize {
        (None, SOON)
    } else if observed.now < due {
        (None, Duration::from_millis(due - observed.now).min(LATER))
    } else {
        (Some(observed.made + 1), SOON)
    };
    Plan {
        make,
        remove,
        told,
        paused: false,
        again,
    }
}

/// Why none is made, whatever the rate: reason, message, and when to look again.
fn pause(observed: &Observed<'_>) -> Option<(&'static str, String, Duration)> {
    if observed.local {
        let message = "operator local makes no benchmarks: a run would never be over".to_owned();
        return Some((reason::LOCAL_RUN, message, LATER));
    }
    if let Some(why) = &observed.store {
        return Some((reason::STORE_UNAVAILABLE, why.clone(), LATER));
    }
    let why = |model: &Candidate| {
        let why = model.work.as_ref().err()?;
        Some(format!("Model {}/{}: {why}", model.namespace, model.name))
    };
    let obstacles: Vec<String> = observed.models.iter().filter_map(why).collect();
    // What is not known yet is about to be.
    if obstacles.len() == observed.models.len() && observed.models.iter().all(|m| m.known) {
        return Some((reason::NO_BENCHMARK_MODEL, obstacles.join("; "), LATER));
    }
    if observed.organic > observed.spec.pause_above {
        let message = format!(
            "more slices of other requests wait than benchmarks.pauseAbove, {}",
            observed.spec.pause_above
        );
        return Some((reason::ORGANIC_WORK_WAITS, message, SOON));
    }
    None
}

/// From when on the next one may be made: so long after the last as its work takes of the rate.
fn due(observed: &Observed<'_>) -> u64 {
    let last = observed.there.last();
    last.map_or(0, |last| {
        let pace = last.work.saturating_mul(60) / u64::from(observed.spec.work_millis_per_minute.max(1));
        last.created.saturating_add(pace.max(CLOSEST))
    })
}

/// How the last one failed, where all of the latest have.
fn failing(there: &[Benchmark]) -> Option<String> {
    let mut latest = there.iter().rev().filter_map(|b| Some((b, b.end.as_ref()?)));
    let latest: Vec<_> = latest.by_ref().take(FAILING).collect();
    let failed = |end: &End| matches!(end, End::Failed(_));
    if latest.len() < FAILING || !latest.iter().all(|(_, end)| failed(end)) {
        return None;
    }
    let (last, End::Failed(why)) = latest.first()? else {
        return None;
    };
    Some(format!(
        "the latest {FAILING} benchmarks have failed; the last of them, `{}`: {why}",
        last.name
    ))
}

/// The Model of a benchmark that is drawn with this seed, of those that can be benchmarked: each as often as it weighs.
pub(super) fn chosen<'m>(models: &'m [Candidate], seed: &[u8; 32]) -> Option<&'m Candidate> {
    let usable = || models.iter().filter(|m| m.work.is_ok());
    let all: u64 = usable().map(|m| u64::from(m.weight)).sum();
    let word = seed
        .iter()
        .take(8)
        .fold(0u64, |n, byte| (n << 8) | u64::from(*byte));
    let mut at = ((u128::from(word) * u128::from(all)) >> 64) as u64;
    usable().find(|model| {
        let weight = u64::from(model.weight);
        let is_it = at < weight;
        at = at.saturating_sub(weight);
        is_it
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Benchmarks {
        let json = r#"{"models":[{"namespace":"a","name":"x"}],"workMillisPerMinute":3000,"keep":2}"#;
        serde_json::from_str(json).unwrap()
    }

    fn model(name: &str, weight: u32, work: Result<u64, &str>) -> Candidate {
        Candidate {
            namespace: "a".to_owned(),
            name: name.to_owned(),
            weight,
            work: work.map_err(str::to_owned),
            known: true,
        }
    }

    /// One that was made at this second, of a Model of a second's work.
    fn made(number: u64, second: u64, end: Option<End>) -> Benchmark {
        Benchmark {
            number,
            name: format!("bench-{number}"),
            created: second * 1000,
            work: 1_000_000,
            end,
        }
    }

    fn observed(spec: &Benchmarks, second: u64, there: Vec<Benchmark>) -> Observed<'_> {
        Observed {
            spec,
            now: second * 1000,
            local: false,
            store: None,
            organic: 0,
            models: vec![model("x", 1, Ok(1_000_000))],
            made: there.last().map_or(0, |b| b.number),
            there,
        }
    }

    fn done() -> Option<End> {
        Some(End::Succeeded)
    }

    fn failed() -> Option<End> {
        Some(End::Failed("OutOfCalibratedRange: node a".to_owned()))
    }

    #[test]
    fn the_first_is_made_at_once_and_the_next_when_the_rate_allows_it() {
        let spec = spec();
        let first = plan(&observed(&spec, 100, vec![]));
        assert_eq!((first.make, first.paused), (Some(1), false));
        assert_eq!(first.told.reason, reason::BENCHMARKS_RUN);
        // A second of work, three a minute.
        let early = plan(&observed(&spec, 115, vec![made(1, 100, done())]));
        assert_eq!((early.make, early.again), (None, Duration::from_secs(5)));
        let due = plan(&observed(&spec, 120, vec![made(1, 100, done())]));
        assert_eq!(due.make, Some(2));
    }

    #[test]
    fn small_ones_are_five_seconds_apart_whatever_the_rate() {
        let spec = Benchmarks {
            work_millis_per_minute: 60_000_000,
            ..spec()
        };
        let there = || vec![made(1, 100, done())];
        assert_eq!(plan(&observed(&spec, 104, there())).make, None);
        assert_eq!(plan(&observed(&spec, 105, there())).make, Some(2));
    }

    #[test]
    fn no_more_are_under_way_than_the_spec_says() {
        let spec = spec();
        let under_way = plan(&observed(&spec, 900, vec![made(1, 100, None)]));
        assert_eq!((under_way.make, under_way.paused), (None, false));
        let two = Benchmarks {
            max_in_flight: 2,
            ..spec.clone()
        };
        assert_eq!(plan(&observed(&two, 900, vec![made(1, 100, None)])).make, Some(2));
    }

    #[test]
    fn none_is_made_while_more_waits_than_the_spec_says() {
        let spec = spec();
        let mut busy = observed(&spec, 900, vec![]);
        busy.organic = 1;
        let paused = plan(&busy);
        assert_eq!((paused.make, paused.paused), (None, true));
        assert_eq!(paused.told.reason, reason::ORGANIC_WORK_WAITS);
        let patient = Benchmarks {
            pause_above: 1,
            ..spec.clone()
        };
        busy.spec = &patient;
        assert_eq!(plan(&busy).make, Some(1));
    }

    #[test]
    fn without_a_model_store_or_cluster_none_is_made_and_the_reason_is_told() {
        let spec = spec();
        let mut without = observed(&spec, 900, vec![]);
        without.models = vec![
            model("x", 1, Err("there is no such Model")),
            model("y", 1, Err("it is not Ready")),
        ];
        let told = plan(&without).told;
        assert_eq!(told.reason, reason::NO_BENCHMARK_MODEL);
        assert_eq!(
            told.message,
            "Model a/x: there is no such Model; Model a/y: it is not Ready"
        );
        // Whoever has just started says nothing of what it has not looked at.
        without.models[1].known = false;
        let fresh = plan(&without);
        assert_eq!((fresh.make, fresh.told.reason), (None, reason::BENCHMARKS_RUN));
        let mut down = observed(&spec, 900, vec![]);
        down.store = Some("no".to_owned());
        assert_eq!(plan(&down).told.reason, reason::STORE_UNAVAILABLE);
        let mut local = observed(&spec, 900, vec![]);
        local.local = true;
        let plan = plan(&local);
        assert_eq!((plan.make, plan.told.reason), (None, reason::LOCAL_RUN));
    }

    #[test]
    fn the_oldest_of_those_that_are_over_go_and_what_is_under_way_stays() {
        let spec = spec();
        let there = vec![
            made(1, 1, None),
            made(2, 2, done()),
            made(3, 3, failed()),
            made(4, 4, done()),
            made(5, 5, done()),
        ];
        assert_eq!(plan(&observed(&spec, 6, there)).remove, ["bench-2", "bench-3"]);
    }

    #[test]
    fn three_failures_in_a_row_are_told_and_the_next_is_made_all_the_same() {
        let spec = spec();
        let there = vec![made(1, 1, failed()), made(2, 2, failed()), made(3, 3, failed())];
        let plan_of = |there| plan(&observed(&spec, 900, there));
        let bad = plan_of(there.clone());
        assert_eq!((bad.make, bad.told.reason), (Some(4), reason::BENCHMARKS_FAIL));
        assert!(
            bad.told
                .message
                .contains("`bench-3`: OutOfCalibratedRange: node a")
        );
        for end in [done(), Some(End::GivenUp)] {
            let better = there.iter().cloned().chain([made(4, 4, end)]).collect();
            assert_eq!(plan_of(better).told.reason, reason::BENCHMARKS_RUN);
        }
    }

    #[test]
    fn each_model_is_chosen_as_often_as_it_weighs_and_what_cannot_be_benchmarked_never() {
        let models = [
            model("x", 3, Ok(1)),
            model("away", 1000, Err("it is not Ready")),
            model("y", 1, Ok(1)),
        ];
        let mut times = std::collections::BTreeMap::new();
        for first in 0..=255u8 {
            let mut seed = [0; 32];
            seed[0] = first;
            *times
                .entry(chosen(&models, &seed).unwrap().name.clone())
                .or_insert(0) += 1;
        }
        assert_eq!((times["x"], times["y"], times.len()), (192, 64, 2));
        assert_eq!(chosen(&models, &[255; 32]).unwrap().name, "y");
        assert_eq!(chosen(&models[1..2], &[0; 32]), None);
    }
}
