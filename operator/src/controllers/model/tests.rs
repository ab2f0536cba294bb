//! What the planner decides.

mod trouble;

use zkinfer_crds::compile_report::{
    Accuracy, CompileFailure, CompileOutcome, CompileReport, CompiledSlice, FailureKind, NodeAccuracy,
};
use zkinfer_crds::k8s::find_condition;
use zkinfer_crds::k8s::model::{ModelSpec, ModelStatus, Synthetic, condition};
use zkinfer_crds::k8s::{Truth, set_condition};
use zkinfer_crds::slice_files::{Measures, SliceFiles};
use zkinfer_crds::wire::BlobRef;
use zkinfer_crds::{Digest, Profile, ProofSystem};

use super::observed::*;
use super::plan::*;
use super::slo::{Objectives, Told};
use crate::clock::now;
use crate::fleet::{Finding, Mends};

/// A Model that was ready once.
struct Case {
    spec: ModelSpec,
    generation: i64,
    status: ModelStatus,
    source: SourceState,
    compile: CompileState,
    max_error: f64,
    old_version: bool,
    model_memory: u64,
    bad_consent: Option<String>,
    unseen: Option<String>,
    changed: Option<String>,
    objectives: Objectives,
}

impl Case {
    fn new(compile: CompileState) -> Self {
        let mut status = ModelStatus::default();
        for type_ in [
            condition::READY,
            condition::COMPILED,
            condition::ACCURACY_WITHIN_BUDGET,
            condition::TRUSTED_SETUP,
        ] {
            set_condition(
                &mut status.conditions,
                type_,
                Truth::True,
                "Compiled",
                "",
                Some(1),
                &now(),
            );
        }
        let spec = serde_json::json!({
            "source": { "artifact": Digest::new([1; 32]) }, "proofSystem": ProofSystem::SumcheckWhir,
        });
        Self {
            spec: serde_json::from_value(spec).unwrap(),
            generation: 2,
            status,
            source: SourceState::Found(Digest::new([1; 32])),
            compile,
            max_error: 0.01,
            old_version: false,
            model_memory: 320 << 20,
            bad_consent: None,
            unseen: None,
            changed: None,
            objectives: Objectives::None,
        }
    }

    /// Plans, and goes on from the status that was planned.
    fn plan(&mut self) -> (Option<Action>, bool) {
        let observed = Observed {
            spec: &self.spec,
            generation: Some(self.generation),
            status: &self.status,
            source: self.source.clone(),
            calibration: Ok(()),
            compile: self.compile.clone(),
            setup: Ok(None),
            max_error: self.max_error,
            old_version: self.old_version,
            model_memory: self.model_memory,
            bad_consent: self.bad_consent.clone(),
            unseen: self.unseen.clone(),
            changed: self.changed.clone(),
            objectives: self.objectives.clone(),
        };
        let Plan {
            status,
            action,
            failed,
        } = plan(&observed, &now());
        self.status = status;
        (action, failed)
    }

    /// Status and reason of a condition.
    fn told(&self, type_: &str) -> Option<(&str, &str)> {
        find_condition(&self.status.conditions, type_).map(|c| (c.status.as_str(), c.reason.as_str()))
    }
}

#[test]
fn nothing_is_known_of_keys_that_are_made_anew() {
    let mut case = Case::new(CompileState::None);
    assert_eq!(case.plan(), (Some(Action::Compile), false));
    for type_ in ["Compiled", "AccuracyWithinBudget", "TrustedSetup"] {
        assert_eq!(case.told(type_), Some(("Unknown", "Compiling")), "{type_}");
    }
    assert_eq!(case.told("Ready"), Some(("False", "Compiling")));
    let of = |c: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| c.observed_generation;
    assert!(case.status.conditions.iter().map(of).all(|g| g == Some(2)));
}

