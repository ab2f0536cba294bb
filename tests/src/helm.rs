//! Helm and kubectl away from any cluster: what a chart renders, and what it refuses.
//!
//! Invariant: no configuration of this machine has a part in it. These helpers fail the test that calls them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of tests says by panicking what is wrong"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use crate::cluster::Tools;
use crate::local::repository;

/// A chart of the repository.
#[must_use]
pub fn chart(name: &str) -> PathBuf {
    repository().join("charts").join(name)
}

/// Runs a built tool; [`crate::cluster::can_run`] says whether there are any.
///
/// # Panics
/// Where it cannot be started.
#[must_use]
pub fn tool(name: &str, arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(Tools::find().unwrap().path(name));
    command
        .env_clear()
        .env("HOME", home.path())
        .args(arguments)
        .output()
        .unwrap()
}

/// What a tool prints.
///
/// # Panics
/// Where it fails.
#[must_use]
pub fn output(name: &str, arguments: &[&str]) -> String {
    let output = tool(name, arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?}: {text}{errors}");
    text
}

/// Objects by kind, namespace and name.
pub type Objects = BTreeMap<String, Value>;

/// The documents of a text.
///
/// # Panics
/// Where they are not YAML, or two have the same name.
#[must_use]
pub fn objects(documents: &str) -> Objects {
    use serde::Deserialize as _;
    let mut all = Objects::new();
    for document in serde_yaml::Deserializer::from_str(documents) {
        let object = Value::deserialize(document).unwrap();
        if object.is_null() {
            continue;
        }
        let meta = &object["metadata"];
        let name = format!("{} {} {}", object["kind"], meta["namespace"], meta["name"]);
        assert!(all.insert(name.clone(), object).is_none(), "two of {name}");
    }
    all
}

/// A release of a chart in a namespace, with these values: `helm template`.
#[derive(Debug, Clone)]
pub struct Release {
    /// The chart.
    pub chart: &'static str,
    /// The release.
    pub name: &'static str,
    /// Its namespace.
    pub namespace: &'static str,
}

impl Release {
    fn with<T>(&self, verb: &str, values: &str, more: &[&str], run: impl FnOnce(&str, &[&str]) -> T) -> T {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("values.yaml");
        std::fs::write(&file, values).unwrap();
        let (chart, file) = (
            chart(self.chart).display().to_string(),
            file.display().to_string(),
        );
        let line = [
            verb,
            self.name,
            &chart,
            "--namespace",
            self.namespace,
            "--values",
            &file,
        ];
        run("helm", &[&line[..], more].concat())
    }

    /// The text that is rendered of values.
    ///
    /// # Panics
    /// Where it is refused.
    #[must_use]
    pub fn text(&self, values: &str) -> String {
        self.with("template", values, &[], output)
    }

    /// The objects that are rendered of values.
    ///
    /// # Panics
    /// Where it is refused.
    #[must_use]
    pub fn objects(&self, values: &str) -> Objects {
        objects(&self.text(values))
    }

    /// Why values are refused, in Helm's words.
    ///
    /// # Panics
    /// Where they are not.
    #[must_use]
    pub fn refusal(&self, values: &str) -> String {
        let got = self.with("template", values, &[], tool);
        let errors = String::from_utf8_lossy(&got.stderr).into_owned();
        assert!(!got.status.success(), "it was taken: {values}");
        errors
    }

    /// What a person is told at the end of an installation.
    ///
    /// # Panics
    /// Where it is refused.
    #[must_use]
    pub fn notes(&self, values: &str) -> String {
        let told = self.with("install", values, &["--dry-run=client"], output);
        let (_, notes) = told.split_once("NOTES:\n").unwrap();
        notes.to_owned()
    }
}

/// The objects of a kind, by namespace and name.
pub fn of_kind<'a>(all: &'a Objects, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    all.values().filter(move |object| object["kind"] == kind)
}
