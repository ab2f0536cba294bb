//! Reads YAML files the way the API server would, without one.
//!
//! Invariant: nothing that was written is lost in silence. Every field of an object of ours reaches its type or is
//! named in an error with file, document and kind; objects of other groups come back as [`Document::Ignored`].

use std::fmt;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use super::schema::Problem;
use super::schema::{admit, kind_names};
use super::{GROUP, VERSION};

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 4 << 20;
/// The most data that a ConfigMap may hold, in bytes; the API server's limit.
pub const MAX_CONFIG_MAP_BYTES: usize = 1 << 20;

/// [`Document`], and the matches that name every kind of ours.
macro_rules! documents {
    ($($(#[$doc:meta])* $kind:ident($file:ident, $one:ident, $all:ident),)*) => {
        /// One object of a file.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Document {
            $($(#[$doc])* $kind(Box<super::$kind>),)*
            /// A ConfigMap, to which the others refer.
            ConfigMap(Box<ConfigMap>),
            /// An object that means nothing here, such as a Namespace or a Kustomization.
            Ignored {
                /// Its API version; empty where it has none.
                api_version: String,
                /// Its kind.
                kind: String,
                /// Its name; empty where it has none.
                name: String,
            },
        }

        impl Document {
            /// Reads an object of a kind of ours; `None` where there is no such kind.
            fn reader(kind: &str) -> Option<fn(Map<String, Value>) -> Result<Self, Vec<Problem>>> {
                match kind {
                    $(stringify!($kind) => Some(|object| {
                        Ok(Self::$kind(Box::new(ours(stringify!($kind), object)?)))
                    }),)*
                    _ => None,
                }
            }

            /// The object as JSON; `None` for one that means nothing here.
            #[must_use]
            pub fn as_value(&self) -> Option<serde_json::Result<Value>> {
                match self {
                    $(Self::$kind(object) => Some(serde_json::to_value(object)),)*
                    Self::ConfigMap(map) => Some(serde_json::to_value(map)),
                    Self::Ignored { .. } => None,
                }
            }
        }
    };
}

crate::kinds!(documents);

/// Why a file was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct DocumentError {
    /// The file.
    pub file: String,
    /// The document in it, from 1; none where the whole file is refused.
    pub document: Option<usize>,
    /// Kind and name, as far as they are known.
    pub object: Option<String>,
    /// All that is wrong with the document.
    pub problems: Vec<Problem>,
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(document) = self.document {
            write!(f, ", document {document}")?;
        }
        if let Some(object) = &self.object {
            write!(f, " ({object})")?;
        }
        for (i, problem) in self.problems.iter().enumerate() {
            f.write_str(if i == 0 { ": " } else { "; " })?;
            if !problem.field.is_empty() {
                write!(f, "{}: ", problem.field)?;
            }
            f.write_str(&problem.message)?;
        }
        Ok(())
    }
}

/// Reads all documents of a file; `file` is its name, for errors. Empty documents are skipped.
///
/// # Errors
/// The first document that the API server would refuse, with all that is wrong with it.
pub fn parse_documents(yaml: &str, file: &str) -> Result<Vec<Document>, DocumentError> {
    let error = |document, object, problems| DocumentError {
        file: file.to_owned(),
        document,
        object,
        problems,
    };
    if yaml.len() > MAX_FILE_BYTES {
        let message = format!(
            "the file has {} bytes; at most {MAX_FILE_BYTES} are read",
            yaml.len()
        );
        return Err(error(None, None, vec![problem("", message)]));
    }
    let mut documents = Vec::new();
    for (i, source) in serde_yaml::Deserializer::from_str(yaml).enumerate() {
        let refuse = |object, problems| error(Some(i + 1), object, problems);
        // Not straight to JSON: only this type refuses a key that is there twice.
        let value = serde_yaml::Value::deserialize(source)
            .map_err(|e| refuse(None, vec![problem("", format!("not YAML: {e}"))]))?;
        let value = to_json(value, "").map_err(|p| refuse(None, vec![p]))?;
        if value.is_null() {
            continue;
        }
        let described = describe(&value);
        documents.push(parse_document(value, file).map_err(|problems| refuse(described, problems))?);
    }
    Ok(documents)
}

fn problem(field: &str, message: impl Into<String>) -> Problem {
    Problem {
        field: field.to_owned(),
        message: message.into(),
    }
}

/// `Model mnist`, as far as the document says so.
fn describe(value: &Value) -> Option<String> {
    let kind = value["kind"].as_str()?;
    Some(match value["metadata"]["name"].as_str() {
        Some(name) => format!("{kind} {name}"),
        None => kind.to_owned(),
    })
}

/// Reads one document as the API server would on creation; `file` is its file's name, which tells kustomize's own.
///
/// # Errors
/// All that is wrong with it.
pub fn parse_document(value: Value, file: &str) -> Result<Document, Vec<Problem>> {
    let Value::Object(object) = value else {
        return Err(vec![problem(
            "",
            "a document must be a map with apiVersion and kind",
        )]);
    };
    let text = |key: &str| {
        object
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if kind.is_empty() || api_version.is_empty() {
        // kustomize takes its own file without either.
        let base = file.rsplit(['/', '\\']).next().unwrap_or(file);
        if ["kustomization.yaml", "kustomization.yml", "Kustomization"].contains(&base) {
            return Ok(Document::Ignored {
                api_version,
                kind: "Kustomization".to_owned(),
                name: String::new(),
            });
        }
        let missing = if kind.is_empty() { "kind" } else { "apiVersion" };
        return Err(vec![problem(missing, "is required and must be a text")]);
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    match (group, kind.as_str()) {
        (GROUP, _) if version != VERSION => {
            let message = format!("unknown version {version}; there is {GROUP}/{VERSION}");
            Err(vec![problem("apiVersion", message)])
        }
        (GROUP, kind) => match Document::reader(kind) {
            Some(read) => read(object),
            None => {
                let message = format!("unknown kind {kind}; there are {}", kind_names().join(", "));
                Err(vec![problem("kind", message)])
            }
        },
        ("", "ConfigMap") => Ok(Document::ConfigMap(Box::new(config_map(object)?))),
        // Its items would be ignored with it.
        ("", "List") => Err(vec![problem(
            "kind",
            "a List is not read: write its items as documents",
        )]),
        _ => {
            let name = object
                .get("metadata")
                .and_then(|m| m["name"].as_str())
                .unwrap_or_default()
                .to_owned();
            Ok(Document::Ignored {
                api_version,
                kind,
                name,
            })
        }
    }
}

/// An object of our group: checked, defaulted, typed.
fn ours<T: DeserializeOwned>(kind: &str, mut object: Map<String, Value>) -> Result<T, Vec<Problem>> {
    let mut problems = check_metadata(object.get("metadata"));
    for key in object.keys() {
        if !["apiVersion", "kind", "metadata", "spec", "status"].contains(&key.as_str()) {
            problems.push(problem(key, "unknown field; there are metadata, spec"));
        }
    }
    // The API server takes no status with a creation either.
    object.remove("status");
    match admit(kind, Value::Object(object)) {
        Ok(object) if problems.is_empty() => {
            serde_json::from_value(object).map_err(|e| vec![problem("", e.to_string())])
        }
        Ok(_) => Err(problems),
        Err(more) => {
            problems.extend(more);
            Err(problems)
        }
    }
}

fn config_map(object: Map<String, Value>) -> Result<ConfigMap, Vec<Problem>> {
    let mut problems = check_metadata(object.get("metadata"));
    let before = Value::Object(object);
    let map: ConfigMap = typed(&before, "", &mut problems).ok_or_else(|| problems.clone())?;
    let keys = || {
        map.data
            .iter()
            .flatten()
            .map(|(k, _)| k)
            .chain(map.binary_data.iter().flatten().map(|(k, _)| k))
    };
    for key in keys() {
        let legal = key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
        if key.is_empty() || key.len() > 253 || !legal {
            problems.push(problem(
                "data",
                format!("`{key}` is not a key: letters, digits, `-`, `_` and `.` only"),
            ));
        }
        if map.data.as_ref().is_some_and(|d| d.contains_key(key))
            && map.binary_data.as_ref().is_some_and(|d| d.contains_key(key))
        {
            problems.push(problem("binaryData", format!("`{key}` is in data too")));
        }
    }
    let bytes = map.data.iter().flatten().map(|(_, v)| v.len()).sum::<usize>()
        + map
            .binary_data
            .iter()
            .flatten()
            .map(|(_, v)| v.0.len())
            .sum::<usize>();
    if bytes > MAX_CONFIG_MAP_BYTES {
        problems.push(problem(
            "data",
            format!("{bytes} bytes; a ConfigMap holds at most {MAX_CONFIG_MAP_BYTES}"),
        ));
    }
    problems.dedup();
    if problems.is_empty() {
        Ok(map)
    } else {
        Err(problems)
    }
}

fn check_metadata(metadata: Option<&Value>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let Some(metadata) = metadata else {
        return vec![problem("metadata.name", "is required")];
    };
    let Some(typed) = typed::<ObjectMeta>(metadata, "metadata", &mut problems) else {
        return problems;
    };
    match typed.name.as_deref().unwrap_or_default() {
        "" => problems.push(problem("metadata.name", "is required")),
        name if !is_name(name) => problems.push(problem(
            "metadata.name",
            format!("`{name}` is not a name: lower-case letters, digits, `-` and `.` only, at most 253"),
        )),
        _ => {}
    }
    problems
}

/// A DNS subdomain (RFC 1123), as Kubernetes wants a name to be.
fn is_name(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        })
}

/// Reads a type of Kubernetes' own. Those skip unknown fields, so the result is compared with what was given.
fn typed<T>(before: &Value, path: &str, problems: &mut Vec<Problem>) -> Option<T>
where
    T: DeserializeOwned + serde::Serialize,
{
    match serde_json::from_value::<T>(before.clone()).and_then(|t| Ok((serde_json::to_value(&t)?, t))) {
        Ok((after, t)) => {
            lost(before, &after, path, problems);
            Some(t)
        }
        Err(e) => {
            problems.push(problem(path, e.to_string()));
            None
        }
    }
}

/// Names every field of `before` that `after` lacks.
fn lost(before: &Value, after: &Value, path: &str, problems: &mut Vec<Problem>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in before.iter().filter(|(_, value)| !value.is_null()) {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                match after.get(key) {
                    Some(after) => lost(value, after, &path, problems),
                    None => problems.push(problem(&path, "unknown field")),
                }
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            for (i, (before, after)) in before.iter().zip(after).enumerate() {
                lost(before, after, &format!("{path}[{i}]"), problems);
            }
        }
        _ => {}
    }
}

