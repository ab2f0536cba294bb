//! What a person is told at the end: the answer, how sure it is, who proved it and how to check it; or why there is none.
//!
//! Invariant: everything comes from the objects, so that local mode and a cluster say the same of the same status.

use std::collections::BTreeMap;
use std::fmt::Write;

use zkinfer_crds::k8s::request_status::{RequestAnswer, RequestOutput, SliceVerdict};
use zkinfer_crds::k8s::{InferenceRequest, Model, find_condition, inference_request};

use crate::legible::legible;

/// How many of an output's values are written; the status has more.
const SHOWN_VALUES: usize = 8;

/// What the request was answered, in a few lines. `name` is how the reader knows it; `fetch` gets the receipt where it is
/// not a file yet; `verify` checks it.
#[must_use]
pub fn answer(
    name: &str,
    request: &InferenceRequest,
    model: Option<&Model>,
    fetch: Option<&str>,
    verify: &str,
) -> String {
    let Some(status) = &request.status else {
        return String::new();
    };
    let mut text = String::new();
    let mut line = |what: &str, value: String| {
        let _ = writeln!(text, "  {what:<9}{value}");
    };
    if let Some(output) = &status.output {
        match (&status.batch, status.answers.as_slice()) {
            (_, []) => line("answer", values(output)),
            (batch, answers) => {
                let size = batch.map_or_else(String::new, |b| format!(", proved {} at once", b.size));
                line(
                    "answers",
                    format!("{}{size}", count(answers.len() as u32, "input")),
                );
                for (at, answer) in answers.iter().enumerate() {
                    line(&format!("input {at}"), one_of_several(output, answer));
                }
            }
        }
        let others = output.others.unwrap_or(0);
        let whole = match status.answers.as_slice() {
            [] => output.values.is_some(),
            answers => answers.iter().all(|answer| answer.values.is_some()),
        };
        if !whole || others > 0 {
            let more = match others {
                0 => "all values".to_owned(),
                n => format!("{} more", count(n, "output")),
            };
            line(
                "",
                format!("{more}: the command of `check it` with `-o json` prints them"),
            );
        }
    }
    if let Some(error) = status.error_vs_float_millionths {
        let most = model.map(|m| m.spec.quantization.error_budget_millionths);
        let most = most.map_or_else(String::new, |most| {
            format!("; at most {} % is accepted", percent(u64::from(most)))
        });
        line(
            "error",
            format!("{} % against the float model{most}", percent(error)),
        );
    }
    let total = status.slices.map_or(0, |s| s.total);
    let system = model.map_or_else(String::new, |m| format!(" with {}", m.spec.proof_system));
    line(
        "proved",
        format!("{}{system}, each verified", count(total, "slice")),
    );
    let verified: Vec<_> = status
        .recent_slices
        .iter()
        .filter(|row| row.verdict == SliceVerdict::Verified)
        .collect();
    // A status keeps the rows of the last attempts alone.
    let of_all = match verified.len() as u32 {
        rows if rows < total => format!(", of the last {}", count(rows, "slice")),
        _ => String::new(),
    };
    let mut miners: BTreeMap<&str, u32> = BTreeMap::new();
    for row in &verified {
        *miners.entry(&row.pool).or_default() += 1;
    }
    if !miners.is_empty() {
        let miners: Vec<String> = miners.iter().map(|(pool, n)| format!("{pool} {n}")).collect();
        line("miners", format!("{}{of_all}", miners.join(", ")));
    }
    let millis = verified.iter().map(|row| row.millis);
    if let (Some(least), Some(most)) = (millis.clone().min(), millis.max()) {
        line(
            "time",
            format!("{} a slice{of_all}{}", range(least, most), whole(request)),
        );
    }
    if let Some(receipt) = &status.receipt {
        let place = receipt.path.clone().unwrap_or_else(|| receipt.digest.to_string());
        line("receipt", format!("{place}, {} bytes", receipt.bytes));
    }
    if let Some(fetch) = fetch {
        line("fetch it", fetch.to_owned());
    }
    line("check it", verify.to_owned());
    format!("{name}\n{text}")
}

/// Why the request has no answer: its phase, reason and message.
#[must_use]
pub fn failure(name: &str, request: &InferenceRequest) -> String {
    let status = request.status.clone().unwrap_or_default();
    let ready = find_condition(&status.conditions, inference_request::condition::READY);
    let why = ready.map(|c| format!(": {}: {}", c.reason, c.message));
    // What a miner's pods say may be in it.
    legible(&format!("{name}: {}{}", status.phase, why.unwrap_or_default()))
}

