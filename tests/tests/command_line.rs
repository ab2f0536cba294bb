//! Every subcommand, argument and flag of both programs, and every variable of the environment that they read, is in
//! `command_line.txt`.
//!
//! Nothing in a program turns verification off: whoever adds a switch adds a line there, which whoever reviews it sees.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says by panicking what is wrong"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use zkinfer_tests::local::{program, repository, run};

/// What a program says of itself.
fn help(words: &[&str]) -> String {
    let mut command = Command::new(program(words[0]));
    let ran = run(command.env_clear().args(&words[1..]).arg("--help"));
    assert_eq!(ran.code, 0, "{words:?}: {}", ran.stderr);
    ran.stdout
}

/// The lines of a section of a help text.
fn section<'a>(help: &'a str, title: &str) -> impl Iterator<Item = &'a str> {
    let title = format!("{title}:");
    let from = help.lines().skip_while(move |line| *line != title).skip(1);
    from.take_while(|line| line.is_empty() || line.starts_with(' '))
}

/// What takes a value or is a switch, each with the variable of the environment that stands for it.
fn arguments(help: &str) -> Vec<String> {
    // An argument begins a paragraph; what is said of it stands further to the right or on the same line.
    let mut paragraphs: Vec<String> = Vec::new();
    for line in section(help, "Arguments").chain(section(help, "Options")) {
        let words = line.trim_start();
        if line.len() - words.len() <= 6 && words.starts_with(['-', '<', '[']) {
            paragraphs.push(words.to_owned());
        } else if let Some(paragraph) = paragraphs.last_mut() {
            *paragraph += &format!("  {words}");
        }
    }
    let argument = |paragraph: String| {
        let (argument, said) = paragraph.split_once("  ").unwrap_or((&paragraph, ""));
        let said: Vec<&str> = said.split_whitespace().collect();
        let variable = said.iter().skip_while(|word| **word != "[env:").nth(1);
        let variable = variable.and_then(|v| v.split(['=', ']']).next());
        variable.map_or_else(|| argument.to_owned(), |v| format!("{argument}  [{v}]"))
    };
    paragraphs.into_iter().map(argument).collect()
}

/// The command and those below it.
fn tree(words: &[&str], text: &mut String) {
    let help = help(words);
    *text += &format!("{}\n", words.join(" "));
    for argument in arguments(&help) {
        *text += &format!("    {argument}\n");
    }
    for line in section(&help, "Commands") {
        let Some(name) = line.strip_prefix("  ").and_then(|l| l.split_whitespace().next()) else {
            continue;
        };
        if !line.starts_with("   ") && name != "help" {
            tree(&[words, &[name]].concat(), text);
        }
    }
}

/// The lines of the programs' sources in which a word stands, each with its file.
fn lines_with(word: &str) -> Vec<String> {
    fn files(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, into);
            } else if path.extension().is_some_and(|e| e == "rs") {
                into.push(path);
            }
        }
    }
    let mut all = Vec::new();
    for folder in ["crds/src", "operator/src", "prover-worker/src", "zkml/src"] {
        files(&repository().join(folder), &mut all);
    }
    all.sort();
    let mut found = Vec::new();
    for file in all {
        let text = fs::read_to_string(&file).unwrap();
        let lines = text.lines().filter(|line| line.contains(word));
        let file = file.strip_prefix(repository()).unwrap().display().to_string();
        found.extend(lines.map(|line| format!("{file}: {}", line.trim())));
    }
    found
}

#[test]
fn every_switch_of_the_programs_is_on_the_list() {
    let mut text = String::new();
    for name in ["operator", "prover-worker"] {
        tree(&[name], &mut text);
    }
    text += "read from the environment without an argument\n";
    // Tests write their golden files anew by it; no program reads it.
    let of_tests = |line: &String| line.contains("ZKINFER_UPDATE");
    for line in lines_with("env::var").into_iter().filter(|l| !of_tests(l)) {
        text += &format!("    {line}\n");
    }
    let path = repository().join("tests/tests/command_line.txt");
    if std::env::var_os("ZKINFER_UPDATE").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let listed = fs::read_to_string(&path).unwrap_or_default();
    for line in text.lines().filter(|line| !listed.lines().any(|l| l == *line)) {
        zkinfer_tests::tell(format_args!("not on the list: {line}"));
    }
    assert!(
        text == listed,
        "{}: ZKINFER_UPDATE=1 writes it anew\n{text}",
        path.display()
    );
    for flag in [
        "operator run",
        "prover-worker verify",
        "    --allow-dev-srs",
        "    --srs <FILE>",
    ] {
        assert!(
            text.lines().any(|l| l == flag),
            "the list is read wrongly: no {flag:?}"
        );
    }
}

#[test]
fn no_switch_is_hidden_from_help() {
    // Values of variables may be: tokens are.
    let may = |line: &&String| line.contains(": //") || line.contains("hide_env_values");
    let hidden: Vec<_> = lines_with("hide").into_iter().filter(|l| !may(&l)).collect();
    assert!(hidden.is_empty(), "{hidden:?}");
}
