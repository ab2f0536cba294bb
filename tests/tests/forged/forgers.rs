//! Every way in which whoever writes a manifest chooses the answer, in both proof systems: proved for real, and refused by the program.

use serde_json::json;
use zkinfer_crds::ProofSystem;
use zkinfer_tests::local::LocalRuns;
use zkinfer_tests::onnx;
use zkml::accuracy::top1;
use zkml::graph::{FloatInput, Inputs, Profile, QuantisationPlan, TensorId, TensorScale, quantise_input};
use zkml_compile::compile::{CompileOptions, Plan, plan};
use zkml_compile::float::FloatOp;
use zkml_compile::quantise;
use zkml_compile::slice::SlicingOptions;

use super::{Files, honest, read, said, text};

/// The plan with the integers that a forger likes. He allows himself every error.
fn forged(honest: &Plan, change: impl FnOnce(&mut QuantisationPlan)) -> Plan {
    let mut plan = honest.clone();
    change(&mut plan.quantisation);
    plan.graph = quantise::apply(&plan.float, &plan.quantisation).unwrap();
    let options = SlicingOptions::at_least(1);
    plan.slices = zkml_compile::slice::plan(&plan.graph, plan.system, options).unwrap();
    plan.error_budget_millionths = u32::MAX;
    plan
}

/// The plan with another scale of one tensor: its producer and its readers keep their coefficients by other shifts.
pub(super) fn with_exponent(honest: &Plan, tensor: TensorId, exponent: i16) -> Plan {
    forged(honest, |quantisation| {
        let scale = &mut quantisation.tensors[tensor.0 as usize];
        let lower = i32::from(scale.exponent) - i32::from(exponent);
        scale.exponent = exponent;
        for (node, shift) in honest.float.nodes.iter().zip(&mut quantisation.shifts) {
            if matches!(node.op, FloatOp::Linear(_)) {
                let (made, read) = (node.output == tensor, node.inputs.contains(&tensor));
                let change = lower * (i32::from(made) - i32::from(read));
                *shift = (i32::from(*shift) + change).clamp(0, 40) as u8;
            }
        }
    })
}

/// The class that a plan's integers give to the one input.
fn class(plan: &Plan, input: &FloatInput) -> Option<usize> {
    let info = &plan.graph.tensors[plan.graph.inputs[0].0 as usize];
    let values = plan.graph.evaluate(&[quantise_input(info, input).ok()?]).ok()?;
    let output = &values[plan.graph.outputs[0].0 as usize].values;
    top1(&output.iter().map(|v| *v as f64).collect::<Vec<_>>())
}

/// A forger: what he writes, the model and the input that a verifier holds against it, and why that is refused.
struct Forger {
    name: &'static str,
    onnx: Vec<u8>,
    plan: Plan,
    input: FloatInput,
    flags: &'static [&'static str],
    why: Vec<String>,
}

/// Those with the wine model's scales and budget.
fn of_wine(system: ProofSystem) -> Vec<Forger> {
    let honest = honest("wine.onnx", "data/wine-calibration.npy", system);
    let wines = Inputs::read(&read("data/wine-test.npy"), 1 << 20).unwrap();
    let wines: Vec<FloatInput> = wines
        .samples(&["features"])
        .unwrap()
        .into_iter()
        .flatten()
        .collect();
    let (features, hidden) = (honest.graph.inputs[0], honest.float.nodes[0].output);
    let name = honest.graph.tensors[hidden.0 as usize].name.clone();
    let beyond = || "Beyond your greatest error".to_owned();
    let nothing = || "what it allows decides nothing".to_owned();
    let forger = |name, plan: Plan, input: &FloatInput, flags, why: Vec<String>| Forger {
        name,
        onnx: read("wine.onnx"),
        plan,
        input: input.clone(),
        flags,
        why,
    };
    let coarse = with_exponent(&honest, features, 0);
    // Of the first layer nothing is left: every wine is of one class.
    let inner = with_exponent(&honest, hidden, -12);
    let other = wines.iter().find_map(|wine| {
        let (own, forged) = (class(&honest, wine)?, class(&inner, wine)?);
        (own != forged).then_some((wine, own, forged))
    });
    let (wine, own, other) = other.expect("a wine of another class");
    let classes = format!("is greatest at {other}, the float model's at {own}");
    let steps = format!("the first off is `{name}`, in steps of 4096");
    vec![
        forger(
            "coarse inputs",
            coarse,
            &wines[0],
            &[],
            vec!["the first off is `features`, in steps of 1,".to_owned(), beyond()],
        ),
        forger(
            "coarse inner scales",
            inner,
            wine,
            &[],
            vec![steps, beyond(), nothing(), classes],
        ),
        forger(
            "a budget that allows everything",
            forged(&honest, |_| ()),
            &wines[0],
            &["--max-error", "1e-9"],
            vec![beyond(), nothing()],
        ),
    ]
}

