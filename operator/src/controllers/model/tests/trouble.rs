//! What stands in a Model's way from outside: memory, another file, a compiler that cannot start, no trusted setup.

use super::*;

#[test]
fn a_model_that_the_operator_has_no_memory_for_is_not_ready_and_names_limit_and_flag() {
    let mut outcome = compiled(100, true);
    if let CompileState::Done(CompileOutcome::Compiled(report)) = &mut outcome {
        report.graph.size = 200 << 20;
    }
    let mut case = Case::new(outcome);
    let (_, failed) = case.plan();
    assert!(failed, "waiting does not help");
    let ready = find_condition(&case.status.conditions, condition::READY).unwrap();
    assert_eq!(ready.reason, "TooLargeForOperator");
    for word in ["405 MiB", "320 MiB", "--model-memory=405Mi", "memory limit"] {
        assert!(ready.message.contains(word), "{word}: {}", ready.message);
    }
    assert!(zkinfer_crds::k8s::is_true(
        &case.status.conditions,
        condition::COMPILED
    ));
    case.model_memory = 1 << 30;
    assert!(!case.plan().1);
    assert!(zkinfer_crds::k8s::is_true(
        &case.status.conditions,
        condition::READY
    ));
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

#[test]
fn without_a_trusted_setup_a_model_that_needs_one_says_both_ways_out() {
    let mut case = Case::new(CompileState::None);
    case.spec.proof_system = ProofSystem::Halo2Kzg;
    assert_eq!(case.plan(), (None, true));
    for type_ in ["Ready", "TrustedSetup", "Stalled"] {
        let condition = find_condition(&case.status.conditions, type_).unwrap();
        assert_eq!(condition.reason, "NoTrustedSetup", "{type_}");
        for words in [
            "Halo2Kzg",
            "--srs FILE",
            "FORGEABLE BY ANYONE",
            "another proofSystem",
        ] {
            assert!(
                condition.message.contains(words),
                "{type_}: {}",
                condition.message
            );
        }
    }
    assert_eq!(case.told("Stalled"), Some(("True", "NoTrustedSetup")));
}
