//! Sums, products and casts of whole numbers that inputs are, or that are made of them, and tables that are read by them.

use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::DataType;
use zkinfer_crds::ProofSystem;
use zkml::graph::Profile;

use super::given::{PROFILES, agrees, made_up, of, of_whole, said};
use super::onnx::{Onnx, int};
use super::recipes::{agrees_with_the_reference, by_the_file};
use crate::compile::{CompileOptions, plan};

#[test]
fn whole_numbers_without_an_end_are_added_and_multiplied_as_far_as_calibration_goes() {
    for (op, of) in [
        ("Add", (|x, c| x + c) as fn(f64, f64) -> f64),
        ("Sub", |x, c| x - c),
        ("Mul", |x, c| x * c),
    ] {
        let bytes = of_whole(DataType::Int64, 2)
            .integers("c", &[7, -3])
            .node(op, &["x", "c"], "n", vec![])
            .node("Cast", &["n"], "y", vec![int("to", DataType::Float as i64)])
            .bytes();
        let samples = [[-5.0, 5.0], [5.0, 5.0]].map(|sample| vec![sample.to_vec()]);
        for profile in PROFILES {
            let (_, int) = by_the_file(&bytes, &samples, profile);
            for x in -8..8 {
                let x = f64::from(x);
                let got = said(&int, &[vec![x, (-x).min(7.0)]]).unwrap();
                assert_eq!(got, [of(x, 7.0), of((-x).min(7.0), -3.0)], "{op}");
            }
            assert!(said(&int, &[vec![8.0, 0.0]]).is_err(), "{op}");
        }
    }
}

/// As Keras has it: the row that a number names, counted from the end where it is below 0, by comparisons and products.
#[test]
fn a_row_is_named_by_what_is_computed_of_a_number() {
    let looked_up = |onnx: Onnx, id: &str| {
        let cast = |kind: DataType| vec![int("to", kind as i64)];
        onnx.random("table", &[6, 3])
            .integers("rows", &[6])
            .constant("zero", &[], vec![0.0])
            .node("Cast", &[id], "f", cast(DataType::Float))
            .node("Less", &["f", "zero"], "below", vec![])
            .node("Not", &["below"], "not", vec![])
            .node("Cast", &["below"], "b", cast(DataType::Int64))
            .node("Cast", &["not"], "a", cast(DataType::Int64))
            .node("Add", &[id, "rows"], "counted", vec![])
            .node("Mul", &["b", "counted"], "p", vec![])
            .node("Mul", &[id, "a"], "q", vec![])
            .node("Add", &["p", "q"], "place", vec![])
            .node("Gather", &["table", "place"], "y", vec![])
            .bytes()
    };
    let whole = looked_up(of_whole(DataType::Int64, 2), "x");
    let cast = vec![int("to", DataType::Int64 as i64)];
    let truncated = looked_up(
        of(DataType::Float, &[1, 2]).node("Cast", &["x"], "id", cast),
        "id",
    );
    let samples = [[0.0, 5.0], [3.0, 1.0]].map(|sample| vec![sample.to_vec()]);
    for bytes in [whole, truncated] {
        let (_, int) = by_the_file(&bytes, &samples, Profile::P12);
        for at in -6..6 {
            agrees(&bytes, &int, &[vec![f64::from(at), 2.0]], 0.01);
        }
        // Below the table's first row by the comparison, the number counts from the end once more.
        agrees(&bytes, &int, &[vec![-7.0, 0.0]], 0.01);
        for at in [6.0, 7.0] {
            assert!(said(&int, &[vec![at, 0.0]]).is_err(), "{at}");
        }
    }
}

#[test]
fn a_cast_to_whole_numbers_drops_what_is_behind_the_point() {
    for kind in [DataType::Int32, DataType::Int64] {
        let bytes = of(DataType::Float, &[1, 2])
            .node("Cast", &["x"], "n", vec![int("to", kind as i64)])
            .node("Cast", &["n"], "y", vec![int("to", DataType::Float as i64)])
            .bytes();
        let samples = [[-6.0, 6.0], [5.5, 0.0]].map(|sample| vec![sample.to_vec()]);
        for profile in PROFILES {
            let (_, int) = by_the_file(&bytes, &samples, profile);
            for at in -24..=24 {
                let x = f64::from(at) * 0.25;
                assert_eq!(
                    said(&int, &[vec![x, -x]]).unwrap(),
                    [x.trunc(), -x.trunc()],
                    "{x}"
                );
            }
        }
    }
}

#[test]
fn the_least_of_a_byte_is_negated_multiplied_and_chosen() {
    let cast = vec![int("to", DataType::Int64 as i64)];
    let bytes = of(DataType::Int8, &[1, 2])
        .node("Cast", &["x"], "n", cast)
        .node("Neg", &["n"], "negative", vec![])
        .node("Mul", &["n", "n"], "square", vec![])
        .integers("zero", &[0])
        .node("Less", &["n", "zero"], "below", vec![])
        .node("Where", &["below", "negative", "n"], "size", vec![])
        .node("Add", &["square", "size"], "sum", vec![])
        .node("Cast", &["sum"], "y", vec![int("to", DataType::Float as i64)])
        .bytes();
    for profile in PROFILES {
        let (_, int) = by_the_file(&bytes, &made_up(&bytes), profile);
        for x in [-128.0, -127.0, -1.0, 0.0, 127.0f64] {
            let got = said(&int, &[vec![x, 0.0]]).unwrap();
            assert_eq!(got, [x * x + x.abs(), 0.0], "{x}");
        }
    }
}

