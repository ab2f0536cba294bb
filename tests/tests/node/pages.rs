//! The commands of the pages for whoever installs and operates, run as they stand there: none is left out without a reason, and none
//! of those that are run here is gone from its page.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use zkinfer_tests::cluster::Tools;
use zkinfer_tests::local::{Ran, program, repository, run};

use crate::world::{LONG, World};

const PAGES: [&str; 5] = ["install", "operate", "troubleshooting", "validator", "studio"];

/// A command of a page.
type Said = (&'static str, &'static str);

/// With kubectl, from nothing to nothing.
const BY_KUBECTL: &[Said] = &[
    ("install", "kubectl apply -f manifests/default/namespace.yaml"),
    ("install", "kubectl apply -k manifests/default --dry-run=server"),
    ("install", DIFF),
    ("install", "kubectl apply -k manifests/default"),
    (
        "install",
        "kubectl -n zkinfer-system rollout status deployment/zkinfer-operator",
    ),
    ("install", "kubectl apply -k manifests/validator"),
    ("validator", "kubectl -n zkinfer-system get validator"),
    ("validator", "kubectl get inferencerequests"),
    (
        "install",
        "kubectl -n zkinfer-system create configmap ca-bundle --from-file=ca.crt=/etc/ssl/certs/ca-certificates.crt",
    ),
];

/// Of a request that has been answered.
const ASKED: &[Said] = &[
    ("troubleshooting", "kubectl get zkinfer -A"),
    ("troubleshooting", "kubectl describe inferencerequest digit-7"),
    ("troubleshooting", "kubectl events --for inferencerequest/digit-7"),
    (
        "troubleshooting",
        r#"kubectl get inferencerequest digit-7 -o jsonpath='{range .status.recentSlices[*]}{.slice} {.pool} {.verdict} {.message}{"\n"}{end}'"#,
    ),
    (
        "troubleshooting",
        "kubectl get jobs,pods -A -l app.kubernetes.io/managed-by=zkinfer",
    ),
    (
        "troubleshooting",
        "kubectl -n zkinfer-system logs deployment/zkinfer-operator",
    ),
    (
        "troubleshooting",
        "kubectl -n zkinfer-system get pods -l app.kubernetes.io/component=compiler",
    ),
    (
        "troubleshooting",
        "kubectl -n zkinfer-system logs -l app.kubernetes.io/component=compiler",
    ),
    (
        "operate",
        "kubectl get models,inferencerequests,minerpools,validators -A -o yaml > objects.yaml",
    ),
    (
        "operate",
        "kubectl -n zkinfer-system get secret zkinfer-validator-key -o jsonpath='{.data.key}' | base64 -d > validator.key",
    ),
];

/// What two commands are needed for.
const REPORT: [Said; 2] = [
    ("troubleshooting", "operator report --out zkinfer-report.tar.gz"),
    ("troubleshooting", "tar -tzf zkinfer-report.tar.gz"),
];
const LOGS: [Said; 2] = [
    (
        "troubleshooting",
        "uid=$(kubectl get inferencerequest digit-7 -o jsonpath='{.metadata.uid}')",
    ),
    (
        "troubleshooting",
        "kubectl logs -n miner-alpha -l zkinfer.dev/request-uid=$uid",
    ),
];
const METRICS: [Said; 2] = [
    (
        "install",
        "kubectl -n zkinfer-system port-forward deployment/zkinfer-operator 8081 &",
    ),
    ("install", "curl -s http://localhost:8081/metrics"),
];
const IDENTITY: [Said; 4] = [
    ("install", "operator identity new --key miner.key"),
    ("install", "kubectl apply -f pool.yaml"),
    (
        "install",
        "operator identity prove alpha -n miner-alpha --key miner.key",
    ),
    (
        "install",
        r#"kubectl patch minerpool alpha -n miner-alpha --type merge -p '{"spec":{"possession":"…"}}'"#,
    ),
];

/// It exits with 1: there is a difference.
const DIFF: &str = "kubectl diff -k manifests/default";
const STOP: Said = (
    "operate",
    "kubectl -n zkinfer-system scale deployment/zkinfer-operator --replicas=0",
);
const GO_ON: Said = (
    "operate",
    "kubectl -n zkinfer-system scale deployment/zkinfer-operator --replicas=1",
);
const AWAY: &[Said] = &[
    ("install", "kubectl delete -f manifests/quickstart/"),
    ("install", "kubectl delete -k manifests/default"),
];

