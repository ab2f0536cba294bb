//! `weights`: makes a validator's weights file, shows it, and checks it against the ledger. Nothing but files is read.
//!
//! Invariant: nothing is told of a file whose signature, or whose vector, does not hold.

mod make;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use zkinfer_scoring::ledger::Ledger;
use zkinfer_weights::assign::Place;
use zkinfer_weights::file::{FileError, ReplayError, Row, WeightsFile};
use zkinfer_weights::vector::Vector;

use super::ledger::in_folder;
use crate::args::{Format, WeightsCommand, WeightsFileArgs};
use crate::exit::{Exit, UsageError, say};
use crate::files;

pub(crate) fn run(command: &WeightsCommand, format: Format) -> Result<Exit, UsageError> {
    match command {
        WeightsCommand::Make(args) => make::make(args, format),
        WeightsCommand::Bind(args) => make::bind(args, format),
        WeightsCommand::Rotate(args) => make::rotate(args, format),
        WeightsCommand::Show { file } => told(file, None, format),
        WeightsCommand::Verify { file, segments } => told(file, Some(segments.as_deref()), format),
    }
}

/// Of a file that holds; with `verify` also what was checked, against a ledger if there is one.
fn told(args: &WeightsFileArgs, verify: Option<Option<&Path>>, format: Format) -> Result<Exit, UsageError> {
    let bad = |error: &dyn std::fmt::Display| {
        say(&format!("{}: {error}", args.file.display()), format);
        Ok(Exit::Bad)
    };
    let (file, vector) = match read(args)? {
        Ok(read) => read,
        Err(error) => return bad(&error),
    };
    let Some(segments) = verify else {
        shown(&file, &vector, format);
        return Ok(Exit::Done);
    };
    if let Some(segments) = segments {
        match replay(&file, segments)? {
            Ok(()) => {}
            Err((None, error)) => return bad(&error),
            Err((Some(path), error)) => {
                say(&format!("{}: {error}", path.display()), format);
                return Ok(Exit::Bad);
            }
        }
    }
    verified(&file, &vector, segments.is_some(), format);
    Ok(Exit::Done)
}

fn read(args: &WeightsFileArgs) -> Result<Result<(WeightsFile, Vector), FileError>, UsageError> {
    let file = WeightsFile::decode(&files::read(&args.file)?, args.validator);
    Ok(file.and_then(|file| {
        let vector = file.vector()?;
        Ok((file, vector))
    }))
}

/// Computes it again from the segments that there were when the file was signed; where it does not hold, and why.
#[allow(
    clippy::type_complexity,
    reason = "a wrong use, and a wrong file, end differently"
)]
fn replay(
    file: &WeightsFile,
    folder: &Path,
) -> Result<Result<(), (Option<PathBuf>, ReplayError)>, UsageError> {
    let (segments, _) = in_folder(folder)?;
    let mut ledger = Ledger::default();
    for path in segments {
        if let Err(error) = ledger.add(&files::read(&path)?, None) {
            return Ok(Err((Some(path), error.into())));
        }
        // What came later is none of this file's.
        if ledger
            .chain()
            .is_ok_and(|chain| chain.next > file.ledger.sequence)
        {
            break;
        }
    }
    let replayed = match ledger.chain() {
        Ok(_) => file.known_rule().and_then(|rule| file.replay(&ledger, &rule)),
        Err(error) => Err(error.into()),
    };
    Ok(replayed.map_err(|error| (None, error)))
}

fn place(row: &Row) -> String {
    match row.place {
        Place::Uid { hotkey, .. } => hotkey.to_string(),
        Place::NotBound => "nothing: no hotkey is bound to it".to_owned(),
        Place::NotRegistered(hotkey) => format!("nothing: {hotkey} is not registered"),
        Place::Revoked => "nothing: its key is revoked".to_owned(),
    }
}

fn uid(row: &Row) -> Option<u16> {
    match row.place {
        Place::Uid { uid, .. } => Some(uid),
        Place::NotBound | Place::NotRegistered(_) | Place::Revoked => None,
    }
}

