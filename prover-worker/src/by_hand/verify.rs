//! `verify`: checks a receipt, sentence by sentence.

use std::path::Path;

use serde_json::json;
use zkinfer_crds::Digest;
use zkml::graph::other_file::recognise;
use zkml::graph::{FloatInput, TensorInfo, array_file, dequantise, rows};
use zkml::qualification::Qualification;
use zkml::receipt::{Against, Expected, Outcome, Receipt, Report, Verification, verify_decoded};
use zkml::setup::{SrsSource, VerifierSrs, development_srs_digest};
use zkml_compile::verify::OnnxModel;

use crate::args::{Format, VerifyArgs};
use crate::exit::{self, Exit, UsageError};
use crate::files;

pub(crate) fn run(args: &VerifyArgs, format: Format) -> Result<Exit, UsageError> {
    if args.manifest.is_none() && args.model.is_none() {
        return Err(UsageError::new(
            "a receipt is checked against something that you trust: give --manifest FILE or --model FILE.onnx",
        ));
    }
    if args.rule.given() && args.model.is_none() && args.qualified.is_none() {
        return Err(UsageError::new(
            "--max-error, --output-scale and --no-top1 judge an answer against the float model: give --model FILE.onnx or \
             --qualified FILE",
        ));
    }
    let bytes = files::read(&args.receipt)?;
    let manifest = args.manifest.as_deref().map(files::manifest).transpose()?;
    let model = args.model.as_deref().map(files::read).transpose()?;
    let input = files::rows(&args.input)?;
    let qualification = args.qualified.as_deref().map(qualification).transpose()?;
    let source = files::srs_source(&args.srs)?;
    let beside = || {
        args.manifest
            .as_deref()
            .and_then(Path::parent)
            .map(Path::to_path_buf)
    };
    let dir = args.files.clone().or_else(beside).unwrap_or_default();
    let load = move |digest: Digest| files::read_blob(&dir, &digest).ok();
    let model = model.as_deref().map(|onnx| OnnxModel {
        onnx,
        srs: source.as_ref(),
    });
    let against = match (&model, &manifest) {
        (Some(model), manifest) => Against::Model {
            model,
            manifest: manifest.as_ref(),
        },
        (None, Some(manifest)) => Against::Manifest {
            manifest,
            files: &load,
        },
        (None, None) => return Err(UsageError::new("nothing to check against")),
    };
    let trusted: Vec<VerifierSrs> = source.iter().map(SrsSource::verifier).collect();
    let decoded = Receipt::from_bytes(&bytes);
    let values = match (&args.values, &decoded) {
        (Some(path), Ok(receipt)) => Some((path, values_file(path, receipt, None)?)),
        (Some(_), Err(_)) | (None, _) => None,
    };
    let report = verify_decoded(
        &decoded,
        &Verification {
            srs: &trusted,
            allow_development_srs: args.srs.allow_dev_srs,
            input: input.as_ref(),
            expected: Expected {
                network: args.network.as_deref(),
                request: args.request,
                miners: &args.miner,
            },
            rule: &args.rule.rule(),
            qualification: qualification.as_ref(),
            ..Verification::new(against)
        },
    );
    // A receipt that is not even one names nothing.
    print(decoded.as_ref().ok(), &report, format);
    if !report.valid() {
        if let Some(other) = decoded.is_err().then(|| recognise(&bytes)).flatten() {
            let receipt = args.receipt.display();
            exit::say(&format!("{receipt} is not a receipt but {other}"), Format::Text);
        }
        return Ok(Exit::Bad);
    }
    if let Some((path, bytes)) = values {
        // By now it is known which rows of a batch fill it up.
        let bytes = match (&decoded, report.scope.rows) {
            (Ok(receipt), rows @ Some(_)) => values_file(path, receipt, rows)?,
            _ => bytes,
        };
        files::write(path, &bytes)?;
    }
    Ok(Exit::Done)
}

