//! The first five minutes: what `./quickstart` prints where its programs have to be built, and that the README shows what is printed
//! today.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test may fail the test"
)]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use serde_yaml::Value;
use zkinfer_tests::local::{Ran, program, repository, run};

/// A checkout in which building is quick: its programs are small ones that become those that were built here.
struct Checkout {
    folder: tempfile::TempDir,
}

/// How long the stand-in for the web app's build takes.
const APP: Duration = Duration::from_secs(15);

impl Checkout {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        let write = |path: &str, text: String| {
            std::fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            std::fs::write(at(path), text).unwrap();
        };
        for file in ["quickstart", "scripts/toolchain.sh", "rust-toolchain.toml"] {
            std::fs::create_dir_all(at(file).parent().unwrap()).unwrap();
            std::fs::copy(repository().join(file), at(file)).unwrap();
        }
        for shared in ["manifests", "tests"] {
            symlink(repository().join(shared), at(shared)).unwrap();
        }
        let members = [
            ("zkinfer-operator", "operator"),
            ("prover-worker", "prover-worker"),
        ];
        write(
            "Cargo.toml",
            "[workspace]\nresolver = \"2\"\nmembers = [\"operator\", \"prover-worker\"]\n".to_owned(),
        );
        let mut lock = "version = 4\n".to_owned();
        for (package, binary) in members {
            let manifest = format!(
                "[package]\nname = \"{package}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
                 [[bin]]\nname = \"{binary}\"\npath = \"main.rs\"\n"
            );
            write(&format!("{binary}/Cargo.toml"), manifest);
            let own = program(binary).display().to_string();
            let main = format!(
                "fn main() {{ use std::os::unix::process::CommandExt; \
                 let e = std::process::Command::new({own:?}).args(std::env::args_os().skip(1)).exec(); panic!(\"{{e}}\") }}\n"
            );
            write(&format!("{binary}/main.rs"), main);
            // Longer than Cargo waits before it tells what it is at.
            write(
                &format!("{binary}/build.rs"),
                "fn main() { std::thread::sleep(std::time::Duration::from_secs(2)); }\n".to_owned(),
            );
            lock += &format!("\n[[package]]\nname = \"{package}\"\nversion = \"0.1.0\"\n");
        }
        write("Cargo.lock", lock);
        write(
            "scripts/build-web.sh",
            format!("#!/bin/sh\nexec sleep {}\n", APP.as_secs()),
        );
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(at("scripts/build-web.sh"), mode).unwrap();
        Self { folder }
    }

    fn quickstart(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.folder.path().join("quickstart"));
        let variables = std::env::vars_os().map(|(name, _)| name);
        for name in variables.filter(|name| name.to_string_lossy().starts_with("CARGO")) {
            // Cargo says much of itself to the tests that it runs.
            command.env_remove(name);
        }
        if let Some(home) = std::env::var_os("CARGO_HOME") {
            command.env("CARGO_HOME", home);
        }
        command.args(words);
        command
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }
}

/// One that has been built and run once.
static RUN: LazyLock<(Checkout, Ran)> = LazyLock::new(|| {
    let checkout = Checkout::new();
    let ran = run(&mut checkout.quickstart(&["--time"]));
    (checkout, ran)
});

/// The minutes and CPU minutes that `--time` has told.
fn cost(stderr: &str) -> (f64, f64) {
    let line = stderr
        .lines()
        .find_map(|line| line.strip_prefix("the build took "));
    let line = line.unwrap_or_else(|| panic!("no time: {stderr}"));
    let (wall, cpu) = line.split_once(" min, ").expect("two times");
    let cpu = cpu.strip_suffix(" CPU minutes").expect("CPU minutes");
    (wall.parse().unwrap(), cpu.parse().unwrap())
}

#[test]
fn what_goes_on_is_told_in_few_lines_and_the_answer_comes_last() {
    let (_, ran) = &*RUN;
    assert_eq!(ran.code, 0, "{}{}", ran.stderr, ran.stdout);
    let told: Vec<&str> = ran
        .stderr
        .lines()
        .filter(|l| l.starts_with("compiling "))
        .collect();
    let first = told.first().copied().unwrap_or_default();
    assert!(
        first.contains(" of ") && (first.contains("zkinfer-operator") || first.contains("prover-worker")),
        "what is compiled: {}",
        ran.stderr
    );
    assert!(told.len() <= 10, "{told:?}");
    let (wall, cpu) = cost(&ran.stderr);
    assert!(wall < 2.0 && cpu < 2.0, "{}", ran.stderr);
    let lines = ran.stderr.lines().count() + ran.stdout.lines().count();
    assert!(lines <= 30, "{}{}", ran.stderr, ran.stdout);
    let last = ran.stdout.lines().last().unwrap_or_default();
    assert!(last.starts_with("  check it "), "{}", ran.stdout);
}

