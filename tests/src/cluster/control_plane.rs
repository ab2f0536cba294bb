//! etcd, the API server, the controller manager and the scheduler.
//!
//! Invariant: nothing here differs from a default Kubernetes in what it decides; flags only name files, shorten waits
//! and lift client-side throttles that would make a test measure the harness.

use std::fs;

use super::{Builder, Error, pki::Pki, sandbox::Sandbox, tools::Tools};

/// Cluster addresses of services.
const SERVICE_RANGE: &str = "10.96.0.0/24";

/// etcd and the API server, which waits for etcd by itself.
pub(super) fn start_storage(
    sandbox: &Sandbox,
    tools: &Tools,
    pki: &Pki,
    options: &Builder,
) -> Result<(), Error> {
    // In memory (a tmpfs of the sandbox): what is measured should not be the disk's fsync.
    sandbox.start(
        "etcd",
        &words(&[
            "etcd --name=test --data-dir=/run/etcd --log-level=warn --snapshot-count=100000",
            "--listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380 --initial-advertise-peer-urls=http://127.0.0.1:2380",
            "--initial-cluster=test=http://127.0.0.1:2380",
        ]),
    )?;
    let address = sandbox.address();
    let mut command = vec![path(tools, "kube-apiserver")];
    command.extend(words(&[
        "--etcd-servers=http://127.0.0.1:2379 --bind-address=0.0.0.0 --secure-port=6443",
        "--service-account-issuer=https://kubernetes.default.svc --authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction --allow-privileged=true",
        "--kubelet-preferred-address-types=InternalIP",
    ]));
    command.extend([
        format!("--service-cluster-ip-range={SERVICE_RANGE}"),
        format!("--advertise-address={address}"),
        format!("--client-ca-file={}", pki.file("ca", "crt")),
        format!("--tls-cert-file={}", pki.file("apiserver", "crt")),
        format!("--tls-private-key-file={}", pki.file("apiserver", "key")),
        // One file for both: the public half is in it.
        format!("--service-account-key-file={}", pki.file("account", "key")),
        format!(
            "--service-account-signing-key-file={}",
            pki.file("account", "key")
        ),
        format!(
            "--kubelet-client-certificate={}",
            pki.file("apiserver-kubelet", "crt")
        ),
        format!("--kubelet-client-key={}", pki.file("apiserver-kubelet", "key")),
        format!("--kubelet-certificate-authority={}", pki.file("ca", "crt")),
    ]);
    if options.quick_node_loss {
        command.extend(words(&[
            "--default-not-ready-toleration-seconds=5 --default-unreachable-toleration-seconds=5",
        ]));
    }
    command.extend(options.api_server_flags.iter().cloned());
    sandbox.start("kube-apiserver", &command)
}

/// The controller manager and the scheduler. Both give up if the API server is not ready yet.
pub(super) fn start_controllers(
    sandbox: &Sandbox,
    tools: &Tools,
    pki: &Pki,
    options: &Builder,
) -> Result<(), Error> {
    let mut command = vec![path(tools, "kube-controller-manager")];
    command.extend(client_flags(pki, "controller-manager"));
    command.extend([
        format!(
            "--service-account-private-key-file={}",
            pki.file("account", "key")
        ),
        format!("--root-ca-file={}", pki.file("ca", "crt")),
        format!("--cluster-signing-cert-file={}", pki.file("ca", "crt")),
        format!("--cluster-signing-key-file={}", pki.file("ca", "key")),
    ]);
    // The default of 20 requests a second throttles the manager's own start by 5 s.
    command.extend(words(&[
        "--use-service-account-credentials --leader-elect=false --bind-address=127.0.0.1",
        "--kube-api-qps=300 --kube-api-burst=600",
    ]));
    if options.quick_node_loss {
        command.extend(words(&[
            "--node-monitor-period=1s --node-monitor-grace-period=10s",
        ]));
    }
    sandbox.start("kube-controller-manager", &command)?;

    // Only the configuration file can lift the scheduler's 50 requests a second.
    let config = format!(
        "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n\
         leaderElection: {{leaderElect: false}}\n\
         clientConnection: {{kubeconfig: {}, qps: 300, burst: 600}}\n",
        pki.kubeconfig("scheduler").display()
    );
    let file = pki.file("scheduler", "yaml");
    fs::write(&file, config).map_err(Error::io(file.clone()))?;
    let mut command = vec![path(tools, "kube-scheduler"), format!("--config={file}")];
    command.extend(client_flags(pki, "scheduler").skip(1));
    command.push("--bind-address=127.0.0.1".into());
    sandbox.start("kube-scheduler", &command)
}

pub(super) fn path(tools: &Tools, name: &str) -> String {
    tools.path(name).display().to_string()
}

pub(super) fn words(lines: &[&str]) -> Vec<String> {
    lines
        .iter()
        .flat_map(|line| line.split_whitespace())
        .map(str::to_owned)
        .collect()
}

fn client_flags(pki: &Pki, name: &str) -> impl Iterator<Item = String> {
    let file = pki.kubeconfig(name).display().to_string();
    [
        "kubeconfig",
        "authentication-kubeconfig",
        "authorization-kubeconfig",
    ]
    .into_iter()
    .map(move |flag| format!("--{flag}={file}"))
}
