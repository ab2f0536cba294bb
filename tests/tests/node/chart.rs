//! The Helm chart: the same installation as kustomize's, refused with wrong values, gone but for what is said to stay.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;
use zkinfer_tests::cluster::can_run;
use zkinfer_tests::helm::{self, objects, output, tool};
use zkinfer_tests::local::repository;

use crate::remains;
use crate::world::World;

/// As in docs/install.md: Helm makes a namespace without labels. All that runs there runs restricted as well.
const RESTRICT: &str = "label namespace zkinfer-system pod-security.kubernetes.io/enforce=restricted";

/// The namespaces of the quickstart.
const QUICKSTART: &str = "namespaces={default,miner-alpha,miner-beta}";

/// With these values nothing stays for the next installation.
const GOES: &str = "crds.keep=false,artifacts.persistence.keep=false";

fn chart() -> PathBuf {
    helm::chart("zkinfer")
}

fn rendered(values: &[&str]) -> BTreeMap<String, Value> {
    let chart = chart().display().to_string();
    // What `helm test` makes is no part of the installation.
    let fixed = [
        "template",
        "zkinfer",
        &chart,
        // Tests of the chart, and the Validator, whose kind is not there before the rest is.
        "--no-hooks",
        "--namespace",
        "zkinfer-system",
    ];
    objects(&output("helm", &[&fixed, values].concat()))
}

#[test]
fn lint_finds_nothing_in_the_chart() {
    if can_run() {
        let found = output("helm", &["lint", "--strict", &chart().display().to_string()]);
        assert!(found.contains("1 chart(s) linted, 0 chart(s) failed"), "{found}");
    }
}

#[test]
fn values_that_mean_nothing_are_refused_by_name() {
    if !can_run() {
        return;
    }
    let chart = chart().display().to_string();
    for (value, name) in [
        ("image.digest=sha256:1", "image/digest"),
        ("image.pullPolicy=Sometimes", "image/pullPolicy"),
        ("artifacts.url=ftp://somewhere", "artifacts/url"),
        ("artifacts.persistence.size=much", "artifacts/persistence/size"),
        ("allowDevSrs=perhaps", "allowDevSrs"),
        ("alowDevSrs=true", "alowDevSrs"),
        ("validator.spec.network=", "validator/spec/network"),
        ("crds.keep=1", "crds/keep"),
        ("serviceAccount.annotations=x", "serviceAccount/annotations"),
        ("namespaces=team-a", "namespaces"),
        ("namespaces={team-a,*}", "namespaces/1"),
        // What Helm takes for a list of one empty name is not all of them.
        ("namespaces={}", "namespaces/0"),
    ] {
        let got = tool("helm", &["template", "zkinfer", &chart, "--set", value]);
        let errors = String::from_utf8_lossy(&got.stderr);
        assert!(!got.status.success(), "{value} was taken");
        let named = errors.contains(name) || errors.contains(&name.replace('/', "."));
        assert!(named, "{value}: {name} is not named: {errors}");
    }
}

#[test]
fn the_chart_renders_the_objects_of_kustomize() {
    if !can_run() {
        return;
    }
    for (folder, values) in [("default", "validator.create=true"), ("namespaced", QUICKSTART)] {
        let folder = repository().join("manifests").join(folder).display().to_string();
        let mut wanted = objects(&output("kubectl", &["kustomize", &folder]));
        // Helm makes the namespace itself, with --create-namespace.
        let namespace = wanted.remove("\"Namespace\" null \"zkinfer-system\"");
        assert!(namespace.is_some(), "{:?}", wanted.keys());
        let got = rendered(&["--set", GOES, "--set", values]);
        let names = |all: &BTreeMap<String, Value>| all.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&got), names(&wanted));
        for (name, object) in &wanted {
            assert_eq!(&got[name], object, "{name}");
        }
    }
}

