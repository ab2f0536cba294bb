//! Compilers that crash.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;
use zkinfer_crds::k8s::{Model, find_condition};
use zkinfer_tests::cluster::{Cluster, can_run, wait_for};
use zkinfer_tests::fake_node::FakeNode;
use zkinfer_tests::local::program;
use zkinfer_tests::operator::{Objects, Operator, SYSTEM, install, model_ready};

use crate::world::{LONG, World};

#[tokio::test]
async fn a_compiler_that_crashes_is_not_started_again_until_the_model_is_changed() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = Objects::new(&world.cluster, "crash").await.unwrap();
    // Nobody else compiles this, so there is no result to be found.
    world
        .cluster
        .apply(&objects.model("crash", "wine.onnx", 3))
        .await
        .unwrap();
    // A Job has one more try.
    for _ in 0..2 {
        let compiler = world
            .node
            .wait_for_process(SYSTEM, "compile-crash-", LONG)
            .await
            .unwrap();
        world.node.kill(SYSTEM, &compiler.name).unwrap();
        wait_for("the compiler's end", LONG, async || {
            let runs = world.node.running().iter().any(|r| r.uid == compiler.uid);
            if runs { Err("it runs") } else { Ok(()) }
        })
        .await
        .unwrap();
    }
    let reason = |m: &Model, type_: &str| {
        let conditions = &m.status.as_ref()?.conditions;
        find_condition(conditions, type_).map(|c| c.reason.clone())
    };
    let failed = |m: &Model| reason(m, "Stalled").as_deref() == Some("CompileFailed");
    let model = objects.until("crash", LONG, failed).await.unwrap();
    assert_eq!(reason(&model, "Ready").as_deref(), Some("CompileFailed"));

    // Some time later the Job is gone, as when its time to live is over.
    let jobs: Api<Job> = Api::namespaced(objects.client.clone(), SYSTEM);
    let of_model = ListParams::default().labels(&format!("zkinfer.dev/model-uid={}", model.uid().unwrap()));
    let count = async || jobs.list(&of_model).await.unwrap().items.len();
    let job = jobs.list(&of_model).await.unwrap().items.remove(0);
    jobs.delete(&job.name_any(), &DeleteParams::background())
        .await
        .unwrap();
    wait_for("the Job's end", LONG, async || match count().await {
        0 => Ok(()),
        n => Err(n.to_string()),
    })
    .await
    .unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(count().await, 0, "the same again would crash again");
    let model = objects.api::<Model>().get("crash").await.unwrap();
    assert!(failed(&model), "{:?}", model.status);

    let patch = Patch::Merge(json!({ "spec": { "classes": ["a", "b", "c"] } }));
    let api = objects.api::<Model>();
    api.patch("crash", &PatchParams::default(), &patch).await.unwrap();
    let model = objects.until("crash", LONG, model_ready).await.unwrap();
    assert_eq!(reason(&model, "Stalled"), None);
}

#[tokio::test]
async fn what_a_compiler_says_before_it_ends_without_a_report_is_its_models_message() {
    if !can_run() {
        return;
    }
    let cluster = Cluster::api().await.unwrap();
    install(&cluster).await.unwrap();
    let full = cluster.folder().join("full");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = compile-job ] || exec '{}' \"$@\"\n\
         echo 'error: cannot write /work/out: No space left on device (os error 28)' >&2\nexit 2\n",
        program("prover-worker").display()
    );
    std::fs::write(&full, script).unwrap();
    std::fs::set_permissions(&full, std::fs::Permissions::from_mode(0o755)).unwrap();
    let node = FakeNode::builder(&cluster, "fake-1").program("zkinfer.dev/prover-worker", full);
    let node = node.start().await.unwrap();
    let operator = Operator::start(&cluster, &[]).await.unwrap();
    let world = World {
        cluster,
        operator,
        node,
    };
    let objects = Objects::new(&world.cluster, "full").await.unwrap();
    let model = objects.model("full", "wine.onnx", 4);
    world.cluster.apply(&model).await.unwrap();
    let ready = |m: &Model| find_condition(&m.status.as_ref()?.conditions, "Ready").cloned();
    let failed = |m: &Model| ready(m).is_some_and(|c| c.reason == "CompileFailed");
    let said = ready(&objects.until("full", LONG, failed).await.unwrap())
        .unwrap()
        .message;
    for words in [
        "exit code 2",
        "error: cannot write /work/out: No space left on device",
        "The disk that it writes to is full",
    ] {
        assert!(said.contains(words), "no {words:?}: {said}");
    }
}
