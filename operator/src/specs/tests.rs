//! The objects, byte for byte, and what must hold of every pod.

use super::*;
use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;
use zkinfer_crds::RequestUid;

fn settings() -> WorkerSettings {
    WorkerSettings {
        gateway: "http://zkinfer-gateway.zkinfer-system.svc:8080".to_owned(),
        namespace: "zkinfer-system".to_owned(),
        class: Class::named(zkinfer_crds::k8s::DEFAULT_CLASS),
        otlp_endpoint: None,
    }
}

fn pool() -> MinerPool {
    serde_json::from_value(json!({
        "apiVersion": "zkinfer.dev/v1alpha1", "kind": "MinerPool",
        "metadata": { "name": "alpha", "namespace": "miner-alpha", "uid": "6a3e3b5e-0000-4000-8000-000000000001" },
        "spec": {
            "image": "zkinfer.dev/prover-worker:dev", "allowUnpinnedImage": true, "parallelism": 4, "warm": 2,
            "queueName": "cpu",
            "pod": { "tolerations": [{ "key": "miner", "operator": "Equal", "value": "yes", "effect": "NoSchedule" }] },
        },
    }))
    .unwrap()
}

fn job_for() -> JobFor {
    JobFor {
        request: RequestUid::new([7; 16]),
        key: ("default".to_owned(), "digit-7".to_owned()),
        round: 0,
        workers: 2,
        seconds_left: 3600,
    }
}

fn compile(token: &str) -> k8s_openapi::api::batch::v1::Job {
    let compile = CompileSettings {
        image: "zkinfer.dev/prover-worker:dev".to_owned(),
        cpu: "1".to_owned(),
        memory: "4Gi".to_owned(),
        scratch: "8Gi".to_owned(),
        seconds: 3600,
    };
    let job = CompileJob {
        model: ("default", "digits"),
        uid: "6a3e3b5e-0000-4000-8000-000000000002",
        token,
        attempt: &zkinfer_crds::Digest::new([9; 32]),
    };
    compile_job(&job, &compile, &settings())
}

/// Compares with `golden/NAME.yaml`; `ZKINFER_UPDATE=1` writes it.
fn golden(name: &str, object: &impl serde::Serialize) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/specs/golden/{name}.yaml"));
    let text = serde_yaml::to_string(object).unwrap();
    if std::env::var_os("ZKINFER_UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, there, "{}: ZKINFER_UPDATE=1 writes it anew", path.display());
}

#[test]
fn the_objects_are_these() {
    golden("worker_job", &worker_job(&pool(), &job_for(), &settings()));
    golden("warm_workers", &warm_workers(&pool(), &settings()));
    golden("service_account", &service_account(&pool(), &settings().class));
    golden("network_policy", &network_policy(&pool(), &settings()));
    golden("compile_job", &compile("token"));
}

#[test]
fn every_pod_is_restricted_and_has_no_access_to_the_api_server() {
    let pods: Vec<PodSpec> = vec![
        worker_job(&pool(), &job_for(), &settings())
            .spec
            .unwrap()
            .template
            .spec
            .unwrap(),
        warm_workers(&pool(), &settings()).spec.template.spec.unwrap(),
        compile("token").spec.unwrap().template.spec.unwrap(),
    ];
    for pod in pods {
        assert_eq!(pod.automount_service_account_token, Some(false));
        assert_eq!(pod.enable_service_links, Some(false));
        let security = pod.security_context.unwrap();
        assert_eq!(security.run_as_non_root, Some(true));
        assert_eq!(security.seccomp_profile.unwrap().type_, "RuntimeDefault");
        assert_eq!(pod.containers.len(), 1);
        let container = &pod.containers[0];
        let own = container.security_context.as_ref().unwrap();
        assert_eq!(own.allow_privilege_escalation, Some(false));
        assert_eq!(
            container.termination_message_policy.as_deref(),
            Some("FallbackToLogsOnError")
        );
        assert_eq!(own.read_only_root_filesystem, Some(true));
        assert_eq!(
            own.capabilities.as_ref().unwrap().drop.as_deref(),
            Some(&["ALL".to_owned()][..])
        );
        let resources = container.resources.as_ref().unwrap();
        let limits = resources.limits.as_ref().unwrap();
        for what in ["cpu", "memory", "ephemeral-storage"] {
            assert!(limits.contains_key(what), "{what} is limited");
        }
        assert!(pod.host_network.is_none() && pod.host_pid.is_none());
        for volume in pod.volumes.unwrap() {
            let sized = volume.empty_dir.as_ref().is_some_and(|e| e.size_limit.is_some());
            assert!(
                sized || volume.projected.is_some() || volume.secret.is_some(),
                "{}: sized, or the token",
                volume.name
            );
        }
    }
}

#[test]
fn an_update_of_warm_workers_makes_no_more_of_them_than_the_pool_allows() {
    let strategy = warm_workers(&pool(), &settings()).spec.strategy.unwrap();
    let rolling = strategy.rolling_update.unwrap();
    assert_eq!(strategy.type_.as_deref(), Some("RollingUpdate"));
    assert_eq!(rolling.max_surge, Some(IntOrString::Int(0)));
    assert_eq!(rolling.max_unavailable, Some(IntOrString::Int(1)));
}

