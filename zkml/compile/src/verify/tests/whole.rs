//! Inputs of whole numbers: a receipt states them as they are, and is bound to them.

use std::collections::BTreeMap;

use super::*;
use crate::tests::{Onnx, given_ports, int};

in_every_proof_system! {
    whole_inputs_are_stated_as_they_are_and_bound,
}

/// Rows of a table, and levels, added.
fn rows_and_levels() -> Vec<u8> {
    let onnx = Onnx::new(&[1, 2, 2])
        .random("table", &[3, 2])
        .constant("k", &[], vec![0.01])
        .node("Gather", &["table", "ids"], "rows", vec![])
        .node("Cast", &["level"], "f", vec![int("to", 1)])
        .node("Mul", &["f", "k"], "scaled", vec![])
        .node("Add", &["rows", "scaled"], "y", vec![]);
    given_ports(onnx, &[("ids", 7, &[1, 2]), ("level", 2, &[1, 2, 2])])
}

fn whole_inputs_are_stated_as_they_are_and_bound(system: Tested) {
    let model = Model::new(rows_and_levels(), 1, system);
    let inputs = |ids: [f64; 2]| {
        let level = FloatInput::new(vec![1, 2, 2], vec![0.0, 255.0, 7.0, 8.0]).unwrap();
        [FloatInput::new(vec![1, 2], ids.to_vec()).unwrap(), level]
    };
    let own = inputs([2.0, -3.0]);
    let receipt = model.run_all(&model.quantised(&own), 1);
    assert_eq!(receipt.input[0].values, [2, -3]);
    assert_eq!(receipt.input[1].values, [0, 255, 7, 8]);
    let verified = |receipt: &Receipt, own: [FloatInput; 2]| {
        let names = ["ids", "level"].map(str::to_owned);
        let given = Inputs::ByName(BTreeMap::from_iter(names.into_iter().zip(own)));
        let verification = Verification {
            input: Some(&given),
            ..model.by_model()
        };
        verify(&receipt.to_bytes(), &verification)
    };
    let report = verified(&receipt, own.clone());
    assert!(report.valid(), "{}", said(&report));
    // Another row, also one that is the same counted from the end; no row of the table; a fraction.
    for (ids, why) in [
        ([2.0, 1.0], "is not your input"),
        ([-1.0, -3.0], "is not your input"),
        ([2.5, -3.0], "the value 2.5 at 0 is no whole number"),
        ([9.0, -3.0], "the value 9 at 0 is outside the calibrated range"),
    ] {
        let report = verified(&receipt, inputs(ids));
        assert!(
            !report.valid() && said(&report).contains(why),
            "{}",
            said(&report)
        );
    }
    // A place outside of the table, within the range of the input: whatever is answered, nothing proves it.
    for at in [3, -4] {
        let mut other = receipt.clone();
        other.input[0].values[0] = at;
        assert!(!verified(&other, inputs([at as f64, -3.0])).valid(), "{at}");
    }
}
