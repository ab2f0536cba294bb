//! What a fake node does with pods, and what a test can do to them.

use std::time::Duration;

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{Api, ResourceExt as _, api::DeleteParams};
use serde_json::{Value, json};
use zkinfer_tests::{
    cluster::{Cluster, Namespace, can_run, wait_for},
    fake_node::FakeNode,
};

use crate::objects::{LIMIT, ending, is, job, phase, pod, pods_of, release, shell, wait_until};

async fn node(name: &str) -> FakeNode {
    let cluster = Cluster::shared().await.unwrap();
    FakeNode::builder(cluster, name)
        .program("zkinfer.test/sh", "/bin/sh")
        .start()
        .await
        .unwrap()
}

#[tokio::test]
async fn jobs_end_as_their_processes_do() {
    if !can_run() {
        return;
    }
    let node = node("jobs").await;
    let namespace = Namespace::temporary(Cluster::shared().await.unwrap(), "jobs")
        .await
        .unwrap();
    let ns = namespace.name();
    for (name, script) in [
        ("good", "echo it runs"),
        ("bad", "exit 42"),
        ("fat", "sleep 60"),
        ("lost", "sleep 60"),
    ] {
        namespace
            .apply(&job(name, &shell("jobs", script), &json!({})))
            .await
            .unwrap();
    }
    let fat = node.wait_for_process(ns, "fat-", LIMIT).await.unwrap();
    node.run_out_of_memory(ns, &fat.name).unwrap();
    let lost = node.wait_for_process(ns, "lost-", LIMIT).await.unwrap();
    node.kill(ns, &lost.name).unwrap();
    for (name, condition, expected) in [
        ("good", "Complete", (0, "Completed")),
        ("bad", "Failed", (42, "Error")),
        ("fat", "Failed", (137, "OOMKilled")),
        ("lost", "Failed", (137, "Error")),
    ] {
        wait_until(&namespace, name, condition, is(condition)).await;
        let pods = pods_of(&namespace, name).await;
        assert_eq!(
            pods.iter().map(ending).collect::<Vec<_>>(),
            [(expected.0, expected.1.to_owned())],
            "{name}"
        );
        if name == "good" {
            assert_eq!(node.log(ns, &pods[0].name_any()), "it runs\n");
        }
    }
    assert_eq!(node.running(), []);
}

#[tokio::test]
async fn an_evicted_pod_is_a_disruption() {
    if !can_run() {
        return;
    }
    let node = node("evicting").await;
    let namespace = Namespace::temporary(Cluster::shared().await.unwrap(), "evicting")
        .await
        .unwrap();
    let ns = namespace.name();
    let script = "trap 'exit 75' TERM; while :; do sleep 0.05; done";
    namespace
        .apply(&pod("held", &shell("evicting", script)))
        .await
        .unwrap();
    let ignored = json!({"podFailurePolicy": {"rules": [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]}});
    namespace
        .apply(&job("replaced", &shell("evicting", script), &ignored))
        .await
        .unwrap();
    node.wait_for_process(ns, "held", LIMIT).await.unwrap();
    let first = node.wait_for_process(ns, "replaced-", LIMIT).await.unwrap();
    // The shell needs a moment for its trap.
    tokio::time::sleep(Duration::from_millis(300)).await;
    node.drain().await.unwrap();
    let held = wait_until(&namespace, "held", "Failed", phase("Failed")).await;
    assert_eq!(ending(&held), (75, "Error".into()));
    let status = held.status.clone().unwrap();
    let disruption = status
        .conditions
        .unwrap()
        .into_iter()
        .find(|condition| condition.type_ == "DisruptionTarget");
    assert_eq!(
        disruption.unwrap().reason.as_deref(),
        Some("EvictionByEvictionAPI")
    );
    release(&namespace, "held").await;

    node.set_unschedulable(false).await.unwrap();
    let second = wait_for("the replacement", LIMIT, async || {
        let running = node.running().into_iter();
        running
            .into_iter()
            .find(|pod| pod.name.starts_with("replaced-") && pod.name != first.name)
            .ok_or("not yet")
    });
    second.await.unwrap();
    let job = wait_until(&namespace, "replaced", "active", |job: &Job| job.status.is_some()).await;
    assert_eq!(job.status.unwrap().failed, None);
}

#[tokio::test]
async fn mounts_are_folders_and_tokens_are_the_pods_own() {
    if !can_run() {
        return;
    }
    let node = node("mounts").await;
    let cluster = Cluster::shared().await.unwrap();
    let namespace = Namespace::temporary(cluster, "mounts").await.unwrap();
    namespace
        .kubectl(&["create", "configmap", "words", "--from-literal=key=from the map"])
        .await
        .unwrap();
    let script = "cat $MAP/key; echo; echo x > /data/x; cat /data/x; echo $NAME $(NAME); cat /token/t";
    let mut spec = shell("mounts", script);
    spec["containers"][0]["env"] = json!([
        {"name": "MAP", "value": "/etc/map"},
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]);
    spec["containers"][0]["volumeMounts"] = json!([
        {"name": "map", "mountPath": "/etc/map"},
        {"name": "work", "mountPath": "/data"},
        {"name": "token", "mountPath": "/token"},
    ]);
    spec["volumes"] = json!([
        {"name": "map", "configMap": {"name": "words"}},
        {"name": "work", "emptyDir": {}},
        {"name": "token", "projected": {"sources": [
            {"serviceAccountToken": {"path": "t", "audience": "zkinfer-gateway", "expirationSeconds": 600}},
        ]}},
    ]);
    namespace.apply(&pod("reader", &spec)).await.unwrap();
    let reader = wait_until(&namespace, "reader", "Succeeded", phase("Succeeded")).await;
    let log = node.log(namespace.name(), "reader");
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[..3], ["from the map", "x", "reader reader"]);

    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": lines[3], "audiences": ["zkinfer-gateway"]}});
    let review = review_token(cluster, &review).await;
    assert_eq!(review["authenticated"], true, "{review}");
    assert_eq!(
        review["user"]["extra"]["authentication.kubernetes.io/pod-uid"],
        json!([reader.uid().unwrap()])
    );
    release(&namespace, "reader").await;
}

