use zkinfer_crds::Digest;

use crate::record::{Now, Record, Sent, Step, next, step};

const GENESIS: &str = "0x01";

fn record(sent: Option<Sent>, last: Option<u64>) -> Record {
    Record {
        netuid: 2,
        genesis: Some(GENESIS.to_owned()),
        digest: Digest::of(b"weights"),
        block: 1000,
        at: 1,
        sent,
        last,
    }
}

const SENT: Option<Sent> = Some(Sent {
    block: 1000,
    until: 1064,
});

fn now(block: u64, last_update: u64) -> Now<'static> {
    Now {
        netuid: 2,
        genesis: Some(GENESIS),
        interval: 100,
        block,
        last_update: Some(last_update),
    }
}

#[test]
fn the_first_weights_are_due_at_once() {
    assert_eq!(step(None, &now(1, 0)), Step::Make);
    // Made, and never sent: it was refused.
    assert_eq!(step(Some(&record(None, None)), &now(1, 0)), Step::Make);
}

#[test]
fn what_has_left_keeps_all_others_back_until_it_was_taken_or_cannot_be() {
    let record = record(SENT, Some(800));
    assert_eq!(step(Some(&record), &now(1000, 900)), Step::Await { until: 1064 });
    assert_eq!(step(Some(&record), &now(1063, 900)), Step::Await { until: 1064 });
    assert_eq!(step(Some(&record), &now(1010, 1001)), Step::Taken { block: 1001 });
    assert_eq!(step(Some(&record), &now(1064, 900)), Step::Lost);
    // Late is taken all the same.
    assert_eq!(step(Some(&record), &now(2000, 1063)), Step::Taken { block: 1063 });
    // A node that is behind, or one that says nothing, makes nothing due.
    assert_eq!(step(Some(&record), &now(10, 0)), Step::Await { until: 1064 });
}

#[test]
fn weights_are_due_again_as_many_blocks_after_those_that_were_taken() {
    let record = record(None, Some(1001));
    assert_eq!(step(Some(&record), &now(1100, 1001)), Step::Wait { next: 1101 });
    assert_eq!(step(Some(&record), &now(1101, 1001)), Step::Make);
    // A node that has forgotten changes nothing, nor one that is behind.
    assert_eq!(step(Some(&record), &now(1100, 0)), Step::Wait { next: 1101 });
    assert_eq!(step(Some(&record), &now(3, 0)), Step::Wait { next: 1101 });
    // Somebody else has set weights with the same hotkey.
    assert_eq!(step(Some(&record), &now(1150, 1100)), Step::Wait { next: 1200 });
}

#[test]
fn never_sooner_than_a_hundred_blocks_whatever_is_declared() {
    assert_eq!(next(1000, 0), 1100);
    assert_eq!(next(1000, 360), 1360);
    assert_eq!(next(u64::MAX, 360), u64::MAX);
    let record = record(None, Some(1000));
    let hasty = Now {
        interval: 1,
        ..now(1099, 1000)
    };
    assert_eq!(step(Some(&record), &hasty), Step::Wait { next: 1100 });
}

#[test]
fn a_record_of_another_subnet_or_chain_says_nothing_of_this_one() {
    let record = record(SENT, Some(1009));
    for other in [
        Now {
            netuid: 3,
            ..now(1010, 0)
        },
        Now {
            genesis: Some("0x02"),
            ..now(1010, 0)
        },
        Now {
            genesis: None,
            last_update: None,
            ..now(1010, 0)
        },
    ] {
        assert_eq!(step(Some(&record), &other), Step::Make);
    }
}

#[test]
fn a_year_of_publications_has_no_two_in_a_window() {
    // A block at a time; now and then a publication is lost, or its record is read again after a crash.
    let (mut record, mut last, mut published) = (None::<Record>, 0, Vec::new());
    for block in 1..=365 * 86_400 / 12_u64 {
        let now = Now {
            interval: 360,
            ..now(block, last)
        };
        match step(record.as_ref(), &now) {
            Step::Make => {
                let made = Record::of(record.as_ref(), &now, Digest::of(b"weights"), 1);
                let sent = Some(Sent {
                    block,
                    until: block + 64,
                });
                record = Some(Record { sent, ..made });
                // One of seven never arrives.
                if published.len() % 7 != 3 || block % 2 == 0 {
                    last = block + 1;
                    published.push(last);
                }
            }
            Step::Taken { block } => record = record.map(|record| record.taken(block)),
            Step::Lost => {
                if let Some(record) = &mut record {
                    record.sent = None;
                }
            }
            Step::Wait { .. } | Step::Await { .. } => {}
        }
    }
    assert!(published.len() > 6000, "{}", published.len());
    assert!(published.windows(2).all(|two| two[1] - two[0] >= 360));
}

#[test]
fn what_was_refused_leaves_the_window_of_those_before_as_it_was() {
    let before = record(None, Some(1001));
    let made = Record::of(Some(&before), &now(1101, 1001), Digest::of(b"others"), 2);
    assert_eq!((made.block, made.sent, made.last), (1101, None, Some(1001)));
    assert_eq!(step(Some(&made), &now(1101, 0)), Step::Make);
    assert_eq!(step(Some(&made), &now(1100, 0)), Step::Wait { next: 1101 });
    let elsewhere = Now {
        netuid: 3,
        ..now(1101, 0)
    };
    assert_eq!(
        Record::of(Some(&before), &elsewhere, Digest::of(b"others"), 2).last,
        None
    );
    // A chain that tells of an older one takes nothing back.
    assert_eq!(made.taken(900).last, Some(1001));
}

#[test]
fn a_record_is_read_as_it_was_written_and_nothing_else_is() {
    let record = record(SENT, Some(1001));
    let json = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), record);
    assert!(serde_json::from_str::<Record>(&json.replace("netuid", "subnet")).is_err());
}
