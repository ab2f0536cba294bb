//! Inputs of whole numbers, and of yes and no.

use tract_onnx::pb::tensor_proto::DataType;
use zkml::graph::tensor_file::dequantise;
use zkml::graph::{FloatInput, IntGraph, IntRange, Profile, quantise_input};

use super::onnx::{Onnx, int, value_info};
use super::recipes::by_the_file;
use crate::calibrate::{CalibrateError, synthetic_samples};
use crate::compile::{CompileError, CompileOptions, plan};
use crate::float_model::FloatModel;
use crate::import::import;
use crate::quantise::apply;

pub(super) const PROFILES: [Profile; 3] = [Profile::P8, Profile::P12, Profile::P16];

/// A model of one input of a type.
pub(super) fn of(kind: DataType, dims: &[i64]) -> Onnx {
    let mut onnx = Onnx::new(dims).opset(17);
    onnx.graph.input = vec![port("x", kind, dims)];
    onnx
}

fn port(name: &str, kind: DataType, dims: &[i64]) -> tract_onnx::pb::ValueInfoProto {
    let mut port = value_info(name, dims);
    let value = port.r#type.as_mut().unwrap().value.as_mut().unwrap();
    let tract_onnx::pb::type_proto::Value::TensorType(tensor) = value;
    tensor.elem_type = kind as i32;
    port
}

/// An embedding of five rows, and a linear layer.
fn embedding() -> Onnx {
    of(DataType::Int64, &[1, 3])
        .random("table", &[5, 4])
        .random("w", &[4, 2])
        .node("Gather", &["table", "x"], "rows", vec![])
        .node("MatMul", &["rows", "w"], "y", vec![])
}

/// Rows of a constant that is longer than what one place chooses from, along an axis.
fn vocabulary(axis: i64) -> Onnx {
    let dims: &[i64] = if axis == 0 { &[5000, 4] } else { &[2, 5000, 2] };
    of(DataType::Int64, &[1, 3])
        .random("table", dims)
        .node("Gather", &["table", "x"], "rows", vec![int("axis", axis)])
        .node("Tanh", &["rows"], "y", vec![])
}

#[test]
fn a_long_embedding_is_the_row_that_the_number_names_counted_from_either_end() {
    for axis in [0, 1] {
        let bytes = vocabulary(axis).bytes();
        for (profile, error) in PROFILES.into_iter().zip([0.1, 0.01, 0.001]) {
            let (_, int) = by_the_file(&bytes, &made_up(&bytes), profile);
            assert!(int.nodes.iter().any(|n| n.op.name() == "Rows"));
            for x in [[0.0, 4999.0, 2500.0], [-1.0, -5000.0, 17.0]] {
                agrees(&bytes, &int, &[x.to_vec()], error);
            }
            for outside in [5000.0, -5001.0] {
                let said = said(&int, &[vec![0.0, outside, 1.0]]).unwrap_err();
                assert!(said.contains(&format!("{outside}")), "{said}");
            }
        }
    }
}

pub(super) fn made_up(bytes: &[u8]) -> Vec<Vec<Vec<f64>>> {
    synthetic_samples(&import(bytes).unwrap(), 8, 1)
}

/// What the integers say, if they say anything.
pub(super) fn said(int: &IntGraph, inputs: &[Vec<f64>]) -> Result<Vec<f64>, String> {
    let given = int.inputs.iter().zip(inputs).map(|(id, values)| {
        let info = &int.tensors[id.0 as usize];
        let shape = info.shape.iter().map(|&d| d as usize).collect();
        quantise_input(info, &FloatInput::new(shape, values.clone()).unwrap()).map_err(|e| e.to_string())
    });
    let values = int.evaluate(&given.collect::<Result<Vec<_>, _>>()?);
    let output = int.outputs[0].0 as usize;
    let values = values.map_err(|e| e.to_string())?;
    Ok(dequantise(&int.tensors[output], &values[output].values))
}

pub(super) fn agrees(bytes: &[u8], int: &IntGraph, inputs: &[Vec<f64>], error: f64) {
    agrees_at(bytes, int, inputs, error, 0.0);
}