async fn review_token(cluster: &Cluster, review: &Value) -> Value {
    use k8s_openapi::api::authentication::v1::TokenReview;
    let reviews: Api<TokenReview> = Api::all(cluster.client().await.unwrap());
    let review = serde_json::from_value(review.clone()).unwrap();
    let answer = reviews
        .create(&kube::api::PostParams::default(), &review)
        .await
        .unwrap();
    serde_json::to_value(answer.status).unwrap()
}

#[tokio::test]
async fn pods_are_restarted_stalled_and_deleted() {
    if !can_run() {
        return;
    }
    let node = node("control").await;
    let namespace = Namespace::temporary(Cluster::shared().await.unwrap(), "control")
        .await
        .unwrap();
    let ns = namespace.name();
    let mut spec = shell("control", "exec sleep 1000");
    spec["restartPolicy"] = json!("Always");
    spec["terminationGracePeriodSeconds"] = json!(1);
    namespace.apply(&pod("always", &spec)).await.unwrap();
    let first = node.wait_for_process(ns, "always", LIMIT).await.unwrap();
    node.kill(ns, "always").unwrap();
    let restarted = |pod: &Pod| {
        let statuses = pod
            .status
            .as_ref()
            .and_then(|status| status.container_statuses.clone())
            .unwrap_or_default();
        statuses
            .iter()
            .any(|status| status.restart_count == 1 && status.ready)
    };
    wait_until(&namespace, "always", "restarted", restarted).await;
    let second = node.wait_for_process(ns, "always", LIMIT).await.unwrap();
    assert_ne!(first.pid, second.pid);

    let state = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", second.pid)).unwrap();
        status
            .lines()
            .find_map(|line| line.strip_prefix("State:\t"))
            .unwrap()[..1]
            .to_owned()
    };
    node.stall(ns, "always").await.unwrap();
    assert_eq!(state(), "T");
    node.resume(ns, "always").await.unwrap();
    wait_for("a start", LIMIT, async || {
        if state() == "S" { Ok(()) } else { Err(state()) }
    })
    .await
    .unwrap();

    // A stalled process does not see SIGTERM: after the grace time it is killed.
    node.stall(ns, "always").await.unwrap();
    let pods: Api<Pod> = namespace.api().await.unwrap();
    pods.delete("always", &DeleteParams::default()).await.unwrap();
    let ended = wait_until(&namespace, "always", "Failed", phase("Failed")).await;
    assert_eq!(ending(&ended), (137, "Error".into()));
    release(&namespace, "always").await;
    let gone = async || {
        pods.get_opt("always")
            .await
            .unwrap()
            .map_or(Ok(()), |pod| Err(format!("{pod:?}")))
    };
    wait_for("the end of the pod", LIMIT, gone).await.unwrap();
    assert_eq!(node.running(), []);
}

#[tokio::test]
async fn many_pods_run_few_at_a_time() {
    if !can_run() {
        return;
    }
    let cluster = Cluster::shared().await.unwrap();
    let node = FakeNode::builder(cluster, "many")
        .program("zkinfer.test/sh", "/bin/sh")
        .at_most(20);
    let node = node.start().await.unwrap();
    let namespace = Namespace::temporary(cluster, "many").await.unwrap();
    let indexed = json!({"completionMode": "Indexed", "completions": 120, "parallelism": 60});
    namespace
        .apply(&job("many", &shell("many", "sleep 0.2"), &indexed))
        .await
        .unwrap();
    let most = async {
        let mut most = 0;
        loop {
            most = most.max(node.running().len());
            tokio::time::sleep(Duration::from_millis(20)).await;
            if most > 20 {
                break most;
            }
        }
    };
    tokio::select! {
        _ = wait_until(&namespace, "many", "Complete", is("Complete")) => {}
        most = most => panic!("{most} at once"),
    }
}

#[tokio::test]
async fn a_pod_that_cannot_run_says_why() {
    if !can_run() {
        return;
    }
    let _node = node("refusing").await;
    let namespace = Namespace::temporary(Cluster::shared().await.unwrap(), "refusing")
        .await
        .unwrap();
    let mut unknown = shell("refusing", "");
    unknown["containers"][0]["image"] = json!("elsewhere/x:v1");
    namespace.apply(&pod("unknown", &unknown)).await.unwrap();
    let mut unsupported = shell("refusing", "");
    unsupported["containers"][0]["envFrom"] = json!([{"configMapRef": {"name": "x"}}]);
    namespace.apply(&pod("unsupported", &unsupported)).await.unwrap();

    let told = |reason: &'static str| {
        move |pod: &Pod| {
            let statuses = pod
                .status
                .as_ref()
                .and_then(|status| status.container_statuses.clone());
            let state = statuses.and_then(|statuses| statuses.into_iter().next()?.state?.waiting?.reason);
            state.as_deref() == Some(reason)
        }
    };
    wait_until(&namespace, "unknown", "waiting", told("ErrImagePull")).await;
    let unsupported = wait_until(&namespace, "unsupported", "Failed", phase("Failed")).await;
    assert!(unsupported.status.unwrap().message.unwrap().contains("envFrom"));
    release(&namespace, "unknown").await;
    release(&namespace, "unsupported").await;
}
