//! Debian's Prometheus and promtool, as `scripts/prometheus.sh` puts them into a folder, with the alerts that are installed.
//!
//! Invariant: what is asked is asked of Prometheus itself; a test that lacks it says so, and fails with `ZKINFER_REQUIRE_CLUSTER=1`.
//! Its process ends with the value that holds it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of tests says by panicking what is wrong"
)]

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::cluster::not_run;
use crate::local::repository;

/// The folder with both programs; the first statement of every test that needs them.
///
/// # Panics
/// With `ZKINFER_REQUIRE_CLUSTER=1`, where they are not there.
#[must_use]
pub fn programs() -> Option<PathBuf> {
    let cache = || {
        let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or(home)?;
        Some(cache.join("zkinfer/prometheus"))
    };
    let folder = std::env::var_os("ZKINFER_PROMETHEUS")
        .map(PathBuf::from)
        .or_else(cache);
    let there = |folder: &PathBuf| {
        ["prometheus", "promtool"]
            .iter()
            .all(|p| folder.join(p).is_file())
    };
    let found = folder.filter(there);
    if found.is_none() {
        not_run("missing: prometheus and promtool. `scripts/prometheus.sh` fetches them");
    }
    found
}

/// Writes the alerts that are installed as Prometheus reads them, `rules.yaml` in this folder; how many there are.
///
/// # Panics
/// Where there are none.
#[must_use]
pub fn write_alerts(folder: &Path) -> usize {
    let path = repository().join("manifests/components/monitoring/rules.yaml");
    let object: Value = serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let spec = &object["spec"];
    std::fs::write(folder.join("rules.yaml"), spec.to_string()).unwrap();
    spec["groups"][0]["rules"].as_array().unwrap().len()
}

/// A Prometheus that reads one operator's metrics every second.
#[derive(Debug)]
pub struct Prometheus {
    process: Child,
    folder: tempfile::TempDir,
    /// Where it answers.
    pub url: String,
}

impl Prometheus {
    /// Starts it, of the folder that [`programs`] has found; `target` is host and port of the operator's metrics.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn start(programs: &Path, target: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let _ = write_alerts(folder.path());
        let config = json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": ["rules.yaml"],
            // As the ServiceMonitor of the charts: a metric has a label `namespace` of its own.
            "scrape_configs": [{ "job_name": "zkinfer", "honor_labels": true, "static_configs": [{ "targets": [target] }] }],
        });
        std::fs::write(folder.path().join("prometheus.yaml"), config.to_string()).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let log = File::create(folder.path().join("log")).unwrap();
        let process = Command::new(programs.join("prometheus"))
            .current_dir(folder.path())
            .args(["--config.file=prometheus.yaml", "--storage.tsdb.path=data"])
            .arg("--enable-feature=exemplar-storage")
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self {
            process,
            folder,
            url: format!("http://{address}"),
        }
    }

    /// What its API answers under `data`.
    ///
    /// # Errors
    /// No answer, or one that says what is wrong.
    pub async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let url = format!("{}/api/v1/{path}", self.url);
        let call = reqwest::Client::new().get(url).query(parameters);
        let answer = call
            .send()
            .await
            .map_err(|e| format!("{e}; log:\n{}", self.log()))?;
        let mut answer: Value = answer.json().await.map_err(|e| e.to_string())?;
        if answer["status"] == "success" {
            Ok(answer["data"].take())
        } else {
            Err(answer.to_string())
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