/// With Helm, upgraded and taken back.
const BY_HELM: &[Said] = &[
    (
        "install",
        "helm install zkinfer charts/zkinfer --namespace zkinfer-system --create-namespace",
    ),
    (
        "install",
        "kubectl label namespace zkinfer-system pod-security.kubernetes.io/enforce=restricted",
    ),
    (
        "operate",
        "kubectl -n zkinfer-system rollout status deployment/zkinfer-operator",
    ),
    ("install", "helm test zkinfer --namespace zkinfer-system --logs"),
    (
        "operate",
        "helm upgrade zkinfer charts/zkinfer --namespace zkinfer-system --reset-then-reuse-values",
    ),
    ("operate", "helm test zkinfer --namespace zkinfer-system --logs"),
    ("operate", "helm history zkinfer --namespace zkinfer-system"),
    (
        "operate",
        "helm rollback zkinfer --namespace zkinfer-system --wait",
    ),
    (
        "install",
        "kubectl create namespace team-a && kubectl create namespace team-b",
    ),
    (
        "studio",
        "helm upgrade zkinfer charts/zkinfer -n zkinfer-system --reuse-values --set web.enabled=true",
    ),
];
const WEB: [Said; 2] = [
    (
        "studio",
        "kubectl -n zkinfer-system port-forward service/zkinfer-web 8082",
    ),
    ("studio", "kubectl create token viewer -n team-a"),
];
const MINERS: &[Said] = &[
    (
        "install",
        "helm install miners charts/zkinfer-miner --namespace miners --create-namespace -f pools.yaml",
    ),
    (
        "install",
        "kubectl get minerpools -A -l app.kubernetes.io/instance=miners",
    ),
    ("install", "helm test miners --namespace miners --logs"),
];
/// A second installation beside the first; then the first as one for some namespaces.
const OTHERS: &[Said] = &[
    (
        "install",
        "helm install blue charts/zkinfer --namespace zkinfer-blue --create-namespace --set controllerClass=blue,crds.enabled=false",
    ),
    ("install", "helm uninstall zkinfer --namespace zkinfer-system"),
    ("install", "kubectl apply -k manifests/cluster"),
    (
        "install",
        "helm install zkinfer charts/zkinfer --namespace zkinfer-system --create-namespace --set crds.enabled=false --set 'namespaces={team-a,team-b}'",
    ),
];

const LAID: &str = "tests/tests/operator/overlays.rs applies each as it stands";

/// What is not run here, and why.
const EXCUSED: &[(&str, &str, &str)] = &[
    (
        "install",
        "scripts/images.sh",
        "./check builds the images with it, and every test of this tier runs them",
    ),
    (
        "install",
        "kind load image-archive target/images/operator.tar",
        "kind is not needed here: nodes get the same archive by the next command",
    ),
    (
        "install",
        "ctr -n k8s.io images import target/images/operator.tar",
        "zkinfer_tests::images gives it to the node of every test of this tier",
    ),
    ("install", "kubectl apply -k manifests/overlays/dev", LAID),
    ("install", "kubectl apply -k manifests/overlays/production", LAID),
    ("install", "kubectl apply -k manifests/overlays/miner", LAID),
    (
        "install",
        "cosign verify --key cosign.pub registry.example/zkinfer/operator@sha256:…",
        "needs a registry and a signature; tests/tests/release.rs holds the commands that sign",
    ),
    (
        "install",
        "cosign verify-attestation --key cosign.pub --type slsaprovenance1 registry.example/zkinfer/operator@sha256:…",
        "as the line before",
    ),
    (
        "operate",
        "kubectl -n zkinfer-system apply -f copy.yaml",
        "no image with tar is on the node; tests/tests/operator/restore.rs keeps and restores the store by the same tar",
    ),
    (
        "operate",
        "kubectl -n zkinfer-system exec copy -- tar -cf - -C /artifacts . > artifacts.tar",
        "as the line before",
    ),
    (
        "operate",
        "kubectl -n zkinfer-system exec -i copy -- tar -xf - -C /artifacts < artifacts.tar",
        "as the line before",
    ),
    (
        "operate",
        "kubectl -n zkinfer-system create secret generic zkinfer-validator-key --from-file=key=validator.key",
        "tests/tests/operator/restore.rs runs it in another cluster, where there is none yet",
    ),
    (
        "operate",
        "operator erase digit-7 -n team",
        "tests/tests/operator/erase.rs runs it on a request that has been answered",
    ),
    (
        "studio",
        "operator local --web",
        "it ends with Ctrl-C alone; tests/tests/web.rs runs it with a folder of its own",
    ),
    (
        "studio",
        "operator studio -n team-a",
        "it opens a browser and ends with Ctrl-C alone; operator/src/web/tests/proxy.rs holds what it answers",
    ),
    (
        "validator",
        "next=$(head -c 32 /dev/urandom | base64 -w0)",
        "a variable of the shell, for the line behind; tests/tests/operator/keys.rs rotates a key so",
    ),
    (
        "validator",
        "kubectl -n zkinfer-system patch secret zkinfer-validator-key --type=merge -p \"{\\\"data\\\":{\\\"next\\\":\\\"$next\\\"}}\"",
        "as the line before",
    ),
    (
        "validator",
        "kubectl -n zkinfer-system rollout restart deployment/zkinfer-operator",
        "as the line before",
    ),
    (
        "validator",
        "kubectl -n zkinfer-system wait validator/zkinfer --for=condition=LedgerSigned",
        "as the line before",
    ),
    (
        "validator",
        "prover-worker ledger verify segments/",
        "tests/tests/operator/keys.rs verifies the segments of a store after it",
    ),
    (
        "studio",
        "./quickstart --web",
        "it builds; tests/tests/web.rs runs the operator that it starts",
    ),
    (
        "studio",
        "operator local -f manifests/quickstart/ --web",
        "tests/tests/web.rs runs it and opens the address",
    ),
];

