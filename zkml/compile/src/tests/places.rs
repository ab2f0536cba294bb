//! Places that depend on the inputs, what stands at them, and arithmetic on whole numbers.

use tract_onnx::pb::tensor_proto::DataType;
use zkml::graph::{FloatInput, Profile, quantise_input};

use super::onnx::{Onnx, int};
use super::recipes::agrees_with_the_reference;
use super::whole::{PROFILES, answers, giving, integers};
use crate::import::import;

/// The greatest of three, for each of two rows.
fn place() -> Onnx {
    Onnx::new(&[2, 3]).node("ArgMax", &["x"], "at", vec![int("axis", 1), int("keepdims", 0)])
}

/// Rows whose greatest values stand at each pair of places.
fn rows() -> Vec<Vec<f64>> {
    let row = |place: usize| (0..3).map(move |at| if at == place { 2.0 } else { -1.0 });
    (0..9)
        .map(|pair| row(pair / 3).chain(row(pair % 3)).collect())
        .collect()
}

/// All outputs are the file's to the last bit, wherever the greatest values stand.
fn exact(name: &str, bytes: &[u8]) {
    agrees_with_the_reference(name, bytes);
    for profile in PROFILES {
        let int = integers(bytes, profile);
        for x in rows() {
            let [got, expected] = answers(bytes, &int, &[x]);
            assert_eq!(got, expected, "{name} {profile:?}");
        }
    }
}

fn refused(onnx: Onnx, kind: DataType) -> String {
    import(&giving(onnx, &[("y", kind)])).unwrap_err().to_string()
}

#[test]
fn names_of_classes_are_gathered_by_a_computed_place() {
    let onnx = place()
        .integers("names", &[40, -7, 1000])
        .node("Gather", &["names", "at"], "y", vec![])
        .integers("second", &[1])
        .node("Gather", &["y", "second"], "one", vec![]);
    exact(
        "names",
        &giving(onnx, &[("y", DataType::Int64), ("one", DataType::Int64)]),
    );
}

#[test]
fn rows_and_columns_of_a_table_are_gathered_by_a_computed_place() {
    let table: Vec<f32> = (0..18).map(|v| v as f32 * 0.375 - 2.0).collect();
    for (axis, dims) in [(0, [3, 3, 2]), (1, [3, 3, 2]), (-2, [2, 3, 3])] {
        let onnx = place().constant("table", &dims, table.clone()).node(
            "Gather",
            &["table", "at"],
            "y",
            vec![int("axis", axis)],
        );
        let bytes = giving(onnx, &[("y", DataType::Float)]);
        agrees_with_the_reference("table", &bytes);
        let int = integers(&bytes, Profile::P12);
        for x in rows() {
            let [got, expected] = answers(&bytes, &int, &[x]);
            let far = got[0].iter().zip(&expected[0]).map(|(a, b)| (a - b).abs());
            assert!(far.fold(0.0, f64::max) < 0.01, "{got:?} {expected:?}");
        }
    }
}

/// A look-up in two rows has an answer where the greatest of three, which names the row, is not the last.
fn only_of_two_rows(bytes: &[u8]) {
    let int = integers(bytes, Profile::P12);
    for x in rows() {
        let there = x[2] < 0.0 && x[5] < 0.0;
        let info = &int.tensors[int.inputs[0].0 as usize];
        let input = quantise_input(info, &FloatInput::new(vec![2, 3], x.clone()).unwrap()).unwrap();
        assert_eq!(int.evaluate(&[input]).is_ok(), there, "{x:?}");
    }
}

#[test]
fn a_place_that_is_not_there_has_no_answer() {
    let short = place()
        .integers("names", &[4, 5])
        .node("Gather", &["names", "at"], "y", vec![]);
    let bytes = giving(short, &[("y", DataType::Int64)]);
    only_of_two_rows(&bytes);
}

#[test]
fn a_place_that_is_not_there_has_no_answer_along_other_axes() {
    let short = place().constant("names", &[3, 2], vec![0.5; 6]).node(
        "Gather",
        &["names", "at"],
        "y",
        vec![int("axis", 1)],
    );
    let bytes = giving(short, &[("y", DataType::Float)]);
    only_of_two_rows(&bytes);
}

