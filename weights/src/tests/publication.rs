use crate::extrinsic::Runtime;
use crate::hotkey::HotkeyPair;
use crate::publication::{Form, Observed, Permitted, Refusal, Settings, Weights};
use crate::schedule::Schedule;
use crate::vector::{Limits, Vector, VectorError};

fn settings() -> Settings {
    Settings {
        netuid: 2,
        version_key: 11003,
        least_interval: 0,
        genesis: [1; 32],
        runtimes: vec![(365, 1)],
    }
}

fn observed() -> Observed {
    Observed {
        runtime: Runtime {
            spec_version: 365,
            transaction_version: 1,
            genesis: [1; 32],
        },
        uid: Some(9),
        last_update: 1000,
        rate_limit: 100,
        version_key: 11002,
        commits: false,
        limits: Limits {
            least_weights: 1,
            most_for_one: 65535,
        },
        schedule: Schedule {
            last_epoch: 900,
            pending: 0,
            index: 3,
            tempo: 360,
            since_step: 200,
            block: 1100,
        },
    }
}

fn vector() -> Vector {
    Vector::of(&[(1, 3), (2, 1)].into(), None).unwrap()
}

fn ask(settings: &Settings, observed: &Observed, sent: Option<u64>) -> Result<Permitted, Refusal> {
    let weights = Weights {
        netuid: 2,
        version_key: 11003,
        vector: &vector(),
    };
    Permitted::ask(weights, settings, observed, sent)
}

#[test]
fn what_is_as_declared_leaves() {
    let permitted = ask(&settings(), &observed(), None).unwrap();
    assert_eq!(permitted.takes(), Form::Plain);
    let call = permitted.set_weights().unwrap();
    assert_eq!(
        hex::encode(call.as_bytes()),
        "07000200080100020008ffff5555fb2a000000000000"
    );
}

#[test]
fn twice_in_a_window_is_refused() {
    let at = |block, last_update, sent| {
        let mut observed = observed();
        observed.schedule.block = block;
        observed.last_update = last_update;
        ask(&settings(), &observed, sent)
    };
    assert!(at(1100, 1000, None).is_ok());
    let soon = Err(Refusal::TooSoon {
        last: 1000,
        next: 1100,
        block: 1099,
    });
    assert_eq!(at(1099, 1000, None), soon);
    // What this validator has sent counts, even where the chain has not yet heard of it; and of a chain that is behind nothing.
    assert_eq!(at(1099, 0, Some(1000)), soon);
    assert_eq!(
        at(900, 0, Some(1000)),
        Err(Refusal::TooSoon {
            last: 1000,
            next: 1100,
            block: 900
        })
    );
    assert!(at(50, 0, None).is_ok());
}

#[test]
fn the_longest_of_the_intervals_holds() {
    let with = |least_interval, rate_limit| {
        let settings = Settings {
            least_interval,
            ..settings()
        };
        let mut observed = Observed {
            rate_limit,
            ..observed()
        };
        observed.schedule.block = 1050;
        ask(&settings, &observed, None)
    };
    let next = |next| {
        Err(Refusal::TooSoon {
            last: 1000,
            next,
            block: 1050,
        })
    };
    // A hundred blocks, whatever both say.
    assert_eq!(with(0, 0), next(1100));
    assert_eq!(with(360, 0), next(1360));
    assert_eq!(with(0, 500), next(1500));
    assert_eq!(with(u64::MAX, 0), next(u64::MAX));
}

#[test]
fn another_subnet_or_other_rules_are_refused() {
    let with = |netuid, version_key| {
        let weights = Weights {
            netuid,
            version_key,
            vector: &vector(),
        };
        Permitted::ask(weights, &settings(), &observed(), None)
    };
    assert_eq!(with(3, 11003), Err(Refusal::Netuid { got: 3, expected: 2 }));
    assert_eq!(
        with(2, 11002),
        Err(Refusal::VersionKey {
            got: 11002,
            expected: 11003
        })
    );
}

