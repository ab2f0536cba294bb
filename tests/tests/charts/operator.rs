//! Chart zkinfer, beside what `node/chart.rs` holds it to: its test, its pod, its schema.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};
use zkinfer_tests::cluster::can_run;
use zkinfer_tests::helm::{Release, of_kind};

pub const OPERATOR: Release = Release {
    chart: "zkinfer",
    name: "zkinfer",
    namespace: "zkinfer-system",
};

#[test]
fn the_test_asks_operator_and_gateway_and_has_no_right_at_all() {
    if !can_run() {
        return;
    }
    let all = OPERATOR.objects("test: { seconds: 5 }");
    let pod = of_kind(&all, "Pod").next().unwrap();
    assert_eq!(pod["metadata"]["annotations"]["helm.sh/hook"], "test");
    let spec = &pod["spec"];
    assert_eq!(spec["automountServiceAccountToken"], false);
    assert!(spec["serviceAccountName"].is_null(), "{spec}");
    assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
    let container = &spec["containers"][0];
    assert_eq!(
        container["args"],
        json!([
            "check",
            "--health=http://zkinfer-gateway.zkinfer-system.svc:8081",
            "--gateway=http://zkinfer-gateway.zkinfer-system.svc:8080",
            "--seconds=5",
        ])
    );
    assert_eq!(
        container["securityContext"],
        json!({
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] },
        })
    );
    // No selector of the installation takes it for the operator.
    assert_eq!(pod["metadata"]["labels"]["app.kubernetes.io/component"], "test");
}

#[test]
fn the_operators_pod_takes_what_a_cluster_asks_of_pods() {
    if !can_run() {
        return;
    }
    let values = "
affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [{ key: a, operator: Exists }] }] } } }
priorityClassName: high
podAnnotations: { example.com/a: b }
podLabels: { team: blue }
tolerations: [{ key: x, operator: Exists }]
resources: { requests: { cpu: 1 }, limits: { memory: 2Gi } }
";
    let all = OPERATOR.objects(values);
    let deployment = of_kind(&all, "Deployment").next().unwrap();
    let typed: Deployment = serde_json::from_value(deployment.clone()).unwrap();
    let template = typed.spec.template;
    let (meta, spec) = (template.metadata.unwrap(), template.spec.unwrap());
    let labels = meta.labels.unwrap();
    assert_eq!(
        (
            labels["team"].as_str(),
            labels["app.kubernetes.io/component"].as_str()
        ),
        ("blue", "operator")
    );
    assert_eq!(meta.annotations.unwrap()["example.com/a"], "b");
    assert_eq!(spec.priority_class_name.as_deref(), Some("high"));
    let affinity = spec.affinity.unwrap().node_affinity.unwrap();
    assert!(
        affinity
            .required_during_scheduling_ignored_during_execution
            .is_some()
    );
}

/// The names of all objects of a rendered installation that belong to no namespace, and of the Roles in others' namespaces.
fn shared_names(values: &str, namespace: &'static str) -> BTreeSet<String> {
    let release = Release {
        namespace,
        ..OPERATOR
    };
    let all = release.objects(values);
    let own = |o: &Value| o["metadata"]["namespace"] == namespace;
    let shared = all.values().filter(|o| !own(o));
    shared
        .map(|o| {
            format!(
                "{} {} {}",
                o["kind"], o["metadata"]["namespace"], o["metadata"]["name"]
            )
        })
        .collect()
}

#[test]
fn two_installations_of_different_classes_share_no_name() {
    if !can_run() {
        return;
    }
    let blue = "crds: { enabled: false }\ncontrollerClass: blue\n";
    for namespaces in ["", "namespaces: [team]\n"] {
        let first = shared_names(namespaces, "zkinfer-system");
        let second = shared_names(&format!("{blue}{namespaces}"), "zkinfer-blue");
        let both: Vec<_> = first.intersection(&second).collect();
        assert!(both.is_empty(), "{namespaces}: {both:?}");
        assert!(!second.is_empty());
        assert!(second.iter().all(|name| name.ends_with("-blue\"")), "{second:?}");
    }
    let args = |values: &str| {
        let all = OPERATOR.objects(values);
        of_kind(&all, "Deployment").next().unwrap()["spec"]["template"]["spec"]["containers"][0]["args"]
            .to_string()
    };
    let validator = |values: &str| {
        let all = OPERATOR.objects(values);
        of_kind(&all, "Validator").next().unwrap()["spec"].clone()
    };
    let with_spec = format!("{blue}validator: {{ spec: {{ network: other }} }}");
    assert_eq!(
        validator(&with_spec),
        json!({ "controllerClass": "blue", "network": "other" })
    );
    assert_eq!(validator(blue), json!({ "controllerClass": "blue" }));
    assert_eq!(validator(""), json!({}));
    assert!(args(blue).contains("--controller-class=blue"), "{}", args(blue));
    assert!(!args("").contains("--controller-class"), "{}", args(""));
}

