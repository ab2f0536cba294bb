//! `verify`: checks a receipt, sentence by sentence.

use serde_json::json;
use zkinfer_crds::Digest;
use zkml::halo2::{SrsSource, VerifierSrs, development_srs_digest};
use zkml::manifest::Manifest;
use zkml::receipt::{Against, Outcome, Receipt, Report, Verification, verify};

use crate::args::{Format, VerifyArgs};
use crate::exit::{Exit, UsageError};
use crate::files;

pub(crate) fn run(args: &VerifyArgs, format: Format) -> Result<Exit, UsageError> {
    if args.manifest.is_none() && args.model.is_none() {
        return Err(UsageError::new(
            "a receipt is checked against something that you trust: give --manifest FILE or --model FILE.onnx",
        ));
    }
    let bytes = files::read(&args.receipt)?;
    let manifest = match &args.manifest {
        Some(path) => {
            let parsed = Manifest::from_bytes(&files::read(path)?);
            Some(parsed.map_err(|e| UsageError::new(format!("{}: {e}", path.display())))?)
        }
        None => None,
    };
    let model = args.model.as_deref().map(files::read).transpose()?;
    let input = args
        .input
        .as_deref()
        .map(files::tensor)
        .transpose()?
        .map(|t| vec![t]);
    let source = files::srs_source(&args.srs)?;
    let beside = || {
        args.manifest
            .as_deref()
            .and_then(|m| m.parent())
            .map(std::path::Path::to_path_buf)
    };
    let dir = args.files.clone().or_else(beside).unwrap_or_default();
    let load = move |digest: Digest| files::read_blob(&dir, &digest).ok();
    let against = match (&model, &manifest) {
        (Some(onnx), manifest) => Against::Model {
            onnx,
            srs: source.as_ref(),
            manifest: manifest.as_ref(),
        },
        (None, Some(manifest)) => Against::Manifest {
            manifest,
            files: &load,
        },
        (None, None) => return Err(UsageError::new("nothing to check against")),
    };
    let trusted: Vec<VerifierSrs> = source.iter().map(SrsSource::verifier).collect();
    let report = verify(
        &bytes,
        &Verification {
            against,
            srs: &trusted,
            allow_development_srs: args.srs.allow_dev_srs,
            input: input.as_deref(),
        },
    );
    print(&bytes, &report, format);
    Ok(if report.valid() { Exit::Done } else { Exit::Bad })
}

fn print(bytes: &[u8], report: &Report, format: Format) {
    let verdict = if report.valid() { "valid" } else { "invalid" };
    // A receipt that is not even one names nothing.
    let receipt = Receipt::from_bytes(bytes).ok();
    let forgeable = receipt
        .as_ref()
        .is_some_and(|r| r.srs == development_srs_digest());
    match format {
        Format::Json => println!(
            "{:#}",
            json!({
                "verdict": verdict, "forgeableByAnyone": forgeable, "sentences": report.sentences,
                "errorVsFloat": report.error_vs_float,
                "model": receipt.as_ref().map(|r| r.manifest.model), "request": receipt.as_ref().map(|r| r.request),
                "network": receipt.as_ref().map(|r| r.network.clone()),
            })
        ),
        Format::Text => {
            for s in &report.sentences {
                let mark = match s.outcome {
                    Outcome::Holds => "holds      ",
                    Outcome::Fails => "FAILS      ",
                    Outcome::NotChecked => "not checked",
                };
                println!("{mark}  {}", s.text);
            }
            let warning = if forgeable {
                ", but FORGEABLE BY ANYONE (development SRS)"
            } else {
                ""
            };
            println!(
                "\nThe receipt is {verdict}{}.",
                if report.valid() { warning } else { "" }
            );
        }
    }
}
