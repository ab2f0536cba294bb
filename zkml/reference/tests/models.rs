//! Operators of ai.onnx.ml and com.microsoft give what ONNX Runtime gives, on random models.

#![allow(clippy::expect_used)] // a test may

use std::{env, fs, path::Path, process::Command};

use zkml_reference::{Model, Tensor, operators_of_microsoft, operators_of_models};

mod onnx;

/// Models made, the operators in turn.
const COUNT: &str = "400";
/// What the reference refuses because it means another thing for each row, at most.
const REFUSED: usize = 20;

fn tensor(path: &Path) -> Tensor {
    Tensor::from_onnx(&fs::read(path).expect("a tensor is read")).expect("it is a tensor")
}

#[test]
fn models_answer_what_onnx_runtime_answers() {
    let Some(tests) = onnx::node_tests() else { return };
    let python = tests
        .ancestors()
        .map(|folder| folder.join("bin/python"))
        .find(|p| p.is_file());
    let folder = env::temp_dir().join(format!("zkinfer-models-{}", std::process::id()));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/onnx/models.py");
    let made = Command::new(python.expect("an interpreter"))
        .args([script.as_path(), &folder])
        .args([COUNT, "1"])
        .output()
        .expect("python starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (mut right, mut refused, mut wrong) = (0, Vec::new(), Vec::new());
    let folders = onnx::folders(&folder);
    for place in &folders {
        let name = place.file_name().expect("a name").to_string_lossy().into_owned();
        let model = Model::read(&fs::read(place.join("model.onnx")).expect("a model")).expect(&name);
        match model.evaluate(&[tensor(&place.join("data/input_0.pb"))]) {
            Err(why) => refused.push(format!("{name}: {why}")),
            Ok(got) => {
                for (at, got) in got.iter().enumerate() {
                    let wanted = tensor(&place.join(format!("data/output_{at}.pb")));
                    let alike = |(g, w): (f64, f64)| (g - w).abs() <= 1e-5 + 1e-4 * w.abs();
                    let same = (got.element(), got.shape()) == (wanted.element(), wanted.shape())
                        && got.to_f64().into_iter().zip(wanted.to_f64()).all(alike);
                    if same {
                        right += 1;
                    } else {
                        wrong.push(format!("{name}: {got:?} and not {wanted:?}"));
                    }
                }
            }
        }
    }
    fs::remove_dir_all(&folder).expect("the models go");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(refused.len() <= REFUSED, "{}", refused.join("\n"));
    assert!(right > 380, "{right}");
    for operator in operators_of_models().into_iter().chain(operators_of_microsoft()) {
        let has = |place: &std::path::PathBuf| place.display().to_string().contains(&format!("/{operator}-"));
        assert!(folders.iter().any(has), "{operator}");
    }
}