/// The answer to one of several inputs, and how far it is off.
fn one_of_several(output: &RequestOutput, answer: &RequestAnswer) -> String {
    let error = percent(answer.error_vs_float_millionths);
    let told = match (&answer.values, answer.class) {
        (None, Some(class)) => {
            let name = answer.label.clone();
            name.unwrap_or_else(|| format!("class {class}"))
        }
        (None, None) => "more values than a status holds".to_owned(),
        (Some(_), _) => values(&RequestOutput {
            values: answer.values.clone(),
            class: answer.class,
            label: answer.label.clone(),
            ..output.clone()
        }),
    };
    format!("{told}, {error} % off")
}

/// The class and how clear it is, or the values themselves.
fn values(output: &RequestOutput) -> String {
    let shape: Vec<String> = output.shape.iter().map(ToString::to_string).collect();
    let named = format!(
        "{} [{}]",
        output.name.as_deref().unwrap_or("output"),
        shape.join(", ")
    );
    let Some(values) = &output.values else {
        return format!(
            "{named}: more values than a status holds; `--values FILE` of the command below writes them"
        );
    };
    match output.class {
        Some(class) => {
            let value = |at: u32| values.get(at as usize).copied().unwrap_or(f64::NAN);
            let second = (0..values.len() as u32)
                .filter(|at| *at != class)
                .max_by(|a, b| value(*a).total_cmp(&value(*b)));
            let second = second.map_or_else(String::new, |at| format!(", next {at} with {}", value(at)));
            let name = output.label.clone().unwrap_or_else(|| format!("class {class}"));
            format!(
                "{name}  ({named}: greatest at {class} with {}{second})",
                value(class)
            )
        }
        None => {
            let shown: Vec<String> = values
                .iter()
                .take(SHOWN_VALUES)
                .map(ToString::to_string)
                .collect();
            let more = if values.len() > SHOWN_VALUES { ", …" } else { "" };
            format!("{}{more}  ({named})", shown.join(", "))
        }
    }
}

fn percent(millionths: impl Into<u64>) -> String {
    format!("{:.2}", millionths.into() as f64 / 1e4)
}

