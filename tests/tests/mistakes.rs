//! What people do wrong with the programs, and what they are told: each row is a mistake and the words that name it and the
//! way out. Those that need a cluster are in `operator/mistakes.rs`; models in forms that are not supported in
//! `zkml/compile/src/tests/words.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test may fail the test"
)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use zkinfer_tests::local::{LocalRuns, Ran, model_file, program, repository, run};
use zkinfer_tests::onnx;
use zkml::graph::{FloatInput, array_file};

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
const LFS: &[&str] = &["a Git LFS pointer to a file of 12345 bytes", "`git lfs pull`"];
const PAGE: &str = "<!DOCTYPE html>\n<html>404</html>\n";

fn says(ran: &Ran, code: i32, words: &[&str]) {
    let said = format!("{}{}", ran.stdout, ran.stderr);
    let missing: Vec<_> = words.iter().filter(|w| !said.contains(*w)).collect();
    assert!(missing.is_empty(), "no {missing:?}: {said}");
    assert_eq!(ran.code, code, "{said}");
}

/// It fails, and the last line of standard error has the words: a person sees why without a look at anything else.
fn ends(ran: &Ran, words: &[&str]) {
    let last = ran.stderr.lines().last().unwrap_or_default();
    let missing: Vec<_> = words.iter().filter(|w| !last.contains(*w)).collect();
    assert!(missing.is_empty(), "no {missing:?}: {last}\n{}", ran.stderr);
    assert!(last.starts_with("error: default/"), "{}", ran.stderr);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        !ran.stderr.contains("Proving"),
        "nothing was proved: {}",
        ran.stderr
    );
}

fn worker(command: &str, model: &Path, more: &[&str]) -> Ran {
    run(Command::new(program("prover-worker"))
        .arg(command)
        .arg(model)
        .args(["--proof-system", "SumcheckWhir"])
        .args(more))
}

/// `operator submit --local`, as text.
fn submit(runs: &LocalRuns, model: &Path, input: &Path, more: &[&str]) -> Ran {
    let mut command = Command::new(program("operator"));
    command.arg("submit").arg(model).arg("--input").arg(input);
    command
        .args(["--local", "--state"])
        .arg(runs.path().join("state"))
        .args(more);
    run(&mut command)
}

