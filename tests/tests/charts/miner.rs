//! Chart zkinfer-miner: pools from a short list, each as its entry says, in a namespace with limits and policies.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{LimitRange, Namespace, Pod, ResourceQuota, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zkinfer_crds::k8s::MinerPool;
use zkinfer_crds::k8s::documents::{Document, parse_documents};
use zkinfer_tests::cluster::can_run;
use zkinfer_tests::helm::{Objects, Release, of_kind, output};
use zkinfer_tests::local::repository;

pub const MINERS: Release = Release {
    chart: "zkinfer-miner",
    name: "m",
    namespace: "miners",
};

/// An image by digest.
pub fn image() -> String {
    format!("zkinfer.dev/prover-worker@sha256:{}", "a".repeat(64))
}

/// Values with this list of pools, and an image.
pub fn pools(list: &str) -> String {
    format!("defaults: {{ image: '{}' }}\npools: {list}\n", image())
}

/// The MinerPools, as the operator reads them: schema and rules of the definition have been asked.
fn read(text: &str) -> Vec<MinerPool> {
    let documents = parse_documents(text, "rendered").unwrap();
    let pool = |document| match document {
        Document::MinerPool(pool) => Some(*pool),
        _ => None,
    };
    documents.into_iter().filter_map(pool).collect()
}

/// Whether every field of an object is one of its type.
fn fits<T: DeserializeOwned + serde::Serialize>(object: &Value) {
    let typed: T = serde_json::from_value(object.clone()).unwrap_or_else(|e| panic!("{e}: {object}"));
    let kept = serde_json::to_value(typed).unwrap();
    for (key, value) in object.as_object().unwrap() {
        assert!(!kept[key].is_null() || value.is_null(), "{key}: {object}");
    }
    let fields = |value: &Value| {
        value["spec"]
            .as_object()
            .map(|m| m.keys().cloned().collect::<BTreeSet<_>>())
    };
    assert_eq!(fields(&kept), fields(object), "{object}");
}

fn named<'a>(all: &'a Objects, kind: &str, namespace: &str, name: &str) -> &'a Value {
    let key = format!("\"{kind}\" \"{namespace}\" \"{name}\"");
    all.get(&key)
        .unwrap_or_else(|| panic!("no {key} in {:?}", all.keys()))
}

#[test]
fn lint_finds_nothing() {
    if can_run() {
        for name in ["zkinfer", "zkinfer-miner"] {
            let folder = zkinfer_tests::helm::chart(name).display().to_string();
            let found = output("helm", &["lint", "--strict", &folder]);
            assert!(found.contains("1 chart(s) linted, 0 chart(s) failed"), "{found}");
        }
    }
}

#[test]
fn fifty_pools_are_one_line() {
    if !can_run() {
        return;
    }
    let text = MINERS.text(&pools("[{ name: cpu, count: 50, parallelism: 4 }]"));
    let all = zkinfer_tests::helm::objects(&text);
    let made = read(&text);
    assert_eq!(made.len(), 50);
    let places: BTreeSet<String> = made
        .iter()
        .map(|pool| {
            let meta = &pool.metadata;
            assert_eq!(
                (pool.spec.parallelism, pool.spec.image.as_str()),
                (4, image().as_str())
            );
            format!(
                "{}/{}",
                meta.namespace.as_ref().unwrap(),
                meta.name.as_ref().unwrap()
            )
        })
        .collect();
    let expected: BTreeSet<String> = (1..=50).map(|i| format!("miner-cpu-{i}/cpu-{i}")).collect();
    assert_eq!(places, expected);
    for kind in ["Namespace", "ResourceQuota", "LimitRange"] {
        assert_eq!(of_kind(&all, kind).count(), 50, "{kind}");
    }
    // Two in each, and one for the test's pod.
    assert_eq!(of_kind(&all, "NetworkPolicy").count(), 101);
}

