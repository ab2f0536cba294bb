//! Models that keep tensors in other files, as ONNX's own package writes them.

use std::process::Command;

use zkinfer_tests::local::{LocalRuns, Ran, model_file, program, run};
use zkinfer_tests::onnx;

const WRITE: &str = "
import sys, onnx
whole, out = sys.argv[1:]
model = onnx.load(whole)
onnx.save(model, out, save_as_external_data=True, all_tensors_to_one_file=False, size_threshold=0)
";
const COMPARE: &str = "
import sys, onnx
from onnx import numpy_helper
a, b = (onnx.load(f) for f in sys.argv[1:])
assert not any(t.external_data or t.data_location for t in b.graph.initializer)
assert len(a.graph.initializer) == len(b.graph.initializer) > 0
for x, y in zip(a.graph.initializer, b.graph.initializer):
    assert x.name == y.name and numpy_helper.to_array(x).tobytes() == numpy_helper.to_array(y).tobytes(), x.name
assert a.graph.node == b.graph.node and a.graph.input == b.graph.input and a.graph.output == b.graph.output
";

#[test]
fn a_model_of_several_files_is_joined_to_what_onnx_reads_of_them() {
    let Some(environment) = onnx::environment() else {
        return;
    };
    let runs = LocalRuns::new();
    let (parts, joined) = (runs.path().join("parts.onnx"), runs.path().join("joined.onnx"));
    let python = |script: &str, files: [&std::path::Path; 2]| {
        let mut command = Command::new(environment.join("bin/python"));
        let ran = run(command.args(["-c", script]).args(files));
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    };
    let worker = |arguments: &[&std::ffi::OsStr]| -> Ran {
        run(Command::new(program("prover-worker")).args(arguments))
    };
    python(WRITE, [&model_file("wine.onnx"), &parts]);
    // The model alone is refused, with the command that helps.
    let ran = worker(&["inspect".as_ref(), parts.as_ref()]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains("prover-worker join FILE --out OTHER"),
        "{}",
        ran.stderr
    );
    let ran = worker(&["join".as_ref(), parts.as_ref(), "--out".as_ref(), joined.as_ref()]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    python(COMPARE, [&parts, &joined]);
    let ran = worker(&["inspect".as_ref(), joined.as_ref()]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
}
