//! Clusters come up, keep apart, and leave nothing.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use serde_json::json;
use tokio::sync::Mutex;
use zkinfer_tests::{
    cluster::{Cluster, Namespace, can_run, wait_for},
    fake_node::FakeNode,
    measured,
};

use crate::{
    objects::{self, LIMIT, phase, shell, wait_until},
    remains::{Place, settings},
};

/// Set where this program runs as a part of another test of its own.
const PART: &str = "ZKINFER_HARNESS_PART";

/// Two cores carry two clusters well, and not all of these at once.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Clusters are started in seconds: longer than that on a machine that has much else to do.
const MOST: Duration = Duration::from_secs(30);

fn tell(cluster: &Cluster) {
    let milestones = cluster
        .milestones()
        .iter()
        .map(|(what, when)| format!("{what} {:.2} s", when.as_secs_f64()));
    measured(format_args!(
        "cluster: {}",
        milestones.collect::<Vec<_>>().join(", ")
    ));
}

/// A pod of one container, run once.
fn pod(name: &str, image: &str, node: &str, args: &[&str]) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "nodeName": node,
            "automountServiceAccountToken": false,
            "containers": [{"name": "main", "image": image, "imagePullPolicy": "Never", "args": args}],
        },
    })
    .to_string()
}

#[tokio::test]
async fn an_api_cluster_leaves_nothing() {
    if !can_run() {
        return;
    }
    let _turn = ONE_AT_A_TIME.lock().await;
    let before = settings();
    let start = Instant::now();
    let cluster = Cluster::api().await.unwrap();
    tell(&cluster);
    assert!(start.elapsed() < MOST, "{:?}", start.elapsed());
    let place = Place::of(&cluster, before);
    assert!(place.remains().len() > 5, "{:?}", place.remains());
    // Usable at once: the namespace's default account exists, and an account's kubeconfig has its rights only.
    let namespace = Namespace::temporary(&cluster, "x").await.unwrap();
    let file = cluster
        .kubeconfig_for_service_account(namespace.name(), "default")
        .await
        .unwrap();
    let file = file.display().to_string();
    let who = cluster
        .kubectl(&["--kubeconfig", &file, "auth", "whoami", "-o", "name"])
        .await
        .unwrap();
    assert!(who.contains("selfsubjectreview"), "{who}");
    let refused = cluster
        .kubectl(&["--kubeconfig", &file, "get", "nodes"])
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("Forbidden"), "{refused}");
    // Components can be killed and started again; what was stored stays.
    cluster.kill("kube-apiserver").await.unwrap();
    assert!(
        namespace
            .kubectl(&["get", "serviceaccount", "default"])
            .await
            .is_err()
    );
    cluster.revive("kube-apiserver").unwrap();
    let probe = async || namespace.kubectl(&["get", "serviceaccount", "default"]).await;
    wait_for("the API server", LIMIT, probe).await.unwrap();
    drop(namespace);
    let start = Instant::now();
    drop(cluster);
    measured(format_args!("cluster gone after {:?}", start.elapsed()));
    assert_eq!(place.remains(), Vec::<String>::new());
}

#[tokio::test]
async fn two_nodes_run_pods_side_by_side() {
    if !can_run() {
        return;
    }
    let _turn = ONE_AT_A_TIME.lock().await;
    let before = settings();
    let folder = tempfile::tempdir().unwrap();
    let client = folder.path().join("client");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/harness/client.c");
    let built = Command::new("cc")
        .args(["-static", "-Os", "-w", "-o"])
        .arg(&client)
        .arg(source)
        .status()
        .unwrap();
    assert!(built.success());

    let (one, other) = tokio::join!(Cluster::node(), Cluster::node());
    let clusters = [one.unwrap(), other.unwrap()];
    clusters.iter().for_each(tell);
    let places = clusters
        .each_ref()
        .map(|cluster| Place::of(cluster, before.clone()));
    let archive = clusters[0]
        .wrap_binary("zkinfer.test/client:v1", &client)
        .await
        .unwrap();
    let run = async |cluster: &Cluster| {
        cluster.import_image(&archive).await.unwrap();
        let namespace = Namespace::temporary(cluster, "pods").await.unwrap();
        namespace
            .apply(&pod("client", "zkinfer.test/client:v1", "node1", &[]))
            .await
            .unwrap();
        wait_until(&namespace, "client", "Succeeded", phase("Succeeded")).await;
        let services = cluster.run_inside(&["nft", "list", "tables"]).await.unwrap();
        assert!(services.contains("kube-proxy"), "{services}");
        // Through the API server to the kubelet.
        assert_eq!(namespace.kubectl(&["logs", "client"]).await.unwrap(), "reached\n");
    };
    tokio::join!(run(&clusters[0]), run(&clusters[1]));
    assert_eq!(settings(), before);
    let start = Instant::now();
    drop(clusters);
    measured(format_args!("cluster gone after {:?}", start.elapsed()));
    for place in places {
        assert_eq!(place.remains(), Vec::<String>::new());
    }
}

