//! A forger writes the manifest: scales, budget, names. Each of these receipts is proved for real, and refused.

use zkml::accuracy::Rule;
use zkml::graph::QuantisationPlan;

use super::*;
use crate::float::FloatOp;
use crate::quantise;
use crate::slice;
use crate::tests::Onnx;

in_every_proof_system! {
    coarse_input_scales_are_refused,
    coarse_inner_scales_are_refused_by_name,
    a_budget_that_allows_everything_decides_nothing,
    zeros_for_small_outputs_are_refused,
    a_bias_that_rounds_to_nothing_is_refused_by_name,
    an_output_channel_that_rounds_to_nothing_is_refused_by_name,
    another_label_is_refused_whatever_the_verifier_accepts,
}

/// The plan with the integers that a forger likes, where it is one at all. He allows himself every error.
fn forged(honest: &Plan, change: impl FnOnce(&mut QuantisationPlan)) -> Option<Plan> {
    let mut plan = honest.clone();
    change(&mut plan.quantisation);
    plan.graph = quantise::apply(&plan.float, &plan.quantisation).ok()?;
    let options = SlicingOptions::at_least(1);
    plan.slices = slice::plan(&plan.graph, plan.system, options).ok()?;
    plan.error_budget_millionths = u32::MAX;
    Some(plan)
}

/// Gives a tensor another exponent; its producer and its readers keep their coefficients by other shifts.
fn rescale(plan: &Plan, quantisation: &mut QuantisationPlan, tensor: TensorId, exponent: i16) {
    // What is inherited has one scale.
    let mut family = vec![tensor];
    for node in &plan.float.nodes {
        let inherits = matches!(node.op, FloatOp::Wiring(_) | FloatOp::Max(_));
        if inherits && family.contains(&node.inputs[0]) {
            family.push(node.output);
        }
    }
    let lower = i32::from(quantisation.tensors[tensor.0 as usize].exponent) - i32::from(exponent);
    for id in &family {
        quantisation.tensors[id.0 as usize].exponent = exponent;
    }
    for (node, shift) in plan.float.nodes.iter().zip(&mut quantisation.shifts) {
        if !matches!(node.op, FloatOp::Linear(_)) {
            continue;
        }
        let read = node.inputs.iter().any(|id| family.contains(id));
        let made = family.contains(&node.output);
        let change = lower * (i32::from(made) - i32::from(read));
        *shift = (i32::from(*shift) + change).clamp(0, 40) as u8;
    }
}

/// Proves the forged plan's answer to the input, and verifies it by the model and the input.
fn verified(onnx: &[u8], plan: Plan, input: &[FloatInput], rule: &Rule) -> (Receipt, Report) {
    let model = Model::of(onnx.to_vec(), plan);
    let receipt = model.run(&model.quantised(input)[0], 9);
    let given = given(input);
    let verification = Verification {
        input: Some(&given),
        rule,
        ..model.by_model()
    };
    let report = verify(&receipt.to_bytes(), &verification);
    assert!(
        said(&report).contains("slice proofs hold"),
        "not forged: {}",
        said(&report)
    );
    (receipt, report)
}

fn refused(report: &Report, why: &str) {
    assert!(!report.valid(), "{}", said(report));
    assert!(said(report).contains(why), "{why}: {}", said(report));
}

/// The class that a plan's integers give.
fn class(plan: &Plan, input: &[FloatInput]) -> Option<usize> {
    let info = &plan.graph.tensors[plan.graph.inputs[0].0 as usize];
    let quantised = quantise_input(info, &input[0]).ok()?;
    let values = plan.graph.evaluate(&[quantised]).ok()?;
    let output = &values[plan.graph.outputs[0].0 as usize].values;
    (0..output.len()).reduce(|best, i| if output[i] > output[best] { i } else { best })
}

fn wine(system: Tested) -> (Vec<u8>, Plan, Vec<Vec<FloatInput>>) {
    let onnx = example("wine.onnx");
    let calibration = flat(&samples("data/wine-calibration.npy"));
    let plan = planned(&onnx, Some(&calibration), None, 1, system);
    (onnx, plan, samples("data/wine-test.npy"))
}

