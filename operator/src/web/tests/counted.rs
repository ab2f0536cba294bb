//! What is counted of objects.

use std::sync::Arc;

use serde_json::{Value, json};
use zkinfer_crds::Digest;
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, Model};

use super::super::stats;
use super::request;

const MINUTE: i64 = 60_000;

#[test]
fn requests_are_counted_by_minute_and_phase_and_their_times_are_ranked() {
    let at = |minute: u32, second: u32| format!("1970-01-01T00:{minute:02}:{second:02}Z");
    let done = |minute, second| json!({ "phase": "Succeeded", "finishedAt": at(minute, second) });
    let row = |verdict: &str, millis: u64| {
        json!({
            "slice": 0, "pool": "a/b", "identity": format!("ed25519:{}", "0".repeat(64)), "attempt": 1,
            "millis": millis, "bytes": 100 * millis, "verifyMicros": 7 * millis, "verdict": verdict,
        })
    };
    let mut proving = json!({
        "phase": "Proving",
        "slices": { "total": 4, "queued": 1, "claimed": 1, "proved": 0, "verified": 2 },
    });
    proving["recentSlices"] = json!([row("Verified", 10), row("Verified", 30), row("Invalid", 99)]);
    let all: Vec<Arc<InferenceRequest>> = [
        request("a", &at(10, 0), &done(10, 2)),
        request(
            "b",
            &at(10, 30),
            &json!({ "phase": "Succeeded", "startedAt": at(10, 40), "finishedAt": at(11, 30) }),
        ),
        request(
            "c",
            &at(11, 0),
            &json!({ "phase": "Failed", "finishedAt": at(11, 1) }),
        ),
        request("d", &at(11, 59), &proving),
    ]
    .map(Arc::new)
    .to_vec();
    let told = stats::requests(&all, 11 * MINUTE + 59_999);
    assert_eq!(told.count, 4);
    let phases: Vec<_> = told
        .phases
        .iter()
        .map(|(phase, n)| (phase.as_str(), *n))
        .collect();
    assert_eq!(phases, [("Failed", 1), ("Proving", 1), ("Succeeded", 2)]);
    assert_eq!(told.per_minute.len(), 60);
    assert_eq!(told.per_minute[58..], [[2, 1, 0], [2, 1, 1]]);
    assert_eq!(
        (told.latency.count, told.latency.p50, told.latency.p95),
        (2, 2000, 60_000)
    );
    assert_eq!(
        (told.waiting.count, told.waiting.p50, told.proving.p50),
        (1, 10_000, 50_000)
    );
    assert_eq!((told.slices.total, told.slices.verified), (4, 2));
    assert_eq!(
        (
            told.proofs[0].millis.count,
            told.proofs[0].millis.most,
            told.proofs[0].bytes.p50,
            told.proofs[0].verify_micros.p95
        ),
        (2, 30, 1000, 210)
    );
    assert_eq!(
        (
            told.proof_millis.count,
            told.proof_millis.p50,
            told.proof_bytes.most,
            told.verify_micros.p50
        ),
        (2, 10, 3000, 70)
    );
    let public = told.counts();
    assert!(
        public.latest.is_empty() && public.proofs.is_empty(),
        "of no request and of no Model"
    );
    assert_eq!(
        (
            public.count,
            public.latency,
            public.proof_millis,
            public.verify_micros
        ),
        (told.count, told.latency, told.proof_millis, told.verify_micros)
    );
    let names: Vec<&str> = told.latest.iter().map(|r| r.model.as_str()).collect();
    assert_eq!(names, ["wine"; 4]);
    // Times of long ago, or of a clock that goes ahead, are in no minute and break nothing.
    let told = stats::requests(&all, -5 * MINUTE);
    assert_eq!(told.per_minute, vec![[0; 3]; 60]);
}

#[test]
fn a_spread_is_of_what_so_many_percent_do_not_exceed() {
    let of = |all: &[u64]| {
        let spread = stats::Spread::of(all.to_vec());
        (spread.count, spread.p50, spread.p95, spread.p99, spread.most)
    };
    assert_eq!(of(&[]), (0, 0, 0, 0, 0));
    assert_eq!(of(&[7]), (1, 7, 7, 7, 7));
    assert_eq!(of(&(1..=100).rev().collect::<Vec<_>>()), (100, 50, 95, 99, 100));
}

#[test]
fn lists_are_bounded_and_say_of_how_many_they_are_a_part() {
    let of = |n: usize| Arc::new(request(&format!("r{n}"), "2026-11-30T00:00:00Z", &Value::Null));
    let all: Vec<_> = (0..stats::MOST_REQUESTS + 5).map(of).collect();
    let told = stats::requests(&all, 0);
    assert_eq!(
        (told.count, told.latest.len()),
        (stats::MOST_REQUESTS + 5, stats::MOST_REQUESTS)
    );
    let model = json!({
        "apiVersion": "zkinfer.dev/v1alpha1", "kind": "Model", "metadata": { "name": "m", "namespace": "n" },
        "spec": { "source": { "artifact": Digest::of(b"") } },
    });
    let model: Arc<Model> = Arc::new(serde_json::from_value(model).unwrap());
    let models = stats::models(&vec![model; stats::MOST_MODELS + 1]);
    assert_eq!(
        (models.count, models.list.len()),
        (stats::MOST_MODELS + 1, stats::MOST_MODELS)
    );
    assert_eq!(models.list[0].name, "m");
}

#[test]
fn the_leaderboard_has_the_best_first_and_pools_without_a_score_last() {
    let pool = |name: &str, score: Value, work: u64| -> Arc<MinerPool> {
        let mut status = json!({ "workDelivered": work });
        if !score.is_null() {
            status["scoreMillionths"] = score;
        }
        let pool: MinerPool = serde_json::from_value(json!({
            "apiVersion": "zkinfer.dev/v1alpha1", "kind": "MinerPool",
            "metadata": { "name": name, "namespace": "n" },
            "spec": { "image": "i", "resources": { "cpu": "1", "memory": "1Gi" } },
            "status": status,
        }))
        .unwrap();
        Arc::new(pool)
    };
    let all = [
        pool("none", Value::Null, 9),
        pool("low", json!(10), 9),
        pool("high", json!(900_000), 1),
        pool("tie", json!(10), 10),
    ];
    let names: Vec<String> = stats::pools(&all).list.into_iter().map(|p| p.name).collect();
    assert_eq!(names, ["high", "tie", "low", "none"]);
}