/// Those with small outputs and small biases.
fn of_small_numbers(system: ProofSystem) -> Vec<Forger> {
    let honest = |onnx: &[u8], profile| {
        let options = CompileOptions {
            profile: Some(profile),
            ..CompileOptions::new(system)
        };
        plan(onnx, None, &options).unwrap()
    };
    // Outputs of about 10^-3: by a scale of max(1, |y|) an answer of zeros would be 0.1 % off.
    let weights = [0.5, -0.3, 0.8, -0.6, 0.9, 0.2, 0.7, -0.4, 0.1, 0.3, 0.6, -0.9];
    let small = onnx::file(
        &[("MatMul", &["x", "w"], "h"), ("Mul", &["h", "s"], "y")],
        &[("w", &[4, 3], &weights), ("s", &[3], &[1e-3, 1.5e-3, 2e-3])],
        &[("x", &[1, 4])],
        &[("y", &[1, 3])],
    );
    let of_small = honest(&small, Profile::P16);
    let zeros = with_exponent(&of_small, of_small.graph.outputs[0], 0);
    // On (8, 8) the weights cancel, so that the bias alone is the answer.
    let biased = onnx::file(
        &[("Gemm", &["x", "w", "b"], "y")],
        &[("w", &[2, 2], &[1.0, -1.0, -1.0, 1.0]), ("b", &[2], &[0.4, 0.0])],
        &[("x", &[1, 2])],
        &[("y", &[1, 2])],
    );
    let of_biased = honest(&biased, Profile::P8);
    let gone = forged(&of_biased, |quantisation| {
        let whole = TensorScale {
            exponent: 0,
            bits: 16,
        };
        quantisation.tensors.fill(whole);
        quantisation.tensors[of_biased.graph.inputs[0].0 as usize].exponent = -3;
        quantisation.shifts.fill(0);
    });
    let input = |values: &[f64]| FloatInput::new(vec![1, values.len()], values.to_vec()).unwrap();
    vec![
        Forger {
            name: "zeros for small outputs",
            onnx: small,
            plan: zeros,
            input: input(&[0.5, -0.25, 0.75, 0.5]),
            flags: &[],
            why: vec!["the float model is 1.00e0 of its greatest value".to_owned()],
        },
        Forger {
            name: "a bias that rounds to nothing",
            onnx: biased,
            plan: gone,
            input: input(&[8.0, 8.0]),
            flags: &[],
            why: vec![
                "the first off is `y`, in steps of 1, by 100.00 % of its greatest value, 0.4".to_owned(),
            ],
        },
    ]
}

fn every_forger_is_refused(system: ProofSystem) {
    for forger in of_wine(system).into_iter().chain(of_small_numbers(system)) {
        println!("{system}: {}", forger.name);
        let runs = LocalRuns::new();
        let input = json!([forger.input.values]).to_string();
        let (model, input) = (
            runs.file("model.onnx", forger.onnx),
            runs.file("input.json", input),
        );
        let files = Files::proved(&forger.plan, text(&input));
        let held = ["--model", text(&model), "--input", text(&input)];
        let ran = files.verify(&[&held, forger.flags].concat());
        // The proofs themselves hold: it is what they are of that is refused.
        let mut why: Vec<&str> = forger.why.iter().map(String::as_str).collect();
        why.extend(["slice proofs hold", "FAILS", "The receipt is invalid."]);
        said(&ran, 1, &why);
    }
}

#[test]
fn every_forger_of_a_sumcheck_receipt_is_refused_for_his_reason() {
    every_forger_is_refused(ProofSystem::SumcheckWhir);
}

#[test]
fn every_forger_of_a_halo2_receipt_is_refused_for_his_reason() {
    every_forger_is_refused(ProofSystem::Halo2Kzg);
}
