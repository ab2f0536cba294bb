//! The node, with shell scripts for programs.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::local::api::{Id, Store, Tokens};

/// A node whose pods run this script.
struct Place {
    node: Arc<Node>,
    folder: tempfile::TempDir,
    running: tokio::task::JoinHandle<()>,
}

impl Place {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let worker = folder.path().join("worker");
        std::fs::write(
            &worker,
            format!("#!/bin/sh\ncd {}\n{script}\n", folder.path().display()),
        )
        .unwrap();
        std::fs::set_permissions(&worker, std::fs::Permissions::from_mode(0o755)).unwrap();
        let place = || folder.path().to_owned();
        let node = Arc::new(Node {
            store: Store::new(),
            tokens: Tokens::new(),
            worker,
            provers: BTreeMap::new(),
            logs: place(),
            cache: place(),
            volumes: place(),
            processes: AtomicUsize::default(),
            closing: AtomicBool::default(),
        });
        let running = tokio::spawn(run(Arc::clone(&node)));
        Self {
            node,
            folder,
            running,
        }
    }

    fn job(&self, more: Value) -> Id {
        let mut spec = json!({ "parallelism": 1, "backoffLimit": 1, "template": { "spec": {
            "serviceAccountName": "sa", "terminationGracePeriodSeconds": 5,
            "containers": [{
                "name": "c", "args": ["work"], "env": [
                    { "name": "TOKEN_FILE", "value": "/var/token/token" },
                    { "name": "NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
                ],
                "volumeMounts": [{ "name": "token", "mountPath": "/var/token" }],
            }],
            "volumes": [{ "name": "token", "projected": { "sources": [
                { "serviceAccountToken": { "path": "token" } },
            ] } }],
        } } });
        if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
            spec.extend(more);
        }
        let job = json!({ "metadata": { "name": "j" }, "spec": spec });
        self.node.store.create(Kind::Job, "here", job).unwrap();
        Id::new(Kind::Job, "here", "j")
    }

    /// Waits until there is something.
    async fn until<T>(&self, what: &str, find: impl Fn(&Self) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = find(self) {
                return found;
            }
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "{what}: {:?}",
                self.pods()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn pods(&self) -> Vec<Arc<Value>> {
        self.node.store.list(Kind::Pod, None).1
    }

    fn condition(&self, job: &Id) -> Option<(String, String)> {
        let job = self.node.store.get(job)?;
        let condition = &job["status"]["conditions"][0];
        let text = |field: &str| condition[field].as_str().map(str::to_owned);
        Some((text("type")?, text("reason")?))
    }

    fn file(&self, name: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.folder.path().join(name)).ok()?;
        text.ends_with('\n').then(|| text.trim().to_owned())
    }
}

fn is_alive(pid: &str) -> bool {
    std::path::Path::new("/proc").join(pid).exists()
}

#[tokio::test]
async fn a_job_is_complete_when_its_program_ends_well_and_has_what_its_pod_asks_for() {
    let place = Place::new(r#"echo "$1 $NAME $(cat "$TOKEN_FILE")" > said"#);
    let job = place.job(json!({}));
    let condition = place.until("an end", |p| p.condition(&job)).await;
    assert_eq!(condition.0, "Complete");
    let said = place.file("said").unwrap();
    let [arguments, name, token] = said.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{said}")
    };
    assert_eq!(arguments, "work");
    let pods = place.pods();
    assert_eq!(pods[0]["metadata"]["name"], name);
    assert_eq!(pods[0]["status"]["phase"], "Succeeded");
    assert_eq!(pods[0]["metadata"]["labels"]["batch.kubernetes.io/job-name"], "j");
    assert!(token.contains('.'), "{token}");
    assert_eq!(place.node.tokens.user(token), None, "the token went with the pod");
}

