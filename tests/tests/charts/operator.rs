//! Chart zkinfer, beside what `node/chart.rs` holds it to: its test, its pod, its schema.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;
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
