//! A receipt holds for the file that it is of, and for no other; what differs is named.

use std::collections::BTreeSet;
use std::time::Instant;

use ed25519_dalek::SigningKey;
use zkinfer_crds::{Digest, Identity};
use zkinfer_scoring::{Owner, Rule, RuleName, Standing, Total, weigh};
use zkinfer_weights::assign::Place;
use zkinfer_weights::file::{LedgerEnd, Row, Subnet, WeightsFile};
use zkinfer_weights::hotkey::HotkeyPair;
use zkinfer_weights::vector::OwnerShare;
use zkml::receipt::Receipt;

use crate::{GivenError, ProveError, VerifyError, prove, verify};

fn miner(seed: u8) -> Identity {
    Identity::new([seed; 32])
}

fn validator() -> SigningKey {
    SigningKey::from_bytes(&[200; 32])
}

/// Six miners of four owners: one in debt to its owner's other, one on a cold start, one that nobody has bound, two of one uid.
fn rows() -> Vec<Row> {
    let row = |seed: u8, owner: &str, [credit, debit]: [u128; 2], samples, uid: Option<u16>| Row {
        miner: miner(seed),
        owner: owner.to_owned(),
        total: Total {
            credit,
            debit,
            possible: credit,
            samples,
        },
        net: 0,
        weight: 0,
        place: uid.map_or(Place::NotBound, |uid| Place::Uid {
            hotkey: HotkeyPair::from_seed(&[uid as u8; 32]).unwrap().hotkey(),
            uid,
        }),
    };
    vec![
        row(1, "alpha", [3_000_000, 0], 300, Some(7)),
        row(2, "beta", [1_299_980, 0], 200, Some(19)),
        row(3, "gamma", [1_799_980, 400_000], 200, Some(40)),
        row(4, "gamma", [100_000, 400_000], 200, Some(41)),
        row(5, "delta", [900_000, 0], 3, Some(42)),
        row(6, "delta", [700_000, 0], 300, None),
        row(8, "alpha", [500_000, 0], 300, Some(7)),
    ]
}

fn file(rule: RuleName, skipped: &BTreeSet<Identity>) -> WeightsFile {
    file_of(rule, skipped, rows())
}

fn file_of(rule: RuleName, skipped: &BTreeSet<Identity>, mut rows: Vec<Row>) -> WeightsFile {
    let rule = Rule::from(rule);
    let standings: Vec<Standing<'_>> = rows
        .iter()
        .map(|row| Standing {
            owner: Owner::Namespace(&row.owner),
            total: row.total,
            skipped: skipped.contains(&row.miner).then_some(1),
        })
        .collect();
    let weighed = weigh(&standings, rule.constants());
    for (row, of) in rows.iter_mut().zip(weighed) {
        (row.net, row.weight) = (of.net, of.weight);
    }
    WeightsFile {
        validator: Identity::new(validator().verifying_key().to_bytes()),
        subnet: Subnet {
            network: "mainnet".into(),
            netuid: 2,
            version_key: 11003,
            owner: Some(OwnerShare {
                uid: 0,
                millionths: 800_000,
            }),
        },
        at: 100,
        rule: rule.name().word().to_owned(),
        rule_digest: rule.digest(),
        ledger: LedgerEnd {
            sequence: 1,
            digest: Digest::of(b"a segment"),
            entries: 9,
        },
        rows,
    }
}

/// A file, its bytes and a receipt of it.
struct Case {
    file: WeightsFile,
    bytes: Vec<u8>,
    receipt: Vec<u8>,
    skipped: BTreeSet<Identity>,
}

fn case(rule: RuleName, skipped: &[u8]) -> Case {
    let skipped = skipped.iter().map(|seed| miner(*seed)).collect();
    let file = file(rule, &skipped);
    let bytes = file.sign(&validator()).unwrap();
    let receipt = prove(&bytes, &file, &skipped).unwrap();
    Case {
        file,
        bytes,
        receipt,
        skipped,
    }
}

