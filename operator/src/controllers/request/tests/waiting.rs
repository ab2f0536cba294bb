//! What a request waits for, and what it does not wait for.

use super::*;

#[test]
fn a_wrong_input_ends_a_request_that_no_pool_fits() {
    for pools in [Vec::new(), vec![draining("a")]] {
        let mut case = Case::new(RunState::None, pools);
        case.looked = None;
        assert_eq!(case.plan(), Some(Action::Look));
        assert_eq!(case.reason("Ready"), None, "nothing is known of it yet");
        case.run = RunState::Refused {
            reason: "InvalidInput",
            message: "the model has the inputs x; the request gives y".to_owned(),
        };
        assert_eq!(case.plan(), None);
        assert_eq!(
            (case.status.phase, case.reason("Failed")),
            (RequestPhase::Failed, Some("InvalidInput"))
        );
    }
    // A right one is looked at once.
    let mut case = Case::new(RunState::None, Vec::new());
    case.looked = None;
    assert_eq!(case.plan(), Some(Action::Look));
    case.looked = Some(Digest::new([2; 32]));
    assert_eq!(case.plan(), None);
    assert_eq!(case.reason("Ready"), Some("NoFittingPool"));
    // Where a pool fits, the start looks.
    let mut case = Case::new(RunState::None, vec![pool("a")]);
    case.looked = None;
    assert_eq!(case.plan(), Some(Action::Start(vec![id("a")])));
}

