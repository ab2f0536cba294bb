//! Whether a Model's requests are answered as its `slo` says: pure.
//!
//! Invariants: only what the operator, the network or a miner could have done otherwise counts against a Model: what a client refused,
//! took back or gave wrongly does not. Fewer than [`LEAST`] requests say nothing. What was missed is met again only with a tenth to
//! spare, so that a figure which wavers about its bound is not told anew at each look.

use std::time::Duration;

use kube::ResourceExt;
use zkinfer_crds::k8s::inference_request::reason as why;
use zkinfer_crds::k8s::model::{Slo, reason};
use zkinfer_crds::k8s::{InferenceRequest, RequestPhase, Truth, find_condition, inference_request};

/// Fewer requests say nothing of one in twenty.
pub const LEAST: usize = 20;
/// How often a Model with objectives is looked at.
pub const EVERY: Duration = Duration::from_secs(60);
const MILLION: u64 = 1_000_000;

/// Reasons for which a request fails by what its client gave.
const OF_THE_CLIENT: [&str; 5] = [
    why::INVALID_INPUT,
    why::OUT_OF_CALIBRATED_RANGE,
    why::INPUT_NOT_FOUND,
    why::OBJECT_TOO_LARGE,
    why::NOT_A_BENCHMARK,
];

/// One request of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// It has its receipt, so many seconds after its creation.
    Succeeded(u64),
    /// It has none, and will not have one.
    Failed,
    /// It is not over, and is so many seconds old.
    Unfinished(u64),
}

impl Answered {
    /// What a request says of its Model at a time, in Unix seconds, over so many hours; `None` of one that says nothing.
    #[must_use]
    pub fn of(request: &InferenceRequest, now: i64, hours: u32) -> Option<Self> {
        if request.is_benchmark() {
            return None;
        }
        let created = request.creation_timestamp()?.0.as_second();
        let seconds = |from: i64, to: i64| u64::try_from(to.saturating_sub(from)).unwrap_or_default();
        let status = request.status.as_ref();
        let Some(status) = status.filter(|status| status.phase.is_over()) else {
            // Whoever suspends or cancels it does not wait for it.
            let waits = !request.spec.suspend && !request.spec.cancel;
            return waits.then(|| Self::Unfinished(seconds(created, now)));
        };
        let finished = status.finished_at.as_ref()?.0.as_second();
        if seconds(finished, now) > u64::from(hours) * 3600 {
            return None;
        }
        match status.phase {
            RequestPhase::Succeeded => Some(Self::Succeeded(seconds(created, finished))),
            RequestPhase::Failed => {
                let ready = find_condition(&status.conditions, inference_request::condition::READY);
                let own = ready.is_some_and(|ready| OF_THE_CLIENT.contains(&ready.reason.as_str()));
                (!own).then_some(Self::Failed)
            }
            _ => None,
        }
    }
}

/// What is said of the objectives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Whether they are met.
    pub truth: Truth,
    /// One of the Model's reasons.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// What is known of the objectives at a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objectives {
    /// The spec has none.
    None,
    /// The requests are not all seen yet: what was said before stays.
    Unseen,
    /// They were judged.
    Told(Told),
}

/// Judges the requests of the window. `missed` is the reason for which the objectives were missed at the last look, if they were.
#[must_use]
pub fn judge(slo: &Slo, window: &[Answered], missed: Option<&str>) -> Told {
    let count = |is: fn(&Answered) -> bool| window.iter().filter(|answered| is(answered)).count();
    let succeeded = count(|answered| matches!(answered, Answered::Succeeded(_)));
    let failed = count(|answered| matches!(answered, Answered::Failed));
    let ended = succeeded + failed;
    let (times, slow) = times(slo, window);
    let judged = [
        slo.success_millionths.map(|least| {
            let met = enough(succeeded, ended, least, missed == Some(reason::TOO_FEW_SUCCEED));
            let said = format!(
                "{succeeded} of {ended} requests have succeeded, of at least {}",
                percent(least)
            );
            (ended, met, reason::TOO_FEW_SUCCEED, said)
        }),
        slo.p95_seconds.map(|most| {
            let met = quick(&times, most, missed == Some(reason::TOO_SLOW));
            let waiting = match slow {
                0 => String::new(),
                slow => format!(" ({slow} of them not over)"),
            };
            let said = format!(
                "95 % of {} requests{waiting} took at most {} s, of at most {most} s",
                times.len(),
                p95(&times)
            );
            (times.len(), met, reason::TOO_SLOW, said)
        }),
    ];
    let judged: Vec<_> = judged.into_iter().flatten().collect();
    let hours = slo.window_hours;
    let all = |of: &[&(usize, bool, &'static str, String)]| {
        let said: Vec<&str> = of.iter().map(|(.., said)| said.as_str()).collect();
        format!("in the last {hours} h {}", said.join("; "))
    };
    let known: Vec<_> = judged.iter().filter(|(of, ..)| *of >= LEAST).collect();
    if let Some((_, _, reason, _)) = known.iter().find(|(_, met, ..)| !met) {
        return Told {
            truth: Truth::False,
            reason,
            message: all(&known),
        };
    }
    if known.len() < judged.len() {
        let few: Vec<_> = judged.iter().filter(|(of, ..)| *of < LEAST).collect();
        return Told {
            truth: Truth::Unknown,
            reason: reason::TOO_FEW_REQUESTS,
            message: format!("{}: {LEAST} are needed to judge", all(&few)),
        };
    }
    Told {
        truth: Truth::True,
        reason: reason::OBJECTIVES_MET,
        message: all(&known),
    }
}

/// The times of requests in order, in seconds, with those that are not over as soon as they are too slow; and how many those are.
fn times(slo: &Slo, window: &[Answered]) -> (Vec<u64>, usize) {
    let most = slo.p95_seconds.map_or(u64::MAX, u64::from);
    let mut slow = 0;
    let mut times: Vec<u64> = window
        .iter()
        .filter_map(|answered| match answered {
            Answered::Succeeded(took) => Some(*took),
            Answered::Unfinished(since) if *since > most => {
                slow += 1;
                Some(*since)
            }
            Answered::Unfinished(_) | Answered::Failed => None,
        })
        .collect();
    times.sort_unstable();
    (times, slow)
}

/// What ninety-five of a hundred do not exceed; 0 of none.
fn p95(times: &[u64]) -> u64 {
    let at = (times.len() * 95).div_ceil(100).saturating_sub(1);
    times.get(at).copied().unwrap_or_default()
}

fn quick(times: &[u64], most: u32, missed: bool) -> bool {
    let (most, spare) = (u64::from(most) * 10, u64::from(most) * 9);
    p95(times) * 10 <= if missed { spare } else { most }
}

/// Whether of so many enough have succeeded; where it was missed before, nine tenths of the failures that are allowed are the most.
fn enough(succeeded: usize, ended: usize, least: u32, missed: bool) -> bool {
    let failed = (ended - succeeded) as u64;
    let allowed = (ended as u64).saturating_mul(MILLION.saturating_sub(least.into()));
    if missed {
        failed * MILLION * 10 <= allowed.saturating_mul(9)
    } else {
        failed * MILLION <= allowed
    }
}

fn percent(millionths: u32) -> String {
    let (whole, part) = (millionths / 10_000, millionths % 10_000);
    let part = format!("{part:04}");
    match part.trim_end_matches('0') {
        "" => format!("{whole} %"),
        part => format!("{whole}.{part} %"),
    }
}

#[cfg(test)]
mod tests;
