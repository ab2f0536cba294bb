//! What the planner decides.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use zkinfer_crds::Digest;
use zkinfer_crds::k8s::inference_request::{
    InferenceRequestSpec, InferenceRequestStatus, RequestPhase, condition,
};
use zkinfer_crds::k8s::request_status::{QueuePlace, ReceiptRef, RequestAnswer, RequestBatch, RequestOutput};
use zkinfer_crds::k8s::{find_condition, is_true};

use super::line::Turn;
use super::observed::*;
use super::plan::*;
use super::status;
use crate::dispatch::PoolId;

mod waiting;

fn id(name: &str) -> PoolId {
    PoolId::new("miners", name)
}

fn pool(name: &str) -> PoolView {
    PoolView {
        id: id(name),
        labels: BTreeMap::new(),
        ready: true,
        draining: false,
        serves: true,
        barred: None,
        memory_bytes: 1 << 30,
        because: None,
    }
}

fn draining(name: &str) -> PoolView {
    PoolView {
        draining: true,
        ..pool(name)
    }
}

fn model() -> ModelState {
    ModelState::Ready {
        model: Digest::new([1; 32]),
        manifests: vec![of_manifest(2, 1 << 20)],
    }
}

fn of_manifest(tag: u8, memory_bytes: u64) -> ManifestView {
    ManifestView {
        manifest: Digest::new([tag; 32]),
        memory_bytes,
    }
}

fn active(pools: &[&str]) -> RunState {
    RunState::Active(RunView {
        pools: pools.iter().map(|name| id(name)).collect(),
        ..RunView::default()
    })
}

/// A request that was made at second 0, as it is at a later one.
struct Case {
    spec: InferenceRequestSpec,
    generation: i64,
    status: InferenceRequestStatus,
    model: ModelState,
    pools: Vec<PoolView>,
    looked: Option<Digest>,
    run: RunState,
    store: Option<String>,
    unseen: Option<String>,
    turn: Option<Turn>,
    no_benchmark: Option<String>,
    second: i64,
}

impl Case {
    fn new(run: RunState, pools: Vec<PoolView>) -> Self {
        let spec = serde_json::json!({
            "modelRef": { "name": "m" }, "input": { "artifact": Digest::new([3; 32]) }, "deadline": "60s",
        });
        Self {
            spec: serde_json::from_value(spec).unwrap(),
            generation: 1,
            status: InferenceRequestStatus::default(),
            model: model(),
            pools,
            looked: Some(Digest::new([2; 32])),
            run,
            store: None,
            unseen: None,
            turn: Some(Turn::Begins),
            no_benchmark: None,
            second: 1,
        }
    }

    /// Plans, and goes on from the status that was planned.
    fn plan(&mut self) -> Option<Action> {
        let at = |second| Time(Timestamp::from_second(second).unwrap());
        let planned = plan(
            &Observed {
                spec: &self.spec,
                generation: Some(self.generation),
                created: &at(0),
                status: &self.status,
                model: self.model.clone(),
                pools: self.pools.clone(),
                looked: self.looked,
                run: self.run.clone(),
                store: self.store.clone(),
                unseen: self.unseen.clone(),
                turn: self.turn.clone(),
                no_benchmark: self.no_benchmark.clone(),
            },
            &at(self.second),
        );
        self.status = planned.status;
        planned.action
    }

    fn reason(&self, type_: &str) -> Option<&str> {
        find_condition(&self.status.conditions, type_).map(|c| c.reason.as_str())
    }
}

#[test]
fn what_only_says_that_it_is_a_benchmark_fails_before_anything_of_its_model_is_told() {
    for run in [RunState::None, active(&["a"])] {
        let stop = matches!(run, RunState::Active(_)).then_some(Action::Stop);
        let mut case = Case::new(run, vec![pool("a")]);
        case.model = ModelState::NotFound(vec!["somebody-elses".to_owned()]);
        case.no_benchmark = Some("the operator has not made it".to_owned());
        assert_eq!(case.plan(), stop);
        assert_eq!(case.status.phase, RequestPhase::Failed);
        assert_eq!(case.reason("Ready"), Some("NotABenchmark"));
        let ready = find_condition(&case.status.conditions, "Ready").unwrap();
        assert_eq!(ready.message, "the operator has not made it");
    }
}