/// The same of an output of this size, where the answer is less.
pub(super) fn agrees_at(bytes: &[u8], int: &IntGraph, inputs: &[Vec<f64>], error: f64, scale: f64) {
    let expected = FloatModel::read(bytes).unwrap().outputs(int, inputs).unwrap();
    let got = said(int, inputs).unwrap();
    let off = zkml::accuracy::output_error(&got, &expected[0], scale);
    assert!(off <= error, "{inputs:?}: {got:?} and {expected:?}");
}

#[test]
fn an_embedding_is_the_row_that_the_number_names_counted_from_either_end() {
    let bytes = embedding().bytes();
    for (profile, error) in PROFILES.into_iter().zip([0.1, 0.01, 0.001]) {
        let (_, int) = by_the_file(&bytes, &made_up(&bytes), profile);
        let input = &int.tensors[int.inputs[0].0 as usize];
        assert!(input.whole && input.exponent == 0, "{input:?}");
        for at in -5..5 {
            agrees(&bytes, &int, &[vec![f64::from(at), 0.0, 4.0]], error);
        }
    }
}

#[test]
fn a_number_that_the_table_has_no_row_for_has_no_answer() {
    for rows in [2i64, 3, 4, 5, 7, 8] {
        let bytes = of(DataType::Int64, &[1, 2])
            .random("table", &[rows, 3])
            .node("Gather", &["table", "x"], "y", vec![])
            .bytes();
        let (_, int) = by_the_file(&bytes, &made_up(&bytes), Profile::P12);
        let range = int.tensors[int.inputs[0].0 as usize].range;
        for at in range.lo()..=range.hi() {
            let answered = said(&int, &[vec![at as f64, 0.0]]).is_ok();
            assert_eq!(answered, (-rows..rows).contains(&at), "{at} of {rows}");
        }
    }
}

#[test]
fn a_plan_with_room_for_numbers_beyond_the_table_is_refused() {
    let bytes = embedding().bytes();
    let graph = import(&bytes).unwrap();
    let (plan, int) = by_the_file(&bytes, &made_up(&bytes), Profile::P12);
    let mut refused = 0;
    for (at, _) in graph.tensors.iter().enumerate().filter(|(_, t)| t.whole) {
        for (bits, exponent) in [(1, 0), (0, 1)] {
            let mut other = plan.clone();
            let scale = &mut other.tensors[at];
            (scale.bits, scale.exponent) = (scale.bits + bits, scale.exponent + exponent);
            assert!(apply(&graph, &other).is_err(), "{at}");
            refused += 1;
        }
    }
    // The input, its sign, what is counted and held; comparisons; three of the numbers are held twice.
    assert!(refused >= 12, "{refused}");
    assert!(apply(&graph, &plan).is_ok_and(|again| again == int));
}

#[test]
fn numbers_of_a_type_have_its_range_and_are_what_they_are() {
    let kinds = [
        (DataType::Uint8, IntRange::unsigned(8), [0.0, 255.0]),
        (DataType::Int8, IntRange::signed(8), [-128.0, 127.0]),
        (DataType::Bool, IntRange::unsigned(1), [0.0, 1.0]),
    ];
    for (kind, range, ends) in kinds {
        let bytes = of(kind, &[1, 2])
            .constant("k", &[], vec![0.037])
            .node("Cast", &["x"], "f", vec![int("to", DataType::Float as i64)])
            .node("Mul", &["f", "k"], "y", vec![])
            .bytes();
        let (_, int) = by_the_file(&bytes, &made_up(&bytes), Profile::P16);
        assert_eq!(int.tensors[int.inputs[0].0 as usize].range, range, "{kind:?}");
        agrees(&bytes, &int, &[ends.to_vec()], 1e-3);
        for outside in [ends[0] - 1.0, ends[1] + 1.0] {
            let why = said(&int, &[vec![outside, 1.0]]).unwrap_err();
            assert!(why.contains("outside the calibrated range"), "{why}");
        }
        let why = said(&int, &[vec![0.5, 1.0]]).unwrap_err();
        assert!(why.contains("0.5 at 0 is no whole number"), "{why}");
    }
}