#[test]
fn a_compiler_that_crashed_is_not_started_again_and_the_model_is_stalled() {
    let mut case = Case::new(CompileState::Crashed("out of memory".to_owned()));
    assert_eq!(case.plan(), (None, true));
    assert_eq!(case.told("Stalled"), Some(("True", "CompileFailed")));
    // Another attempt was asked for.
    case.compile = CompileState::None;
    case.plan();
    assert_eq!(case.told("Stalled"), None);
}

#[test]
fn only_what_waiting_does_not_mend_is_stalled() {
    let mut case = Case::new(CompileState::None);
    case.source = SourceState::NotFound("no ConfigMap".to_owned());
    assert_eq!(case.plan(), (None, false));
    assert_eq!(case.told("Stalled"), None);
    case.source = SourceState::NotAllowed("no such address".to_owned());
    case.plan();
    assert_eq!(case.told("Stalled"), Some(("True", "SourceNotAllowed")));
    case.source = SourceState::Found(Digest::new([1; 32]));
    case.compile = CompileState::Done(CompileOutcome::Failed(CompileFailure {
        kind: FailureKind::InvalidModel,
        message: "not ONNX".to_owned(),
        unsupported: Vec::new(),
        outline: None,
    }));
    case.plan();
    assert_eq!(case.told("Stalled"), Some(("True", "InvalidModel")));
}

#[test]
fn calibration_data_that_is_wrong_is_named_as_the_spec_names_it() {
    let mut case = Case::new(CompileState::Done(CompileOutcome::Failed(CompileFailure {
        kind: FailureKind::InvalidCalibration,
        message: "the calibration data: `x` has 13 values, 2 were given".to_owned(),
        unsupported: Vec::new(),
        outline: None,
    })));
    let told = |case: &mut Case, calibration| {
        case.spec.quantization.calibration = serde_json::from_value(calibration).unwrap();
        case.plan();
        let ready = find_condition(&case.status.conditions, "Ready").unwrap();
        assert_eq!(ready.reason, "InvalidCalibration");
        ready.message.clone()
    };
    assert_eq!(
        told(
            &mut case,
            serde_json::json!({ "configMap": { "name": "files", "key": "short.json" } })
        ),
        "ConfigMap `files`, key `short.json`: the calibration data: `x` has 13 values, 2 were given"
    );
    let digest = Digest::new([7; 32]);
    let message = told(&mut case, serde_json::json!({ "artifact": digest }));
    assert!(message.starts_with(&format!("artifact {digest}: the calibration data: ")));
}

/// A compiled model whose greatest error is so many millionths of a budget of 10000.
fn compiled(max_error_millionths: u64, synthetic: bool) -> CompileState {
    let blob = BlobRef {
        digest: Digest::new([2; 32]),
        size: 1,
    };
    CompileState::Done(CompileOutcome::Compiled(CompileReport {
        model: Digest::new([1; 32]),
        batch: 1,
        manifest: blob.clone(),
        graph: blob,
        slices: Vec::new(),
        accuracy: Accuracy {
            profile: Profile::P16,
            samples: 64,
            synthetic,
            max_error_millionths,
            mean_error_millionths: 0,
            top1_agreement_millionths: 1_000_000,
            exact_agreement_millionths: 1_000_000,
            top_margin_millionths: None,
            sqnr_millibels: None,
            saturations: 0,
            widened: 0,
            tried: Vec::new(),
            nodes: Vec::new(),
            output_scale: vec![2.5],
            budget_millionths: 10_000,
            within_budget: max_error_millionths <= 10_000,
        },
        outlook: None,
        batches: Vec::new(),
    }))
}

#[test]
fn a_model_of_very_many_slices_has_a_status_that_the_api_server_can_store() {
    let slice = CompiledSlice {
        nodes: vec!["n".repeat(1024), "m".repeat(1024)],
        vk: Digest::new([3; 32]),
        files: SliceFiles::default(),
        measures: Measures::default(),
        predicted_micros: 1,
        predicted_memory_bytes: 1,
        predicted_proof_bytes: 1,
    };
    let of = |count: usize| {
        let report = CompileReport {
            slices: vec![slice.clone(); count],
            ..of_batch(1, 100)
        };
        let mut case = Case::new(CompileState::Done(CompileOutcome::Compiled(report)));
        assert_eq!(case.plan(), (None, false));
        case.status
    };
    let few = of(64);
    assert_eq!((few.slices.len(), few.slice_count), (64, Some(64)));
    let many = of(4096);
    assert_eq!(many.slice_count, Some(4096));
    assert!((64..4096).contains(&many.slices.len()));
    assert!(zkinfer_crds::encode(&many).len() < 512 << 10);
}

