//! What the float model says to a request's input: to be seen beside the proved answer.
//!
//! Invariants: it is asked only of requests that have succeeded, whose answers it was asked for before; one at a time, and
//! what it said is kept, so that whoever looks takes next to nothing of it from those who prove.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Bytes;
use futures::future::BoxFuture;
use kube::ResourceExt;
use serde::Serialize;
use tokio::sync::Mutex;
use zkinfer_crds::k8s::{InferenceRequest, RequestPhase};

use super::refused::Refused;

/// Answers that are kept.
const KEPT: usize = 64;
/// Values of an output that are told.
pub const MAX_VALUES: usize = 4096;

/// One output of the float model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FloatOutput {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<u32>,
    /// Its values, at most [`MAX_VALUES`] of them; what is no number is told as none.
    pub values: Vec<Option<f64>>,
    /// How many there are.
    pub count: usize,
}

/// Why there is no float answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoFloat {
    /// There never will be: why.
    Refused(String),
    /// There may be later: why, for the log.
    Unavailable(String),
}

/// Asks the float model.
pub trait Floats: Send + Sync + 'static {
    /// What it says to this request's input, by output.
    fn answer(&self, request: Arc<InferenceRequest>) -> BoxFuture<'_, Result<Vec<FloatOutput>, NoFloat>>;
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// By the request's uid; the latest last. Whoever asks holds it.
    kept: Mutex<VecDeque<(String, Bytes)>>,
}

impl Answers {
    /// The float model's outputs, as JSON.
    pub(super) async fn get(
        &self,
        floats: &dyn Floats,
        request: Arc<InferenceRequest>,
    ) -> Result<Bytes, Refused> {
        let succeeded = request
            .status
            .as_ref()
            .is_some_and(|status| status.phase == RequestPhase::Succeeded);
        let uid = request.uid().unwrap_or_default();
        if !succeeded || uid.is_empty() {
            let message =
                "the float model's answer is shown beside a proved one: the request has not succeeded";
            return Err(Refused::not_found(message));
        }
        let mut kept = self.kept.lock().await;
        if let Some((_, json)) = kept.iter().find(|(of, _)| *of == uid) {
            return Ok(json.clone());
        }
        let outputs = floats.answer(request).await.map_err(|e| match e {
            NoFloat::Refused(why) => Refused::not_found(why),
            NoFloat::Unavailable(why) => Refused::unavailable(&why),
        })?;
        let json = serde_json::to_vec(&outputs).map_err(|e| Refused::unavailable(&e))?;
        let json = Bytes::from(json);
        kept.push_back((uid, json.clone()));
        while kept.len() > KEPT {
            kept.pop_front();
        }
        Ok(json)
    }
}
