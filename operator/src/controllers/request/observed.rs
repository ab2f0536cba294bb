//! Everything that is known of a request, its Model, its pools and its run when its plan is made.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use zkinfer_crds::Digest;
use zkinfer_crds::compile_report::CompileReport;
use zkinfer_crds::k8s::inference_request::{InferenceRequestSpec, InferenceRequestStatus};
use zkinfer_crds::k8s::request_status::{
    ReceiptRef, RecentSlice, RequestAnswer, RequestBatch, RequestOutput, SliceCounts,
};
use zkinfer_crds::k8s::{find_condition, miner_pool};

use super::line::Turn;
use crate::dispatch::PoolId;

/// What is known of the Model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelState {
    /// The operator has just started and has not looked at it yet, or could not load it yet.
    Unknown,
    /// There is none of this name yet; the names that there are in the namespace.
    NotFound(Vec<String>),
    /// It is being compiled.
    Compiling(String),
    /// It was compiled by another version, and is being compiled again: what was begun with it begins anew.
    Recompiling(String),
    /// It waits for something else.
    NotReady(String),
    /// It cannot become ready.
    Failed(String),
    /// Requests can be served.
    Ready {
        /// SHA-256 of the ONNX file.
        model: Digest,
        /// Its manifests, by how many inputs each answers at once, ascending; at least one.
        manifests: Vec<ManifestView>,
    },
}

/// What is known of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestView {
    /// Its SHA-256.
    pub manifest: Digest,
    /// Memory that the largest slice needs.
    pub memory_bytes: u64,
}

impl ModelState {
    /// Of a compiled model that is ready.
    #[must_use]
    pub fn ready(model: Digest, report: &CompileReport) -> Self {
        let view = |report: CompileReport| ManifestView {
            manifest: report.manifest.digest,
            memory_bytes: report
                .slices
                .iter()
                .map(|s| s.predicted_memory_bytes)
                .max()
                .unwrap_or(0),
        };
        Self::Ready {
            model,
            manifests: report.each().map(view).collect(),
        }
    }

    /// Its manifests; none while it is not ready.
    #[must_use]
    pub fn manifests(&self) -> &[ManifestView] {
        match self {
            Self::Ready { manifests, .. } => manifests,
            _ => &[],
        }
    }
}

/// What is known of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolView {
    /// The pool.
    pub id: PoolId,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// It may be given slices.
    pub ready: bool,
    /// It gets no new slices, by its owner's will: it is drained, or being deleted.
    pub draining: bool,
    /// It serves the request's namespace, by its owner's will.
    pub serves: bool,
    /// Why the request's side does not let it see model and input.
    pub barred: Option<String>,
    /// Memory of each worker.
    pub memory_bytes: u64,
    /// Why it is as ready as it is: reason and message of its condition.
    pub because: Option<String>,
}

impl PoolView {
    /// Longest reason that a request repeats of a pool.
    const BECAUSE: usize = 200;

    /// Reason and message of a pool's `Ready`, shortened.
    #[must_use]
    pub fn because(conditions: &[Condition]) -> Option<String> {
        let ready = find_condition(conditions, miner_pool::condition::READY)?;
        let text = format!("{}: {}", ready.reason, ready.message);
        let short: String = text.chars().take(Self::BECAUSE).collect();
        Some(if short.len() < text.len() {
            format!("{short} …")
        } else {
            short
        })
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum RunEnd {
    /// Every slice is verified, the answer is near enough to the float model's, and the receipt is written.
    Receipt {
        /// Where it is.
        receipt: ReceiptRef,
        /// The answer.
        output: RequestOutput,
        /// How many inputs it answers, where several may be answered at once, and each of several answers.
        batch: (Option<RequestBatch>, Vec<RequestAnswer>),
        /// The greatest error against the float model, in millionths.
        error_millionths: u64,
        /// The command that accepts the receipt.
        verify: String,
    },
    /// It ended without one.
    Failed {
        /// One of the request's reasons.
        reason: &'static str,
        /// For people.
        message: String,
        /// The greatest error against the float model, in millionths, where that is why.
        error_millionths: Option<u64>,
    },
}

impl RunEnd {
    /// An end without a receipt that has nothing to do with the answer.
    #[must_use]
    pub fn failed(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Failed {
            reason,
            message: message.into(),
            error_millionths: None,
        }
    }
}

/// A run at work.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunView {
    /// Slices by state.
    pub counts: SliceCounts,
    /// The latest attempts, oldest first.
    pub recent: Vec<RecentSlice>,
    /// The pools that are given its slices.
    pub pools: Vec<PoolId>,
    /// Every slice is verified, and the float model's answer is not there: why.
    pub no_float: Option<String>,
    /// Others wait for the memory that it holds, and nothing has come of it for a while.
    pub makes_way: bool,
}

impl RunView {
    /// Whether nobody is at work on it.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.counts.claimed == 0 && self.counts.proved == 0
    }
}

/// What is known of the run.
#[allow(
    clippy::large_enum_variant,
    reason = "there is one per request, never a list of them"
)]
#[derive(Debug, Clone, PartialEq)]
pub enum RunState {
    /// Not begun.
    None,
    /// The input is not there yet.
    InputNotFound(String),
    /// The operator has no room for it just now.
    NoRoom {
        /// One of the request's reasons.
        reason: &'static str,
        /// For people.
        message: String,
    },
    /// The input was refused, before anything was queued.
    Refused {
        /// One of the request's reasons.
        reason: &'static str,
        /// For people; names the thing.
        message: String,
    },
    /// At work.
    Active(RunView),
    /// Over.
    Ended(RunView, RunEnd),
}

/// Everything that a plan is made from.
#[derive(Debug, Clone)]
pub struct Observed<'a> {
    /// The spec.
    pub spec: &'a InferenceRequestSpec,
    /// Its generation.
    pub generation: Option<i64>,
    /// When the request was created.
    pub created: &'a Time,
    /// The status as it is.
    pub status: &'a InferenceRequestStatus,
    /// The model.
    pub model: ModelState,
    /// All pools.
    pub pools: Vec<PoolView>,
    /// The input was looked at beside this Model, and nothing is wrong with it: the manifest that answers as many inputs.
    pub looked: Option<Digest>,
    /// The run.
    pub run: RunState,
    /// Why the artifact store cannot be used now.
    pub store: Option<String>,
    /// Which namespaces whose pools may serve it are not watched, in a sentence.
    pub unseen: Option<String>,
    /// Whether it may begin, by the limits in force; absent: it was not asked.
    pub turn: Option<Turn>,
    /// Its type is `Benchmark`, and it is none: why.
    pub no_benchmark: Option<String>,
}

impl Observed<'_> {
    /// The manifest that answers the request: where the Model has several, how many inputs there are decides, and they are not
    /// counted before they are looked at.
    #[must_use]
    pub fn manifest(&self) -> Option<ManifestView> {
        match self.model.manifests() {
            [only] => Some(*only),
            several => several
                .iter()
                .find(|view| Some(view.manifest) == self.looked)
                .copied(),
        }
    }
}
