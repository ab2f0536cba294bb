//! Rows of computed tensors at computed places, and what is made of places and of nothing but moved values.

use tract_onnx::pb::tensor_proto::DataType;
use zkml::graph::Profile;

use super::given::{agrees, said};
use super::onnx::{Onnx, given_ports, int, ints, value_info};
use super::recipes::{agrees_with_the_reference, by_the_file};
use super::whole::{PROFILES, giving};
use crate::calibrate::synthetic_samples;
use crate::import::import;

const FLOAT: i32 = DataType::Float as i32;
const INT: i32 = DataType::Int64 as i32;

fn rows() -> Vec<u8> {
    let onnx = Onnx::new(&[3, 4])
        .node("Relu", &["x"], "r", vec![])
        .node("Gather", &["r", "i"], "y", vec![int("axis", 0)])
        .opset(17);
    given_ports(onnx, &[("x", FLOAT, &[3, 4]), ("i", INT, &[2])])
}

fn elements() -> Vec<u8> {
    let onnx = Onnx::new(&[3, 4])
        .node("GatherElements", &["x", "i"], "y", vec![int("axis", 1)])
        .opset(17);
    given_ports(onnx, &[("x", FLOAT, &[3, 4]), ("i", INT, &[2, 2])])
}

#[test]
fn a_place_names_its_row_from_either_end_and_none_beyond_has_an_answer() {
    let x: Vec<f64> = (0..12).map(|t| f64::from(t * 7 % 12) * 0.3 - 1.5).collect();
    for (bytes, places, count) in [(rows(), 2, 3i64), (elements(), 4, 4)] {
        agrees_with_the_reference("rows", &bytes);
        let input = |at: i64| {
            let mut places = vec![0.0; places];
            places[1] = at as f64;
            vec![x.clone(), places]
        };
        let (_, held) = by_the_file(&bytes, &[input(0), input(1), input(2)], Profile::P16);
        for at in -count..count {
            agrees(&bytes, &held, &input(at), 1e-3);
        }
        for beyond in [count, count + 1, -count - 1, 1000, -1000] {
            assert!(said(&held, &input(beyond)).is_err(), "{beyond} names no row");
        }
    }
}

#[test]
fn places_of_maxima_are_exact_and_the_first_of_equal_ones() {
    let pooled = |order: i64| {
        let window = vec![
            ints("kernel_shape", &[2, 2]),
            ints("pads", &[1, 1, 0, 0]),
            ints("strides", &[1, 2]),
            int("storage_order", order),
        ];
        let mut onnx = Onnx::new(&[1, 2, 3, 3]).node("MaxPool", &["x"], "m", window);
        onnx.graph.node[0].output.push("y".into());
        giving(onnx, &[("y", DataType::Int64)])
    };
    let inputs = [
        (0..18).map(|t| f64::from(t * 5 % 7) - 3.0).collect::<Vec<_>>(),
        vec![1.0; 18],
        (0..18).map(|t| -f64::from(t % 4)).collect(),
    ];
    for order in [0, 1] {
        let bytes = pooled(order);
        for profile in PROFILES {
            let samples: Vec<_> = inputs.iter().map(|x| vec![x.clone()]).collect();
            let (_, held) = by_the_file(&bytes, &samples, profile);
            for input in &samples {
                agrees(&bytes, &held, input, 0.0);
            }
        }
    }
}

#[test]
fn a_slope_may_be_computed() {
    let bytes = Onnx::new(&[2, 3])
        .input("s", &[3])
        .node("PRelu", &["x", "s"], "y", vec![])
        .bytes();
    agrees_with_the_reference("slope", &bytes);
    let samples = synthetic_samples(&import(&bytes).unwrap(), 8, 1);
    let (_, held) = by_the_file(&bytes, &samples, Profile::P16);
    agrees(&bytes, &held, &samples[3], 1e-3);
}