#[test]
fn a_file_that_is_no_model_is_named_for_what_it_is() {
    let runs = LocalRuns::new();
    let files: &[(&[u8], &[&str])] = &[
        (POINTER.as_bytes(), LFS),
        (PAGE.as_bytes(), &["a web page (HTML)"]),
        (br#"{"graph": []}"#, &["a JSON file"]),
        (b"PK\x03\x04 and so on", &["a zip archive"]),
        (b"\x02\0\0\0\0\0\0\0{}", &["safetensors", "torch.onnx.export"]),
        (b"\x80\x02}q\0.", &["a Python pickle", "torch.onnx.export"]),
        (b"\x1f\x8b\x08\0", &["gzip", "gunzip"]),
        (b"", &["an empty file"]),
    ];
    for (bytes, words) in files {
        let file = runs.file("model.onnx", bytes);
        let words = [&["not an ONNX model but "], *words].concat();
        says(&worker("inspect", &file, &[]), 1, &words);
    }
    // The same words from `submit`, with the condition's reason.
    let file = runs.file("model.onnx", POINTER);
    let input = model_file("data/digit-7.json");
    // Its Model's reason stands in the line before.
    let ran = submit(&runs, &file, &input, &["-q"]);
    ends(&ran, &[&["ModelFailed", "not an ONNX model but "], LFS].concat());
}

#[test]
fn calibration_data_that_is_none_is_named_for_what_it_is() {
    let runs = LocalRuns::new();
    let other = r#"{"pixels": [[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]}"#;
    let rows: &[(&str, i32, &[&str])] = &[
        (POINTER, 2, LFS),
        (PAGE, 2, &["neither a .npy or .npz file nor JSON but a web page"]),
        (
            other,
            1,
            &["the calibration data: the model has no input `pixels`; it has features"],
        ),
        (
            "[[1, 2]]",
            1,
            &["calibration sample 0: input `features` has 13 values, 2 were given"],
        ),
        (
            "3",
            1,
            &["input `features`: the first axis must count the samples"],
        ),
    ];
    for (text, code, words) in rows {
        let file = runs.file("calibration.json", text);
        let given = ["--calibration", file.to_str().unwrap()];
        says(&worker("inspect", &model_file("wine.onnx"), &given), *code, words);
    }
    // The same words from `submit`.
    let file = runs.file("calibration.json", POINTER);
    let given = ["--calibration", file.to_str().unwrap()];
    let input = runs.file("input.json", "[[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]");
    ends(&submit(&runs, &model_file("wine.onnx"), &input, &given), LFS);
}

#[test]
fn a_model_that_nothing_asks_ends_well_when_it_is_ready_and_with_its_reason_when_it_is_not() {
    let yaml = std::fs::read_to_string(repository().join("manifests/quickstart/model.yaml")).unwrap();
    let alone = |yaml: &str| {
        let runs = LocalRuns::new();
        let file = runs.file("model.yaml", yaml);
        let mut command = Command::new(program("operator"));
        command.args(["local", "-q", "-f"]).arg(file);
        run(command.arg("--state").arg(runs.path().join("state")))
    };
    let ready = alone(&yaml);
    assert_eq!((ready.code, ready.stderr.as_str()), (0, ""), "{}", ready.stdout);
    assert_eq!(ready.stdout, "default/digits  Compiled: requests can be served\n");
    // Base64 of `no `.
    let bad = alone(&yaml.replacen("model.onnx: ", "model.onnx: bm8g", 1));
    assert_eq!((bad.code, bad.stdout.as_str()), (1, ""), "{}", bad.stderr);
    assert!(
        bad.stderr.starts_with("error: default/digits: InvalidModel: ") && bad.stderr.lines().count() == 1,
        "{}",
        bad.stderr
    );
}

#[test]
fn what_is_given_to_verify_and_is_another_file_is_named_for_what_it_is() {
    let runs = LocalRuns::new();
    let pointer = runs.file("pointer", POINTER);
    let verify = |words: &[&std::ffi::OsStr]| {
        let mut command = Command::new(program("prover-worker"));
        run(command.arg("verify").args(words))
    };
    let (pointer, model) = (pointer.as_os_str(), model_file("wine.onnx"));
    let (manifest, of_model, srs) = ("--manifest".as_ref(), "--model".as_ref(), "--srs".as_ref());
    let named = |what: &'static str| [&["pointer is not ", what, " but "][..], LFS].concat();
    let receipt = verify(&[pointer, of_model, model.as_os_str()]);
    says(&receipt, 1, &named("a receipt"));
    says(&verify(&[pointer, manifest, pointer]), 2, &named("a manifest"));
    let setup = verify(&[pointer, of_model, model.as_os_str(), srs, pointer]);
    says(&setup, 2, &named("an SRS"));
    let qualified = [pointer, manifest, pointer, "--qualified".as_ref(), pointer];
    says(&verify(&qualified), 2, &["pointer is not ", " but "]);
    let srs = run(Command::new(program("prover-worker"))
        .args(["srs", "verify"])
        .arg(pointer));
    says(&srs, 1, &named("an SRS file"));
}

#[test]
fn a_compiler_that_ends_without_a_report_is_told_by_its_last_words() {
    let runs = LocalRuns::new();
    let worker = runs.file(
        "worker",
        format!(
            "#!/bin/sh\nif [ \"$1\" = compile-job ]; then\n    echo '0.1 s  fetching the model' >&2\n    \
             echo 'error: cannot write out/vk: No space left on device (os error 28)' >&2\n    exit 2\nfi\nexec '{}' \"$@\"\n",
            program("prover-worker").display()
        ),
    );
    std::fs::set_permissions(&worker, std::fs::Permissions::from_mode(0o755)).unwrap();
    let input = runs.file("input.json", "[[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]");
    let given = ["--worker", worker.to_str().unwrap()];
    let ran = submit(&runs, &model_file("wine.onnx"), &input, &given);
    ends(
        &ran,
        &[
            "ModelFailed",
            "exit code 2",
            "error: cannot write out/vk: No space left on device",
            "state/logs/compile-default-wine.log",
            "The disk that it writes to is full",
        ],
    );
    assert!(
        !ran.stderr.contains("kubectl"),
        "there is no cluster: {}",
        ran.stderr
    );
}

#[test]
fn an_input_that_is_none_is_named_for_what_it_is() {
    let runs = LocalRuns::new();
    let zeros = "[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]";
    let batch = format!("[{zeros}, {zeros}]");
    let rows: &[(&str, &[&str])] = &[
        (POINTER, LFS),
        (
            "\u{feff}<html>",
            &["neither a .npy or .npz file nor JSON but a web page"],
        ),
        (&batch, &["a batch of 2", "a request for each"]),
        (
            r#"{"pixels": [1]}"#,
            &["the model has the inputs features", "pixels"],
        ),
        ("[1, 2", &["not JSON"]),
    ];
    for (text, words) in rows {
        let input = runs.file("input.json", text);
        let words = [&["Failed: InvalidInput"], *words].concat();
        ends(&submit(&runs, &model_file("wine.onnx"), &input, &[]), &words);
    }
    let classes = runs.file("classes.json", POINTER);
    let input = runs.file("input.json", format!("[{zeros}]"));
    let given = ["--classes", classes.to_str().unwrap()];
    says(&submit(&runs, &model_file("wine.onnx"), &input, &given), 2, LFS);
}

#[test]
fn a_model_that_no_operator_reads_is_named_with_its_size_before_anything_is_sent() {
    let runs = LocalRuns::new();
    let model = runs.file("large.onnx", "");
    // It takes no room.
    let file = std::fs::File::options().write(true).open(&model).unwrap();
    file.set_len(65 << 20).unwrap();
    let input = model_file("data/digit-7.json");
    let operator = |words: &[&str]| {
        let mut command = Command::new(program("operator"));
        command.args(words).arg(&model).env("KUBECONFIG", "/nowhere");
        command
    };
    let words = [
        "large.onnx has 68157440 bytes, and an operator reads at most 67108864 (64 MiB)",
        "`prover-worker compile`",
    ];
    says(&submit(&runs, &model, &input, &[]), 2, &words);
    let on_a_cluster = run(operator(&["submit"]).arg("--input").arg(&input));
    says(&on_a_cluster, 2, &words);
    says(&run(&mut operator(&["upload"])), 1, &words);
    let as_an_input = run(&mut operator(&["submit", "wine", "--input"]));
    says(&as_an_input, 2, &words);
}

/// Two inputs, two outputs, and more values than a status holds: the whole answer is where `submit` says.
#[test]
fn a_model_of_several_inputs_and_outputs_is_answered_and_checked_by_name() {
    let runs = LocalRuns::new();
    let sizes: &[u64] = &[1, 300];
    let nodes: &[(&str, &[&str], &str)] = &[
        ("Add", &["a", "b"], "s"),
        ("Relu", &["s"], "y"),
        ("Sub", &["a", "b"], "z"),
    ];
    let bytes = onnx::file(
        nodes,
        &[],
        &[("a", sizes), ("b", sizes)],
        &[("y", sizes), ("z", sizes)],
    );
    let model = runs.file("two.onnx", bytes);
    let values = |value: f64| vec![vec![value; 300]];
    let input = serde_json::json!({ "a": values(0.5), "b": values(0.25) }).to_string();
    let input = runs.file("input.json", input);

    let data = runs.file("calibration.json", format!("{:?}", [[0.0; 300]]));
    let given = ["--calibration", data.to_str().unwrap()];
    let words = ["the model has 2 inputs", "tensors by input name (a, b)"];
    says(&worker("inspect", &model, &given), 1, &words);
    let uneven = serde_json::json!({ "a": [values(1.0), values(0.5)], "b": [values(0.5)] }).to_string();
    let data = runs.file("calibration.json", uneven);
    let given = ["--calibration", data.to_str().unwrap()];
    let words = ["input `b` has 1 samples, input `a` has 2"];
    says(&worker("inspect", &model, &given), 1, &words);

    let samples = serde_json::json!({ "a": [values(1.0), values(0.5)], "b": [values(0.5), values(-1.0)] });
    let data = runs.file("calibration.json", samples.to_string());
    let given = ["--calibration", data.to_str().unwrap()];
    let ran = submit(&runs, &model, &input, &given);
    says(
        &ran,
        0,
        &[
            "y [1, 300]: more values than a status holds",
            "1 output more",
            "-o json",
        ],
    );
    let command = ran.stdout.lines().find_map(|l| l.trim().strip_prefix("check it"));
    let command = command.expect("how to check it").trim();
    // What `submit` takes `verify` takes too, in each form of a file.
    let array = |value: f64| FloatInput::new(vec![1, 300], vec![value; 300]).unwrap();
    let (a, b) = (array(0.5), array(0.25));
    let archive = array_file::npz([("a", &a), ("b", &b)]);
    let archive = runs.file("input.npz", archive);
    let by_archive = command.replace(input.to_str().unwrap(), archive.to_str().unwrap());
    assert_ne!(by_archive, command);
    let ran = run(Command::new("sh").args(["-c", &by_archive]));
    says(
        &ran,
        0,
        &["The receipt's input is your input", "The receipt is valid"],
    );
    let ran = run(Command::new("sh").args(["-c", &format!("{command} -o json")]));
    says(&ran, 0, &[]);
    let said: Value = serde_json::from_str(&ran.stdout).unwrap();
    for (name, value) in [("y", 0.75), ("z", 0.25)] {
        let output = &said["outputs"][name];
        assert_eq!(output["shape"], serde_json::json!([1, 300]), "{output}");
        let values = output["values"].as_array().unwrap();
        let near = |v: &Value| v.as_f64().is_some_and(|v| (v - value).abs() < 0.02);
        assert!(values.len() == 300 && values.iter().all(near), "{output}");
    }
}

/// The example of wine and the quickstart's pools, with what is replaced in the Model.
fn wine(runs: &LocalRuns, replaced: (&str, &str)) -> Command {
    let manifests = repository().join("manifests");
    let read = |path: &str| std::fs::read_to_string(manifests.join(path)).unwrap();
    let model = read("examples/wine.yaml");
    assert!(model.contains(replaced.0));
    let (model, pools) = (
        runs.file("wine.yaml", model.replace(replaced.0, replaced.1)),
        runs.file("pools.yaml", read("quickstart/pools.yaml")),
    );
    let mut command = Command::new(program("operator"));
    command.args(["local", "-f"]).arg(model).arg("-f").arg(pools);
    command.arg("--state").arg(runs.path().join("state"));
    command
}

#[test]
fn whoever_runs_pools_that_no_list_lets_in_is_told_once_what_a_cluster_would_ask() {
    const SAID: &str = "since you run them all; on a cluster a Model's spec.servedBy must name them";
    let listed = "  servedBy: [{ namespace: miner-alpha }, { namespace: miner-beta }]\n";
    for (replaced, times) in [((listed, ""), 1), (("", ""), 0)] {
        let runs = LocalRuns::new();
        let ran = run(&mut wine(&runs, replaced));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_eq!(ran.stderr.matches(SAID).count(), times, "{}", ran.stderr);
    }
    // Who is left out by a list is so here too, although the same person runs the pool.
    let runs = LocalRuns::new();
    let ran = run(&mut wine(
        &runs,
        (listed, "  servedBy: []\n  slicing: { parallelism: 1 }\n"),
    ));
    assert_ne!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn log_lines_have_colours_on_a_terminal_and_nowhere_else() {
    let runs = LocalRuns::new();
    let plain = wine(&runs, ("", ""));
    let words: Vec<_> = std::iter::once(plain.get_program())
        .chain(plain.get_args())
        .collect();
    let line = words
        .iter()
        .map(|w| w.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ");
    let coloured = |text: &str| {
        text.split("\u{1b}[").skip(1).any(|rest| {
            rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')
                .starts_with('m')
        })
    };
    let told = |mut command: Command| {
        let ran = run(command.env("RUST_LOG", "debug"));
        let all = ran.stdout + &ran.stderr;
        assert!(all.contains("DEBUG"), "{all}");
        all
    };
    let in_terminal = || {
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm");
        command
    };
    let (mut never, mut piped) = (in_terminal(), Command::new("sh"));
    never.env("NO_COLOR", "1");
    piped.args(["-c", &line]);
    assert!(coloured(&told(in_terminal())), "a terminal has them");
    assert!(!coloured(&told(piped)), "a pipe has none");
    assert!(!coloured(&told(never)), "who wants none has none");
}
