//! `ledger`: checks a validator's ledger, recomputes scores, and says why a miner has its score. Nothing but files is read.
//!
//! Invariant: no score is told of a ledger that does not hold.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use zkinfer_crds::{Digest, Identity};
use zkinfer_scoring::ledger::{Content, Head, Ledger, LedgerError, Segment};
use zkinfer_scoring::{Entry, Rule, RuleError, Score, Scores, Zero};

use crate::args::{Format, LedgerArgs, LedgerCommand, ScoringArgs};
use crate::exit::{Exit, UsageError, say};
use crate::files;

pub(crate) fn run(command: &LedgerCommand, format: Format) -> Result<Exit, UsageError> {
    let (LedgerCommand::Verify { ledger: args }
    | LedgerCommand::Replay { ledger: args, .. }
    | LedgerCommand::Explain { ledger: args, .. }) = command;
    let ledger = match read(args)? {
        Ok(ledger) => ledger,
        Err((path, error)) => {
            say(&format!("{}: {error}", path.display()), format);
            return Ok(Exit::Bad);
        }
    };
    match command {
        LedgerCommand::Verify { .. } => verified(&ledger, format),
        LedgerCommand::Replay { rule, .. } => match scores(&ledger.ledger, rule) {
            Ok(scores) => replayed(&scores, format),
            Err(error) => return Ok(not_ours(&error, format)),
        },
        LedgerCommand::Explain { rule, miner, .. } => {
            let scores = match scores(&ledger.ledger, rule) {
                Ok(scores) => scores,
                Err(error) => return Ok(not_ours(&error, format)),
            };
            let Some(score) = scores.miners.get(miner) else {
                say(
                    &format!(
                        "{miner} has no claim in the ledger that bears on a score at {}",
                        scores.at
                    ),
                    format,
                );
                return Ok(Exit::Bad);
            };
            explained(&scores, miner, score, ledger.ledger.entries(), format);
        }
    }
    Ok(Exit::Done)
}

pub(super) struct Checked {
    pub(super) ledger: Ledger,
    pub(super) head: Option<Head>,
}

/// Reads and checks it all; the file in which it does not hold, and why.
#[allow(
    clippy::type_complexity,
    reason = "a wrong use, and a wrong ledger, end differently"
)]
pub(super) fn read(args: &LedgerArgs) -> Result<Result<Checked, (PathBuf, LedgerError)>, UsageError> {
    let (segments, beside) = match args.segments.as_slice() {
        [folder] if folder.is_dir() => in_folder(folder)?,
        segments => (segments.to_vec(), None),
    };
    let mut ledger = Ledger::default();
    for path in &segments {
        if let Err(error) = ledger.add(&files::read(path)?, args.validator) {
            return Ok(Err((path.clone(), error)));
        }
    }
    // Where all segments are there, what stands for some of them has to be true.
    if let [folder] = args.segments.as_slice()
        && folder.join("checkpoint").is_file()
        && segments
            .first()
            .is_some_and(|first| !first.ends_with("checkpoint"))
    {
        let path = folder.join("checkpoint");
        if let Err(error) = borne_out(&ledger, &segments, &files::read(&path)?)? {
            return Ok(Err((path, error)));
        }
    }
    let Some(path) = args.head.clone().or(beside) else {
        return Ok(Ok(Checked { ledger, head: None }));
    };
    let head = Head::decode(&files::read(&path)?);
    let head = head.and_then(|head| ledger.ends_at(&head).map(|()| head));
    Ok(match head {
        Ok(head) => Ok(Checked {
            ledger,
            head: Some(head),
        }),
        Err(error) => Err((path, error)),
    })
}

/// Whether a checkpoint says what the segments come to that it stands for, which are here with all that follow.
fn borne_out(
    ledger: &Ledger,
    segments: &[PathBuf],
    bytes: &[u8],
) -> Result<Result<(), LedgerError>, UsageError> {
    let segment = match Segment::decode(bytes) {
        Ok(segment) => segment,
        Err(error) => return Ok(Err(error)),
    };
    let Content::Checkpoint(checkpoint) = segment.content else {
        return Ok(Err(LedgerError::Magic("a ledger's checkpoint")));
    };
    let last = usize::try_from(segment.sequence)
        .ok()
        .and_then(|last| segments.get(last));
    let Some(last) = last else {
        return Ok(Err(LedgerError::Untrue("how many segments there are")));
    };
    if Digest::of(&files::read(last)?) != segment.previous {
        return Ok(Err(LedgerError::Untrue("the last of them")));
    }
    let many = usize::try_from(checkpoint.entries).unwrap_or(usize::MAX);
    let entries = ledger.entries().get(..many);
    Ok(entries
        .ok_or(LedgerError::Untrue("how many claims have ended"))
        .and_then(|entries| checkpoint.stands_for(entries)))
}

