//! Normalisations: how near they are to the float model, in rows of one size and of sizes that differ, and beyond the samples.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use tract_onnx::pb::AttributeProto;
use zkml::accuracy::output_error;
use zkml::graph::{IntGraph, IntTensor, Profile, dequantise};

use super::onnx::{Onnx, float, int, ints};
use super::recipes::by_the_file;
use crate::float::FloatGraph;
use crate::float_model::FloatModel;
use crate::import::import;

const ROWS: usize = 8;
const LEN: usize = 64;

/// Rows of normal numbers, each times a size of its own from `1 / spread` to 1, all times a size.
fn sample(seed: u64, spread: f64, size: f64) -> Vec<Vec<f64>> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut normal = || (0..12).map(|_| rng.gen_range(-0.5..0.5)).sum::<f64>();
    let row = |r: usize| spread.powf(-(r as f64) / (ROWS - 1) as f64) * size;
    vec![(0..ROWS * LEN).map(|i| row(i / LEN) * normal()).collect()]
}

struct Planned {
    float: FloatGraph,
    model: FloatModel,
    int: IntGraph,
}

impl Planned {
    fn new(onnx: &Onnx, profile: Profile, spread: f64) -> Self {
        let bytes = onnx.bytes();
        let (float, model) = (import(&bytes).unwrap(), FloatModel::read(&bytes).unwrap());
        let samples: Vec<_> = (0..20).map(|seed| sample(seed, spread, 1.0)).collect();
        let (_, int) = by_the_file(&bytes, &samples, profile);
        Self { float, model, int }
    }

    /// The first output's greatest error over inputs that were no samples; `None` where one is refused.
    fn error(&self, spread: f64, size: f64) -> Option<f64> {
        let mut worst = 0f64;
        for seed in 100..140 {
            let x = sample(seed, spread, size);
            let info = &self.int.tensors[self.int.inputs[0].0 as usize];
            let factor = 2f64.powi(i32::from(info.exponent));
            let input = IntTensor {
                shape: info.shape.clone(),
                values: x[0].iter().map(|v| (v * factor).round() as i64).collect(),
            };
            let all = self.int.evaluate(&[input]).ok()?;
            let expected = self.model.outputs_of(&self.float, &x).unwrap();
            let output = self.int.outputs[0].0 as usize;
            let got = dequantise(&self.int.tensors[output], &all[output].values);
            worst = worst.max(output_error(&got, &expected[0], 0.0));
        }
        Some(worst)
    }
}

fn layer(attributes: Vec<AttributeProto>) -> Onnx {
    Onnx::new(&[ROWS as i64, LEN as i64])
        .opset(17)
        .constant("s", &[1], vec![1.0])
        .node("LayerNormalization", &["x", "s"], "y", attributes)
}

fn row_norm(op: &str, attributes: Vec<AttributeProto>) -> Onnx {
    Onnx::new(&[ROWS as i64, LEN as i64])
        .opset(17)
        .node(op, &["x"], "y", attributes)
}

/// As exporters wrote it before there was an operator for it.
fn of_parts() -> Onnx {
    let axes = || vec![ints("axes", &[1])];
    Onnx::new(&[ROWS as i64, LEN as i64])
        .opset(17)
        .constant("e", &[1], vec![1e-5])
        .node("ReduceMean", &["x"], "m", axes())
        .node("Sub", &["x", "m"], "c", vec![])
        .node("Mul", &["c", "c"], "q", vec![])
        .node("ReduceMean", &["q"], "v", axes())
        .node("Add", &["v", "e"], "w", vec![])
        .node("Sqrt", &["w"], "d", vec![])
        .node("Div", &["c", "d"], "y", vec![])
}

#[test]
fn a_normalisation_follows_the_float_model_in_rows_of_one_size() {
    let lrn = Onnx::new(&[1, ROWS as i64, LEN as i64, 1]).opset(17).node(
        "LRN",
        &["x"],
        "y",
        vec![int("size", 3), float("alpha", 0.5)],
    );
    let all = [
        layer(vec![]),
        layer(vec![float("epsilon", 0.5)]),
        layer(vec![float("epsilon", 1e-12)]),
        layer(vec![float("epsilon", 0.0)]),
        row_norm("LpNormalization", vec![int("p", 1)]),
        row_norm("LpNormalization", vec![]),
        row_norm("MeanVarianceNormalization", vec![ints("axes", &[1])]),
        of_parts(),
        lrn,
    ];
    for (at, onnx) in all.iter().enumerate() {
        for (profile, most) in [(Profile::P12, 0.01), (Profile::P16, 0.0005)] {
            let error = Planned::new(onnx, profile, 1.0).error(1.0, 1.0);
            assert!(error.is_some_and(|e| e < most), "{at} {profile:?}: {error:?}");
        }
    }
}

/// The sum of squares of a row whose values are a hundredth of another's has four digits fewer: what is left of it must do.
#[test]
fn rows_a_hundred_times_smaller_than_others_keep_their_digits() {
    for (spread, most) in [(10.0, 0.002), (30.0, 0.005), (100.0, 0.015)] {
        let error = Planned::new(&layer(vec![]), Profile::P16, spread).error(spread, 1.0);
        assert!(error.is_some_and(|e| e < most), "{spread}: {error:?}");
    }
}

#[test]
fn rows_far_from_the_samples_in_size_are_refused() {
    let planned = Planned::new(&layer(vec![]), Profile::P16, 1.0);
    for size in [0.01, 0.1, 10.0] {
        assert_eq!(planned.error(1.0, size), None, "{size}");
    }
}

#[test]
fn a_row_of_zeros_stays_zeros() {
    let planned = Planned::new(&row_norm("LpNormalization", vec![]), Profile::P16, 1.0);
    assert_eq!(planned.error(1.0, 0.0), Some(0.0));
}
