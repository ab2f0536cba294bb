//! `prover-worker reference` as the operator uses it: frames over its socket, models in processes of their own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test may fail the test"
)]

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use zkinfer_crds::float_wire::{
    Answer, Call, Input, MAX_VALUES_BYTES, read_frame, value_bytes, values_of, write_frame,
};
use zkinfer_crds::{Digest, ProofSystem};
use zkinfer_tests::local::{model_file, program};
use zkml_compile::compile::{CompileOptions, compile, plan};

const TIME: Duration = Duration::from_secs(20);
/// The wine model's input.
const WINE: [f64; 13] = [
    0.1, -0.4, 0.3, 1.2, -0.7, 0.0, 0.5, -1.1, 0.9, 0.2, -0.3, 0.6, 0.4,
];

struct Server {
    child: Child,
    folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(program("prover-worker"));
        command
            .arg("reference")
            .arg("--socket")
            .arg(folder.path().join("s"))
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        let server = Self {
            child: command.spawn().unwrap(),
            folder,
        };
        let began = Instant::now();
        while UnixStream::connect(server.socket()).is_err() {
            assert!(began.elapsed() < TIME, "it does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    fn client(&self) -> Client {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(TIME)).unwrap();
        Client(stream)
    }

    /// The processes that it has started.
    fn evaluators(&self) -> Vec<u32> {
        let own = format!("PPid:\t{}", self.child.id());
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = processes.filter_map(|p| p.file_name().to_str()?.parse::<u32>().ok());
        let of_own = |pid: &u32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status.lines().any(|line| line == own) && !status.contains("State:\tZ")
        };
        pids.filter(of_own).collect()
    }
}

struct Client(UnixStream);

impl Client {
    fn call(&mut self, call: &Call, body: &[u8]) -> (Answer, Vec<u8>) {
        write_frame(&mut self.0, call, body).unwrap();
        read_frame(&mut self.0, MAX_VALUES_BYTES).unwrap()
    }

    fn load(&mut self, model: &Model) -> Answer {
        let call = Call::Load {
            manifest: Digest::of(&model.manifest),
            model: Digest::of(&model.onnx),
            model_bytes: model.onnx.len() as u64,
        };
        self.call(&call, &[&model.onnx[..], &model.manifest].concat()).0
    }

    fn evaluate(&mut self, model: &Model, shape: &[u32], values: &[f64]) -> (Answer, Vec<u8>) {
        let call = Call::Evaluate {
            manifest: Digest::of(&model.manifest),
            inputs: vec![Input {
                name: model.input.to_owned(),
                shape: shape.to_vec(),
            }],
            output_scale: Vec::new(),
        };
        self.call(&call, &value_bytes([values]))
    }

    /// The outputs of a model that is held.
    fn outputs(&mut self, model: &Model, shape: &[u32], values: &[f64]) -> Vec<Vec<f64>> {
        match self.evaluate(model, shape, values) {
            (Answer::Outputs { lengths, .. }, body) => values_of(&body, lengths).unwrap(),
            (other, _) => panic!("{other:?}"),
        }
    }
}

/// An example model with its manifest.
struct Model {
    onnx: Vec<u8>,
    manifest: Vec<u8>,
    input: &'static str,
}

fn model(file: &str, input: &'static str) -> Model {
    let onnx = std::fs::read(model_file(file)).unwrap();
    let options = CompileOptions::new(ProofSystem::SumcheckWhir);
    let plan = plan(&onnx, None, &options).unwrap();
    let setup = plan.setup(None).unwrap();
    let compiled = compile(&plan, &setup, &|_| ()).unwrap();
    Model {
        manifest: compiled.manifest.to_bytes(),
        onnx,
        input,
    }
}

fn wine() -> Model {
    model("wine.onnx", "features")
}

fn digits() -> Model {
    model("digits.onnx", "image")
}

#[test]
fn a_model_is_loaded_once_and_answers_as_its_file_says() {
    let server = Server::start(&[]);
    let (mut client, wine) = (server.client(), wine());
    assert_eq!(client.evaluate(&wine, &[1, 13], &WINE).0, Answer::Unknown);
    assert_eq!(client.load(&wine), Answer::Loaded);
    let float = zkml_compile::import::import(&wine.onnx).unwrap();
    let reference = zkml_compile::float_model::FloatModel::read(&wine.onnx).unwrap();
    let expected = reference.outputs_of(&float, &[WINE.to_vec()]).unwrap();
    assert_eq!(expected[0].len(), 3);
    assert_eq!(client.outputs(&wine, &[1, 13], &WINE), expected);
    // Another connection finds it held.
    assert_eq!(server.client().outputs(&wine, &[1, 13], &WINE), expected);
    assert_eq!(server.evaluators().len(), 1);
}