#[test]
fn without_pools_nothing_is_made_and_the_notes_say_what_to_do() {
    if !can_run() {
        return;
    }
    let all = MINERS.objects("");
    let hook = |o: &Value| o["metadata"]["annotations"]["helm.sh/hook"] == "test";
    assert!(all.values().all(hook), "{:?}", all.keys());
    let notes = MINERS.notes("");
    assert!(notes.contains("helm upgrade m CHART -n miners"), "{notes}");
}

/// Every field that a person sets, once as a default and once by an entry.
#[test]
fn an_entry_says_everything_that_a_pool_has_and_wins_over_the_defaults() {
    if !can_run() {
        return;
    }
    let identity = format!("ed25519:{}", "1".repeat(64));
    let possession = "2".repeat(128);
    let hotkey = "5ETmuXSyBiDHwabzdAxmbyj1A25asAmNXm5gtzf7edxxQYaq";
    let values = format!(
        "
defaults:
  image: '{}'
  namespace: shared
  parallelism: 3
  resources: {{ cpu: 500m, memory: 1Gi }}
  pod: {{ runtimeClassName: gvisor, nodeSelector: {{ a: b }} }}
  queueName: proofs
  allowedNamespaces: [default, team-a]
  labels: {{ team: blue }}
pools:
  - name: plain
  - name: own
    image: other@sha256:{}
    parallelism: 8
    warm: 2
    drain: true
    identity: {identity}
    possession: '{possession}'
    hotkey: {hotkey}
    hotkeyBinding: {{ hotkeySignature: '{possession}', identitySignature: '{possession}' }}
    keyRotations: [{{ from: {identity}, to: {identity}, fromSignature: '{possession}', toSignature: '{possession}' }}]
    resources: {{ memory: 2147483648 }}
    pod:
      nodeSelector: {{ size: large }}
      priorityClassName: low
      imagePullSecrets: [registry]
      topologySpreadConstraints: [{{ topologyKey: topology.kubernetes.io/zone, maxSkew: 2 }}]
      tolerations: [{{ key: miner, value: 'yes', effect: NoSchedule }}, {{ operator: Exists, tolerationSeconds: 3600 }}]
    queueName: ''
    allowedNamespaces: ['*']
    controllerClass: blue
    labels: {{ rack: r1 }}
    annotations: {{ example.com/owner: somebody }}
",
        image(),
        "b".repeat(64)
    );
    let text = MINERS.text(&values);
    let made = read(&text);
    let spec = |name: &str| {
        let pool = made
            .iter()
            .find(|p| p.metadata.name.as_deref() == Some(name))
            .unwrap();
        assert_eq!(pool.metadata.namespace.as_deref(), Some("shared"));
        (serde_json::to_value(&pool.spec).unwrap(), pool.metadata.clone())
    };
    let (plain, _) = spec("plain");
    assert_eq!(
        plain,
        json!({
            "image": image(), "allowUnpinnedImage": false, "parallelism": 3, "warm": 0, "drain": false,
            "resources": { "cpu": "500m", "memory": "1Gi" }, "queueName": "proofs",
            "pod": { "runtimeClassName": "gvisor", "nodeSelector": { "a": "b" } },
            "allowedNamespaces": ["default", "team-a"], "controllerClass": "zkinfer",
        })
    );
    let (own, meta) = spec("own");
    assert_eq!(
        own,
        json!({
            "image": format!("other@sha256:{}", "b".repeat(64)), "allowUnpinnedImage": false, "parallelism": 8, "warm": 2,
            "drain": true, "identity": identity, "possession": possession, "hotkey": hotkey,
            "hotkeyBinding": { "hotkeySignature": possession, "identitySignature": possession },
            "keyRotations": [
                { "from": identity, "to": identity, "fromSignature": possession, "toSignature": possession },
            ],
            "resources": { "cpu": "500m", "memory": "2147483648" },
            "pod": {
                "runtimeClassName": "gvisor", "nodeSelector": { "size": "large" }, "priorityClassName": "low",
                "imagePullSecrets": ["registry"],
                "topologySpreadConstraints": [
                    { "topologyKey": "topology.kubernetes.io/zone", "maxSkew": 2, "whenUnsatisfiable": "ScheduleAnyway" },
                ],
                "tolerations": [
                    { "key": "miner", "operator": "Equal", "value": "yes", "effect": "NoSchedule" },
                    { "operator": "Exists", "tolerationSeconds": 3600 },
                ],
            },
            "allowedNamespaces": ["*"], "controllerClass": "blue",
        })
    );
    let labels = meta.labels.unwrap();
    assert_eq!((labels["team"].as_str(), labels["rack"].as_str()), ("blue", "r1"));
    assert_eq!(labels["app.kubernetes.io/managed-by"], "Helm");
    assert_eq!(meta.annotations.unwrap()["example.com/owner"], "somebody");
}

