//! `compile`: manifest, integer graph and keys, as files named by digest.
//!
//! Progress goes to standard error, one line per slice; with `-o json` the report goes to standard output.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use zkinfer_crds::ProofSystem;
use zkinfer_crds::compile_report::{CompileOutcome, CompileReport, CompiledSlice};
use zkinfer_crds::slice_files::{FileRole, SliceFile, SliceFiles};
use zkinfer_crds::wire::BlobRef;
use zkml::backend::Setup;
use zkml::setup::SrsSource;
use zkml::systems;
use zkml_compile::compile::{CompileError, Compiled, Plan, compile};
use zkml_compile::outlook;

use super::model;
use super::progress::telling;
use crate::args::{CompileArgs, Format, ModelArgs};
use crate::exit::{Exit, UsageError};
use crate::files;

pub(crate) fn run(args: &CompileArgs, format: Format) -> Result<Exit, UsageError> {
    let source = files::srs_source(&args.srs)?;
    if source.is_none() && systems::of(args.proof_system).needs_srs() {
        return Err(UsageError::new(files::NO_SRS));
    }
    let outcome = compile_to(
        &args.model,
        args.proof_system,
        source.as_ref(),
        &args.out,
        &|line| eprintln!("{line}"),
    )?;
    match (&outcome, format) {
        (_, Format::Json) => println!(
            "{}",
            serde_json::to_string_pretty(&outcome).map_err(UsageError::new)?
        ),
        (CompileOutcome::Compiled(report), Format::Text) => {
            let batch = match args.model.batch {
                1 => String::new(),
                batch => format!(", {batch} inputs at once,"),
            };
            println!(
                "manifest {} of {} slice(s){batch} in {}",
                report.manifest.digest,
                report.slices.len(),
                args.out.join("manifest.cbor").display()
            );
            let accuracy = &report.accuracy;
            if !accuracy.within_budget {
                eprintln!(
                    "warning: over budget: the greatest error is {:.6}, of {:.6}; whole numbers are the float model's on {:.1} % \
                     of the samples; an operator serves no such Model",
                    accuracy.max_error_millionths as f64 / 1e6,
                    f64::from(accuracy.budget_millionths) / 1e6,
                    f64::from(accuracy.exact_agreement_millionths) / 1e4,
                );
            }
        }
        (CompileOutcome::Failed(failure), Format::Text) => model::print_failure(failure),
    }
    Ok(if matches!(outcome, CompileOutcome::Compiled(_)) {
        Exit::Done
    } else {
        Exit::Bad
    })
}

/// Compiles into a folder, and tells each step with the seconds since the beginning.
pub(crate) fn compile_to(
    args: &ModelArgs,
    proof_system: ProofSystem,
    source: Option<&SrsSource>,
    out: &Path,
    progress: &(dyn Fn(String) + Sync),
) -> Result<CompileOutcome, UsageError> {
    let started = Instant::now();
    let say = |what: &dyn std::fmt::Display| {
        progress(format!("{:>6.2} s  {what}", started.elapsed().as_secs_f64()))
    };
    let (onnx, planned) = telling(&|line| say(&line), |listener| {
        model::load(args, proof_system, listener)
    })?;
    let made = planned.and_then(|plan| {
        let count = plan.slices.len();
        for reason in model::reasons(&model::accuracy(&plan)) {
            say(&reason);
        }
        say(&format_args!("planned {count} slice(s)"));
        let setup = plan.setup(source)?;
        let finished = AtomicUsize::new(0);
        let done = |slice: usize| {
            let n = finished.fetch_add(1, Ordering::Relaxed) + 1;
            say(&format_args!("keys of slice {slice} ({n}/{count})"));
        };
        let compiled = compile(&plan, &setup, &done)?;
        Ok::<_, CompileError>((plan, setup, compiled))
    });
    let outcome = match made {
        Ok((plan, setup, compiled)) => {
            let mut report = store(out, &onnx, &plan, &setup, &compiled)?;
            say(&"looking at other cuts");
            report.outlook = Some(outlook::of(
                &plan.graph,
                systems::of(proof_system),
                model::slicing(args),
            ));
            CompileOutcome::Compiled(report)
        }
        Err(e) => CompileOutcome::Failed(model::failure(&e, &onnx)),
    };
    let json = serde_json::to_string_pretty(&outcome).map_err(UsageError::new)?;
    files::write(&out.join("compile.json"), json.as_bytes())?;
    Ok(outcome)
}

/// Writes every file, the manifest last: a manifest's files are there when it is.
fn store(
    out: &Path,
    onnx: &[u8],
    plan: &Plan,
    setup: &Setup,
    compiled: &Compiled,
) -> Result<CompileReport, UsageError> {
    let blob = |bytes: &[u8]| -> Result<BlobRef, UsageError> {
        Ok(BlobRef {
            digest: files::write_blob(out, bytes)?,
            size: bytes.len() as u64,
        })
    };
    blob(onnx)?;
    let graph = blob(&compiled.graph)?;
    let points = setup
        .sizes()
        .map(|(k, srs)| Ok((k, blob(&srs.write())?)))
        .collect::<Result<Vec<_>, UsageError>>()?;
    let mut slices = Vec::new();
    for (s, keys) in plan.slices.iter().zip(&compiled.keys) {
        let mut files = Vec::new();
        if let Some(keys) = &keys.files {
            for (role, bytes) in keys.by_role() {
                files.push(SliceFile::new(role, &blob(bytes)?));
            }
            let of_size = points.iter().find(|(k, _)| *k == keys.k);
            let (_, points) = of_size.ok_or_else(|| UsageError::new(format!("no SRS of k = {}", keys.k)))?;
            files.push(SliceFile::new(FileRole::Setup, points));
        }
        slices.push(CompiledSlice {
            nodes: model::node_names(plan, s),
            vk: keys.vk,
            files: SliceFiles::new(files).map_err(UsageError::new)?,
            measures: s.cost.measures,
            predicted_micros: s.cost.cpu_us,
            predicted_memory_bytes: s.cost.memory_bytes,
            predicted_proof_bytes: s.cost.proof_bytes,
        });
    }
    let bytes = compiled.manifest.to_bytes();
    let manifest = blob(&bytes)?;
    files::write(&out.join("manifest.cbor"), &bytes)?;
    Ok(CompileReport {
        model: plan.model,
        batch: plan.batch,
        manifest,
        graph,
        slices,
        accuracy: model::accuracy(plan),
        outlook: None,
        batches: Vec::new(),
    })
}