#[test]
fn a_pool_that_is_drained_is_no_target_even_if_it_is_the_only_one() {
    let mut case = Case::new(active(&["a"]), vec![pool("a")]);
    assert_eq!(case.plan(), None);
    case.pools = vec![draining("a")];
    assert_eq!(case.plan(), Some(Action::Retarget(Vec::new())));
    case.run = active(&[]);
    assert_eq!(case.plan(), None);
    assert_eq!(case.status.phase, RequestPhase::Proving);
    assert_eq!(case.reason("Ready"), Some("NoFittingPool"));
    // Another one comes, or the drain ends.
    for there in [vec![draining("a"), pool("b")], vec![pool("b")]] {
        case.pools = there;
        assert_eq!(case.plan(), Some(Action::Retarget(vec![id("b")])));
    }
    case.pools = vec![pool("a")];
    assert_eq!(case.plan(), Some(Action::Retarget(vec![id("a")])));
    case.run = active(&["a"]);
    assert_eq!(case.plan(), None);
    assert_eq!(case.reason("Ready"), Some("Proving"));
}

#[test]
fn a_pool_in_trouble_stays_a_target_until_another_fits_and_one_that_withdrew_does_not() {
    let troubled = PoolView {
        ready: false,
        ..pool("a")
    };
    let mut case = Case::new(active(&["a", "b"]), vec![troubled.clone(), draining("b")]);
    assert_eq!(case.plan(), Some(Action::Retarget(vec![id("a")])));
    case.pools.push(pool("c"));
    assert_eq!(case.plan(), Some(Action::Retarget(vec![id("c")])));
    let elsewhere = PoolView {
        serves: false,
        ..troubled
    };
    let mut case = Case::new(active(&["a"]), vec![elsewhere]);
    assert_eq!(
        case.plan(),
        Some(Action::Retarget(Vec::new())),
        "it serves others now"
    );
    let barred = PoolView {
        barred: Some("nobody has consented".to_owned()),
        ..pool("a")
    };
    let mut case = Case::new(active(&["a"]), vec![barred]);
    assert_eq!(
        case.plan(),
        Some(Action::Retarget(Vec::new())),
        "it may not see it any more"
    );
    // Drained or not does not depend on what became of the Model.
    let mut case = Case::new(active(&["a", "b"]), vec![pool("a"), draining("b")]);
    case.model = ModelState::NotFound(Vec::new());
    assert_eq!(case.plan(), Some(Action::Retarget(vec![id("a")])));
}

#[test]
fn a_request_is_not_begun_without_a_pool_but_goes_on_after_a_restart() {
    let mut case = Case::new(RunState::None, vec![draining("a")]);
    assert_eq!(case.plan(), None);
    assert_eq!(
        (case.status.phase, case.reason("Ready")),
        (RequestPhase::Pending, Some("NoFittingPool"))
    );
    // What workers of the drained pool hold, they may end.
    case.status.phase = RequestPhase::Proving;
    assert_eq!(case.plan(), Some(Action::Start(Vec::new())));
}

#[test]
fn what_needs_no_model_is_decided_before_the_model_is_loaded() {
    let unloaded = || Case {
        model: ModelState::Unknown,
        ..Case::new(RunState::None, vec![pool("a")])
    };
    let mut case = unloaded();
    assert_eq!(case.plan(), None);
    assert_eq!(
        case.status,
        InferenceRequestStatus::default(),
        "nothing is said of a Model that is not known"
    );
    case.spec.cancel = true;
    case.plan();
    assert_eq!(case.status.phase, RequestPhase::Cancelled);

    let mut case = unloaded();
    case.second = 60;
    case.plan();
    assert_eq!(case.reason("Failed"), Some("DeadlineExceeded"));

    let mut case = unloaded();
    case.spec.suspend = true;
    case.plan();
    assert_eq!(case.reason("Ready"), Some("Suspended"));
}

