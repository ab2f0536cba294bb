//! Receipts that a forger made with the library, judged by the program that people have: what he chose decides nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test may fail the test"
)]

mod forgers;

use std::path::{Path, PathBuf};
use std::process::Command;

use rand::Rng;
use rand::rngs::OsRng;
use serde_json::Value;
use zkinfer_crds::{ClaimId, Digest, Identity, ProofSystem, RequestUid, SliceIndex};
use zkinfer_tests::local::{LocalRuns, Ran, model_file, program, run};
use zkml::graph::{Inputs, quantise_input};
use zkml::receipt::ReceiptBuilder;
use zkml::setup::SrsSource;
use zkml_compile::compile::{CompileOptions, Compiled, Plan, Sample, compile, plan};

const REQUEST: &str = "09090909-0909-0909-0909-090909090909";

fn read(file: &str) -> Vec<u8> {
    std::fs::read(model_file(file)).unwrap()
}

/// The plan that an honest compiler makes of an example model.
fn honest(model: &str, data: &str, proof_system: ProofSystem) -> Plan {
    let samples = Inputs::read(&read(data), 1 << 20).unwrap();
    let samples = samples.samples(&["its input"]).unwrap();
    let samples: Vec<Sample> = samples.iter().map(|s| vec![s[0].values.clone()]).collect();
    let options = CompileOptions::new(proof_system);
    plan(&read(model), Some(&samples), &options).unwrap()
}

/// A proved receipt in a folder, with its manifest and the manifest's files.
struct Files {
    runs: LocalRuns,
    receipt: PathBuf,
    manifest: PathBuf,
}

