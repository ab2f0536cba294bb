//! What a ledger's bytes hold, and that nobody changes them unseen.

use std::collections::BTreeSet;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use zkinfer_crds::{ClaimId, Digest, Identity};

use super::*;
use crate::tests::{HOUR, NOW, ended, miner, ours, proof};
use crate::{BUCKET_MILLIS, Cause, Constants, Entry, Rule, RuleName, Scores};

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

fn name(key: &SigningKey) -> Identity {
    Identity::new(key.verifying_key().to_bytes())
}

fn full(n: u64) -> Entry {
    Entry {
        model: Some(Digest::new([3; 32])),
        proof: Some(Digest::new([4; 32])),
        benchmark: n.is_multiple_of(2),
        ..proof(n, 1)
    }
}

#[test]
fn an_entry_of_no_benchmark_has_the_bytes_that_it_always_had_and_one_of_a_benchmark_is_told_apart() {
    let bytes_of = |benchmark: bool| {
        let entry = Entry { benchmark, ..full(1) };
        let (segments, _) = written(&[vec![entry.clone()]]);
        assert_eq!(read(&segments).unwrap().entries(), [entry]);
        segments[0].clone()
    };
    let (organic, benchmark) = (bytes_of(false), bytes_of(true));
    let unsigned = organic.len() - 64;
    let differ = organic[..unsigned].iter().zip(&benchmark).filter(|(a, b)| a != b);
    let differ: Vec<(u8, u8)> = differ.map(|(a, b)| (*a, *b)).collect();
    // All five flags of before, and the new one beside them.
    assert_eq!(differ, [(31, 63)]);
}

fn some() -> Vec<Vec<Entry>> {
    let bare = Entry {
        key: None,
        comparable: false,
        pool: Arc::from(""),
        ..ended(3, 2, Cause::Operator)
    };
    vec![
        vec![full(1), ended(2, 2, Cause::InvalidProof), bare],
        vec![],
        vec![proof(4, 3)],
    ]
}

/// Segments with these entries, and where they end.
fn written(of: &[Vec<Entry>]) -> (Vec<Vec<u8>>, Chain) {
    let mut chain = Chain::new(name(&key(1)));
    let mut segments = Vec::new();
    for entries in of {
        let (bytes, next) = chain.append(Content::Entries(entries.clone()), &key(1)).unwrap();
        segments.push(bytes);
        chain = next;
    }
    (segments, chain)
}

fn read(segments: &[Vec<u8>]) -> Result<Ledger, LedgerError> {
    let mut ledger = Ledger::default();
    for bytes in segments {
        ledger.add(bytes, Some(name(&key(1))))?;
    }
    Ok(ledger)
}

#[test]
fn what_is_written_is_read() {
    let (segments, chain) = written(&some());
    let ledger = read(&segments).unwrap();
    assert_eq!(ledger.entries(), some().concat());
    assert_eq!(ledger.chain(), Ok(chain));
    let head = chain.head(77).unwrap();
    let signed = head.sign(&key(1)).unwrap();
    assert_eq!(Head::decode(&signed), Ok(head));
    assert_eq!(ledger.ends_at(&head), Ok(()));
    assert!(ledger.has(&full(1).claim) && !ledger.has(&full(99).claim));
}

