//! Follows the objects: tells a person each step on standard error, lays out what they find in the state folder, and says when
//! nothing can change any more.
//!
//! Invariant: it knows what the objects' statuses say, and whether a reconciliation is going on; nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::Value;
use zkinfer_crds::k8s::inference_request::{condition, reason};
use zkinfer_crds::k8s::request_status::{RecentSlice, SliceVerdict};
use zkinfer_crds::k8s::{InferenceRequestStatus, ModelStatus, RequestPhase, find_condition, holds, model};

use super::api::{Kind, Store};
use super::files::Files;
use super::objects::Key;
use crate::specs::labels;
use crate::world::AtWork;

/// Things that happen together are looked at together.
const TOGETHER: Duration = Duration::from_millis(10);
/// So long nothing has changed when what is to come has come: the last scores, or a reconciliation that something asked for.
const DONE: Duration = Duration::from_millis(20);
const STILL: Duration = Duration::from_millis(300);

/// Prints lines with the time since the start, or nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    started: Instant,
    quiet: bool,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        Self {
            started: Instant::now(),
            quiet,
        }
    }

    pub(super) fn say(&self, what: impl std::fmt::Display) {
        if !self.quiet {
            eprintln!("{:>7.2} s  {what}", self.started.elapsed().as_secs_f64());
        }
    }
}

/// How far everything is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rest {
    /// Every request is over, and every Model and pool is as it will be.
    Over,
    /// Some wait for what is not there.
    Waiting,
    /// Something is being looked at, compiled or proved.
    AtWork,
}

/// What was told of a request.
#[derive(Default)]
struct Told {
    phase: RequestPhase,
    waits: Option<String>,
    rows: BTreeSet<(String, u32, String)>,
}

/// See the module.
pub(super) struct Follower {
    store: Arc<Store>,
    files: Files,
    progress: Progress,
    models: BTreeMap<String, String>,
    laid_out: BTreeSet<String>,
    requests: BTreeMap<String, Told>,
    /// By kind and uid: the version that was looked at last, and how far it was.
    seen: BTreeMap<(Kind, String), (String, Rest)>,
}

/// An object's key, uid, generation and status.
fn parts<S: DeserializeOwned>(object: &Value) -> Option<(Key, String, Option<i64>, Option<S>)> {
    let key = Key {
        namespace: text(object, "namespace")?,
        name: text(object, "name")?,
    };
    let status = S::deserialize(&object["status"]).ok();
    let generation = object["metadata"]["generation"].as_i64();
    Some((key, text(object, "uid")?, generation, status))
}

/// A field of an object's metadata.
fn text(object: &Value, field: &str) -> Option<String> {
    object["metadata"][field].as_str().map(str::to_owned)
}

