//! What the compiler has reported of a Model, and an input that is tried on it.
//!
//! Invariant: a report is shown to whoever may read its Model; an input is tried by whoever may have it proved, whose values come with
//! the call and are kept nowhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use zkinfer_crds::compile_report::{CompileOutcome, CompileReport};
use zkinfer_crds::k8s::inference_request::InlineTensor;

use super::compiled::Busy;
use super::floats::NoFloat;
use super::front::{Front, MODELS, REQUESTS, bearer};
use super::made::read_object;
use super::refused::Refused;
use crate::gateway::Peer;

/// What is tried: as a request states its input.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    inline: BTreeMap<String, InlineTensor>,
}

/// What the compiler has reported of a Model that the viewer may read.
pub(super) async fn report(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Response, Refused> {
    front
        .may_get((&headers, from), MODELS, (&namespace, &name))
        .await?;
    let outcome = front.shown.compiled.report(&namespace, &name);
    let none = || Refused::not_found(format!("Model {namespace}/{name} is not compiled"));
    let told = match outcome.ok_or_else(none)? {
        CompileOutcome::Compiled(report) => compiled(&report),
        CompileOutcome::Failed(failure) => {
            json!({ "unsupported": failure.unsupported, "outline": failure.outline })
        }
    };
    Ok(answered(&told))
}

fn compiled(report: &CompileReport) -> Value {
    let slices = report.slices.iter().map(|slice| {
        json!({
            "predictedMicros": slice.predicted_micros, "predictedMemoryBytes": slice.predicted_memory_bytes,
            "predictedProofBytes": slice.predicted_proof_bytes,
        })
    });
    json!({
        "budgetMillionths": report.accuracy.budget_millionths, "tried": report.accuracy.tried,
        "nodes": report.accuracy.nodes, "slices": slices.collect::<Vec<_>>(), "outlook": report.outlook,
    })
}

/// An input, tried.
pub(super) async fn try_input(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    Path((namespace, name)): Path<(String, String)>,
    body: Body,
) -> Result<Response, Refused> {
    front
        .may_get((&headers, from), MODELS, (&namespace, &name))
        .await?;
    front.may_create((&headers, from), REQUESTS, &namespace).await?;
    let caller = front.caller(bearer(&headers)?, from).await?;
    let (body, room) = read_object(&front, &caller, &headers, body).await?;
    let given: Given = serde_json::from_slice(&body).map_err(|e| Refused::invalid_body(e.to_string()))?;
    let compiled = Arc::clone(&front.shown.compiled);
    let attempt = async move {
        let _room = room;
        compiled.answer(namespace, name, given.inline).await
    };
    let found = front.tries.turn(attempt).await;
    let found = found.map_err(|Busy| Refused::busy(&"other inputs are being tried: try again"))?;
    let tried = found.map_err(|e| match e {
        NoFloat::Refused(why) => Refused::not_tried(why),
        NoFloat::Unavailable(why) => Refused::unavailable(&why),
    })?;
    let (floats, why) = match tried.floats {
        Ok(floats) => (Some(floats), None),
        Err(why) => (None, Some(why)),
    };
    Ok(answered(
        &json!({ "integers": tried.integers, "floats": floats, "why": why }),
    ))
}

fn answered(told: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], told.to_string()).into_response()
}