/// What an administrator installs once, and what is left for whoever has some namespaces.
#[test]
fn for_some_namespaces_there_is_a_role_in_each_and_one_cluster_role_for_reviews() {
    if !can_run() {
        return;
    }
    let all = rendered(&["--set", QUICKSTART]);
    let rest = rendered(&["--set", QUICKSTART, "--set", "crds.enabled=false"]);
    let folder = repository().join("manifests/cluster").display().to_string();
    let cluster = objects(&output("kubectl", &["kustomize", &folder]));
    let names = |all: &BTreeMap<String, Value>| all.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&all), &names(&rest) | &names(&cluster));
    let of = |kind: &str| -> Vec<(&str, &Value)> {
        let found = rest.iter().filter(|(_, o)| o["kind"] == kind);
        found.map(|(name, o)| (name.as_str(), o)).collect()
    };
    let [(_, role)] = &of("ClusterRole")[..] else {
        panic!("{:?}", rest.keys());
    };
    for rule in role["rules"].as_array().unwrap() {
        assert_eq!(rule["verbs"], serde_json::json!(["create"]));
    }
    let asked: Vec<&Value> = role["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["resources"][0])
        .collect();
    assert_eq!(asked, ["tokenreviews", "subjectaccessreviews"]);
    assert_eq!(of("ClusterRoleBinding").len(), 1);
    // The release's own namespace is one of them, also where nobody has named it, or somebody twice.
    let places = |values: &str| -> Vec<String> {
        let all = rendered(&["--set", values]);
        let roles = all.values().filter(|o| o["kind"] == "Role");
        let roles = roles.filter(|o| o["metadata"]["name"] == "zkinfer-operator-objects");
        roles
            .map(|o| o["metadata"]["namespace"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        places(QUICKSTART),
        ["default", "miner-alpha", "miner-beta", "zkinfer-system"]
    );
    let twice = "namespaces={team-a,zkinfer-system,team-a}";
    assert_eq!(places(twice), ["team-a", "zkinfer-system"]);
    assert!(places("controllerClass=zkinfer").is_empty());
}

#[test]
fn what_nobody_can_make_again_is_kept_unless_somebody_says_otherwise() {
    if !can_run() {
        return;
    }
    let kept = |values: &[&str]| -> Vec<String> {
        let kept = |object: &&Value| object["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep";
        let all = rendered(values);
        let names = all
            .values()
            .filter(kept)
            .map(|o| o["metadata"]["name"].as_str().unwrap().to_owned());
        names.collect()
    };
    let mut named = kept(&[]);
    named.sort();
    assert_eq!(
        named,
        [
            "inferencerequests.zkinfer.dev",
            "minerpools.zkinfer.dev",
            "models.zkinfer.dev",
            "validators.zkinfer.dev",
            "zkinfer-artifacts"
        ]
    );
    assert!(kept(&["--set", GOES]).is_empty());
}

#[test]
fn the_command_that_labels_the_namespace_is_documented() {
    let text = std::fs::read_to_string(repository().join("docs/install.md")).unwrap();
    assert!(text.contains(&format!("$ kubectl {RESTRICT}\n")));
}

#[test]
fn values_reach_the_objects() {
    if !can_run() {
        return;
    }
    let digest = format!("image.digest=sha256:{}", "a".repeat(64));
    let got = rendered(&[
        "--set",
        &digest,
        "--set",
        "srs=/srs/file.srs,crds.enabled=false,artifacts.url=s3://bucket/x",
        "--set",
        "artifacts.persistence.enabled=false,extraArgs={--model-memory=256Mi}",
        "--set",
        "serviceAccount.annotations.eks\\.amazonaws\\.com/role-arn=arn:aws:iam::1:role/x",
    ]);
    let account = &got["\"ServiceAccount\" \"zkinfer-system\" \"zkinfer-operator\""];
    assert_eq!(
        account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"],
        "arn:aws:iam::1:role/x"
    );
    let kinds: Vec<&str> = got.values().filter_map(|o| o["kind"].as_str()).collect();
    assert!(!kinds.contains(&"CustomResourceDefinition") && !kinds.contains(&"PersistentVolumeClaim"));
    let deployment = got.values().find(|o| o["kind"] == "Deployment").unwrap();
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert!(
        container["image"]
            .as_str()
            .unwrap()
            .ends_with(&digest["image.digest=".len()..])
    );
    let arguments: Vec<&str> = container["args"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    for argument in [
        "--srs=/srs/file.srs",
        "--artifacts=s3://bucket/x",
        "--model-memory=256Mi",
    ] {
        assert!(arguments.contains(&argument), "{argument}: {arguments:?}");
    }
    assert!(!arguments.contains(&"--allow-dev-srs"), "{arguments:?}");
    assert!(!pod.to_string().contains("zkinfer-artifacts"), "{pod}");
}

/// Its kind comes with the chart, so it is made after it, once: an upgrade would undo what people have written since.
#[test]
fn the_chart_makes_one_validator_with_the_spec_of_its_values() {
    if !can_run() {
        return;
    }
    let chart = chart().display().to_string();
    let made = |values: &[&str]| {
        let fixed = [
            "template",
            "zkinfer",
            &chart,
            "--skip-tests",
            "--namespace",
            "zkinfer-system",
        ];
        let all = objects(&output("helm", &[&fixed, values].concat()));
        all.into_values().find(|o| o["kind"] == "Validator")
    };
    let validator = made(&["--set", "validator.spec.network=other"]).unwrap();
    assert_eq!(validator["spec"]["network"], "other");
    assert_eq!(validator["metadata"]["namespace"], "zkinfer-system");
    assert_eq!(
        validator["metadata"]["annotations"]["helm.sh/hook"],
        "post-install"
    );
    assert!(made(&[]).is_some_and(|v| v["spec"] == serde_json::json!({})));
    assert!(made(&["--set", "validator.create=false"]).is_none());
}

/// What a cloud reads to give the operator an identity, and what Prometheus reads: the one is empty until somebody says so,
/// the other is always there, and reaches the port of the container that serves it.
#[test]
fn the_account_takes_annotations_and_the_service_has_the_port_of_metrics() {
    if !can_run() {
        return;
    }
    let of = |all: &BTreeMap<String, Value>, kind: &str, name: &str| {
        all[&format!("\"{kind}\" \"zkinfer-system\" \"{name}\"")].clone()
    };
    let folder = repository().join("manifests/default").display().to_string();
    let kustomized = objects(&output("kubectl", &["kustomize", &folder]));
    let annotated = rendered(&[
        "--set",
        "serviceAccount.annotations.iam\\.gke\\.io/gcp-service-account=a@b.iam",
    ]);
    for all in [&kustomized, &rendered(&[]), &annotated] {
        let service = of(all, "Service", "zkinfer-gateway");
        let ports = service["spec"]["ports"].as_array().unwrap();
        let metrics = ports.iter().find(|p| p["name"] == "metrics").unwrap();
        let deployment = of(all, "Deployment", "zkinfer-operator");
        let containers = deployment["spec"]["template"]["spec"]["containers"].clone();
        let opened = containers[0]["ports"].as_array().unwrap().clone();
        let port = opened
            .iter()
            .find(|p| p["name"] == metrics["targetPort"])
            .unwrap();
        assert_eq!(
            (&metrics["port"], &port["containerPort"]),
            (&8081.into(), &8081.into())
        );
    }
    let annotations = |all: &BTreeMap<String, Value>| {
        of(all, "ServiceAccount", "zkinfer-operator")["metadata"]["annotations"].clone()
    };
    assert_eq!(annotations(&rendered(&[])), Value::Null);
    assert_eq!(
        annotations(&annotated),
        serde_json::json!({ "iam.gke.io/gcp-service-account": "a@b.iam" })
    );
}

#[tokio::test]
async fn installed_with_helm_it_answers_and_uninstalled_it_leaves_what_is_said_to_stay() {
    let Some(world) = World::new().await else { return };
    let before = remains::all(&world).await.unwrap();
    let chart = chart().display().to_string();
    let place = ["--namespace", "zkinfer-system"];
    let install = ["install", "zkinfer", &chart, "--create-namespace", "--set", GOES];
    let said = world
        .cluster
        .helm(&[&install[..], &place].concat())
        .await
        .unwrap();
    assert!(said.contains("kubectl get models"), "{said}");
    assert!(
        said.contains("helm test zkinfer -n zkinfer-system --logs"),
        "{said}"
    );
    // As installed there is no setup whose proofs anyone could forge.
    assert!(!said.contains("FORGEABLE"), "{said}");
    world.until_up().await;
    world.kubectl(RESTRICT).await.unwrap();
    let restarts = "-n zkinfer-system rollout restart deployment/zkinfer-operator";
    world.kubectl(restarts).await.unwrap();
    world.until_up().await;
    let tested = ["test", "zkinfer", "--logs"];
    let said = world.cluster.helm(&[&tested[..], &place].concat()).await.unwrap();
    for line in ["ok       operator at ", "ok       gateway at "] {
        assert!(said.contains(line), "{said}");
    }
    world.quickstart().await;
    // What a pool owns goes with it, once the cluster's garbage collector has found the new kinds: up to half a minute.
    world
        .kubectl("delete minerpool alpha -n miner-alpha")
        .await
        .unwrap();
    let owned = "jobs,pods,networkpolicies,serviceaccounts";
    world.until_none(owned, "zkinfer.dev/pool=alpha").await;
    let compilers = remains::all(&world).await.unwrap();
    let compilers = compilers
        .iter()
        .filter(|o| o.contains(" zkinfer-system/compile-digits-"));
    let compilers: Vec<String> = compilers.cloned().collect();
    // The definitions go with the chart, and every object of theirs with them.
    world
        .cluster
        .helm(&[&["uninstall", "zkinfer"][..], &place].concat())
        .await
        .unwrap();
    // As docs/install.md says: the namespace, the keys of claim tokens and of the ledger, and Jobs of compilers with their tokens in it, and what is a
    // person's own, which is the miners' namespaces and the ConfigMap of the model. Each namespace has the account that the cluster
    // makes for it.
    let mut stays = before.clone();
    stays.extend(
        [
            "Secret zkinfer-system/zkinfer-token-key",
            "Secret zkinfer-system/zkinfer-validator-key",
            "ConfigMap default/digits",
        ]
        .map(str::to_owned),
    );
    for namespace in ["zkinfer-system", "miner-alpha", "miner-beta"] {
        stays.insert(format!("Namespace /{namespace}"));
        stays.insert(format!("ServiceAccount {namespace}/default"));
    }
    let kinds: Vec<&str> = compilers.iter().filter_map(|o| o.split(' ').next()).collect();
    assert_eq!(kinds, ["Job", "Pod", "Secret"]);
    stays.extend(compilers);
    remains::until_as(&world, &stays).await;
    for words in [
        "namespace zkinfer-system miner-alpha miner-beta",
        "configmap digits",
    ] {
        world.kubectl(&format!("delete {words}")).await.unwrap();
    }
    remains::until_as(&world, &before).await;
}
