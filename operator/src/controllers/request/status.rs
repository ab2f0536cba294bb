//! An InferenceRequest's status, written in one piece. A phase never goes back, but where [`Writer::start_over`] says so.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use zkinfer_crds::Digest;
use zkinfer_crds::k8s::inference_request::{InferenceRequestStatus, RequestPhase, condition, reason};
use zkinfer_crds::k8s::request_status::{QueuePlace, ReceiptRef, RecentSlice, RequestOutput};
use zkinfer_crds::k8s::{Erasure, Truth, find_condition, set_condition};

use super::observed::{Observed, RunView};

/// The status, of a later generation of the spec. What was asked cannot change, so that what was found of it still holds.
pub(super) fn refreshed(status: &InferenceRequestStatus, generation: Option<i64>) -> InferenceRequestStatus {
    let mut status = status.clone();
    status.observed_generation = generation;
    for condition in &mut status.conditions {
        condition.observed_generation = generation;
    }
    status
}

/// The status of a request that is over, with the attempts that have ended since: of those `rows` has all there were.
pub(super) fn told(status: &InferenceRequestStatus, rows: Vec<RecentSlice>) -> InferenceRequestStatus {
    let mut status = status.clone();
    for row in rows {
        if !status.recent_slices.contains(&row) {
            status.push_recent(row);
        }
    }
    status
}

/// What is said of a request beside whose spec hardly anything fits.
pub(super) const TOO_LARGE: &str =
    "no status fits beside the input: give it by ConfigMap or `operator upload`";

/// The shortest status that ends a request.
pub(super) fn too_large(generation: Option<i64>, now: &Time) -> InferenceRequestStatus {
    let mut status = InferenceRequestStatus {
        phase: RequestPhase::Failed,
        observed_generation: generation,
        ..InferenceRequestStatus::default()
    };
    for (type_, truth, message) in [
        (condition::READY, Truth::False, TOO_LARGE),
        (condition::FAILED, Truth::True, ""),
    ] {
        let reason = reason::OBJECT_TOO_LARGE;
        set_condition(
            &mut status.conditions,
            type_,
            truth,
            reason,
            message,
            generation,
            now,
        );
    }
    status
}

/// What is said of a request that was erased.
pub(super) const ERASED: &str = "its input was erased, and its answer and its receipt with it";

/// The tombstone of a request: what was asked of whom, and how that ended, without a value of its input or its answer. What its
/// conditions and rows said may have had some.
pub(super) fn erased(
    status: &InferenceRequestStatus,
    by: Option<&str>,
    generation: Option<i64>,
    now: &Time,
) -> InferenceRequestStatus {
    let mut status = refreshed(status, generation);
    status.phase = RequestPhase::Erased;
    (status.output, status.receipt, status.verify) = (None, None, None);
    status.answers.clear();
    (status.error_vs_float_millionths, status.queue) = (None, None);
    // Whoever has it draws the input again.
    status.benchmark_seed = None;
    for row in &mut status.recent_slices {
        row.message.clear();
    }
    for condition in &mut status.conditions {
        condition.message.clear();
    }
    for (type_, truth) in [
        (condition::READY, Truth::False),
        (condition::STALLED, Truth::True),
    ] {
        let reason = reason::ERASED;
        set_condition(
            &mut status.conditions,
            type_,
            truth,
            reason,
            ERASED,
            generation,
            now,
        );
    }
    status.finished_at.get_or_insert_with(|| now.clone());
    status.erased = Some(Erasure {
        by: by.map(str::to_owned),
        at: now.clone(),
    });
    status
}

pub(super) struct Writer<'a> {
    pub(super) status: InferenceRequestStatus,
    generation: Option<i64>,
    now: &'a Time,
}

impl<'a> Writer<'a> {
    pub(super) fn new(observed: &Observed<'_>, now: &'a Time) -> Self {
        let mut status = refreshed(observed.status, observed.generation);
        // Where it stands is said anew, or not at all.
        status.queue = None;
        Self {
            status,
            generation: observed.generation,
            now,
        }
    }

    fn set(&mut self, type_: &str, truth: Truth, reason: &str, message: &str) {
        set_condition(
            &mut self.status.conditions,
            type_,
            truth,
            reason,
            message,
            self.generation,
            self.now,
        );
    }

    /// What the request waits for.
    pub(super) fn ready_message(&self) -> String {
        find_condition(&self.status.conditions, condition::READY)
            .map_or_else(|| "nothing was tried yet".to_owned(), |c| c.message.clone())
    }

    pub(super) fn progress(&mut self, view: &RunView) {
        self.status.set_slices(view.counts);
        self.status.recent_slices.clear();
        for row in &view.recent {
            self.status.push_recent(row.clone());
        }
    }

    /// Something is not there yet, or not any more: what was accepted once stays so.
    pub(super) fn waiting(&mut self, phase: RequestPhase, reason: &str, message: &str) {
        self.set(condition::READY, Truth::False, reason, message);
        if self.status.phase != RequestPhase::Proving {
            self.status.phase = phase;
            self.set(condition::ACCEPTED, Truth::Unknown, reason, message);
        }
    }