#[test]
fn a_slip_is_told_before_anything_is_built() {
    let checkout = Checkout::new();
    for (words, named) in [
        (&["--halo"][..], "--halo"),
        (&["-x"], "-x"),
        (&["digits.onnx"], "digits.onnx"),
        (&["--time=3"], "--time=3"),
        (&["-q", "-o", "json", "yaml"], "yaml"),
        (&["--wait"], "--wait"),
    ] {
        let ran = run(&mut checkout.quickstart(words));
        assert_eq!(ran.code, 2, "{words:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(named), "{words:?}: {}", ran.stderr);
    }
    let help = run(&mut checkout.quickstart(&["--help"]));
    assert_eq!(help.code, 0, "{}", help.stderr);
    for words in ["--halo2", "--time", "--web", "--no-web", "In a terminal"] {
        assert!(help.stdout.contains(words), "no {words}: {}", help.stdout);
    }
    assert!(!checkout.path("target").exists(), "nothing was built");
}

/// `--web` is what a terminal asks for by itself.
#[test]
fn with_the_web_app_answer_time_and_exit_code_are_the_same_and_it_stays() {
    let checkout = Checkout::new();
    let began = Instant::now();
    let mut child = checkout
        .quickstart(&["--time", "--web"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut told, mut built) = (String::new(), Duration::ZERO);
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    for line in stderr.by_ref().lines() {
        let line = line.unwrap();
        told += &format!("{line}\n");
        if line.starts_with("the build took ") {
            built = began.elapsed();
        }
        if line.contains("the web app stays") {
            break;
        }
    }
    // `exec` has kept the number.
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let ended = child.wait().unwrap();
    let mut answer = String::new();
    child.stdout.take().unwrap().read_to_string(&mut answer).unwrap();
    assert!(ended.success(), "{ended}: {told}");
    let labels =
        |text: &str| -> Vec<String> { text.lines().map(|line| line.chars().take(10).collect()).collect() };
    assert_eq!(labels(&answer), labels(&RUN.1.stdout), "{told}");
    let last = told.lines().last().unwrap_or_default();
    assert!(
        last.contains("http://127.0.0.1:"),
        "where to look is said once more: {told}"
    );
    // The app's build is not the programs'; minutes are rounded to tenths.
    let (wall, _) = cost(&told);
    let both = built.as_secs_f64();
    assert!(wall * 60.0 <= both - APP.as_secs_f64() + 6.0, "{both} s: {told}");
}

/// The lines of the README's blocks of what is typed and printed.
fn console() -> Vec<String> {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let mut inside = false;
    let mut lines = Vec::new();
    for line in readme.lines() {
        match line {
            "```console" => inside = true,
            "```" => inside = false,
            _ if inside => lines.push(line.to_owned()),
            _ => {}
        }
    }
    lines
}

/// A text with a sign for each number, since they differ from run to run.
fn shape(text: &str) -> String {
    let mut out = String::new();
    let mut in_number = false;
    for c in text.chars() {
        match c.is_ascii_digit() {
            true if in_number => {}
            true => out.push('#'),
            false => out.push(c),
        }
        in_number = c.is_ascii_digit();
    }
    out
}

/// Whether a printed line is the README's, in which `…` stands for what is long, or for the rest of a digest, whose beginning is
/// another's too.
fn fits(shown: &str, printed: &str) -> bool {
    let hex = |c: char| c.is_ascii_hexdigit();
    let (before, last) = shown
        .rsplit_once('…')
        .map_or((None, shown), |(b, l)| (Some(b), l));
    let before = before.into_iter().flat_map(|b| b.split('…'));
    let mut parts: Vec<String> = before.map(|part| shape(part.trim_end_matches(hex))).collect();
    parts.push(shape(last));
    let printed = shape(printed);
    let Some(mut left) = printed.strip_prefix(parts[0].as_str()) else {
        return false;
    };
    for (at, part) in parts.iter().enumerate().skip(1) {
        if at + 1 == parts.len() {
            return left.ends_with(part.as_str());
        }
        match left.find(part.as_str()) {
            Some(found) => left = &left[found + part.len()..],
            None => return false,
        }
    }
    left.is_empty()
}

#[test]
fn the_readme_shows_what_the_quickstart_prints_today() {
    let (_, ran) = &*RUN;
    let readme = console();
    let from = readme
        .iter()
        .position(|l| l == "default/digit-7")
        .expect("the answer");
    let to = from
        + readme[from..]
            .iter()
            .position(|l| l.starts_with("  check it "))
            .unwrap();
    let printed: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(to + 1 - from, printed.len(), "{}", ran.stdout);
    for (shown, printed) in readme[from..=to].iter().zip(printed) {
        // Who proves how many and how long that takes is another's every time, in other words.
        let varies = ["  miners   ", "  time     "]
            .iter()
            .find(|l| shown.starts_with(**l));
        let same = match varies {
            Some(label) => printed.starts_with(label),
            None => fits(shown, printed),
        };
        assert!(same, "the README has\n{shown}\nand this is printed:\n{printed}");
    }
    let progress: Vec<&str> = ran
        .stderr
        .lines()
        .filter(|l| l.contains(" s  default/"))
        .collect();
    let shown: Vec<&String> = readme.iter().filter(|l| l.contains(" s  default/")).collect();
    assert!(shown.len() >= 5, "{shown:?}");
    // Either pool proves any slice. How far the compiler and the request have come is told when somebody looks: a step that was
    // over by then is left out.
    let form = |line: &str| shape(&line.replace("miner-beta/beta", "miner-alpha/alpha"));
    let always = |line: &&&String| {
        [" compiled: ", " verified ", " Succeeded"]
            .iter()
            .any(|w| line.contains(w))
    };
    for shown in shown.iter().filter(always) {
        assert!(
            progress.iter().any(|line| form(line) == form(shown)),
            "the README has\n{shown}\nand this is printed:\n{}",
            ran.stderr
        );
    }
}

#[test]
fn the_readmes_command_checks_the_receipt_and_says_what_the_readme_says() {
    let (checkout, ran) = &*RUN;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let readme = console();
    let at = readme
        .iter()
        .position(|l| l.starts_with("$ prover-worker verify .zkinfer/"))
        .expect("how to check it");
    let command = format!("{}{}", readme[at][2..].trim_end_matches('\\'), readme[at + 1]);
    let programs = program("prover-worker").parent().unwrap().display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    let ran = run(Command::new("sh")
        .args(["-c", &command])
        .env("PATH", format!("{programs}:{path}"))
        .current_dir(checkout.folder.path()));
    assert_eq!(ran.code, 0, "{command}: {}{}", ran.stdout, ran.stderr);
    let shown: Vec<&String> = readme[at + 2..]
        .iter()
        .take_while(|l| !l.starts_with('$'))
        .filter(|l| l.len() > "…".len())
        .take_while(|l| *l != "The receipt is valid.")
        .collect();
    assert!(shown.len() >= 5, "{shown:?}");
    for shown in shown {
        assert!(
            ran.stdout.lines().any(|printed| fits(shown, printed)),
            "the README has\n{shown}\nand this is printed:\n{}",
            ran.stdout
        );
    }
    assert!(ran.stdout.contains("The receipt is valid."), "{}", ran.stdout);
}

/// The columns that `kubectl get` shows of a kind.
fn columns(plural: &str) -> Vec<String> {
    let file = repository().join(format!("crds/yaml/{plural}.zkinfer.dev.yaml"));
    let text = std::fs::read_to_string(&file).unwrap();
    let definition = serde_yaml::Deserializer::from_str(&text)
        .next()
        .expect("a document");
    let definition = Value::deserialize(definition).unwrap();
    let all = definition["spec"]["versions"][0]["additionalPrinterColumns"].as_sequence();
    let shown = all
        .expect("columns")
        .iter()
        .filter(|column| column["priority"].as_i64().unwrap_or(0) == 0);
    let names = shown.map(|column| column["name"].as_str().unwrap().to_uppercase());
    ["NAMESPACE", "NAME"]
        .into_iter()
        .map(str::to_owned)
        .chain(names)
        .collect()
}

#[test]
fn the_readmes_tables_have_the_columns_of_the_definitions() {
    let readme = console();
    let tables: Vec<Vec<&str>> = readme
        .iter()
        .filter(|l| l.starts_with("NAMESPACE "))
        .map(|l| l.split_whitespace().collect())
        .collect();
    let expected = ["models", "inferencerequests", "minerpools"].map(columns);
    assert_eq!(tables, expected);
}