#[test]
fn a_version_key_that_the_subnet_has_left_behind_is_refused() {
    let with = |version_key| {
        ask(
            &settings(),
            &Observed {
                version_key,
                ..observed()
            },
            None,
        )
    };
    assert!(with(0).is_ok());
    assert!(with(11003).is_ok());
    assert_eq!(
        with(11004),
        Err(Refusal::Outdated {
            got: 11003,
            wanted: 11004
        })
    );
}

#[test]
fn another_chain_or_an_unknown_runtime_is_refused() {
    let with = |runtime| {
        ask(
            &settings(),
            &Observed {
                runtime,
                ..observed()
            },
            None,
        )
    };
    let known = observed().runtime;
    assert!(matches!(
        with(Runtime {
            genesis: [2; 32],
            ..known
        }),
        Err(Refusal::Chain { .. })
    ));
    assert_eq!(
        with(Runtime {
            spec_version: 366,
            ..known
        }),
        Err(Refusal::Runtime {
            spec: 366,
            transaction: 1
        })
    );
    assert_eq!(
        with(Runtime {
            transaction_version: 2,
            ..known
        }),
        Err(Refusal::Runtime {
            spec: 365,
            transaction: 2
        })
    );
}

#[test]
fn who_is_not_registered_publishes_nothing() {
    let observed = Observed {
        uid: None,
        ..observed()
    };
    assert_eq!(ask(&settings(), &observed, None), Err(Refusal::NotRegistered(2)));
}

#[test]
fn a_subnet_gets_weights_in_the_form_that_it_takes() {
    let plain = ask(&settings(), &observed(), None).unwrap();
    assert!(matches!(
        plain.commit(b"locked", 9),
        Err(Refusal::Form {
            got: Form::Committed,
            ..
        })
    ));
    let committed = ask(
        &settings(),
        &Observed {
            commits: true,
            ..observed()
        },
        None,
    )
    .unwrap();
    assert_eq!(committed.takes(), Form::Committed);
    assert!(matches!(
        committed.set_weights(),
        Err(Refusal::Form { got: Form::Plain, .. })
    ));
    let call = committed.commit(&[1; 4], 9).unwrap();
    assert_eq!(
        hex::encode(call.as_bytes()),
        "07710200100101010109000000000000000400"
    );
    assert!(matches!(committed.commit(&[0; 5001], 9), Err(Refusal::Commit(_))));
    let own = HotkeyPair::from_seed(&[9; 32]).unwrap().hotkey();
    assert_eq!(committed.payload(&own)[1..33], *own.as_bytes());
}

#[test]
fn a_vector_that_the_subnet_would_not_take_is_refused() {
    let limits = Limits {
        least_weights: 3,
        most_for_one: 65535,
    };
    assert_eq!(
        ask(&settings(), &Observed { limits, ..observed() }, None),
        Err(Refusal::Vector(VectorError::Few { least: 3, got: 2 }))
    );
}

#[test]
fn what_can_be_asked_before_weights_are_made_is_asked_of_the_same_things() {
    let may = |observed: &Observed, form, sent| settings().may_leave(observed, form, sent);
    assert_eq!(may(&observed(), Form::Plain, None), Ok(()));
    let refused = |refusal: Result<(), Refusal>| refusal.unwrap_err();
    assert!(matches!(
        refused(may(&observed(), Form::Committed, None)),
        Refusal::Form {
            takes: Form::Plain,
            ..
        }
    ));
    assert!(matches!(
        refused(may(&observed(), Form::Plain, Some(1001))),
        Refusal::TooSoon { last: 1001, .. }
    ));
    let stranger = Observed {
        uid: None,
        ..observed()
    };
    assert_eq!(
        refused(may(&stranger, Form::Plain, None)),
        Refusal::NotRegistered(2)
    );
    let newer = Observed {
        version_key: 11_004,
        ..observed()
    };
    assert!(matches!(
        refused(may(&newer, Form::Plain, None)),
        Refusal::Outdated { .. }
    ));
}
