//! kubectl apply to a verified answer, and back to nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use kube::ResourceExt;
use serde_json::Value;
use zkinfer_crds::SliceIndex;
use zkinfer_crds::k8s::InferenceRequest;
use zkinfer_crds::k8s::request_status::SliceVerdict;
use zkinfer_tests::files::{files, until_no_files};
use zkinfer_tests::local::{model_file, program, repository, run};

use crate::remains;
use crate::world::{LONG, MANAGED, World, file, of, request};

#[tokio::test]
async fn kubectl_apply_leads_to_a_verified_answer_and_kubectl_delete_to_nothing() {
    let Some(world) = World::new().await else { return };
    let before = remains::all(&world).await.unwrap();
    world.install().await;
    let first = world.quickstart().await;
    miners_pods_have_proved_it(&world, &first).await;
    every_namespace_refuses_pods_that_may_do_more(&world).await;
    kubectl_tells_the_story(&world).await;
    a_stranger_verifies_the_receipt(&world, "digit-7");

    // Another request finds the keys.
    let jobs = "get jobs -n zkinfer-system -l app.kubernetes.io/component=compiler -o name";
    let compiled = world.kubectl(jobs).await.unwrap();
    assert_eq!(compiled.lines().count(), 1, "{compiled}");
    world.cluster.apply(&request("again")).await.unwrap();
    let again = world.complete("again").await;
    assert_eq!(
        world.kubectl(jobs).await.unwrap(),
        compiled,
        "nothing was compiled again"
    );
    both_pools_prove(&world, &[&first, &again]).await;
    let [one, other] = [&first, &again].map(|r| r.status.clone().unwrap());
    assert_eq!(one.manifest_digest, other.manifest_digest);
    assert_ne!(one.receipt, other.receipt, "a receipt is of one request");

    a_deleted_request_takes_what_it_had_along_but_not_its_receipt(&world, &first).await;

    let folder = repository().join("manifests/default");
    let quickstart = file("");
    world
        .show(&format!("delete -f {} --ignore-not-found", quickstart.display()))
        .await;
    world.show(&format!("delete -k {}", folder.display())).await;
    remains::until_as(&world, &before).await;
}

/// Which pool has proved each slice.
fn proved_by(request: &InferenceRequest) -> BTreeMap<SliceIndex, String> {
    let status = request.status.clone().unwrap();
    let verified = status.recent_slices.into_iter();
    let verified = verified.filter(|row| row.verdict == SliceVerdict::Verified);
    verified.map(|row| (row.slice, row.pool)).collect()
}

/// Whose pods are up first may prove all there is, so it is told of several requests.
async fn both_pools_prove(world: &World, requests: &[&InferenceRequest]) {
    let of = |r: &InferenceRequest| proved_by(r).into_values().collect::<BTreeSet<_>>();
    let mut pools: BTreeSet<String> = requests.iter().flat_map(|r| of(r)).collect();
    for name in ["and-again", "once-more", "at-last"] {
        if pools.len() > 1 {
            break;
        }
        world.cluster.apply(&request(name)).await.unwrap();
        pools.extend(of(&world.complete(name).await));
    }
    let both = ["miner-alpha/alpha", "miner-beta/beta"].map(str::to_owned);
    assert_eq!(pools, BTreeSet::from(both));
}

/// At least four slices, by pods of pools, which talk to the gateway's Service by its name; each pool has got a Job.
async fn miners_pods_have_proved_it(world: &World, request: &InferenceRequest) {
    let status = request.status.clone().unwrap();
    assert_eq!(status.output.unwrap().label.as_deref(), Some("7"));
    let verified = proved_by(request);
    assert!(verified.len() >= 4, "{verified:?}");
    // Whose claims they were is in the store: workers are named as their pods.
    let claims = world
        .artifacts()
        .join("requests")
        .join(request.uid().unwrap())
        .join("claims");
    let mut workers = BTreeSet::new();
    for file in files(&claims) {
        let claim: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        workers.insert(claim["worker"].as_str().unwrap().to_owned());
    }
    let mut namespaces = BTreeSet::new();
    for pod in world.pods(&of(request)).await {
        let spec = pod.spec.as_ref().unwrap();
        assert_eq!(spec.dns_policy.as_deref(), Some("ClusterFirst"));
        let gateway = spec.containers[0]
            .env
            .iter()
            .flatten()
            .find(|e| e.name == "ZKINFER_GATEWAY");
        assert_eq!(
            gateway.and_then(|e| e.value.as_deref()),
            Some("http://zkinfer-gateway.zkinfer-system.svc:8080")
        );
        workers.remove(&pod.name_any());
        namespaces.insert(pod.namespace().unwrap());
    }
    assert!(workers.is_empty(), "workers that are no pods: {workers:?}");
    assert_eq!(
        namespaces,
        BTreeSet::from(["miner-alpha".to_owned(), "miner-beta".to_owned()])
    );
}