fn digits() -> (Vec<u8>, Plan, Vec<FloatInput>) {
    let onnx = example("digits.onnx");
    let calibration = flat(&samples("data/digits-calibration.npy"));
    let plan = planned(&onnx, Some(&calibration), None, 1, SUMCHECK);
    let input = Inputs::read(&example("data/digit-7.json"), 64).unwrap();
    let input = input.in_order(&["the input"]).unwrap()[0].clone();
    (onnx, plan, vec![input])
}

fn coarse_input_scales_are_refused(system: Tested) {
    let (onnx, honest, tests) = wine(system);
    for exponent in [-8, 0] {
        let input = honest.graph.inputs[0];
        let plan = forged(&honest, |q| rescale(&honest, q, input, exponent)).unwrap();
        let (_, report) = verified(&onnx, plan, &tests[0], &DEFAULT_RULE);
        refused(&report, "Fails: Too coarse for this input are");
        refused(&report, "the first off is `features`, in steps of");
        refused(&report, "Fails: Beyond your greatest error");
    }
}

#[test]
fn every_coarse_input_exponent_is_refused_for_the_example_digit() {
    let (onnx, honest, input) = digits();
    for exponent in -8..=3 {
        let image = honest.graph.inputs[0];
        let plan = forged(&honest, |q| rescale(&honest, q, image, exponent)).unwrap();
        let (_, report) = verified(&onnx, plan, &input, &DEFAULT_RULE);
        refused(&report, "Fails: ");
        refused(&report, "Beyond your greatest error: on your input");
    }
}

#[test]
fn the_answer_to_the_zero_image_is_valid_for_its_integers_only() {
    let (onnx, honest, input) = digits();
    let image = honest.graph.inputs[0];
    let plan = forged(&honest, |q| rescale(&honest, q, image, -2)).unwrap();
    let model = Model::of(onnx, plan);
    let receipt = model.run(&model.quantised(&input)[0], 9);
    let rule = Rule {
        max_error: 0.2,
        ..DEFAULT_RULE.clone()
    };
    let alone = Verification {
        rule: &rule,
        ..model.by_model()
    };
    let report = verify(&receipt.to_bytes(), &alone);
    let said_so = "The receipt is valid for the integers in it; whose input they are was not checked.";
    assert_eq!(report.verdict(), said_so, "{}", said(&report));
    assert!(
        said(&report).contains("in steps of 4 with 1 distinct value."),
        "{}",
        said(&report)
    );
    // With a manifest alone, too, the input is not taken for the digit.
    let given = given(&input);
    let report = model.by_manifest(|v| {
        verify(
            &receipt.to_bytes(),
            &Verification {
                input: Some(&given),
                ..v
            },
        )
    });
    refused(
        &report,
        "was rounded to steps of 4, off by 100.00 % of its greatest value",
    );
}

fn coarse_inner_scales_are_refused_by_name(system: Tested) {
    let (onnx, honest, tests) = wine(system);
    // Of the first layer nothing is left: every wine is of one class.
    let hidden = honest.float.nodes[0].output;
    let plan = forged(&honest, |q| rescale(&honest, q, hidden, -12)).unwrap();
    let classes = tests
        .iter()
        .filter_map(|t| Some((class(&honest, t)?, class(&plan, t)?)));
    let wrong = classes.enumerate().find(|(_, (own, forged))| own != forged);
    let (at, (own, other)) = wrong.expect("a wine of another class");
    let name = honest.graph.tensors[hidden.0 as usize].name.clone();
    let (_, report) = verified(&onnx, plan, &tests[at], &DEFAULT_RULE);
    refused(&report, &format!("the first off is `{name}`, in steps of 4096"));
    refused(&report, "Fails: Beyond your greatest error");
    refused(&report, "what it allows decides nothing");
    refused(
        &report,
        &format!("is greatest at {other}, the float model's at {own}"),
    );
    let judged = report.judged.unwrap();
    assert_eq!(
        judged.verdict.other_class.map(|c| (c.got, c.float)),
        Some((other, own))
    );
}

