//! What `prover-worker inspect` takes of a machine: somebody asks it first, of whatever model there is.
#![allow(clippy::unwrap_used, reason = "a test says by panicking what is wrong")]

use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use zkinfer_tests::local::{LocalRuns, program, run};
use zkinfer_tests::onnx;

const SECONDS: Duration = Duration::from_secs(5);
const MIB: i64 = 500;

/// What processes that have ended had of a processor.
fn processor(usage: &Usage) -> Duration {
    let of = |time: nix::sys::time::TimeVal| {
        Duration::from_secs(time.tv_sec() as u64) + Duration::from_micros(time.tv_usec() as u64)
    };
    of(usage.user_time()) + of(usage.system_time())
}

/// A perceptron of these widths.
fn perceptron(widths: &[u64]) -> Vec<u8> {
    let name = |what: &str, at: usize| format!("{what}{at}");
    let mut draw = 1u32;
    let mut weights = |len: u64| -> Vec<f32> {
        let scale = 1.0 / (len as f32).sqrt().sqrt();
        let one = |_| {
            draw = draw.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((draw >> 8) as f32 / (1 << 23) as f32 - 1.0) * scale
        };
        (0..len).map(one).collect()
    };
    let layers: Vec<_> = widths
        .windows(2)
        .enumerate()
        .map(|(at, pair)| (name("w", at), [pair[0], pair[1]], weights(pair[0] * pair[1])))
        .collect();
    let wires: Vec<[String; 3]> = (0..layers.len())
        .map(|at| [name("h", at), name("m", at), name("h", at + 1)])
        .collect();
    let inputs: Vec<[&str; 2]> = wires
        .iter()
        .zip(&layers)
        .map(|(w, l)| [w[0].as_str(), l.0.as_str()])
        .collect();
    let mut nodes: Vec<(&str, &[&str], &str)> = Vec::new();
    let middles: Vec<[&str; 1]> = wires.iter().map(|w| [w[1].as_str()]).collect();
    for ((wire, inputs), middle) in wires.iter().zip(&inputs).zip(&middles) {
        nodes.push(("MatMul", inputs.as_slice(), wire[1].as_str()));
        nodes.push(("Relu", middle.as_slice(), wire[2].as_str()));
    }
    let weights: Vec<onnx::Weights<'_>> = layers
        .iter()
        .map(|(name, sizes, values)| (name.as_str(), &sizes[..], &values[..]))
        .collect();
    let (first, last) = (name("h", 0), name("h", layers.len()));
    let ends = [[1, widths[0]], [1, widths[widths.len() - 1]]];
    let [input, output] = [(first.as_str(), &ends[0][..]), (last.as_str(), &ends[1][..])];
    onnx::file(&nodes, &weights, &[input], &[output])
}

#[test]
fn a_model_of_six_million_weights_takes_seconds_and_hundreds_of_mebibytes() {
    let runs = LocalRuns::new();
    let model = runs.file("mlp.onnx", perceptron(&[784, 2048, 2048, 10]));
    let before = processor(&getrusage(UsageWho::RUSAGE_CHILDREN).unwrap());
    let began = Instant::now();
    let ran = run(Command::new(program("prover-worker")).arg("inspect").arg(&model));
    let wall = began.elapsed();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    for system in ["SumcheckWhir", "Halo2Kzg"] {
        assert!(ran.stdout.contains(system), "{}", ran.stdout);
    }
    // Beside other work the wall's time is nobody's fault; on several cores the processors' is not what somebody waits.
    let took = wall.min(processor(&usage).saturating_sub(before));
    println!(
        "{took:.1?} ({wall:.1?} on the wall), {} MiB",
        usage.max_rss() >> 10
    );
    assert!(took < SECONDS, "{took:?} of {SECONDS:?}");
    assert!(
        usage.max_rss() >> 10 < MIB,
        "{} MiB of {MIB}",
        usage.max_rss() >> 10
    );
}