#[test]
fn a_model_that_allows_more_than_the_operator_is_not_served_even_if_it_was() {
    let mut case = Case::new(compiled(100, false));
    assert_eq!(case.plan(), (None, false));
    assert_eq!(case.told("Ready"), Some(("True", "Compiled")));
    let scale = |case: &Case| case.status.accuracy.as_ref().map(|a| a.output_scale.clone());
    assert_eq!(scale(&case), Some(vec![2.5]));
    case.spec.quantization.error_budget_millionths = 10_001;
    assert_eq!(case.plan(), (None, true));
    assert_eq!(case.told("Ready"), Some(("False", "BudgetAboveOperator")));
    assert_eq!(case.told("Stalled"), Some(("True", "BudgetAboveOperator")));
    // Nor is it compiled.
    case.compile = CompileState::None;
    assert_eq!(case.plan(), (None, true));
    case.max_error = 0.02;
    assert_eq!(case.plan(), (Some(Action::Compile), false));
}

#[test]
fn a_model_whose_budget_no_profile_keeps_is_not_served_whatever_it_was_calibrated_with() {
    for synthetic in [false, true] {
        let mut case = Case::new(compiled(10_001, synthetic));
        assert_eq!(case.plan(), (None, true));
        assert_eq!(case.told("Ready"), Some(("False", "OverBudget")), "{synthetic}");
        assert_eq!(case.told("AccuracyWithinBudget"), Some(("False", "OverBudget")));
    }
    let mut case = Case::new(compiled(10_000, true));
    case.plan();
    assert_eq!(case.told("Ready"), Some(("True", "Compiled")));
    let within = case.told("AccuracyWithinBudget");
    assert_eq!(within, Some(("Unknown", "SyntheticCalibration")));
}

#[test]
fn a_model_that_is_not_to_be_served_by_made_up_inputs_waits_for_none() {
    let mut case = Case::new(compiled(100, true));
    case.spec.quantization.synthetic = Synthetic::Refuse;
    assert_eq!(case.plan(), (None, true));
    assert_eq!(case.told("Ready"), Some(("False", "SyntheticCalibration")));
    let within = case.told("AccuracyWithinBudget");
    assert_eq!(within, Some(("Unknown", "SyntheticCalibration")));
    assert_eq!(case.told("Stalled"), Some(("True", "SyntheticCalibration")));
    // It is not compiled in vain.
    case.compile = CompileState::None;
    assert_eq!(case.plan(), (None, true));
    // With data of its own it is compiled and served, and not where these were gone when it was compiled again.
    let calibration = serde_json::json!({ "artifact": Digest::new([2; 32]) });
    case.spec.quantization.calibration = Some(serde_json::from_value(calibration).unwrap());
    assert_eq!(case.plan(), (Some(Action::Compile), false));
    case.compile = compiled(100, false);
    assert_eq!(case.plan(), (None, false));
    assert_eq!(case.told("Ready"), Some(("True", "Compiled")));
    case.compile = compiled(100, true);
    assert_eq!(case.plan(), (None, true));
    assert_eq!(case.told("Ready"), Some(("False", "SyntheticCalibration")));
    // What is over its budget is so whatever else is wrong.
    case.compile = compiled(10_001, true);
    case.plan();
    assert_eq!(case.told("Ready"), Some(("False", "OverBudget")));
}