/// As the audit did: random scales, until the integers say any class that one likes.
#[test]
fn every_class_that_random_scales_give_is_refused() {
    use rand::SeedableRng;
    let (onnx, honest, input) = digits();
    let own = class(&honest, &input).unwrap();
    assert_eq!(own, 7);
    let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(11);
    let mut reached = std::collections::BTreeMap::new();
    for _ in 0..400 {
        let plan = forged(&honest, |q| {
            for node in &honest.float.nodes {
                let lower = rng.gen_range(0..16);
                if matches!(node.op, FloatOp::Linear(_)) {
                    let exponent = q.tensors[node.output.0 as usize].exponent - lower;
                    rescale(&honest, q, node.output, exponent);
                }
            }
        });
        if let Some(plan) = plan
            && let Some(class) = class(&plan, &input)
            && class != own
        {
            reached.entry(class).or_insert(plan);
        }
    }
    assert!(reached.len() >= 2, "only {:?}", reached.keys());
    for (other, plan) in reached {
        let (_, report) = verified(&onnx, plan, &input, &DEFAULT_RULE);
        refused(
            &report,
            &format!("is greatest at {other}, the float model's at 7"),
        );
        refused(&report, "Fails: Beyond your greatest error");
    }
}

fn a_budget_that_allows_everything_decides_nothing(system: Tested) {
    let (onnx, honest, tests) = wine(system);
    let plan = forged(&honest, |_| ()).unwrap();
    assert_eq!(plan.error_budget_millionths, u32::MAX);
    // The integers are honest, and the verifier accepts what is good enough for him, no more and no less.
    let exact = Rule {
        max_error: 1e-9,
        ..DEFAULT_RULE.clone()
    };
    let (receipt, report) = verified(&onnx, plan.clone(), &tests[0], &exact);
    refused(&report, "Fails: Beyond your greatest error");
    refused(
        &report,
        "the manifest would allow 4.29e3; what it allows decides nothing",
    );
    let lenient = Rule {
        max_error: 0.1,
        ..DEFAULT_RULE.clone()
    };
    let (_, report) = verified(&onnx, plan, &tests[0], &lenient);
    assert!(report.valid(), "{}", said(&report));
    assert_eq!(receipt.manifest.error_budget_millionths, u32::MAX);
}

fn zeros_for_small_outputs_are_refused(system: Tested) {
    // Outputs of about 10^-3: by a scale of max(1, |y|) an answer of zeros would be 0.1 % off.
    let onnx = Onnx::new(&[1, 4])
        .random("w", &[4, 3])
        .node("MatMul", &["x", "w"], "h", vec![])
        .constant("s", &[3], vec![1e-3, 1.5e-3, 2e-3])
        .node("Mul", &["h", "s"], "y", vec![])
        .bytes();
    let honest = planned(&onnx, None, Some(Profile::P16), 1, system);
    let output = honest.graph.outputs[0];
    let plan = forged(&honest, |q| rescale(&honest, q, output, 0)).unwrap();
    let input = FloatInput::new(vec![1, 4], vec![0.5, -0.25, 0.75, 0.5]).unwrap();
    let (receipt, report) = verified(&onnx, plan, std::slice::from_ref(&input), &DEFAULT_RULE);
    assert!(receipt.output[0].values.iter().all(|v| *v == 0));
    refused(&report, "the float model is 1.00e0 of its greatest value");
    // An output whose natural magnitude is 1 is as good as 0 here: that the verifier alone can say.
    let scaled = Rule {
        output_scale: vec![1.0],
        compare_top1: false,
        ..DEFAULT_RULE.clone()
    };
    let plan = forged(&honest, |q| rescale(&honest, q, output, 0)).unwrap();
    let (_, report) = verified(&onnx, plan, &[input], &scaled);
    assert!(report.valid(), "{}", said(&report));
}