/// The outputs of a receipt, in the form that the file's name ends in.
fn values_file(path: &Path, receipt: &Receipt, rows: Option<usize>) -> Result<Vec<u8>, UsageError> {
    let mut arrays = Vec::new();
    for output in &receipt.output {
        let Some(info) = receipt.manifest.tensor(output.id) else {
            continue;
        };
        let name = info.name.as_str();
        let (info, values) = answered(info, &output.values, receipt.manifest.batch, rows);
        let shape = info.shape.iter().map(|&d| d as usize).collect();
        let array = FloatInput::new(shape, values);
        let array = array.map_err(|e| UsageError::new(format!("output `{name}`: {e}")))?;
        arrays.push((name, array));
    }
    let refuse = |why: &str| Err(UsageError::new(format!("--values {}: {why}", path.display())));
    match (path.extension().and_then(|e| e.to_str()), &arrays[..]) {
        (Some("npy"), [(_, array)]) => Ok(array_file::npy(array)),
        (Some("npy"), _) => refuse(&format!(
            "the receipt has {} outputs, and .npy holds one array; name a file .npz",
            arrays.len()
        )),
        (Some("npz"), _) => Ok(array_file::npz(arrays.iter().map(|(name, array)| (*name, array)))),
        _ => refuse("values are written as .npy or .npz"),
    }
}

fn qualification(path: &Path) -> Result<Qualification, UsageError> {
    let bytes = files::read(path)?;
    files::read_as("a qualification", path, &bytes, Qualification::from_json(&bytes))
}

fn print(receipt: Option<&Receipt>, report: &Report, format: Format) {
    let forgeable = receipt.is_some_and(|r| r.srs == development_srs_digest());
    match format {
        Format::Json => println!("{:#}", as_json(report, receipt, forgeable)),
        Format::Text => {
            for s in &report.sentences {
                let mark = match s.outcome {
                    Outcome::Holds => "holds      ",
                    Outcome::Fails => "FAILS      ",
                    Outcome::NotChecked => "not checked",
                };
                println!("{mark}  {}", s.text);
            }
            println!("\n{}", report.verdict());
            if report.valid() && forgeable {
                println!("But it is FORGEABLE BY ANYONE (development SRS).");
            }
        }
    }
}

/// An output without the rows that fill a batch up, where it is known which they are.
fn answered(info: &TensorInfo, integers: &[i64], batch: u32, given: Option<usize>) -> (TensorInfo, Vec<f64>) {
    let (mut info, mut values) = (info.clone(), dequantise(info, integers));
    if let Some(count) = given.filter(|_| batch > 1) {
        let each = rows::one(&info, batch);
        values.truncate(each.len().saturating_mul(count));
        if let (Some(first), Some(own)) = (info.shape.first_mut(), each.shape.first()) {
            *first = own.saturating_mul(count as u32);
        }
    }
    (info, values)
}

/// The outputs of a receipt by name, as floats.
fn outputs(receipt: &Receipt, given: Option<usize>) -> serde_json::Map<String, serde_json::Value> {
    let of = |boundary: &zkml::receipt::BoundaryValues| {
        let info = receipt.manifest.tensor(boundary.id)?;
        let (info, values) = answered(info, &boundary.values, receipt.manifest.batch, given);
        Some((
            info.name.clone(),
            json!({ "shape": info.shape, "values": values }),
        ))
    };
    receipt.output.iter().filter_map(of).collect()
}

/// What a program reads. `outputs` is null of a receipt that is not valid. `batch` is there where the receipt is of one: its size, and how many inputs it answers, null where none was given. `errorVsFloat` is null where it was not measured and where it is infinite; the verdict tells.
fn as_json(report: &Report, receipt: Option<&Receipt>, forgeable: bool) -> serde_json::Value {
    let judged = report.judged.as_ref();
    let batch = receipt.filter(|r| r.manifest.batch > 1);
    let other = judged.and_then(|j| j.verdict.other_class.as_ref());
    let value = judged.and_then(|j| j.verdict.other_value.as_ref());
    let mut said = json!({
        "verdict": if report.valid() { "valid" } else { "invalid" },
        "says": report.verdict(),
        "forgeableByAnyone": forgeable,
        "ownInput": report.scope.own_input,
        "qualified": report.scope.qualified,
        "sentences": report.sentences,
        "errorVsFloat": judged.map(|j| j.verdict.error),
        "maxError": judged.map(|j| j.verdict.max_error),
        "outputScale": judged.map(|j| &j.output_scale),
        "otherClass": other.map(|o| json!({ "output": o.output, "got": o.got, "float": o.float })),
        "otherValue": value.map(|o| json!({ "output": o.output, "at": o.at, "got": o.got, "float": o.float })),
        "outputs": receipt.filter(|_| report.valid()).map(|r| outputs(r, report.scope.rows)),
        "model": receipt.map(|r| r.manifest.model),
        "request": receipt.map(|r| r.request),
        "network": receipt.map(|r| r.network.clone()),
    });
    if let Some(receipt) = batch {
        said["batch"] = json!({ "size": receipt.manifest.batch, "inputs": report.scope.rows });
    }
    said
}
