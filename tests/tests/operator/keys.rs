//! The validator's key is followed by the one that it names, and by no other.

use std::process::Command;

use serde_json::{Value, json};
use zkinfer_crds::k8s::{Validator, find_condition};
use zkinfer_tests::cluster::can_run;
use zkinfer_tests::local::{program, run};
use zkinfer_tests::operator::Objects;

use crate::world::{LONG, World};

/// 32 bytes, as they stand in a Secret.
const NEW: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
const SECRET: &[&str] = &["secret", "zkinfer-validator-key", "-n", "zkinfer-system"];

/// What `prover-worker ledger verify` says of the segments in the store.
pub async fn verified(world: &World) -> Value {
    let segments = world.cluster.folder().join("artifacts/segments");
    let verify = move || {
        let mut command = Command::new(program("prover-worker"));
        run(command.args(["-o", "json", "ledger", "verify"]).arg(&segments))
    };
    let verified = tokio::task::spawn_blocking(verify).await.unwrap();
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    serde_json::from_str(&verified.stdout).unwrap()
}

async fn keys(world: &World, data: &Value) {
    let patch = json!({ "data": data }).to_string();
    let words = [&["patch"], SECRET, &["--type=merge", "-p", &patch]].concat();
    world.cluster.kubectl(&words).await.unwrap();
}

async fn signed(own: &Objects, truth: &str, reason: &str) {
    let told = |v: &Validator| {
        let conditions: Vec<_> = v.status.iter().flat_map(|s| &s.conditions).cloned().collect();
        find_condition(&conditions, "LedgerSigned")
            .is_some_and(|c| (c.status.as_str(), c.reason.as_str()) == (truth, reason))
    };
    own.until("zkinfer", LONG, told).await.unwrap();
}

async fn prove(world: &World, objects: &Objects, name: &str) {
    let request = objects.wine_request(name, "wine", &json!({}));
    world.cluster.apply(&request).await.unwrap();
    objects.over(name, LONG).await.unwrap();
}

#[tokio::test]
async fn a_key_is_followed_by_the_one_that_it_names_and_an_exchanged_one_is_told_of() {
    if !can_run() {
        return;
    }
    let mut world = World::new(&[]).await;
    let objects = world.with_pool("keys").await;
    let own = Objects {
        client: objects.client.clone(),
        namespace: "zkinfer-system".to_owned(),
    };
    let validator = own.object("Validator", "zkinfer", &json!({}));
    world.cluster.apply(&validator).await.unwrap();
    signed(&own, "True", "Signed").await;
    prove(&world, &objects, "one").await;
    let old = [&["get"], SECRET, &["-o", "jsonpath={.data.key}"]].concat();
    let old = world.cluster.kubectl(&old).await.unwrap().trim().to_owned();
    world.operator.stop().await.unwrap();
    let before = verified(&world).await;

    // Another key, that nobody has named: requests go on, and the ledger is as it was.
    keys(&world, &json!({ "key": NEW })).await;
    world.operator.start_again().unwrap();
    signed(&own, "False", "KeyNotNamed").await;
    prove(&world, &objects, "two").await;
    world.operator.stop().await.unwrap();
    assert_eq!(verified(&world).await, before);

    // Named by the old one it signs what waits, and all that comes.
    keys(&world, &json!({ "key": old, "next": NEW })).await;
    world.operator.start_again().unwrap();
    signed(&own, "True", "Signed").await;
    world.operator.stop().await.unwrap();
    let after = verified(&world).await;
    assert_ne!(after["validator"], before["validator"]);
    assert!(after["entries"].as_u64() > before["entries"].as_u64(), "{after}");

    // Then it is the only one.
    keys(&world, &json!({ "key": NEW, "next": null })).await;
    world.operator.start_again().unwrap();
    signed(&own, "True", "Signed").await;
    prove(&world, &objects, "three").await;
    world.operator.stop().await.unwrap();
    let last = verified(&world).await;
    assert_eq!(last["validator"], after["validator"]);
    assert!(last["entries"].as_u64() > after["entries"].as_u64(), "{last}");
}
