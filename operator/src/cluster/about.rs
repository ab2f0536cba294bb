//! What the lines of a log are about, so that all that was said of one request, claim or pool is found by one key.
//!
//! Invariant: `request` is always the uid, `pool` and `model` are always `namespace/name`. These spans are of the highest level, so
//! that no filter takes from a line what it is about.

use kube::core::NamespaceResourceScope;
use kube::{Resource, ResourceExt};
use tracing::Span;
use tracing::field::Empty;

use crate::dispatch::Attempt;

/// A reconciliation of an object.
pub(super) fn reconciling<K>(kind: &'static str, object: &K) -> Span
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let name = format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any());
    let span = tracing::error_span!(
        "reconcile",
        kind,
        object = name,
        request = Empty,
        pool = Empty,
        model = Empty
    );
    match kind {
        "InferenceRequest" => span.record("request", object.uid().unwrap_or_default()),
        "MinerPool" => span.record("pool", name),
        "Model" => span.record("model", name),
        _ => &span,
    };
    span
}

/// A claim that has ended.
pub(super) fn ended(attempt: &Attempt) -> Span {
    tracing::error_span!(
        "ended",
        request = %attempt.request,
        slice = attempt.slice.0,
        claim = %attempt.claim,
        pool = %attempt.pool,
    )
}
