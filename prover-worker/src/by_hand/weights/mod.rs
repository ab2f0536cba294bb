//! `weights`: makes a validator's weights file, shows it, proves it, and checks it against the ledger and a receipt. Nothing but
//! files is read.
//!
//! Invariant: nothing is told of a file whose signature, or whose vector, does not hold.

mod make;
mod prove;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use zkinfer_crds::Identity;
use zkinfer_scoring::ledger::Ledger;
use zkinfer_scoring::{Scores, Zero};
use zkinfer_weights::assign::Place;
use zkinfer_weights::file::{FileError, ReplayError, Row, WeightsFile};
use zkinfer_weights::vector::Vector;
use zkinfer_weights_proof::Proved;

use super::ledger::in_folder;
use crate::args::{Format, WeightsCommand, WeightsFileArgs, WeightsVerifyArgs};
use crate::exit::{Exit, UsageError, say};
use crate::files;

pub(crate) fn run(command: &WeightsCommand, format: Format) -> Result<Exit, UsageError> {
    match command {
        WeightsCommand::Make(args) => make::make(args, format),
        WeightsCommand::Bind(args) => make::bind(args, format),
        WeightsCommand::Rotate(args) => make::rotate(args, format),
        WeightsCommand::Show { file } => show(file, format),
        WeightsCommand::Verify(args) => verify(args, format),
        WeightsCommand::Prove(args) => prove::prove(args, format),
    }
}

/// Says what is wrong with a file.
fn bad(path: &Path, error: &dyn std::fmt::Display, format: Format) -> Result<Exit, UsageError> {
    say(&format!("{}: {error}", path.display()), format);
    Ok(Exit::Bad)
}

fn show(args: &WeightsFileArgs, format: Format) -> Result<Exit, UsageError> {
    match read(args)? {
        Ok(held) => shown(&held.file, &held.vector, format),
        Err(error) => return bad(&args.file, &error, format),
    }
    Ok(Exit::Done)
}

/// Of a file that holds what was checked: against a ledger if there is one, and by a receipt if there is one.
fn verify(args: &WeightsVerifyArgs, format: Format) -> Result<Exit, UsageError> {
    let path = &args.file.file;
    let held = match read(&args.file)? {
        Ok(held) => held,
        Err(error) => return bad(path, &error, format),
    };
    let skipped = match &args.segments {
        None => None,
        Some(segments) => match replay(&held.file, segments)? {
            Ok(skipped) => Some(skipped),
            Err((of, error)) => return bad(of.as_deref().unwrap_or(path), &error, format),
        },
    };
    let proved = match &args.proof {
        None => None,
        Some(receipt) => match prove::verified(receipt, &held, skipped.as_ref())? {
            Ok(proved) => Some(proved),
            Err(error) => return bad(receipt, &error, format),
        },
    };
    verified(
        &held.file,
        &held.vector,
        skipped.is_some(),
        proved.as_ref(),
        format,
    );
    Ok(Exit::Done)
}

/// A file whose signature and vector hold.
struct Held {
    bytes: Vec<u8>,
    file: WeightsFile,
    vector: Vector,
}

fn read(args: &WeightsFileArgs) -> Result<Result<Held, FileError>, UsageError> {
    let bytes = files::read(&args.file)?;
    let file = WeightsFile::decode(&bytes, args.validator);
    Ok(file.and_then(|file| {
        let vector = file.vector()?;
        Ok(Held { bytes, file, vector })
    }))
}

/// Computes it again from the segments that there were when the file was signed: who is on the skip list then; where it does not hold,
/// and why.
#[allow(
    clippy::type_complexity,
    reason = "a wrong use, and a wrong file, end differently"
)]
fn replay(
    file: &WeightsFile,
    folder: &Path,
) -> Result<Result<BTreeSet<Identity>, (Option<PathBuf>, ReplayError)>, UsageError> {
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
        Ok(_) => file.known_rule().and_then(|rule| {
            file.replay(&ledger, &rule)?;
            Ok(skipped(&Scores::of(&rule, ledger.entries(), file.at)))
        }),
        Err(error) => Err(error.into()),
    };
    Ok(replayed.map_err(|error| (None, error)))
}

fn skipped(scores: &Scores) -> BTreeSet<Identity> {
    let all = scores.miners.iter();
    let on = all.filter(|(_, score)| matches!(score.zero, Some(Zero::Skipped { .. })));
    on.map(|(miner, _)| *miner).collect()
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

fn verified(file: &WeightsFile, vector: &Vector, replayed: bool, proved: Option<&Proved>, format: Format) {
    if format == Format::Json {
        let mut told = as_json(file, vector);
        told["replayed"] = replayed.into();
        told["proved"] = proved
            .map(|proved| json!({ "manifest": proved.manifest, "rows": proved.rows }))
            .into();
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
    if let Some(proved) = proved {
        prove::told(file, proved, replayed);
    }
}