#[test]
fn every_condition_is_of_the_generation_that_was_looked_at() {
    let mut case = Case::new(RunState::None, vec![pool("a")]);
    case.plan();
    case.run = active(&["a"]);
    for (generation, suspend) in [(2, true), (3, false)] {
        (case.generation, case.spec.suspend) = (generation, suspend);
        case.plan();
        let status = &case.status;
        assert_eq!(status.observed_generation, Some(generation));
        let conditions = status.conditions.iter();
        let old: Vec<_> = conditions
            .filter(|c| c.observed_generation != Some(generation))
            .map(|c| &c.type_)
            .collect();
        assert!(old.is_empty(), "{old:?}");
        assert!(is_true(&status.conditions, condition::ACCEPTED));
    }
}

#[test]
fn a_request_that_ended_without_a_receipt_is_stalled_and_no_other() {
    let mut case = Case::new(active(&["a"]), vec![pool("a")]);
    case.plan();
    assert_eq!(case.reason("Stalled"), None);
    case.spec.cancel = true;
    assert_eq!(case.plan(), Some(Action::Stop));
    assert!(is_true(&case.status.conditions, condition::STALLED));
    assert_eq!(case.reason("Stalled"), Some("Cancelled"));
}

#[test]
fn a_request_whose_float_answer_cannot_be_had_waits_until_its_deadline() {
    let mut case = Case::new(active(&["a"]), vec![pool("a")]);
    case.plan();
    let away = RunState::Active(RunView {
        pools: vec![id("a")],
        no_float: Some("no such socket".to_owned()),
        ..RunView::default()
    });
    case.run = away;
    assert_eq!(case.plan(), None);
    assert_eq!(case.reason("Ready"), Some("ReferenceUnavailable"));
    assert_eq!(case.status.phase, RequestPhase::Proving);
    case.second = 60;
    assert_eq!(case.plan(), Some(Action::Stop));
    let failed = find_condition(&case.status.conditions, condition::FAILED).unwrap();
    assert_eq!(failed.reason, "DeadlineExceeded");
    assert!(failed.message.contains("no such socket"), "{}", failed.message);
}

#[test]
fn a_wrong_answer_fails_the_request_with_its_error_and_a_right_one_tells_how_to_check_it() {
    let ended = |end| RunState::Ended(RunView::default(), end);
    let mut case = Case::new(
        ended(RunEnd::Failed {
            reason: "AccuracyExceeded",
            message: "1 at 0, the float model 2".to_owned(),
            error_millionths: Some(500_000),
        }),
        vec![pool("a")],
    );
    case.plan();
    assert_eq!(case.status.phase, RequestPhase::Failed);
    assert_eq!(case.reason("Failed"), Some("AccuracyExceeded"));
    assert_eq!(case.status.error_vs_float_millionths, Some(500_000));
    let of_three = RequestBatch { size: 4, inputs: 3 };
    let mut case = Case::new(
        ended(RunEnd::Receipt {
            receipt: ReceiptRef {
                digest: Digest::new([4; 32]),
                bytes: 1,
                path: None,
            },
            output: RequestOutput::default(),
            batch: (Some(of_three), vec![RequestAnswer::default(); 3]),
            error_millionths: 7,
            verify: "prover-worker verify r.cbor".to_owned(),
        }),
        vec![pool("a")],
    );
    case.plan();
    assert_eq!(case.status.phase, RequestPhase::Succeeded);
    assert_eq!(case.status.error_vs_float_millionths, Some(7));
    assert_eq!(
        (case.status.batch, case.status.answers.len()),
        (Some(of_three), 3)
    );
    assert_eq!(case.status.verify.as_deref(), Some("prover-worker verify r.cbor"));
}

