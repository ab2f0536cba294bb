//! The repository of `manifests/examples/gitops/network`, as it stands: applied in any order it ends in a network that answers,
//! pruned in any order it leaves nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde_json::json;
use zkinfer_crds::k8s::RequestPhase;
use zkinfer_tests::cluster::{Cluster, can_run, wait_for};
use zkinfer_tests::fake_node::FakeNode;
use zkinfer_tests::helm::{Release, objects, output};
use zkinfer_tests::local::{model_file, program, repository};
use zkinfer_tests::operator::{Objects, Operator, install, phase};

use crate::world::LONG;

/// The pause of a tool between its passes over what was not taken, and how many it makes.
const PAUSE: Duration = Duration::from_secs(1);
const PASSES: usize = 20;

fn network() -> PathBuf {
    repository().join("manifests/examples/gitops/network")
}

/// Every object of the repository in a file of its own, in the order of their names.
fn laid_out(folder: &Path) -> Vec<PathBuf> {
    let validator = output(
        "kubectl",
        &["kustomize", &network().join("validator").display().to_string()],
    );
    let values = std::fs::read_to_string(network().join("miners/values.yaml")).unwrap();
    let miners = Release {
        chart: "zkinfer-miner",
        name: "miners",
        namespace: "miners",
    };
    let mut all = objects(&validator);
    // What a test of the chart makes is no part of it.
    let of_miners = objects(&miners.text(&values)).into_iter();
    all.extend(of_miners.filter(|(_, o)| o["metadata"]["annotations"]["helm.sh/hook"].is_null()));
    let file = |(at, object): (usize, serde_json::Value)| {
        let path = folder.join(format!("{at:02}.yaml"));
        std::fs::write(&path, object.to_string()).unwrap();
        path
    };
    all.into_values().enumerate().map(file).collect()
}

/// Tries all of it, in this order, until everything was taken; what is left after the last pass fails.
async fn converge(cluster: &Cluster, files: &[PathBuf]) {
    let mut left: Vec<(&PathBuf, String)> = files.iter().map(|f| (f, String::new())).collect();
    for _ in 0..PASSES {
        let mut refused = Vec::new();
        for (file, _) in left {
            let path = file.display().to_string();
            let apply = ["apply", "--server-side", "--field-manager=gitops", "-f", &path];
            if let Err(why) = cluster.kubectl(&apply).await {
                refused.push((file, why.to_string()));
            }
        }
        if refused.is_empty() {
            return;
        }
        left = refused;
        tokio::time::sleep(PAUSE).await;
    }
    panic!("not taken: {left:#?}");
}

#[tokio::test]
async fn a_repository_applied_in_any_order_answers_and_pruned_in_any_order_leaves_nothing() {
    if !can_run() {
        return;
    }
    let seed: u64 = rand::random();
    println!("the orders are those of seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let cluster = Cluster::api().await.unwrap();
    install(&cluster).await.unwrap();
    let node = FakeNode::builder(&cluster, "fake-1")
        // The compiler's image, and the one that the miners' values name.
        .program("zkinfer.dev/prover-worker", program("prover-worker"))
        .program("registry.example/prover-worker", program("prover-worker"))
        .start()
        .await
        .unwrap();
    let operator = Operator::start(&cluster, &[]).await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let mut files = laid_out(folder.path());
    assert!(files.len() > 10, "{files:?}");
    files.shuffle(&mut random);
    converge(&cluster, &files).await;

    // Somebody asks, as people do, and is answered by the two miners.
    let people = Objects {
        client: cluster.client().await.unwrap(),
        namespace: "inference".to_owned(),
    };
    let request = people.wine_request("mine", "wine", &json!({}));
    cluster.apply(&request).await.unwrap();
    let over = people.over("mine", LONG).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{over:?}");

    // And again over what is there: nothing is refused, whatever the operator has written meanwhile.
    files.shuffle(&mut random);
    converge(&cluster, &files).await;

    files.shuffle(&mut random);
    for file in &files {
        let path = file.display().to_string();
        let delete = ["delete", "--ignore-not-found", "--wait=false", "-f", &path];
        cluster.kubectl(&delete).await.unwrap();
    }
    for what in [
        &["zkinfer"][..],
        // A compiler's Job ends by itself, ten minutes after it is done.
        &[
            "jobs,deployments,pods,serviceaccounts,networkpolicies",
            "-l",
            "app.kubernetes.io/managed-by=zkinfer,app.kubernetes.io/component!=compiler",
        ],
        &["namespaces", "--field-selector=metadata.name=inference"],
        &["namespaces", "--field-selector=metadata.name=miner-cpu-1"],
        &["namespaces", "--field-selector=metadata.name=miner-cpu-2"],
    ] {
        wait_for(&format!("the end of {what:?}"), LONG, async || {
            let get = [&["get", "-A", "-o", "name"][..], what].concat();
            match cluster.kubectl(&get).await {
                Ok(left) if left.trim().is_empty() => Ok(()),
                Ok(left) => Err(left),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
        .unwrap();
    }
    drop((operator, node));
}

#[test]
fn the_repository_s_model_is_the_example_that_tests_ask() {
    let own = std::fs::read(network().join("validator/models/wine.onnx")).unwrap();
    assert!(own == std::fs::read(model_file("wine.onnx")).unwrap());
}
