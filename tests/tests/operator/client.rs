//! A client that waits for its request learns how it ended, or why it cannot know.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;
use zkinfer_crds::k8s::InferenceRequest;
use zkinfer_tests::cluster::{can_run, wait_for};
use zkinfer_tests::local::{Ran, program, run};
use zkinfer_tests::operator::{Objects, WINE};

use crate::world::{LONG, World};

/// Submits a request for the wine model, for which there is no pool, and waits for its end.
async fn submit(world: &World, objects: &Objects, kubeconfig: PathBuf) -> tokio::task::JoinHandle<Ran> {
    submit_values(world, objects, kubeconfig, &WINE).await
}

/// The same with another input.
async fn submit_values(
    world: &World,
    objects: &Objects,
    kubeconfig: PathBuf,
    values: &[f64],
) -> tokio::task::JoinHandle<Ran> {
    let input = world.cluster.folder().join(format!("{}.json", objects.namespace));
    std::fs::write(&input, json!({ "features": [values] }).to_string()).unwrap();
    let mut command = Command::new(program("operator"));
    command
        .env("KUBECONFIG", kubeconfig)
        .args(["submit", "wine", "--wait", "-n", &objects.namespace, "--input"])
        .arg(input);
    tokio::task::spawn_blocking(move || run(&mut command))
}

#[tokio::test]
async fn submit_ends_when_its_request_is_deleted() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_model("followed").await;
    let submitted = submit(world, &objects, world.cluster.kubeconfig()).await;
    let api = objects.api::<InferenceRequest>();
    let name = wait_for("the request", LONG, async || {
        let list = api
            .list(&ListParams::default())
            .await
            .map_err(|e| e.to_string())?;
        let waits = list.items.iter().find(|r| r.status.is_some());
        waits.map(ResourceExt::name_any).ok_or("not yet".to_owned())
    })
    .await
    .unwrap();
    api.delete(&name, &DeleteParams::default()).await.unwrap();
    let ran = submitted.await.unwrap();
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let told = format!("{name} in namespace followed was deleted");
    assert!(ran.stderr.contains(&told), "{}", ran.stderr);
}

#[tokio::test]
async fn submit_ends_standard_error_with_why_its_request_has_no_answer() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_pool("unanswered").await;
    let far = WINE.map(|value| value + 1e6);
    let submitted = submit_values(world, &objects, world.cluster.kubeconfig(), &far).await;
    let ran = submitted.await.unwrap();
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let last = ran.stderr.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("error: unanswered/wine-")
            && last.contains(": Failed: OutOfCalibratedRange: ")
            && last.contains("`features`"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("Proving"), "{}", ran.stderr);
}

#[tokio::test]
async fn submit_says_when_no_operator_looks_at_its_request() {
    if !can_run() {
        return;
    }
    let mut world = World::new(&[]).await;
    let objects = world.with_pool("unseen").await;
    world.operator.kill().await.unwrap();
    let submitted = submit(&world, &objects, world.cluster.kubeconfig()).await;
    tokio::time::sleep(Duration::from_secs(13)).await;
    world.operator.start_again().unwrap();
    let ran = submitted.await.unwrap();
    assert_eq!(ran.code, 0, "it goes on once there is one: {}", ran.stderr);
    for told in [
        "no operator has looked at it: is the one of controllerClass `zkinfer` running?",
        "it is waited for until its deadline, 1h",
    ] {
        assert!(ran.stderr.contains(told), "no {told:?}: {}", ran.stderr);
    }
}

#[tokio::test]
async fn submit_names_the_right_that_it_lacks_to_follow_its_request() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_model("unfollowed").await;
    let kubectl = async |line: &str| {
        let line: Vec<&str> = line.split_whitespace().chain(["-n", "unfollowed"]).collect();
        world.cluster.kubectl(&line).await.unwrap();
    };
    kubectl("create serviceaccount asker").await;
    for (role, verbs, resource) in [
        ("models", "get", "models.zkinfer.dev"),
        ("maps", "create,patch", "configmaps"),
        ("requests", "create,list", "inferencerequests.zkinfer.dev"),
    ] {
        kubectl(&format!(
            "create role {role} --verb={verbs} --resource={resource}"
        ))
        .await;
        kubectl(&format!(
            "create rolebinding {role} --role={role} --serviceaccount=unfollowed:asker"
        ))
        .await;
    }
    let kubeconfig = world
        .cluster
        .kubeconfig_for_service_account("unfollowed", "asker");
    let ran = submit(world, &objects, kubeconfig.await.unwrap())
        .await
        .await
        .unwrap();
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    for told in [
        "cannot be followed",
        "you may not watch inferencerequests.zkinfer.dev",
    ] {
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
    }
}