#[test]
fn a_namespace_has_room_for_the_workers_of_all_its_pools_and_no_more() {
    if !can_run() {
        return;
    }
    let values = pools(
        "
  - { name: a, namespace: farm, parallelism: 3, resources: { cpu: '1.5', memory: 1G } }
  - { name: b, namespace: farm, parallelism: 2, resources: { cpu: 250m, memory: 1025 } }
  - { name: c, quota: { headroomPercent: 0, hard: { pods: 7, count/jobs.batch: 3 } }, limitRange: { max: { cpu: 4 } } }
  - { name: d, quota: { enabled: false }, limitRange: { enabled: false } }",
    );
    let all = MINERS.objects(&values);
    let hard =
        |namespace: &str| named(&all, "ResourceQuota", namespace, "zkinfer-miner")["spec"]["hard"].clone();
    // Twice 3 × 1.5 and 2 × 0.25 cores; 3 × 976563 and 2 × 2 KiB, each rounded up.
    assert_eq!(
        hard("farm"),
        json!({
            "pods": "10", "requests.cpu": "10000m", "limits.cpu": "10000m", "requests.memory": "5859386Ki",
            "limits.memory": "5859386Ki", "requests.ephemeral-storage": "20Gi", "limits.ephemeral-storage": "20Gi",
        })
    );
    let own = hard("miner-c");
    assert_eq!(
        (&own["pods"], &own["count/jobs.batch"], &own["requests.cpu"]),
        (&json!("7"), &json!("3"), &json!("1000m"))
    );
    let max =
        |namespace: &str| named(&all, "LimitRange", namespace, "zkinfer-miner")["spec"]["limits"][0].clone();
    assert_eq!(
        max("farm"),
        json!({ "type": "Container", "max": { "cpu": "1500m", "memory": "976563Ki" } })
    );
    assert_eq!(max("miner-c")["max"], json!({ "cpu": "4", "memory": "524288Ki" }));
    for kind in ["ResourceQuota", "LimitRange"] {
        assert!(
            of_kind(&all, kind).all(|o| o["metadata"]["namespace"] != "miner-d"),
            "{kind}"
        );
    }
    // Scratch space, which the quota counts, is the operator's choice.
    let golden =
        std::fs::read_to_string(repository().join("operator/src/specs/golden/worker_job.yaml")).unwrap();
    assert_eq!(golden.matches("ephemeral-storage: 2Gi").count(), 2);
}

#[test]
fn a_namespace_is_made_restricted_and_kept_unless_somebody_says_otherwise() {
    if !can_run() {
        return;
    }
    let values = pools(
        "
  - { name: a }
  - { name: b, keepNamespace: false, namespaceLabels: { team: blue }, namespaceAnnotations: { example.com/x: why } }
  - { name: c, createNamespace: false }
  - { name: d, namespace: miners }",
    );
    let all = MINERS.objects(&values);
    let names: Vec<&str> = of_kind(&all, "Namespace")
        .map(|o| o["metadata"]["name"].as_str().unwrap())
        .collect();
    // The release's own is Helm's to make.
    assert_eq!(names, ["miner-a", "miner-b"]);
    let meta = |name: &str| all[&format!("\"Namespace\" null \"{name}\"")]["metadata"].clone();
    assert_eq!(
        meta("miner-a")["annotations"],
        json!({ "helm.sh/resource-policy": "keep" })
    );
    assert_eq!(meta("miner-b")["annotations"], json!({ "example.com/x": "why" }));
    for name in names {
        assert_eq!(
            meta(name)["labels"]["pod-security.kubernetes.io/enforce"],
            "restricted"
        );
    }
    assert_eq!(meta("miner-b")["labels"]["team"], "blue");
}

