//! What the planner decides.

use zkinfer_crds::compile_report::{Accuracy, CompileFailure, CompileOutcome, CompileReport, FailureKind};
use zkinfer_crds::k8s::find_condition;
use zkinfer_crds::k8s::model::{ModelSpec, ModelStatus, condition};
use zkinfer_crds::k8s::{Truth, set_condition};
use zkinfer_crds::wire::BlobRef;
use zkinfer_crds::{Digest, ProofSystem};

use super::plan::*;
use crate::fleet::{Finding, Mends};
use crate::local::now;

/// A Model that was ready once.
struct Case {
    spec: ModelSpec,
    generation: i64,
    status: ModelStatus,
    source: SourceState,
    compile: CompileState,
    max_error: f64,
    old_version: bool,
    changed: Option<String>,
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
            changed: None,
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
            setup: None,
            max_error: self.max_error,
            old_version: self.old_version,
            changed: self.changed.clone(),
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
    }));
    case.plan();
    assert_eq!(case.told("Stalled"), Some(("True", "InvalidModel")));
}

/// A compiled model whose greatest error is so many millionths of a budget of 10000.
fn compiled(max_error_millionths: u64, synthetic: bool) -> CompileState {
    let blob = BlobRef {
        digest: Digest::new([2; 32]),
        size: 1,
    };
    CompileState::Done(CompileOutcome::Compiled(CompileReport {
        model: Digest::new([1; 32]),
        manifest: blob.clone(),
        graph: blob,
        slices: Vec::new(),
        accuracy: Accuracy {
            profile: "P16".to_owned(),
            samples: 64,
            synthetic,
            max_error_millionths,
            mean_error_millionths: 0,
            top1_agreement_millionths: 1_000_000,
            output_scale: vec![2.5],
            budget_millionths: 10_000,
            within_budget: max_error_millionths <= 10_000,
        },
    }))
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
fn a_file_that_is_another_by_now_is_told_of_and_changes_nothing() {
    let mut case = Case::new(CompileState::Crashed("why".to_owned()));
    case.changed = Some("it is another".to_owned());
    case.plan();
    assert_eq!(case.told("SourceChanged"), Some(("True", "SourceChanged")));
    assert_eq!(case.told("Ready"), Some(("False", "CompileFailed")));
    case.changed = None;
    case.plan();
    assert_eq!(case.told("SourceChanged"), None);
}

#[test]
fn a_compiler_that_cannot_start_is_no_failure_of_the_model_and_stalled_where_a_person_has_to_act() {
    let blocked = |mends| {
        CompileState::Blocked(Finding {
            reason: "QuotaExceeded",
            message: "no room. Make some".to_owned(),
            mends,
            lasts: false,
        })
    };
    let mut case = Case::new(blocked(Mends::Time));
    assert_eq!(case.plan(), (None, false), "its requests wait");
    assert_eq!(case.told("Ready"), Some(("False", "QuotaExceeded")));
    assert_eq!(case.told("Compiled"), Some(("Unknown", "QuotaExceeded")));
    assert_eq!(case.told("Stalled"), None);
    case.compile = blocked(Mends::Person);
    assert_eq!(case.plan(), (None, false));
    assert_eq!(case.told("Stalled"), Some(("True", "QuotaExceeded")));
    case.compile = CompileState::Running("planned 4 slices".to_owned());
    case.plan();
    assert_eq!(case.told("Stalled"), None);
}