impl Case {
    fn verify(&self, receipt: &[u8]) -> Result<crate::Proved, VerifyError> {
        verify(receipt, &self.bytes, &self.file, Some(&self.skipped))
    }

    /// The receipt with something else in it.
    fn changed(&self, change: impl FnOnce(&mut Receipt)) -> Vec<u8> {
        let mut receipt = Receipt::from_bytes(&self.receipt).unwrap();
        change(&mut receipt);
        receipt.to_bytes()
    }
}

#[test]
fn a_file_is_proved_and_its_receipt_holds() {
    for rule in super::RULES {
        let case = case(rule, &[2]);
        let proved = case.verify(&case.receipt).unwrap();
        assert_eq!((proved.rows, &proved.skipped), (16, &case.skipped));
        let alone = verify(&case.receipt, &case.bytes, &case.file, None).unwrap();
        assert_eq!(alone.skipped, case.skipped);
    }
}

/// As many as a subnet has: 255 miners beside its owner, 40 owners.
#[test]
fn a_file_of_all_uids_is_proved_and_its_receipt_holds() {
    for rule in super::RULES {
        let mut many = Vec::new();
        for seed in 1..=255u8 {
            let at = u128::from(seed);
            let mut row = rows()[0].clone();
            row.miner = miner(seed);
            row.owner = format!("owner-{}", seed % 40);
            row.total.credit = 1_000_000 + at * at * 7_919;
            row.total.debit = at % 7 * 300_000;
            row.place = Place::Uid {
                hotkey: HotkeyPair::from_seed(&[seed; 32]).unwrap().hotkey(),
                uid: seed.into(),
            };
            many.push(row);
        }
        let nobody = BTreeSet::new();
        let file = file_of(rule, &nobody, many);
        let bytes = file.sign(&validator()).unwrap();
        let began = Instant::now();
        let receipt = prove(&bytes, &file, &nobody).unwrap();
        let (proved, began) = (began.elapsed(), Instant::now());
        let held = verify(&receipt, &bytes, &file, Some(&nobody)).unwrap();
        assert_eq!(held.rows, 256);
        println!(
            "measured: {rule} of 255 uids: proved in {proved:?}, verified in {:?}, {} bytes",
            began.elapsed(),
            receipt.len()
        );
        let mut other = Receipt::from_bytes(&receipt).unwrap();
        other.output[0].values[254] ^= 1;
        let refused = verify(&other.to_bytes(), &bytes, &file, Some(&nobody));
        assert!(matches!(refused, Err(VerifyError::OtherVector)));
    }
}

#[test]
fn rejects_a_lying_provers_vector() {
    let case = case(RuleName::DeliveredWork, &[]);
    let other = case.changed(|receipt| receipt.output[0].values[0] -= 1);
    assert!(matches!(case.verify(&other), Err(VerifyError::OtherVector)));
    // A file that says so too is not the one that is proved.
    let mut file = case.file.clone();
    file.rows[0].weight /= 2;
    let bytes = file.sign(&validator()).unwrap();
    assert!(matches!(
        prove(&bytes, &file, &case.skipped),
        Err(ProveError::OtherVector(RuleName::DeliveredWork))
    ));
}

