//! ONNX's own tests, of nodes and of what PyTorch exported when opset 6 was ONNX's last: every one whose operators the reference
//! has gives the outputs that ONNX expects.

#![allow(clippy::expect_used)] // a test may

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use zkml_reference::{ElementType, Model, ReadError, Tensor, Values, operators};

mod onnx;

/// Tests that are passed over though the reference has their operators, each for its reason.
const LEFT_OUT: &[(&str, &str)] = &[
    ("test_training_dropout", RANDOM),
    ("test_training_dropout_default", RANDOM),
    ("test_training_dropout_default_mask", RANDOM),
    ("test_training_dropout_mask", RANDOM),
];
const RANDOM: &str = "what training drops is random";

/// Tests whose expected values are coarser than their type, and by how much.
const COARSE: &[(&str, f64)] = &[
    // Written by hand with four decimals.
    ("test_averagepool_2d_ceil_last_window_starts_on_pad", 1e-4),
    // A value lies in the middle of two steps, and falls to either side by the rounding of 32-bit floats.
    ("test_dynamicquantizelinear", 1.0),
    ("test_dynamicquantizelinear_expanded", 1.0),
];

/// Operators that no test of ONNX has.
const UNTESTED: &[&str] = &["GlobalLpPool"];

/// At least so many tests are right, so that an empty folder does not pass.
const RIGHT: usize = 1376;

/// Relative and absolute tolerance of a float output. The expected values are of that type, and so are the numbers
/// between the nodes that they were computed from; the reference rounds neither.
fn tolerance(element: ElementType) -> (f64, f64) {
    match element {
        ElementType::Float16 => (2e-3, 1e-3),
        ElementType::BFloat16 => (1e-2, 1e-2),
        _ => (1e-4, 1e-5),
    }
}

enum Outcome {
    Right,
    Wrong(String),
    /// Operators that the reference does not have, or why the file is not read.
    Unsupported(BTreeSet<String>),
}

fn tensors(folder: &Path, what: &str) -> Result<Vec<Tensor>, String> {
    let files = (0..).map(|i| folder.join(format!("{what}_{i}.pb")));
    let files = files.take_while(|f| f.is_file());
    let read = |f: std::path::PathBuf| {
        let bytes = fs::read(&f).expect("a stored tensor is read");
        Tensor::from_onnx(&bytes).map_err(|e| format!("{what}: {e}"))
    };
    files.map(read).collect()
}

fn run(folder: &Path) -> Outcome {
    let bytes = fs::read(folder.join("model.onnx")).expect("the model is read");
    let model = match Model::read(&bytes) {
        Ok(model) => model,
        Err(ReadError::Nodes(nodes)) => {
            let has = |op: &str| operators().contains(&op);
            let lacking: BTreeSet<String> = nodes
                .iter()
                .filter(|n| !has(&n.op))
                .map(|n| n.op.clone())
                .collect();
            if lacking.is_empty() {
                return Outcome::Wrong(ReadError::Nodes(nodes).to_string());
            }
            return Outcome::Unsupported(lacking);
        }
        Err(ReadError::Unsupported(why))
            if why.contains("is not evaluated") || why.contains("to be a tensor") =>
        {
            let kind = why.split(": ").last().unwrap_or_default();
            return Outcome::Unsupported(BTreeSet::from([kind.to_owned()]));
        }
        Err(e) => return Outcome::Wrong(e.to_string()),
    };
    let mut sets = 0;
    for set in onnx::folders(folder) {
        let checked = (|| {
            let got = model
                .evaluate(&tensors(&set, "input")?)
                .map_err(|e| e.to_string())?;
            let wanted = tensors(&set, "output")?;
            if got.len() != wanted.len() || got.is_empty() {
                return Err(format!("{} outputs, not {}", got.len(), wanted.len()));
            }
            let coarse = COARSE
                .iter()
                .find(|(name, _)| folder.ends_with(name))
                .map_or(0.0, |c| c.1);
            got.iter().zip(&wanted).try_for_each(|(g, w)| same(g, w, coarse))
        })();
        if let Err(why) = checked {
            return Outcome::Wrong(why);
        }
        sets += 1;
    }
    if sets == 0 {
        Outcome::Wrong("it has no data".into())
    } else {
        Outcome::Right
    }
}

