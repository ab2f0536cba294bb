//! From the previous chart to today's, back, and forth again, by Helm itself, while requests are proved. Going back with the chart
//! alone takes rights from the operator that it needs: it ends before anybody else could act, and nothing is lost meanwhile.
//!
//! The operator at work is a process; its Deployment, which Helm writes too, finds no node with a volume for it.

use std::time::Duration;

use kube::api::Api;
use serde_json::json;
use zkinfer_crds::ProofSystem;
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, RequestPhase};
use zkinfer_tests::cluster::{Cluster, can_run, wait_for};
use zkinfer_tests::local::repository;
use zkinfer_tests::operator::{Objects, Operator, SYSTEM, model_ready, phase, pool_ready, workers};

use crate::world::{LONG, World, digits_request};

const PREVIOUS: &str = "tests/previous/zkinfer";
const TODAY: &str = "charts/zkinfer";
/// Longer than the operator may act without its Lease.
const GIVES_UP: Duration = Duration::from_secs(30);

/// Requests that are at work for some time.
const IN_FLIGHT: [&str; 3] = ["one", "two", "three"];

/// Helm with the release `zkinfer`: its chart is in this folder, if it takes one.
async fn helm(cluster: &Cluster, verb: &str, chart: Option<&str>, more: &[&str]) {
    let chart = chart.map(|folder| repository().join(folder).display().to_string());
    let mut line = vec![verb, "zkinfer"];
    line.extend(chart.as_deref());
    line.extend(["--namespace", SYSTEM]);
    line.extend(more);
    cluster.helm(&line).await.unwrap();
}

/// The uids of what an upgrade may not make anew: with a definition all of its objects would go, with the claim all receipts.
async fn uids(cluster: &Cluster) -> String {
    let mut all = String::new();
    for words in [
        "get crd models.zkinfer.dev inferencerequests.zkinfer.dev minerpools.zkinfer.dev".to_owned(),
        format!("get pvc zkinfer-artifacts -n {SYSTEM}"),
    ] {
        let words = format!("{words} --ignore-not-found -o jsonpath={{..metadata.uid}}");
        let words: Vec<&str> = words.split(' ').collect();
        all += &cluster.kubectl(&words).await.unwrap();
        all += " ";
    }
    all
}

async fn at_work(objects: &Objects, name: &str) {
    let began = |r: &InferenceRequest| phase(r).is_some_and(|p| p == RequestPhase::Proving || p.is_over());
    objects.until(name, LONG, began).await.unwrap();
}

#[tokio::test]
async fn an_upgrade_and_a_way_back_lose_no_request_and_no_model() {
    if !can_run() {
        return;
    }
    let cluster = Cluster::api().await.unwrap();
    helm(&cluster, "install", Some(PREVIOUS), &["--create-namespace"]).await;
    let established = "wait --for=condition=Established --timeout=20s crd --all";
    let established: Vec<&str> = established.split(' ').collect();
    cluster.kubectl(&established).await.unwrap();
    let first = uids(&cluster).await;
    assert!(first.len() > 4 * 36, "{first}");
    // As people had them: of definitions that know no class.
    let objects = Objects::new(&cluster, "upgraded").await.unwrap();
    cluster
        .apply(&objects.pool("own", &json!({ "resources": { "cpu": "1", "memory": "2Gi" } })))
        .await
        .unwrap();
    let pools: Api<MinerPool> = objects.api();
    let old = [
        "get",
        "minerpool",
        "own",
        "-n",
        "upgraded",
        "-o",
        "jsonpath={.spec.controllerClass}",
    ];
    assert_eq!(cluster.kubectl(&old).await.unwrap(), "");

    helm(&cluster, "upgrade", Some(TODAY), &[]).await;
    cluster.kubectl(&established).await.unwrap();
    // The API server adds what was not there, once it has taken the definition up.
    wait_for("the class of what had none", LONG, async || {
        let class = cluster.kubectl(&old).await.map_err(|e| e.to_string())?;
        if class == "zkinfer" {
            Ok(())
        } else {
            Err(format!("`{class}`"))
        }
    })
    .await
    .unwrap();
    let node = workers(&cluster).await.unwrap();
    let operator = Operator::start(&cluster, &[]).await.unwrap();
    let mut world = World {
        cluster,
        operator,
        node,
    };
    objects.until("own", LONG, pool_ready).await.unwrap();
    let uid = pools.get("own").await.unwrap().metadata.uid;
    let digits = world.with_digits("digits", ProofSystem::Halo2Kzg).await;
    let serving = json!({ "warm": 1, "resources": { "cpu": "1", "memory": "2Gi" } });
    world
        .cluster
        .apply(&digits.pool("alpha", &serving))
        .await
        .unwrap();
    digits.until("alpha", LONG, pool_ready).await.unwrap();
    for name in IN_FLIGHT {
        world
            .cluster
            .apply(&digits_request(name, "digits"))
            .await
            .unwrap();
    }
    at_work(&digits, IN_FLIGHT[0]).await;

    // Back: without the right to its Lease it may not act, and does not.
    helm(&world.cluster, "rollback", None, &["1"]).await;
    assert_ne!(
        world.operator.ended(GIVES_UP).await.unwrap(),
        Some(0),
        "{}",
        world.operator.output()
    );
    for name in IN_FLIGHT {
        // The earlier definition gives it fields that are none of ours any more.
        let words = [
            "get",
            "inferencerequest",
            name,
            "-n",
            "digits",
            "-o",
            "jsonpath={.status.phase}",
        ];
        let phase = world.cluster.kubectl(&words).await.unwrap();
        let phase: RequestPhase = serde_json::from_value(json!(phase)).unwrap();
        assert_ne!(phase, RequestPhase::Failed, "{name}");
    }

    // What the earlier chart does not know stays too, with whatever is in it.
    let newer = ["get", "crd", "validators.zkinfer.dev", "-o", "name"];
    world.cluster.kubectl(&newer).await.unwrap();

    // Forth again: what was at work goes on, and what was compiled stays compiled.
    helm(&world.cluster, "upgrade", Some(TODAY), &[]).await;
    world.cluster.kubectl(&established).await.unwrap();
    world.operator.start_again().unwrap();
    for name in IN_FLIGHT {
        let over = digits.over(name, LONG).await.unwrap();
        assert_eq!(
            phase(&over),
            Some(RequestPhase::Succeeded),
            "{name}: {:?}",
            over.status
        );
    }
    digits.until("digits", LONG, model_ready).await.unwrap();
    assert_eq!(pools.get("own").await.unwrap().metadata.uid, uid);
    assert_eq!(uids(&world.cluster).await, first);
    assert_eq!(world.operator.stop().await.unwrap(), Some(0));
}
