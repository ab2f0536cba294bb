//! Forests over features in units of their own: every tree of the integer graph reaches the leaf that ONNX Runtime reaches.

use std::path::Path;
use std::process::Command;

use zkinfer_crds::ProofSystem;
use zkinfer_tests::local::repository;
use zkinfer_tests::onnx;
use zkml::graph::tensor_file::{FloatInput, dequantise, quantise_input, read_npy};
use zkml_compile::compile::{CompileOptions, plan};

/// Those of `tests/onnx/forests.py`.
const SETS: [&str; 5] = ["medical", "units", "prices", "sensors", "survey"];
const ROWS: usize = 20_000;
/// Rows that calibrate: of how far features go nothing is asked, but of how far the sums of votes do.
const CALIBRATING: usize = 64;

fn read(folder: &Path, file: &str) -> FloatInput {
    let bytes = std::fs::read(folder.join(file)).unwrap();
    read_npy(&bytes, 1 << 24).unwrap()
}

#[test]
fn no_branch_of_any_tree_is_wrong_in_100_000_inputs_of_five_data_sets() {
    let Some(environment) = onnx::environment() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new(environment.join("bin/python"))
        .arg(repository().join("tests/onnx/forests.py"))
        .arg(folder.path())
        .args([ROWS.to_string().as_str(), "1"])
        .status()
        .unwrap();
    assert!(made.success());
    for name in SETS {
        let onnx = std::fs::read(folder.path().join(name).with_extension("onnx")).unwrap();
        let x = read(folder.path(), &format!("{name}.x.npy"));
        let leaves = read(folder.path(), &format!("{name}.leaves.npy"));
        let (features, trees) = (x.shape[1], leaves.shape[1]);
        let rows = || x.values.chunks(features);
        assert_eq!((rows().len(), leaves.shape[0]), (ROWS, ROWS));
        let samples: Vec<_> = rows().take(CALIBRATING).map(|row| vec![row.to_vec()]).collect();
        let options = CompileOptions::new(ProofSystem::SumcheckWhir);
        let plan = plan(&onnx, Some(&samples), &options).unwrap();
        let info = |id: zkml::graph::TensorId| &plan.graph.tensors[id.0 as usize];
        let (input, output) = (info(plan.graph.inputs[0]), plan.graph.outputs[0]);
        assert!(input.ranks.is_some(), "{name}");
        let evaluator = plan.graph.evaluator().unwrap();
        let (mut wrong, mut missing) = (0usize, 0usize);
        for (row, expected) in rows().zip(leaves.values.chunks(trees)) {
            missing += row.iter().filter(|v| v.is_nan()).count();
            let given = FloatInput::new(vec![features], row.to_vec()).unwrap();
            let values = evaluator.run(&[quantise_input(input, &given).unwrap()]).unwrap();
            // Votes are whole numbers, and held to a part of one.
            let reached = dequantise(info(output), &values[output.0 as usize].values);
            wrong += reached
                .iter()
                .zip(expected)
                .filter(|(a, b)| (*a - *b).abs() >= 0.5)
                .count();
        }
        assert_eq!(wrong, 0, "{name}: of {} leaves", ROWS * trees);
        assert_eq!(missing > 0, ["units", "survey"].contains(&name), "{name}");
    }
}