#[test]
fn a_place_in_floats_is_the_whole_part_of_a_number() {
    let float = Onnx::new(&[2])
        .constant("names", &[3], vec![0.5, -1.5, 2.0])
        .node("Cast", &["x"], "n", vec![int("to", DataType::Int64 as i64)])
        .node("Gather", &["names", "n"], "y", vec![]);
    let bytes = giving(float, &[("y", DataType::Float)]);
    // Its samples are within the table.
    let samples = [[0.0, 2.5], [-1.5, 1.0]].map(|sample| vec![sample.to_vec()]);
    let (_, int) = super::recipes::by_the_file(&bytes, &samples, Profile::P12);
    for (x, expected) in [
        ([0.75, 2.5], [0.5, 2.0]),
        ([-1.5, 1.0], [2.0, -1.5]),
        ([-0.5, -2.25], [0.5, -1.5]),
    ] {
        let [got, _] = answers(&bytes, &int, &[x.to_vec()]);
        let near = got[0].iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.01);
        assert!(near, "{x:?}: {got:?}");
    }
}

#[test]
fn one_hot_has_its_one_at_the_place_and_none_for_other_numbers() {
    let onnx = place()
        .integers("three", &[3])
        .integers("values", &[5, -2])
        .integers("two", &[2])
        .constant("halves", &[2], vec![0.25, 0.5])
        .node("OneHot", &["at", "three", "values"], "y", vec![])
        .node("Sub", &["at", "two"], "from_end", vec![])
        .node(
            "OneHot",
            &["from_end", "two", "values"],
            "z",
            vec![int("axis", 0)],
        )
        .node("OneHot", &["at", "two", "halves"], "h", vec![]);
    let outputs = [
        ("y", DataType::Int64),
        ("z", DataType::Int64),
        ("h", DataType::Float),
    ];
    exact("one hot", &giving(onnx, &outputs));
    let onnx = Onnx::new(&[2])
        .integers("three", &[3])
        .constant("values", &[2], vec![0.0, 1.0])
        .node("OneHot", &["x", "three", "values"], "y", vec![]);
    assert!(refused(onnx, DataType::Float).contains("not known to be whole"));
}

#[test]
fn whole_numbers_are_added_multiplied_chosen_and_put_in_a_row() {
    let onnx = place()
        .integers("seven", &[7])
        .constant("zero", &[], vec![0.0])
        .node(
            "ArgMin",
            &["x"],
            "least",
            vec![int("axis", 1), int("keepdims", 0)],
        )
        .node("Add", &["at", "seven"], "a", vec![])
        .node("Sub", &["seven", "a"], "b", vec![])
        .node("Mul", &["a", "b"], "c", vec![])
        .node("Mul", &["seven", "c"], "d", vec![])
        .node("Neg", &["d"], "e", vec![])
        .node("Add", &["e", "least"], "f", vec![])
        .node("Concat", &["f", "seven", "at"], "g", vec![int("axis", 0)])
        .node("Greater", &["at", "least"], "more", vec![])
        .node("Where", &["more", "f", "seven"], "h", vec![])
        .node("Where", &["more", "at", "least"], "i", vec![])
        .node("Equal", &["i", "at"], "same", vec![]);
    let whole = ["a", "b", "c", "d", "e", "f", "g", "h", "i"].map(|name| (name, DataType::Int64));
    exact(
        "sums",
        &giving(onnx, &[&whole[..], &[("same", DataType::Bool)]].concat()),
    );
    let large = place()
        .integers("c", &[3_000_000])
        .node("Mul", &["at", "c"], "y", vec![]);
    let said = refused(large, DataType::Int64);
    assert!(
        said.contains("`y_Mul` (Mul): whole numbers up to 6000000"),
        "{said}"
    );
}