impl Files {
    fn proved(plan: &Plan, input: &str) -> Self {
        let setup = plan.setup(Some(&SrsSource::Development)).unwrap();
        let compiled = compile(plan, &setup, &|_| ()).unwrap();
        let given = Inputs::read(&read(input), 1 << 20).unwrap();
        let info = &plan.graph.tensors[plan.graph.inputs[0].0 as usize];
        let floats = given.in_order(&[info.name.as_str()]).unwrap()[0];
        let tensors = plan
            .graph
            .evaluate(&[quantise_input(info, floats).unwrap()])
            .unwrap();
        let request = RequestUid::new([9; 16]);
        let mut receipt = ReceiptBuilder::new(&compiled.manifest, "forgers", request, &tensors).unwrap();
        for index in 0..compiled.manifest.slices.len() {
            let (slice, claim) = (SliceIndex(index as u32), ClaimId::new(OsRng.r#gen()));
            let identity = Identity::new([7; 32]);
            let prover = compiled.prover(&plan.graph, &setup, slice).unwrap();
            let inputs: Vec<Vec<i64>> = receipt
                .boundary(slice)
                .unwrap()
                .0
                .iter()
                .map(|v| v.to_vec())
                .collect();
            let statement = receipt.statement(slice, claim, identity);
            let (envelope, _) = prover.prove(&statement, &inputs, OsRng).unwrap();
            receipt.add(slice, claim, identity, &envelope).unwrap();
        }
        let runs = LocalRuns::new();
        let bytes = receipt.finish().unwrap().to_bytes();
        Self {
            receipt: runs.file("receipt.cbor", bytes),
            manifest: runs.file("manifest.cbor", compiled.manifest.to_bytes()),
            runs: blobs(runs, &compiled),
        }
    }

    fn verify(&self, arguments: &[&str]) -> Ran {
        run(Command::new(program("prover-worker"))
            .arg("verify")
            .arg(&self.receipt)
            .arg("--allow-dev-srs")
            .args(arguments))
    }

    fn by_model(&self, model: &str, input: &str, arguments: &[&str]) -> Ran {
        let (model, input) = (model_file(model), model_file(input));
        let files = ["--model", text(&model), "--input", text(&input)];
        self.verify(&[&files, arguments].concat())
    }
}

fn blobs(runs: LocalRuns, compiled: &Compiled) -> LocalRuns {
    let folder = runs.path().join("blobs/sha256");
    std::fs::create_dir_all(&folder).unwrap();
    for digest in compiled.manifest.files(compiled.system) {
        let bytes = compiled.file(digest).unwrap();
        assert_eq!(Digest::of(&bytes), digest);
        std::fs::write(folder.join(digest.hex()), bytes).unwrap();
    }
    runs
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn said(ran: &Ran, code: i32, expected: &[&str]) {
    assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
    for words in expected {
        assert!(
            ran.stdout.contains(words) || ran.stderr.contains(words),
            "{words}: {}{}",
            ran.stdout,
            ran.stderr
        );
    }
}

const DIGIT: &str = "data/digit-7.json";

#[test]
fn an_answer_to_the_zero_image_is_refused_for_the_digit() {
    let honest = honest(
        "digits.onnx",
        "data/digits-calibration.npy",
        ProofSystem::SumcheckWhir,
    );
    let forged = Files::proved(
        &forgers::with_exponent(&honest, honest.graph.inputs[0], -2),
        DIGIT,
    );
    let refused = forged.by_model("digits.onnx", DIGIT, &[]);
    said(
        &refused,
        1,
        &[
            "FAILS        Too coarse for this input are",
            "in steps of 4, by 100.00 % of its greatest value",
            "FAILS        Beyond your greatest error: on your input the greatest error against the float model is",
            "the float model's at 7",
            "The receipt is invalid.",
        ],
    );
    // Its own words: a budget that allows everything, a network and a request that nobody signed.
    said(
        &refused,
        1,
        &[
            "what it allows decides nothing",
            "which nobody has signed",
            "network \"forgers\"",
        ],
    );
    said(
        &forged.verify(&[
            "--manifest",
            text(&forged.manifest),
            "--input",
            text(&model_file(DIGIT)),
        ]),
        1,
        &["was rounded to steps of 4"],
    );
    let json = forged.by_model("digits.onnx", DIGIT, &["-o", "json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["verdict"], "invalid");
    assert_eq!(json["otherClass"]["float"], 7);
    assert_eq!(
        (json["maxError"].as_f64(), json["ownInput"].as_bool()),
        (Some(0.01), Some(true))
    );
    assert!(json["errorVsFloat"].as_f64().is_some_and(|e| e > 0.1));
    // And the manifest itself is found out on the verifier's own data.
    let data = model_file("data/digits-test.npy");
    let qualified = run(Command::new(program("prover-worker"))
        .arg("qualify")
        .arg(&forged.manifest)
        .args(["--model", text(&model_file("digits.onnx")), "--data", text(&data)]));
    said(
        &qualified,
        1,
        &["The manifest is NOT qualified", "greatest error"],
    );
    let written = forged.runs.path().join("manifest.cbor.qualified.json");
    let judged = forged.verify(&[
        "--manifest",
        text(&forged.manifest),
        "--qualified",
        text(&written),
    ]);
    said(&judged, 1, &["FAILS", "The manifest is not qualified"]);
}

/// The ways of an honest receipt, in one proof system.
fn honest_ways(system: ProofSystem) {
    let honest = honest("wine.onnx", "data/wine-calibration.npy", system);
    // The first wine of the test set, as `submit --input` takes it.
    let runs = LocalRuns::new();
    let wines = Inputs::read(&read("data/wine-test.npy"), 1 << 20).unwrap();
    let wine = wines.samples(&["features"]).unwrap().remove(0).remove(0);
    let named = runs.file(
        "wine.json",
        serde_json::json!({ "features": [wine.values] }).to_string(),
    );
    let files = Files::proved(&honest, text(&named));
    let (model, manifest) = (model_file("wine.onnx"), text(&files.manifest).to_owned());
    let by_model = ["--model", text(&model)];
    let input = ["--input", text(&named)];

    said(
        &files.verify(&[&by_model[..], &input].concat()),
        0,
        &["The receipt is valid.", "Within your greatest error"],
    );
    let alone = files.verify(&by_model);
    said(
        &alone,
        0,
        &[
            "valid for the integers in it; whose input they are was not checked",
            "distinct values",
        ],
    );
    let tight = [&by_model[..], &input, &["--max-error", "1e-9"]].concat();
    said(
        &files.verify(&tight),
        1,
        &["FAILS        Beyond your greatest error"],
    );
    let scaled = [
        &by_model[..],
        &input,
        &["--max-error", "1e-6", "--output-scale", "1e9", "--no-top1"],
    ]
    .concat();
    said(
        &files.verify(&scaled),
        0,
        &["or of its natural magnitude", "(--no-top1)"],
    );
    let two = [&by_model[..], &["--output-scale", "1,2"]].concat();
    said(
        &files.verify(&two),
        1,
        &["2 output scales, the model has 1 outputs"],
    );

    let identity = Identity::new([7; 32]).to_string();
    let other = Identity::new([8; 32]).to_string();
    let pinned = ["--network", "forgers", "--request", REQUEST, "--miner", &identity];
    said(
        &files.verify(&[&by_model[..], &pinned, &["--miner", &other]].concat()),
        0,
        &["holds        The receipt names what you expect: request 0909"],
    );
    for (flag, value, why) in [
        ("--network", "mainnet", "not yours, \"mainnet\""),
        (
            "--request",
            "01010101-0101-0101-0101-010101010101",
            "not yours, 0101",
        ),
        ("--miner", other.as_str(), "none of yours"),
    ] {
        said(
            &files.verify(&[&by_model[..], &[flag, value]].concat()),
            1,
            &["FAILS", why],
        );
    }

    // Depth (a), before and after the manifest was qualified.
    let by_manifest = ["--manifest", manifest.as_str()];
    let unqualified = files.verify(&[&by_manifest[..], &input].concat());
    said(
        &unqualified,
        0,
        &[
            "not checked  Your manifest is not qualified",
            "from a float model was not checked",
        ],
    );
    let data = model_file("data/wine-test.npy");
    let out = runs.path().join("found.json");
    let flags = ["--data", text(&data), "--out", text(&out), "--allow-dev-srs"];
    let qualified = run(Command::new(program("prover-worker"))
        .args(["qualify", &manifest])
        .args(by_model)
        .args(flags));
    said(
        &qualified,
        0,
        &[
            "The manifest is qualified.",
            "features",
            "(input)",
            "the float model's class",
        ],
    );
    let with = [&by_manifest[..], &input, &["--qualified", text(&out)]].concat();
    said(
        &files.verify(&with),
        0,
        &["holds        The manifest was qualified", "The receipt is valid."],
    );
    let strict = [&with[..], &["--max-error", "1e-9"]].concat();
    said(
        &files.verify(&strict),
        1,
        &["is not qualified: its greatest error"],
    );
    // What was measured beside the outputs' own magnitude says nothing of an error beside a smaller one.
    let beside = |scale: &str| files.verify(&[&with[..], &["--output-scale", scale]].concat());
    said(
        &beside("1e-6"),
        1,
        &[
            "FAILS",
            "is not qualified: its errors of output 0 were measured beside a magnitude of",
        ],
    );
    said(&beside("1e6"), 0, &["holds        The manifest was qualified"]);

    // Wrong use.
    for arguments in [
        &[&by_manifest[..], &["--no-top1"]].concat()[..],
        &[&by_model[..], &["--max-error", "-1"]].concat(),
        &[&by_model[..], &["--max-error", "NaN"]].concat(),
        &[&by_model[..], &["--output-scale", "1,inf"]].concat(),
        &[&by_model[..], &["--qualified", text(&out)]].concat(),
        &[&by_manifest[..], &["--qualified", text(&named)]].concat(),
        &[&by_model[..], &["--input", text(&model)]].concat(),
    ] {
        assert_eq!(files.verify(arguments).code, 2, "{arguments:?}");
    }
}

#[test]
fn an_honest_sumcheck_receipt_is_valid_and_says_for_what() {
    honest_ways(ProofSystem::SumcheckWhir);
}

#[test]
fn an_honest_halo2_receipt_is_valid_and_says_for_what() {
    honest_ways(ProofSystem::Halo2Kzg);
}
