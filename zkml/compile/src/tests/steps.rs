//! Recurrent networks whose rows end at lengths of their own, and what else a node may say of its gates.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, TensorProto};
use zkml::graph::Profile;

use super::functions::text;
use super::given::agrees;
use super::onnx::{Onnx, float, int};
use super::recipes::{agrees_with_the_reference, by_the_file};
use crate::calibrate::synthetic_samples;
use crate::import::import;

const STEPS: i64 = 4;
const BATCH: i64 = 3;
const INPUTS: i64 = 2;
const HIDDEN: i64 = 3;

fn gates(op: &str) -> i64 {
    match op {
        "LSTM" => 4,
        "GRU" => 3,
        _ => 1,
    }
}

/// With lengths, and the output of this number.
fn network(op: &str, lengths: Option<&[i32]>, output: usize, more: Vec<AttributeProto>) -> Vec<u8> {
    let bidirectional = more.iter().any(|a| a.s == b"bidirectional");
    let (rows, directions) = (gates(op) * HIDDEN, if bidirectional { 2 } else { 1 });
    let mut onnx = Onnx::new(&[STEPS, BATCH, INPUTS])
        .random("w", &[directions, rows, INPUTS])
        .random("r", &[directions, rows, HIDDEN])
        .random("b", &[directions, 2 * rows])
        .random("h", &[directions, BATCH, HIDDEN])
        .opset(14);
    let named = if let Some(lengths) = lengths {
        onnx.graph.initializer.push(TensorProto {
            name: "l".into(),
            dims: vec![BATCH],
            data_type: DataType::Int32 as i32,
            int32_data: lengths.to_vec(),
            ..TensorProto::default()
        });
        "l"
    } else {
        ""
    };
    let mut attributes = vec![int("hidden_size", HIDDEN)];
    attributes.extend(more);
    onnx = onnx.node(op, &["x", "w", "r", "b", named, "h"], "y", attributes);
    let made = onnx.graph.node.last_mut().unwrap();
    made.output = vec![String::new(); output];
    made.output.push("y".into());
    onnx.bytes()
}

fn texts(name: &str, values: &[&str]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Strings as i32,
        strings: values.iter().map(|v| v.as_bytes().to_vec()).collect(),
        ..AttributeProto::default()
    }
}

fn floats(name: &str, values: &[f32]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Floats as i32,
        floats: values.to_vec(),
        ..AttributeProto::default()
    }
}

fn agrees_in_integers_too(name: &str, bytes: &[u8]) {
    agrees_with_the_reference(name, bytes);
    let samples = synthetic_samples(&import(bytes).unwrap(), 8, 3);
    let (_, held) = by_the_file(bytes, &samples, Profile::P16);
    agrees(bytes, &held, &samples[0], 5e-3);
}

#[test]
fn a_row_that_has_ended_keeps_its_state_and_shows_zeros() {
    for op in ["LSTM", "GRU", "RNN"] {
        for direction in ["forward", "reverse", "bidirectional"] {
            for lengths in [[4, 4, 4], [4, 1, 3], [2, 0, 1], [0, 0, 0]] {
                let outputs = if op == "LSTM" { 3 } else { 2 };
                for output in 0..outputs {
                    let bytes = network(op, Some(&lengths), output, vec![text("direction", direction)]);
                    let name = format!("{op} {direction} {lengths:?} {output}");
                    // What no input decides is a constant, which needs no proof of a state.
                    if lengths == [0, 0, 0] {
                        continue;
                    }
                    agrees_in_integers_too(&name, &bytes);
                }
            }
        }
    }
    let said = |lengths: [i32; 3]| {
        import(&network("RNN", Some(&lengths), 0, vec![]))
            .unwrap_err()
            .to_string()
    };
    assert!(
        said([5, 1, 1]).contains("lengths [5, 1, 1] of 4 steps"),
        "{}",
        said([5, 1, 1])
    );
    assert!(said([-1, 1, 1]).contains("lengths [-1, 1, 1]"));
}

#[test]
fn clips_coupled_gates_and_numbers_of_activations_are_what_the_node_says() {
    for op in ["LSTM", "GRU", "RNN"] {
        for clip in [0.25, 2.0, 20.0] {
            agrees_in_integers_too(
                &format!("{op} {clip}"),
                &network(op, None, 0, vec![float("clip", clip)]),
            );
        }
    }
    agrees_in_integers_too("coupled", &network("LSTM", None, 0, vec![int("input_forget", 1)]));
    let named = |list: &[&str], alphas: &[f32], betas: &[f32]| {
        let mut said = vec![texts("activations", list)];
        said.extend((!alphas.is_empty()).then(|| floats("activation_alpha", alphas)));
        said.extend((!betas.is_empty()).then(|| floats("activation_beta", betas)));
        said
    };
    for said in [
        named(&["HardSigmoid", "Tanh", "Elu"], &[0.3, 0.7], &[0.4]),
        named(&["HardSigmoid", "LeakyRelu", "Tanh"], &[], &[]),
        named(&["Sigmoid", "ThresholdedRelu", "Softsign"], &[0.1], &[]),
    ] {
        agrees_in_integers_too("numbers", &network("LSTM", None, 0, said));
    }
    let refused = import(&network("RNN", None, 0, named(&["ScaledTanh"], &[2.0], &[0.5])));
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("the activation `ScaledTanh`"), "{refused}");
}
