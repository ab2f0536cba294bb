use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ed25519_dalek::{Signer as _, SigningKey};
use proptest::prelude::*;
use zkinfer_crds::{ClaimId, Digest, Identity, RequestUid, SliceIndex};
use zkinfer_scoring::ledger::{Chain, Content, Head, Ledger};
use zkinfer_scoring::{Cause, Constants, End, Entry, Rule, RuleName, Scores};

use crate::assign::{Place, Registry, RegistryError};
use crate::binding::{Binding, Bound, Pool};
use crate::file::{FileError, ReplayError, Subnet, WeightsFile};
use crate::hotkey::{Hotkey, HotkeyPair};
use crate::rotation::{Rotation, Rotations};
use crate::vector::OwnerShare;

const NOW: u64 = 500_000 * 3_600_000 + 100;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn identity(seed: u8) -> Identity {
    Identity::new(key(seed).verifying_key().to_bytes())
}

fn validator() -> SigningKey {
    key(200)
}

fn pair(seed: u8) -> HotkeyPair {
    HotkeyPair::from_seed(&[seed; 32]).unwrap()
}

fn hotkey(seed: u8) -> Hotkey {
    pair(seed).hotkey()
}

fn bound(of: u8, to: u8) -> Bound {
    let pool = Pool {
        network: "mainnet".into(),
        namespace: format!("miner-{of}"),
        pool: "pool".into(),
        uid: format!("uid-{of}"),
    };
    let binding = Binding::sign(pool.clone(), &pair(to), &key(of)).unwrap();
    binding.verify(&pool, &identity(of)).unwrap()
}

/// A proof of 100 ms of predicted work, as the example of docs/scoring.md has them.
fn entry(n: u64, of: u8, micros: u64, bytes: Option<u64>, end: End) -> Entry {
    let mut claim = [0; 16];
    claim[..8].copy_from_slice(&n.to_be_bytes());
    Entry {
        claim: ClaimId::new(claim),
        request: RequestUid::new([0; 16]),
        model: None,
        slice: SliceIndex(0),
        key: Some(Digest::new([7; 32])),
        namespace: Arc::from(format!("miner-{of}")),
        pool: Arc::from("pool"),
        miner: identity(of),
        attempt: 1,
        end,
        comparable: true,
        benchmark: false,
        work: 100_000,
        micros,
        bytes,
        proof: None,
        at: NOW - 50,
    }
}

/// Alpha (1), beta (2) and gamma (3) of that example.
fn entries() -> Vec<Entry> {
    let proofs = |from: u64, many: u64, of, micros, bytes| {
        (from..from + many).map(move |n| entry(n, of, micros, Some(bytes), End::Verified))
    };
    let mut all: Vec<Entry> = proofs(0, 30, 1, 100_000, 2000).collect();
    all.extend(proofs(100, 20, 2, 300_000, 2000));
    all.extend(proofs(200, 20, 3, 100_000, 4000));
    all.extend((300..302).map(|n| entry(n, 3, 100_000, None, End::Ended(Cause::LeaseExpired))));
    all
}

fn ledger() -> (Ledger, Head) {
    let key = validator();
    let chain = Chain::new(Identity::new(key.verifying_key().to_bytes()));
    let (bytes, chain) = chain.append(Content::Entries(entries()), &key).unwrap();
    let mut ledger = Ledger::default();
    ledger.add(&bytes, None).unwrap();
    (ledger, chain.head(NOW).unwrap())
}

/// The rule of that example: without a cold start.
fn rule() -> Rule {
    let name = RuleName::SpeedSizeAccuracy;
    let constants = Constants {
        cold_start: 0,
        ..name.constants()
    };
    Rule::new(name, constants).unwrap()
}

fn subnet() -> Subnet {
    Subnet {
        network: "mainnet".into(),
        netuid: 2,
        version_key: 11003,
        owner: Some(OwnerShare {
            uid: 0,
            millionths: 800_000,
        }),
    }
}