/// Written with `ZKINFER_UPDATE=1`.
#[test]
fn the_bytes_are_those_of_before() {
    let (segments, chain) = written(&some());
    let head = chain.head(77).unwrap().sign(&key(1)).unwrap();
    let all: Vec<String> = segments.iter().chain([&head]).map(|bytes| hex(bytes)).collect();
    let golden = format!("{}/src/ledger/testdata/ledger.hex", env!("CARGO_MANIFEST_DIR"));
    let text = all.join("\n") + "\n";
    if std::env::var_os("ZKINFER_UPDATE").is_some() {
        std::fs::create_dir_all(std::path::Path::new(&golden).parent().unwrap()).unwrap();
        std::fs::write(&golden, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(
        text == kept,
        "a ledger has other bytes than {golden}: old ledgers could not be read any more"
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn one_changed_byte_anywhere_is_found() {
    let (segments, chain) = written(&some());
    for which in 0..segments.len() {
        for at in 0..segments[which].len() {
            let mut changed = segments.clone();
            changed[which][at] ^= 1;
            assert!(read(&changed).is_err(), "segment {which}, byte {at}");
        }
    }
    let head = chain.head(0).unwrap().sign(&key(1)).unwrap();
    for at in 0..head.len() {
        let mut changed = head.clone();
        changed[at] ^= 1;
        assert!(Head::decode(&changed).is_err(), "byte {at}");
        assert!(Head::decode(&head[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn a_segment_left_out_exchanged_or_cut_off_is_found() {
    let (segments, chain) = written(&some());
    let without = |which: usize| {
        let mut left = segments.clone();
        left.remove(which);
        left
    };
    let sequence = |expected, got| Some(LedgerError::Sequence { expected, got });
    assert_eq!(read(&without(0)).err(), sequence(0, 1));
    assert_eq!(read(&without(1)).err(), sequence(1, 2));
    let cut = read(&without(2)).unwrap();
    let told = cut.ends_at(&chain.head(0).unwrap()).unwrap_err();
    assert_eq!(
        told.to_string(),
        "the head is of segment 2, and the ledger here has 1"
    );
    // Another history of the same validator, of the same length.
    let (others, _) = written(&[vec![full(9)], vec![], vec![]]);
    let mixed = [others[0].clone(), segments[1].clone()];
    assert!(matches!(
        read(&mixed).err(),
        Some(LedgerError::Previous { sequence: 1, .. })
    ));
    let other = read(&others).unwrap().ends_at(&chain.head(0).unwrap());
    assert!(matches!(other, Err(LedgerError::Head { what: "digest", .. })));
    assert_eq!(Ledger::default().chain().err(), Some(LedgerError::Empty));
}

#[test]
fn another_validators_segment_is_none_of_this_ledger() {
    let chain = Chain::new(name(&key(2)));
    let (foreign, _) = chain.append(Content::Entries(vec![]), &key(2)).unwrap();
    assert!(matches!(
        read(&[foreign]).err(),
        Some(LedgerError::Validator { sequence: 0, .. })
    ));
    assert!(chain.append(Content::Entries(vec![]), &key(1)).is_err());
}

#[test]
fn a_claim_has_one_entry() {
    let (segments, _) = written(&[vec![full(1)], vec![proof(2, 1), full(1)]]);
    let mut ledger = Ledger::default();
    ledger.add(&segments[0], None).unwrap();
    let twice = LedgerError::Twice {
        claim: full(1).claim,
        sequence: 1,
    };
    assert_eq!(ledger.add(&segments[1], None), Err(twice));
    assert!(!ledger.has(&proof(2, 1).claim), "nothing of it stays");
}

#[test]
fn a_key_is_followed_by_the_one_that_it_names() {
    let (mut segments, chain) = written(&some());
    let (turn, chain) = chain.append(Content::Rotation(name(&key(2))), &key(1)).unwrap();
    let (after, chain) = chain.append(Content::Entries(vec![full(8)]), &key(2)).unwrap();
    segments.extend([turn, after.clone()]);
    let ledger = read(&segments).unwrap();
    assert_eq!((ledger.chain(), ledger.entries().len()), (Ok(chain), 5));
    assert!(ledger.ends_at(&chain.head(0).unwrap()).is_ok());
    // Without the turn the new key is nobody's.
    segments.remove(3);
    assert!(read(&segments).is_err());
}

/// The checkpoint of a ledger for the scores of a time.
fn compacted(ledger: &Ledger, at: u64) -> Vec<u8> {
    let from = whole_from(ours().constants(), at);
    compact(ledger, from, &BTreeSet::new(), at, &key(1)).unwrap()
}

#[test]
fn compacted_it_scores_the_same_and_goes_on() {
    let old = |n: u64, hours: u64| Entry {
        at: NOW - hours * HOUR,
        ..full(n)
    };
    let entries: Vec<Entry> = (0..60)
        .map(|n| old(n, n))
        .chain([ended(90, 2, Cause::Failed)])
        .collect();
    let (segments, chain) = written(&entries.chunks(10).map(<[Entry]>::to_vec).collect::<Vec<_>>());
    let whole = read(&segments).unwrap();
    let checkpoint = compacted(&whole, NOW);
    let mut short = read(std::slice::from_ref(&checkpoint)).unwrap();
    assert_eq!(short.chain(), Ok(chain));
    assert_eq!(short.ends_at(&chain.head(0).unwrap()), Ok(()));
    for later in [0, 1, 5, 24] {
        let of = |ledger: &Ledger| Scores::of(&ours(), ledger.entries(), NOW + later * HOUR);
        assert_eq!(of(&whole), of(&short), "{later} h later");
    }
    assert_eq!((short.entries().len(), short.hours().len()), (26, 35));
    let hour = &short.hours()[&((NOW - 30 * HOUR) / BUCKET_MILLIS, miner(1), full(0).model)];
    assert_eq!(
        (hour.verified, hour.requests, hour.work),
        (1, u64::from(full(30).slice.0 == 0), 100_000)
    );
    let bytes = full(30).bytes.unwrap();
    assert_eq!(
        (hour.micros[&range(full(30).micros)], hour.bytes[&range(bytes)]),
        (1, 1)
    );
    let miner = &short.lifetimes()[&miner(1)];
    assert_eq!((miner.verified, miner.latest.micros().count()), (35, 35));
    assert_eq!(short.whole_from(), NOW / BUCKET_MILLIS - 24);
    // The next segment follows either.
    let (next, _) = chain.append(Content::Entries(vec![full(99)]), &key(1)).unwrap();
    short.add(&next, None).unwrap();
    let mut whole = whole;
    whole.add(&next, None).unwrap();
    assert_eq!(whole.chain(), short.chain());
    assert!(matches!(
        whole.add(&checkpoint, None),
        Err(LedgerError::Sequence { .. })
    ));
    // Counts are forgotten after 90 days.
    let late = compacted(&short, NOW + 91 * 24 * HOUR);
    assert_eq!(read(&[late]).unwrap().hours().len(), 0);
}

#[test]
fn compacted_bit_by_bit_it_is_what_it_is_compacted_at_once() {
    let entries: Vec<Entry> = (0..80)
        .map(|n| Entry {
            at: NOW + n * HOUR,
            ..match n % 3 {
                0 => ended(n, 2, Cause::LeaseExpired),
                _ => full(n),
            }
        })
        .collect();
    let (segments, _) = written(&entries.chunks(10).map(<[Entry]>::to_vec).collect::<Vec<_>>());
    let at = NOW + 80 * HOUR;
    let once = compacted(&read(&segments).unwrap(), at);
    let mut steps = Ledger::default();
    for (n, segment) in segments.iter().enumerate() {
        steps.add(segment, None).unwrap();
        let checkpoint = compacted(&steps, NOW + (n as u64 + 1) * 10 * HOUR);
        steps = read(&[checkpoint]).unwrap();
    }
    let at_last = compacted(&steps, at);
    assert!(once == at_last, "in whatever steps, to the byte");
    let mut changed = once.clone();
    for at in 0..once.len() {
        changed[at] ^= 1;
        assert!(read(std::slice::from_ref(&changed)).is_err(), "byte {at}");
        changed[at] ^= 1;
    }
}

#[test]
fn a_checkpoint_is_held_against_the_segments_that_it_stands_for() {
    let entries: Vec<Entry> = (0..40)
        .map(|n| Entry {
            at: NOW - n * HOUR,
            ..full(n)
        })
        .collect();
    let (segments, _) = written(&entries.chunks(10).map(<[Entry]>::to_vec).collect::<Vec<_>>());
    let bytes = compacted(&read(&segments).unwrap(), NOW);
    let Content::Checkpoint(true_one) = Segment::decode(&bytes).unwrap().content else {
        panic!()
    };
    assert_eq!(true_one.stands_for(&entries), Ok(()));
    let lies = |change: &dyn Fn(&mut Checkpoint)| {
        let mut lie = true_one.clone();
        change(&mut lie);
        lie.stands_for(&entries).unwrap_err().to_string()
    };
    for (lie, what) in [
        (lies(&|of| of.entries += 1), "how many claims have ended"),
        (lies(&|of| drop(of.kept.pop())), "which claims bear on scores"),
        (lies(&|of| of.kept[3].micros = 1), "which claims bear on scores"),
        (lies(&|of| of.from -= 1), "which claims bear on scores"),
        (
            lies(&|of| of.lifetimes.values_mut().for_each(|one| one.work += 1)),
            "what a miner has done",
        ),
        (
            lies(&|of| of.hours.values_mut().for_each(|hour| hour.requests += 1)),
            "what ended in an hour",
        ),
    ] {
        assert!(lie.contains(what), "{what}: {lie}");
    }
}

#[test]
fn a_claim_that_is_asked_for_stays_whole_however_old_and_is_counted_when_it_is_not() {
    let old = |n: u64| Entry {
        at: NOW - 60 * HOUR,
        ..full(n)
    };
    let (segments, _) = written(&[vec![old(1), old(2)], vec![full(3)]]);
    let whole = read(&segments).unwrap();
    let (from, standing) = (
        whole_from(ours().constants(), NOW),
        BTreeSet::from([old(1).claim]),
    );
    let short = read(&[compact(&whole, from, &standing, NOW, &key(1)).unwrap()]).unwrap();
    let claims = |ledger: &Ledger| ledger.entries().iter().map(|e| e.claim).collect::<Vec<ClaimId>>();
    assert_eq!(claims(&short), [old(1).claim, full(3).claim]);
    assert_eq!(short.lifetimes()[&miner(1)].verified, 1);
    let shorter = read(&[compacted(&short, NOW)]).unwrap();
    assert_eq!(claims(&shorter), [full(3).claim]);
    assert_eq!(shorter.lifetimes()[&miner(1)].verified, 2);
}

#[test]
fn a_checkpoint_keeps_the_lies_that_still_bar_a_miner() {
    let lie = Entry {
        at: NOW - 20 * HOUR,
        ..ended(1, 1, Cause::InvalidProof)
    };
    let (segments, _) = written(&[vec![lie, proof(2, 1)]]);
    let whole = read(&segments).unwrap();
    let short = read(&[compacted(&whole, NOW)]).unwrap();
    let of = |ledger: &Ledger| Scores::of(&ours(), ledger.entries(), NOW).miners[&miner(1)].zero;
    assert!(of(&whole).is_some());
    assert_eq!(of(&whole), of(&short));
}

#[test]
fn a_second_spelling_is_refused() {
    // Entries of one segment whose table has a text that nobody names.
    let (segments, _) = written(&[vec![]]);
    let mut body = segments[0][..segments[0].len() - 64].to_vec();
    let tables = body.len() - 12;
    body.splice(tables..tables + 4, [0, 0, 0, 1, 1, b'x']);
    use ed25519_dalek::Signer as _;
    let signature = key(1).sign(&body).to_bytes();
    body.extend(signature);
    assert_eq!(Segment::decode(&body), Err(LedgerError::Canonical));
}

#[test]
fn a_list_that_cannot_be_there_is_not_allocated_for() {
    use ed25519_dalek::Signer as _;
    let (segments, _) = written(&[vec![]]);
    let mut body = segments[0][..segments[0].len() - 64].to_vec();
    let entries = body.len() - 4;
    body.splice(entries.., u32::MAX.to_be_bytes());
    let signature = key(1).sign(&body).to_bytes();
    body.extend(signature);
    assert!(matches!(
        Segment::decode(&body),
        Err(LedgerError::Many { what: "entries", .. })
    ));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), kind in 0u8..6) {
        use ed25519_dalek::Signer as _;
        let _ = (Segment::decode(&bytes), Head::decode(&bytes));
        // Signed by somebody, so that the decoder goes on.
        let (segments, _) = written(&[vec![]]);
        let mut body = segments[0][..16 + 32 + 8 + 32].to_vec();
        body.push(kind);
        body.extend(&bytes);
        let signature = key(1).sign(&body).to_bytes();
        body.extend(signature);
        if let Ok(segment) = Segment::decode(&body) {
            prop_assert_eq!(segment.sign(&key(1)).unwrap(), body);
        }
    }
}

/// A rule of which everything is said.
fn stated(at: u64, cold_start: u64) -> RuleRecord {
    let constants = Constants {
        cold_start,
        owners: [("a", "one"), ("b", "one")]
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .into(),
        ..RuleName::DeliveredWork.constants()
    };
    RuleRecord::new(&Rule::new(RuleName::DeliveredWork, constants).unwrap(), at)
}

/// A ledger with a rule, entries, and another rule.
fn ruled() -> (Vec<Vec<u8>>, Chain) {
    let mut chain = Chain::new(name(&key(1)));
    let mut segments = Vec::new();
    for content in [
        Content::Rule(stated(10, 1)),
        Content::Entries(vec![full(1)]),
        Content::Rule(stated(NOW, 2)),
    ] {
        let (bytes, next) = chain.append(content, &key(1)).unwrap();
        segments.push(bytes);
        chain = next;
    }
    (segments, chain)
}

#[test]
fn a_rule_holds_from_its_time_on_and_is_found_with_its_constants() {
    let (segments, chain) = ruled();
    let ledger = read(&segments).unwrap();
    assert_eq!((ledger.chain(), ledger.entries().len()), (Ok(chain), 1));
    assert_eq!(ledger.rules(), [stated(10, 1), stated(NOW, 2)]);
    assert_eq!(ledger.rule_at(9), None);
    assert_eq!(ledger.rule_at(10), Some(&stated(10, 1)));
    assert_eq!(ledger.rule_at(NOW - 1), Some(&stated(10, 1)));
    assert_eq!(ledger.rule_at(u64::MAX), Some(&stated(NOW, 2)));
    let found = ledger.rule_at(NOW).unwrap().rule().unwrap();
    assert!(stated(NOW, 2).is(&found) && !stated(NOW, 1).is(&found));
    assert_eq!(found.digest(), stated(0, 2).rule().unwrap().digest());
    for which in [0, 2] {
        for at in 0..segments[which].len() {
            let mut changed = segments.clone();
            changed[which][at] ^= 1;
            assert!(read(&changed).is_err(), "segment {which}, byte {at}");
        }
    }
}

#[test]
fn a_checkpoint_keeps_the_last_rule() {
    let (segments, chain) = ruled();
    let whole = read(&segments).unwrap();
    let checkpoint = compacted(&whole, NOW);
    let short = read(&[checkpoint]).unwrap();
    assert_eq!(short.chain(), Ok(chain));
    assert_eq!(short.rules(), [stated(NOW, 2)]);
}

#[test]
fn a_ledger_that_names_a_rule_of_another_version_is_read_and_the_rule_is_not_taken_for_ours() {
    let chain = Chain::new(name(&key(1)));
    let later = RuleRecord {
        version: 99,
        ..stated(1, 1)
    };
    let other = RuleRecord {
        name: "Fairest".to_owned(),
        ..stated(1, 1)
    };
    for (record, words) in [
        (later, "`DeliveredWork` of version 99 is not computed here"),
        (other, "there is no scoring rule `Fairest`"),
    ] {
        let (bytes, _) = chain.append(Content::Rule(record.clone()), &key(1)).unwrap();
        let ledger = read(&[bytes]).unwrap();
        assert_eq!(ledger.rules(), [record]);
        let error = ledger.rules()[0].rule().unwrap_err().to_string();
        assert!(error.starts_with(words), "{error}");
    }
    let long = RuleRecord {
        name: "x".repeat(300),
        ..stated(1, 1)
    };
    assert!(matches!(
        chain.append(Content::Rule(long), &key(1)),
        Err(LedgerError::Long(_))
    ));
}
