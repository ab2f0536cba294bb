//! What the objects of pods and Jobs show, without a word about what it means.
//!
//! Invariant: what only takes a moment shows nothing: everything here has lasted longer than it takes where all is well.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use zkinfer_crds::RequestUid;
use zkinfer_crds::wire::EXIT_DRAINED;

use super::symptoms::{Evidence, Kind};
use crate::legible::legible;
use crate::specs::labels;

/// The label with which the Job controller marks its pods.
const JOB_NAME: &str = "batch.kubernetes.io/job-name";
/// A pod that has no node after so long waits for more than its turn.
const TURN: i64 = 8;
/// Creating a container takes no longer, unless an image has to be fetched.
const START: i64 = 20;
/// A pod that is being deleted is gone so long after its grace time, unless its node is.
const OVERDUE: i64 = 12;
/// A program that has run for so long does not crash at once.
const SETTLED: i64 = 10;
/// A pod that ended badly longer ago says nothing about the pool of today, if workers are up.
const RECENT: i64 = 120;
/// Most that is told of a program's last words, in bytes: a cause has room for it beside the image's name.
const LAST_WORDS: usize = 360;
/// Container waiting reasons that are no failure.
const MOMENT: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// How a container ended that should not have.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Crash {
    /// Seconds ago.
    ago: i64,
    /// How often this pod's has.
    times: i64,
    /// It says so by itself that it will do so again.
    sure: bool,
    image: String,
    how: String,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodView {
    /// Its name.
    pub name: String,
    /// The request that it is for.
    pub request: Option<RequestUid>,
    /// The Job that made it.
    pub job: Option<String>,
    /// Its process runs, and its node answers; for how many seconds.
    up: Option<i64>,
    /// It is over.
    pub over: bool,
    /// Its node does not answer.
    pub lost: bool,
    /// It is being started for longer than that takes: its events may say why.
    pub slow: bool,
    crash: Option<Crash>,
    shows: Option<Evidence>,
}

impl PodView {
    /// From the object; `None` for one that is being deleted, as it should be.
    #[must_use]
    pub fn of(pod: &Pod, now: &Time) -> Option<Self> {
        let ago = |time: &Time| now.0.as_second() - time.0.as_second();
        let status = pod.status.clone().unwrap_or_default();
        let leaving = pod.metadata.deletion_timestamp.as_ref().map(ago);
        let phase = status.phase.as_deref().unwrap_or_default();
        let over = matches!(phase, "Succeeded" | "Failed");
        // A deletion's time is when the pod should be gone.
        if leaving.is_some_and(|late| late < OVERDUE) || (leaving.is_some() && over) {
            return None;
        }
        let name = pod.name_any();
        let node = pod.spec.as_ref().and_then(|s| s.node_name.clone());
        let lost = node.is_some() && !over && (leaving.is_some() || unanswered(&status));
        let container = status.container_statuses.iter().flatten().next();
        let runs = container.and_then(|c| c.state.as_ref()?.running.as_ref()?.started_at.as_ref());
        let shows = if lost {
            let node = node.unwrap_or_default();
            let since = if leaving.is_some() {
                "the pod should be gone, and is not"
            } else {
                "it runs, as far as is known"
            };
            Some(Evidence {
                kind: Kind::Lost,
                text: format!("node {node}, where pod {name} is, does not answer: {since}"),
            })
        } else if over {
            node_failure(&name, &status)
        } else {
            waiting(container).or_else(|| unscheduled(&name, pod, &status, now))
        };
        let created = pod.metadata.creation_timestamp.as_ref().map_or(0, ago);
        let starting = container.is_none_or(|c| {
            let waiting = c.state.as_ref().and_then(|s| s.waiting.as_ref());
            waiting.is_some_and(|w| w.reason.as_deref().is_none_or(|r| MOMENT.contains(&r)))
        });
        let scheduled = condition(&status, "PodScheduled").filter(|c| c.status == "True");
        let since = scheduled
            .and_then(|c| c.last_transition_time.as_ref())
            .map_or(created, ago);
        Some(Self {
            request: labels::request_uid(pod.labels()),
            job: pod.labels().get(JOB_NAME).cloned(),
            up: runs.map(ago).filter(|_| phase == "Running" && !lost),
            over,
            lost,
            slow: !over && !lost && shows.is_none() && scheduled.is_some() && starting && since >= START,
            crash: container.and_then(|c| crash(c, pod, now)),
            shows,
            name,
        })
    }
}

