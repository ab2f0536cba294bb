//! The overlays as they stand, on an API server: each is taken whole, and that for production refuses what it says that it refuses.

use serde_json::{Value, json};
use zkinfer_tests::cluster::{Cluster, can_run, wait_for};
use zkinfer_tests::helm::{Release, objects};
use zkinfer_tests::local::repository;

use crate::world::LONG;

/// As docs/install.md has them, in an order in which each may follow the one before.
const APPLIED: [&str; 3] = [
    "apply -k manifests/overlays/dev",
    "apply -k manifests/overlays/production",
    "apply -k manifests/overlays/miner",
];
const REQUIRED: &str = "spec.quantization.calibration: Required value: this installation serves no Model that was calibrated on made-up inputs";

async fn kubectl(cluster: &Cluster, line: &str) -> Result<String, String> {
    let manifests = repository().join("manifests").display().to_string();
    let line = line.replace("manifests", &manifests);
    let words: Vec<&str> = line.split(' ').collect();
    cluster.kubectl(&words).await.map_err(|e| e.to_string())
}

fn model(namespace: &str, class: &str, calibrated: bool) -> Value {
    let file = |key: &str| json!({ "configMap": { "name": "m", "key": key } });
    let mut model = json!({
        "apiVersion": "zkinfer.dev/v1alpha1", "kind": "Model", "metadata": { "name": "m", "namespace": namespace },
        "spec": { "source": file("model.onnx"), "proofSystem": "SumcheckWhir", "controllerClass": class },
    });
    if calibrated {
        model["spec"]["quantization"] = json!({ "calibration": file("calibration.npy") });
    }
    model
}

/// What the API server would say to a Model; nothing is made.
async fn asked(cluster: &Cluster, model: &Value) -> Result<(), String> {
    let path = cluster.folder().join("asked.json");
    std::fs::write(&path, model.to_string()).unwrap();
    let line = format!("create --dry-run=server -f {}", path.display());
    kubectl(cluster, &line).await.map(drop)
}

/// A policy holds soon after it is there.
async fn until_refused(cluster: &Cluster, model: &Value) {
    wait_for("the refusal", LONG, async || match asked(cluster, model).await {
        Ok(()) => Err("it was taken".to_owned()),
        Err(why) if why.contains(REQUIRED) => Ok(()),
        Err(why) => Err(why),
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn each_overlay_is_taken_as_it_stands_and_production_refuses_made_up_calibration() {
    let page = std::fs::read_to_string(repository().join("docs/install.md")).unwrap();
    for command in APPLIED {
        assert!(page.contains(&format!("$ kubectl {command}")), "{command}");
    }
    if !can_run() {
        return;
    }
    let cluster = Cluster::api().await.unwrap();
    for line in APPLIED {
        kubectl(&cluster, line).await.unwrap();
        let established = "wait --for=condition=Established --timeout=20s crd --all";
        kubectl(&cluster, established).await.unwrap();
    }
    until_refused(&cluster, &model("default", "zkinfer", false)).await;
    asked(&cluster, &model("default", "zkinfer", true)).await.unwrap();
    // What is another installation's is that one's to judge.
    asked(&cluster, &model("default", "blue", false)).await.unwrap();
    kubectl(&cluster, "get minerpool cpu -n miner-cpu").await.unwrap();

    // Images that nobody has are no business of an API server: the same overlay with a bucket is taken too.
    let gitops = "apply -k manifests/overlays/validator-gitops";
    let said = kubectl(&cluster, gitops).await.unwrap();
    assert!(
        said.contains("deployment.apps/zkinfer-operator configured"),
        "{said}"
    );

    // The chart's other installation judges its own class, where it serves.
    kubectl(&cluster, "create namespace team").await.unwrap();
    let blue = Release {
        chart: "zkinfer",
        name: "blue",
        namespace: "zkinfer-blue",
    };
    let values =
        "controllerClass: blue\nnamespaces: [team]\ncrds: { enabled: false }\nrequireCalibration: true\n";
    for object in objects(&blue.text(values)).values() {
        if object["apiVersion"] == "admissionregistration.k8s.io/v1" {
            cluster.apply(&object.to_string()).await.unwrap();
        }
    }
    until_refused(&cluster, &model("team", "blue", false)).await;
    asked(&cluster, &model("team", "blue", true)).await.unwrap();
    asked(&cluster, &model("default", "blue", false)).await.unwrap();
}
