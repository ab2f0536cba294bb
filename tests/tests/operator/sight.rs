//! What Kubernetes does to pods is seen: within 30 s a condition and an event name cause and way out.

use std::time::{Duration, Instant};

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, Model, RequestPhase, find_condition};
use zkinfer_tests::cluster::{Cluster, can_run, wait_for};
use zkinfer_tests::fake_node::FakeNode;
use zkinfer_tests::local::program;
use zkinfer_tests::operator::{Objects, Operator, SYSTEM, install, model_ready, phase, pool_ready};

use crate::world::{LONG, World, worker};

/// The bar, from the first object or event that shows it.
const SEEN: Duration = Duration::from_secs(30);

/// Status, reason and message of a condition.
fn told(
    conditions: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition],
    type_: &str,
) -> (String, String, String) {
    find_condition(conditions, type_).map_or_else(Default::default, |c| {
        (c.status.clone(), c.reason.clone(), c.message.clone())
    })
}

/// Waits until a pool says that it is not ready for this reason, with these words, on itself and by an event.
async fn pool_says(objects: &Objects, name: &str, reason: &str, words: &[&str], stalled: bool) {
    let said = |pool: &MinerPool| {
        let conditions = &pool
            .status
            .as_ref()
            .map(|s| s.conditions.clone())
            .unwrap_or_default();
        let (status, why, message) = told(conditions, "Ready");
        let degraded = told(conditions, "Degraded");
        status == "False"
            && why == reason
            && words.iter().all(|w| message.contains(w))
            && (degraded.0.as_str(), &degraded.1) == ("True", &why)
            && (told(conditions, "Stalled").0 == "True") == stalled
    };
    let began = Instant::now();
    objects.until(name, SEEN, said).await.unwrap();
    println!(
        "measured: {reason} of a pool is told after {:.1} s",
        began.elapsed().as_secs_f64()
    );
    event(&objects.client, &objects.namespace, name, reason, words).await;
}

async fn event(client: &Client, namespace: &str, name: &str, reason: &str, words: &[&str]) {
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    let of = ListParams::default().fields(&format!("involvedObject.name={name},reason={reason}"));
    wait_for("the event", SEEN, async || {
        let list = events.list(&of).await.map_err(|e| e.to_string())?;
        let notes: Vec<String> = list.items.into_iter().filter_map(|e| e.message).collect();
        if notes.iter().any(|note| words.iter().all(|w| note.contains(w))) {
            Ok(())
        } else {
            Err(format!("{notes:?}"))
        }
    })
    .await
    .unwrap();
}

fn quota(namespace: &str, hard: &Value) -> String {
    json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "q", "namespace": namespace },
        "spec": { "hard": hard },
    })
    .to_string()
}

#[tokio::test]
async fn what_refuses_the_pods_of_a_pool_is_told_and_over_when_it_is() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_model("refused").await;
    let small = quota(
        "refused",
        &json!({ "limits.cpu": "50m", "limits.memory": "100Mi" }),
    );
    world.cluster.apply(&small).await.unwrap();
    world.own_pool(&objects).await;
    world
        .cluster
        .apply(&objects.wine_request("waits", "wine", &json!({})))
        .await
        .unwrap();
    let words = ["exceeded quota: q", "ResourceQuota", "spec.resources"];
    pool_says(&objects, "own", "QuotaExceeded", &words, true).await;
    event(
        &objects.client,
        "refused",
        "waits",
        "QuotaExceeded",
        &["refused/own", "exceeded quota"],
    )
    .await;
    // Warm workers are a Deployment's.
    world
        .cluster
        .apply(&objects.pool("warm", &json!({ "warm": 1 })))
        .await
        .unwrap();
    pool_says(&objects, "warm", "QuotaExceeded", &words, true).await;
    // There is room: whoever waited goes on. The Job controller tries again when it likes, so its Job is made anew.
    world
        .cluster
        .kubectl(&["delete", "quota", "q", "-n", "refused"])
        .await
        .unwrap();
    let jobs = objects.api::<Job>();
    for job in jobs.list(&ListParams::default()).await.unwrap() {
        let _ = jobs.delete(&job.name_any(), &DeleteParams::background()).await;
    }
    objects.until("own", LONG, pool_ready).await.unwrap();
    let over = objects.over("waits", LONG).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Succeeded));
}

