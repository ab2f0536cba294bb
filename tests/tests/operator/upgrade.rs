//! From the previous chart to today's, back, and forth again, while requests are proved. Going back with the chart alone takes rights
//! from the operator that it needs: it ends before anybody else could act, and nothing is lost meanwhile.

use std::time::Duration;

use kube::api::Api;
use serde_json::json;
use zkinfer_crds::ProofSystem;
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, RequestPhase};
use zkinfer_tests::cluster::{Cluster, can_run, wait_for};
use zkinfer_tests::operator::{
    Objects, Operator, SYSTEM, install_chart, model_ready, phase, pool_ready, workers,
};

use crate::world::{LONG, World, digits_request};

const PREVIOUS: &str = "tests/previous/zkinfer";
const TODAY: &str = "charts/zkinfer";
/// Longer than the operator may act without its Lease.
const GIVES_UP: Duration = Duration::from_secs(30);

/// Requests that are at work for some time.
const IN_FLIGHT: [&str; 3] = ["one", "two", "three"];

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
    cluster.kubectl(&["create", "namespace", SYSTEM]).await.unwrap();
    install_chart(&cluster, PREVIOUS).await.unwrap();
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

    install_chart(&cluster, TODAY).await.unwrap();
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
    install_chart(&world.cluster, PREVIOUS).await.unwrap();
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

    // Forth again: what was at work goes on, and what was compiled stays compiled.
    install_chart(&world.cluster, TODAY).await.unwrap();
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
    assert_eq!(world.operator.stop().await.unwrap(), Some(0));
}
