//! What is installed fits together and fits what the operator makes: selectors, ports, restrictions. The objects that the
//! operator makes are those of its golden files, to which its own tests hold it; the chart renders the same as these manifests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says by panicking what is wrong"
)]

use serde::Deserialize as _;
use serde_json::{Value, json};
use zkinfer_tests::local::repository;

/// The objects of a file.
fn file(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(repository().join(path)).unwrap();
    serde_yaml::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

fn installed(path: &str, name: &str) -> Value {
    let all = file(&format!("manifests/default/{path}.yaml"));
    all.into_iter().find(|o| o["metadata"]["name"] == name).unwrap()
}

fn made(name: &str) -> Value {
    file(&format!("operator/src/specs/golden/{name}.yaml")).remove(0)
}

fn operator() -> Value {
    installed("deployment", "zkinfer-operator")
}

/// A pod as its maker makes it, and the namespace that it is in.
struct Pod {
    name: &'static str,
    namespace: Value,
    template: Value,
}

/// Every pod of an installation.
fn pods() -> Vec<Pod> {
    [
        ("operator", operator()),
        ("compiler", made("compile_job")),
        ("worker", made("worker_job")),
        ("warm worker", made("warm_workers")),
    ]
    .map(|(name, owner)| Pod {
        name,
        namespace: owner["metadata"]["namespace"].clone(),
        template: owner["spec"]["template"].clone(),
    })
    .into()
}

/// Whether labels satisfy a selector of `matchLabels`, which is all that ours have.
fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object().unwrap();
    assert_eq!(wanted.keys().collect::<Vec<_>>(), ["matchLabels"], "{selector}");
    let wanted = wanted["matchLabels"].as_object().unwrap();
    assert!(!wanted.is_empty(), "it selects everything");
    wanted.iter().all(|(key, value)| labels[key] == *value)
}

/// The pods to which a policy applies.
fn governed(policy: &Value) -> Vec<&'static str> {
    pods()
        .iter()
        .filter(|pod| pod.namespace == policy["metadata"]["namespace"])
        .filter(|pod| {
            selects(
                &policy["spec"]["podSelector"],
                &pod.template["metadata"]["labels"],
            )
        })
        .map(|pod| pod.name)
        .collect()
}

/// The number of a container's port by its name.
fn port(name: &Value) -> Option<u64> {
    let ports = &operator()["spec"]["template"]["spec"]["containers"][0]["ports"];
    let found = ports.as_array().unwrap().iter().find(|p| p["name"] == *name)?;
    found["containerPort"].as_u64()
}

#[test]
fn one_operator_ends_before_the_next_one_starts() {
    let spec = &operator()["spec"];
    assert_eq!(spec["replicas"], 1);
    assert_eq!(spec["strategy"], json!({ "type": "Recreate" }));
}

#[test]
fn each_policy_applies_to_the_pods_that_it_is_for_and_to_no_others() {
    let policies = file("manifests/default/network-policies.yaml");
    let names: Vec<&str> = policies
        .iter()
        .map(|p| p["metadata"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["zkinfer-operator", "zkinfer-compiler"]);
    assert_eq!(governed(&policies[0]), ["operator"]);
    assert_eq!(governed(&policies[1]), ["compiler"]);
    assert_eq!(governed(&made("network_policy")), ["worker", "warm worker"]);
}

#[test]
fn compilers_and_workers_reach_the_gateway_and_names_and_nobody_reaches_them() {
    let dns = json!({ "ports": [{ "protocol": "UDP", "port": 53 }, { "protocol": "TCP", "port": 53 }] });
    for policy in [
        installed("network-policies", "zkinfer-compiler"),
        made("network_policy"),
    ] {
        let spec = &policy["spec"];
        assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]));
        assert_eq!(spec["ingress"], Value::Null);
        let [gateway, names] = &spec["egress"].as_array().unwrap()[..] else {
            panic!("{spec}");
        };
        assert_eq!(names, &dns);
        let [to] = &gateway["to"].as_array().unwrap()[..] else {
            panic!("{gateway}");
        };
        // Without a selector of namespaces it is the policy's own.
        let namespace = match &to["namespaceSelector"] {
            Value::Null => &policy["metadata"]["namespace"],
            other => {
                let labels = other["matchLabels"].as_object().unwrap();
                assert_eq!(labels.len(), 1, "{other}");
                &labels["kubernetes.io/metadata.name"]
            }
        };
        let reached: Vec<&str> = pods()
            .iter()
            .filter(|pod| pod.namespace == *namespace)
            .filter(|pod| selects(&to["podSelector"], &pod.template["metadata"]["labels"]))
            .map(|pod| pod.name)
            .collect();
        assert_eq!(reached, ["operator"]);
        let [gateway] = &gateway["ports"].as_array().unwrap()[..] else {
            panic!("{gateway}");
        };
        assert_eq!(
            (&gateway["protocol"], port(&gateway["port"])),
            (&json!("TCP"), Some(8080))
        );
    }
}

