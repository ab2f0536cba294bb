//! Proves one model many times in one process and says what it took, for `tests/bench/run`.
//!
//! Invariant: every number is of this process alone. CPU seconds are the process's, divided by nothing; a reference job, timed
//! before and after in the same process, says how fast the machine was meanwhile.
//!
//! ```text
//! RAYON_NUM_THREADS=1 bench row MODEL --samples FILE --input FILE --system SumcheckWhir
//! bench errors MODEL --samples FILE --inputs FILE --system SumcheckWhir
//! bench reference
//! ```

mod reference;
mod usage;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use rand::rngs::OsRng;
use serde::Serialize;
use zkinfer_crds::{Digest, ProofSystem, SliceIndex};
use zkml::graph::tensor_file::{dequantise, quantise_input, read_json};
use zkml::graph::{FloatInput, IntGraph, IntTensor, TensorId};
use zkml::proof::SliceProver;
use zkml::setup::SrsSource;
use zkml_compile::compile::{CompileError, CompileOptions, Plan, Sample, compile, plan};
use zkml_compile::import::ImportError;

use self::usage::{cpu, peak_mib, reset_peak};

/// Most values of an input or of all samples.
const VALUES: usize = 1 << 26;

/// Measures one model with one proof system.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Measure,
}

#[derive(Debug, Subcommand)]
enum Measure {
    /// Compile, prove many times, verify.
    Row {
        /// The ONNX file, of one input.
        model: PathBuf,
        /// JSON; the first axis counts calibration samples.
        #[arg(long)]
        samples: PathBuf,
        /// JSON; what is proved.
        #[arg(long)]
        input: PathBuf,
        /// What proves it.
        #[arg(long)]
        system: ProofSystem,
        /// Proofs that count, after one that does not.
        #[arg(long, default_value_t = 20)]
        times: usize,
        /// No further proof is begun after these.
        #[arg(long, default_value_t = 600)]
        seconds: u64,
        /// How many inputs are proved at once; those of `--input` are counted by its first axis.
        #[arg(long, default_value_t = 1)]
        batch: u32,
        /// Greatest error of the integers, in millionths.
        #[arg(long, default_value_t = 500)]
        budget: u32,
    },
    /// Compile as for a row, and evaluate the integers on many inputs: what is proved of them, without a proof.
    Errors {
        /// The ONNX file, of one input.
        model: PathBuf,
        /// JSON; the first axis counts calibration samples.
        #[arg(long)]
        samples: PathBuf,
        /// JSON; the first axis counts inputs.
        #[arg(long)]
        inputs: PathBuf,
        /// What would prove them.
        #[arg(long)]
        system: ProofSystem,
        /// Greatest error of the integers, in millionths.
        #[arg(long, default_value_t = 500)]
        budget: u32,
    },
    /// The reference job alone.
    Reference,
}

/// What became of a model.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Measured(Box<Row>),
    /// Why it is not proved.
    Refused(String),
}

#[derive(Debug, Serialize)]
struct Row {
    /// Medians of whole answers, all slices.
    prove_cpu_raw_s: f64,
    prove_wall_s: f64,
    proofs: usize,
    compile_cpu_s: f64,
    keygen_cpu_s: f64,
    /// Of proving, with keys and graph in memory.
    peak_rss_mb: f64,
    /// All slices together.
    proof_bytes: usize,
    verify_ms: f64,
    slices: usize,
    profile: String,
    within_budget: bool,
    /// Of the proved answer, by output.
    outputs: Vec<Vec<f64>>,
    /// Seconds of the reference job, before and after.
    reference_s: [f64; 2],
}

/// The integers' answers to many inputs.
#[derive(Debug, Serialize)]
struct Errors {
    profile: String,
    widened: usize,
    within_budget: bool,
    /// By input and output; none where the input is outside the calibrated range.
    answers: Vec<Option<Vec<Vec<f64>>>>,
}

fn main() -> ExitCode {
    match run(Args::parse().command) {
        Ok(json) => {
            println!("{json}");
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(2)
        }
    }
}

