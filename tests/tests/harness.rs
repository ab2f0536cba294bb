//! The harness itself: what the other tests rely on.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{Api, ResourceExt as _, api::ListParams};
use serde_json::json;
use zkinfer_tests::{
    cluster::{Cluster, Namespace, can_run, wait_for},
    fake_node::FakeNode,
};

const LIMIT: Duration = Duration::from_secs(30);

/// Waits for a condition of a Job, such as `Complete`.
async fn wait_for_job(namespace: &Namespace<'_>, name: &str, condition: &str) -> Job {
    let jobs: Api<Job> = namespace.api().await.unwrap();
    let probe = async || {
        let job = jobs.get(name).await.map_err(|error| error.to_string())?;
        let status = job.status.clone().unwrap_or_default();
        let holds = |wanted: &str| {
            status
                .conditions
                .iter()
                .flatten()
                .any(|condition| condition.type_ == wanted && condition.status == "True")
        };
        if holds(condition) {
            Ok(job)
        } else {
            Err(format!("{status:?}"))
        }
    };
    wait_for(&format!("{condition} of job {name}"), LIMIT, probe)
        .await
        .unwrap()
}

fn job(name: &str, script: &str) -> String {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "backoffLimit": 0,
            "template": {"spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": false,
                "containers": [{"name": "main", "image": "zkinfer.test/sh:v1", "args": ["-c", script]}],
            }},
        },
    })
    .to_string()
}

async fn the_pod(namespace: &Namespace<'_>, job: &str) -> Pod {
    let pods: Api<Pod> = namespace.api().await.unwrap();
    let list = pods
        .list(&ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}")))
        .await
        .unwrap();
    assert_eq!(
        list.items.len(),
        1,
        "{:?}",
        list.items.iter().map(|pod| pod.name_any()).collect::<Vec<_>>()
    );
    list.items.into_iter().next().unwrap()
}

/// Exit code and reason of a pod's one container.
fn ending(pod: &Pod) -> (i32, String) {
    let statuses = pod.status.clone().unwrap().container_statuses.unwrap();
    let ended = statuses[0].state.clone().unwrap().terminated.unwrap();
    (ended.exit_code, ended.reason.unwrap())
}

#[tokio::test]
async fn a_fake_node_runs_jobs_as_processes() {
    if !can_run() {
        return;
    }
    let cluster = Cluster::api().await.unwrap();
    eprintln!("{:?}", cluster.milestones());
    let node = FakeNode::builder(&cluster, "fake")
        .program("zkinfer.test/sh", "/bin/sh")
        .start()
        .await
        .unwrap();
    let namespace = Namespace::temporary(&cluster, "jobs").await.unwrap();
    let ns = namespace.name();

    namespace.apply(&job("good", "echo it runs")).await.unwrap();
    namespace.apply(&job("bad", "exit 42")).await.unwrap();
    namespace.apply(&job("fat", "sleep 60")).await.unwrap();
    let fat = node.wait_for_process(ns, "fat-", LIMIT).await.unwrap();
    node.run_out_of_memory(ns, &fat.name).unwrap();

    wait_for_job(&namespace, "good", "Complete").await;
    let good = the_pod(&namespace, "good").await;
    assert_eq!(ending(&good), (0, "Completed".into()));
    assert_eq!(node.log(ns, &good.name_any()), "it runs\n");
    wait_for_job(&namespace, "bad", "Failed").await;
    assert_eq!(ending(&the_pod(&namespace, "bad").await), (42, "Error".into()));
    wait_for_job(&namespace, "fat", "Failed").await;
    assert_eq!(
        ending(&the_pod(&namespace, "fat").await),
        (137, "OOMKilled".into())
    );
    assert_eq!(node.running(), []);
}
