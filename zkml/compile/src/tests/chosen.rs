//! Which widths are chosen, by what, and what is said of it.

use zkinfer_crds::compile_report::Outcome;
use zkml::graph::{Profile, ProfileLimits, QuantisationPlan};

use super::onnx::{Onnx, network};
use crate::calibrate::{
    AccuracyReport, CalibrateError, CalibrationOptions, SampleRows, calibrate, calibrate_rows,
    synthetic_samples,
};
use crate::float::FloatGraph;
use crate::float_model::FloatModel;
use crate::import::import;
use crate::progress::silent;
use crate::{sensitivity, widths};

/// A model with samples and the file's answers to them.
struct Case {
    graph: FloatGraph,
    samples: Vec<Vec<Vec<f64>>>,
    expected: Vec<Vec<Vec<f64>>>,
}

impl Case {
    fn new(bytes: &[u8], count: usize) -> Self {
        let (graph, model) = (import(bytes).unwrap(), FloatModel::read(bytes).unwrap());
        let samples = synthetic_samples(&graph, count, 3);
        let answers = samples.iter().map(|s| model.outputs_of(&graph, s).unwrap());
        let expected = answers.collect();
        Self {
            graph,
            samples,
            expected,
        }
    }

    fn chosen(
        &self,
        profile: Option<Profile>,
        error_budget: f64,
        made_up: bool,
    ) -> (QuantisationPlan, AccuracyReport) {
        let options = CalibrationOptions {
            profile,
            deciding: Profile::P12,
            error_budget,
            output_scale: None,
            compare_top1: false,
        };
        let rows = SampleRows {
            batch: 1,
            count: self.samples.len(),
            made_up,
        };
        calibrate_rows(
            &self.graph,
            &self.samples,
            &self.expected,
            rows,
            &options,
            &silent,
        )
        .unwrap()
    }

    /// The error of a profile as it stands.
    fn of(&self, profile: Profile) -> f64 {
        self.chosen(Some(profile), 1.0, true).1.max_error
    }
}

/// Several layers, each of which rounds: more than 16 bits with a bit of headroom leave.
fn deep() -> Vec<u8> {
    let mut onnx = Onnx::new(&[1, 24]);
    let mut from = "x".to_owned();
    for layer in 0..6 {
        let (weights, sum, made) = (format!("w{layer}"), format!("s{layer}"), format!("h{layer}"));
        onnx = onnx
            .random(&weights, &[24, 24])
            .node("MatMul", &[&from, &weights], &sum, vec![])
            .node("Relu", &[&sum], &made, vec![]);
        from = made;
    }
    onnx.random("last", &[24, 8])
        .node("MatMul", &[&from, "last"], "y", vec![])
        .bytes()
}

#[test]
fn sixteen_bits_are_left_only_as_far_as_the_budget_asks() {
    let case = Case::new(&deep(), 40);
    let (narrow, wide) = (case.of(Profile::P16), case.of(Profile::P20));
    assert!(wide < narrow / 4.0, "{wide} and {narrow}");
    // Half of the budget is what samples may be off: here 16 bits as they stand are off by a fifth more.
    let budget = narrow / 0.6;
    let (plan, accuracy) = case.chosen(None, budget, false);
    assert_eq!(plan.profile, Profile::P16);
    assert!(
        accuracy.max_error <= budget / 2.0,
        "{} of {budget}",
        accuracy.max_error
    );
    let chosen = accuracy.tried.iter().filter(|t| t.outcome == Outcome::Chosen);
    let chosen: Vec<_> = chosen.collect();
    assert_eq!(chosen.len(), 1, "{:?}", accuracy.tried);
    assert!(
        chosen[0].headroom < 2.0 || chosen[0].widened > 0,
        "{:?}",
        accuracy.tried
    );
    assert_eq!(chosen[0].widened, accuracy.widened);
    assert_eq!(chosen[0].max_error, Some(accuracy.max_error));
    // What was tried before it: every profile that has fewer bits, and the one with more.
    for profile in [Profile::P8, Profile::P12, Profile::P16, Profile::P20] {
        assert!(accuracy.tried.iter().any(|t| t.profile == profile), "{profile}");
    }
}