fn run(command: Measure) -> Result<String, Box<dyn Error>> {
    match command {
        Measure::Reference => Ok(serde_json::to_string(&reference::time()?)?),
        Measure::Errors {
            model,
            samples,
            inputs,
            system,
            budget,
        } => {
            let options = options(system, budget, 1);
            let (onnx, samples, inputs) = (
                std::fs::read(model)?,
                read_samples(&samples)?,
                read_samples(&inputs)?,
            );
            let plan = plan(&onnx, Some(&samples), &options)?;
            Ok(serde_json::to_string(&errors(&plan, &inputs)?)?)
        }
        Measure::Row {
            model,
            samples,
            input,
            system,
            times,
            seconds,
            batch,
            budget,
        } => {
            let options = options(system, budget, batch);
            let (onnx, samples) = (std::fs::read(model)?, read_samples(&samples)?);
            let before = reference::time()?.seconds;
            let started = cpu()?;
            let outcome = match plan(&onnx, Some(&samples), &options) {
                Err(e) => Outcome::Refused(reason(&e)),
                Ok(plan) => {
                    let compile_cpu_s = (cpu()? - started).as_secs_f64();
                    let end = Instant::now() + Duration::from_secs(seconds);
                    measure(&plan, &input, times, end)?.map_or_else(Outcome::Refused, |mut row| {
                        row.compile_cpu_s = compile_cpu_s;
                        row.reference_s[0] = before;
                        Outcome::Measured(Box::new(row))
                    })
                }
            };
            Ok(serde_json::to_string(&outcome)?)
        }
    }
}

/// What every model here is compiled with.
fn options(system: ProofSystem, budget: u32, batch: u32) -> CompileOptions {
    CompileOptions {
        error_budget_millionths: budget,
        compare_top1: false,
        batch,
        ..CompileOptions::new(system)
    }
}

/// Evaluates the integer graph on each input.
fn errors(plan: &Plan, inputs: &[Sample]) -> Result<Errors, Box<dyn Error>> {
    let graph = &plan.graph;
    let [id] = graph.inputs[..] else {
        return Err("a model of several inputs".into());
    };
    let info = &graph.tensors[id.0 as usize];
    let evaluator = graph.evaluator()?;
    let answer = |input: &Sample| {
        let shape = info.shape.iter().map(|d| *d as usize).collect();
        let given = FloatInput::new(shape, input.concat()).ok()?;
        let tensors = evaluator.run(&[quantise_input(info, &given).ok()?]).ok()?;
        let outputs = graph.outputs.iter().map(|id| id.0 as usize);
        Some(
            outputs
                .map(|i| dequantise(&graph.tensors[i], &tensors[i].values))
                .collect(),
        )
    };
    Ok(Errors {
        profile: plan.quantisation.profile.to_string(),
        widened: plan.accuracy.widened,
        within_budget: plan.accuracy.within_budget,
        answers: inputs.iter().map(answer).collect(),
    })
}

/// The first axis counts.
fn read_samples(path: &Path) -> Result<Vec<Sample>, Box<dyn Error>> {
    let all = read_json(&std::fs::read(path)?, VALUES)?;
    let count = all.shape.first().copied().filter(|&n| n > 0);
    let count = count.ok_or("the first axis counts the samples, at least one")?;
    Ok(all
        .values
        .chunks(all.values.len() / count)
        .map(|v| vec![v.to_vec()])
        .collect())
}

/// All that is unsupported, at once, or whatever else is wrong.
fn reason(error: &CompileError) -> String {
    match error {
        CompileError::Import(ImportError::Unsupported(nodes)) => {
            let mut said: Vec<String> = nodes.iter().map(|n| format!("{}: {}", n.op, n.reason)).collect();
            said.sort();
            said.dedup();
            said.join("; ")
        }
        other => other.to_string(),
    }
}