#[test]
fn a_service_account_names_its_pool() {
    let username = format!(
        "system:serviceaccount:miner-alpha:{}",
        service_account_name("alpha")
    );
    assert_eq!(pool_of(&username).unwrap().to_string(), "miner-alpha/alpha");
    for other in [
        "system:serviceaccount:miner-alpha:default",
        "zkinfer-miner-alpha",
        "system:node:zkinfer-miner-alpha",
    ] {
        assert!(pool_of(other).is_none(), "{other}");
    }
}

#[test]
fn a_jobs_name_tells_request_pool_and_round_apart() {
    let name = |job: &JobFor| job.name(&pool());
    let (one, mut two) = (job_for(), job_for());
    assert_eq!(name(&one), name(&job_for()));
    two.round = 1;
    assert_ne!(name(&one), name(&two));
    two = job_for();
    two.request = RequestUid::new([8; 16]);
    assert_ne!(name(&one), name(&two));
    two.key.1 = "x".repeat(63);
    assert!(name(&two).len() <= 63);
}

#[test]
fn a_compilers_token_is_nowhere_but_in_its_secret() {
    let sealed = "sealed-by-the-operator";
    let job = compile(sealed);
    let text = serde_json::to_string(&job).unwrap();
    assert!(!text.contains(sealed), "{text}");
    let secret = compile_secret(&job, sealed);
    let named = text.contains(&format!(
        "\"secretName\":\"{}\"",
        secret.metadata.name.as_ref().unwrap()
    ));
    assert!(named, "{text}");
    assert!(secret.string_data.unwrap().values().any(|v| v == sealed));
}

#[test]
fn a_pool_says_where_its_workers_run_and_its_own_workers_are_what_is_spread() {
    let mut pool = pool();
    let own = json!({
        "affinity": { "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{ "matchExpressions": [{ "key": "cpu", "operator": "In", "values": ["amd"] }] }],
            },
            "preferredDuringSchedulingIgnoredDuringExecution": [
                { "weight": 7, "preference": { "matchExpressions": [{ "key": "spot", "operator": "DoesNotExist" }] } },
            ],
        } },
        "topologySpreadConstraints": [
            { "topologyKey": "topology.kubernetes.io/zone" },
            { "topologyKey": "kubernetes.io/hostname", "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule" },
        ],
    });
    pool.spec.pod = Some(serde_json::from_value(own.clone()).unwrap());
    let of = |pod: PodSpec| {
        let pod = serde_json::to_value(pod).unwrap();
        (pod["affinity"].clone(), pod["topologySpreadConstraints"].clone())
    };
    let job = worker_job(&pool, &job_for(), &settings())
        .spec
        .unwrap()
        .template
        .spec
        .unwrap();
    let warm = warm_workers(&pool, &settings()).spec.template.spec.unwrap();
    let workers =
        json!({ "matchLabels": { "app.kubernetes.io/component": "worker", "zkinfer.dev/pool": "alpha" } });
    let spread = json!([
        {
            "topologyKey": "topology.kubernetes.io/zone", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": workers,
        },
        {
            "topologyKey": "kubernetes.io/hostname", "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": workers,
        },
    ]);
    for pod in [job, warm] {
        assert_eq!(of(pod), (own["affinity"].clone(), spread.clone()));
    }
    assert_eq!(
        of(compile("token").spec.unwrap().template.spec.unwrap()),
        (json!(null), json!(null))
    );
}

#[test]
fn what_another_class_makes_is_labelled_and_its_warm_workers_are_selected_by_it() {
    let blue = WorkerSettings {
        class: Class::named("blue"),
        ..settings()
    };
    let label = |labels: Option<std::collections::BTreeMap<String, String>>| {
        labels.unwrap_or_default().remove(labels::CLASS)
    };
    let job = worker_job(&pool(), &job_for(), &blue);
    let warm = warm_workers(&pool(), &blue);
    let template = job.spec.unwrap().template.metadata.unwrap();
    for labels in [
        job.metadata.labels,
        template.labels,
        warm.metadata.labels,
        warm.spec.selector.match_labels,
        service_account(&pool(), &blue.class).metadata.labels,
        network_policy(&pool(), &blue).metadata.labels,
    ] {
        assert_eq!(label(labels).as_deref(), Some("blue"));
    }
}

#[test]
fn workers_are_told_of_a_collector_where_there_is_one_and_compilers_never() {
    let told = WorkerSettings {
        otlp_endpoint: Some("http://collector.observability.svc:4318".to_owned()),
        ..settings()
    };
    let of = |pod: PodSpec| {
        let all = pod.containers[0].env.clone().unwrap_or_default();
        let found = all.into_iter().find(|e| e.name == "ZKINFER_OTLP_ENDPOINT");
        found.and_then(|e| e.value)
    };
    let job = |settings: &WorkerSettings| {
        of(worker_job(&pool(), &job_for(), settings)
            .spec
            .unwrap()
            .template
            .spec
            .unwrap())
    };
    let warm = of(warm_workers(&pool(), &told).spec.template.spec.unwrap());
    assert_eq!(job(&told), told.otlp_endpoint);
    assert_eq!(warm, told.otlp_endpoint);
    assert_eq!(job(&settings()), None);
    assert_eq!(of(compile("token").spec.unwrap().template.spec.unwrap()), None);
}