#[test]
fn some_tensors_get_more_bits_and_the_others_keep_theirs() {
    let case = Case::new(&deep(), 40);
    let (narrow, wide) = (case.of(Profile::P16), case.of(Profile::P20));
    // Made-up samples leave one bit of headroom, so that only wider tensors help.
    let budget = 2.0 * (narrow * wide).sqrt();
    let (plan, accuracy) = case.chosen(None, budget, true);
    assert!(accuracy.tried.iter().all(|t| t.headroom == 2.0));
    assert!(accuracy.max_error <= budget / 2.0);
    assert_eq!(plan.profile, Profile::P16);
    let fewer = widths::widths(&case.graph, &ProfileLimits::of(Profile::P16));
    let wider = plan.tensors.iter().zip(&fewer).filter(|(t, few)| t.bits > **few);
    assert_eq!(wider.count(), accuracy.widened);
    assert!(accuracy.widened > 0 && accuracy.widened < case.graph.tensors.len());
    assert!(plan.tensors.iter().zip(&fewer).all(|(t, few)| t.bits >= *few));
}

#[test]
fn a_profile_that_is_named_is_taken_as_it_stands() {
    let case = Case::new(&deep(), 40);
    for (profile, made_up) in [(Profile::P8, false), (Profile::P16, false), (Profile::P20, true)] {
        let (plan, accuracy) = case.chosen(Some(profile), 1e-9, made_up);
        assert_eq!((plan.profile, accuracy.widened), (profile, 0));
        let [tried] = &accuracy.tried[..] else {
            panic!("{:?}", accuracy.tried)
        };
        assert_eq!((tried.headroom, tried.outcome), (2.0, Outcome::Chosen));
        assert!(!tried.short);
        assert!(!accuracy.within_budget);
    }
}

#[test]
fn what_is_above_the_budget_on_the_first_samples_is_given_up() {
    let case = Case::new(&deep(), 40);
    let (_, accuracy) = case.chosen(None, 2.2 * case.of(Profile::P16), true);
    let [coarse, ..] = &accuracy.tried[..] else {
        panic!("nothing was tried")
    };
    assert_eq!(
        (coarse.profile, coarse.outcome),
        (Profile::P8, Outcome::OverBudget)
    );
    // Of the first samples alone.
    assert!(coarse.max_error.unwrap() < case.of(Profile::P8));
    assert_eq!(accuracy.tried.last().unwrap().profile, Profile::P16);
    assert_eq!(accuracy.samples, 40);
}

#[test]
fn a_report_has_errors_ratios_margins_and_ends_of_ranges_by_node_too() {
    let case = Case::new(&network().bytes(), 40);
    let (_, coarse) = case.chosen(Some(Profile::P8), 1.0, false);
    let (_, fine) = case.chosen(Some(Profile::P16), 1.0, false);
    // Eight bits more are 48 dB.
    let gained = fine.sqnr.unwrap() - coarse.sqnr.unwrap();
    assert!((36.0..60.0).contains(&gained), "{gained}");
    assert_eq!(
        coarse.top_margin, fine.top_margin,
        "it is the float model's alone"
    );
    assert!(coarse.top_margin.is_some_and(|m| m >= 0.0));
    for report in [&coarse, &fine] {
        assert_eq!(report.nodes.len(), case.graph.nodes.len());
        assert_eq!(
            report.saturations, 0,
            "there is a bit of headroom, and no sample needs it"
        );
        for (of, node) in report.nodes.iter().zip(&case.graph.nodes) {
            assert_eq!(of.node, node.name);
            assert!(of.mean_error <= of.max_error, "{of:?}");
            assert!(of.max_error > 0.0 && of.sqnr.is_some_and(|s| s > 10.0), "{of:?}");
        }
        assert!(report.mean_error <= report.max_error);
    }
}

