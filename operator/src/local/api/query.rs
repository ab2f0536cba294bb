//! What a call asks for: which objects, and which of them.
//!
//! Invariant: what is not understood is refused, never left out.

use serde_json::Value;

use super::kinds::Kind;
use super::refused::Refused;

/// What a call is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// Objects of a kind.
    Objects {
        kind: Kind,
        namespace: Option<String>,
        name: Option<String>,
        /// Its status alone.
        status: bool,
    },
    /// A question.
    Review(String),
}

impl Target {
    pub(super) fn of(path: &str) -> Result<Self, Refused> {
        let unknown = || Refused::not_found(format!("resource at {path}"));
        let mut words = path.split('/').filter(|w| !w.is_empty());
        let version = match (words.next(), words.next()) {
            (Some("api"), Some("v1")) => "v1".to_owned(),
            (Some("apis"), Some(group)) => format!("{group}/{}", words.next().ok_or_else(unknown)?),
            _ => return Err(unknown()),
        };
        let words: Vec<&str> = words.collect();
        let reviews = ["authentication.k8s.io/v1", "authorization.k8s.io/v1"];
        if let ([review], true) = (&words[..], reviews.contains(&version.as_str())) {
            return Ok(Self::Review((*review).to_owned()));
        }
        let (namespace, words) = match &words[..] {
            ["namespaces", namespace, rest @ ..] => (Some((*namespace).to_owned()), rest),
            rest => (None, rest),
        };
        let (plural, name, status) = match words {
            [plural] => (plural, None, false),
            [plural, name] => (plural, Some((*name).to_owned()), false),
            [plural, name, "status"] => (plural, Some((*name).to_owned()), true),
            _ => return Err(unknown()),
        };
        Ok(Self::Objects {
            kind: Kind::find(&version, plural).ok_or_else(unknown)?,
            namespace,
            name,
            status,
        })
    }
}

/// A list's or watch's query.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    pub(super) watch: bool,
    /// The version after which to watch; absent: from what there is.
    pub(super) version: Option<u64>,
    pub(super) seconds: Option<u64>,
    selectors: Vec<Selector>,
}

#[derive(Debug, Clone)]
struct Selector {
    /// Where the value stands in an object.
    path: Vec<String>,
    is: bool,
    value: String,
}

impl Query {
    pub(super) fn of(query: &str) -> Result<Self, Refused> {
        let url = reqwest::Url::parse(&format!("http://local/?{query}"));
        let url = url.map_err(|e| Refused::bad_request(e.to_string()))?;
        let mut found = Self::default();
        for (key, value) in url.query_pairs() {
            let bad = || Refused::bad_request(format!("{key}={value} is not understood here"));
            match &*key {
                "watch" => found.watch = value == "true" || value == "1",
                "resourceVersion" if value.is_empty() || value == "0" => {}
                "resourceVersion" => found.version = Some(value.parse().map_err(|_| bad())?),
                "timeoutSeconds" => found.seconds = Some(value.parse().map_err(|_| bad())?),
                "labelSelector" => found.select(&value, |label| {
                    ["metadata", "labels", label].map(str::to_owned).into()
                })?,
                "fieldSelector" => {
                    found.select(&value, |field| field.split('.').map(str::to_owned).collect())?;
                }
                // Whole lists are given, at what is there now; whoever watches hears of every change.
                "limit" | "resourceVersionMatch" | "allowWatchBookmarks" => {}
                "fieldManager" | "force" | "fieldValidation" | "propagationPolicy" => {}
                "gracePeriodSeconds" => {}
                _ => return Err(bad()),
            }
        }
        Ok(found)
    }

    fn select(&mut self, text: &str, path: impl Fn(&str) -> Vec<String>) -> Result<(), Refused> {
        for part in text.split(',').filter(|p| !p.is_empty()) {
            let split = part.split_once("!=").map(|(k, v)| (k, false, v));
            let split = split.or_else(|| part.split_once('=').map(|(k, v)| (k, true, v)));
            let (key, is, value) = split
                .ok_or_else(|| Refused::bad_request(format!("the selector {part} is not understood here")))?;
            self.selectors.push(Selector {
                path: path(key.trim()),
                is,
                value: value.trim_start_matches('=').trim().to_owned(),
            });
        }
        Ok(())
    }

    pub(super) fn wants(&self, object: &Value) -> bool {
        self.selectors.iter().all(|selector| {
            let mut value = Some(object);
            for word in &selector.path {
                value = value.and_then(|v| v.get(word));
            }
            let value = value.and_then(Value::as_str).unwrap_or_default();
            (value == selector.value) == selector.is
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_names_objects_or_is_refused() {
        let of = |path| Target::of(path).map_err(|e| e.code);
        let status = Target::Objects {
            kind: Kind::Model,
            namespace: Some("a".to_owned()),
            name: Some("m".to_owned()),
            status: true,
        };
        assert_eq!(
            of("/apis/zkinfer.dev/v1alpha1/namespaces/a/models/m/status"),
            Ok(status)
        );
        assert_eq!(
            of("/apis/authentication.k8s.io/v1/tokenreviews"),
            Ok(Target::Review("tokenreviews".to_owned()))
        );
        for nothing in [
            "/",
            "/api/v1",
            "/api/v1/nodes",
            "/apis/batch/v1beta1/jobs",
            "/api/v1/namespaces/a/pods/p/log",
            "/apis",
        ] {
            assert_eq!(of(nothing), Err(404), "{nothing}");
        }
    }

    #[test]
    fn a_selector_selects_or_is_refused() {
        let pod = json!({ "metadata": { "labels": { "a": "b" } }, "status": { "phase": "Running" } });
        let wants = |query| Query::of(query).map(|q| q.wants(&pod)).map_err(|e| e.code);
        assert_eq!(
            wants("labelSelector=a%3Db&fieldSelector=status.phase!%3DSucceeded"),
            Ok(true)
        );
        assert_eq!(wants("labelSelector=a%3Dc"), Ok(false));
        assert_eq!(wants("fieldSelector=status.phase!%3DRunning"), Ok(false));
        assert_eq!(wants("fieldSelector=involvedObject.kind%3DPod"), Ok(false));
        assert_eq!(wants("labelSelector=a+in+(b)"), Err(400));
        assert_eq!(wants("dryRun=All"), Err(400));
    }
}