fn as_json(file: &WeightsFile, vector: &Vector) -> Value {
    let text = |number: u128| number.to_string();
    let rows: Vec<Value> = file
        .rows
        .iter()
        .map(|row| {
            json!({
                "miner": row.miner, "owner": row.owner, "credit": text(row.total.credit), "debit": text(row.total.debit),
                "possible": text(row.total.possible), "samples": row.total.samples, "net": text(row.net),
                "weight": text(row.weight), "uid": uid(row), "place": place(row),
            })
        })
        .collect();
    json!({
        "validator": file.validator, "network": file.subnet.network, "netuid": file.subnet.netuid,
        "versionKey": file.subnet.version_key, "at": file.at, "rule": file.rule, "ruleDigest": file.rule_digest,
        "ledger": {
            "sequence": file.ledger.sequence, "digest": file.ledger.digest, "entries": file.ledger.entries,
        },
        "owner": file.subnet.owner.map(|owner| json!({ "uid": owner.uid, "shareMillionths": owner.millionths })),
        "uids": vector.uids(), "values": vector.values(), "miners": rows,
    })
}

fn head(file: &WeightsFile) {
    let subnet = &file.subnet;
    println!("validator {}", file.validator);
    println!(
        "netuid {}, version key {}, network {}, at {}",
        subnet.netuid, subnet.version_key, subnet.network, file.at
    );
    println!("by {} {}", file.rule, file.rule_digest);
    println!(
        "of the ledger up to segment {}, {}, with {} entries",
        file.ledger.sequence, file.ledger.digest, file.ledger.entries
    );
    if let Some(owner) = subnet.owner {
        println!(
            "the subnet's owner, uid {}, has {} of 1000000",
            owner.uid, owner.millionths
        );
    }
}

fn shown(file: &WeightsFile, vector: &Vector, format: Format) {
    if format == Format::Json {
        println!("{:#}", as_json(file, vector));
        return;
    }
    head(file);
    println!("{:>5} {:>5}", "UID", "VALUE");
    for (uid, value) in vector.uids().iter().zip(vector.values()) {
        println!("{uid:>5} {value:>5}");
    }
    println!(
        "{:>5} {:<72} {:>20} {:>16} {:>16} {:>7}  OWNER, HOTKEY",
        "UID", "MINER", "WEIGHT", "EARNED", "OWED", "PROOFS"
    );
    for row in &file.rows {
        println!(
            "{:>5} {} {:>20} {:>16} {:>16} {:>7}  {}, {}",
            uid(row).map_or("-".to_owned(), |uid| uid.to_string()),
            row.miner,
            row.weight,
            row.total.credit,
            row.total.debit,
            row.total.samples,
            row.owner,
            place(row)
        );
    }
}

fn verified(file: &WeightsFile, vector: &Vector, replayed: bool, format: Format) {
    if format == Format::Json {
        let mut told = as_json(file, vector);
        told["replayed"] = replayed.into();
        println!("{told:#}");
        return;
    }
    head(file);
    println!("the signature is the validator's");
    println!(
        "the vector of {} uids is the one that the miners' weights make",
        vector.uids().len()
    );
    if replayed {
        println!("every miner's total and weight is the one that the ledger makes, and nobody is left out");
    } else {
        println!("NOT CHECKED: whether the totals are the ledger's; give --ledger FOLDER");
    }
}

#[cfg(test)]
mod tests {
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
            let command = WeightsCommand::Verify {
                file: self.args(bytes),
                segments: Some(self.folder.path().join("segments")),
            };
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
    fn totals_that_the_ledger_does_not_make_are_bad() {
        let mut case = case();
        case.file.rows[0].total.credit += 1;
        let bytes = case.file.sign(&key()).unwrap();
        assert_eq!(case.verify(&bytes), Exit::Bad);
        // Alone the file holds: whoever signs it says so.
        let alone = WeightsCommand::Verify {
            file: case.args(&bytes),
            segments: None,
        };
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
}
