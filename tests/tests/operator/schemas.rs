//! Everything that is installed, and every example, is what the API server knows: by its own schemas and our definitions, strictly.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;
use zkinfer_tests::cluster::{Cluster, can_run, wait_for};
use zkinfer_tests::helm::{Release, objects, output};
use zkinfer_tests::local::repository;
use zkinfer_tests::openapi::Schemas;
use zkinfer_tests::operator::install;

use crate::world::LONG;

/// Kinds of other software, of which a server has no schema until that is installed.
const OTHERS: [&str; 7] = [
    "monitoring.coreos.com/v1 ServiceMonitor",
    "monitoring.coreos.com/v1 PrometheusRule",
    "argoproj.io/v1alpha1 Application",
    "helm.toolkit.fluxcd.io/v2 HelmRelease",
    "kustomize.toolkit.fluxcd.io/v1 Kustomization",
    "source.toolkit.fluxcd.io/v1 GitRepository",
    "source.toolkit.fluxcd.io/v1 OCIRepository",
];

/// Files of Kustomize, of what it is told of our kinds, and of Helm's values are no objects.
const NO_OBJECTS: [&str; 3] = ["kustomization.yaml", "images.yaml", "values.yaml"];

const ALL_OF_IT: &str = "
monitoring: { serviceMonitor: { enabled: true }, rules: { enabled: true }, dashboard: { enabled: true } }
podDisruptionBudget: { enabled: true }
requireCalibration: true
priorityClassName: high
affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [{ key: a, operator: Exists }] }] } } }
tolerations: [{ key: x, operator: Exists }]
imagePullSecrets: [{ name: registry }]
srs: /srs
validator: { spec: { maxErrorMillionths: 20000, compiler: { memory: 2Gi }, retention: { storeBytes: 10Gi, ledgerDays: 365 }, quotas: { receiptBytes: 1Gi, namespaces: [{ namespace: a, uploadBytes: 2Gi }] }, limits: { requestsInFlight: 100, uploadBytes: 32Mi },
  scoring: { rule: DeliveredWork, coldStart: 5, owners: [{ name: acme, namespaces: [a, b] }] } } }
extraEnv: [{ name: A, valueFrom: { secretKeyRef: { name: s, key: k } } }]
extraVolumes: [{ name: v, configMap: { name: c } }]
extraVolumeMounts: [{ name: v, mountPath: /v }]
";

/// Every rendered text, and what it is of.
fn rendered() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for folder in [
        "default",
        "cluster",
        "namespaced",
        "overlays/dev",
        "overlays/production",
        "overlays/validator-gitops",
        "overlays/miner",
    ] {
        let path = repository().join("manifests").join(folder).display().to_string();
        all.push((
            format!("manifests/{folder}"),
            output("kubectl", &["kustomize", &path]),
        ));
    }
    let operator = Release {
        chart: "zkinfer",
        name: "zkinfer",
        namespace: "zkinfer-system",
    };
    for values in [
        "",
        ALL_OF_IT,
        "namespaces: [a, b]",
        "controllerClass: blue\ncrds: { enabled: false }",
    ] {
        all.push((format!("chart zkinfer: {values}"), operator.text(values)));
    }
    let miners = Release {
        chart: "zkinfer-miner",
        name: "m",
        namespace: "miners",
    };
    let image = format!("w@sha256:{}", "a".repeat(64));
    for more in [
        "count: 2",
        "pod: { topologySpreadConstraints: [{ topologyKey: zone }], tolerations: [{ key: k, value: v }] }, warm: 1, queueName: q",
    ] {
        let values =
            format!("priorityClass: {{ create: true }}\npools: [{{ name: a, image: '{image}', {more} }}]");
        all.push((format!("chart zkinfer-miner: {more}"), miners.text(&values)));
    }
    for file in examples(&repository().join("manifests")) {
        let text = std::fs::read_to_string(&file).unwrap();
        all.push((file.display().to_string(), text));
    }
    all
}

/// The files of objects below a folder.
fn examples(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            all.extend(examples(&path));
        } else if name.ends_with(".yaml") && !NO_OBJECTS.contains(&name.as_str()) {
            all.push(path);
        }
    }
    all
}

#[tokio::test]
async fn whatever_is_rendered_or_shown_fits_the_schemas_of_the_api_server() {
    if !can_run() {
        return;
    }
    let cluster = Cluster::api().await.unwrap();
    install(&cluster).await.unwrap();
    let client = cluster.client().await.unwrap();
    let ours = ["Model", "InferenceRequest", "MinerPool", "Validator"];
    let published = async || {
        let schemas = Schemas::of(&client).await.map_err(|e| e.to_string())?;
        let known = ours.iter().all(|kind| schemas.know("zkinfer.dev/v1alpha1", kind));
        if known {
            Ok(schemas)
        } else {
            Err("the definitions are not published yet".to_owned())
        }
    };
    let schemas = wait_for("the schemas", LONG, published).await.unwrap();
    let (mut looked, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    let mut wrong = Vec::new();
    for (of, text) in rendered() {
        for object in objects(&text).values() {
            let word = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
            let kind = format!("{} {}", word("apiVersion"), word("kind"));
            match schemas.faults(object) {
                Some(faults) => {
                    let named = |fault| format!("{of}: {kind} {}: {fault}", object["metadata"]["name"]);
                    wrong.extend(faults.into_iter().map(named));
                    looked.insert(kind);
                }
                None => drop(unknown.insert(kind)),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let unknown: Vec<&String> = unknown
        .iter()
        .filter(|kind| !OTHERS.contains(&kind.as_str()))
        .collect();
    assert!(unknown.is_empty(), "no schema of {unknown:?}");
    for kind in [
        "apps/v1 Deployment",
        "zkinfer.dev/v1alpha1 MinerPool",
        "v1 ResourceQuota",
        "policy/v1 PodDisruptionBudget",
        "admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy",
    ] {
        assert!(looked.contains(kind), "{kind} of {looked:?}");
    }

    // The same eyes see a misspelt word in either kind of schema.
    let pool = json!({ "apiVersion": "zkinfer.dev/v1alpha1", "kind": "MinerPool", "spec": { "image": "a", "paralelism": 1 } });
    let service = json!({ "apiVersion": "v1", "kind": "Service", "spec": { "ports": [{ "prot": 1 }] } });
    for (object, place) in [
        (pool, ".spec.paralelism is no field"),
        (service, ".spec.ports[0].prot is no field"),
    ] {
        let faults = schemas.faults(&object).unwrap();
        assert!(faults.iter().any(|fault| fault == place), "{faults:?}");
    }
}