#[test]
fn what_was_begun_with_a_model_that_is_compiled_again_begins_anew() {
    let proving = || {
        let mut case = Case::new(RunState::None, vec![pool("a")]);
        assert_eq!(case.plan(), Some(Action::Start(vec![id("a")])));
        case.run = active(&["a"]);
        case.plan();
        // The operator is replaced by another version.
        case.run = RunState::None;
        case
    };
    let mut case = proving();
    assert_eq!(
        case.plan(),
        Some(Action::Start(vec![id("a")])),
        "the same manifest"
    );

    let mut case = proving();
    case.model = ModelState::Recompiling("Compiling: planned 4 slices".to_owned());
    assert_eq!(case.plan(), Some(Action::StartOver));
    assert_eq!(case.status.phase, RequestPhase::Pending);
    assert_eq!(case.status.manifest_digest, None);
    assert_eq!(case.plan(), None, "once is enough");
    assert_eq!(case.status.phase, RequestPhase::Pending);
    case.model = model();
    assert_eq!(case.plan(), Some(Action::Start(vec![id("a")])));
    assert_eq!(case.status.phase, RequestPhase::Proving);

    // The Model is ready again before anybody has looked.
    let mut case = proving();
    case.model = ModelState::Ready {
        model: Digest::new([1; 32]),
        manifests: vec![of_manifest(9, 1 << 20)],
    };
    assert_eq!(case.plan(), Some(Action::StartOver));
    assert_eq!(case.plan(), Some(Action::Start(vec![id("a")])));
    assert_eq!(case.status.manifest_digest, Some(Digest::new([9; 32])));
}

#[test]
fn while_the_store_is_away_nothing_is_begun_and_nothing_final_is_said() {
    let lost = || Some("artifact store: No space left on device".to_owned());
    let mut case = Case::new(RunState::None, vec![pool("a")]);
    case.store = lost();
    case.model = ModelState::Failed("CompileFailed: its report is not there".to_owned());
    assert_eq!(case.plan(), None);
    assert_eq!(
        (case.status.phase, case.reason("Ready")),
        (RequestPhase::Pending, Some("StoreUnavailable"))
    );
    (case.store, case.model) = (None, model());
    assert_eq!(case.plan(), Some(Action::Start(vec![id("a")])));
    case.run = active(&["a"]);
    case.plan();
    case.store = lost();
    assert_eq!(case.plan(), None);
    assert_eq!(
        (case.status.phase, case.reason("Ready")),
        (RequestPhase::Proving, Some("StoreUnavailable"))
    );
    // Time goes on.
    case.second = 60;
    assert_eq!(case.plan(), Some(Action::Stop));
    assert_eq!(case.reason("Failed"), Some("DeadlineExceeded"));
}

#[test]
fn what_is_left_of_an_erased_request_tells_no_value_of_its_input_or_its_answer() {
    let mut case = Case::new(
        RunState::Refused {
            reason: "OutOfCalibratedRange",
            message: "node 3: 0.123456 is out of range".to_owned(),
        },
        vec![pool("a")],
    );
    case.plan();
    let mut seen = case.status.clone();
    seen.output = Some(RequestOutput {
        values: Some(vec![0.123456]),
        label: Some("0.123456".to_owned()),
        ..RequestOutput::default()
    });
    seen.answers = vec![RequestAnswer {
        values: Some(vec![0.123456]),
        label: Some("0.123456".to_owned()),
        error_vs_float_millionths: 123_456,
        ..RequestAnswer::default()
    }];
    seen.receipt = Some(ReceiptRef {
        digest: Digest::new([7; 32]),
        bytes: 9,
        path: None,
    });
    seen.error_vs_float_millionths = Some(123_456);
    let at = Time(Timestamp::from_second(9).unwrap());
    let told = status::erased(&seen, Some("alice"), Some(2), &at);
    let text = serde_json::to_string(&told).unwrap();
    assert!(!text.contains("123456") && !text.contains("sha256:"), "{text}");
    assert_eq!(told.phase, RequestPhase::Erased);
    assert!(told.phase.is_over());
    let erased = told.erased.as_ref().unwrap();
    assert_eq!((erased.by.as_deref(), &erased.at), (Some("alice"), &at));
    assert_eq!(told.finished_at, seen.finished_at, "it ended when it ended");
    for (type_, status) in [("Ready", "False"), ("Stalled", "True")] {
        let condition = find_condition(&told.conditions, type_).unwrap();
        assert_eq!(
            (condition.status.as_str(), condition.reason.as_str()),
            (status, "Erased")
        );
    }
    assert!(
        is_true(&told.conditions, condition::FAILED),
        "how it ended is left"
    );
}
