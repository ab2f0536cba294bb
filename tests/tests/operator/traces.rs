//! On a cluster: a collector is told of the operator's spans, and of the workers' where they are told of one.

use serde_json::json;
use zkinfer_tests::cluster::{can_run, wait_for};
use zkinfer_tests::collector::Collector;

use crate::world::{LONG, World};

#[tokio::test]
async fn a_request_on_a_cluster_is_one_trace_with_its_workers_spans() {
    if !can_run() {
        return;
    }
    let collector = Collector::start().unwrap();
    let endpoint = collector.endpoint();
    let own = format!("--otlp-endpoint={endpoint}");
    let workers = format!("--worker-otlp-endpoint={endpoint}");
    let world = World::new(&[&own, &workers]).await;
    let objects = world.with_pool("traced").await;
    let request = objects.wine_request("one", "wine", &json!({}));
    world.cluster.apply(&request).await.unwrap();
    let request = objects.over("one", LONG).await.unwrap();
    let trace = request.metadata.uid.unwrap().replace('-', "");
    // Workers send theirs by themselves, within a second or two.
    let expected = [
        ("request", "zkinfer-operator"),
        ("claim", "zkinfer-operator"),
        ("verify", "zkinfer-operator"),
        ("work", "zkinfer-prover-worker"),
        ("prove", "zkinfer-prover-worker"),
    ];
    wait_for("the spans", LONG, async || {
        let spans = collector.spans();
        let of_it = || spans.iter().filter(|s| s.trace == trace);
        let missing = expected
            .into_iter()
            .find(|(name, service)| !of_it().any(|s| s.name == *name && s.service == *service));
        match missing {
            None => Ok(()),
            Some(missing) => Err(format!("{missing:?} is not among {} spans", of_it().count())),
        }
    })
    .await
    .unwrap();
    let spans = collector.spans();
    let of_pool = spans.iter().filter(|s| s.name == "claim" && s.trace == trace);
    for claim in of_pool {
        assert_eq!(claim.attribute("zkinfer.pool"), "traced/own");
    }
    assert!(collector.wrong().is_empty(), "{:?}", collector.wrong());
}