/// Changes each tensor a little in a direction, and sees what the outputs do.
fn slopes_are_those_of_the_graph(name: &str, bytes: &[u8]) -> usize {
    let graph = import(bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
    let sample = &synthetic_samples(&graph, 1, 11)[0];
    let values = graph.evaluate(sample).unwrap();
    let of: Vec<Vec<f64>> = graph
        .outputs
        .iter()
        .map(|id| {
            let numbered = (0..values[id.0 as usize].len()).map(|i| ((i * 7 + 3) % 5) as f64 - 1.5);
            numbered.collect()
        })
        .collect();
    let sum = |values: &[Vec<f64>]| -> f64 {
        let outputs = graph.outputs.iter().map(|id| &values[id.0 as usize]);
        let each = outputs.zip(&of).flat_map(|(y, of)| y.iter().zip(of));
        each.map(|(y, of)| y * of).sum()
    };
    let changes = sensitivity::pulled_back(&graph, &values, of.clone());
    let mut compared = 0;
    for (at, tensor) in graph.tensors.iter().enumerate() {
        if tensor.whole {
            continue;
        }
        let size = values[at].iter().fold(0f64, |m, v| m.max(v.abs()));
        // What is exactly 0 is often beside others that are, and the greatest of them has no slope.
        let moves = |i: usize| values[at][i] != 0.0;
        let direction = |i: usize| {
            if moves(i) {
                ((i * 13 + 5) % 11) as f64 / 5.0 - 1.0
            } else {
                0.0
            }
        };
        let moved = |by: f64| {
            let change = |id: zkml::graph::TensorId, v: &mut Vec<f64>| {
                if id.0 as usize == at {
                    v.iter_mut()
                        .enumerate()
                        .for_each(|(i, v)| *v += by * direction(i));
                }
            };
            sum(&graph.evaluate_changing(sample, change).unwrap())
        };
        let pulled = changes[at].iter().enumerate();
        let pulled: f64 = pulled.map(|(i, c)| c * direction(i)).sum();
        let scale: f64 = changes[at].iter().map(|c| c.abs()).sum();
        // The slope is what smaller and smaller changes show, until rounding hides it.
        let seen = [1e-7, 1e-8, 1e-9, 1e-10].map(|part| {
            let near = part * size.max(1e-3);
            (moved(near) - moved(-near)) / (2.0 * near)
        });
        assert!(
            seen.iter()
                .any(|seen| (seen - pulled).abs() <= 1e-3 * scale + 1e-6),
            "{name}: `{}`: {pulled} instead of {seen:?}",
            tensor.name
        );
        compared += usize::from(scale > 0.0);
    }
    compared
}

#[test]
fn a_tensors_effect_on_the_outputs_is_the_slope_that_a_small_change_shows() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/seeds/onnx");
    let mut compared = slopes_are_those_of_the_graph("network", &network().bytes());
    // Convolutions with groups, strides and dilations, maxima, products of both kinds, tables, moved values. The seeds of softmax and of
    // attention are not among them: what is masked there jumps, and rows have equal maxima, so that they have no slope.
    for name in [
        "conv",
        "conv-groups-same",
        "gemm",
        "matmul-batch",
        "maxpool",
        "averagepool",
        "norms",
        "products",
        "recurrent",
        "moves",
        "binary",
    ] {
        let bytes = std::fs::read(folder.join(format!("{name}.onnx"))).unwrap();
        compared += slopes_are_those_of_the_graph(name, &bytes);
    }
    assert!(compared > 60, "{compared}");
}