/// Keys, proofs, verifying; the inner error is about the model.
fn measure(
    plan: &Plan,
    input: &Path,
    times: usize,
    end: Instant,
) -> Result<Result<Row, String>, Box<dyn Error>> {
    let tensors = match evaluate(&plan.graph, input) {
        Ok(tensors) => tensors,
        Err(e) => return Ok(Err(e.to_string())),
    };
    // A trusted setup is made once for all models: it is in no figure.
    let setup = plan.setup(Some(&SrsSource::Development))?;
    let started = cpu()?;
    let compiled = match compile(plan, &setup, &|_| ()) {
        Ok(compiled) => compiled,
        Err(e) => return Ok(Err(e.to_string())),
    };
    let keygen_cpu_s = (cpu()? - started).as_secs_f64();
    let mut slices = Vec::new();
    for (i, entry) in compiled.manifest.slices.iter().enumerate() {
        slices.push(Slice {
            prover: compiled.prover(&plan.graph, &setup, SliceIndex(i as u32))?,
            inputs: values(&tensors, &entry.inputs),
            outputs: values(&tensors, &entry.outputs),
        });
    }
    reset_peak();
    let statement = Digest::of(b"bench");
    let prove = |envelopes: &mut Vec<Vec<u8>>| -> Result<(f64, f64), Box<dyn Error>> {
        envelopes.clear();
        let (started, wall) = (cpu()?, Instant::now());
        for s in &slices {
            envelopes.push(s.prover.prove(&statement, &s.inputs, OsRng)?.0);
        }
        Ok(((cpu()? - started).as_secs_f64(), wall.elapsed().as_secs_f64()))
    };
    let mut envelopes = Vec::new();
    let mut took = vec![prove(&mut envelopes)?];
    // The first one warms up; it counts only where there is no time for another.
    while took.len() <= times && Instant::now() < end {
        took.push(prove(&mut envelopes)?);
    }
    let counted = if took.len() > 1 { &took[1..] } else { &took[..] };
    let peak_rss_mb = peak_mib()?;
    let mut verified = Vec::new();
    for _ in 0..5 {
        let started = Instant::now();
        for (s, envelope) in slices.iter().zip(&envelopes) {
            let (inputs, outputs) = (views(&s.inputs), views(&s.outputs));
            s.prover
                .verifier()
                .verify(envelope, &statement, &inputs, &outputs)?;
        }
        verified.push(1e3 * started.elapsed().as_secs_f64());
    }
    let outputs = plan.graph.outputs.iter().map(|id| id.0 as usize);
    Ok(Ok(Row {
        prove_cpu_raw_s: median(counted.iter().map(|t| t.0).collect()),
        prove_wall_s: median(counted.iter().map(|t| t.1).collect()),
        proofs: counted.len(),
        compile_cpu_s: 0.0,
        keygen_cpu_s,
        peak_rss_mb,
        proof_bytes: envelopes.iter().map(Vec::len).sum(),
        verify_ms: median(verified),
        slices: slices.len(),
        profile: plan.quantisation.profile.to_string(),
        within_budget: plan.accuracy.within_budget,
        outputs: outputs
            .map(|i| dequantise(&plan.graph.tensors[i], &tensors[i].values))
            .collect(),
        reference_s: [0.0, reference::time()?.seconds],
    }))
}

/// A slice with what it is proved for.
struct Slice {
    prover: SliceProver,
    inputs: Vec<Vec<i64>>,
    outputs: Vec<Vec<i64>>,
}

fn evaluate(graph: &IntGraph, input: &Path) -> Result<Vec<IntTensor>, Box<dyn Error>> {
    let given = read_json(&std::fs::read(input)?, VALUES)?;
    let [id] = graph.inputs[..] else {
        return Err("a model of several inputs".into());
    };
    let quantised = quantise_input(&graph.tensors[id.0 as usize], &given)?;
    Ok(graph.evaluate(&[quantised])?)
}

fn values(tensors: &[IntTensor], ids: &[TensorId]) -> Vec<Vec<i64>> {
    ids.iter()
        .map(|id| tensors[id.0 as usize].values.clone())
        .collect()
}

fn views(of: &[Vec<i64>]) -> Vec<&[i64]> {
    of.iter().map(Vec::as_slice).collect()
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    let half = of.len() / 2;
    if of.len().is_multiple_of(2) {
        (of[half - 1] + of[half]) / 2.0
    } else {
        of[half]
    }
}