/// Segments by number, and the head if there is one. Where the first ones are gone the checkpoint stands for all up to its number.
pub(super) fn in_folder(folder: &Path) -> Result<(Vec<PathBuf>, Option<PathBuf>), UsageError> {
    let bad = |e: std::io::Error| UsageError::new(format!("cannot read {}: {e}", folder.display()));
    let mut numbered = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(bad)? {
        let path = entry.map_err(bad)?.path();
        let number = path
            .file_name()
            .and_then(|name| name.to_str()?.parse::<u64>().ok());
        numbered.extend(number.map(|number| (number, path)));
    }
    numbered.sort();
    let (checkpoint, mut segments) = (folder.join("checkpoint"), Vec::new());
    let whole = numbered.first().is_some_and(|(first, _)| *first == 0);
    if !whole && checkpoint.is_file() {
        // What is no checkpoint is told of with its file, when it is read in its turn.
        let last = Segment::decode(&files::read(&checkpoint)?).map(|segment| segment.sequence);
        numbered.retain(|(number, _)| last.as_ref().is_ok_and(|last| number > last));
        segments.push(checkpoint);
    } else if numbered.is_empty() {
        return Err(UsageError::new(format!(
            "{} has no segment: a file whose name is a number",
            folder.display()
        )));
    }
    let head = folder.join("head");
    segments.extend(numbered.into_iter().map(|(_, path)| path));
    Ok((segments, head.is_file().then_some(head)))
}

fn verified(Checked { ledger, head }: &Checked, format: Format) {
    let Ok(chain) = ledger.chain() else { return };
    match format {
        Format::Json => println!(
            "{:#}",
            json!({
                "validator": chain.validator, "segments": chain.next, "last": chain.last, "entries": chain.entries,
                "entriesHere": ledger.entries().len(), "head": head.is_some(),
            })
        ),
        Format::Text => {
            println!("validator {}", chain.validator);
            println!(
                "{} segments follow each other, and each is signed; the last is {}",
                chain.next, chain.last
            );
            let here = ledger.entries().len();
            println!(
                "{} entries, of which {here} are here, each of another claim",
                chain.entries
            );
            println!(
                "{}",
                if head.is_some() {
                    "the signed head names this end"
                } else {
                    "NOT CHECKED: whether this is the end; give --head FILE"
                }
            );
        }
    }
}

/// The ledger holds, and what it says of its rule is nothing that is computed here.
fn not_ours(error: &RuleError, format: Format) -> Exit {
    say(&format!("the ledger's rule: {error}"), format);
    Exit::Bad
}

pub(super) fn scores(ledger: &Ledger, args: &ScoringArgs) -> Result<Scores, RuleError> {
    let last = ledger.entries().iter().map(|entry| entry.at).max();
    let at = args.at.or(last).unwrap_or_default();
    let rule = match (args.rule, ledger.rule_at(at)) {
        (Some(name), _) => name.into(),
        (None, Some(named)) => named.rule()?,
        (None, None) => Rule::default(),
    };
    Ok(Scores::of(&rule, ledger.entries(), at))
}

fn millionths(number: u32) -> String {
    format!("{}.{:06}", number / 1_000_000, number % 1_000_000)
}

fn why(zero: Option<Zero>) -> String {
    zero.map(|zero| zero.to_string()).unwrap_or_default()
}

fn as_json(miner: &Identity, score: &Score) -> Value {
    let text = |number: u128| number.to_string();
    json!({
        "miner": miner, "owner": &*score.owner, "credit": text(score.total.credit), "debit": text(score.total.debit),
        "possible": text(score.total.possible), "samples": score.total.samples, "net": text(score.net),
        "uncapped": text(score.uncapped), "weight": text(score.weight), "scoreMillionths": score.quality_millionths,
        "shareMillionths": score.share_millionths, "why": why(score.zero),
    })
}

