//! What the operator tells a collector of OpenTelemetry: the span of a request, of each of its claims, and what it does for them
//! itself. Their ids are `zkinfer_spans`'.
//!
//! Invariant: a request and a claim are told of once, when they have ended and that is kept.

use std::time::{Duration, SystemTime};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use zkinfer_crds::RequestUid;
use zkinfer_crds::k8s::inference_request::condition;
use zkinfer_crds::k8s::{InferenceRequest, InferenceRequestStatus, RequestPhase, find_condition};
use zkinfer_spans::{Context, Kind, Span, Timed};

use crate::dispatch::{Attempt, Cause};

/// A claim that has ended now, and is in the ledger.
pub fn claim(attempt: &Attempt, ended: SystemTime) {
    zkinfer_spans::tell(|| claimed(attempt, ended));
}

fn claimed(attempt: &Attempt, ended: SystemTime) -> Span {
    let own = Context::of_claim(attempt.request, attempt.claim);
    let from = ended.checked_sub(attempt.held).unwrap_or(ended);
    let cause = attempt.end.cause();
    let span = Span::new(
        "claim",
        own,
        Some(Context::of_request(attempt.request)),
        (from, ended),
    )
    .of_kind(Kind::Producer)
    .with("zkinfer.request", attempt.request.to_string())
    .with("zkinfer.slice", attempt.slice.0)
    .with("zkinfer.claim", attempt.claim.to_string())
    .with("zkinfer.pool", attempt.pool.to_string())
    .with("zkinfer.worker", attempt.worker.as_str())
    .with("zkinfer.attempt", attempt.number)
    .with("zkinfer.verdict", cause.map_or("Verified", Cause::word));
    match cause {
        Some(cause) => span.failed(format!("{}: {}", cause.word(), attempt.end.message())),
        None => span,
    }
}

/// A status was written: where the request was at work before and is over now, that it is.
pub fn request(
    object: &InferenceRequest,
    uid: RequestUid,
    old: &InferenceRequestStatus,
    new: &InferenceRequestStatus,
) {
    if new.phase.is_over() && !old.phase.is_over() {
        zkinfer_spans::tell(|| ended(object, uid, new, SystemTime::now()));
    }
}

fn ended(
    object: &InferenceRequest,
    uid: RequestUid,
    status: &InferenceRequestStatus,
    now: SystemTime,
) -> Span {
    let from = object.metadata.creation_timestamp.as_ref().map_or(now, time);
    let namespace = object.namespace().unwrap_or_default();
    let span = Span::new("request", Context::of_request(uid), None, (from.min(now), now))
        .of_kind(Kind::Server)
        .with("zkinfer.request", uid.to_string())
        .with("zkinfer.name", format!("{namespace}/{}", object.name_any()))
        .with(
            "zkinfer.model",
            format!("{}/{}", object.model_namespace(), object.spec.model_ref.name),
        )
        .with("zkinfer.phase", status.phase.as_str());
    if status.phase == RequestPhase::Succeeded {
        return span;
    }
    let ready = find_condition(&status.conditions, condition::READY);
    span.failed(ready.map_or("", |c| c.reason.as_str()))
}

fn time(time: &Time) -> SystemTime {
    let seconds = u64::try_from(time.0.as_second()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A part of what the operator does for a request. Why it fails is for the request's own conditions to say: the words may have values
/// of the input in them.
///
/// # Errors
/// That of what is done.
pub async fn part_of_request<T, E>(
    name: &'static str,
    request: RequestUid,
    done: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let mut part = Timed::begin(name, Some(Context::of_request(request)))
        .with("zkinfer.request", || request.to_string());
    let result = done.await;
    if result.is_err() {
        part.fail(&"the request's conditions say why");
    }
    result
}
