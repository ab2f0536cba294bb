//! What the operator says of its work, for machines: which request, slice, claim and pool each line is about.

use serde_json::{Value, json};
use zkinfer_crds::k8s::RequestPhase;
use zkinfer_tests::cluster::{can_run, wait_for};
use zkinfer_tests::operator::phase;

use crate::world::{LONG, World};

#[tokio::test]
async fn every_line_is_json_with_the_same_keys_and_a_claim_that_failed_has_all_of_them() {
    if !can_run() {
        return;
    }
    let world = World::new(&["--log-format=json"]).await;
    let objects = world.with_model("logged").await;
    let bad = json!({ "image": "zkinfer.dev/rogue-garbage:test" });
    world.cluster.apply(&objects.pool("bad", &bad)).await.unwrap();
    world
        .cluster
        .apply(&objects.wine_request("one", "wine", &json!({})))
        .await
        .unwrap();
    let lines = || -> Vec<Value> {
        let text = world.operator.output();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    };
    let of_claim = |line: &Value| {
        ["request", "slice", "claim", "pool"]
            .iter()
            .all(|key| !line[key].is_null())
    };
    wait_for("a claim that failed", LONG, async || {
        lines()
            .iter()
            .any(&of_claim)
            .then_some(())
            .ok_or("none is told of")
    })
    .await
    .unwrap();
    world
        .cluster
        .apply(&objects.pool("good", &json!({})))
        .await
        .unwrap();
    let request = objects.over("one", LONG).await.unwrap();
    assert_eq!(
        phase(&request),
        Some(RequestPhase::Succeeded),
        "{:?}",
        request.status
    );

    let all = lines();
    for line in &all {
        for key in [
            "time", "level", "target", "message", "request", "slice", "claim", "pool", "model",
        ] {
            assert!(line.get(key).is_some(), "{key}: {line}");
        }
    }
    let told = all.iter().find(|line| of_claim(line)).unwrap();
    assert_eq!(told["pool"], "logged/bad", "{told}");
    assert_eq!(told["request"], json!(request.metadata.uid.unwrap()), "{told}");
    assert!(told["slice"].is_u64(), "{told}");
}