fn registry() -> Registry {
    let uids = BTreeMap::from([(hotkey(11), 7), (hotkey(12), 19), (hotkey(13), 40)]);
    let bound = [bound(1, 11), bound(2, 12), bound(3, 13)];
    Registry::new(&bound, uids, Rotations::default(), BTreeSet::new()).0
}

fn file() -> WeightsFile {
    let (ledger, head) = ledger();
    let scores = Scores::of(&rule(), ledger.entries(), NOW);
    WeightsFile::of(&scores, &registry(), &head, subnet())
}

/// The numbers of docs/weights.md.
#[test]
fn the_way_from_a_proof_to_a_weight() {
    let file = file();
    let nets: BTreeMap<Identity, u128> = file.rows.iter().map(|row| (row.miner, row.net)).collect();
    assert_eq!(nets[&identity(1)], 3_000_000);
    assert_eq!(nets[&identity(2)], 1_299_980);
    assert_eq!(nets[&identity(3)], 1_399_980);
    let vector = file.vector().unwrap();
    assert_eq!(vector.uids(), [0, 7, 19, 40]);
    // 0.8 for the owner, and of the rest 0.526319, 0.228068 and 0.245612: 65535 · share · 0.2 / 0.8.
    assert_eq!(vector.values(), [65535, 8623, 3737, 4024]);
}

#[test]
fn a_file_is_what_was_signed() {
    let bytes = file().sign(&validator()).unwrap();
    assert_eq!(WeightsFile::decode(&bytes, None), Ok(file()));
    let signer = Identity::new(validator().verifying_key().to_bytes());
    assert_eq!(WeightsFile::decode(&bytes, Some(signer)), Ok(file()));
    assert_eq!(
        WeightsFile::decode(&bytes, Some(identity(1))),
        Err(FileError::Validator {
            expected: identity(1),
            got: signer
        })
    );
}

#[test]
fn no_byte_of_a_file_can_be_changed_or_left_out() {
    let bytes = file().sign(&validator()).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(WeightsFile::decode(&changed, None).is_err(), "byte {at}");
        assert!(WeightsFile::decode(&bytes[..at], None).is_err(), "cut at {at}");
    }
    assert!(WeightsFile::decode(&[bytes.as_slice(), b"\0"].concat(), None).is_err());
}

#[test]
fn a_validator_that_signs_another_vector_than_its_rows_make_is_refused() {
    let mut bytes = file().sign(&validator()).unwrap();
    // The last value of the vector, before the signature; then signed again, as a validator that lies would.
    let at = bytes.len() - 65;
    bytes[at] ^= 1;
    bytes.truncate(at + 1);
    let bytes = signed(bytes);
    assert_eq!(WeightsFile::decode(&bytes, None), Err(FileError::OtherVector));
}

#[test]
fn a_file_is_these_bytes() {
    let bytes = file().sign(&validator()).unwrap();
    assert_eq!(
        Digest::of(&bytes).to_string(),
        "sha256:3e7ee2aefd4ee461a55547d4e2e331244392dcfd36573429bb08877b9dace0a7",
        "weights files have other bytes: old ones could not be read any more"
    );
}

/// Signed again, as a validator that lies would, so that the decoder goes on.
fn signed(mut body: Vec<u8>) -> Vec<u8> {
    let signature = validator().sign(&body).to_bytes();
    body.extend(signature);
    body
}

fn body() -> Vec<u8> {
    let bytes = file().sign(&validator()).unwrap();
    bytes[..bytes.len() - 64].to_vec()
}

