//! What GitOps tools make of an object, by the rules that `manifests/examples/gitops` give them: Argo CD by its Lua, Flux by its CEL,
//! and whatever else reads kstatus.
//!
//! Invariant: the rules are those of the files, and are run as their tools run them. Argo CD's script has `obj` and Lua without files
//! and processes; Flux first compares generations, then asks `inProgress`, `failed`, `current` with the object's own fields for
//! variables, and waits where an expression names what is not there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of tests says by panicking what is wrong"
)]

use cel::{Context, Program};
use mlua::{Lua, LuaOptions, LuaSerdeExt as _, StdLib};
use serde::Deserialize as _;
use serde_json::Value;

use crate::local::repository;

/// The objects of a file below `manifests/examples/gitops`.
///
/// # Panics
/// Where it is not there, or not YAML.
#[must_use]
pub fn examples(path: &str) -> Vec<Value> {
    let path = repository().join("manifests/examples/gitops").join(path);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_yaml::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

/// What Argo CD shows: `Healthy`, `Progressing`, `Degraded` or `Suspended`, and a message.
///
/// # Panics
/// Where the script fails, or answers something else.
#[must_use]
pub fn argo(object: &Value) -> (String, String) {
    let script = examples("argocd/health.yaml")[0]["data"]["resource.customizations.health.zkinfer.dev_*"]
        .as_str()
        .unwrap()
        .to_owned();
    let lua = Lua::new_with(
        StdLib::TABLE | StdLib::STRING | StdLib::MATH,
        LuaOptions::default(),
    )
    .unwrap();
    // An object as an API server gives it has no nulls.
    let value = lua.to_value(&without_nulls(object)).unwrap();
    lua.globals().set("obj", value).unwrap();
    let answer: mlua::Value = lua
        .load(&script)
        .eval()
        .unwrap_or_else(|e| panic!("{e}: {object:#}"));
    let answer: Value = lua.from_value(answer).unwrap();
    let text = |key: &str| {
        let text = answer[key].as_str();
        text.unwrap_or_else(|| panic!("no {key}: {answer}")).to_owned()
    };
    let status = text("status");
    let words = ["Healthy", "Progressing", "Degraded", "Suspended"];
    assert!(
        words.contains(&status.as_str()),
        "{status} is none of Argo CD's words"
    );
    (status, text("message"))
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(all) => {
            let kept = all.iter().filter(|(_, v)| !v.is_null());
            Value::Object(kept.map(|(k, v)| (k.clone(), without_nulls(v))).collect())
        }
        Value::Array(all) => all.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

/// What a tool that waits for an object makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// It waits on.
    InProgress,
    /// Waiting is of no use.
    Failed,
    /// It is as its spec says.
    Current,
}

/// The kinds that Flux has expressions for.
///
/// # Panics
/// Where the file is not as it was.
#[must_use]
pub fn flux_kinds() -> Vec<String> {
    let kinds = expressions()
        .into_iter()
        .map(|e| e["kind"].as_str().unwrap().to_owned());
    kinds.collect()
}

fn expressions() -> Vec<Value> {
    let all = examples("flux/network.yaml");
    let kustomization = all.into_iter().find(|o| o["kind"] == "Kustomization").unwrap();
    kustomization["spec"]["healthCheckExprs"]
        .as_array()
        .unwrap()
        .clone()
}

/// What Flux makes of an object, by the expressions for its kind.
///
/// # Panics
/// Where there are none, or one of them is no CEL.
#[must_use]
pub fn flux(object: &Value) -> Wait {
    let of = expressions()
        .into_iter()
        .find(|e| e["kind"] == object["kind"])
        .unwrap();
    assert_eq!(of["apiVersion"], object["apiVersion"]);
    let observed = &object["status"]["observedGeneration"];
    if !observed.is_null() && *observed != object["metadata"]["generation"] {
        return Wait::InProgress;
    }
    for (key, is) in [
        ("inProgress", Wait::InProgress),
        ("failed", Wait::Failed),
        ("current", Wait::Current),
    ] {
        let text = of[key].as_str().unwrap();
        let program = Program::compile(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let mut context = Context::default();
        for (name, value) in object.as_object().unwrap() {
            context.add_variable(name.as_str(), without_nulls(value)).unwrap();
        }
        match program.execute(&context) {
            Ok(cel::Value::Bool(true)) => return is,
            Ok(cel::Value::Bool(false)) => {}
            Ok(other) => panic!("{text} is no yes or no: {other:?}"),
            // Whoever polls asks again.
            Err(_) => return Wait::InProgress,
        }
    }
    Wait::InProgress
}

/// What whoever reads kstatus makes of an object that has conditions.
#[must_use]
pub fn kstatus(object: &Value) -> Wait {
    let status = &object["status"];
    let conditions = status["conditions"].as_array();
    let is = |type_: &str, word: &str| {
        let mut all = conditions.into_iter().flatten();
        all.any(|c| c["type"] == type_ && c["status"] == word)
    };
    let observed = &status["observedGeneration"];
    if !observed.is_null() && *observed != object["metadata"]["generation"] || is("Reconciling", "True") {
        Wait::InProgress
    } else if is("Stalled", "True") {
        Wait::Failed
    } else if is("Ready", "False") || is("Ready", "Unknown") {
        Wait::InProgress
    } else {
        Wait::Current
    }
}