/// What [`a_killed_test_leaves_nothing`] kills.
#[tokio::test]
#[ignore = "a part of another test"]
async fn victim() {
    if std::env::var_os(PART).is_none() {
        return;
    }
    let cluster = Cluster::node().await.unwrap();
    let node = FakeNode::builder(&cluster, "fake")
        .program("sleep", "/bin/sleep")
        .start()
        .await
        .unwrap();
    let namespace = Namespace::temporary(&cluster, "x").await.unwrap();
    let pause = "zkinfer.test/pause:v1";
    namespace.apply(&pod("real", pause, "node1", &[])).await.unwrap();
    // The process knows the cluster's folder, by which it would be found.
    let folder = cluster.folder().display().to_string();
    namespace
        .apply(&pod("fake", "sleep", "fake", &["1000"]))
        .await
        .unwrap();
    wait_until(&namespace, "real", "Running", phase("Running")).await;
    let process = node
        .wait_for_process(namespace.name(), "fake", LIMIT)
        .await
        .unwrap();
    println!("\nvictim {} {} {folder}", cluster.sandbox().slot(), process.pid);
    std::future::pending().await
}

#[tokio::test]
async fn a_killed_test_leaves_nothing() {
    if !can_run() {
        return;
    }
    let _turn = ONE_AT_A_TIME.lock().await;
    let before = settings();
    let (mut victim, line) = start_part("clusters::victim").await;
    victim.kill().unwrap();
    victim.wait().unwrap();
    let (slot, process, folder) = parse(&line);
    Place::new(slot, &folder, before).wait_until_empty().await;
    assert!(!PathBuf::from(format!("/proc/{process}")).exists());
}

/// Starts this program again for one of its ignored tests; with the line by which that tells where its cluster is.
async fn start_part(test: &str) -> (Child, String) {
    let mut part = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(PART, "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(part.stdout.take().unwrap()).lines();
    let line = tokio::task::spawn_blocking(|| {
        lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("victim ").map(str::to_owned))
    });
    let Ok(Ok(Some(line))) = tokio::time::timeout(LIMIT * 2, line).await else {
        part.kill().unwrap();
        panic!("{test} did not get its cluster");
    };
    (part, line)
}

/// Slot, process and folder.
fn parse(line: &str) -> (u8, u32, PathBuf) {
    let words: Vec<&str> = line.split(' ').collect();
    (
        words[0].parse().unwrap(),
        words[1].parse().unwrap(),
        PathBuf::from(words[2]),
    )
}

/// What [`a_failed_test_leaves_its_logs_only`] lets fail.
#[tokio::test]
#[ignore = "a part of another test"]
async fn failure() {
    if std::env::var_os(PART).is_none() {
        return;
    }
    let cluster = Cluster::api().await.unwrap();
    println!(
        "\nvictim {} 0 {}",
        cluster.sandbox().slot(),
        cluster.folder().display()
    );
    panic!("as it should");
}

#[tokio::test]
async fn a_failed_test_leaves_its_logs_only() {
    if !can_run() {
        return;
    }
    let _turn = ONE_AT_A_TIME.lock().await;
    let before = settings();
    let (mut failing, line) = start_part("clusters::failure").await;
    assert!(!failing.wait().unwrap().success());
    let (slot, _, folder) = parse(&line);
    let left: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(left, ["log"]);
    assert!(folder.join("log/kube-apiserver.log").exists());
    std::fs::remove_dir_all(&folder).unwrap();
    Place::new(slot, &folder, before).wait_until_empty().await;
}

#[tokio::test]
async fn a_lost_node_is_noticed() {
    if !can_run() {
        return;
    }
    let _turn = ONE_AT_A_TIME.lock().await;
    let cluster = Cluster::builder().quick_node_loss().start().await.unwrap();
    let start = async |name| {
        FakeNode::builder(&cluster, name)
            .program("zkinfer.test/sh", "/bin/sh")
            .start()
            .await
    };
    let node = start("fake").await.unwrap();
    // Where no node at all is healthy, Kubernetes blames the network and evicts nothing.
    let _other = start("other").await.unwrap();
    let namespace = Namespace::temporary(&cluster, "x").await.unwrap();
    namespace
        .apply(&objects::pod("worker", &shell("fake", "sleep 1000")))
        .await
        .unwrap();
    let worker = node
        .wait_for_process(namespace.name(), "worker", LIMIT)
        .await
        .unwrap();
    wait_until(&namespace, "worker", "Running", phase("Running")).await;
    node.lose();
    let process = PathBuf::from(format!("/proc/{}", worker.pid));
    let gone = async || if process.exists() { Err("there") } else { Ok(()) };
    wait_for("the end of the process", LIMIT, gone).await.unwrap();
    let start = Instant::now();
    let disrupted = |pod: &Pod| {
        let conditions = pod
            .status
            .iter()
            .flat_map(|status| status.conditions.iter().flatten());
        conditions
            .into_iter()
            .any(|condition| condition.reason.as_deref() == Some("DeletionByTaintManager"))
    };
    wait_until(&namespace, "worker", "evicted", disrupted).await;
    measured(format_args!("pod evicted after {:?}", start.elapsed()));
    let nodes: Api<Node> = Api::all(cluster.client().await.unwrap());
    let conditions = nodes
        .get("fake")
        .await
        .unwrap()
        .status
        .unwrap()
        .conditions
        .unwrap();
    assert!(
        conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "Unknown")
    );
}