fn same(got: &Tensor, wanted: &Tensor, coarse: f64) -> Result<(), String> {
    if (got.element(), got.shape()) != (wanted.element(), wanted.shape()) {
        return Err(format!(
            "{:?} of shape {:?}, not {:?} of {:?}",
            got.element(),
            got.shape(),
            wanted.element(),
            wanted.shape()
        ));
    }
    let (relative, absolute) = tolerance(got.element());
    let near = |g: f64, w: f64| (g - w).abs() <= coarse.max(absolute) + relative * w.abs();
    let agree = |g: f64, w: f64| g == w || (g.is_nan() && w.is_nan()) || near(g, w);
    match (got.values(), wanted.values()) {
        (Values::Float(g), Values::Float(w)) => match g.iter().zip(w).position(|(&g, &w)| !agree(g, w)) {
            Some(i) => Err(format!("value {i} is {}, not {}", g[i], w[i])),
            None => Ok(()),
        },
        (Values::Int(g), Values::Int(w)) if g.iter().zip(w).all(|(g, w)| g.abs_diff(*w) as f64 <= coarse) => {
            Ok(())
        }
        (g, w) if g == w => Ok(()),
        (g, w) => Err(format!("{g:?}, not {w:?}").chars().take(300).collect()),
    }
}

#[test]
fn every_node_test_of_the_operators_that_the_reference_has_is_right() {
    let Some(folder) = onnx::node_tests() else { return };
    let left_out: BTreeMap<&str, &str> = LEFT_OUT.iter().copied().collect();
    let (mut right, mut wrong, mut seen) = (0, Vec::new(), BTreeSet::new());
    let mut unsupported: BTreeMap<String, usize> = BTreeMap::new();
    let mut by_operator: BTreeMap<String, usize> = BTreeMap::new();
    for test in onnx::folders(&folder) {
        let name = test.file_name().expect("a name").to_string_lossy().into_owned();
        if let Some(why) = left_out.get(name.as_str()) {
            println!("left out: {name}: {why}");
            seen.insert(name);
            continue;
        }
        match run(&test) {
            Outcome::Right => {
                right += 1;
                let bytes = fs::read(test.join("model.onnx")).expect("the model is read");
                let model = Model::read(&bytes).expect("it was read before");
                let ops: BTreeSet<&str> = model.nodes().iter().map(|n| n.op.as_str()).collect();
                for op in ops {
                    *by_operator.entry(op.to_owned()).or_default() += 1;
                }
            }
            Outcome::Wrong(why) => wrong.push(format!("{name}: {why}")),
            Outcome::Unsupported(why) => {
                let why: Vec<String> = why.into_iter().collect();
                *unsupported.entry(why.join(", ")).or_default() += 1;
            }
        }
    }
    println!("tests right, by operator (a test counts for each of its operators):");
    by_operator.iter().for_each(|(op, n)| println!("  {op} {n}"));
    println!("tests unsupported, by what is lacking:");
    unsupported.iter().for_each(|(op, n)| println!("  {op}: {n}"));
    let lacking: usize = unsupported.values().sum();
    println!(
        "{right} right, {} wrong, {lacking} unsupported, {} left out",
        wrong.len(),
        seen.len()
    );
    let untested: Vec<_> = operators()
        .into_iter()
        .filter(|op| !by_operator.contains_key(*op))
        .collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(
        seen.len(),
        LEFT_OUT.len(),
        "tests are left out that are not there"
    );
    assert!(right >= RIGHT, "{right} right; at least {RIGHT} are expected");
    assert_eq!(untested, UNTESTED, "operators that no test has");
}

/// Folders of models that PyTorch exported, and how many at least are right.
const EXPORTED: &[(&str, usize)] = &[("pytorch-converted", 50), ("pytorch-operator", 20)];

#[test]
fn every_model_of_the_opsets_before_7_is_right() {
    let Some(nodes) = onnx::node_tests() else { return };
    let all = nodes.parent().expect("it lies beside others");
    for (folder, least) in EXPORTED {
        let (mut right, mut wrong) = (0, Vec::new());
        for test in onnx::folders(&all.join(folder)) {
            match run(&test) {
                Outcome::Right => right += 1,
                Outcome::Wrong(why) => wrong.push(format!("{}: {why}", test.display())),
                Outcome::Unsupported(why) => println!("unsupported: {}: {why:?}", test.display()),
            }
        }
        println!("{folder}: {right} right");
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
        assert!(
            right >= *least,
            "{folder}: {right} right; at least {least} are expected"
        );
    }
}
