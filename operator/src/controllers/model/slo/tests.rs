use serde_json::json;
use zkinfer_crds::Digest;

use super::*;

const NOW: i64 = 1_900_000_000;

fn slo(p95_seconds: Option<u32>, success_millionths: Option<u32>) -> Slo {
    Slo {
        p95_seconds,
        success_millionths,
        window_hours: 24,
    }
}

/// So many of each.
fn window(of: &[(usize, Answered)]) -> Vec<Answered> {
    let repeat = |(many, answered): &(usize, Answered)| std::iter::repeat_n(*answered, *many);
    of.iter().flat_map(repeat).collect()
}

fn judged(slo: Slo, of: &[(usize, Answered)], missed: Option<&str>) -> (Truth, &'static str) {
    let told = judge(&slo, &window(of), missed);
    assert!(told.message.starts_with("in the last 24 h "), "{}", told.message);
    (told.truth, told.reason)
}

use Answered::{Failed, Succeeded, Unfinished};

#[test]
fn fewer_than_twenty_requests_say_nothing_however_bad_they_are() {
    let few = (Truth::Unknown, "TooFewRequests");
    let both = slo(Some(10), Some(990_000));
    assert_eq!(judged(both, &[], None), few);
    assert_eq!(judged(both, &[(19, Failed)], Some("TooFewSucceed")), few);
    assert_eq!(judged(both, &[(19, Succeeded(99))], Some("TooSlow")), few);
    assert_eq!(
        judged(both, &[(20, Succeeded(9))], None),
        (Truth::True, "ObjectivesMet")
    );
    // What can be judged is: nobody waits for times where all fail.
    assert_eq!(
        judged(both, &[(20, Failed)], None),
        (Truth::False, "TooFewSucceed")
    );
    assert_eq!(
        judged(both, &[(20, Unfinished(11))], None),
        (Truth::False, "TooSlow")
    );
}

#[test]
fn one_in_twenty_may_be_slow_and_no_more() {
    let ten = slo(Some(10), None);
    let met = (Truth::True, "ObjectivesMet");
    assert_eq!(
        judged(ten, &[(19, Succeeded(10)), (1, Succeeded(600))], None),
        met
    );
    let slow = (Truth::False, "TooSlow");
    assert_eq!(
        judged(ten, &[(18, Succeeded(10)), (2, Succeeded(11))], None),
        slow
    );
    // One that waits counts as soon as it is too slow, and not before.
    assert_eq!(
        judged(ten, &[(20, Succeeded(1)), (2, Unfinished(11))], None),
        slow
    );
    assert_eq!(
        judged(ten, &[(20, Succeeded(1)), (50, Unfinished(10))], None),
        met
    );
    // A failure is no answer, quick or slow.
    assert_eq!(judged(ten, &[(20, Succeeded(1)), (50, Failed)], None), met);
}

#[test]
fn as_many_may_fail_as_the_objective_leaves() {
    let of = slo(None, Some(990_000));
    assert_eq!(
        judged(of, &[(99, Succeeded(1)), (1, Failed)], None),
        (Truth::True, "ObjectivesMet")
    );
    let missed = (Truth::False, "TooFewSucceed");
    assert_eq!(judged(of, &[(98, Succeeded(1)), (2, Failed)], None), missed);
    let all = slo(None, Some(1_000_000));
    assert_eq!(judged(all, &[(5000, Succeeded(1)), (1, Failed)], None), missed);
    assert_eq!(
        judged(all, &[(20, Succeeded(1))], Some("TooFewSucceed")),
        (Truth::True, "ObjectivesMet")
    );
}

#[test]
fn what_was_missed_is_met_again_with_a_tenth_to_spare() {
    let ten = slo(Some(10), None);
    let met = (Truth::True, "ObjectivesMet");
    for (took, missed, expected) in [
        (10, None, met),
        (10, Some("TooSlow"), (Truth::False, "TooSlow")),
        (9, Some("TooSlow"), met),
        (10, Some("TooFewSucceed"), met),
    ] {
        assert_eq!(
            judged(ten, &[(20, Succeeded(took))], missed),
            expected,
            "{took} {missed:?}"
        );
    }
    let success = slo(None, Some(900_000));
    for (failed, missed, expected) in [
        (10, None, met),
        (10, Some("TooFewSucceed"), (Truth::False, "TooFewSucceed")),
        (9, Some("TooFewSucceed"), met),
    ] {
        let of = [(100 - failed, Succeeded(1)), (failed, Failed)];
        assert_eq!(judged(success, &of, missed), expected, "{failed} {missed:?}");
    }
}

#[test]
fn both_figures_are_told_with_what_they_may_be() {
    let told = judge(
        &slo(Some(10), Some(999_500)),
        &window(&[(39, Succeeded(3)), (1, Failed), (1, Unfinished(12))]),
        None,
    );
    assert_eq!(
        told.message,
        "in the last 24 h 39 of 40 requests have succeeded, of at least 99.95 %; 95 % of 40 requests (1 of them not over) \
         took at most 3 s, of at most 10 s"
    );
}

fn request(spec: serde_json::Value, status: serde_json::Value) -> InferenceRequest {
    let mut spec = spec;
    spec["modelRef"] = json!({ "name": "m" });
    spec["input"] = json!({ "artifact": Digest::new([7; 32]) });
    let created = k8s_openapi::jiff::Timestamp::from_second(NOW - 7200).unwrap();
    let mut request = json!({
        "apiVersion": "zkinfer.dev/v1alpha1", "kind": "InferenceRequest",
        "metadata": { "name": "r", "namespace": "n", "creationTimestamp": created.to_string() },
        "spec": spec,
    });
    request["status"] = status;
    serde_json::from_value(request).unwrap()
}

fn ended(phase: &str, reason: &str, ago: i64) -> serde_json::Value {
    let finished = k8s_openapi::jiff::Timestamp::from_second(NOW - ago)
        .unwrap()
        .to_string();
    json!({ "phase": phase, "finishedAt": finished, "conditions": [{
        "type": "Ready", "status": "False", "reason": reason, "message": "", "lastTransitionTime": finished,
    }] })
}

#[test]
fn only_what_is_not_its_clients_doing_counts_against_a_model() {
    let of = |spec, status| Answered::of(&request(spec, status), NOW, 1);
    let plain = || json!({});
    assert_eq!(
        of(plain(), ended("Succeeded", "ReceiptWritten", 3000)),
        Some(Succeeded(4200))
    );
    assert_eq!(
        of(plain(), ended("Succeeded", "ReceiptWritten", 3601)),
        None,
        "it is of before the window"
    );
    for why in [
        "DeadlineExceeded",
        "TooManyAttempts",
        "AccuracyExceeded",
        "InternalError",
        "ModelFailed",
    ] {
        assert_eq!(of(plain(), ended("Failed", why, 5)), Some(Failed), "{why}");
    }
    for why in OF_THE_CLIENT {
        assert_eq!(of(plain(), ended("Failed", why, 5)), None, "{why}");
    }
    assert_eq!(of(plain(), ended("Cancelled", "Cancelled", 5)), None);
    assert_eq!(of(plain(), ended("Erased", "Erased", 5)), None);
    assert_eq!(of(plain(), json!({})), Some(Unfinished(7200)));
    assert_eq!(of(json!({ "suspend": true }), json!({})), None);
    assert_eq!(of(json!({ "cancel": true }), json!({})), None);
    let benchmark = json!({ "type": "Benchmark" });
    assert_eq!(of(benchmark, ended("Succeeded", "ReceiptWritten", 5)), None);
}
