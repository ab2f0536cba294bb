//! `srs`: make, import and check a structured reference string.

use std::fs::File;
use std::path::Path;

use serde_json::json;
use zkml::setup::{PtauError, Srs, development_srs_digest, import_ptau};

use crate::args::{Format, SrsCommand};
use crate::exit::{Exit, UsageError, say};
use crate::files;

pub(crate) fn run(command: &SrsCommand, format: Format) -> Result<Exit, UsageError> {
    match command {
        SrsCommand::Make {
            k,
            out,
            allow_dev_srs: _,
        } => {
            let srs = Srs::development(u32::from(*k));
            files::write(out, &srs.write())?;
            describe(&srs, out, format);
            Ok(Exit::Done)
        }
        SrsCommand::Import {
            ptau,
            k,
            out,
            trust_unlisted_ceremony,
        } => {
            let bad =
                |e: &dyn std::fmt::Display| UsageError::new(format!("cannot read {}: {e}", ptau.display()));
            let mut file = File::open(ptau).map_err(|e| bad(&e))?;
            match import_ptau(&mut file, u32::from(*k), *trust_unlisted_ceremony) {
                Ok(srs) => {
                    files::write(out, &srs.write())?;
                    describe(&srs, out, format);
                    Ok(Exit::Done)
                }
                Err(e) => {
                    let hint = matches!(e, PtauError::Unlisted { .. });
                    let hint = if hint {
                        " with --trust-unlisted-ceremony"
                    } else {
                        ""
                    };
                    say(&format!("{}: {e}{hint}", ptau.display()), format);
                    Ok(Exit::Bad)
                }
            }
        }
        SrsCommand::Verify { file } => {
            let bytes = files::read(file)?;
            match files::read_as("an SRS file", file, &bytes, Srs::read(&bytes)) {
                Ok(srs) => {
                    describe(&srs, file, format);
                    Ok(Exit::Done)
                }
                Err(e) => {
                    say(&e.to_string(), format);
                    Ok(Exit::Bad)
                }
            }
        }
    }
}

fn describe(srs: &Srs, path: &Path, format: Format) {
    let (digest, development) = (srs.digest(), srs.digest() == development_srs_digest());
    match format {
        Format::Json => println!(
            "{:#}",
            json!({ "digest": digest, "k": srs.k(), "development": development })
        ),
        Format::Text => {
            println!("{}: 2^{} points, digest {digest}", path.display(), srs.k());
            println!("the points are successive powers of one secret, and the Lagrange points are theirs");
            if development {
                println!("this is the development SRS: everything made with it is FORGEABLE BY ANYONE");
            }
        }
    }
}
