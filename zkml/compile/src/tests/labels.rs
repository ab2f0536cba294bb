//! Numbers in the places of others, and rows of 0 with a 1.

use tract_onnx::pb::tensor_proto::DataType;
use zkml::graph::Profile;

use super::functions::text;
use super::onnx::{Onnx, float, int, ints};
use super::recipes::agrees_with_the_reference;
use super::trees::{floats, texts};
use super::whole::{PROFILES, answers, giving, integers};
use crate::import::import;

/// The greatest of three for each of two rows, and what reads it.
fn named(op: &str, attributes: Vec<tract_onnx::pb::AttributeProto>) -> Onnx {
    let place = vec![int("axis", 1), int("keepdims", 0)];
    let onnx = Onnx::new(&[2, 3]).node("ArgMax", &["x"], "at", place);
    let mut onnx = onnx.node(op, &["at"], "y", attributes);
    onnx.graph.node.last_mut().unwrap().domain = "ai.onnx.ml".into();
    onnx
}

fn rows() -> [Vec<f64>; 3] {
    [[0, 1], [1, 2], [2, 0]].map(|places: [usize; 2]| {
        let row = |place: usize| (0..3).map(move |at| if at == place { 2.0 } else { -1.0 });
        row(places[0]).chain(row(places[1])).collect()
    })
}

/// In every profile, exactly.
fn answers_of_rows_are_the_files(bytes: &[u8]) {
    for profile in PROFILES {
        let int = integers(bytes, profile);
        for x in rows() {
            let [got, expected] = answers(bytes, &int, &[x]);
            assert_eq!(got, expected, "{profile:?}");
        }
    }
}

#[test]
fn a_whole_number_is_named_by_lists_and_another_has_the_default() {
    let encoders = [
        (
            vec![
                ints("keys_int64s", &[2, 0]),
                ints("values_int64s", &[-40, 7]),
                int("default_int64", 5),
            ],
            DataType::Int64,
        ),
        (
            vec![ints("keys_int64s", &[1]), ints("values_int64s", &[3])],
            DataType::Int64,
        ),
        (
            vec![
                ints("keys_int64s", &[2, 1]),
                floats("values_floats", &[8.0, 3.0]),
                float("default_float", 1.0),
            ],
            DataType::Float,
        ),
    ];
    for (attributes, kind) in encoders {
        let bytes = giving(named("LabelEncoder", attributes), &[("y", kind)]);
        agrees_with_the_reference("encoded", &bytes);
        answers_of_rows_are_the_files(&bytes);
    }
}

#[test]
fn floats_are_named_where_they_are_a_key_and_nowhere_beside_it() {
    let attributes = vec![
        floats("keys_floats", &[0.5, -1.0]),
        floats("values_floats", &[0.25, 3.5]),
        float("default_float", -2.0),
    ];
    let mut onnx = Onnx::new(&[1, 4]).node("LabelEncoder", &["x"], "y", attributes);
    onnx.graph.node.last_mut().unwrap().domain = "ai.onnx.ml".into();
    let bytes = giving(onnx, &[("y", DataType::Float)]);
    agrees_with_the_reference("floats", &bytes);
    let int = integers(&bytes, Profile::P12);
    let [got, expected] = answers(&bytes, &int, &[vec![0.5, -1.0, 0.625, 0.0]]);
    assert_eq!(expected[0], [0.25, 3.5, -2.0, -2.0]);
    let near = got[0].iter().zip(&expected[0]).all(|(a, b)| (a - b).abs() < 0.01);
    assert!(near, "{got:?}");
}

#[test]
fn a_number_is_a_row_of_the_categories_and_of_0_where_it_is_none() {
    let bytes = giving(
        named("OneHotEncoder", vec![ints("cats_int64s", &[2, 0])]),
        &[("y", DataType::Float)],
    );
    agrees_with_the_reference("one hot", &bytes);
    answers_of_rows_are_the_files(&bytes);
}

#[test]
fn texts_and_keys_that_stand_twice_are_refused_by_name() {
    let said = |op: &str, attributes| {
        let onnx = named(op, attributes);
        import(&giving(onnx, &[("y", DataType::Float)]))
            .unwrap_err()
            .to_string()
    };
    let of_texts = said(
        "LabelEncoder",
        vec![ints("keys_int64s", &[0]), texts("values_strings", &["a"])],
    );
    assert!(of_texts.contains("values_strings"), "{of_texts}");
    let twice = said(
        "LabelEncoder",
        vec![ints("keys_int64s", &[1, 1]), floats("values_floats", &[0.0, 1.0])],
    );
    assert!(twice.contains("the key 1 twice"), "{twice}");
    let of_texts = said(
        "OneHotEncoder",
        vec![texts("cats_strings", &["a"]), text("note", "")],
    );
    assert!(!of_texts.is_empty());
    let open = said(
        "OneHotEncoder",
        vec![ints("cats_int64s", &[0, 1]), int("zeros", 0)],
    );
    assert!(open.contains("zeros"), "{open}");
}