    /// It could begin, and as many are at work as the limits allow.
    pub(super) fn queued(&mut self, place: &QueuePlace) {
        let limit = &place.limit;
        let whose = match &place.client {
            Some(client) => format!(" of {client}"),
            None => String::new(),
        };
        let message = format!(
            "as many requests{whose} are being proved as spec.limits.{limit} of the Validator allows; status.queue.position is its \
             place among those that wait"
        );
        self.waiting(RequestPhase::Pending, reason::QUEUED, &message);
        self.status.queue = Some(place.clone());
    }

    /// Model and pools are good; the input is read, and the slices go into the queue.
    pub(super) fn accepted(&mut self, model: Digest, manifest: Digest) {
        self.status.phase = RequestPhase::Proving;
        self.status.model_digest = Some(model);
        self.status.manifest_digest = Some(manifest);
        self.set(
            condition::READY,
            Truth::False,
            reason::PROVING,
            "slices are being queued",
        );
        self.set(
            condition::ACCEPTED,
            Truth::True,
            reason::ACCEPTED,
            "the model is ready, and pools fit",
        );
        self.status.started_at.get_or_insert_with(|| self.now.clone());
    }

    /// Slices are queued, proved and verified.
    pub(super) fn proving(&mut self) {
        let progress = self.status.progress.clone().unwrap_or_default();
        self.status.phase = RequestPhase::Proving;
        self.set(
            condition::READY,
            Truth::False,
            reason::PROVING,
            &format!("{progress} slices verified"),
        );
        self.set(
            condition::PLANNED,
            Truth::True,
            reason::SLICES_QUEUED,
            "the slices are in the queue",
        );
    }

    /// Slices are queued, and there is no pool that may be given any.
    pub(super) fn without_pools(&mut self, message: &str) {
        self.set(condition::READY, Truth::False, reason::NO_FITTING_POOL, message);
    }

    /// Nothing can be stored or read now; what was found before stays.
    pub(super) fn without_store(&mut self, why: &str) {
        self.set(condition::READY, Truth::False, reason::STORE_UNAVAILABLE, why);
        if self.status.phase == RequestPhase::Pending {
            self.waiting(RequestPhase::Pending, reason::STORE_UNAVAILABLE, why);
        }
    }

    /// Every slice is verified, and nobody knows yet whether the answer is right.
    pub(super) fn without_float(&mut self, why: &str) {
        let progress = self.status.progress.clone().unwrap_or_default();
        let message = format!("{progress} slices verified; waiting for the float model's answer: {why}");
        self.set(
            condition::READY,
            Truth::False,
            reason::REFERENCE_UNAVAILABLE,
            &message,
        );
    }

    /// What was begun counts no more.
    pub(super) fn start_over(&mut self, why: &str) {
        let status = &mut self.status;
        status.phase = RequestPhase::Pending;
        (status.model_digest, status.manifest_digest) = (None, None);
        (status.slices, status.progress, status.started_at) = (None, None, None);
        status.recent_slices.clear();
        status.conditions.retain(|c| c.type_ != condition::PLANNED);
        self.waiting(RequestPhase::Pending, reason::MODEL_COMPILING, why);
    }

    /// Slices are queued, and nobody is given any.
    pub(super) fn suspended(&mut self) {
        self.proving();
        let message = "spec.suspend is set: no slices are handed out, and the Jobs made for it are removed";
        self.set(condition::READY, Truth::False, reason::SUSPENDED, message);
    }

    pub(super) fn succeeded(
        &mut self,
        receipt: &ReceiptRef,
        output: &RequestOutput,
        error_millionths: u64,
        verify: &str,
    ) {
        self.status.phase = RequestPhase::Succeeded;
        self.status.receipt = Some(receipt.clone());
        self.status.output = Some(output.clone());
        self.status.error_vs_float_millionths = Some(error_millionths);
        self.status.verify = Some(verify.to_owned());
        self.set(
            condition::PLANNED,
            Truth::True,
            reason::SLICES_QUEUED,
            "the slices are in the queue",
        );
        let all = "every slice's proof was verified";
        self.set(condition::VERIFIED, Truth::True, reason::ALL_SLICES_VERIFIED, all);
        let message = format!("receipt {}", receipt.digest);
        self.set(
            condition::COMPLETE,
            Truth::True,
            reason::RECEIPT_WRITTEN,
            &message,
        );
        self.set(condition::READY, Truth::True, reason::RECEIPT_WRITTEN, &message);
        self.status.finished_at = Some(self.now.clone());
    }

    pub(super) fn failed(&mut self, reason: &str, message: &str) {
        self.end(RequestPhase::Failed, reason, message);
    }

    pub(super) fn cancelled(&mut self) {
        self.end(RequestPhase::Cancelled, reason::CANCELLED, "spec.cancel was set");
    }

    fn end(&mut self, phase: RequestPhase, reason: &str, message: &str) {
        self.status.phase = phase;
        if !zkinfer_crds::k8s::is_true(&self.status.conditions, condition::ACCEPTED) {
            self.set(condition::ACCEPTED, Truth::False, reason, message);
        }
        self.set(condition::FAILED, Truth::True, reason, message);
        self.set(condition::STALLED, Truth::True, reason, message);
        self.set(condition::READY, Truth::False, reason, message);
        self.status.finished_at = Some(self.now.clone());
    }
}