fn another_label_is_refused_whatever_the_verifier_accepts(system: Tested) {
    let mut onnx = Onnx::new(&[1, 4])
        .random("w", &[4, 1000])
        .node("MatMul", &["x", "w"], "h", vec![])
        .node("ArgMax", &["h"], "y", vec![crate::tests::int("axis", 1)]);
    onnx.output_of_int64();
    let onnx = onnx.bytes();
    let honest = planned(&onnx, None, Some(Profile::P12), 1, system);
    let lenient = Rule {
        max_error: 1.0,
        output_scale: vec![1e9],
        compare_top1: false,
    };
    let input = FloatInput::new(vec![1, 4], vec![0.5, -0.25, 0.75, 0.5]).unwrap();
    let input = std::slice::from_ref(&input);
    let (receipt, report) = verified(&onnx, honest.clone(), input, &lenient);
    assert!(report.valid(), "{}", said(&report));
    assert!(
        said(&report).contains("Whole numbers, and exactly the float model's: `y`."),
        "{}",
        said(&report)
    );
    let label = receipt.output[0].values[0];
    assert!(label > 0);
    // All scores are one, and the first class is the answer.
    let scores = honest.float.nodes[0].output;
    let plan = forged(&honest, |q| rescale(&honest, q, scores, -12)).unwrap();
    let (receipt, report) = verified(&onnx, plan, input, &lenient);
    assert_eq!(receipt.output[0].values, [0]);
    refused(
        &report,
        &format!("Another value: the answer's `y` is 0 at 0, the float model's {label}"),
    );
    assert!(report.judged.unwrap().verdict.other_value.is_some());
}

/// Steps of 1 of the output, and of 8 of the input (8, 8), leave nothing of coefficients below 1/16: the answer is zeros.
fn nothing_is_left(system: Tested, onnx: &[u8], why: &str) {
    let honest = planned(onnx, None, Some(Profile::P8), 1, system);
    let plan = forged(&honest, |q| {
        for tensor in &mut q.tensors {
            *tensor = zkml::graph::TensorScale {
                exponent: 0,
                bits: 16,
            };
        }
        q.tensors[honest.graph.inputs[0].0 as usize].exponent = -3;
        q.shifts.iter_mut().for_each(|s| *s = 0);
    });
    let input = FloatInput::new(vec![1, 2], vec![8.0, 8.0]).unwrap();
    let (receipt, report) = verified(onnx, plan.unwrap(), &[input], &DEFAULT_RULE);
    assert_eq!(receipt.output[0].values, [0, 0]);
    refused(&report, why);
}

fn a_bias_that_rounds_to_nothing_is_refused_by_name(system: Tested) {
    // On (8, 8) the weights cancel, so that the bias alone is the answer.
    let onnx = Onnx::new(&[1, 2])
        .constant("w", &[2, 2], vec![1.0, -1.0, -1.0, 1.0])
        .constant("b", &[2], vec![0.4, 0.0])
        .node("Gemm", &["x", "w", "b"], "y", vec![])
        .bytes();
    let why = "the first off is `y`, in steps of 1, by 100.00 % of its greatest value, 0.4";
    nothing_is_left(system, &onnx, why);
}

fn an_output_channel_that_rounds_to_nothing_is_refused_by_name(system: Tested) {
    // The first channel keeps its coefficients, and is 0 on (8, 8); of the second none is left.
    let onnx = Onnx::new(&[1, 2])
        .constant("w", &[2, 2], vec![1.0, 0.01, -1.0, 0.02])
        .node("MatMul", &["x", "w"], "y", vec![])
        .bytes();
    let why = "the first off is `y`, in steps of 1, by 100.00 % of its greatest value, 0.24";
    nothing_is_left(system, &onnx, why);
}

/// What is not finite is infinitely wrong, whichever side it is on.
#[test]
fn an_answer_that_is_no_number_is_refused() {
    let info = zkml::graph::TensorInfo {
        name: "y".into(),
        shape: vec![1, 2],
        range: zkml::graph::IntRange::signed(8),
        exponent: 0,
        whole: false,
        ranks: None,
    };
    for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let verdict = judge_outputs(&DEFAULT_RULE, &[(&info, &[0, 0])], &[vec![0.0, float]], &[]);
        assert!(!verdict.accepted() && verdict.error == f64::INFINITY);
    }
    let verdict = judge_outputs(&DEFAULT_RULE, &[(&info, &[0, 0])], &[], &[]);
    assert!(
        !verdict.accepted(),
        "an output that the float model does not have"
    );
}