/// YAML as JSON. What JSON cannot say is refused: serde_json would write NaN as null, which means absent.
fn to_json(value: serde_yaml::Value, path: &str) -> Result<Value, Problem> {
    Ok(match value {
        serde_yaml::Value::Null => Value::Null,
        serde_yaml::Value::Bool(b) => Value::Bool(b),
        serde_yaml::Value::String(s) => Value::String(s),
        serde_yaml::Value::Number(n) => {
            let number = match (n.as_i64(), n.as_u64(), n.as_f64()) {
                (Some(i), _, _) => Some(i.into()),
                (_, Some(u), _) => Some(u.into()),
                (_, _, Some(f)) => serde_json::Number::from_f64(f),
                _ => None,
            };
            Value::Number(number.ok_or_else(|| problem(path, format!("`{n}` is not a number of JSON")))?)
        }
        serde_yaml::Value::Sequence(items) => {
            let items = items
                .into_iter()
                .enumerate()
                .map(|(i, item)| to_json(item, &format!("{path}[{i}]")));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        serde_yaml::Value::Mapping(map) => {
            let mut object = Map::new();
            for (key, item) in map {
                let serde_yaml::Value::String(key) = key else {
                    return Err(problem(path, "a key is not a text: put it in quotes"));
                };
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                object.insert(key, to_json(item, &path)?);
            }
            Value::Object(object)
        }
        serde_yaml::Value::Tagged(tagged) => {
            return Err(problem(path, format!("the tag {} is not read", tagged.tag)));
        }
    })
}