#[test]
fn what_is_no_model_or_no_input_of_it_is_refused_and_spoils_nothing() {
    let server = Server::start(&[]);
    let (mut client, wine) = (server.client(), wine());
    let refused = |answer: Answer, what: &str| match answer {
        Answer::Refused { message } => assert!(message.contains(what), "{message}"),
        other => panic!("{other:?}"),
    };
    let swapped = Call::Load {
        manifest: Digest::of(&wine.onnx),
        model: Digest::of(&wine.manifest),
        model_bytes: wine.onnx.len() as u64,
    };
    let files = [&wine.onnx[..], &wine.manifest].concat();
    refused(client.call(&swapped, &files).0, "other digests");
    let garbage = Model {
        onnx: b"no model at all".to_vec(),
        ..self::wine()
    };
    refused(client.load(&garbage), "not a valid ONNX model");
    let garbage = Model {
        manifest: b"no manifest".to_vec(),
        ..self::wine()
    };
    refused(client.load(&garbage), "manifest");
    assert!(server.evaluators().is_empty(), "nobody holds what was refused");
    assert_eq!(client.load(&wine), Answer::Loaded);
    refused(
        client.evaluate(&wine, &[1, 13], &WINE[..5]).0,
        "another number of values",
    );
    refused(client.evaluate(&wine, &[1, 5], &WINE[..5]).0, "");
    refused(
        client.evaluate(&wine, &[u32::MAX, 13], &WINE).0,
        "too many values",
    );
    client.outputs(&wine, &[1, 13], &WINE);
}

#[test]
fn an_evaluator_that_dies_is_a_failure_of_one_call() {
    let server = Server::start(&[]);
    let (mut client, wine) = (server.client(), wine());
    client.load(&wine);
    let killed = |pid: &u32| {
        Command::new("kill")
            .args(["-9", &pid.to_string()])
            .status()
            .unwrap()
    };
    server
        .evaluators()
        .iter()
        .for_each(|pid| assert!(killed(pid).success()));
    let (answer, _) = client.evaluate(&wine, &[1, 13], &WINE);
    assert!(matches!(answer, Answer::Failed { .. }), "{answer:?}");
    assert_eq!(client.evaluate(&wine, &[1, 13], &WINE).0, Answer::Unknown);
    assert_eq!(client.load(&wine), Answer::Loaded);
    client.outputs(&wine, &[1, 13], &WINE);
}

#[test]
fn holds_as_many_models_as_it_may_and_the_one_asked_longest_ago_goes_first() {
    let server = Server::start(&["--models=1"]);
    let (mut client, wine, digits) = (server.client(), wine(), digits());
    client.load(&wine);
    let first = server.evaluators();
    assert_eq!(client.load(&digits), Answer::Loaded);
    let second = server.evaluators();
    assert!(first.len() == 1 && second.len() == 1 && first != second);
    assert_eq!(client.evaluate(&wine, &[1, 13], &WINE).0, Answer::Unknown);
}

#[test]
fn a_model_takes_no_more_memory_than_its_share() {
    let server = Server::start(&["--memory-mib=9", "--models=3"]);
    let mut client = server.client();
    // 16 MiB of nothing in the file alone.
    let large = Model {
        onnx: vec![0; 16 << 20],
        ..wine()
    };
    let answer = client.load(&large);
    assert!(matches!(answer, Answer::Failed { .. }), "{answer:?}");
    assert!(server.evaluators().is_empty());
}

#[test]
fn it_ends_with_whoever_started_it() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let line = format!(
        "{} reference --socket {} 2>/dev/null & read word",
        program("prover-worker").display(),
        socket.display()
    );
    let mut shell = Command::new("sh");
    let mut shell = shell.args(["-c", &line]).stdin(Stdio::piped()).spawn().unwrap();
    let until = |there: bool| {
        let began = Instant::now();
        while UnixStream::connect(&socket).is_ok() != there {
            assert!(began.elapsed() < TIME, "{there}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    until(true);
    shell.kill().unwrap();
    shell.wait().unwrap();
    until(false);
}
