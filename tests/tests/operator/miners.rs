//! Fifty pools of chart zkinfer-miner on an API server, with the program that `helm test` runs.

use std::process::Command;

use kube::api::{Api, ListParams};
use zkinfer_crds::k8s::MinerPool;
use zkinfer_tests::cluster::{can_run, wait_for};
use zkinfer_tests::helm::{Release, objects, of_kind};
use zkinfer_tests::local::{Ran, program, run};
use zkinfer_tests::operator::pool_ready;

use crate::world::{LONG, World};

const FARM: Release = Release {
    chart: "zkinfer-miner",
    name: "farm",
    namespace: "farm",
};

/// Short, and everything that a list can have.
fn values() -> String {
    format!(
        "
defaults: {{ image: 'zkinfer.dev/prover-worker@sha256:{}', allowedNamespaces: ['*'] }}
priorityClass: {{ create: true }}
pools:
  - {{ name: cpu, count: 48, resources: {{ cpu: 1.0, memory: 1G }} }}
  - name: own
    namespace: farm
    queueName: proofs
    pod: {{ nodeSelector: {{ size: large }}, tolerations: [{{ operator: Exists }}], imagePullSecrets: [registry] }}
  - {{ name: drained, namespace: farm, drain: true }}
",
        "a".repeat(64)
    )
}

#[tokio::test]
async fn fifty_pools_of_a_short_list_are_taken_and_the_test_of_the_chart_finds_them_ready() {
    if !can_run() {
        return;
    }
    let mut world = World::new(&[]).await;
    let text = FARM.text(&values());
    let all = objects(&text);
    world
        .cluster
        .kubectl(&["create", "namespace", "farm"])
        .await
        .unwrap();
    // With what `helm test` makes; but its pod, whose program is run below.
    let wanted: Vec<&str> = text
        .split("\n---\n")
        .filter(|d| !d.contains("\nkind: Pod\n"))
        .collect();
    world.cluster.apply(&wanted.join("\n---\n")).await.unwrap();

    let pools: Api<MinerPool> = Api::all(world.cluster.client().await.unwrap());
    let of_release = ListParams::default().labels("app.kubernetes.io/instance=farm");
    wait_for("49 of 50 pools", LONG, async || {
        let list = pools.list(&of_release).await.map_err(|e| e.to_string())?;
        match list.items.iter().filter(|pool| pool_ready(pool)).count() {
            49 if list.items.len() == 50 => Ok(()),
            ready => Err(format!("{ready} of {}", list.items.len())),
        }
    })
    .await
    .unwrap();

    // The pod's own words, but for addresses, which are a Service's; with its account's rights and no others.
    let pod = of_kind(&all, "Pod").next().unwrap();
    let arguments: Vec<&str> = pod["spec"]["containers"][0]["args"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|a| a.as_str())
        .filter(|a| !a.starts_with("--health") && !a.starts_with("--gateway"))
        .collect();
    assert_eq!(arguments.iter().filter(|a| a.starts_with("--pool=")).count(), 49);
    let kubeconfig = world
        .cluster
        .kubeconfig_for_service_account("farm", "farm-test")
        .await
        .unwrap();
    let (gateway, health) = (world.operator.gateway.clone(), world.operator.health.clone());
    let check = |more: &[&str]| -> Ran {
        let mut command = Command::new(program("operator"));
        command.env("KUBECONFIG", &kubeconfig).args(&arguments);
        // As in its image, there are no certificates.
        command
            .env("SSL_CERT_FILE", "/dev/null")
            .env_remove("SSL_CERT_DIR");
        run(command
            .arg(format!("--gateway={gateway}"))
            .arg(format!("--health={health}"))
            .args(more))
    };
    let ran = check(&[]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(
        ran.stdout.lines().filter(|l| l.starts_with("ok ")).count(),
        51,
        "{}",
        ran.stdout
    );

    // What is not ready, not there, or not its to read is named, and the rest is told as before.
    let more = [
        "--seconds=0",
        "--pool=farm/drained,farm/absent,zkinfer-system/any",
    ];
    let patient: Vec<&str> = arguments
        .iter()
        .copied()
        .filter(|a| !a.starts_with("--seconds"))
        .collect();
    let mut command = Command::new(program("operator"));
    let ran = run(command.env("KUBECONFIG", &kubeconfig).args(&patient).args(more));
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    for line in [
        "missing  MinerPool farm/drained: the API server: ",
        "missing  MinerPool farm/absent: the API server: ",
        "missing  MinerPool zkinfer-system/any: the API server: ",
        "ok       MinerPool farm/own: Serving",
    ] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
    assert!(ran.stdout.contains("farm-test"), "{}", ran.stdout);
    world.operator.stop().await.unwrap();
}
