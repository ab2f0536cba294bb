//! `prove`: the whole way on one machine, from a compiled model and an input to a receipt.

use std::time::Instant;

use rand::RngCore;
use rand::rngs::OsRng;
use serde_json::json;
use zkinfer_crds::compile_report::CompileOutcome;
use zkinfer_crds::{ClaimId, Identity, RequestUid, SliceIndex};
use zkml::backend::ProvingFiles;
use zkml::graph::tensor_file::{dequantise, quantise_input};
use zkml::graph::{Inputs, IntGraph, IntTensor, TensorId, rows};
use zkml::manifest::Manifest;
use zkml::proof::{MAX_GRAPH_BYTES, SliceProver};
use zkml::receipt::{Receipt, ReceiptBuilder};
use zkml::systems::{PROVING, SYSTEMS};

use crate::args::{Format, ProveArgs};
use crate::exit::{Exit, UsageError, say};
use crate::files;

pub(crate) fn run(args: &ProveArgs, format: Format) -> Result<Exit, UsageError> {
    let path = args.dir.join("manifest.cbor");
    let named = |e: &dyn std::fmt::Display| UsageError::new(format!("{}: {e}", path.display()));
    let manifest = Manifest::from_bytes(&files::read(&path)?, SYSTEMS).map_err(|e| named(&e))?;
    let graph = IntGraph::from_bytes(&files::read_blob(&args.dir, &manifest.graph)?, MAX_GRAPH_BYTES)
        .map_err(|e| named(&e))?;
    graph.validate().map_err(|e| named(&e))?;
    let report = files::read(&args.dir.join("compile.json"))?;
    let CompileOutcome::Compiled(report) = serde_json::from_slice(&report).map_err(|e| named(&e))? else {
        return Err(UsageError::new(
            "compile.json reports a model that was not compiled",
        ));
    };
    let input = files::rows(&args.input)?.ok_or_else(|| UsageError::new("no input was given"))?;
    let (count, proved) = match integers(&graph, manifest.batch, &input) {
        Ok((count, tensors)) => (count, prove(args, &manifest, &graph, &report.slices, &tensors)?),
        Err(e) => {
            say(&e, format);
            return Ok(Exit::Bad);
        }
    };
    let bytes = proved.to_bytes();
    files::write(&args.out, &bytes)?;
    let output: Vec<Vec<f64>> = proved
        .output
        .iter()
        .map(|o| floats(&graph, o.id, &o.values))
        .map(|all| first_rows(all, manifest.batch, count))
        .collect();
    match format {
        Format::Json => {
            let mut said = json!({ "receipt": args.out, "bytes": bytes.len(), "output": output });
            if manifest.batch > 1 {
                said["batch"] = json!({ "size": manifest.batch, "inputs": count });
            }
            println!("{said:#}");
        }
        Format::Text => {
            for (o, values) in proved.output.iter().zip(&output) {
                let name = graph
                    .tensors
                    .get(o.id.0 as usize)
                    .map(|t| t.name.as_str())
                    .unwrap_or_default();
                match manifest.batch {
                    1 => println!("{name}: {values:?}"),
                    _ => {
                        let each = (values.len() / count.max(1)).max(1);
                        for (at, row) in values.chunks(each).enumerate() {
                            println!("{name} of input {at}: {row:?}");
                        }
                    }
                }
            }
            println!("receipt of {} bytes in {}", bytes.len(), args.out.display());
        }
    }
    Ok(Exit::Done)
}

fn floats(graph: &IntGraph, id: TensorId, values: &[i64]) -> Vec<f64> {
    graph
        .tensors
        .get(id.0 as usize)
        .map(|t| dequantise(t, values))
        .unwrap_or_default()
}

/// What stands in the rows of the inputs that were given; the rest fills the batch up.
fn first_rows(mut all: Vec<f64>, batch: u32, count: usize) -> Vec<f64> {
    let each = all.len() / (batch.max(1) as usize);
    all.truncate(each.saturating_mul(count));
    all
}

/// How many inputs were given, and every tensor of the integer graph for them.
fn integers(graph: &IntGraph, batch: u32, input: &Inputs) -> Result<(usize, Vec<IntTensor>), String> {
    let infos = graph.inputs.iter().map(|id| graph.tensors.get(id.0 as usize));
    let infos = infos.collect::<Option<Vec<_>>>();
    let infos = infos.ok_or("the graph does not describe its inputs")?;
    let given = rows::fill(&infos, batch, input).map_err(|e| e.to_string())?;
    let quantised = infos.iter().zip(&given.tensors).map(|(info, tensor)| {
        quantise_input(info, tensor).map_err(|e| format!("input `{}`: {e}", info.name))
    });
    let quantised: Vec<IntTensor> = quantised.collect::<Result<_, _>>()?;
    let tensors = graph.evaluate(&quantised).map_err(|e| e.to_string())?;
    Ok((given.count, tensors))
}

fn prove(
    args: &ProveArgs,
    manifest: &Manifest,
    graph: &IntGraph,
    slices: &[zkinfer_crds::compile_report::CompiledSlice],
    tensors: &[IntTensor],
) -> Result<Receipt, UsageError> {
    let mut builder = ReceiptBuilder::new(manifest, &args.network, RequestUid::new(random()), tensors)
        .map_err(UsageError::new)?;
    let identity = Identity::new([0; 32]);
    for (index, (entry, compiled)) in manifest.slices.iter().zip(slices).enumerate() {
        let started = Instant::now();
        let slice = SliceIndex(index as u32);
        let named = |e: &dyn std::fmt::Display| UsageError::new(format!("slice {slice}: {e}"));
        let mut of_slice = ProvingFiles::default();
        for file in compiled.files.for_provers().iter() {
            of_slice.insert(file.role, files::read_blob(&args.dir, &file.digest)?);
        }
        let prover = SliceProver::new(PROVING, manifest, graph, slice, &of_slice).map_err(|e| named(&e))?;
        let claim = ClaimId::new(random());
        let statement = builder.statement(slice, claim, identity);
        let inputs: Vec<Vec<i64>> = entry
            .inputs
            .iter()
            .filter_map(|id| tensors.get(id.0 as usize))
            .map(|t| t.values.clone())
            .collect();
        let (envelope, _) = prover.prove(&statement, &inputs, OsRng).map_err(|e| named(&e))?;
        eprintln!(
            "slice {slice}: {} bytes in {:.2} s",
            envelope.len(),
            started.elapsed().as_secs_f64()
        );
        builder
            .add(slice, claim, identity, &envelope)
            .map_err(|e| named(&e))?;
    }
    builder.finish().map_err(UsageError::new)
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    OsRng.fill_bytes(&mut bytes);
    bytes
}