#[test]
fn a_status_has_the_nodes_that_are_furthest_off_in_their_order() {
    let CompileState::Done(CompileOutcome::Compiled(mut report)) = compiled(100, false) else {
        panic!("it is compiled");
    };
    let node = |(at, error): (usize, &u64)| NodeAccuracy {
        node: format!("n{at}"),
        bits: 16,
        max_error_millionths: *error,
        mean_error_millionths: 0,
        sqnr_millibels: Some(9_000),
        saturations: 0,
    };
    let errors = [5, 90, 4, 80, 70, 3, 60, 50, 40, 30, 20];
    report.accuracy.nodes = errors.iter().enumerate().map(node).collect();
    (report.accuracy.widened, report.accuracy.sqnr_millibels) = (3, Some(7_521));
    let mut case = Case::new(CompileState::Done(CompileOutcome::Compiled(report)));
    case.plan();
    let accuracy = case.status.accuracy.as_ref().unwrap();
    let worst: Vec<&str> = accuracy.worst_nodes.iter().map(|n| n.node.as_str()).collect();
    assert_eq!(worst, ["n1", "n3", "n4", "n6", "n7", "n8", "n9", "n10"]);
    assert_eq!((accuracy.widened, accuracy.sqnr_millibels), (3, Some(7_521)));
    let within = find_condition(&case.status.conditions, condition::ACCURACY_WITHIN_BUDGET);
    let message = &within.unwrap().message;
    assert!(
        message.contains("profile P16 with more bits for 3 tensor(s)"),
        "{message}"
    );
}

/// One manifest of so many inputs at once, whose greatest error is so many millionths.
fn of_batch(batch: u32, max_error_millionths: u64) -> CompileReport {
    let CompileState::Done(CompileOutcome::Compiled(report)) = compiled(max_error_millionths, false) else {
        panic!("it is compiled");
    };
    CompileReport { batch, ..report }
}

#[test]
fn a_model_lists_its_batches_and_is_served_only_if_all_of_them_keep_the_budget() {
    let of = |reports: Vec<CompileReport>| {
        let report = CompileReport::joined(reports).unwrap();
        Case::new(CompileState::Done(CompileOutcome::Compiled(report)))
    };
    let mut case = of(vec![of_batch(16, 200), of_batch(1, 100)]);
    assert_eq!(case.plan(), (None, false));
    let sizes = |case: &Case| {
        let batches = case.status.batches.iter();
        batches
            .map(|b| (b.size, b.max_abs_error_millionths))
            .collect::<Vec<_>>()
    };
    assert_eq!(sizes(&case), [(1, 100), (16, 200)]);
    let measured = |case: &Case| {
        let condition = find_condition(&case.status.conditions, condition::ACCURACY_WITHIN_BUDGET);
        condition.unwrap().message.clone()
    };
    assert!(
        measured(&case).contains("on 64 inputs, 16 at once"),
        "{}",
        measured(&case)
    );
    let mut case = of(vec![of_batch(1, 100), of_batch(16, 10_001)]);
    assert_eq!(case.plan(), (None, true));
    assert_eq!(case.told("Ready"), Some(("False", "OverBudget")));
    // One of one input at a time says what it always said.
    let mut case = Case::new(compiled(100, false));
    case.plan();
    assert!(case.status.batches.is_empty());
    assert!(!measured(&case).contains("at once"));
}

#[test]
fn the_largest_of_a_models_manifests_decides_whether_there_is_memory_for_it() {
    let mut large = of_batch(16, 100);
    large.graph.size = 200 << 20;
    let report = CompileReport::joined(vec![of_batch(1, 100), large]).unwrap();
    let mut case = Case::new(CompileState::Done(CompileOutcome::Compiled(report)));
    assert!(case.plan().1);
    assert_eq!(case.told("Ready"), Some(("False", "TooLargeForOperator")));
}