/// The commands of a page: lines that begin with `$ ` in its blocks of console, each with those that continue it, without comments.
fn commands(page: &str) -> BTreeSet<String> {
    let path = repository().join(format!("docs/{page}.md"));
    let text = std::fs::read_to_string(&path).unwrap();
    let mut all = BTreeSet::new();
    for block in text.split("```console\n").skip(1) {
        let (block, _) = block.split_once("```").unwrap();
        let joined = block.replace("\\\n", " ");
        for line in joined.lines().filter_map(|line| line.strip_prefix("$ ")) {
            let command = line.split_once("  # ").map_or(line, |(command, _)| command);
            // A line that is continued is indented; no text in quotes has two spaces.
            all.insert(command.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    all
}

#[test]
fn every_command_of_these_pages_is_run_or_has_a_reason_not_to_be() {
    let mut named: BTreeSet<(String, String)> = BTreeSet::new();
    let run_here = [
        BY_KUBECTL,
        ASKED,
        &REPORT,
        &LOGS,
        &METRICS,
        &IDENTITY,
        &[STOP, GO_ON],
        AWAY,
        BY_HELM,
        &WEB,
        MINERS,
        OTHERS,
    ]
    .concat();
    let excused = EXCUSED.iter().map(|(page, command, why)| {
        assert!(why.len() > 15, "{command}: {why}");
        (*page, *command)
    });
    for (page, command) in run_here.into_iter().chain(excused) {
        assert!(
            named.insert((page.to_owned(), command.to_owned())),
            "{page}: {command} is named twice"
        );
    }
    let mut said = BTreeSet::new();
    for page in PAGES {
        said.extend(
            commands(page)
                .into_iter()
                .map(|command| (page.to_owned(), command)),
        );
    }
    let missing: Vec<_> = said.difference(&named).collect();
    let gone: Vec<_> = named.difference(&said).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "not run: {missing:#?}\nnot in its page: {gone:#?}"
    );
}

/// A person's terminal: the repository's folders, the tools and our programs, a kubeconfig, and room for files.
struct Terminal {
    folder: tempfile::TempDir,
    path: String,
    kubeconfig: PathBuf,
}

impl Terminal {
    fn new(world: &World) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["charts", "manifests"] {
            std::os::unix::fs::symlink(repository().join(name), folder.path().join(name)).unwrap();
        }
        let programs = program("operator");
        let tools = Tools::find().unwrap().path("kubectl");
        let own = std::env::var("PATH").unwrap();
        let of = |path: &Path| path.parent().unwrap().display().to_string();
        Self {
            path: format!("{}:{}:{own}", of(&programs), of(&tools)),
            kubeconfig: world.cluster.kubeconfig(),
            folder,
        }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn ran(&self, script: &str) -> Ran {
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail", "-c", script])
            .current_dir(self.folder.path())
            .env("PATH", &self.path)
            .env("HOME", self.folder.path())
            .env("KUBECONFIG", &self.kubeconfig);
        let ran = run(&mut bash);
        println!("$ {script}\n{}{}", ran.stdout, ran.stderr);
        ran
    }

    /// What it prints; it has to succeed.
    fn run(&self, script: &str) -> String {
        let ran = self.ran(script);
        assert_eq!(ran.code, 0, "{script}: {}{}", ran.stdout, ran.stderr);
        ran.stdout
    }

    fn all(&self, said: &[Said]) {
        for (_, command) in said {
            self.run(command);
        }
    }
}

#[tokio::test]
async fn the_commands_for_kubectl_work_as_they_stand() {
    let Some(world) = World::new().await else { return };
    let terminal = Terminal::new(&world);
    for (_, command) in BY_KUBECTL {
        if *command == DIFF {
            let ran = terminal.ran(command);
            assert_eq!(ran.code, 1, "{}", ran.stderr);
            assert!(ran.stdout.contains("zkinfer-operator"), "{}", ran.stdout);
        } else {
            terminal.run(command);
        }
    }
    world.quickstart().await;
    terminal.all(ASKED);
    let [report, list] = REPORT;
    // It says 1 where a log could not be read any more.
    assert!([0, 1].contains(&terminal.ran(report.1).code));
    assert!(!terminal.run(list.1).trim().is_empty());
    terminal.run(&LOGS.map(|said| said.1).join("\n"));

    let [forward, get] = METRICS;
    let metrics = terminal.run(&format!(
        "{} for i in $(seq 50); do {} --fail && break; sleep 0.2; done; kill $!",
        forward.1.replace('&', "> forward.log &"),
        get.1
    ));
    assert!(metrics.contains("zkinfer_requests_total"), "{metrics}");

    // The pool is another one from here on: it has an identity.
    terminal.run("kubectl delete minerpool alpha -n miner-alpha");
    let [new, apply, prove, patch] = IDENTITY;
    let identity = terminal.run(new.1).trim().to_owned();
    let pool = json!({
        "apiVersion": "zkinfer.dev/v1alpha1", "kind": "MinerPool", "metadata": { "name": "alpha", "namespace": "miner-alpha" },
        "spec": {
            "image": "zkinfer.dev/prover-worker:dev", "allowUnpinnedImage": true, "parallelism": 1,
            "allowedNamespaces": ["default"], "identity": identity,
        },
    });
    terminal.write("pool.yaml", &pool.to_string());
    terminal.run(apply.1);
    let proof = terminal.run(prove.1).trim().to_owned();
    terminal.run(&patch.1.replace('…', &proof));
    let ready = format!(
        "kubectl wait --for=condition=Ready minerpool/alpha -n miner-alpha --timeout={}s",
        LONG.as_secs() - 20
    );
    terminal.run(&ready);

    terminal.run(STOP.1);
    terminal.run(GO_ON.1);
    world.until_up().await;
    terminal.all(AWAY);
}

#[tokio::test]
async fn the_commands_for_helm_work_as_they_stand() {
    let Some(world) = World::new().await else { return };
    let terminal = Terminal::new(&world);
    terminal.all(BY_HELM);
    world.until_up().await;
    terminal.run("kubectl create serviceaccount viewer -n team-a");
    let [forward, token] = WEB;
    let page = terminal.run(&format!(
        "{} > forward.log & for i in $(seq 50); do curl -s --fail http://localhost:8082/ && break; sleep 0.2; done; kill $!",
        forward.1
    ));
    assert!(
        page.contains("<!doctype html>") || page.contains("<!DOCTYPE html>"),
        "{page}"
    );
    assert_eq!(
        terminal.run(token.1).trim().split('.').count(),
        3,
        "a token in three parts"
    );

    let pools = json!({
        "defaults": {
            "image": "zkinfer.dev/prover-worker:dev", "allowUnpinnedImage": true, "parallelism": 1,
            "allowedNamespaces": ["default"], "resources": { "cpu": "100m", "memory": "512Mi" },
        },
        "pools": [{ "name": "cpu", "count": 2 }],
    });
    terminal.write("pools.yaml", &pools.to_string());
    terminal.all(MINERS);
    terminal.all(OTHERS);
    world.until_up().await;
}