#[test]
fn a_list_that_cannot_be_there_is_not_allocated_for() {
    let mut body = body();
    // Before the vector: two counts, and four uids with their values.
    let uids = body.len() - 2 * (4 + 4 * 2);
    body.splice(uids..uids + 4, u32::MAX.to_be_bytes());
    assert!(matches!(
        WeightsFile::decode(&signed(body), None),
        Err(FileError::Many { what: "uids", .. })
    ));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(at in 0usize..1000, with in proptest::collection::vec(any::<u8>(), 0..40), cut in 0usize..60) {
        let mut changed = body();
        let from = 17 + 32 + at % (changed.len() - 17 - 32);
        let to = (from + cut).min(changed.len());
        changed.splice(from..to, with);
        let bytes = signed(changed);
        let _ = WeightsFile::decode(&bytes[..bytes.len() - 1], None);
        if let Ok(file) = WeightsFile::decode(&bytes, None) {
            prop_assert_eq!(file.sign(&validator()).unwrap(), bytes);
        }
    }
}

#[test]
fn rows_are_once_and_in_order() {
    let mut twice = file();
    twice.rows.push(twice.rows[0].clone());
    assert_eq!(twice.sign(&validator()), Err(FileError::Canonical));
    let mut other = file();
    other.rows.reverse();
    assert_eq!(other.sign(&validator()), Err(FileError::Canonical));
    assert!(matches!(file().sign(&key(1)), Err(FileError::Signature(_))));
}

#[test]
fn a_text_that_would_move_a_terminal_is_none() {
    for owner in ["", "a\n", "\u{1b}[2J"] {
        let mut file = file();
        file.rows[0].owner = owner.into();
        assert_eq!(file.sign(&validator()), Err(FileError::Unknown("an owner")));
    }
}

#[test]
fn a_uid_is_one_hotkeys() {
    let mut two = file();
    let Place::Uid { uid, .. } = two.rows[0].place else {
        panic!()
    };
    two.rows[1].place = Place::Uid {
        hotkey: hotkey(99),
        uid,
    };
    assert_eq!(two.sign(&validator()), Err(FileError::TwoHotkeys(uid)));
}

#[test]
fn totals_are_those_of_the_ledger() {
    let (ledger, _) = ledger();
    assert_eq!(file().replay(&ledger, &rule()), Ok(()));
}