#[test]
fn a_model_of_another_version_says_so_until_it_is_compiled_again() {
    let mut case = Case::new(CompileState::None);
    case.old_version = true;
    assert_eq!(case.plan(), (Some(Action::Compile), false));
    assert_eq!(case.told("Recompiling"), Some(("True", "OldVersion")));
    assert_eq!(case.told("Ready"), Some(("False", "Compiling")));
    case.compile = CompileState::Running("planned 4 slices".to_owned());
    case.plan();
    assert_eq!(case.told("Recompiling"), Some(("True", "OldVersion")));
    (case.compile, case.old_version) = (compiled(100, false), false);
    case.plan();
    assert_eq!(case.told("Recompiling"), None);
    assert_eq!(case.told("Ready"), Some(("True", "Compiled")));
}

#[test]
fn a_model_whose_calibration_data_was_gone_says_that_its_inputs_are_made_up() {
    let mut case = Case::new(compiled(100, true));
    let said = |case: &mut Case| {
        case.plan();
        let condition = find_condition(&case.status.conditions, condition::ACCURACY_WITHIN_BUDGET);
        condition.unwrap().message.contains("was gone")
    };
    assert!(!said(&mut case), "the spec names none");
    let calibration = serde_json::json!({ "artifact": Digest::new([2; 32]) });
    case.spec.quantization.calibration = Some(serde_json::from_value(calibration).unwrap());
    assert!(said(&mut case));
    assert_eq!(
        case.told("AccuracyWithinBudget"),
        Some(("Unknown", "SyntheticCalibration"))
    );
    case.compile = compiled(100, false);
    assert!(!said(&mut case), "it is there");
}

#[test]
fn a_list_of_who_may_serve_that_cannot_be_read_is_told_and_the_model_stays_ready() {
    let mut case = Case::new(compiled(100, true));
    case.bad_consent = Some("ConfigMap home/zkinfer-consent: it has no data.servedBy".to_owned());
    case.plan();
    let told = find_condition(&case.status.conditions, condition::INVALID_CONSENT).unwrap();
    assert_eq!(
        (told.status.as_str(), told.reason.as_str()),
        ("True", "InvalidList")
    );
    assert!(told.message.contains("home/zkinfer-consent"));
    assert!(zkinfer_crds::k8s::is_true(
        &case.status.conditions,
        condition::READY
    ));
    case.bad_consent = None;
    case.plan();
    assert!(find_condition(&case.status.conditions, condition::INVALID_CONSENT).is_none());
}

#[test]
fn namespaces_of_the_list_that_are_not_watched_are_told_and_the_model_stays_ready() {
    let mut case = Case::new(compiled(100, true));
    case.unseen = Some("this operator does not watch namespace `far`".to_owned());
    case.plan();
    let told = find_condition(&case.status.conditions, condition::NAMESPACE_NOT_WATCHED).unwrap();
    assert_eq!(
        (told.status.as_str(), told.reason.as_str()),
        ("True", "NamespaceNotWatched")
    );
    assert!(told.message.contains("`far`"));
    assert!(zkinfer_crds::k8s::is_true(
        &case.status.conditions,
        condition::READY
    ));
    case.unseen = None;
    case.plan();
    assert!(find_condition(&case.status.conditions, condition::NAMESPACE_NOT_WATCHED).is_none());
}

#[test]
fn objectives_are_told_beside_readiness_and_go_with_the_spec() {
    let mut case = Case::new(CompileState::None);
    let told = |truth, reason| {
        Objectives::Told(Told {
            truth,
            reason,
            message: "in the last 24 h".to_owned(),
        })
    };
    case.plan();
    assert_eq!(case.told("SloMet"), None);
    let ready = case.told("Ready").map(|(truth, _)| truth.to_owned());
    case.objectives = told(Truth::False, "TooSlow");
    case.plan();
    assert_eq!(case.told("SloMet"), Some(("False", "TooSlow")));
    assert_eq!(case.told("Ready").map(|(truth, _)| truth.to_owned()), ready);
    assert_eq!(case.told("Stalled"), None, "no change of it mends that");
    // While requests are not seen, after a restart, nothing else is said.
    case.objectives = Objectives::Unseen;
    case.plan();
    assert_eq!(case.told("SloMet"), Some(("False", "TooSlow")));
    case.objectives = Objectives::None;
    case.plan();
    assert_eq!(case.told("SloMet"), None);
}
