//! The settings of an installation: which Validator rules, and that what it says is in force without a restart.

use std::process::Command;

use serde_json::{Value, json};
use zkinfer_crds::k8s::{InferenceRequest, Model, RequestPhase, Validator, find_condition};
use zkinfer_tests::cluster::can_run;
use zkinfer_tests::local::{program, run};
use zkinfer_tests::operator::{Objects, phase, pool_ready};

use crate::world::{LONG, World};

/// Those in the operator's namespace.
fn own(objects: &Objects) -> Objects {
    Objects {
        client: objects.client.clone(),
        namespace: "zkinfer-system".to_owned(),
    }
}

fn reason(validator: &Validator) -> String {
    let conditions = validator.status.iter().flat_map(|s| &s.conditions);
    let conditions: Vec<_> = conditions.cloned().collect();
    let ready = find_condition(&conditions, "Ready");
    ready.map(|c| c.reason.clone()).unwrap_or_default()
}

async fn apply(world: &World, objects: &Objects, name: &str, spec: &Value) {
    let document = objects.object("Validator", name, spec);
    world.cluster.apply(&document).await.unwrap();
}

#[tokio::test]
async fn the_oldest_rules_and_what_is_invalid_leaves_in_force_what_was() {
    if !can_run() {
        return;
    }
    let world = World::new(&[]).await;
    let objects = world.with_pool("settings").await;
    let own = own(&objects);
    apply(&world, &own, "first", &json!({ "network": "one" })).await;
    let network = |v: &Validator| {
        let settings = v.status.as_ref().and_then(|s| s.settings.as_ref());
        settings.map(|s| s.network.clone())
    };
    let in_force = |v: &Validator| reason(v) == "InForce" && network(v).as_deref() == Some("one");
    own.until("first", LONG, in_force).await.unwrap();

    // Times of objects are whole seconds; of two that are as old the name decides, and this one sorts later.
    apply(&world, &own, "second", &json!({})).await;
    apply(&world, &objects, "elsewhere", &json!({})).await;
    let superseded = |v: &Validator| reason(v) == "Superseded" && network(v).is_none();
    own.until("second", LONG, superseded).await.unwrap();
    objects.until("elsewhere", LONG, superseded).await.unwrap();

    let bad = json!({ "network": "two", "sourceUrls": ["models"] });
    apply(&world, &own, "first", &bad).await;
    let stays = |v: &Validator| reason(v) == "InvalidSpec" && network(v).as_deref() == Some("one");
    own.until("first", LONG, stays).await.unwrap();

    let gone = ["delete", "validator", "first", "-n", "zkinfer-system"];
    world.cluster.kubectl(&gone).await.unwrap();
    let rules = |v: &Validator| reason(v) == "InForce" && network(v).as_deref() == Some("default");
    own.until("second", LONG, rules).await.unwrap();
}

#[tokio::test]
async fn a_smaller_greatest_error_takes_a_model_out_of_service_and_a_larger_one_brings_it_back() {
    if !can_run() {
        return;
    }
    let world = World::new(&[]).await;
    let objects = world.with_model("strict").await;
    let own = own(&objects);
    let why = |m: &Model| {
        let conditions: Vec<_> = m.status.iter().flat_map(|s| &s.conditions).cloned().collect();
        find_condition(&conditions, "Ready").map(|c| (c.status.clone(), c.reason.clone()))
    };
    apply(&world, &own, "zkinfer", &json!({ "maxErrorMillionths": 1 })).await;
    let refused = |m: &Model| why(m).is_some_and(|(_, reason)| reason == "BudgetAboveOperator");
    objects.until("wine", LONG, refused).await.unwrap();
    apply(&world, &own, "zkinfer", &json!({ "maxErrorMillionths": 10_000 })).await;
    let ready = |m: &Model| why(m).is_some_and(|(status, _)| status == "True");
    objects.until("wine", LONG, ready).await.unwrap();
    let request = objects.wine_request("one", "wine", &json!({}));
    world.cluster.apply(&request).await.unwrap();
    let known = |r: &InferenceRequest| r.status.as_ref().is_some_and(|s| s.phase != RequestPhase::Failed);
    objects.until("one", LONG, known).await.unwrap();
}