#[tokio::test]
async fn a_limit_range_and_a_missing_priority_class_are_told() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_model("limited").await;
    let range = json!({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": { "name": "r", "namespace": "limited" },
        "spec": { "limits": [{ "type": "Container", "max": { "memory": "64Mi" } }] },
    });
    world.cluster.apply(&range.to_string()).await.unwrap();
    world
        .cluster
        .apply(&objects.pool("own", &json!({ "warm": 1 })))
        .await
        .unwrap();
    pool_says(
        &objects,
        "own",
        "OutsideLimitRange",
        &["maximum memory", "LimitRange"],
        true,
    )
    .await;
    world
        .cluster
        .kubectl(&["delete", "limitrange", "r", "-n", "limited"])
        .await
        .unwrap();
    let pod = json!({ "warm": 1, "pod": { "priorityClassName": "nowhere" } });
    world.cluster.apply(&objects.pool("other", &pod)).await.unwrap();
    pool_says(
        &objects,
        "other",
        "NoPriorityClass",
        &["nowhere", "priorityClassName"],
        true,
    )
    .await;
}

#[tokio::test]
async fn workers_that_crash_or_are_held_back_are_told() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_model("crashing").await;
    // The worker is run with a program that it is not.
    let crash = json!({ "image": "zkinfer.dev/prover-worker-crash:test", "warm": 1 });
    world.cluster.apply(&objects.pool("crash", &crash)).await.unwrap();
    // The fake node runs the same program for it; killed twice it is as one that crashes.
    for _ in 0..2 {
        let name = worker(world, &objects, "crash").await;
        world.node.kill("crashing", &name).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    pool_says(&objects, "crash", "Crashing", &["exit code 137"], true).await;
    objects.until("crash", LONG, pool_ready).await.unwrap();
    let drain = Patch::Merge(json!({ "spec": { "drain": true } }));
    let pools = objects.api::<MinerPool>();
    pools
        .patch("crash", &PatchParams::default(), &drain)
        .await
        .unwrap();

    let labelled = json!({ "nodeSelector": { "there": "is-none" } });
    world
        .cluster
        .apply(&objects.pool("held", &json!({ "pod": labelled })))
        .await
        .unwrap();
    objects.until("held", LONG, pool_ready).await.unwrap();
    world
        .cluster
        .apply(&objects.wine_request("held", "wine", &json!({})))
        .await
        .unwrap();
    let jobs = objects.api::<Job>();
    let of = ListParams::default().labels("zkinfer.dev/pool=held");
    let job = wait_for("its Job", LONG, async || {
        let list = jobs.list(&of).await.map_err(|e| e.to_string())?;
        list.items.into_iter().next().ok_or("none".to_owned())
    })
    .await
    .unwrap();
    pool_says(
        &objects,
        "held",
        "Unschedulable",
        &["0/1 nodes are available", "nodeSelector"],
        false,
    )
    .await;
    let suspend = Patch::Merge(json!({ "spec": { "suspend": true } }));
    jobs.patch(&job.name_any(), &PatchParams::default(), &suspend)
        .await
        .unwrap();
    pool_says(
        &objects,
        "held",
        "JobSuspended",
        &[&job.name_any(), "Kueue"],
        false,
    )
    .await;
}

