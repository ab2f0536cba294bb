//! How close the integer graph of an example model is to its float model, on test data that neither training nor
//! calibration has seen; and that answers to some of it are proved and verified.
//!
//! Exit 0 when at least 199 of 200 answers agree and every proof verifies, 1 otherwise.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use rand::Rng;
use rand::rngs::OsRng;
use zkinfer_crds::{ClaimId, Digest, Identity, ProofSystem, RequestUid, SliceIndex};
use zkinfer_tests::local::model_file;
use zkml::graph::tensor_file::read_npy;
use zkml::graph::{FloatInput, IntTensor, dequantise, quantise_input};
use zkml::receipt::{Against, ReceiptBuilder, Verification, verify};
use zkml::setup::SrsSource;
use zkml_compile::compile::{CompileOptions, Plan, Sample, compile, plan};
use zkml_compile::slice::SlicingOptions;

/// Compares an example model's integer graph with its float model on test data.
#[derive(Debug, Parser)]
struct Args {
    /// The model: digits, digits-residual or wine.
    #[arg(default_value = "digits")]
    model: String,
    /// What to prove them with.
    #[arg(long, default_value_t = ProofSystem::SumcheckWhir)]
    proof_system: ProofSystem,
    /// How many answers to prove and verify, slice by slice.
    #[arg(long, default_value_t = 20)]
    proved: usize,
    /// Least number of slices.
    #[arg(long, default_value_t = 4)]
    parallelism: u32,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(2)
        }
    }
}

fn data(model: &str, what: &str) -> PathBuf {
    let set = model.split('-').next().unwrap_or(model);
    model_file("data").join(format!("{set}-{what}"))
}

/// The first axis counts the inputs.
fn inputs(path: &Path) -> Result<Vec<FloatInput>, Box<dyn Error>> {
    let all = read_npy(
        &std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?,
        1 << 24,
    )?;
    let (count, shape) = all.shape.split_first().ok_or("no axis counts the inputs")?;
    let shape: Vec<usize> = [1].iter().chain(shape).copied().collect();
    let one = |values: &[f64]| FloatInput::new(shape.clone(), values.to_vec());
    Ok(all
        .values
        .chunks(all.values.len() / count)
        .map(one)
        .collect::<Result<_, _>>()?)
}

fn top1(values: &[f64]) -> usize {
    (0..values.len())
        .reduce(|best, i| if values[i] > values[best] { i } else { best })
        .unwrap_or(0)
}

