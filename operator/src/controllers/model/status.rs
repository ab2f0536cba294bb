//! A Model's status, written in one piece.

use std::cmp::Reverse;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use zkinfer_crds::compile_report::{self, CompileFailure, CompileReport, CompiledSlice, FailureKind};
use zkinfer_crds::k8s::model::{
    Accuracy, Calibration, MAX_UNSUPPORTED, ModelBatch, ModelSlice, ModelStatus, NodeAccuracy, Quantization,
    Synthetic, UnsupportedNode, condition, reason,
};
use zkinfer_crds::k8s::{Truth, find_condition, set_condition};
use zkinfer_crds::{Digest, ProofSystem, SliceIndex, encode};

use super::observed::Observed;
use super::slo::Objectives;
use crate::setup::SetupPolicy;

pub(super) struct Writer<'a> {
    pub(super) status: ModelStatus,
    generation: Option<i64>,
    now: &'a Time,
}

impl<'a> Writer<'a> {
    pub(super) fn new(observed: &Observed<'_>, now: &'a Time) -> Self {
        let mut status = observed.status.clone();
        status.observed_generation = observed.generation;
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

    /// Not compiled (yet), hence not ready. What was found of keys that were there before is not known of others.
    pub(super) fn not_compiled(&mut self, compiled: Truth, reason: &str, message: &str) {
        self.set(condition::READY, Truth::False, reason, message);
        self.set(condition::COMPILED, compiled, reason, message);
        for type_ in [condition::ACCURACY_WITHIN_BUDGET, condition::TRUSTED_SETUP] {
            if find_condition(&self.status.conditions, type_).is_some() {
                self.set(type_, Truth::Unknown, reason, message);
            }
        }
    }

    /// Whether nothing will happen without a change: tools that wait for an object (kstatus) give up then.
    pub(super) fn stalled(&mut self, stalled: bool) {
        let ready = find_condition(&self.status.conditions, condition::READY).cloned();
        match ready.filter(|_| stalled) {
            Some(ready) => self.set(condition::STALLED, Truth::True, &ready.reason, &ready.message),
            None => self.status.conditions.retain(|c| c.type_ != condition::STALLED),
        }
    }

    /// Whether it is compiled again because of its version; what was begun with it begins anew.
    pub(super) fn recompiling(&mut self, recompiling: bool) {
        let type_ = condition::RECOMPILING;
        if recompiling {
            let message = format!(
                "it was compiled by another version of this software; this one reads version {} of manifests",
                zkml::manifest::VERSION
            );
            self.set(type_, Truth::True, reason::OLD_VERSION, &message);
        } else {
            self.status.conditions.retain(|c| c.type_ != type_);
        }
    }

    /// It is compiled, and the operator has not the memory to serve it.
    pub(super) fn too_large_for_operator(&mut self, message: &str) {
        self.set(
            condition::READY,
            Truth::False,
            reason::TOO_LARGE_FOR_OPERATOR,
            message,
        );
    }

    /// What is wrong with the list that decides who may serve it, if anything is.
    pub(super) fn consent(&mut self, problem: Option<&str>) {
        let type_ = condition::INVALID_CONSENT;
        match problem {
            Some(problem) => self.set(type_, Truth::True, reason::INVALID_LIST, problem),
            None => self.status.conditions.retain(|c| c.type_ != type_),
        }
    }

    /// Which namespaces of the list of who may serve it are not watched, if any is not.
    pub(super) fn not_watched(&mut self, unseen: Option<&str>) {
        let type_ = condition::NAMESPACE_NOT_WATCHED;
        match unseen {
            Some(message) => self.set(type_, Truth::True, reason::NAMESPACE_NOT_WATCHED, message),
            None => self.status.conditions.retain(|c| c.type_ != type_),
        }
    }

    /// Whether what it was compiled from is another file by now.
    pub(super) fn source_changed(&mut self, changed: Option<&str>) {
        let type_ = condition::SOURCE_CHANGED;
        match changed {
            Some(message) => self.set(type_, Truth::True, reason::SOURCE_CHANGED, message),
            None => self.status.conditions.retain(|c| c.type_ != type_),
        }
    }

    /// Whether its requests are answered as its spec says.
    pub(super) fn objectives(&mut self, objectives: &Objectives) {
        let type_ = condition::SLO_MET;
        match objectives {
            Objectives::None => self.status.conditions.retain(|c| c.type_ != type_),
            Objectives::Unseen => {}
            Objectives::Told(told) => self.set(type_, told.truth, told.reason, &told.message),
        }
    }

    /// Its answers may be further from the float model's than the operator accepts.
    pub(super) fn budget_above_operator(&mut self, budget: f64, max_error: f64) {
        let message = format!(
            "quantization.errorBudgetMillionths allows an error of {budget}, the operator accepts at most {max_error}: make \
             the Model anew with a smaller budget, or allow more by maxErrorMillionths of the Validator"
        );
        let why = reason::BUDGET_ABOVE_OPERATOR;
        self.not_compiled(Truth::False, why, &message);
        self.set(condition::ACCURACY_WITHIN_BUDGET, Truth::False, why, &message);
    }

    /// The proof system needs a trusted setup, and there is none.
    pub(super) fn no_setup(&mut self, system: ProofSystem) {
        let message = format!(
            "proofs of {system} rest on a trusted setup and the operator was given none: start it with --srs FILE (or with \
             --allow-dev-srs for a try whose receipts are FORGEABLE BY ANYONE), or choose another proofSystem"
        );
        let why = reason::NO_TRUSTED_SETUP;
        self.not_compiled(Truth::False, why, &message);
        self.set(condition::TRUSTED_SETUP, Truth::False, why, &message);
    }

    /// The proof system needs a trusted setup, and the one that there is may not be used.
    pub(super) fn setup_not_allowed(&mut self, srs: &Digest) {
        let message = format!(
            "the operator was given the trusted setup {srs}, which allowedSrs of the Validator does not list: add it there, or \
             start the operator with another one"
        );
        let why = reason::NO_TRUSTED_SETUP;
        self.not_compiled(Truth::False, why, &message);
        self.set(condition::TRUSTED_SETUP, Truth::False, why, &message);
    }

    /// The model cannot be compiled.
    pub(super) fn failed(&mut self, failure: &CompileFailure, calibration: Option<&Calibration>) {
        let reason = match failure.kind {
            FailureKind::InvalidModel => reason::INVALID_MODEL,
            FailureKind::UnsupportedModel => reason::UNSUPPORTED_MODEL,
            FailureKind::UnsupportedNodes => reason::UNSUPPORTED_NODES,
            FailureKind::InvalidCalibration => reason::INVALID_CALIBRATION,
            FailureKind::SliceTooLarge => reason::SLICE_TOO_LARGE,
            FailureKind::Other => reason::COMPILE_FAILED,
        };
        // The compiler has a file of its own, and does not know where its author has it.
        let message = match calibration {
            Some(from) if failure.kind == FailureKind::InvalidCalibration => {
                format!("{}: {}", place(from), failure.message)
            }
            _ => failure.message.clone(),
        };
        self.not_compiled(Truth::False, reason, &message);
        self.status.unsupported = failure
            .unsupported
            .iter()
            .take(MAX_UNSUPPORTED)
            .map(|n| UnsupportedNode {
                node: n.node.clone(),
                op: n.op.clone(),
                reason: n.reason.clone(),
            })
            .collect();
    }

    /// It is not to be served by what is known of made-up inputs, and it brings no others.
    pub(super) fn no_calibration(&mut self) {
        let why = reason::SYNTHETIC_CALIBRATION;
        self.not_compiled(Truth::False, why, NOT_SYNTHETIC);
        self.set(
            condition::ACCURACY_WITHIN_BUDGET,
            Truth::Unknown,
            why,
            NOT_SYNTHETIC,
        );
    }

    /// The model is compiled; it is ready unless its accuracy is over budget, or known of made-up inputs alone where that is not
    /// enough. `setup` is what the keys rest on, absent where the proof system has none.
    pub(super) fn compiled(
        &mut self,
        report: &CompileReport,
        setup: Option<SetupPolicy>,
        asked: &Quantization,
    ) {
        let accuracy = &report.accuracy;
        self.status.manifest_digest = Some(report.manifest.digest);
        self.status.graph_digest = Some(report.graph.digest);
        self.status.srs_digest = setup.map(|s| s.srs);
        self.status.slice_count = Some(report.slices.len() as u32);
        self.status.slices = slices(&report.slices);
        let batches = report.each().map(|report| batch(&report));
        self.status.batches = match report.sizes().eq([1]) {
            true => Vec::new(),
            false => batches.collect(),
        };
        self.status.accuracy = Some(Accuracy {
            profile: accuracy.profile,
            samples: accuracy.samples,
            synthetic: accuracy.synthetic,
            max_abs_error_millionths: accuracy.max_error_millionths,
            mean_abs_error_millionths: accuracy.mean_error_millionths,
            output_scale: accuracy.output_scale.clone(),
            top1_agreement_millionths: Some(accuracy.top1_agreement_millionths),
            top_margin_millionths: accuracy.top_margin_millionths,
            sqnr_millibels: accuracy.sqnr_millibels,
            saturations: accuracy.saturations,
            widened: accuracy.widened,
            worst_nodes: worst(&accuracy.nodes),
        });
        self.set(
            condition::COMPILED,
            Truth::True,
            reason::COMPILED,
            "manifest, integer graph and keys exist",
        );
        // Of several manifests, of the one that is furthest off: one that is over the budget is enough to serve none.
        let accuracy_of = report
            .each()
            .map(|report| (report.batch, report.accuracy))
            .max_by_key(|(batch, accuracy)| {
                (
                    !accuracy.within_budget,
                    accuracy.max_error_millionths,
                    Reverse(*batch),
                )
            })
            .unwrap_or((report.batch, report.accuracy.clone()));
        let accuracy = &accuracy_of.1;
        let gone = if accuracy.synthetic && asked.calibration.is_some() {
            "; they are made up: the calibration data was gone when the Model of an older version was compiled again"
        } else {
            ""
        };
        let whole = match accuracy.exact_agreement_millionths {
            1_000_000.. => String::new(),
            share => format!(
                ", whole numbers the float model's on {:.1} % of them",
                f64::from(share) / 1e4
            ),
        };
        let at_once = match accuracy_of.0 {
            1 => String::new(),
            batch => format!(", {batch} at once"),
        };
        let widened = match accuracy.widened {
            0 => String::new(),
            widened => format!(" with more bits for {widened} tensor(s)"),
        };
        let measured = format!(
            "greatest error {:.6} of a budget of {:.6} on {} inputs{at_once}{whole}, profile {}{widened}{gone}",
            accuracy.max_error_millionths as f64 / 1e6,
            f64::from(accuracy.budget_millionths) / 1e6,
            accuracy.samples,
            accuracy.profile
        );
        let (truth, why) = match (accuracy.synthetic, accuracy.within_budget) {
            (_, false) => (Truth::False, reason::OVER_BUDGET),
            (true, true) => (Truth::Unknown, reason::SYNTHETIC_CALIBRATION),
            (false, true) => (Truth::True, reason::WITHIN_BUDGET),
        };
        self.set(condition::ACCURACY_WITHIN_BUDGET, truth, why, &measured);
        let serves = match asked.synthetic {
            Synthetic::Serve => true,
            Synthetic::Refuse => !accuracy.synthetic,
        };
        let (trusted, why, message) = match setup {
            None => (
                Truth::True,
                reason::NOT_REQUIRED,
                "the proof system has no trusted setup".to_owned(),
            ),
            Some(setup) if setup.development => (
                Truth::False,
                reason::DEVELOPMENT_SETUP,
                "the development SRS is in use: receipts are FORGEABLE BY ANYONE".to_owned(),
            ),
            Some(setup) => (Truth::True, reason::SETUP_ALLOWED, format!("SRS {}", setup.srs)),
        };
        self.set(condition::TRUSTED_SETUP, trusted, why, &message);
        if truth == Truth::False {
            let message = format!(
                "no profile keeps the budget: {measured}. Leave quantization.profile out so that all are tried, give calibration data \
                 like the inputs to come, state the outputs' natural magnitude in outputScale where they are near 0, or allow more by \
                 errorBudgetMillionths"
            );
            self.set(condition::READY, Truth::False, reason::OVER_BUDGET, &message);
        } else if !serves {
            let message = format!("{NOT_SYNTHETIC}: {measured}");
            self.set(
                condition::READY,
                Truth::False,
                reason::SYNTHETIC_CALIBRATION,
                &message,
            );
        } else {
            self.set(
                condition::READY,
                Truth::True,
                reason::COMPILED,
                "requests can be served",
            );
        }
    }
}

/// Why a Model is not served by what is known of made-up inputs.
const NOT_SYNTHETIC: &str =
    "quantization.synthetic is Refuse, and the inputs for calibration are made up: give calibration data";

/// The most nodes of a status.
const WORST_NODES: usize = 8;

/// The nodes that are furthest off, in their order.
fn worst(nodes: &[compile_report::NodeAccuracy]) -> Vec<NodeAccuracy> {
    let mut places: Vec<usize> = (0..nodes.len()).collect();
    places.sort_by_key(|&at| (Reverse(nodes.get(at).map(|n| n.max_error_millionths)), at));
    places.truncate(WORST_NODES);
    places.sort_unstable();
    let of = places.into_iter().filter_map(|at| nodes.get(at));
    of.map(|node| NodeAccuracy {
        node: node.node.clone(),
        bits: node.bits,
        max_error_millionths: node.max_error_millionths,
        sqnr_millibels: node.sqnr_millibels,
    })
    .collect()
}

/// Where calibration data lies, in the words of the spec.
fn place(calibration: &Calibration) -> String {
    match (&calibration.config_map, &calibration.artifact) {
        (Some(at), _) => format!("ConfigMap `{}`, key `{}`", at.name, at.key),
        (None, Some(digest)) => format!("artifact {digest}"),
        // The schema allows no such thing.
        (None, None) => "quantization.calibration".to_owned(),
    }
}

/// One manifest, of so many inputs at once.
fn batch(report: &CompileReport) -> ModelBatch {
    let slices = || report.slices.iter();
    let micros = slices().fold(0, |sum: u64, s| sum.saturating_add(s.predicted_micros));
    ModelBatch {
        size: report.batch,
        manifest_digest: report.manifest.digest,
        slice_count: report.slices.len() as u32,
        predicted_millis: micros.div_ceil(1000),
        predicted_memory_bytes: slices().map(|s| s.predicted_memory_bytes).max().unwrap_or(0),
        max_abs_error_millionths: report.accuracy.max_error_millionths,
    }
}

/// The most bytes of all slices in a status: the API server takes 1.5 MiB, of which the names of classes may be a third.
const MAX_SLICES_BYTES: usize = 400 << 10;

/// The slices; of very many as many of the first as there is room for.
fn slices(all: &[CompiledSlice]) -> Vec<ModelSlice> {
    let mut bytes = 0;
    let has_room = |slice: &ModelSlice| {
        bytes += encode(slice).len();
        bytes <= MAX_SLICES_BYTES
    };
    all.iter().enumerate().map(slice).take_while(has_room).collect()
}

fn slice((index, s): (usize, &CompiledSlice)) -> ModelSlice {
    let nodes = match (s.nodes.first(), s.nodes.last()) {
        (Some(first), Some(last)) if first != last => format!("{first}..{last}"),
        (Some(only), _) => only.clone(),
        _ => String::new(),
    };
    ModelSlice {
        index: SliceIndex(index as u32),
        nodes,
        vk_digest: s.vk,
        files: s.files.clone(),
        measures: s.measures,
        predicted_memory_bytes: s.predicted_memory_bytes,
        predicted_millis: s.predicted_micros.div_ceil(1000),
    }
}
