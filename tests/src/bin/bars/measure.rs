//! One kind of work in one proof system, measured in a process of its own: CPU time and memory are the process's.

use std::error::Error;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use zkinfer_crds::slice_files::FileRole;
use zkinfer_crds::{Digest, ProofSystem};
use zkinfer_tests::local::model_file;
use zkml::backend::{Proving, ProvingFiles, Setup};
use zkml::graph::tensor_file::{quantise_input, read_json};
use zkml::graph::{IntGraph, IntTensor};
use zkml::setup::SrsSource;
use zkml::systems;
use zkml_compile::compile::{CompileOptions, plan};
use zkml_compile::slice::{self, SlicePlan, SlicingOptions};

use super::layers::{Layer, input};

const SLICING: SlicingOptions = SlicingOptions::at_least(1);

/// What was measured; sums over the slices where nothing else is said.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Measured {
    pub(crate) slices: usize,
    /// To prove.
    pub(crate) cpu_seconds: f64,
    /// By the cost model.
    pub(crate) predicted_cpu_seconds: f64,
    /// To make keys.
    pub(crate) keys_cpu_seconds: f64,
    /// The largest of a slice.
    pub(crate) proof_bytes: usize,
    pub(crate) predicted_proof_bytes: u64,
    /// The longest of a slice, best of some.
    pub(crate) verify_milliseconds: f64,
    /// Of the whole process.
    pub(crate) rss_mib: f64,
    /// The greatest of a slice, by the cost model.
    pub(crate) predicted_rss_mib: f64,
}

/// CPU time of this process so far.
pub(crate) fn cpu() -> Result<Duration, Box<dyn Error>> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = |t: nix::sys::time::TimeVal| t.tv_sec() as u64 * 1_000_000 + t.tv_usec() as u64;
    Ok(Duration::from_micros(
        micros(usage.user_time()) + micros(usage.system_time()),
    ))
}

/// The graph, an input of it, and its cut.
fn work(layer: Layer, system: ProofSystem) -> Result<(IntGraph, IntTensor, Vec<SlicePlan>), Box<dyn Error>> {
    if let Some(graph) = layer.graph() {
        graph.validate()?;
        let slices = slice::plan(&graph, systems::of(system), SLICING)?;
        let input = input(&graph, 1 << 9);
        return Ok((graph, input, slices));
    }
    let onnx = std::fs::read(model_file("digits.onnx"))?;
    let calibration = std::fs::read(model_file("data/digits-calibration.npy"))?;
    let calibration = zkml::graph::tensor_file::read_npy(&calibration, 1 << 24)?;
    let samples: Vec<_> = calibration
        .values
        .chunks(calibration.values.len() / calibration.shape[0])
        .map(|v| vec![v.to_vec()])
        .collect();
    let options = CompileOptions {
        slicing: SLICING,
        ..CompileOptions::new(system)
    };
    let plan = plan(&onnx, Some(&samples), &options)?;
    let given = read_json(&std::fs::read(model_file("data/digit-7.json"))?, 1 << 20)?;
    let input = quantise_input(&plan.graph.tensors[plan.graph.inputs[0].0 as usize], &given)?;
    Ok((plan.graph, input, plan.slices))
}

/// Makes keys, proves, verifies. Each slice is proved `times` times and the quickest counts.
pub(crate) fn measure(layer: Layer, system: ProofSystem, times: u32) -> Result<Measured, Box<dyn Error>> {
    let (graph, input, slices) = work(layer, system)?;
    let tensors = graph.evaluate(&[input])?;
    let started = cpu()?;
    let setup = Setup::new(slices.iter().map(|s| s.parameters), Some(&SrsSource::Development))?;
    let mut measured = Measured {
        slices: slices.len(),
        cpu_seconds: 0.0,
        predicted_cpu_seconds: 0.0,
        keys_cpu_seconds: (cpu()? - started).as_secs_f64(),
        proof_bytes: 0,
        predicted_proof_bytes: 0,
        verify_milliseconds: 0.0,
        rss_mib: 0.0,
        predicted_rss_mib: 0.0,
    };
    for s in &slices {
        one_slice(
            systems::proving(system),
            s,
            &setup,
            &tensors,
            times,
            &mut measured,
        )?;
    }
    measured.rss_mib = getrusage(UsageWho::RUSAGE_SELF)?.max_rss() as f64 / 1024.0;
    Ok(measured)
}

fn one_slice(
    system: &dyn Proving,
    s: &SlicePlan,
    setup: &Setup,
    tensors: &[IntTensor],
    times: u32,
    measured: &mut Measured,
) -> Result<(), Box<dyn Error>> {
    let started = cpu()?;
    let keys = system.keygen(&s.relations, s.parameters, setup)?;
    let mut files = ProvingFiles::default();
    if let Some(keys) = &keys.files {
        files.insert(FileRole::ProvingKey, &keys.pk);
        if let Some(points) = setup.points(keys.k) {
            files.insert(FileRole::Setup, points.write());
        }
    }
    let prover = system.prover(s.relations.clone(), s.parameters, &files)?;
    let verifier = prover.verifier()?;
    measured.keys_cpu_seconds += (cpu()? - started).as_secs_f64();
    let values = |of: &[zkml::relations::SliceTensor]| -> Vec<&[i64]> {
        of.iter()
            .map(|t| tensors[t.id.0 as usize].values.as_slice())
            .collect()
    };
    let (inputs, outputs) = (values(&s.relations.inputs), values(&s.relations.outputs));
    let statement = Digest::of(b"bars");
    let (mut least, mut proof) = (f64::INFINITY, Vec::new());
    for _ in 0..times.max(1) {
        let started = cpu()?;
        let made = prover.prove(&statement, &inputs, &mut OsRng)?;
        least = least.min((cpu()? - started).as_secs_f64());
        proof = made.proof;
    }
    let mut verified = f64::INFINITY;
    for _ in 0..5 {
        let started = Instant::now();
        verifier.verify(s.relations.boundary(), &statement, &inputs, &outputs, &proof)?;
        verified = verified.min(started.elapsed().as_secs_f64());
    }
    measured.cpu_seconds += least;
    measured.predicted_cpu_seconds += s.cost.cpu_us as f64 / 1e6;
    measured.proof_bytes = measured.proof_bytes.max(proof.len());
    measured.predicted_proof_bytes = measured.predicted_proof_bytes.max(s.cost.proof_bytes);
    measured.verify_milliseconds = measured.verify_milliseconds.max(1e3 * verified);
    let predicted = s.cost.memory_bytes as f64 / f64::from(1 << 20);
    measured.predicted_rss_mib = measured.predicted_rss_mib.max(predicted);
    Ok(())
}

/// CPU seconds by the cost model alone, for work that is too long to measure.
pub(crate) fn predict(layer: Layer, system: ProofSystem) -> Result<f64, Box<dyn Error>> {
    let (_, _, slices) = work(layer, system)?;
    Ok(slices.iter().map(|s| s.cost.cpu_us as f64 / 1e6).sum())
}