fn run(args: &Args) -> Result<bool, Box<dyn Error>> {
    let onnx = std::fs::read(model_file(&format!("{}.onnx", args.model)))?;
    let calibration: Vec<Sample> = inputs(&data(&args.model, "calibration.npy"))?
        .into_iter()
        .map(|t| vec![t.values])
        .collect();
    let tests = inputs(&data(&args.model, "test.npy"))?;
    let labels: Vec<usize> = serde_json::from_slice(&std::fs::read(data(&args.model, "test-labels.json"))?)?;
    let slicing = SlicingOptions::at_least(args.parallelism);
    let options = CompileOptions {
        slicing,
        ..CompileOptions::new(args.proof_system)
    };
    let plan = plan(&onnx, Some(&calibration), &options)?;

    let (mut agree, mut float_right, mut int_right, mut refused) = (0usize, 0usize, 0usize, 0usize);
    let (mut worst, mut sum, mut count, mut largest) = (0f64, 0f64, 0usize, 0f64);
    let mut provable: Vec<Vec<IntTensor>> = Vec::new();
    let (input, output) = (plan.graph.inputs[0].0 as usize, plan.graph.outputs[0].0 as usize);
    for (test, &label) in tests.iter().zip(&labels) {
        let float = plan
            .float
            .evaluate(std::slice::from_ref(&test.values))?
            .swap_remove(output);
        float_right += usize::from(top1(&float) == label);
        largest = float.iter().fold(largest, |m, v| m.max(v.abs()));
        let evaluated = quantise_input(&plan.graph.tensors[input], test)
            .map_err(|e| e.to_string())
            .and_then(|x| plan.graph.evaluate(&[x]).map_err(|e| e.to_string()));
        let Ok(tensors) = evaluated else {
            refused += 1;
            continue;
        };
        let int = dequantise(&plan.graph.tensors[output], &tensors[output].values);
        agree += usize::from(top1(&int) == top1(&float));
        int_right += usize::from(top1(&int) == label);
        for (a, b) in int.iter().zip(&float) {
            worst = worst.max((a - b).abs());
            sum += (a - b).abs();
            count += 1;
        }
        provable.push(tensors);
    }
    let n = tests.len();
    println!(
        "model {} ({}), profile {:?}, {} slices",
        args.model,
        plan.model,
        plan.quantisation.profile,
        plan.slices.len()
    );
    println!("test inputs                    {n}");
    println!(
        "float model right              {float_right} ({:.1} %)",
        100.0 * float_right as f64 / n as f64
    );
    println!(
        "integer graph right            {int_right} ({:.1} %)",
        100.0 * int_right as f64 / n as f64
    );
    println!("same answer as the float model {agree} of {n}");
    println!("outside the calibrated range   {refused}");
    println!("greatest absolute error        {worst:.5} (outputs up to {largest:.2})");
    println!("mean absolute error            {:.6}", sum / count.max(1) as f64);
    let proofs = prove(&plan, &provable[..args.proved.min(provable.len())])?;
    Ok(proofs && agree * 200 >= n * 199)
}

/// Proves every slice of each answer and verifies the receipts.
fn prove(plan: &Plan, answers: &[Vec<IntTensor>]) -> Result<bool, Box<dyn Error>> {
    let setup = plan.setup(Some(&SrsSource::Development))?;
    let compiled = compile(plan, &setup, &|_| ())?;
    let manifest = &compiled.manifest;
    let mut provers = Vec::new();
    for index in 0..manifest.slices.len() {
        provers.push(compiled.prover(&plan.graph, &setup, SliceIndex(index as u32))?);
    }
    let files = |digest: Digest| compiled.file(digest);
    let (mut valid, mut bytes, mut proving, mut verifying) = (0usize, 0usize, 0f64, 0f64);
    for tensors in answers {
        let mut receipt = ReceiptBuilder::new(manifest, "accuracy", RequestUid::new(OsRng.r#gen()), tensors)?;
        let started = Instant::now();
        for (index, prover) in provers.iter().enumerate() {
            let (slice, claim, identity) = (
                SliceIndex(index as u32),
                ClaimId::new(OsRng.r#gen()),
                Identity::new([0; 32]),
            );
            let statement = receipt.statement(slice, claim, identity);
            let inputs: Vec<Vec<i64>> = receipt.boundary(slice)?.0.iter().map(|v| v.to_vec()).collect();
            let (envelope, _) = prover.prove(&statement, &inputs, OsRng)?;
            bytes = bytes.max(envelope.len());
            receipt.add(slice, claim, identity, &envelope)?;
        }
        proving += started.elapsed().as_secs_f64();
        let receipt = receipt.finish()?.to_bytes();
        let started = Instant::now();
        let against = Against::Manifest {
            manifest,
            files: &files,
        };
        let report = verify(
            &receipt,
            &Verification {
                allow_development_srs: true,
                ..Verification::new(against)
            },
        );
        verifying += started.elapsed().as_secs_f64();
        valid += usize::from(report.valid());
    }
    let count = answers.len().max(1) as f64;
    println!("proved and verified            {valid} of {}", answers.len());
    println!(
        "per answer                     {:.2} s proving, {:.1} ms verifying; proofs of at most {bytes} bytes per slice",
        proving / count,
        1e3 * verifying / count
    );
    Ok(valid == answers.len())
}
