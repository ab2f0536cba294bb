//! Classifiers as scikit-learn's converter writes them by default: a label, and a map from each class to its score.

use std::process::Command;

use serde_json::Value;
use zkinfer_tests::local::{LocalRuns, program, run};
use zkinfer_tests::onnx;

/// Writes a classifier of three classes and an input, and prints what onnxruntime says: a list of maps.
const WRITE: &str = "
import sys, json, numpy as np, onnx, onnxruntime
from onnx import helper as h, TensorProto as T
folder = sys.argv[1]
linear = h.make_node('LinearClassifier', ['x'], ['label', 'scores'], domain='ai.onnx.ml', classlabels_ints=[4, 7, 9],
    coefficients=[0.5, -0.25, 1.0, 0.75, -0.5, 0.25], intercepts=[0.1, 0.0, -0.2], multi_class=0, post_transform='SOFTMAX')
zipped = h.make_node('ZipMap', ['scores'], ['probabilities'], domain='ai.onnx.ml', classlabels_int64s=[4, 7, 9])
maps = h.make_sequence_type_proto(h.make_map_type_proto(T.INT64, h.make_tensor_type_proto(T.FLOAT, None)))
graph = h.make_graph([linear, zipped], 'g', [h.make_tensor_value_info('x', T.FLOAT, [None, 2])],
    [h.make_tensor_value_info('label', T.INT64, [None]), h.make_value_info('probabilities', maps)])
opsets = [h.make_opsetid('', 13), h.make_opsetid('ai.onnx.ml', 2)]
onnx.save(h.make_model(graph, opset_imports=opsets, ir_version=8), folder + '/m.onnx')
x = np.array([[0.75, -1.25]], dtype=np.float32)
np.save(folder + '/x.npy', x)
session = onnxruntime.InferenceSession(folder + '/m.onnx', providers=['CPUExecutionProvider'])
label, maps = session.run(None, {'x': x})
print(json.dumps([list(maps[0]), list(maps[0].values()), label.tolist()]))
";

#[test]
fn a_map_from_class_to_score_is_answered_by_the_scores_in_the_order_of_the_classes() {
    let Some(environment) = onnx::environment() else {
        return;
    };
    let runs = LocalRuns::new();
    let mut python = Command::new(environment.join("bin/python"));
    let ran = run(python.args(["-c", WRITE]).arg(runs.path()));
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let (classes, expected, label): (Vec<i64>, Vec<f64>, Vec<f64>) =
        serde_json::from_str(ran.stdout.trim()).unwrap();
    assert_eq!(classes, [4, 7, 9]);
    let (model, input, values) = (
        runs.path().join("m.onnx"),
        runs.path().join("x.npy"),
        runs.path().join("y.npz"),
    );
    let mut submit = Command::new(program("operator"));
    submit.arg("submit").arg(&model).arg("--input").arg(&input);
    let ran = run(submit
        .args(["--local", "-o", "json", "-q", "--state"])
        .arg(runs.path().join("state")));
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let objects: Value = serde_json::from_str(&ran.stdout).unwrap();
    let mut items = objects["items"].as_array().unwrap().iter();
    let request = items.rfind(|o| o["kind"] == "InferenceRequest").unwrap();
    let receipt = request["status"]["receipt"]["path"].as_str().unwrap();
    let mut verify = Command::new(program("prover-worker"));
    verify
        .args(["verify", receipt, "--model"])
        .arg(&model)
        .arg("--input")
        .arg(&input);
    let ran = run(verify.arg("--values").arg(&values));
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let mut python = Command::new(environment.join("bin/python"));
    let read = "import sys, json, numpy as np; f = np.load(sys.argv[1]); print(json.dumps({n: f[n].tolist() for n in f}))";
    let ran = run(python.args(["-c", read]).arg(&values));
    let answered: Value = serde_json::from_str(ran.stdout.trim()).unwrap();
    assert_eq!(answered["label"], serde_json::json!(label), "{answered}");
    let got: Vec<Vec<f64>> = serde_json::from_value(answered["probabilities"].clone()).unwrap();
    let near = got[0].iter().zip(&expected).all(|(a, b)| (a - b).abs() < 0.01);
    assert!(near && got[0].len() == 3, "{got:?} {expected:?}");
}