fn count(n: u32, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn range(least: u64, most: u64) -> String {
    let seconds = |millis: u64| format!("{:.2}", millis as f64 / 1e3);
    if seconds(least) == seconds(most) {
        format!("{} s", seconds(most))
    } else {
        format!("{}–{} s", seconds(least), seconds(most))
    }
}

/// From start to receipt; a status counts whole seconds, so less than one is not said.
fn whole(request: &InferenceRequest) -> String {
    let status = request.status.as_ref();
    let started = status.and_then(|s| s.started_at.as_ref());
    let finished = status.and_then(|s| s.finished_at.as_ref());
    match started.zip(finished) {
        Some((from, to)) if to.0.as_second() > from.0.as_second() => {
            format!(
                ", {} s from start to receipt",
                to.0.as_second() - from.0.as_second()
            )
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(status: &serde_json::Value) -> InferenceRequest {
        serde_json::from_value(json!({
            "apiVersion": "zkinfer.dev/v1alpha1", "kind": "InferenceRequest", "metadata": { "name": "digit-7" },
            "spec": { "modelRef": { "name": "digits" }, "input": {} },
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn an_answer_says_what_who_how_sure_and_how_to_check() {
        let identity = zkinfer_crds::Identity::new([7; 32]).to_string();
        let row = |slice, pool: &str, verdict: &str, millis| json!({ "slice": slice, "pool": pool, "identity": identity, "attempt": 1, "millis": millis, "verdict": verdict });
        let digest = zkinfer_crds::Digest::of(b"receipt").to_string();
        let request = request(&json!({
            "phase": "Succeeded", "errorVsFloatMillionths": 1966,
            "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:03Z",
            "output": { "name": "logits", "shape": [1, 3], "values": [-1.5, 10.25, 2.0], "class": 1, "label": "one" },
            "slices": { "total": 2, "verified": 2 },
            "recentSlices": [row(0, "a/x", "Verified", 107), row(1, "b/y", "Lost", 9000), row(1, "a/x", "Verified", 143)],
            "receipt": { "digest": digest, "bytes": 162_503, "path": "r.cbor" },
        }));
        assert_eq!(
            answer(
                "default/digit-7",
                &request,
                None,
                None,
                "prover-worker verify r.cbor"
            ),
            "default/digit-7\n  \
             answer   one  (logits [1, 3]: greatest at 1 with 10.25, next 2 with 2)\n  \
             error    0.20 % against the float model\n  \
             proved   2 slices, each verified\n  \
             miners   a/x 2\n  \
             time     0.11–0.14 s a slice, 3 s from start to receipt\n  \
             receipt  r.cbor, 162503 bytes\n  \
             check it prover-worker verify r.cbor\n"
        );
    }

    #[test]
    fn of_more_slices_than_a_status_has_rows_it_is_said_of_how_many_the_miners_and_times_are() {
        let identity = zkinfer_crds::Identity::new([7; 32]).to_string();
        let mut request =
            request(&json!({ "phase": "Succeeded", "slices": { "total": 40, "verified": 40 } }));
        let status = request.status.as_mut().unwrap();
        for slice in 0..40 {
            let pool = if slice % 4 == 0 { "b/y" } else { "a/x" };
            let row = json!({
                "slice": slice, "pool": pool, "identity": identity, "attempt": 1, "millis": 100, "verdict": "Verified",
            });
            status.push_recent(serde_json::from_value(row).unwrap());
        }
        let told = answer("default/x", &request, None, None, "prover-worker verify r.cbor");
        for line in [
            "  proved   40 slices, each verified\n",
            "  miners   a/x 24, b/y 8, of the last 32 slices\n",
            "  time     0.10 s a slice, of the last 32 slices\n",
        ] {
            assert!(told.contains(line), "no {line:?}: {told}");
        }
    }

    #[test]
    fn of_several_inputs_each_answer_has_a_line() {
        let answers = json!([
            { "values": [-1.5, 10.25], "class": 1, "label": "one", "errorVsFloatMillionths": 1966 },
            { "class": 0, "errorVsFloatMillionths": 3 },
            { "errorVsFloatMillionths": 0 },
        ]);
        let request = request(&json!({
            "phase": "Succeeded", "output": { "name": "logits", "shape": [1, 2] },
            "batch": { "size": 4, "inputs": 3 }, "answers": answers,
        }));
        let told = answer("default/x", &request, None, None, "prover-worker verify r.cbor");
        let expected = [
            "  answers  3 inputs, proved 4 at once",
            "  input 0  one  (logits [1, 2]: greatest at 1 with 10.25, next 0 with -1.5), 0.20 % off",
            "  input 1  class 0, 0.00 % off",
            "  input 2  more values than a status holds, 0.00 % off",
            "           all values: the command of `check it` with `-o json` prints them",
        ];
        let lines: Vec<&str> = told.lines().skip(1).take(5).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn values_that_are_no_classes_are_shown_and_cut() {
        let output = RequestOutput {
            name: Some("y".to_owned()),
            shape: vec![10],
            values: Some((0..10).map(f64::from).collect()),
            ..RequestOutput::default()
        };
        assert_eq!(values(&output), "0, 1, 2, 3, 4, 5, 6, 7, …  (y [10])");
        let large = RequestOutput {
            values: None,
            ..output
        };
        assert!(
            values(&large).starts_with("y [10]: more values than"),
            "{}",
            values(&large)
        );
    }

    #[test]
    fn what_a_status_does_not_hold_is_told_with_the_way_to_it() {
        let told = |output: serde_json::Value| {
            let request = request(&json!({ "phase": "Succeeded", "output": output }));
            answer("default/x", &request, None, None, "prover-worker verify r.cbor")
        };
        let large = told(json!({ "name": "y", "shape": [1, 300] }));
        let second = "all values: the command of `check it` with `-o json` prints them";
        assert!(large.contains(second), "{large}");
        let two = told(json!({ "name": "y", "shape": [1], "values": [2.0], "others": 1 }));
        assert!(two.contains("1 output more: the command"), "{two}");
        let one = told(json!({ "name": "y", "shape": [1], "values": [2.0] }));
        assert!(!one.contains("-o json"), "{one}");
    }

    #[test]
    fn a_failure_says_reason_and_message() {
        let request = request(&json!({
            "phase": "Failed", "conditions": [{
                "type": "Ready", "status": "False", "reason": "InvalidInput", "message": "it has\u{1b}[2J 3 values",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }],
        }));
        assert_eq!(
            failure("default/x", &request),
            "default/x: Failed: InvalidInput: it has [2J 3 values"
        );
    }
}