fn replayed(scores: &Scores, format: Format) {
    match format {
        Format::Json => {
            let miners: Vec<Value> = scores
                .miners
                .iter()
                .map(|(miner, score)| as_json(miner, score))
                .collect();
            println!(
                "{:#}",
                json!({ "rule": scores.rule.name().word(), "digest": scores.rule.digest(), "at": scores.at, "miners": miners })
            );
        }
        Format::Text => {
            println!(
                "{} {}, at {}",
                scores.rule.name(),
                scores.rule.digest(),
                scores.at
            );
            println!(
                "{:<72} {:>8} {:>8} {:>7}  OWNER",
                "MINER", "SCORE", "SHARE", "PROOFS"
            );
            for (miner, score) in &scores.miners {
                println!(
                    "{miner} {} {} {:>7}  {} {}",
                    millionths(score.quality_millionths),
                    millionths(score.share_millionths),
                    score.total.samples,
                    score.owner,
                    why(score.zero)
                );
            }
        }
    }
}

fn explained(scores: &Scores, miner: &Identity, score: &Score, entries: &[Entry], format: Format) {
    let told = scores.explain(entries, miner);
    match format {
        Format::Json => {
            let rows: Vec<Value> = told
                .iter()
                .map(|(entry, worth)| {
                    json!({
                        "at": entry.at, "claim": entry.claim, "request": entry.request, "slice": entry.slice,
                        "key": entry.key, "end": entry.end.word(), "work": entry.work, "micros": entry.micros,
                        "bytes": entry.bytes, "proof": entry.proof, "benchmark": entry.benchmark, "worth": worth.to_string(),
                    })
                })
                .collect();
            let mut whole = as_json(miner, score);
            whole["rule"] = scores.rule.name().word().into();
            whole["at"] = scores.at.into();
            whole["entries"] = rows.into();
            println!("{whole:#}");
        }
        Format::Text => {
            println!(
                "{} {}, at {}",
                scores.rule.name(),
                scores.rule.digest(),
                scores.at
            );
            println!("{miner} of {}", score.owner);
            println!(
                "{:<13} {:<32} {:<9} {:<12} {:>12} {:>12} {:>9} {:>14}",
                "AT", "CLAIM", "TYPE", "END", "WORK", "MICROS", "BYTES", "WORTH"
            );
            for (entry, worth) in &told {
                let bytes = entry.bytes.map_or("-".to_owned(), |bytes| bytes.to_string());
                let type_ = if entry.benchmark { "Benchmark" } else { "Organic" };
                println!(
                    "{:<13} {:<32} {type_:<9} {:<12} {:>12} {:>12} {bytes:>9} {worth:>14}",
                    entry.at,
                    entry.claim.to_string(),
                    entry.end.word(),
                    entry.work,
                    entry.micros
                );
            }
            steps(scores, score);
        }
    }
}