#[test]
fn a_function_of_whole_numbers_has_steps_that_are_fine_enough() {
    for op in ["Sigmoid", "Exp", "Tanh", "Erf", "Abs"] {
        let bytes = of(DataType::Bool, &[1, 2])
            .node("Cast", &["x"], "f", vec![int("to", DataType::Float as i64)])
            .node(op, &["f"], "y", vec![])
            .bytes();
        let (_, int) = by_the_file(&bytes, &made_up(&bytes), Profile::P12);
        agrees(&bytes, &int, &[vec![0.0, 1.0]], 0.01);
    }
}

#[test]
fn a_mask_chooses_and_is_joined_with_what_is_computed() {
    let mut onnx = of(DataType::Bool, &[1, 3])
        .constant("zero", &[], vec![0.0])
        .node("Greater", &["v", "zero"], "p", vec![])
        .node("And", &["x", "p"], "both", vec![])
        .node("Where", &["both", "v", "zero"], "y", vec![]);
    onnx.graph.input.push(port("v", DataType::Float, &[1, 3]));
    let bytes = onnx.bytes();
    let (_, int) = by_the_file(&bytes, &made_up(&bytes), Profile::P12);
    for mask in [[1.0, 0.0, 1.0], [0.0; 3], [1.0; 3]] {
        agrees(&bytes, &int, &[mask.to_vec(), vec![0.5, 0.75, -0.5]], 0.01);
    }
}

#[test]
fn numbers_without_an_end_need_calibration_and_go_as_far_as_it_does() {
    let bytes = of(DataType::Int32, &[1, 2])
        .node("Cast", &["x"], "f", vec![int("to", DataType::Float as i64)])
        .random("w", &[2, 2])
        .node("MatMul", &["f", "w"], "y", vec![])
        .bytes();
    let options = CompileOptions::new(zkinfer_crds::ProofSystem::SumcheckWhir);
    let why = plan(&bytes, None, &options).unwrap_err();
    let unbounded = |e: &CalibrateError| matches!(e, CalibrateError::Unbounded { input } if input == "x");
    assert!(
        matches!(&why, CompileError::Calibrate(e) if unbounded(e)),
        "{why}"
    );
    let why = plan(&bytes, Some(&[vec![vec![1.0, 2.5]]]), &options)
        .unwrap_err()
        .to_string();
    assert!(
        why.contains("input `x` takes whole numbers, and the sample has 2.5"),
        "{why}"
    );
    let samples = [[-5.0, 5.0], [5.0, 5.0], [1.0, 0.0]].map(|sample| vec![sample.to_vec()]);
    let (_, int) = by_the_file(&bytes, &samples, Profile::P16);
    assert_eq!(int.tensors[int.inputs[0].0 as usize].range, IntRange::signed(4));
    agrees(&bytes, &int, &[vec![7.0, -8.0]], 1e-3);
    assert!(said(&int, &[vec![8.0, 0.0]]).is_err());
}

#[test]
fn what_computes_otherwise_with_whole_numbers_than_with_floats_is_refused_by_name() {
    for (kind, op) in [
        (DataType::Int8, "Neg"),
        (DataType::Uint8, "Neg"),
        (DataType::Int64, "Abs"),
    ] {
        let why = import(&of_whole(kind, 2).node(op, &["x"], "y", vec![]).bytes());
        let why = why.unwrap_err().to_string();
        assert!(
            why.contains("its input `x` is computed and of type"),
            "{op}: {why}"
        );
    }
    let why = import(
        &of(DataType::Uint16, &[1, 2])
            .node("Identity", &["x"], "y", vec![])
            .bytes(),
    );
    assert!(
        why.unwrap_err()
            .to_string()
            .contains("input `x`: its type is uint16")
    );
}

/// A model of one row of numbers of a type.
pub(super) fn of_whole(kind: DataType, width: i64) -> Onnx {
    of(kind, &[1, width])
}

#[test]
fn the_least_of_whole_numbers_is_found_however_near_the_next_one_is() {
    for (kind, least, most) in [
        (DataType::Uint8, 0, 255),
        (DataType::Int8, -128, 127),
        (DataType::Int32, -1000, 1000),
    ] {
        let bytes = of(kind, &[1, 3])
            .node("ArgMin", &["x"], "place", vec![int("axis", 1)])
            .node("Cast", &["place"], "y", vec![int("to", DataType::Float as i64)])
            .bytes();
        let ends = [[f64::from(least); 3], [f64::from(most); 3]].map(|s| vec![s.to_vec()]);
        for profile in PROFILES {
            let (_, int) = by_the_file(&bytes, &ends, profile);
            for at in (least..most).step_by(if most > 255 { 37 } else { 1 }) {
                let (low, high) = (f64::from(at), f64::from(at + 1));
                for x in [vec![high, low, high], vec![high, high, low], vec![low, low, high]] {
                    agrees(&bytes, &int, &[x], 0.0);
                }
            }
        }
    }
}