#[tokio::test]
async fn a_program_that_fails_is_tried_again_and_then_given_up() {
    let place = Place::new("echo x >> tries; echo \"no room in try $(wc -l < tries)\" >&2; exit 3");
    let job = place.job(json!({}));
    let condition = place.until("an end", |p| p.condition(&job)).await;
    assert_eq!(
        condition,
        ("Failed".to_owned(), "BackoffLimitExceeded".to_owned())
    );
    assert_eq!(
        std::fs::read_to_string(place.folder.path().join("tries")).unwrap(),
        "x\nx\n"
    );
    let pod = &place.pods()[0];
    assert_eq!(pod["status"]["phase"], "Failed");
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(ended["exitCode"], 3);
    // Its own last words, though both tries have one log.
    let said: Vec<String> = place
        .pods()
        .iter()
        .filter_map(|pod| {
            let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
            ended["message"].as_str().map(str::to_owned)
        })
        .collect();
    let has = |words: &str| said.iter().any(|said| said.starts_with(words));
    assert!(
        has("no room in try 1\n(") && has("no room in try 2\n(") && said[0].ends_with(".log)"),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_worker_that_handed_its_slice_back_is_replaced_and_has_not_failed() {
    let place = Place::new("echo x >> tries; [ $(wc -l < tries) -gt 4 ] || exit 75");
    let job = place.job(json!({ "podFailurePolicy": { "rules": [
        { "action": "Ignore", "onExitCodes": { "operator": "In", "values": [75] } },
    ] } }));
    assert_eq!(place.until("an end", |p| p.condition(&job)).await.0, "Complete");
    assert_eq!(place.node.store.get(&job).unwrap()["status"]["failed"], 0);
}

#[tokio::test]
async fn a_deadline_ends_the_job_and_its_processes() {
    let place = Place::new("echo $$ > pid; exec sleep 60");
    let job = place.job(json!({ "activeDeadlineSeconds": 1, "ttlSecondsAfterFinished": 0 }));
    let pid = place.until("a process", |p| p.file("pid")).await;
    let gone = |p: &Place| p.node.store.get(&job).is_none().then_some(());
    place.until("the Job to go", gone).await;
    assert!(!is_alive(&pid));
}

#[tokio::test]
async fn a_job_that_is_deleted_takes_its_processes_along() {
    let place =
        Place::new("trap 'echo told > end; exit 0' TERM; echo $$ > pid; while :; do sleep 0.01; done");
    let job = place.job(json!({}));
    let pid = place.until("a process", |p| p.file("pid")).await;
    place.node.store.delete(&job, None).unwrap();
    place
        .until("the process to go", |p| {
            (!is_alive(&pid) && p.pods().is_empty()).then_some(())
        })
        .await;
    assert_eq!(place.file("end").as_deref(), Some("told"));
}

#[tokio::test]
async fn nothing_outlives_the_node() {
    let place = Place::new("trap '' TERM; echo $$ > pid; while :; do sleep 0.01; done");
    place.job(json!({}));
    let pid = place.until("a process", |p| p.file("pid")).await;
    place.running.abort();
    place
        .until("the process to go", |_| (!is_alive(&pid)).then_some(()))
        .await;
}

#[tokio::test]
async fn a_program_that_is_not_there_keeps_its_pod_waiting_and_says_why() {
    let place = Place::new("");
    std::fs::remove_file(&place.node.worker).unwrap();
    place.job(json!({}));
    let waiting = |p: &Place| {
        let state = p.pods().first()?["status"]["containerStatuses"][0]["state"]["waiting"].clone();
        state["message"].as_str().map(str::to_owned)
    };
    let message = place.until("a word", waiting).await;
    assert!(
        message.contains("cannot start") && message.contains("No such file"),
        "{message}"
    );
}

#[tokio::test]
async fn a_deployment_keeps_its_workers_and_makes_them_anew_when_it_changes() {
    let place = Place::new("echo $$ >> pids; sleep 0.2");
    let deployment = json!({
        "metadata": { "name": "d" }, "spec": { "replicas": 1, "selector": {}, "template": { "spec": {
            "containers": [{ "name": "c" }],
        } } },
    });
    place
        .node
        .store
        .create(Kind::Deployment, "here", deployment)
        .unwrap();
    let id = Id::new(Kind::Deployment, "here", "d");
    let ready = |p: &Place| (p.node.store.get(&id)?["status"]["readyReplicas"] == 1).then_some(());
    place.until("a worker", ready).await;
    let again = |p: &Place| {
        let pod = p.pods().first()?["status"]["containerStatuses"][0]["restartCount"].as_u64()?;
        (pod >= 1).then_some(())
    };
    place.until("another start", again).await;
    place
        .node
        .store
        .update(&id, |d| {
            d["spec"]["replicas"] = json!(0);
            Ok(())
        })
        .unwrap();
    place
        .until("no worker", |p| p.pods().is_empty().then_some(()))
        .await;
}
