//! What proofs cost. `cargo test --release -p zkml --lib sumcheck::tests::measure -- --ignored --nocapture` prints it.

use std::time::Instant;

use super::slices::*;
use crate::graph::{Activation, IntRange, LinearMap, Requantise};
use crate::relations::{Relation, SliceRelations};
use crate::sumcheck::*;

/// CPU nanoseconds of this thread.
fn cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// 39-bit accumulators: a 13-bit quotient and two limbs of 13 bits, three lookups per output.
fn three_lookups(slice: &mut SliceRelations) {
    for relation in &mut slice.relations {
        if let Relation::Requantised {
            requantise, output, ..
        } = relation
        {
            *requantise = Requantise {
                shift: 26,
                bits: 13,
                activation: Activation::Relu,
            };
            let id = *output;
            for t in slice.outputs.iter_mut().filter(|t| t.id == id) {
                t.range = requantise.output_range();
            }
        }
    }
}

fn single(len: usize, map: impl FnOnce(&mut Builder, usize) -> LinearMap) -> SliceRelations {
    let mut b = Builder::new(1);
    let x = b.input(len, IntRange::unsigned(12));
    let map = map(&mut b, x);
    let y = b.linear(&[x], map, 26, Activation::Relu);
    b.output(y);
    three_lookups(&mut b.slice);
    b.slice
}

pub(super) fn workloads() -> Vec<(&'static str, SliceRelations, u8)> {
    let activations = single(1 << 17, |_, _| LinearMap::Affine {
        outer: 1,
        channels: 1,
        inner: 1 << 17,
        scale: vec![1 << 25],
        bias: vec![-1 << 36],
    });
    vec![
        (
            "conv 3x3 32-64 16x16",
            single(32 * 256, |b, _| {
                conv(b, [32, 16, 16], 64, [3, 3], [1, 1], [1, 1], 1)
            }),
            13,
        ),
        ("dense 1024x1024", single(1024, |b, x| b.dense(x, 1024, 1)), 13),
        (
            "dense 1024x1024 x 64",
            single(64 * 1024, |b, x| b.dense(x, 1024, 64)),
            13,
        ),
        ("131072 activations", activations, 13),
        ("digits", digits(), 8),
        ("small", small(), 8),
    ]
}

#[test]
#[ignore = "prints figures; run it in release"]
fn prints_what_proofs_cost() {
    for (name, slice, limb_bits) in workloads() {
        let chosen = choose_parameters(&slice).unwrap();
        for parameters in [SliceParameters { limb_bits }, chosen] {
            let started = cpu();
            let key = Key::new(&slice, parameters).unwrap();
            let keys = cpu() - started;
            let inputs = inputs(&slice, 6);
            let inputs: Vec<&[i64]> = inputs.iter().map(Vec::as_slice).collect();
            let mut best = u64::MAX;
            let mut made = None;
            for _ in 0..3 {
                let started = cpu();
                made = Some(prove(&key, &statement(), &inputs).unwrap());
                best = best.min(cpu() - started);
            }
            let made = made.unwrap();
            let outputs: Vec<&[i64]> = made.outputs.iter().map(Vec::as_slice).collect();
            let mut verified = f64::MAX;
            for _ in 0..5 {
                let started = Instant::now();
                verify(&key, &statement(), &inputs, &outputs, &made.proof).unwrap();
                verified = verified.min(started.elapsed().as_secs_f64() * 1e3);
            }
            let predicted = cost(&slice, parameters).unwrap();
            println!(
                "{name:24} limb {:2} key {:6.1} ms prove {:7.1} ms (predicted {:7.1}) proof {} B (predicted {}) verify {verified:.2} ms {:.1} bits, cells {}",
                parameters.limb_bits,
                keys as f64 / 1e6,
                best as f64 / 1e6,
                predicted.cpu_us as f64 / 1e3,
                made.proof.len(),
                predicted.proof_bytes,
                security(&key).bits,
                predicted.cells,
            );
        }
    }
}