#[test]
fn the_first_of_a_row_are_those_that_the_file_has_and_equals_keep_their_order() {
    let mut onnx = Onnx::new(&[2, 4, 2]);
    let mut outputs = Vec::new();
    for (at, (k, axis, largest)) in [(2, 1, 1), (4, -2, 0), (1, 0, 1), (2, -1, 0)]
        .into_iter()
        .enumerate()
    {
        let [size, values, places] = ["k", "v", "p"].map(|name| format!("{name}{at}"));
        onnx = onnx.integers(&size, &[k]).node(
            "TopK",
            &["x", &size],
            &values,
            vec![int("axis", axis), int("largest", largest)],
        );
        onnx.graph.node.last_mut().unwrap().output.push(places.clone());
        outputs.extend([(values, DataType::Float), (places, DataType::Int64)]);
    }
    let outputs: Vec<_> = outputs
        .iter()
        .map(|(name, kind)| (name.as_str(), *kind))
        .collect();
    let bytes = giving(onnx, &outputs);
    agrees_with_the_reference("first", &bytes);
    let ties = vec![
        1.0, -2.0, 1.0, -2.0, 0.5, -2.0, 1.0, -2.0, 3.0, 0.25, -3.0, 0.5, -3.0, 0.5, 3.0, 0.25,
    ];
    for profile in PROFILES {
        let int = integers(&bytes, profile);
        let [got, expected] = answers(&bytes, &int, std::slice::from_ref(&ties));
        for (at, (got, expected)) in got.iter().zip(&expected).enumerate() {
            if at % 2 == 1 {
                assert_eq!(got, expected, "{at} {profile:?}");
            }
            let near = got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.1);
            assert!(near, "{at} {profile:?}: {got:?} {expected:?}");
        }
    }
    let long = Onnx::new(&[1, 200])
        .integers("k", &[3])
        .node("TopK", &["x", "k"], "y", vec![]);
    assert!(refused(long, DataType::Float).contains("a row of 200 values"));
}

#[test]
fn the_first_of_the_greatest_is_1_and_all_others_0() {
    let ties = vec![
        1.0, -2.0, 1.0, -2.0, 0.5, -2.0, 1.0, -2.0, 3.0, 0.25, -3.0, 0.5, -3.0, 0.5, 3.0, 0.25,
    ];
    for axis in [0, 1, -1] {
        let onnx = Onnx::new(&[2, 4, 2]).node("Hardmax", &["x"], "y", vec![int("axis", axis)]);
        let bytes = giving(onnx, &[("y", DataType::Float)]);
        agrees_with_the_reference("greatest", &bytes);
        for profile in PROFILES {
            let int = integers(&bytes, profile);
            let [got, expected] = answers(&bytes, &int, std::slice::from_ref(&ties));
            assert_eq!(got, expected, "{axis} {profile:?}");
        }
    }
}

#[test]
fn no_computed_number_is_missing_and_few_are_multiplied() {
    let onnx = Onnx::new(&[2, 3])
        .node("IsNaN", &["x"], "n", vec![])
        .node("IsInf", &["x"], "i", vec![])
        .node("Identity", &["x"], "c", vec![])
        .node("ReduceProd", &["c"], "y", vec![super::onnx::ints("axes", &[1])]);
    let outputs = [
        ("n", DataType::Bool),
        ("i", DataType::Bool),
        ("y", DataType::Float),
    ];
    agrees_with_the_reference("product", &giving(onnx, &outputs));
    let many = Onnx::new(&[1, 17]).node("ReduceProd", &["x"], "y", vec![super::onnx::ints("axes", &[1])]);
    assert!(refused(many, DataType::Float).contains("a product of 17 values"));
}

#[test]
fn a_cast_to_bool_says_what_is_not_zero() {
    let onnx = place()
        .node("Cast", &["at"], "y", vec![int("to", DataType::Bool as i64)])
        .constant("one", &[], vec![1.0])
        .node("Add", &["x", "one"], "shifted", vec![])
        .node("Cast", &["shifted"], "z", vec![int("to", DataType::Bool as i64)]);
    exact(
        "yes and no",
        &giving(onnx, &[("y", DataType::Bool), ("z", DataType::Bool)]),
    );
}