#[test]
fn the_gateway_is_where_pods_are_told_that_it_is() {
    let policy = installed("network-policies", "zkinfer-operator");
    let [ingress] = &policy["spec"]["ingress"].as_array().unwrap()[..] else {
        panic!("{policy}");
    };
    let open: Vec<_> = ingress["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["protocol"].as_str().unwrap(), port(&p["port"])))
        .collect();
    assert_eq!(open, [("TCP", Some(8080)), ("TCP", Some(8081))]);
    let service = installed("service", "zkinfer-gateway");
    let operator = operator();
    let labels = &operator["spec"]["template"]["metadata"]["labels"];
    let selector = json!({ "matchLabels": service["spec"]["selector"] });
    assert!(selects(&selector, labels), "{selector} {labels}");
    assert!(selects(&operator["spec"]["selector"], labels));
    let [way, metrics] = &service["spec"]["ports"].as_array().unwrap()[..] else {
        panic!("{service}");
    };
    assert_eq!(port(&way["targetPort"]), Some(8080));
    assert_eq!(
        (&metrics["name"], port(&metrics["targetPort"])),
        (&json!("metrics"), Some(8081))
    );
    let url = format!(
        "http://{}.{}.svc:{}",
        service["metadata"]["name"].as_str().unwrap(),
        service["metadata"]["namespace"].as_str().unwrap(),
        way["port"]
    );
    let container = &operator["spec"]["template"]["spec"]["containers"][0];
    let told = container["args"].as_array().unwrap();
    assert!(told.contains(&json!(format!("--gateway-url={url}"))), "{told:?}");
    // Where it listens it is not told: the program's own addresses are the ports that the container names.
    let help = zkinfer_tests::local::run(
        std::process::Command::new(zkinfer_tests::local::program("operator")).args(["run", "--help"]),
    );
    for (flag, name) in [("--gateway-address", "gateway"), ("--health-address", "health")] {
        assert!(!told.iter().any(|a| a.as_str().unwrap().starts_with(flag)));
        let said = help.stdout.split(flag).nth(1).unwrap();
        let default = said.split("[default: 0.0.0.0:").nth(1).unwrap();
        let number = default.split(']').next().unwrap().parse().ok();
        assert_eq!(number, port(&json!(name)), "{flag}");
    }
    for probe in ["readinessProbe", "livenessProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], "health", "{probe}");
    }
}

/// Also where no namespace asks for it.
#[test]
fn every_pod_is_restricted_by_itself() {
    for pod in pods() {
        let spec = &pod.template["spec"];
        let of_pod = &spec["securityContext"];
        assert_eq!(of_pod["runAsNonRoot"], true, "{}", pod.name);
        assert_eq!(
            of_pod["seccompProfile"],
            json!({ "type": "RuntimeDefault" }),
            "{}",
            pod.name
        );
        for key in [
            "hostNetwork",
            "hostPID",
            "hostIPC",
            "initContainers",
            "ephemeralContainers",
        ] {
            assert_eq!(spec[key], Value::Null, "{} {key}", pod.name);
        }
        let volumes = spec["volumes"].as_array().unwrap();
        for volume in volumes {
            assert_eq!(volume["hostPath"], Value::Null, "{} {volume}", pod.name);
        }
        for container in spec["containers"].as_array().unwrap() {
            let expected = json!({
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] },
            });
            assert_eq!(container["securityContext"], expected, "{}", pod.name);
        }
    }
}

/// A help text without its line breaks.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The reference's container shares the operator's pod, since it shares a socket with it, and nothing else.
#[test]
fn the_float_reference_has_its_socket_and_neither_token_nor_store() {
    let operator = operator();
    let spec = &operator["spec"]["template"]["spec"];
    assert_eq!(spec["automountServiceAccountToken"], false);
    let [own, reference] = &spec["containers"].as_array().unwrap()[..] else {
        panic!("{spec}");
    };
    let mounts = |container: &Value| -> Vec<String> {
        let all = container["volumeMounts"].as_array().unwrap();
        all.iter()
            .map(|m| m["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(mounts(own), ["api-access", "reference", "artifacts"]);
    assert_eq!(mounts(reference), ["reference"]);
    assert_eq!(reference["env"], Value::Null);
    assert_eq!(reference["envFrom"], Value::Null);
    let volumes = spec["volumes"].as_array().unwrap();
    let volume = |name: &str| volumes.iter().find(|v| v["name"] == name).unwrap();
    assert!(volume("reference")["emptyDir"].is_object());
    let sources = &volume("api-access")["projected"]["sources"];
    assert_eq!(sources[0]["serviceAccountToken"]["path"], "token");
    // The socket is where both look by themselves, and its container has the image in which models are compiled.
    let told = |container: &Value, flag: &str| -> Option<String> {
        let all = container["args"].as_array().unwrap();
        all.iter()
            .find_map(|a| a.as_str()?.strip_prefix(flag).map(str::to_owned))
    };
    let socket = told(reference, "--socket=").unwrap();
    assert_eq!(told(own, "--reference-socket="), None);
    let help = zkinfer_tests::local::run(
        std::process::Command::new(zkinfer_tests::local::program("operator")).args(["run", "--help"]),
    );
    assert!(
        words(&help.stdout).contains(&format!("[default: {socket}]")),
        "{socket}"
    );
    assert_eq!(
        told(own, "--compiler-image="),
        reference["image"].as_str().map(str::to_owned)
    );
    // What its models may take together leaves room for the process that starts them.
    let memory: u64 = told(reference, "--memory-mib=").unwrap().parse().unwrap();
    assert_eq!(reference["resources"]["limits"]["memory"], "4Gi");
    assert!(memory + 512 <= 4096, "{memory}");
}