#[tokio::test]
async fn a_request_beyond_the_limits_waits_queued_with_its_place_and_begins_by_itself() {
    if !can_run() {
        return;
    }
    let world = World::new(&[]).await;
    let objects = world.with_model("queued").await;
    // What is begun does not end.
    let stalls = json!({ "image": "zkinfer.dev/rogue-stall:test", "parallelism": 1 });
    world
        .cluster
        .apply(&objects.pool("stalls", &stalls))
        .await
        .unwrap();
    objects.until("stalls", LONG, pool_ready).await.unwrap();
    let own = own(&objects);
    apply(
        &world,
        &own,
        "zkinfer",
        &json!({ "limits": { "requestsInFlight": 1 } }),
    )
    .await;
    own.until("zkinfer", LONG, |v: &Validator| reason(v) == "InForce")
        .await
        .unwrap();
    let proving = |r: &InferenceRequest| phase(r) == Some(RequestPhase::Proving);
    let begin = async |name: &str| {
        let request = objects.wine_request(name, "wine", &json!({}));
        world.cluster.apply(&request).await.unwrap();
    };
    begin("one").await;
    objects.until("one", LONG, proving).await.unwrap();
    for (name, position) in [("two", 1), ("three", 2)] {
        // The API server tells when an object was made by the second: of the same one neither is first.
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        begin(name).await;
        let waits = |r: &InferenceRequest| {
            let place = r.status.as_ref().and_then(|s| s.queue.as_ref());
            place.is_some_and(|p| p.position == position && p.limit == "requestsInFlight")
        };
        let waiting = objects.until(name, LONG, waits).await.unwrap();
        assert_eq!(phase(&waiting), Some(RequestPhase::Pending));
        let conditions = waiting.status.unwrap().conditions;
        assert_eq!(find_condition(&conditions, "Ready").unwrap().reason, "Queued");
    }
    // The first that waits takes the place of the one that ends, and no other does.
    let gone = ["delete", "inferencerequest", "one", "-n", "queued"];
    world.cluster.kubectl(&gone).await.unwrap();
    let begun = objects.until("two", LONG, proving).await.unwrap();
    assert_eq!(begun.status.unwrap().queue, None);
    let first = |r: &InferenceRequest| {
        let place = r.status.as_ref().and_then(|s| s.queue.as_ref());
        place.is_some_and(|p| p.position == 1)
    };
    objects.until("three", LONG, first).await.unwrap();
    // A limit that is raised is in force at once; of requests that nobody says who made the namespace is one client.
    let other = json!({ "limits": { "requestsPerClient": 2 } });
    apply(&world, &own, "zkinfer", &other).await;
    objects.until("three", LONG, proving).await.unwrap();
    begin("four").await;
    let own_limit = |r: &InferenceRequest| {
        let place = r.status.as_ref().and_then(|s| s.queue.as_ref());
        place.is_some_and(|p| p.client.as_deref() == Some("namespace queued"))
    };
    objects.until("four", LONG, own_limit).await.unwrap();
}

#[tokio::test]
async fn the_scoring_rule_is_the_validators_and_the_ledger_names_it() {
    if !can_run() {
        return;
    }
    let mut world = World::new(&[]).await;
    let objects = world.with_pool("scoring").await;
    let own = own(&objects);
    let digest = |v: &Validator| {
        let rule = v.status.as_ref().and_then(|s| s.scoring.clone());
        rule.map(|rule| (rule.rule, rule.digest))
    };
    apply(&world, &own, "zkinfer", &json!({})).await;
    let default = |v: &Validator| digest(v).is_some_and(|(rule, _)| rule == "SpeedSizeAccuracy");
    own.until("zkinfer", LONG, default).await.unwrap();
    let scoring = json!({
        "rule": "DeliveredWork", "coldStart": 3, "owners": [{ "name": "acme", "namespaces": ["scoring"] }],
    });
    apply(&world, &own, "zkinfer", &json!({ "scoring": scoring })).await;
    let delivered = |v: &Validator| digest(v).is_some_and(|(rule, _)| rule == "DeliveredWork");
    let stated = own.until("zkinfer", LONG, delivered).await.unwrap();
    let (_, stated) = digest(&stated).unwrap();
    world
        .cluster
        .apply(&objects.wine_request("one", "wine", &json!({})))
        .await
        .unwrap();
    objects.over("one", LONG).await.unwrap();
    // What is contradictory leaves the rule in force.
    let twice = json!({ "scoring": { "owners": [
        { "name": "a", "namespaces": ["scoring"] }, { "name": "b", "namespaces": ["scoring"] },
    ] } });
    apply(&world, &own, "zkinfer", &twice).await;
    let stays = |v: &Validator| reason(v) == "InvalidSpec" && digest(v).is_some_and(|(_, d)| d == stated);
    own.until("zkinfer", LONG, stays).await.unwrap();

    // Whoever replays the ledger finds the same rule, constants and all.
    let segments = world.cluster.folder().join("artifacts/segments");
    world.operator.stop().await.unwrap();
    let replay = move || {
        let mut command = Command::new(program("prover-worker"));
        run(command.args(["-o", "json", "ledger", "replay"]).arg(&segments))
    };
    let replayed = tokio::task::spawn_blocking(replay).await.unwrap();
    assert_eq!(replayed.code, 0, "{}{}", replayed.stdout, replayed.stderr);
    let told: Value = serde_json::from_str(&replayed.stdout).unwrap();
    assert_eq!(told["digest"], json!(stated), "{told}");
}
