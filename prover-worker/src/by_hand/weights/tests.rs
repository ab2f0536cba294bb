//! Weights files by hand: made, proved, verified, and refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use zkinfer_crds::{ClaimId, Digest, Identity, RequestUid, SliceIndex};
use zkinfer_scoring::ledger::{Chain, Content};
use zkinfer_scoring::{End, Entry, Rule, Scores};
use zkinfer_weights::assign::Registry;
use zkinfer_weights::file::Subnet;
use zkinfer_weights::rotation::Rotations;
use zkinfer_weights::vector::OwnerShare;

use super::*;

const NOW: u64 = 500_000 * 3_600_000 + 100;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[200; 32])
}

fn proof(n: u64) -> Entry {
    let mut claim = [0; 16];
    claim[..8].copy_from_slice(&n.to_be_bytes());
    Entry {
        claim: ClaimId::new(claim),
        request: RequestUid::new([0; 16]),
        model: None,
        slice: SliceIndex(0),
        key: Some(Digest::new([7; 32])),
        namespace: Arc::from("miner-alpha"),
        pool: Arc::from("pool"),
        miner: Identity::new([1; 32]),
        attempt: 1,
        end: End::Verified,
        comparable: true,
        benchmark: false,
        work: 100_000,
        micros: 100_000,
        bytes: Some(2000),
        proof: None,
        at: NOW - 50,
    }
}

/// A store's `segments/` with two segments, and weights of when there was one.
struct Case {
    folder: tempfile::TempDir,
    file: WeightsFile,
}

fn case() -> Case {
    let folder = tempfile::tempdir().unwrap();
    let begun = Chain::new(Identity::new(key().verifying_key().to_bytes()));
    let (first, chain) = begun
        .append(Content::Entries((0..30).map(proof).collect()), &key())
        .unwrap();
    let (second, _) = chain
        .append(Content::Entries((30..40).map(proof).collect()), &key())
        .unwrap();
    let segments = folder.path().join("segments");
    std::fs::create_dir(&segments).unwrap();
    for (name, bytes) in [
        ("00000000000000000000", &first),
        ("00000000000000000001", &second),
    ] {
        std::fs::write(segments.join(name), bytes).unwrap();
    }
    let mut ledger = Ledger::default();
    ledger.add(&first, None).unwrap();
    let scores = Scores::of(&Rule::default(), ledger.entries(), NOW);
    let registry = Registry::new(&[], BTreeMap::new(), Rotations::default(), BTreeSet::new()).0;
    let subnet = Subnet {
        network: "mainnet".into(),
        netuid: 2,
        version_key: 11003,
        owner: Some(OwnerShare {
            uid: 0,
            millionths: 800_000,
        }),
    };
    let file = WeightsFile::of(&scores, &registry, &chain.head(NOW).unwrap(), subnet);
    Case { folder, file }
}

impl Case {
    fn args(&self, bytes: &[u8]) -> WeightsFileArgs {
        let file = self.folder.path().join("weights");
        std::fs::write(&file, bytes).unwrap();
        WeightsFileArgs {
            file,
            validator: None,
        }
    }

    fn verify(&self, bytes: &[u8]) -> Exit {
        let command = WeightsCommand::Verify(WeightsVerifyArgs {
            file: self.args(bytes),
            segments: Some(self.folder.path().join("segments")),
            proof: None,
        });
        run(&command, Format::Json).unwrap()
    }
}

#[test]
fn what_came_after_the_file_is_none_of_its() {
    let case = case();
    let bytes = case.file.sign(&key()).unwrap();
    assert_eq!(case.verify(&bytes), Exit::Done);
    let shown = WeightsCommand::Show {
        file: case.args(&bytes),
    };
    assert_eq!(run(&shown, Format::Text).unwrap(), Exit::Done);
}

#[test]
fn a_file_is_proved_from_its_ledger_and_its_receipt_is_of_no_other_file() {
    let mut case = case();
    let receipt = case.folder.path().join("receipt");
    let prove = |case: &Case, bytes: &[u8]| {
        let command = WeightsCommand::Prove(crate::args::WeightsProveArgs {
            file: case.args(bytes),
            segments: case.folder.path().join("segments"),
            out: receipt.clone(),
        });
        run(&command, Format::Text).unwrap()
    };
    let verify = |case: &Case, bytes: &[u8], ledger: bool| {
        let command = WeightsCommand::Verify(WeightsVerifyArgs {
            file: case.args(bytes),
            segments: ledger.then(|| case.folder.path().join("segments")),
            proof: Some(receipt.clone()),
        });
        run(&command, Format::Text).unwrap()
    };
    let bytes = case.file.sign(&key()).unwrap();
    assert_eq!(prove(&case, &bytes), Exit::Done);
    assert_eq!(verify(&case, &bytes, true), Exit::Done);
    assert_eq!(verify(&case, &bytes, false), Exit::Done);
    // The receipt is of the file that was signed, and of none that is signed later; totals that are not the ledger's are not proved.
    case.file.rows[0].total.credit += 1;
    let other = case.file.sign(&key()).unwrap();
    assert_eq!(verify(&case, &other, false), Exit::Bad);
    assert_eq!(prove(&case, &other), Exit::Bad);
    assert_eq!(verify(&case, &bytes, true), Exit::Done);
}