#[test]
fn whole_numbers_that_no_input_decides_may_be_an_output_beside_others() {
    let made = |numbers: &[i64]| {
        let onnx = Onnx::new(&[1, 2])
            .integers("c", numbers)
            .node("Relu", &["x"], "y", vec![]);
        giving(onnx, &[("c", DataType::Int64), ("y", DataType::Float)])
    };
    let bytes = made(&[-7, 0, 4_000_000]);
    agrees_with_the_reference("constant", &bytes);
    let (_, held) = by_the_file(&bytes, &[vec![vec![1.0, -2.0]]], Profile::P12);
    assert_eq!(said(&held, &[vec![0.5, 0.25]]).unwrap(), [-7.0, 0.0, 4_000_000.0]);
    let refused = import(&made(&[1 << 40])).unwrap_err().to_string();
    assert!(
        refused.contains("output `c`") && refused.contains("2^22"),
        "{refused}"
    );
}

#[test]
fn a_tensor_without_values_joins_others_as_nothing() {
    let bytes = Onnx::new(&[2, 3])
        .integers("from", &[3])
        .integers("to", &[3])
        .integers("axis", &[1])
        .node("Slice", &["x", "from", "to", "axis"], "none", vec![])
        .node("Relu", &["none"], "still", vec![])
        .node("Sigmoid", &["x"], "s", vec![])
        .node("Concat", &["still", "s", "none"], "y", vec![int("axis", 1)])
        .bytes();
    agrees_with_the_reference("nothing", &bytes);
    let alone = Onnx::new(&[2, 3])
        .integers("from", &[3])
        .integers("to", &[3])
        .integers("axis", &[1])
        .node("Slice", &["x", "from", "to", "axis"], "y", vec![])
        .node("Sigmoid", &["x"], "s", vec![]);
    let mut beside = alone;
    beside.graph.output.push(value_info("s", &[2, 3]));
    let refused = import(&beside.bytes()).unwrap_err().to_string();
    assert!(
        refused.contains("output `y`") && refused.contains("no values"),
        "{refused}"
    );
}

/// More rows than are compared with one by one, so that the graph has nothing but rows of a table.
#[test]
fn a_long_embedding_is_a_model_by_itself() {
    let table: Vec<f32> = (0..10_000).map(|t| (t % 97) as f32 / 50.0).collect();
    let onnx = Onnx::new(&[2])
        .constant("t", &[5000, 2], table)
        .node("Gather", &["t", "x"], "y", vec![])
        .opset(17);
    let bytes = given_ports(onnx, &[("x", INT, &[2])]);
    agrees_with_the_reference("embedding", &bytes);
    let (_, held) = by_the_file(
        &bytes,
        &[vec![vec![1.0, 4999.0]], vec![vec![-1.0, 2500.0]]],
        Profile::P16,
    );
    agrees(&bytes, &held, &[vec![17.0, -5000.0]], 1e-3);
    let system = zkml::systems::of(zkinfer_crds::ProofSystem::SumcheckWhir);
    let options = crate::slice::SlicingOptions::at_least(1);
    crate::slice::plan(&held, system, options).unwrap();
}

#[test]
fn turned_pairs_and_transforms_keep_the_budget() {
    let angles: Vec<f32> = (0..12).map(|t| t as f32 * 0.37).collect();
    let of = |f: fn(f32) -> f32| angles.iter().map(|a| f(*a)).collect::<Vec<f32>>();
    let rotary = Onnx::new(&[1, 2, 3, 8])
        .constant("c", &[1, 3, 4], of(f32::cos))
        .constant("s", &[1, 3, 4], of(f32::sin))
        .node("RotaryEmbedding", &["x", "c", "s"], "y", vec![])
        .opset(23);
    let transform = Onnx::new(&[2, 9, 1])
        .node("DFT", &["x"], "y", vec![int("onesided", 1)])
        .opset(17);
    for (name, onnx) in [("rotary", rotary), ("transform", transform)] {
        let bytes = onnx.bytes();
        agrees_with_the_reference(name, &bytes);
        let samples = synthetic_samples(&import(&bytes).unwrap(), 8, 1);
        let (_, held) = by_the_file(&bytes, &samples, Profile::P16);
        agrees(&bytes, &held, &samples[3], 1e-3);
    }
    let beyond = Onnx::new(&[1, 2, 3, 8])
        .constant("c", &[2, 4], vec![1.0; 8])
        .constant("s", &[2, 4], vec![0.0; 8])
        .integers("p", &[0, 1, 2])
        .node("RotaryEmbedding", &["x", "c", "s", "p"], "y", vec![])
        .opset(23);
    assert!(
        import(&beyond.bytes()).is_err(),
        "the third position has no angle"
    );
}