/// What the pods of a pool or of a Model show together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// Everything that is wrong with them.
    pub evidence: Vec<Evidence>,
    /// Some process is up.
    pub up: bool,
}

/// Puts pods together. One that ended by itself may have had its reasons; two have not, and one that was killed for want
/// of memory will be again.
#[must_use]
pub fn together(pods: &[PodView]) -> Seen {
    let crashes: Vec<&Crash> = pods.iter().filter_map(|p| p.crash.as_ref()).collect();
    let last = crashes.iter().min_by_key(|c| c.ago);
    let settled = |seconds: i64| seconds >= SETTLED;
    let up = pods.iter().filter_map(|p| p.up);
    // Of programs that end soon after they start, one that has just been started says nothing.
    let up = match last {
        None => up.count() > 0,
        Some(_) => up.filter(|seconds| settled(*seconds)).count() > 0,
    };
    let mut evidence: Vec<Evidence> = pods.iter().filter_map(|p| p.shows.clone()).collect();
    let recent = |crash: &&&Crash| crash.ago < RECENT || !up;
    if let Some(last) = last.filter(recent) {
        let times: i64 = crashes.iter().map(|c| c.times).sum();
        if times > 1 || last.sure {
            let often = if times == 1 {
                "once".to_owned()
            } else {
                format!("{times} times")
            };
            evidence.push(Evidence {
                kind: Kind::Ended,
                text: format!("{} has ended {often}, with {}", last.image, last.how),
            });
        }
    }
    Seen { evidence, up }
}

fn condition<'a>(status: &'a PodStatus, type_: &str) -> Option<&'a PodCondition> {
    status.conditions.iter().flatten().find(|c| c.type_ == type_)
}

/// The control plane takes a pod's `Ready` away, and nothing else, when its node does not answer any more. (The
/// operator's pods have neither readiness probes nor gates.)
fn unanswered(status: &PodStatus) -> bool {
    let is = |type_, what| condition(status, type_).is_some_and(|c| c.status == what);
    is("ContainersReady", "True") && is("Ready", "False")
}

fn waiting(container: Option<&ContainerStatus>) -> Option<Evidence> {
    let container = container?;
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let why = waiting.reason.as_deref()?;
    // What is behind a pause between crashes is the crash.
    if MOMENT.contains(&why) || why == "CrashLoopBackOff" {
        return None;
    }
    let message = waiting.message.as_deref().unwrap_or("no more is known");
    Some(Evidence {
        kind: Kind::Waiting,
        text: format!("{}: {why}: {message}", container.image),
    })
}

fn unscheduled(name: &str, pod: &Pod, status: &PodStatus, now: &Time) -> Option<Evidence> {
    if status.phase.as_deref() != Some("Pending") || pod.spec.as_ref().is_some_and(|s| s.node_name.is_some())
    {
        return None;
    }
    let scheduled = condition(status, "PodScheduled").filter(|c| c.status == "False");
    let created = pod.metadata.creation_timestamp.as_ref();
    let since = scheduled
        .and_then(|c| c.last_transition_time.as_ref())
        .or(created)?;
    let waits = now.0.as_second() - since.0.as_second();
    let text = match scheduled {
        Some(c) => format!(
            "pod {name}: {}: {}",
            c.reason.as_deref().unwrap_or("PodScheduled"),
            c.message.as_deref().unwrap_or_default()
        ),
        None => format!("pod {name}: no scheduler has looked at it"),
    };
    (waits >= TURN).then_some(Evidence {
        kind: Kind::Unscheduled,
        text,
    })
}