async fn every_namespace_refuses_pods_that_may_do_more(world: &World) {
    for namespace in ["zkinfer-system", "miner-alpha", "miner-beta"] {
        let refused = world
            .kubectl(&format!("run any -n {namespace} --image=any"))
            .await
            .unwrap_err();
        assert!(
            refused.to_string().contains("violates PodSecurity \"restricted"),
            "{refused}"
        );
    }
}

async fn kubectl_tells_the_story(world: &World) {
    let list = world.show("get models,inferencerequests,minerpools -A").await;
    for line in [
        "default model.zkinfer.dev/digits True Compiled 4 True True",
        "default inferencerequest.zkinfer.dev/digit-7 digits Succeeded 4/4 7 ReceiptWritten",
        "miner-alpha minerpool.zkinfer.dev/alpha True Serving 2",
        "miner-beta minerpool.zkinfer.dev/beta True Serving 2",
    ] {
        let found = list.lines().any(|l| words(l).starts_with(line));
        assert!(found, "no line begins with {line:?}:\n{list}");
    }
    world.show(&format!("get jobs,pods -A -l {MANAGED}")).await;
    let story = world.show("describe inferencerequest digit-7").await;
    for part in [
        "ModelCompiling",
        "Proving",
        "ReceiptWritten",
        "answer 7",
        "zkinfer-operator",
        "Succeeded",
    ] {
        assert!(story.contains(part), "`describe` does not say {part}:\n{story}");
    }
    let story = world.kubectl("describe model digits").await.unwrap();
    for part in ["Compiling", "Compiled", "SumcheckWhir", "NotRequired"] {
        assert!(story.contains(part), "`describe` does not say {part}:\n{story}");
    }
    let pool = world
        .kubectl("describe minerpool alpha -n miner-alpha")
        .await
        .unwrap();
    assert!(pool.contains("Serving"), "{pool}");
    world.show("events --for inferencerequest/digit-7").await;
}

/// With the command line alone: fetched through the API server, verified without it.
fn a_stranger_verifies_the_receipt(world: &World, name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let receipt = folder.path().join("receipt.cbor");
    let mut fetch = Command::new(program("operator"));
    fetch.env("KUBECONFIG", world.cluster.kubeconfig());
    let fetched = run(fetch.args(["receipt", name, "-o"]).arg(&receipt));
    assert_eq!(fetched.code, 0, "{}", fetched.stderr);
    let verify = |input: &Path| {
        let mut verify = Command::new(program("prover-worker"));
        verify
            .arg("verify")
            .arg(&receipt)
            .arg("--model")
            .arg(model_file("digits.onnx"));
        run(verify.arg("--input").arg(input))
    };
    let verified = verify(&model_file("data/digit-7.json"));
    println!("$ prover-worker verify …\n{}", verified.stdout);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    assert!(
        verified.stdout.contains("All 4 slice proofs hold"),
        "{}",
        verified.stdout
    );
}

async fn a_deleted_request_takes_what_it_had_along_but_not_its_receipt(
    world: &World,
    request: &InferenceRequest,
) {
    let uid = request.uid().unwrap();
    let own = world.artifacts().join("requests").join(&uid);
    let receipt = request.status.as_ref().unwrap().receipt.clone().unwrap().digest;
    let receipt = world.artifacts().join("receipts").join(receipt.hex());
    assert!(!files(&own).is_empty() && receipt.exists(), "{own:?} {receipt:?}");
    world.show("delete inferencerequest digit-7").await;
    world.until_none("jobs,pods", &of(request)).await;
    until_no_files("no artifacts of the request", LONG, &[own])
        .await
        .unwrap();
    assert!(receipt.exists());
}

fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
