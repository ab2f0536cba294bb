//! Compiled Models: what the compiler has reported of one, and an input that is tried on it.
//!
//! Invariants: a report is shown to whoever may read its Model; an input is tried by whoever may have it proved, whose values come with
//! the call and are kept nowhere. One input is tried at a time, and trying takes at most a fifth of the time, so that it is nothing to
//! those who prove.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use zkinfer_crds::compile_report::{CompileOutcome, CompileReport};
use zkinfer_crds::k8s::inference_request::InlineTensor;

use super::floats::{FloatOutput, NoFloat};
use super::front::{Front, MODELS, REQUESTS, bearer};
use super::made::read_object;
use super::refused::Refused;
use crate::gateway::Peer;

/// So many times as long as trying took nothing is tried again.
const REST: u32 = 4;
/// Whoever would wait for longer is told to come again.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the operator knows of compiled Models.
pub trait Compiled: Send + Sync + 'static {
    /// What the compiler has reported of a Model; nothing before it has.
    fn report(&self, namespace: &str, name: &str) -> Option<CompileOutcome>;

    /// What a Model says to an input, in its integers and in floats.
    fn answer(
        &self,
        namespace: String,
        name: String,
        given: BTreeMap<String, InlineTensor>,
    ) -> BoxFuture<'_, Result<Tried, NoFloat>>;
}

/// An answer that was not proved.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// By output: what the integers give.
    pub integers: Vec<FloatOutput>,
    /// What the float model says, or why it says nothing.
    pub floats: Result<Vec<FloatOutput>, String>,
}

/// When something was last tried, and how long it took. Whoever tries holds it.
#[derive(Debug, Default)]
pub(super) struct Tries(Mutex<Option<Instant>>);

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
    let (body, _room) = read_object(&front, &caller, &headers, body).await?;
    let given: Given = serde_json::from_slice(&body).map_err(|e| Refused::invalid_body(e.to_string()))?;
    let busy = || Refused::busy(&"other inputs are being tried: try again");
    let waiting = tokio::time::timeout(PATIENCE, front.tries.0.lock()).await;
    let mut rests_until = waiting.map_err(|_| busy())?;
    if let Some(until) = *rests_until {
        if until.saturating_duration_since(Instant::now()) > PATIENCE {
            return Err(busy());
        }
        tokio::time::sleep_until(until.into()).await;
    }
    let began = Instant::now();
    let found = front.shown.compiled.answer(namespace, name, given.inline).await;
    *rests_until = Some(Instant::now() + began.elapsed() * REST);
    drop(rests_until);
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