/// A pod that the node, not its program, has ended. One that somebody sent away is replaced, and nothing is wrong.
fn node_failure(name: &str, status: &PodStatus) -> Option<Evidence> {
    let reason = status.reason.as_deref()?;
    let asked = condition(status, "DisruptionTarget")
        .is_some_and(|c| c.status == "True" && c.reason.as_deref() != Some("TerminationByKubelet"));
    if asked || status.phase.as_deref() != Some("Failed") || reason == "DeadlineExceeded" {
        return None;
    }
    let message = status.message.as_deref().unwrap_or("no more is known");
    Some(Evidence {
        kind: Kind::Failed,
        text: format!("pod {name}: {reason}: {message}"),
    })
}

fn crash(container: &ContainerStatus, pod: &Pod, now: &Time) -> Option<Crash> {
    let status = pod.status.as_ref()?;
    if condition(status, "DisruptionTarget").is_some_and(|c| c.status == "True") {
        return None;
    }
    let state = |s: Option<&k8s_openapi::api::core::v1::ContainerState>| s.and_then(|s| s.terminated.clone());
    let ended = state(container.state.as_ref()).or_else(|| state(container.last_state.as_ref()))?;
    let meant = [0, i32::from(EXIT_DRAINED)].contains(&ended.exit_code)
        && ended.reason.as_deref() != Some("OOMKilled");
    if meant {
        return None;
    }
    let ago = ended
        .finished_at
        .as_ref()
        .map_or(0, |at| now.0.as_second() - at.0.as_second());
    let loops = container
        .state
        .as_ref()
        .and_then(|s| s.waiting.as_ref())
        .is_some_and(|w| w.reason.as_deref() == Some("CrashLoopBackOff"));
    Some(Crash {
        ago,
        times: i64::from(container.restart_count).max(1),
        // A status that nobody knows is of a node that came back, not of the program.
        sure: loops
            || ended
                .reason
                .as_deref()
                .is_some_and(|r| !["Error", "ContainerStatusUnknown"].contains(&r)),
        image: container.image.clone(),
        how: how(&ended),
    })
}

fn how(ended: &ContainerStateTerminated) -> String {
    let reason = ended.reason.as_deref().unwrap_or("no reason");
    let words = last_words(ended.message.as_deref().unwrap_or_default());
    let colon = if words.is_empty() { "" } else { ": " };
    format!("exit code {}, {reason}{colon}{words}", ended.exit_code)
}