#[test]
fn rejects_other_totals_by_name() {
    let case = case(RuleName::DeliveredWork, &[]);
    for (at, name) in ["totals", "owners", "slots", "shares"].into_iter().enumerate() {
        let other = case.changed(|receipt| receipt.input[at].values[0] ^= 2);
        match case.verify(&other) {
            Err(VerifyError::OtherInput(told)) => assert_eq!(told, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn rejects_another_working_and_another_proof() {
    let case = case(RuleName::SpeedSizeAccuracy, &[]);
    let last = Receipt::from_bytes(&case.receipt).unwrap().input.len() - 1;
    for other in [
        case.changed(|receipt| receipt.input[last - 1].values[0] ^= 1),
        case.changed(|receipt| receipt.input[last].values[0] ^= 1),
        case.changed(|receipt| receipt.input[4].values[0] += 1),
        case.changed(|receipt| receipt.slices[0].proof[100] ^= 1),
    ] {
        assert!(matches!(case.verify(&other), Err(VerifyError::Refused(_))));
    }
    assert!(matches!(
        case.verify(&case.receipt[1..]),
        Err(VerifyError::Encoding(_))
    ));
}

#[test]
fn rejects_a_receipt_of_another_file() {
    let case = case(RuleName::SpeedSizeAccuracy, &[]);
    let mut file = case.file.clone();
    // The same weights at another time: nothing but the file's digest differs.
    file.at += 1;
    let bytes = file.sign(&validator()).unwrap();
    let refused = verify(&case.receipt, &bytes, &file, Some(&case.skipped));
    assert!(matches!(refused, Err(VerifyError::OtherFile { .. })));
    // Nor is it made one by its name: the proof is bound to it.
    let other = case.changed(|receipt| {
        let digest = Digest::of(&bytes);
        let mut uid = [0; 16];
        uid.copy_from_slice(&digest.as_bytes()[..16]);
        receipt.request = zkinfer_crds::RequestUid::new(uid);
    });
    let refused = verify(&other, &bytes, &file, Some(&case.skipped));
    assert!(matches!(refused, Err(VerifyError::Refused(_))));
}

#[test]
fn rejects_a_receipt_of_another_rule_and_of_another_manifest() {
    let case = case(RuleName::SpeedSizeAccuracy, &[]);
    let file = file(RuleName::DeliveredWork, &BTreeSet::new());
    let bytes = file.sign(&validator()).unwrap();
    let refused = verify(&case.receipt, &bytes, &file, None);
    assert!(matches!(refused, Err(VerifyError::OtherRule { .. })));
    let other = case.changed(|receipt| receipt.manifest.error_budget_millionths = 1);
    assert!(matches!(
        case.verify(&other),
        Err(VerifyError::OtherManifest { rows: 16, .. })
    ));
}

#[test]
fn rejects_a_skip_list_that_is_not_the_ledgers() {
    // Miner 6 is bound to nobody: whether it is skipped changes no weight of the default rule.
    let case = case(RuleName::SpeedSizeAccuracy, &[6]);
    let refused = verify(&case.receipt, &case.bytes, &case.file, Some(&BTreeSet::new()));
    match refused {
        Err(error @ VerifyError::Skipped { receipt: true, .. }) => {
            assert!(error.to_string().contains("by the receipt"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert!(verify(&case.receipt, &case.bytes, &case.file, None).is_ok());
}

#[test]
fn what_has_no_place_in_a_proof_is_told() {
    let nobody = BTreeSet::new();
    let of = |change: fn(&mut WeightsFile)| {
        let mut file = file(RuleName::SpeedSizeAccuracy, &BTreeSet::new());
        change(&mut file);
        match prove(b"a file", &file, &BTreeSet::new()) {
            Err(ProveError::Given(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let great = of(|file| file.rows[1].total.debit = 1 << 64);
    assert_eq!(
        great,
        GivenError::Great {
            miner: miner(2),
            what: "what is owed",
            got: 1 << 64,
            bits: 64
        }
    );
    let many = of(|file| file.rows = vec![file.rows[0].clone(); 257]);
    assert!(matches!(
        many,
        GivenError::Many {
            what: "miners",
            got: 257,
            most: 256
        }
    ));
    let curve = of(|file| {
        let rule = Rule::from(RuleName::ResponseCurve);
        (file.rule, file.rule_digest) = (rule.name().word().to_owned(), rule.digest());
    });
    assert_eq!(curve, GivenError::NoProof(RuleName::ResponseCurve));
    let constants = of(|file| file.rule_digest = Digest::of(b"other constants"));
    assert!(matches!(constants, GivenError::Rule(_)));
    let mut file = file(RuleName::SpeedSizeAccuracy, &nobody);
    file.subnet.network = "n".repeat(65);
    assert!(matches!(
        prove(b"a file", &file, &nobody),
        Err(ProveError::Network { got: 65 })
    ));
}
