//! What a report is made of: asked of the API server and of the operator's own port, as the caller may.
//!
//! Invariant: whatever cannot be read is said in the report and holds up nothing else; Secrets and ConfigMaps are never asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject, ListParams, LogParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt};
use serde_json::Value;
use tokio::time::timeout;
use zkinfer_crds::k8s::{GROUP, VERSION};

use super::super::gateway::{HEALTH, SELECTOR, forward};
use super::redact;
use crate::specs::labels::{MANAGED_BY, MANAGER};

/// The longest that one answer may take.
const ANSWER: Duration = Duration::from_secs(20);
/// So many workers' and compilers' logs; those of the operator come first.
const LOGS: usize = 40;
/// What is read of each kind.
const OBJECTS: u32 = 2000;

macro_rules! ours {
    ($($(#[$doc:meta])* $kind:ident($file:ident, $one:ident, $all:ident),)*) => {
        const OURS: &[&str] = &[$(stringify!($kind)),*];
    };
}

zkinfer_crds::kinds!(ours);

/// What Kubernetes has of what the operator made, and the operator itself: group, version, kind.
const MADE: [(&str, &str, &str); 5] = [
    ("batch", "v1", "Job"),
    ("apps", "v1", "Deployment"),
    ("", "v1", "Pod"),
    ("networking.k8s.io", "v1", "NetworkPolicy"),
    ("policy", "v1", "PodDisruptionBudget"),
];

/// A report that is being made.
pub(super) struct Gathered {
    /// The files, by name.
    pub(super) files: BTreeMap<String, String>,
    /// What could not be read, and why.
    pub(super) missing: Vec<String>,
}

impl Gathered {
    pub(super) const fn new() -> Self {
        Self {
            files: BTreeMap::new(),
            missing: Vec::new(),
        }
    }

    /// Keeps what was read, or says that it was not.
    fn keep<E: std::fmt::Display>(&mut self, file: String, read: Result<String, E>) {
        match read {
            Ok(text) => drop(self.files.insert(file, text)),
            Err(error) => self.missing.push(format!("{file}: {error}")),
        }
    }
}

/// What is asked for.
pub(super) struct Asked<'a> {
    pub(super) client: &'a Client,
    /// Absent: every namespace.
    pub(super) namespace: Option<&'a str>,
    /// The operator's namespace.
    pub(super) system: &'a str,
    /// Of each log, from its end.
    pub(super) lines: i64,
}

impl Asked<'_> {
    fn api(&self, (group, version, kind): (&str, &str, &str), namespace: Option<&str>) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    /// The objects of a kind as one YAML list, redacted.
    async fn listed(
        &self,
        kind: (&str, &str, &str),
        namespace: Option<&str>,
        labels: &str,
    ) -> Result<(String, Vec<Value>), String> {
        let params = ListParams::default().labels(labels).limit(OBJECTS);
        let api = self.api(kind, namespace);
        let list = in_time(api.list(&params)).await?;
        let mut objects = Vec::new();
        for item in list.items {
            let mut object = serde_json::to_value(&item).map_err(|e| e.to_string())?;
            // Lists leave it out of their items.
            object["kind"] = kind.2.into();
            redact::object(&mut object);
            objects.push(object);
        }
        let mut text = serde_yaml::to_string(&objects).map_err(|e| e.to_string())?;
        if list.metadata.continue_.is_some_and(|more| !more.is_empty()) {
            text.insert_str(0, &format!("# There are more than these {OBJECTS}.\n"));
        }
        Ok((text, objects))
    }

    /// The objects of ours, what was made for them, and the operator's.
    pub(super) async fn objects(&self, into: &mut Gathered) {
        for kind in OURS {
            let read = self.listed((GROUP, VERSION, *kind), self.namespace, "").await;
            into.keep(format!("objects/{kind}.yaml"), read.map(|(text, _)| text));
        }
        let made = format!("{MANAGED_BY}={MANAGER}");
        for kind in MADE {
            let read = self.listed(kind, self.namespace, &made).await;
            into.keep(format!("made/{}.yaml", kind.2), read.map(|(text, _)| text));
            let read = self.listed(kind, Some(self.system), SELECTOR).await;
            into.keep(format!("operator/{}.yaml", kind.2), read.map(|(text, _)| text));
        }
        let read = self.events().await;
        into.keep("events.yaml".to_owned(), read);
    }

    /// The events of our objects and of what was made for them. What other software says of its own is not ours to carry off.
    async fn events(&self) -> Result<String, String> {
        let (_, mut events) = self
            .listed(("events.k8s.io", "v1", "Event"), self.namespace, "")
            .await?;
        events.retain(|event| {
            let of = event["regarding"]["apiVersion"].as_str().unwrap_or_default();
            let by = event["reportingController"].as_str().unwrap_or_default();
            let name = event["regarding"]["name"].as_str().unwrap_or_default();
            of.starts_with(GROUP) || by.starts_with("zkinfer-operator") || name.starts_with("zkinfer-")
        });
        for event in &mut events {
            if let Some(note) = event.get_mut("note") {
                *note = redact::text(note.as_str().unwrap_or_default()).into();
            }
        }
        serde_yaml::to_string(&events).map_err(|e| e.to_string())
    }

    /// The logs of the operator's pods, then of workers and compilers.
    pub(super) async fn logs(&self, into: &mut Gathered) {
        let operators: Api<Pod> = Api::namespaced(self.client.clone(), self.system);
        let of_operator = in_time(operators.list(&ListParams::default().labels(SELECTOR))).await;
        let others: Api<Pod> = match self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let made = ListParams::default().labels(&format!("{MANAGED_BY}={MANAGER}"));
        let of_others = in_time(others.list(&made)).await;
        for (what, read) in [
            ("the operator's pods", of_operator),
            ("workers and compilers", of_others),
        ] {
            match read {
                Ok(pods) => {
                    if pods.items.len() > LOGS {
                        let left = pods.items.len() - LOGS;
                        into.missing
                            .push(format!("logs: of {what}, {left} pods more than {LOGS}"));
                    }
                    for pod in pods.items.iter().take(LOGS) {
                        self.logs_of(pod, into).await;
                    }
                }
                Err(error) => into.missing.push(format!("logs of {what}: {error}")),
            }
        }
    }

    async fn logs_of(&self, pod: &Pod, into: &mut Gathered) {
        let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &namespace);
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let statuses = pod
            .status
            .iter()
            .flat_map(|s| s.container_statuses.iter().flatten());
        let restarted: Vec<&str> = statuses
            .filter(|status| status.restart_count > 0)
            .map(|status| status.name.as_str())
            .collect();
        for container in containers {
            let again = restarted.contains(&container.name.as_str());
            for (previous, suffix) in [(false, ""), (true, ".previous")] {
                if previous && !again {
                    continue;
                }
                let params = LogParams {
                    container: Some(container.name.clone()),
                    tail_lines: Some(self.lines),
                    previous,
                    ..LogParams::default()
                };
                let read = in_time(api.logs(&name, &params)).await;
                let file = format!("logs/{namespace}/{name}/{}{suffix}.log", container.name);
                into.keep(file, read.map(|log| redact::text(&log)));
            }
        }
    }

    /// What the operator says of itself: metrics and readiness.
    pub(super) async fn operator(&self, into: &mut Gathered) {
        let address = match forward(self.client, self.system, HEALTH, false).await {
            Ok(address) => address,
            Err(error) => return into.missing.push(format!("operator: {error}")),
        };
        for (path, file) in [
            ("metrics", "operator/metrics.txt"),
            ("readyz", "operator/readyz.txt"),
        ] {
            let read = async {
                let answer = reqwest::get(format!("{address}/{path}")).await?;
                let status = answer.status().as_u16();
                let text = answer.text().await?;
                Ok::<_, reqwest::Error>(if path == "metrics" {
                    text
                } else {
                    format!("{status}\n{text}\n")
                })
            };
            into.keep(file.to_owned(), in_time(read).await);
        }
    }

    /// Which versions there are.
    pub(super) async fn versions(&self, into: &mut Gathered) {
        let read = in_time(self.client.apiserver_version()).await;
        let text = read.map(|server| {
            format!(
                "report made by operator {}\nAPI server {} ({})\n",
                env!("CARGO_PKG_VERSION"),
                server.git_version,
                server.platform
            )
        });
        into.keep("versions.txt".to_owned(), text);
        let definitions = self.api(("apiextensions.k8s.io", "v1", "CustomResourceDefinition"), None);
        let read = in_time(definitions.list(&ListParams::default())).await;
        let text = read.map(|list| {
            let ours = list.items.iter().filter(|d| d.name_any().ends_with(GROUP));
            let lines = ours.map(|d| {
                let versions = &d.data["status"]["storedVersions"];
                let accepted = d.data["status"]["conditions"].to_string();
                format!("{} stored: {versions} {accepted}\n", d.name_any())
            });
            lines.collect::<String>()
        });
        into.keep("definitions.txt".to_owned(), text);
    }
}

async fn in_time<T, E: std::fmt::Display>(answer: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match timeout(ANSWER, answer).await {
        Ok(answer) => answer.map_err(|e| e.to_string()),
        Err(_) => Err(format!("no answer for {} s", ANSWER.as_secs())),
    }
}