#[test]
fn a_drain_is_held_up_only_where_that_was_asked_for() {
    if !can_run() {
        return;
    }
    assert_eq!(of_kind(&OPERATOR.objects(""), "PodDisruptionBudget").count(), 0);
    let all = OPERATOR.objects("podDisruptionBudget: { enabled: true }");
    let budget = of_kind(&all, "PodDisruptionBudget").next().unwrap();
    let typed: PodDisruptionBudget = serde_json::from_value(budget.clone()).unwrap();
    let spec = typed.spec.unwrap();
    assert_eq!(spec.max_unavailable, Some(IntOrString::Int(0)));
    assert_eq!(spec.unhealthy_pod_eviction_policy.as_deref(), Some("AlwaysAllow"));
    let deployment = of_kind(&all, "Deployment").next().unwrap();
    let selector = serde_json::to_value(spec.selector).unwrap();
    assert_eq!(selector, deployment["spec"]["selector"]);
}

#[test]
fn the_web_app_is_off_and_has_a_port_and_a_service_of_its_own_where_it_is_on() {
    if !can_run() {
        return;
    }
    let args = |all: &BTreeMap<String, serde_json::Value>| {
        let deployment = of_kind(all, "Deployment").next().unwrap();
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        container["args"].to_string() + &container["ports"].to_string()
    };
    let policy = |all: &BTreeMap<String, serde_json::Value>| {
        let operators = |p: &&serde_json::Value| p["metadata"]["name"] == "zkinfer-operator";
        let policy = of_kind(all, "NetworkPolicy").find(operators).unwrap();
        policy["spec"]["ingress"].to_string()
    };
    let off = OPERATOR.objects("{}");
    assert_eq!(of_kind(&off, "Service").count(), 1);
    assert!(!args(&off).contains("web") && !policy(&off).contains("web"));
    let on = OPERATOR.objects("web: { enabled: true }");
    let service = of_kind(&on, "Service").find(|s| s["metadata"]["name"] == "zkinfer-web");
    let ports = &service.unwrap()["spec"]["ports"];
    assert_eq!(
        ports,
        &json!([{ "name": "web", "port": 8082, "targetPort": "web" }])
    );
    assert!(args(&on).contains("--web-address=0.0.0.0:8082"), "{}", args(&on));
    assert!(policy(&on).contains(r#""port":"web""#), "{}", policy(&on));
}

#[test]
fn a_wrong_setting_is_refused_by_the_schema_with_its_place() {
    if !can_run() {
        return;
    }
    for (values, place) in [
        ("resources: { request: {} }", "request"),
        (
            "resources: { limits: { memory: lots } }",
            "/resources/limits/memory",
        ),
        ("tolerations: [{ key: 1 }]", "/tolerations/0/key"),
        ("affinity: { node: {} }", "node"),
        ("podLabels: { a: 'b c' }", "/podLabels/a"),
        ("podAnnotations: { a: 1 }", "/podAnnotations/a"),
        ("priorityClassName: 1", "/priorityClassName"),
        ("imagePullSecrets: [registry]", "/imagePullSecrets/0"),
        ("extraEnv: [{ value: x }]", "/extraEnv/0"),
        ("extraEnv: [{ name: x, value: 1 }]", "/extraEnv/0/value"),
        (
            "extraEnv: [{ name: x, valueFrom: { secretKeyRef: { name: s } } }]",
            "/extraEnv/0/valueFrom/secretKeyRef",
        ),
        ("extraVolumes: [{ name: x }]", "/extraVolumes/0"),
        ("extraVolumeMounts: [{ name: x }]", "/extraVolumeMounts/0"),
        ("test: { seconds: -1 }", "/test/seconds"),
        ("web: { enabled: 'yes' }", "/web/enabled"),
        ("controllerClass: Blue", "/controllerClass"),
        ("controllerClass: ''", "/controllerClass"),
        ("reference: { models: 0 }", "/reference/models"),
    ] {
        let said = OPERATOR.refusal(values);
        assert!(said.contains(place), "{values}: {place} is not named: {said}");
    }
}

#[test]
fn the_notes_name_the_next_commands() {
    if !can_run() {
        return;
    }
    let notes = OPERATOR.notes("");
    for words in [
        "helm test zkinfer -n zkinfer-system --logs",
        "kubectl -n zkinfer-system rollout status deployment/zkinfer-operator",
        "kubectl get models,inferencerequests,minerpools -A",
    ] {
        assert!(notes.contains(words), "{words}: {notes}");
    }
    assert!(!notes.contains("FORGEABLE"), "{notes}");
}

#[test]
fn both_charts_are_packaged_and_nothing_is_pushed() {
    if !can_run() {
        return;
    }
    let script = zkinfer_tests::local::repository().join("scripts/package-charts.sh");
    let run = |registry: &str| {
        let mut command = std::process::Command::new(&script);
        zkinfer_tests::local::run(command.arg(registry))
    };
    let ran = run("oci://registry.example/charts");
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    for name in ["zkinfer", "zkinfer-miner"] {
        let line = format!("  helm push target/charts/{name}-0.1.0.tgz oci://registry.example/charts");
        assert!(ran.stdout.contains(&line), "{}", ran.stdout);
    }
    let ran = run("https://registry.example");
    assert!(
        ran.code == 2 && ran.stderr.contains("begins with oci://"),
        "{}",
        ran.stderr
    );
}