impl Follower {
    pub(super) fn new(store: Arc<Store>, files: Files, progress: Progress) -> Self {
        Self {
            store,
            files,
            progress,
            models: BTreeMap::new(),
            laid_out: BTreeSet::new(),
            requests: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }

    /// How far an object was, if it has not changed since.
    fn unchanged(&self, kind: Kind, object: &Value) -> Option<Rest> {
        let (version, rest) = self.seen.get(&(kind, text(object, "uid")?))?;
        (object["metadata"]["resourceVersion"] == version.as_str()).then_some(*rest)
    }

    fn saw(&mut self, kind: Kind, object: &Value, rest: Rest) {
        if let (Some(uid), Some(version)) = (text(object, "uid"), text(object, "resourceVersion")) {
            self.seen.insert((kind, uid), (version, rest));
        }
    }

    /// Follows until nothing can change any more, or for ever. When everything is at rest claims that are still open are
    /// `let_go`; if there were any, what comes of that is waited for.
    pub(super) async fn run(&mut self, at_work: &AtWork, forever: bool, let_go: impl Fn() -> bool) {
        let mut changes = self.store.changes();
        let mut rest = self.look().await;
        loop {
            let still = match rest {
                Rest::Over => DONE,
                Rest::Waiting | Rest::AtWork => STILL,
            };
            tokio::select! {
                changed = changes.changed() => if changed.is_err() {
                    return;
                },
                () = tokio::time::sleep(still) => {
                    if rest != Rest::AtWork && at_work.count() == 0 && !forever && !let_go() {
                        return;
                    }
                    continue;
                }
            }
            tokio::time::sleep(TOGETHER).await;
            changes.mark_unchanged();
            rest = self.look().await;
        }
    }

    async fn look(&mut self) -> Rest {
        let mut rest = Rest::Over;
        for object in self.store.list(Kind::Model, None).1 {
            let its = match self.unchanged(Kind::Model, &object) {
                Some(its) => its,
                None => self.model(&object).await,
            };
            self.saw(Kind::Model, &object, its);
            rest = rest.max(its);
        }
        for object in self.store.list(Kind::MinerPool, None).1 {
            if !is_observed(&object) {
                rest = Rest::AtWork;
            }
        }
        for object in self.store.list(Kind::InferenceRequest, None).1 {
            let its = match self.unchanged(Kind::InferenceRequest, &object) {
                Some(its) => its,
                None => self.request(&object),
            };
            self.saw(Kind::InferenceRequest, &object, its);
            rest = rest.max(its);
        }
        rest
    }

    async fn model(&mut self, object: &Value) -> Rest {
        let Some((key, uid, _, Some(status))) = parts::<ModelStatus>(object) else {
            return Rest::AtWork;
        };
        let Some(ready) = find_condition(&status.conditions, model::condition::READY) else {
            return Rest::AtWork;
        };
        let is_ready = holds(ready);
        let line = if ready.reason == model::reason::COMPILING {
            ready.message.clone()
        } else if is_ready {
            let slices = object["status"]["slices"].as_array().map_or(0, Vec::len);
            let jobs = self.store.list(Kind::Job, None).1;
            let compiled = jobs
                .iter()
                .any(|job| job["metadata"]["labels"][labels::MODEL_UID] == uid.as_str());
            let how = if compiled { "compiled" } else { "found compiled" };
            format!("{how}: {slices} slices")
        } else {
            format!("{}: {}", ready.reason, ready.message)
        };
        let told = self.models.entry(uid.clone()).or_default();
        if *told != line && !(is_ready && self.laid_out.contains(&uid)) {
            self.progress.say(format_args!("{key}  {line}"));
            *told = line;
        }
        if is_ready && self.laid_out.insert(uid.clone()) {
            match self.files.lay_out(&key, &uid).await {
                Ok(_) => {}
                Err(error) => self.progress.say(format_args!("{key}  {error}")),
            }
        }
        if ready.reason == model::reason::COMPILING || !is_observed(object) {
            Rest::AtWork
        } else {
            Rest::Over
        }
    }

    fn request(&mut self, object: &Value) -> Rest {
        let Some((key, uid, _, Some(status))) = parts::<InferenceRequestStatus>(object) else {
            return Rest::AtWork;
        };
        let told = self.requests.entry(uid).or_default();
        let counts = status.slices.unwrap_or_default();
        if told.phase != status.phase && !status.phase.is_over() {
            self.progress.say(format_args!("{key}  {}", status.phase));
        }
        for row in &status.recent_slices {
            let id = (row.slice.to_string(), row.attempt, row.pool.clone());
            if told.rows.insert(id) {
                let (verified, total) = (counts.verified, counts.total);
                self.progress
                    .say(format_args!("{key}  {}", said(row, verified, total)));
            }
        }
        if told.phase != status.phase && status.phase.is_over() {
            self.progress.say(format_args!("{key}  {}", status.phase));
        }
        let waits = waits_for_floats(&status);
        if let Some(why) = waits.as_ref().filter(|_| told.waits != waits) {
            self.progress.say(format_args!("{key}  {why}"));
        }
        (told.phase, told.waits) = (status.phase, waits);
        match status.phase {
            RequestPhase::Succeeded
            | RequestPhase::Failed
            | RequestPhase::Cancelled
            | RequestPhase::Erased => Rest::Over,
            RequestPhase::Pending if !status.conditions.is_empty() => Rest::Waiting,
            RequestPhase::Pending | RequestPhase::Compiling | RequestPhase::Proving => Rest::AtWork,
        }
    }
}

/// Whether its controller has looked at it as it is.
fn is_observed(object: &Value) -> bool {
    let observed = object["status"]["observedGeneration"].as_i64();
    observed.is_some() && observed == object["metadata"]["generation"].as_i64()
}

/// What became of a slice, in a line.
fn said(row: &RecentSlice, verified: u32, total: u32) -> String {
    let size = row.bytes.map(|b| format!(", {b} B")).unwrap_or_default();
    let (verdict, why) = match (row.verdict, row.message.split_once(": ")) {
        (SliceVerdict::Verified, _) => ("verified", String::new()),
        (_, Some((cause, why))) => (cause, format!(": {why}")),
        (_, None) => (row.message.as_str(), String::new()),
    };
    format!(
        "slice {}  {verdict} ({verified}/{total}), {} in {:.2} s{size}{why}",
        row.slice,
        row.pool,
        Duration::from_millis(row.millis).as_secs_f64()
    )
}

/// Why all slices are verified and the request has no end.
fn waits_for_floats(status: &InferenceRequestStatus) -> Option<String> {
    let ready = find_condition(&status.conditions, condition::READY)?;
    (ready.reason == reason::REFERENCE_UNAVAILABLE).then(|| ready.message.clone())
}