#[tokio::test]
async fn a_compiler_that_cannot_start_is_told_and_starts_when_it_can() {
    if !can_run() {
        return;
    }
    let world = World::new(&[]).await;
    let objects = Objects::new(&world.cluster, "models").await.unwrap();
    let says = async |reason: &str, words: &[&str]| {
        let began = Instant::now();
        let said = |model: &Model| {
            let conditions = model
                .status
                .as_ref()
                .map(|s| s.conditions.clone())
                .unwrap_or_default();
            let ready = told(&conditions, "Ready");
            ready.1 == reason
                && words.iter().all(|w| ready.2.contains(w))
                && told(&conditions, "Compiled").0 == "Unknown"
        };
        objects.until("wine", SEEN, said).await.unwrap();
        println!(
            "measured: {reason} of a compiler is told after {:.1} s",
            began.elapsed().as_secs_f64()
        );
        event(&objects.client, "models", "wine", reason, words).await;
    };
    world
        .cluster
        .apply(&quota(SYSTEM, &json!({ "count/jobs.batch": "0" })))
        .await
        .unwrap();
    world
        .cluster
        .apply(&objects.model("wine", "wine.onnx", 4))
        .await
        .unwrap();
    says("QuotaExceeded", &["Job cannot be made", "count/jobs.batch"]).await;
    // Refusals are few, and so are lines of log.
    tokio::time::sleep(Duration::from_secs(20)).await;
    let refused = world.operator.output().matches("exceeded quota").count();
    assert!(refused <= 2, "{}", world.operator.output());
    // Its Job, but not its pod.
    world
        .cluster
        .apply(&quota(SYSTEM, &json!({ "limits.memory": "1Mi" })))
        .await
        .unwrap();
    wait_for("the Job", LONG, async || {
        let jobs: Api<Job> = Api::namespaced(objects.client.clone(), SYSTEM);
        match jobs.list(&ListParams::default()).await.map(|l| l.items.len()) {
            Ok(1) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .unwrap();
    says(
        "QuotaExceeded",
        &["pods of Job", "limits.memory", "compiler.memory"],
    )
    .await;
    world
        .cluster
        .kubectl(&["delete", "quota", "q", "-n", SYSTEM])
        .await
        .unwrap();
    let model = objects
        .until("wine", Duration::from_secs(180), model_ready)
        .await
        .unwrap();
    let conditions = model.status.unwrap().conditions;
    assert_eq!(told(&conditions, "Stalled").0, "");
}

#[tokio::test]
async fn a_lost_node_is_told_and_its_slices_are_proved_elsewhere() {
    if !can_run() {
        return;
    }
    let cluster = Cluster::builder().quick_node_loss().start().await.unwrap();
    install(&cluster).await.unwrap();
    let node = async |name: &str| {
        FakeNode::builder(&cluster, name)
            .program("zkinfer.dev/prover-worker", program("prover-worker"))
            .start()
            .await
            .unwrap()
    };
    let first = node("first").await;
    let operator = Operator::start(&cluster, &[]).await.unwrap();
    let objects = Objects::new(&cluster, "lost").await.unwrap();
    cluster
        .apply(&objects.model("wine", "wine.onnx", 4))
        .await
        .unwrap();
    objects.until("wine", LONG, model_ready).await.unwrap();
    cluster
        .apply(&objects.pool("own", &json!({ "parallelism": 1 })))
        .await
        .unwrap();
    objects.until("own", LONG, pool_ready).await.unwrap();
    cluster
        .apply(&objects.wine_request("goes-on", "wine", &json!({})))
        .await
        .unwrap();
    let pods = objects.api::<Pod>();
    let pod = wait_for("a worker", LONG, async || {
        let list = pods
            .list(&ListParams::default())
            .await
            .map_err(|e| e.to_string())?;
        let runs = first.running();
        let found = list
            .items
            .iter()
            .find(|p| runs.iter().any(|r| r.name == p.name_any()));
        found.map(ResourceExt::name_any).ok_or("none runs".to_owned())
    })
    .await
    .unwrap();
    first.stall("lost", &pod).await.unwrap();
    let _second = node("second").await;
    first.lose();
    event(
        &objects.client,
        "lost",
        "own",
        "NodeLost",
        &["node first", "does not answer"],
    )
    .await;
    let over = objects.over("goes-on", Duration::from_secs(120)).await.unwrap();
    assert_eq!(
        phase(&over),
        Some(RequestPhase::Succeeded),
        "{}",
        operator.output()
    );
}

#[tokio::test]
async fn a_config_map_that_changed_after_its_model_was_compiled_is_told() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_model("edited").await;
    let patch = Patch::Merge(json!({ "binaryData": { "model.onnx": "YW5vdGhlcg==" } }));
    let maps = objects.api::<k8s_openapi::api::core::v1::ConfigMap>();
    maps.patch("wine", &PatchParams::default(), &patch).await.unwrap();
    let changed = |model: &Model| {
        let conditions = model
            .status
            .as_ref()
            .map(|s| s.conditions.clone())
            .unwrap_or_default();
        told(&conditions, "SourceChanged").0 == "True" && told(&conditions, "Ready").0 == "True"
    };
    objects.until("wine", LONG, changed).await.unwrap();
    event(
        &objects.client,
        "edited",
        "wine",
        "SourceChanged",
        &["ConfigMap edited/wine", "another name"],
    )
    .await;
}

#[tokio::test]
async fn a_request_without_a_pool_is_told_what_is_wrong_with_each() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_model("choosy").await;
    let spec = json!({ "resources": { "cpu": 1, "memory": "1Mi" } });
    world.cluster.apply(&objects.pool("tiny", &spec)).await.unwrap();
    world
        .cluster
        .apply(&objects.wine_request("waits", "wine", &json!({})))
        .await
        .unwrap();
    let said = |request: &InferenceRequest| {
        let conditions = request
            .status
            .as_ref()
            .map(|s| s.conditions.clone())
            .unwrap_or_default();
        let ready = told(&conditions, "Ready");
        ready.1 == "NoFittingPool" && ready.2.contains("choosy/tiny: its workers have 1 MiB of memory")
    };
    objects.until("waits", LONG, said).await.unwrap();
}

#[tokio::test]
async fn an_operator_waits_for_another_to_be_gone() {
    if !can_run() {
        return;
    }
    let cluster = Cluster::api().await.unwrap();
    install(&cluster).await.unwrap();
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": "zkinfer-operator", "namespace": SYSTEM },
        "spec": { "holderIdentity": "another", "renewTime": "2026-01-01T00:00:00.000000Z" },
    });
    cluster.apply(&lease.to_string()).await.unwrap();
    let began = Instant::now();
    let operator = Operator::start(&cluster, &[]).await.unwrap();
    assert!(
        began.elapsed() > Duration::from_secs(14),
        "its clock says nothing: it may be another's"
    );
    assert!(
        operator.output().contains("another operator is at work"),
        "{}",
        operator.output()
    );
}