/// What becomes of the sum, step by step.
fn steps(scores: &Scores, score: &Score) {
    let constants = scores.rule.constants();
    let total = score.total;
    println!("earned        {}", total.credit);
    println!("owed          {}", total.debit);
    println!("possible      {}", total.possible);
    println!(
        "proofs        {} of the {} that are needed",
        total.samples, constants.cold_start
    );
    println!(
        "left          {} after what the owner's identities owe",
        score.net
    );
    println!("weight        {} before the owner's cap", score.uncapped);
    println!(
        "              {} with a cap of {}",
        score.weight,
        millionths(constants.owner_cap_millionths)
    );
    println!("score         {}", millionths(score.quality_millionths));
    println!("share         {}", millionths(score.share_millionths));
    if score.zero.is_some() {
        println!("why not more  {}", why(score.zero));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ed25519_dalek::SigningKey;
    use zkinfer_scoring::ledger::{Chain, RuleRecord, compact};
    use zkinfer_scoring::{Constants, RuleName};

    use super::*;

    #[test]
    fn millionths_have_six_places() {
        assert_eq!(millionths(1_000_000), "1.000000");
        assert_eq!(millionths(50), "0.000050");
    }

    #[test]
    fn a_folder_is_read_by_its_numbers() {
        let folder = tempfile::tempdir().unwrap();
        assert!(in_folder(folder.path()).is_err());
        for name in ["00000000000000000010", "00000000000000000009", "head", "note.txt"] {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        let (segments, head) = in_folder(folder.path()).unwrap();
        let names: Vec<_> = segments.iter().filter_map(|p| p.file_name()?.to_str()).collect();
        assert_eq!(names, ["00000000000000000009", "00000000000000000010"]);
        assert_eq!(head, Some(folder.path().join("head")));
    }

    #[test]
    fn where_the_first_segments_are_gone_a_folder_is_read_from_its_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::from_bytes(&[1; 32]);
        let mut chain = Chain::new(Identity::new(key.verifying_key().to_bytes()));
        let mut ledger = Ledger::default();
        for number in 0..4u64 {
            let (bytes, next) = chain.append(Content::Entries(Vec::new()), &key).unwrap();
            std::fs::write(folder.path().join(format!("{number:020}")), &bytes).unwrap();
            chain = next;
            ledger.add(&bytes, None).unwrap();
            if number == 2 {
                let checkpoint = compact(&ledger, 0, &BTreeSet::new(), 0, &key).unwrap();
                std::fs::write(folder.path().join("checkpoint"), checkpoint).unwrap();
            }
        }
        std::fs::write(
            folder.path().join("head"),
            chain.head(1).unwrap().sign(&key).unwrap(),
        )
        .unwrap();
        let args = || LedgerArgs {
            segments: vec![folder.path().to_owned()],
            head: None,
            validator: None,
        };
        let holds = || {
            let read = read(&args()).unwrap();
            read.is_ok_and(|checked| checked.head.is_some() && checked.ledger.chain() == Ok(chain))
        };
        assert_eq!(
            in_folder(folder.path()).unwrap().0.len(),
            4,
            "whole: the checkpoint says nothing more"
        );
        assert!(holds());
        // One that stands for other segments is not true.
        let good = std::fs::read(folder.path().join("checkpoint")).unwrap();
        let (other, _) = Chain::new(chain.validator)
            .append(Content::Rotation(chain.validator), &key)
            .unwrap();
        let mut others = Ledger::default();
        others.add(&other, None).unwrap();
        let lie = compact(&others, 0, &BTreeSet::new(), 0, &key).unwrap();
        std::fs::write(folder.path().join("checkpoint"), lie).unwrap();
        let wrong = read(&args()).unwrap().err().unwrap();
        assert_eq!(
            wrong,
            (
                folder.path().join("checkpoint"),
                LedgerError::Untrue("the last of them")
            )
        );
        std::fs::write(folder.path().join("checkpoint"), good).unwrap();
        std::fs::remove_file(folder.path().join(format!("{:020}", 0))).unwrap();
        assert_eq!(
            in_folder(folder.path()).unwrap().0.len(),
            2,
            "the checkpoint and what follows it"
        );
        assert!(holds());
        std::fs::write(folder.path().join("checkpoint"), b"zkinfer").unwrap();
        let wrong = read(&args()).unwrap().err().unwrap();
        assert_eq!(wrong.0, folder.path().join("checkpoint"));
    }

    #[test]
    fn what_is_no_ledger_is_told_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0");
        std::fs::write(&path, b"zkinfer").unwrap();
        let args = LedgerArgs {
            segments: vec![path.clone()],
            head: None,
            validator: None,
        };
        let wrong = read(&args).unwrap().err().unwrap();
        assert_eq!(
            (wrong.0, wrong.1.to_string().contains("ledger's segment")),
            (path, true)
        );
    }

    #[test]
    fn scores_are_by_the_rule_that_the_ledger_names_unless_another_is_asked_for() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let validator = Identity::new(key.verifying_key().to_bytes());
        let rule = RuleName::DeliveredWork;
        let constants = Constants {
            cold_start: 7,
            ..rule.constants()
        };
        let rule = Rule::new(rule, constants).unwrap();
        let content = Content::Rule(RuleRecord::new(&rule, 100));
        let (bytes, _) = Chain::new(validator).append(content, &key).unwrap();
        let mut ledger = Ledger::default();
        ledger.add(&bytes, None).unwrap();
        let by = |rule: Option<RuleName>, at: u64| {
            let args = ScoringArgs { rule, at: Some(at) };
            scores(&ledger, &args).unwrap().rule
        };
        assert_eq!(by(None, 100), rule);
        assert_eq!(by(None, 99), Rule::default(), "it was not in force yet");
        assert_eq!(
            by(Some(RuleName::ResponseCurve), 100),
            RuleName::ResponseCurve.into()
        );
    }
}
