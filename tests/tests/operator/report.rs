//! `operator report`: what it holds of an installation at work, and what it does not.

use std::process::Command;

use serde_json::json;
use zkinfer_tests::cluster::can_run;
use zkinfer_tests::local::{program, run};
use zkinfer_tests::operator::{WINE, phase};

use crate::world::{LONG, World};

/// Something that nobody else may read.
const SECRET: &str = "hunter2-hunter2";

#[tokio::test]
async fn a_report_has_objects_and_events_and_neither_inputs_nor_secrets() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_model("reported").await;
    world
        .cluster
        .apply(&objects.pool("own", &json!({})))
        .await
        .unwrap();
    world
        .cluster
        .apply(&objects.wine_request("asked", "wine", &json!({})))
        .await
        .unwrap();
    let secret = format!("--from-literal=password={SECRET}");
    let line = ["create", "secret", "generic", "s", "-n", "reported", &secret];
    world.cluster.kubectl(&line).await.unwrap();
    let line = ["create", "configmap", "c", "-n", "reported", &secret];
    world.cluster.kubectl(&line).await.unwrap();
    let note = format!("example.com/note={SECRET}");
    let line = ["annotate", "inferencerequest", "asked", "-n", "reported", &note];
    world.cluster.kubectl(&line).await.unwrap();
    let asked = objects.over("asked", LONG).await.unwrap();
    assert!(phase(&asked).is_some());

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.tar.gz");
    let mut command = Command::new(program("operator"));
    command
        .env("KUBECONFIG", world.cluster.kubeconfig())
        .args(["report", "-n", "reported", "--out"])
        .arg(&file);
    let ran = tokio::task::spawn_blocking(move || run(&mut command))
        .await
        .unwrap();
    // The operator is no pod here, and a fake node has no logs: that is said, and the rest is there.
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("not read: operator: no operator is ready"),
        "{}",
        ran.stderr
    );
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(&file).arg("-C").arg(folder.path());
    assert_eq!(run(&mut tar).code, 0);
    let root = folder.path().join("zkinfer-report");
    let read =
        |name: &str| std::fs::read_to_string(root.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let requests = read("objects/InferenceRequest.yaml");
    for words in ["name: asked", "modelRef", "(left out)", "observedGeneration"] {
        assert!(requests.contains(words), "{words}: {requests}");
    }
    assert!(read("objects/Model.yaml").contains("name: wine"));
    assert!(read("objects/MinerPool.yaml").contains("name: own"));
    assert!(read("versions.txt").contains("API server v1."));
    assert!(read("definitions.txt").contains("minerpools.zkinfer.dev"));
    assert!(read("missing.txt").contains("no operator is ready"));

    // Whatever file it is in.
    let input = WINE[6].to_string();
    let mut folders = vec![root];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(!text.contains(SECRET), "{}", path.display());
            assert!(!text.contains(&input), "{}: {text}", path.display());
            files += 1;
        }
    }
    assert!(files >= 8, "{files}");
}