/// The end of what a program said, in one line: that is where it says why it ends. A stranger's program may have said it, so
/// nothing of it can paint over what is shown beside it.
fn last_words(message: &str) -> String {
    let lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = legible(&lines.collect::<Vec<_>>().join(" / "));
    let mut from = line.len().saturating_sub(LAST_WORDS);
    while !line.is_char_boundary(from) {
        from += 1;
    }
    let cut = if from == 0 { "" } else { "… " };
    format!("{cut}{}", &line[from..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::symptoms::{Whose, diagnose};
    use serde_json::{Value, json};

    fn now() -> Time {
        Time("2026-01-01T00:01:00Z".parse().unwrap())
    }

    fn pod(more: &Value, status: &Value) -> Option<PodView> {
        let mut pod = json!({
            "metadata": { "name": "p", "creationTimestamp": "2026-01-01T00:00:00Z" },
            "spec": { "containers": [], "nodeName": "n" }, "status": status,
        });
        for (key, value) in more.as_object().unwrap() {
            pod["metadata"][key] = value.clone();
        }
        PodView::of(&serde_json::from_value::<Pod>(pod).unwrap(), &now())
    }

    fn container(state: &Value, last: &Value, restarts: u32) -> Value {
        json!([{
            "name": "worker", "image": "x/y:z", "imageID": "", "ready": false, "restartCount": restarts,
            "state": state, "lastState": last,
        }])
    }

    fn ended(code: i32, reason: &str, at: &str) -> PodView {
        let state = json!({ "terminated": { "exitCode": code, "reason": reason, "finishedAt": at } });
        let status = json!({ "phase": "Failed", "containerStatuses": container(&state, &json!({}), 0) });
        pod(&json!({}), &status).unwrap()
    }

    fn running(since: &str) -> PodView {
        let state = json!({ "running": { "startedAt": since } });
        let status = json!({ "phase": "Running", "containerStatuses": container(&state, &json!({}), 0) });
        pod(&json!({}), &status).unwrap()
    }

    fn told(pods: &[PodView]) -> (Option<&'static str>, bool) {
        let seen = together(pods);
        (diagnose(&seen.evidence, Whose::Pool).map(|f| f.reason), seen.up)
    }

    #[test]
    fn one_that_ended_by_itself_may_have_had_its_reasons_and_two_have_not() {
        let crash = || ended(137, "Error", "2026-01-01T00:00:50Z");
        assert_eq!(told(&[crash()]), (None, false));
        assert_eq!(told(&[crash(), crash()]), (Some("Crashing"), false));
        let memory = ended(137, "OOMKilled", "2026-01-01T00:00:50Z");
        assert_eq!(told(&[memory]), (Some("OutOfMemory"), false));
        for meant in [0, 75] {
            let ended = ended(meant, "Completed", "2026-01-01T00:00:50Z");
            assert_eq!(told(&[ended.clone(), ended]), (None, false), "{meant}");
        }
    }

    #[test]
    fn a_program_that_was_just_started_again_is_no_sign_of_health_and_one_that_stays_up_is() {
        let crash = || ended(1, "Error", "2026-01-01T00:00:50Z");
        let young = running("2026-01-01T00:00:57Z");
        assert_eq!(
            told(&[crash(), crash(), young.clone()]),
            (Some("Crashing"), false)
        );
        let old = running("2026-01-01T00:00:40Z");
        assert_eq!(told(&[crash(), crash(), old.clone()]), (Some("Crashing"), true));
        let long_ago = || ended(1, "Error", "2025-12-31T23:58:00Z");
        assert_eq!(told(&[long_ago(), long_ago(), old]), (None, true));
        assert_eq!(told(&[young]), (None, true));
    }

    #[test]
    fn a_container_between_two_crashes_tells_of_the_crash() {
        let waiting = json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 10s" } });
        let last = json!({ "terminated": { "exitCode": 2, "reason": "Error", "finishedAt": "2026-01-01T00:00:55Z" } });
        let status = json!({ "phase": "Running", "containerStatuses": container(&waiting, &last, 1) });
        let seen = together(&[pod(&json!({}), &status).unwrap()]);
        assert_eq!(
            seen.evidence[0].text,
            "x/y:z has ended once, with exit code 2, Error"
        );
        assert!(!seen.up);
    }

    #[test]
    fn of_what_a_program_said_the_end_is_told_and_nothing_that_paints() {
        let told = |message: &str| {
            let terminated = json!({ "exitCode": 2, "reason": "Error", "message": message });
            how(&serde_json::from_value(terminated).unwrap())
        };
        assert_eq!(told(" \n"), "exit code 2, Error");
        let progress = "0.10 s fetching the model\n".repeat(80);
        let said = told(&format!("{progress}error: /work/out: No space left on device\n"));
        assert!(said.starts_with("exit code 2, Error: … "), "{said}");
        assert!(
            said.ends_with("model / error: /work/out: No space left on device"),
            "{said}"
        );
        let painted = told("\u{1b}[2Jall is well\u{202e}");
        assert_eq!(painted, "exit code 2, Error:  [2Jall is well ");
        // Whatever is long, the end is there after the cause is cut.
        let seen = Evidence {
            kind: Kind::Ended,
            text: format!(
                "{} has ended 2 times, with {}",
                "i".repeat(200),
                told(&"ü".repeat(2000))
            ),
        };
        assert!(seen.text.ends_with('ü'));
        let finding = diagnose(std::slice::from_ref(&seen), Whose::Compiler).unwrap();
        assert!(finding.message.starts_with(&seen.text), "{finding:?}");
    }

    #[test]
    fn a_node_that_does_not_answer_shows_in_the_pods_condition_or_in_its_never_going() {
        let conditions = |ready| {
            json!([{ "type": "ContainersReady", "status": "True" }, { "type": "Ready", "status": ready },
                   { "type": "PodScheduled", "status": "True" }])
        };
        let state = json!({ "running": { "startedAt": "2026-01-01T00:00:10Z" } });
        let status = |ready| {
            json!({ "phase": "Running", "conditions": conditions(ready),
                    "containerStatuses": container(&state, &json!({}), 0) })
        };
        let answers = pod(&json!({}), &status("True")).unwrap();
        assert_eq!(
            (answers.lost, told(std::slice::from_ref(&answers))),
            (false, (None, true))
        );
        let lost = pod(&json!({}), &status("False")).unwrap();
        assert_eq!(
            (lost.lost, told(std::slice::from_ref(&lost))),
            (true, (Some("NodeLost"), false))
        );
        let leaving = |until: &str| pod(&json!({ "deletionTimestamp": until }), &status("True"));
        assert_eq!(leaving("2026-01-01T00:00:55Z"), None, "it has a moment to go");
        let overdue = leaving("2026-01-01T00:00:30Z").unwrap();
        assert_eq!(
            (overdue.lost, told(std::slice::from_ref(&overdue))),
            (true, (Some("NodeLost"), false))
        );
    }

    #[test]
    fn a_pod_without_a_node_is_told_of_after_a_moment() {
        let unscheduled = |since: &str| {
            let status = json!({ "phase": "Pending", "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": "0/1 nodes are available", "lastTransitionTime": since,
            }] });
            let pod = json!({ "metadata": { "name": "p" }, "spec": { "containers": [] }, "status": status });
            PodView::of(&serde_json::from_value::<Pod>(pod).unwrap(), &now()).unwrap()
        };
        assert_eq!(told(&[unscheduled("2026-01-01T00:00:58Z")]), (None, false));
        assert_eq!(
            told(&[unscheduled("2026-01-01T00:00:30Z")]),
            (Some("Unschedulable"), false)
        );
    }

    #[test]
    fn what_keeps_a_container_waiting_is_told_and_starting_takes_a_moment() {
        let waits = |reason: &str, scheduled: &str| {
            let state = json!({ "waiting": { "reason": reason, "message": "its words" } });
            let conditions =
                json!([{ "type": "PodScheduled", "status": "True", "lastTransitionTime": scheduled }]);
            let status = json!({ "phase": "Pending", "conditions": conditions,
                                 "containerStatuses": container(&state, &json!({}), 0) });
            pod(&json!({}), &status).unwrap()
        };
        let image = waits("ErrImagePull", "2026-01-01T00:00:59Z");
        assert_eq!(
            together(&[image]).evidence[0].text,
            "x/y:z: ErrImagePull: its words"
        );
        let creating = |scheduled| waits("ContainerCreating", scheduled).slow;
        assert!(!creating("2026-01-01T00:00:50Z") && creating("2026-01-01T00:00:30Z"));
    }

    #[test]
    fn a_pod_that_was_sent_away_is_no_fault_and_one_that_its_node_evicts_is() {
        let failed = |disruption: &str| {
            let status = json!({ "phase": "Failed", "reason": "Evicted", "message": "low on ephemeral-storage",
                "conditions": [{ "type": "DisruptionTarget", "status": "True", "reason": disruption }] });
            told(&[pod(&json!({}), &status).unwrap()])
        };
        assert_eq!(failed("EvictionByEvictionAPI"), (None, false));
        assert_eq!(failed("TerminationByKubelet"), (Some("Evicted"), false));
    }
}
