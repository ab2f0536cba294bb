//! `weights prove`: a receipt for the way from a file's totals to its vector. `weights verify --proof` checks one.
//!
//! Invariant: nothing is proved of totals that are not the ledger's, and who is on the skip list is the ledger's word where there is
//! one.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use serde_json::json;
use zkinfer_crds::{Digest, Identity};
use zkinfer_weights::file::WeightsFile;
use zkinfer_weights_proof::{Proved, VerifyError};

use super::{Held, bad, read, replay};
use crate::args::{Format, WeightsProveArgs};
use crate::exit::{Exit, UsageError};
use crate::files;

pub(super) fn prove(args: &WeightsProveArgs, format: Format) -> Result<Exit, UsageError> {
    let path = &args.file.file;
    let Held { bytes, file, .. } = match read(&args.file)? {
        Ok(held) => held,
        Err(error) => return bad(path, &error, format),
    };
    let skipped = match replay(&file, &args.segments)? {
        Ok(skipped) => skipped,
        Err((of, error)) => return bad(of.as_deref().unwrap_or(path), &error, format),
    };
    let began = Instant::now();
    let receipt = match zkinfer_weights_proof::prove(&bytes, &file, &skipped) {
        Ok(receipt) => receipt,
        Err(error) => return bad(path, &error, format),
    };
    files::write(&args.out, &receipt)?;
    let (digest, bytes, seconds) = (Digest::of(&receipt), receipt.len(), began.elapsed().as_secs_f64());
    match format {
        Format::Json => println!(
            "{}",
            json!({ "receipt": args.out, "digest": digest, "bytes": bytes })
        ),
        Format::Text => println!(
            "{} is {digest}, {bytes} bytes, proved in {seconds:.1} s",
            args.out.display()
        ),
    }
    Ok(Exit::Done)
}

/// Whether a receipt proves a file.
pub(super) fn verified(
    receipt: &Path,
    held: &Held,
    skipped: Option<&BTreeSet<Identity>>,
) -> Result<Result<Proved, VerifyError>, UsageError> {
    let receipt = files::read(receipt)?;
    Ok(zkinfer_weights_proof::verify(
        &receipt,
        &held.bytes,
        &held.file,
        skipped,
    ))
}

/// What holds of it, for people.
pub(super) fn told(file: &WeightsFile, proved: &Proved, replayed: bool) {
    println!(
        "the vector is proved: {} makes it of the totals, by manifest {} of {} rows",
        file.rule, proved.manifest, proved.rows
    );
    match (replayed, proved.skipped.len()) {
        (true, many) => println!("{many} of the miners are on the skip list, as the ledger says"),
        (false, many) => {
            println!(
                "NOT CHECKED: that {many} of the miners are on the skip list, as the receipt says; give --ledger FOLDER"
            );
        }
    }
}