#[test]
fn a_total_that_the_ledger_does_not_make_is_named() {
    let (ledger, _) = ledger();
    let with = |change: fn(&mut WeightsFile)| {
        let mut file = file();
        change(&mut file);
        file.replay(&ledger, &rule())
    };
    let differs = |got: Result<(), ReplayError>| match got {
        Err(ReplayError::Differs { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(differs(with(|f| f.rows[0].total.credit += 1)), "what is earned");
    assert_eq!(differs(with(|f| f.rows[0].total.debit += 1)), "what is owed");
    assert_eq!(
        differs(with(|f| f.rows[0].total.possible += 1)),
        "what is possible"
    );
    assert_eq!(
        differs(with(|f| f.rows[0].total.samples += 1)),
        "the count of proofs"
    );
    assert_eq!(differs(with(|f| f.rows[0].net += 1)), "what is left");
    assert_eq!(differs(with(|f| f.rows[0].weight += 1)), "the weight");
    assert_eq!(differs(with(|f| f.rows[0].owner.push('x'))), "the owner");
    assert!(matches!(
        with(|f| drop(f.rows.pop())),
        Err(ReplayError::LeftOut(_))
    ));
    assert!(matches!(
        with(|f| f.rows[0].miner = identity(77)),
        Err(ReplayError::Invented(_))
    ));
    assert!(matches!(
        with(|f| f.ledger.entries += 1),
        Err(ReplayError::Ledger(_))
    ));
    assert!(matches!(
        with(|f| f.ledger.digest = Digest::new([1; 32])),
        Err(ReplayError::Ledger(_))
    ));
    assert!(matches!(
        with(|f| f.rule_digest = Digest::new([1; 32])),
        Err(ReplayError::OtherRule { .. })
    ));
}

#[test]
fn a_rule_with_other_constants_is_told() {
    // The file's has no cold start, and the rule of that name has one.
    assert!(matches!(file().known_rule(), Err(ReplayError::OtherRule { .. })));
    let mut unknown = file();
    unknown.rule = "Whim".into();
    assert!(matches!(unknown.known_rule(), Err(ReplayError::Rule(_))));
}

#[test]
fn who_is_not_bound_or_registered_or_is_revoked_gets_nothing_and_is_told() {
    let uids = BTreeMap::from([(hotkey(13), 40)]);
    let bound = [bound(2, 12), bound(3, 13)];
    let revoked = BTreeSet::from([identity(3)]);
    let registry = Registry::new(&bound, uids, Rotations::default(), revoked).0;
    assert_eq!(registry.place(&identity(1)), Place::NotBound);
    assert_eq!(registry.place(&identity(2)), Place::NotRegistered(hotkey(12)));
    assert_eq!(registry.place(&identity(3)), Place::Revoked);
    let (ledger, head) = ledger();
    let scores = Scores::of(&rule(), ledger.entries(), NOW);
    let file = WeightsFile::of(&scores, &registry, &head, subnet());
    assert_eq!(file.vector().unwrap().uids(), [0]);
    let bytes = file.sign(&validator()).unwrap();
    assert_eq!(WeightsFile::decode(&bytes, None), Ok(file));
}

#[test]
fn a_new_key_goes_on_with_the_weight_of_the_old_one() {
    let rotation = Rotation::sign("mainnet", &key(1), &key(4)).unwrap();
    let rotations = Rotations::of("mainnet", &[rotation], &BTreeSet::new()).0;
    let uids = BTreeMap::from([(hotkey(14), 8)]);
    let registry = Registry::new(&[bound(4, 14)], uids.clone(), rotations.clone(), BTreeSet::new()).0;
    let new = Place::Uid {
        hotkey: hotkey(14),
        uid: 8,
    };
    assert_eq!(
        (registry.place(&identity(1)), registry.place(&identity(4))),
        (new, new)
    );
    // A new key that is revoked takes the old one's score with it.
    let revoked = BTreeSet::from([identity(4)]);
    let registry = Registry::new(&[bound(4, 14)], uids, rotations, revoked).0;
    assert_eq!(registry.place(&identity(1)), Place::Revoked);
}

#[test]
fn pools_of_one_hotkey_add_up() {
    let uids = BTreeMap::from([(hotkey(11), 7)]);
    let bound = [bound(1, 11), bound(2, 11)];
    let registry = Registry::new(&bound, uids, Rotations::default(), BTreeSet::new()).0;
    let (ledger, head) = ledger();
    let scores = Scores::of(&rule(), ledger.entries(), NOW);
    let file = WeightsFile::of(&scores, &registry, &head, subnet());
    let sum: u128 = [1, 2].map(|n| scores.miners[&identity(n)].weight).iter().sum();
    assert_eq!(file.weights().unwrap(), BTreeMap::from([(7, sum)]));
}

#[test]
fn who_says_two_things_has_nothing_and_costs_nobody_else() {
    let uids = BTreeMap::from([
        (hotkey(11), 7),
        (hotkey(12), 8),
        (hotkey(13), 40),
        (hotkey(14), 40),
    ]);
    let bound = [bound(1, 11), bound(1, 12), bound(2, 12), bound(3, 13)];
    let (registry, told) = Registry::new(&bound, uids, Rotations::default(), BTreeSet::new());
    assert!(matches!(told[0], RegistryError::TwoHotkeys { identity: of, .. } if of == identity(1)));
    assert!(matches!(told[1], RegistryError::TwoUids { uid: 40, .. }));
    assert_eq!(told.len(), 2);
    assert_eq!(registry.place(&identity(1)), Place::NotBound);
    let second = Place::Uid {
        hotkey: hotkey(12),
        uid: 8,
    };
    assert_eq!(registry.place(&identity(2)), second);
    assert_eq!(registry.place(&identity(3)), Place::NotRegistered(hotkey(13)));
}