#[test]
fn a_request_for_a_model_that_is_not_there_names_those_that_are() {
    let told = |others: &[&str]| {
        let mut case = Case::new(RunState::None, vec![pool("a")]);
        case.model = ModelState::NotFound(others.iter().map(|o| (*o).to_owned()).collect());
        assert_eq!(case.plan(), None);
        assert_eq!(case.status.phase, RequestPhase::Pending);
        assert_eq!(case.reason("Stalled"), None, "it may come");
        let ready = find_condition(&case.status.conditions, condition::READY).unwrap();
        assert_eq!(ready.reason, "ModelNotFound");
        ready.message.clone()
    };
    assert_eq!(
        told(&["digits", "wine"]),
        "there is no Model `m` in this request's namespace yet; it has `digits`, `wine`. The request waits for it, at most 60s \
         from its creation; if the name is wrong, delete the request and make it again. A Model of another \
         controllerClass than the request's, `zkinfer`, is none"
    );
    assert!(told(&[]).contains("there is none at all in it"));
    let many: Vec<String> = (0..9).map(|n| format!("m{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(told(&many).contains("`m5` and 3 more."), "{}", told(&many));
}

#[test]
fn a_pool_without_consent_is_none_that_fits_and_the_message_says_what_each_pool_lacks() {
    let large = |name| PoolView {
        memory_bytes: 4 << 30,
        ..pool(name)
    };
    let barred = PoolView {
        barred: Some("spec.servedBy of Model `m` does not name namespace `miners`".to_owned()),
        ..large("a")
    };
    let small = PoolView {
        ready: false,
        ..pool("b")
    };
    let elsewhere = PoolView {
        serves: false,
        ..large("c")
    };
    let mut case = Case::new(RunState::None, vec![barred.clone(), small, elsewhere]);
    if let ModelState::Ready { manifests, .. } = &mut case.model {
        manifests[0].memory_bytes = 2 << 30;
    }
    assert_eq!(case.plan(), None);
    assert_eq!(case.reason("Ready"), Some("NoFittingPool"));
    let ready = find_condition(&case.status.conditions, condition::READY).unwrap();
    assert_eq!(
        ready.message,
        "none of 3 pools fits: miners/a: spec.servedBy of Model `m` does not name namespace `miners`; miners/b: its workers \
         have 1024 MiB of memory, the largest slice needs 2048 MiB, it is not Ready (nothing is known of it yet); miners/c: \
         its spec.allowedNamespaces has not this namespace"
    );
    case.pools = vec![barred, large("d")];
    assert_eq!(case.plan(), Some(Action::Start(vec![id("d")])));
}

#[test]
fn a_request_that_no_pool_fits_is_told_what_is_wrong_with_each() {
    let mut case = Case::new(RunState::None, Vec::new());
    let told = |case: &mut Case| {
        case.plan();
        let ready = find_condition(&case.status.conditions, condition::READY).unwrap();
        assert_eq!(ready.reason, "NoFittingPool");
        assert!(ready.message.len() <= zkinfer_crds::k8s::conditions::MAX_MESSAGE);
        ready.message.clone()
    };
    assert!(told(&mut case).contains("there is no MinerPool"));
    case.unseen = Some("this operator does not watch namespace `far`".to_owned());
    assert!(
        told(&mut case)
            .ends_with("one elsewhere that serves it; this operator does not watch namespace `far`")
    );
    case.unseen = None;
    case.spec.pool_selector =
        Some(serde_json::from_value(serde_json::json!({ "matchLabels": { "a": "b" } })).unwrap());
    let selected = |name| PoolView {
        labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        ..pool(name)
    };
    case.pools = vec![
        PoolView {
            serves: false,
            because: Some("Crashing: a secret".to_owned()),
            ..selected("elsewhere")
        },
        PoolView {
            memory_bytes: 1 << 10,
            draining: true,
            ..selected("small")
        },
        PoolView {
            ready: false,
            because: Some("ImageUnavailable: no such image".to_owned()),
            ..selected("broken")
        },
        pool("other"),
    ];
    assert_eq!(
        told(&mut case),
        "none of 4 pools fits: miners/broken: it is not Ready (ImageUnavailable: no such image); miners/other: it has not the \
         labels of poolSelector; miners/small: its workers have 0 MiB of memory, the largest slice needs 1 MiB, it is \
         drained; miners/elsewhere: its spec.allowedNamespaces has not this namespace"
    );
    case.pools = (0..40).map(|n| pool(&format!("p{n}"))).collect();
    assert!(told(&mut case).ends_with("; and 34 more"));
}

#[test]
fn a_request_that_the_limits_hold_back_waits_queued_with_its_place_and_asks_for_its_turn_only_when_it_could_begin()
 {
    let mut case = Case::new(RunState::None, Vec::new());
    case.turn = None;
    assert_eq!(case.plan(), None, "no pool fits: nothing to ask for");
    assert_eq!(case.reason("Ready"), Some("NoFittingPool"));
    case.pools = vec![pool("a")];
    assert_eq!(case.plan(), Some(Action::Ask));
    let place = QueuePlace {
        position: 4,
        limit: "requestsPerClient".to_owned(),
        client: Some("alice".to_owned()),
    };
    case.turn = Some(Turn::Waits(place.clone()));
    assert_eq!(case.plan(), None);
    assert_eq!(
        (case.status.phase, case.reason("Ready")),
        (RequestPhase::Pending, Some("Queued"))
    );
    assert_eq!(case.status.queue, Some(place));
    let ready = find_condition(&case.status.conditions, condition::READY).unwrap();
    assert!(
        ready.message.contains("of alice") && ready.message.contains("spec.limits.requestsPerClient"),
        "{}",
        ready.message
    );
    case.turn = Some(Turn::Begins);
    assert_eq!(case.plan(), Some(Action::Start(vec![id("a")])));
    assert_eq!(case.status.queue, None, "it waits no more");
}

#[test]
fn a_request_that_waits_for_its_turn_can_be_cancelled_and_ends_at_its_deadline() {
    let queued = || {
        let mut case = Case::new(RunState::None, vec![pool("a")]);
        case.turn = Some(Turn::Waits(QueuePlace {
            position: 1,
            limit: "requestsInFlight".to_owned(),
            client: None,
        }));
        assert_eq!(case.plan(), None);
        case
    };
    let mut case = queued();
    case.spec.cancel = true;
    assert_eq!(case.plan(), None);
    assert_eq!(
        (case.status.phase, &case.status.queue),
        (RequestPhase::Cancelled, &None)
    );
    let mut case = queued();
    case.second = 60;
    assert_eq!(case.plan(), None);
    assert_eq!(case.reason("Failed"), Some("DeadlineExceeded"));
    let failed = find_condition(&case.status.conditions, condition::FAILED).unwrap();
    assert!(failed.message.contains("requestsInFlight"), "{}", failed.message);
}

#[test]
fn of_several_manifests_the_number_of_inputs_decides_which_is_proved_and_which_pools_fit() {
    let mut case = Case::new(RunState::None, vec![pool("a")]);
    case.model = ModelState::Ready {
        model: Digest::new([1; 32]),
        manifests: vec![of_manifest(2, 1 << 20), of_manifest(5, 2 << 30)],
    };
    // Nothing is begun before the inputs are counted.
    case.looked = None;
    assert_eq!(case.plan(), Some(Action::Look));
    case.looked = Some(Digest::new([5; 32]));
    assert_eq!(case.plan(), None);
    assert_eq!(
        case.reason("Ready"),
        Some("NoFittingPool"),
        "for so many the pool is too small"
    );
    case.looked = Some(Digest::new([2; 32]));
    assert_eq!(case.plan(), Some(Action::Start(vec![id("a")])));
    assert_eq!(case.status.manifest_digest, Some(Digest::new([2; 32])));
    // After a restart it is counted again, and is not begun anew for another manifest of the same Model.
    let large = PoolView {
        memory_bytes: 4 << 30,
        ..pool("b")
    };
    case.pools = vec![large];
    case.status.manifest_digest = Some(Digest::new([5; 32]));
    case.looked = None;
    assert_eq!(case.plan(), Some(Action::Look));
    case.looked = Some(Digest::new([5; 32]));
    assert_eq!(case.plan(), Some(Action::Start(vec![id("b")])));
    assert_eq!(case.status.manifest_digest, Some(Digest::new([5; 32])));
    // One that the Model has no more is.
    case.status.manifest_digest = Some(Digest::new([6; 32]));
    assert_eq!(case.plan(), Some(Action::StartOver));
}

#[test]
fn inputs_that_are_too_many_end_the_request_before_a_pool_is_looked_for() {
    let mut case = Case::new(RunState::None, Vec::new());
    case.model = ModelState::Ready {
        model: Digest::new([1; 32]),
        manifests: vec![of_manifest(2, 1), of_manifest(5, 1)],
    };
    case.looked = None;
    assert_eq!(case.plan(), Some(Action::Look));
    case.run = RunState::Refused {
        reason: "InvalidInput",
        message: "65 inputs were given at once".to_owned(),
    };
    assert_eq!(case.plan(), None);
    assert_eq!(case.reason("Failed"), Some("InvalidInput"));
}

#[test]
fn a_request_without_room_waits_with_its_reason_and_is_tried_again() {
    let no_room = RunState::NoRoom {
        reason: "RunMemoryFull",
        message: "others have it".to_owned(),
    };
    let mut case = Case::new(no_room.clone(), vec![pool("a")]);
    assert_eq!(case.plan(), None);
    assert_eq!(case.status.phase, RequestPhase::Pending);
    assert_eq!(case.reason("Ready"), Some("RunMemoryFull"));
    case.run = RunState::None;
    assert_eq!(case.plan(), Some(Action::Start(vec![id("a")])));
    // What was begun stays so.
    case.run = no_room;
    assert_eq!(case.plan(), None);
    assert_eq!(case.status.phase, RequestPhase::Proving);
    assert_eq!(case.reason("Ready"), Some("RunMemoryFull"));
    // It waits until its deadline and no longer.
    case.second = 60;
    assert_eq!(case.plan(), None);
    assert_eq!(case.reason("Failed"), Some("DeadlineExceeded"));
}

#[test]
fn a_request_that_is_too_large_for_the_operator_ends_with_limit_and_flag() {
    let refused = RunState::Refused {
        reason: "TooLargeForOperator",
        message: "start it with --run-memory=200Mi".to_owned(),
    };
    let mut case = Case::new(refused, vec![pool("a")]);
    assert_eq!(case.plan(), None);
    assert_eq!(case.status.phase, RequestPhase::Failed);
    assert_eq!(case.reason("Stalled"), Some("TooLargeForOperator"));
    let ready = find_condition(&case.status.conditions, "Ready").unwrap();
    assert!(ready.message.contains("--run-memory=200Mi"), "{}", ready.message);
}

/// At work, with so many slices claimed, and being verified.
fn at_work(claimed: u32, proved: u32) -> RunView {
    let mut view = RunView {
        pools: vec![id("a")],
        ..RunView::default()
    };
    (view.counts.total, view.counts.claimed, view.counts.proved) = (4, claimed, proved);
    view
}

#[test]
fn a_suspended_request_lets_go_of_its_memory_once_nobody_is_at_work_on_it() {
    for (claimed, proved, action) in [(1, 0, None), (0, 1, None), (0, 0, Some(Action::Park))] {
        let mut case = Case::new(RunState::Active(at_work(claimed, proved)), vec![pool("a")]);
        case.spec.suspend = true;
        assert_eq!(case.plan(), action, "{claimed} {proved}");
        assert_eq!(case.reason("Ready"), Some("Suspended"));
        // It has none, and is not begun before it may be.
        case.run = RunState::None;
        assert_eq!(case.plan(), None);
        assert_eq!(case.status.phase, RequestPhase::Proving);
        assert_eq!(case.reason("Ready"), Some("Suspended"));
        case.spec.suspend = false;
        assert_eq!(case.plan(), Some(Action::Start(vec![id("a")])));
    }
}

#[test]
fn a_request_of_which_nothing_comes_makes_way_for_who_waits_but_not_amid_a_verdict() {
    let makes_way = |claimed, proved| {
        let view = RunView {
            makes_way: true,
            ..at_work(claimed, proved)
        };
        Case::new(RunState::Active(view), vec![pool("a")]).plan()
    };
    assert_eq!(makes_way(0, 0), Some(Action::Park));
    assert_eq!(
        makes_way(2, 0),
        Some(Action::Park),
        "whoever hoards keeps nobody waiting"
    );
    assert_eq!(makes_way(2, 1), None);
}