/// The chart's policy for workers allows what the operator's own policy of a pool allows.
#[test]
fn whatever_runs_in_a_namespace_reaches_nothing_and_workers_reach_the_gateway_and_names() {
    if !can_run() {
        return;
    }
    let values = format!(
        "operatorNamespace: elsewhere\n{}",
        pools("[{ name: a }, { name: b, networkPolicies: false }]")
    );
    let all = MINERS.objects(&values);
    let deny = named(&all, "NetworkPolicy", "miner-a", "zkinfer-miner-deny");
    assert_eq!(
        deny["spec"],
        json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] })
    );
    let path = repository().join("operator/src/specs/golden/network_policy.yaml");
    let text = std::fs::read_to_string(path)
        .unwrap()
        .replace("zkinfer-system", "elsewhere");
    let operators: Value = serde_yaml::from_str(&text).unwrap();
    let workers = &named(&all, "NetworkPolicy", "miner-a", "zkinfer-miner-workers")["spec"];
    assert_eq!(workers["egress"], operators["spec"]["egress"]);
    assert_eq!(workers["policyTypes"], operators["spec"]["policyTypes"]);
    assert_eq!(workers["ingress"], Value::Null);
    // It selects the pods that the operator makes.
    let job =
        std::fs::read_to_string(repository().join("operator/src/specs/golden/worker_job.yaml")).unwrap();
    let job: Value = serde_yaml::from_str(&job).unwrap();
    let labels = &job["spec"]["template"]["metadata"]["labels"];
    for (key, value) in workers["podSelector"]["matchLabels"].as_object().unwrap() {
        assert_eq!(&labels[key], value);
    }
    assert!(of_kind(&all, "NetworkPolicy").all(|o| o["metadata"]["namespace"] != "miner-b"));
}

#[test]
fn a_priority_class_is_made_on_request_and_used_where_a_pool_names_none() {
    if !can_run() {
        return;
    }
    let list = "[{ name: a }, { name: b, pod: { priorityClassName: own } }]";
    assert_eq!(of_kind(&MINERS.objects(&pools(list)), "PriorityClass").count(), 0);
    let text = MINERS.text(&format!("priorityClass: {{ create: true }}\n{}", pools(list)));
    let all = zkinfer_tests::helm::objects(&text);
    let class = of_kind(&all, "PriorityClass").next().unwrap();
    fits::<PriorityClass>(class);
    assert_eq!(
        (
            &class["value"],
            &class["preemptionPolicy"],
            &class["globalDefault"]
        ),
        (&json!(-1000), &json!("Never"), &json!(false))
    );
    let classes: Vec<Option<String>> = read(&text)
        .into_iter()
        .map(|pool| pool.spec.pod.unwrap().priority_class_name)
        .collect();
    assert_eq!(
        classes,
        [Some("zkinfer-miner".to_owned()), Some("own".to_owned())]
    );
}

#[test]
fn every_object_fits_its_kind_and_says_whose_it_is() {
    if !can_run() {
        return;
    }
    let values = format!(
        "commonLabels: {{ cost-centre: '7' }}\npriorityClass: {{ create: true }}\n{}",
        pools("[{ name: a, count: 2, namespace: miners }, { name: b }]")
    );
    let all = MINERS.objects(&values);
    for object in all.values() {
        match object["kind"].as_str().unwrap() {
            "Namespace" => fits::<Namespace>(object),
            "ResourceQuota" => fits::<ResourceQuota>(object),
            "LimitRange" => fits::<LimitRange>(object),
            "NetworkPolicy" => fits::<NetworkPolicy>(object),
            "PriorityClass" => fits::<PriorityClass>(object),
            "ServiceAccount" => fits::<ServiceAccount>(object),
            "Role" => fits::<Role>(object),
            "RoleBinding" => fits::<RoleBinding>(object),
            "Pod" => fits::<Pod>(object),
            // Read by the operator's own reader elsewhere.
            "MinerPool" => {}
            other => panic!("{other} is not expected"),
        }
        let labels = &object["metadata"]["labels"];
        for (key, value) in [
            ("app.kubernetes.io/instance", "m"),
            ("app.kubernetes.io/managed-by", "Helm"),
            ("helm.sh/chart", "zkinfer-miner-0.1.0"),
            ("cost-centre", "7"),
        ] {
            assert_eq!(labels[key], value, "{object}");
        }
    }
}