#[test]
fn numbers_are_added_up_along_an_axis() {
    let bytes = of(DataType::Bool, &[2, 4])
        .node("Cast", &["x"], "n", vec![int("to", DataType::Int64 as i64)])
        .integers("axis", &[1])
        .node("CumSum", &["n", "axis"], "sums", vec![])
        .node("Mul", &["sums", "n"], "kept", vec![])
        .random("table", &[5, 2])
        .node("Gather", &["table", "kept"], "y", vec![])
        .bytes();
    let (_, int) = by_the_file(&bytes, &made_up(&bytes), Profile::P12);
    for bits in 0..16u32 {
        let row: Vec<f64> = (0..8).map(|at| f64::from(bits >> (at % 4) & 1)).collect();
        agrees(&bytes, &int, &[row], 0.01);
    }
}

/// Lists that are alike, and lists that are not, of whole numbers and of others; in fewer columns than the constant has.
#[test]
fn each_place_names_an_entry_of_its_own_list() {
    let alike: Vec<f32> = (0..15).map(|t| (t % 5) as f32 - 1.0).collect();
    let unlike: Vec<f32> = (0..15).map(|t| (t * t % 7) as f32).collect();
    let others: Vec<f32> = (0..15).map(|t| (t as f32).sin()).collect();
    for list in [alike, unlike, others] {
        let bytes = of(DataType::Int64, &[2, 3])
            .constant("list", &[3, 5], list)
            .node("GatherElements", &["list", "x"], "y", vec![int("axis", 1)])
            .bytes();
        agrees_with_the_reference("entries", &bytes);
        for profile in PROFILES {
            let (_, int) = by_the_file(&bytes, &made_up(&bytes), profile);
            for at in -5..5 {
                let others = [0.0, -1.0, 4.0, 2.0, f64::from(at)];
                let places = [vec![f64::from(at)], others.to_vec()].concat();
                agrees(&bytes, &int, &[places], 0.05);
            }
            for outside in [5.0, -6.0] {
                let places = [vec![outside], vec![0.0; 5]].concat();
                assert!(said(&int, &[places]).is_err(), "{outside}");
            }
        }
    }
    let moved = of(DataType::Bool, &[2, 3])
        .node("Cast", &["x"], "n", vec![int("to", DataType::Int64 as i64)])
        .integers("flat", &[2, 0, 1])
        .integers("shape", &[1, 3])
        .node("Reshape", &["flat", "shape"], "at", vec![])
        .node("GatherElements", &["n", "at"], "g", vec![int("axis", 1)])
        .node("Cast", &["g"], "y", vec![int("to", DataType::Float as i64)])
        .bytes();
    agrees_with_the_reference("moved", &moved);
}

#[test]
fn a_long_table_is_read_by_blocks_and_a_table_of_one_row_by_none() {
    for rows in [1i64, 4098, 5000] {
        let bytes = of_whole(DataType::Int64, 2)
            .random("t", &[rows, 2])
            .node("Gather", &["t", "x"], "y", vec![])
            .bytes();
        let (_, int) = by_the_file(&bytes, &made_up(&bytes), Profile::P12);
        let last = rows - 1;
        for at in [0, last / 2, last, -1, -rows] {
            agrees(&bytes, &int, &[vec![at as f64, 0.0]], 0.01);
        }
        for outside in [rows, -rows - 1] {
            assert!(
                said(&int, &[vec![outside as f64, 0.0]]).is_err(),
                "{outside} of {rows}"
            );
        }
    }
}

#[test]
fn columns_of_a_table_are_read_at_numbers_that_may_not_be_there() {
    let bytes = of_whole(DataType::Int64, 2)
        .random("t", &[3, 5, 2])
        .node("Gather", &["t", "x"], "y", vec![int("axis", 1)])
        .bytes();
    let (_, int) = by_the_file(&bytes, &made_up(&bytes), Profile::P12);
    for at in -5..5 {
        agrees(&bytes, &int, &[vec![f64::from(at), 2.0]], 0.01);
    }
    for outside in [5.0, -6.0] {
        assert!(said(&int, &[vec![outside, 0.0]]).is_err(), "{outside}");
    }
}

/// `3 · 32768 · 24576` is no int32: the file's product wraps, and a graph that multiplied in one step, in floats, would not.
#[test]
fn a_product_that_its_type_wraps_is_refused_and_never_made_in_one_step() {
    let mut onnx = of_whole(DataType::Int32, 2)
        .constant("part", &[], vec![1.0 / 1_073_741_824.0])
        .node("Mul", &["x", "c"], "m", vec![])
        .node("Mul", &["m", "d"], "n", vec![])
        .node("Cast", &["n"], "f", vec![int("to", DataType::Float as i64)])
        .node("Mul", &["f", "part"], "y", vec![]);
    for (name, value) in [("c", 32_768), ("d", 24_576)] {
        onnx.graph.initializer.push(TensorProto {
            name: name.into(),
            data_type: DataType::Int32 as i32,
            int32_data: vec![value],
            ..TensorProto::default()
        });
    }
    let bytes = onnx.bytes();
    // What is held for these has room for 3.
    let samples = [[-2.0, 2.0], [1.0, 0.0]].map(|sample| vec![sample.to_vec()]);
    let planned = plan(
        &bytes,
        Some(&samples),
        &CompileOptions::new(ProofSystem::SumcheckWhir),
    );
    let answer = planned.map(|plan| said(&plan.graph, &[vec![3.0, 0.0]]));
    assert!(!matches!(answer, Ok(Ok(_))), "{answer:?}");
}