#[test]
fn totals_that_the_ledger_does_not_make_are_bad() {
    let mut case = case();
    case.file.rows[0].total.credit += 1;
    let bytes = case.file.sign(&key()).unwrap();
    assert_eq!(case.verify(&bytes), Exit::Bad);
    // Alone the file holds: whoever signs it says so.
    let alone = WeightsCommand::Verify(WeightsVerifyArgs {
        file: case.args(&bytes),
        segments: None,
        proof: None,
    });
    assert_eq!(run(&alone, Format::Text).unwrap(), Exit::Done);
}

#[test]
fn a_file_of_somebody_else_or_of_nobody_is_bad() {
    let case = case();
    let bytes = case.file.sign(&key()).unwrap();
    let mut args = case.args(&bytes);
    args.validator = Some(Identity::new([1; 32]));
    assert_eq!(
        run(&WeightsCommand::Show { file: args }, Format::Text).unwrap(),
        Exit::Bad
    );
    assert_eq!(case.verify(&bytes[..bytes.len() - 1]), Exit::Bad);
    assert_eq!(case.verify(b"zkinfer/ledger\0\x01"), Exit::Bad);
}

/// What `weights make` is given, with keys in files as people have them.
fn made(case: &Case, subnet: &str, key: [u8; 32]) -> (Exit, PathBuf) {
    let at = |name: &str| case.folder.path().join(name);
    let segments = at("segments");
    let files: Vec<PathBuf> = in_folder(&segments).unwrap().0;
    let mut ledger = Ledger::default();
    for file in &files {
        ledger.add(&std::fs::read(file).unwrap(), None).unwrap();
    }
    let head = ledger.chain().unwrap().head(NOW).unwrap();
    std::fs::write(segments.join("head"), head.sign(&self::key()).unwrap()).unwrap();
    std::fs::write(at("subnet"), subnet).unwrap();
    std::fs::write(at("key"), hex::encode(key)).unwrap();
    let args = crate::args::WeightsMakeArgs {
        ledger: crate::args::LedgerArgs {
            segments: vec![segments],
            head: None,
            validator: None,
        },
        rule: crate::args::ScoringArgs {
            rule: Some(zkinfer_scoring::RuleName::SpeedSizeAccuracy),
            at: Some(NOW),
        },
        subnet: at("subnet"),
        key: at("key"),
        out: at("made"),
    };
    (
        run(&WeightsCommand::Make(args), Format::Json).unwrap(),
        at("made"),
    )
}

const SUBNET: &str = r#"{ "network": "mainnet", "netuid": 2, "versionKey": 11003, "uids": {},
                          "owner": { "uid": 0, "shareMillionths": 800000 } }"#;

#[test]
fn what_is_made_of_a_ledger_is_verified_against_it() {
    let case = case();
    let (done, out) = made(&case, SUBNET, [200; 32]);
    assert_eq!(done, Exit::Done);
    let bytes = std::fs::read(out).unwrap();
    assert_eq!(WeightsFile::decode(&bytes, None).unwrap().ledger.entries, 40);
    assert_eq!(case.verify(&bytes), Exit::Done);
}

#[test]
fn nothing_is_signed_with_another_key_or_of_who_is_not_bound() {
    assert_eq!(made(&case(), SUBNET, [201; 32]).0, Exit::Bad);
    let zeros = "0".repeat(128);
    let unsigned = format!(
        r#"{{ "network": "mainnet", "netuid": 2, "versionKey": 1, "uids": {{}}, "bindings": [{{
             "network": "mainnet", "namespace": "a", "pool": "b", "uid": "c", "identity": "{}",
             "hotkey": "5ETmuXSyBiDHwabzdAxmbyj1A25asAmNXm5gtzf7edxxQYaq",
             "hotkeySignature": "{zeros}", "identitySignature": "{zeros}" }}] }}"#,
        Identity::new([1; 32])
    );
    assert_eq!(made(&case(), &unsigned, [200; 32]).0, Exit::Bad);
}

#[test]
fn keys_are_bound_and_handed_over_and_no_key_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, text) in [
        ("old", hex::encode([1; 32])),
        ("new", hex::encode([2; 32])),
        ("seed", format!("0x{}\n", hex::encode([9; 32]))),
    ] {
        std::fs::write(at(name), text).unwrap();
    }
    let rotate = |to: &str| {
        let args = crate::args::WeightsRotateArgs {
            network: "mainnet".to_owned(),
            from_key: at("old"),
            to_key: at(to),
            patch: true,
        };
        run(&WeightsCommand::Rotate(args), Format::Text).unwrap()
    };
    assert_eq!((rotate("new"), rotate("old")), (Exit::Done, Exit::Bad));
    let bind = |network: &str| {
        let args = crate::args::WeightsBindArgs {
            network: network.to_owned(),
            namespace: "miner-alpha".to_owned(),
            pool: "fast".to_owned(),
            uid: "0b4f".to_owned(),
            identity_key: at("new"),
            hotkey_seed: at("seed"),
            patch: true,
        };
        run(&WeightsCommand::Bind(args), Format::Text).unwrap()
    };
    assert_eq!((bind("mainnet"), bind("two words")), (Exit::Done, Exit::Bad));
}

#[test]
fn a_ledger_that_is_cut_before_the_file_is_bad() {
    let case = case();
    let bytes = case.file.sign(&key()).unwrap();
    std::fs::remove_file(case.folder.path().join("segments/00000000000000000000")).unwrap();
    assert_eq!(case.verify(&bytes), Exit::Bad);
}
