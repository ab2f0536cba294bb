//! From nothing to a verified answer: `helm install` twice, and one `kubectl apply`.

use std::process::Command;

use zkinfer_tests::helm::chart;
use zkinfer_tests::local::{model_file, program, repository, run};

use crate::world::World;

/// The miners whom the example's Model names, each with a namespace, quota, limits and policies of its own.
const POOLS: &str = "
defaults:
  image: zkinfer.dev/prover-worker:dev
  allowUnpinnedImage: true
  allowedNamespaces: [default]
  resources: { cpu: 400m, memory: 1Gi }
pools: [{ name: alpha }, { name: beta }]
";

#[tokio::test]
async fn two_charts_and_one_apply_lead_to_a_verified_answer() {
    let Some(world) = World::new().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let values = folder.path().join("pools.yaml");
    std::fs::write(&values, POOLS).unwrap();
    let helm = async |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let said = world.cluster.helm(&words).await.unwrap();
        println!("$ helm {line}\n{said}");
    };
    // As in production: the example's Model has calibration data of its own.
    helm(&format!(
        "install zkinfer {} --namespace zkinfer-system --create-namespace --wait --timeout 2m --set requireCalibration=true",
        chart("zkinfer").display()
    ))
    .await;
    helm(&format!(
        "install miners {} --namespace miners --create-namespace -f {}",
        chart("zkinfer-miner").display(),
        values.display()
    ))
    .await;
    let example = repository().join("manifests/examples/wine.yaml");
    world.show(&format!("apply -f {}", example.display())).await;
    let answered = world.complete("wine-1").await;
    let label = answered.status.unwrap().output.unwrap().label;
    assert_eq!(label.as_deref(), Some("class_2"));

    // A file goes in through a port that is forwarded with a certificate, as kubeconfigs of new clusters have it.
    let large = folder.path().join("large");
    std::fs::write(&large, vec![7; 40 << 20]).unwrap();
    let mut upload = Command::new(program("operator"));
    upload.env("KUBECONFIG", world.cluster.kubeconfig());
    let uploaded = run(upload.args(["upload", "-n", "default"]).arg(&large));
    assert_eq!(uploaded.code, 0, "{}", uploaded.stderr);
    let digest = zkinfer_crds::Digest::of(&vec![7; 40 << 20]);
    assert_eq!(uploaded.stdout.trim(), digest.to_string());

    let receipt = folder.path().join("receipt.cbor");
    let mut fetch = Command::new(program("operator"));
    fetch.env("KUBECONFIG", world.cluster.kubeconfig());
    let fetched = run(fetch
        .args(["receipt", "wine-1", "-n", "default", "-o"])
        .arg(&receipt));
    assert_eq!(fetched.code, 0, "{}", fetched.stderr);
    let mut verify = Command::new(program("prover-worker"));
    verify
        .arg("verify")
        .arg(&receipt)
        .arg("--model")
        .arg(model_file("wine.onnx"));
    let verified = run(&mut verify);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}