#[test]
fn a_branch_that_hardly_counts_is_hardly_sensitive() {
    let onnx = Onnx::new(&[1, 8])
        .random("a", &[8, 8])
        .random("b", &[8, 8])
        .node("MatMul", &["x", "a"], "of-a", vec![])
        .node("MatMul", &["x", "b"], "of-b", vec![])
        .node("Tanh", &["of-a"], "much", vec![])
        .node("Tanh", &["of-b"], "little", vec![])
        .constant("small", &[], vec![0.001])
        .node("Mul", &["little", "small"], "less", vec![])
        .node("Add", &["much", "less"], "y", vec![]);
    let case = Case::new(&onnx.bytes(), 4);
    let of = sensitivity::of(&case.graph, &case.samples, &[1.0]).unwrap();
    let tensor = |name: &str| {
        let at = case.graph.tensors.iter().position(|t| t.name == name);
        of[at.unwrap_or_else(|| panic!("{name}: {:?}", case.graph.tensors))]
    };
    // Each value of either goes to one output: all signs have the square 1.
    assert!((tensor("much_Tanh") - 1.0).abs() < 1e-9, "{of:?}");
    assert!((tensor("little_Tanh") - 1e-6).abs() < 1e-12, "{of:?}");
    assert!(
        tensor("of-a_MatMul") > 0.0 && tensor("of-a_MatMul") < tensor("much_Tanh"),
        "tanh is flatter than 1"
    );
}

#[test]
fn what_is_zero_in_every_coefficient_is_not_shifted_out() {
    // A sum of two tensors of one scale has a coefficient of one: nothing is left of a remainder but a bit of headroom.
    let onnx = Onnx::new(&[1, 8])
        .random("a", &[8, 8])
        .node("MatMul", &["x", "a"], "of-a", vec![])
        .node("Tanh", &["of-a"], "t", vec![])
        .node("Sigmoid", &["of-a"], "u", vec![])
        .node("Add", &["t", "u"], "y", vec![]);
    let case = Case::new(&onnx.bytes(), 40);
    let made = |n: &crate::float::FloatNode| case.graph.outputs.contains(&n.output);
    let add = case.graph.nodes.iter().position(made).unwrap();
    let (short, accuracy) = case.chosen(None, 0.01, true);
    // Weights of so few bits give up none.
    assert!(short.profile < Profile::P16, "{:?}", accuracy.tried);
    let (as_it_stands, _) = case.chosen(Some(short.profile), 1.0, true);
    assert!(as_it_stands.shifts[add] > 4, "{:?}", as_it_stands.shifts);
    assert!(short.shifts[add] <= 3, "{:?}", short.shifts);
    // The same function.
    let int = |plan| crate::quantise::apply(&case.graph, plan).unwrap();
    let (long, short) = (int(&as_it_stands), int(&short));
    for sample in &case.samples {
        let info = &long.tensors[0];
        let values = sample[0]
            .iter()
            .map(|v| (v * 2f64.powi(info.exponent.into())).round() as i64);
        let input = zkml::graph::IntTensor {
            shape: info.shape.clone(),
            values: values.collect(),
        };
        let inputs = [input];
        assert_eq!(long.evaluate(&inputs).unwrap(), short.evaluate(&inputs).unwrap());
    }
}

#[test]
fn calibration_refuses_samples_that_are_not_inputs() {
    let graph = import(&network().bytes()).unwrap();
    let options = CalibrationOptions {
        profile: None,
        deciding: Profile::P12,
        error_budget: 0.1,
        output_scale: None,
        compare_top1: true,
    };
    assert_eq!(
        calibrate(&graph, &[], &[], &options, &silent).unwrap_err(),
        CalibrateError::Count(0)
    );
    let answer = [vec![vec![0.0; 5]]];
    let short = calibrate(&graph, &[vec![vec![0.0; 5]]], &answer, &options, &silent).unwrap_err();
    assert!(matches!(short, CalibrateError::Sample { index: 0, .. }));
    let nan = calibrate(&graph, &[vec![vec![f64::NAN; 72]]], &answer, &options, &silent).unwrap_err();
    assert!(matches!(nan, CalibrateError::NonFinite { index: 0, .. }));
}