#[test]
fn the_test_asks_for_every_pool_that_is_to_be_ready_and_may_read_these_alone() {
    if !can_run() {
        return;
    }
    let values = pools("[{ name: a, count: 2, namespace: farm }, { name: b }, { name: c, drain: true }]");
    let all = MINERS.objects(&values);
    let pod = named(&all, "Pod", "miners", "m-test");
    let container = &pod["spec"]["containers"][0];
    assert_eq!(
        container["args"],
        json!([
            "check",
            "--health=http://zkinfer-gateway.zkinfer-system.svc:8081",
            "--gateway=http://zkinfer-gateway.zkinfer-system.svc:8080",
            "--seconds=60",
            "--pool=farm/a-1",
            "--pool=farm/a-2",
            "--pool=miner-b/b",
        ])
    );
    // As every pod of the installation (tests/manifests.rs).
    assert_eq!(pod["spec"]["securityContext"]["runAsNonRoot"], true);
    assert_eq!(
        pod["spec"]["securityContext"]["seccompProfile"],
        json!({ "type": "RuntimeDefault" })
    );
    assert_eq!(
        container["securityContext"],
        json!({
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] },
        })
    );
    let rules: Vec<(&str, &Value)> = of_kind(&all, "Role")
        .map(|o| (o["metadata"]["namespace"].as_str().unwrap(), &o["rules"]))
        .collect();
    let only = |names: Value| json!([{ "apiGroups": ["zkinfer.dev"], "resources": ["minerpools"], "resourceNames": names, "verbs": ["get"] }]);
    assert_eq!(
        rules,
        [
            ("farm", &only(json!(["a-1", "a-2"]))),
            ("miner-b", &only(json!(["b"])))
        ]
    );
    assert!(of_kind(&all, "ClusterRole").next().is_none());
    for kind in ["Pod", "Role", "RoleBinding", "ServiceAccount"] {
        for object in of_kind(&all, kind) {
            assert_eq!(
                object["metadata"]["annotations"]["helm.sh/hook"], "test",
                "{object}"
            );
        }
    }
    // It fits into the limits of the smallest pool's namespace.
    let small = MINERS.objects(&pools(
        "[{ name: s, namespace: miners, resources: { cpu: 1m, memory: 1Mi } }]",
    ));
    let max = &named(&small, "LimitRange", "miners", "zkinfer-miner")["spec"]["limits"][0]["max"];
    let limits = &named(&small, "Pod", "miners", "m-test")["spec"]["containers"][0]["resources"]["limits"];
    assert_eq!((&max["cpu"], &limits["cpu"]), (&json!("100m"), &json!("100m")));
    assert_eq!(
        (&max["memory"], &limits["memory"]),
        (&json!("131072Ki"), &json!("128Mi"))
    );
}

#[test]
fn the_notes_name_the_next_commands_with_real_names() {
    if !can_run() {
        return;
    }
    let values = pools(&format!(
        "[{{ name: a }}, {{ name: b, identity: 'ed25519:{}' }}]",
        "3".repeat(64)
    ));
    let notes = MINERS.notes(&values);
    for words in [
        "2 pools in 2 namespaces",
        "helm test m -n miners --logs",
        "kubectl get minerpools -A -l app.kubernetes.io/instance=m",
        "operator identity prove b -n miner-b --key FILE",
        "  - namespace: miner-a\n  - namespace: miner-b",
    ] {
        assert!(notes.contains(words), "{words}: {notes}");
    }
    assert!(!notes.contains("prove a "), "{notes}");
}