/// What reads whole numbers decides by each of them.
#[test]
fn whole_numbers_that_are_not_held_exactly_are_refused_wherever_they_are_made() {
    let far = [5_000_000, 4_999_999];
    let chosen = || {
        Onnx::new(&[1, 2])
            .opset(17)
            .constant("zero", &[], vec![0.0])
            .node("Greater", &["x", "zero"], "c", vec![])
            .integers("a", &far[..1])
            .integers("b", &far[1..])
    };
    let place = || {
        Onnx::new(&[1, 2])
            .opset(17)
            .node("ArgMax", &["x"], "at", vec![int("axis", 1)])
    };
    let whole = |mut onnx: Onnx| {
        onnx.graph.input = vec![port("x", DataType::Int64, &[1, 2])];
        onnx
    };
    let cases = [
        ("Where", chosen().node("Where", &["c", "a", "b"], "n", vec![])),
        (
            "Gather",
            place()
                .integers("far", &far)
                .node("Gather", &["far", "at"], "n", vec![]),
        ),
        (
            "Gather",
            whole(place())
                .integers("far", &far)
                .node("Gather", &["far", "x"], "n", vec![]),
        ),
        (
            "OneHot",
            place().integers("two", &[2]).integers("far", &far).node(
                "OneHot",
                &["at", "two", "far"],
                "n",
                vec![],
            ),
        ),
    ];
    for (op, onnx) in cases {
        let onnx = onnx
            .integers("threshold", &far[..1])
            .node("Equal", &["n", "threshold"], "e", vec![])
            .node("Cast", &["e"], "y", vec![int("to", DataType::Float as i64)]);
        let why = import(&onnx.bytes()).unwrap_err().to_string();
        assert!(
            why.contains(&format!("({op})")) && why.contains("up to 2^22"),
            "{op}: {why}"
        );
    }
}

#[test]
fn a_column_of_places_says_nothing_of_the_other_columns() {
    let bytes = of(DataType::Int64, &[1, 2])
        .random("small", &[3, 2])
        .random("large", &[20, 2])
        .integers("first", &[0])
        .integers("second", &[1])
        .node("Gather", &["x", "first"], "a", vec![int("axis", 1)])
        .node("Gather", &["x", "second"], "b", vec![int("axis", 1)])
        .node("Gather", &["small", "a"], "p", vec![])
        .node("Gather", &["large", "b"], "q", vec![])
        .node("Add", &["p", "q"], "y", vec![])
        .bytes();
    let samples = [[0.0, 19.0], [2.0, 0.0], [-3.0, -20.0]].map(|s| vec![s.to_vec()]);
    let (_, int) = by_the_file(&bytes, &samples, Profile::P16);
    for x in [[2.0, 15.0], [-1.0, 3.0], [1.0, -20.0]] {
        agrees(&bytes, &int, &[x.to_vec()], 0.01);
    }
    for x in [[3.0, 0.0], [-4.0, 0.0], [0.0, 20.0], [0.0, -21.0]] {
        assert!(said(&int, &[x.to_vec()]).is_err(), "{x:?}");
    }
}

#[test]
fn made_up_places_of_a_byte_are_in_its_table() {
    let bytes = of(DataType::Uint8, &[1, 2])
        .random("table", &[200, 2])
        .node("Cast", &["x"], "n", vec![int("to", DataType::Int64 as i64)])
        .node("Gather", &["table", "n"], "y", vec![])
        .bytes();
    let samples = synthetic_samples(&import(&bytes).unwrap(), 500, 3);
    let (_, int) = by_the_file(&bytes, &samples, Profile::P12);
    agrees(&bytes, &int, &[vec![199.0, 0.0]], 0.01);
    assert!(said(&int, &[vec![200.0, 0.0]]).is_err());
}
