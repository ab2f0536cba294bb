//! containerd, the kubelet, kube-proxy and CoreDNS: the node `node1`, which runs real pods.
//!
//! Invariant: the kubelet touches nothing outside the sandbox: its folders are the cluster's or the sandbox's own, its
//! cgroups are under the cluster's root, and the machine's values that it would set are shadowed (see `init.sh`).

use std::{fs, path::Path};

use super::{
    Error,
    control_plane::{path, words},
    pki::Pki,
    sandbox::Sandbox,
    tools::{CNI, Tools},
};

/// The image that holds each pod's namespaces open.
pub(super) const PAUSE: &str = "zkinfer.test/pause:v1";

/// The node's name.
pub(super) const NAME: &str = "node1";

/// CoreDNS' service address, which the kubelet writes into pods.
const DNS: &str = "10.96.0.10";

/// containerd, which needs nothing else.
pub(super) fn start_runtime(sandbox: &Sandbox, tools: &Tools, state: &Path) -> Result<(), Error> {
    let root = state.join("containerd");
    let cni = state.join("cni");
    fs::create_dir_all(&cni).map_err(Error::io("cni"))?;
    let (root, network) = (root.display(), cni.display());
    // restrict_oom_score_adj: without CAP_SYS_RESOURCE every sandbox fails with "can't get final child's PID".
    let config = if tools.containerd_major() >= 2 {
        format!(
            r#"version = 3
root = "{root}"
state = "/run/containerd"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{PAUSE}"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["{CNI}"]
  conf_dir = "{network}"
[plugins.'io.containerd.nri.v1.nri']
  disable = true
[plugins.'io.containerd.internal.v1.opt']
  path = "{root}/opt"
"#
        )
    } else {
        format!(
            r#"version = 2
root = "{root}"
state = "/run/containerd"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{CNI}"
  conf_dir = "{network}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{root}/opt"
"#
        )
    };
    let bridge = r#"{"cniVersion": "0.4.0", "name": "pods", "plugins": [
 {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
  "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
 {"type": "portmap", "capabilities": {"portMappings": true}}]}
"#;
    fs::write(cni.join("10-pods.conflist"), bridge).map_err(Error::io("CNI configuration"))?;
    let file = state.join("containerd.toml");
    fs::write(&file, config).map_err(Error::io("containerd's configuration"))?;
    sandbox.start(
        "containerd",
        &words(&[
            "containerd --log-level=warn --config",
            &file.display().to_string(),
        ]),
    )
}

/// The kubelet, the proxy and the DNS server.
pub(super) fn start_node(
    sandbox: &Sandbox,
    tools: &Tools,
    pki: &Pki,
    state: &Path,
    lease_seconds: u32,
) -> Result<(), Error> {
    let address = sandbox.address();
    let (authority, cgroup) = (pki.file("ca", "crt"), sandbox.cgroup());
    let (certificate, key) = (pki.file("kubelet", "crt"), pki.file("kubelet", "key"));
    // The default of a million open files cannot be set where the hard limit is lower and may not be raised.
    let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
    let files = limit.map_or(20_000, |(_, hard)| hard.min(1_000_000));
    let plugins = state.join("volume-plugins");
    let plugins = plugins.display();
    let config = format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: {cgroup}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
address: {address}
healthzBindAddress: 127.0.0.1
authentication: {{anonymous: {{enabled: false}}, webhook: {{enabled: true}}, x509: {{clientCAFile: {authority}}}}}
authorization: {{mode: Webhook}}
tlsCertFile: {certificate}
tlsPrivateKeyFile: {key}
volumePluginDir: {plugins}
resolvConf: \"\"
clusterDomain: cluster.local
clusterDNS: [\"{DNS}\"]
maxPods: 200
serializeImagePulls: false
nodeStatusUpdateFrequency: 4s
nodeLeaseDurationSeconds: {lease_seconds}
imageGCHighThresholdPercent: 100
evictionHard: {{memory.available: 200Mi, nodefs.available: 1Gi, imagefs.available: 1Gi}}
maxOpenFiles: {files}
"
    );
    let file = write(state, "kubelet.yaml", &config)?;
    let mut command = vec![path(tools, "kubelet"), format!("--config={file}")];
    command.extend([
        format!("--kubeconfig={}", pki.kubeconfig("node").display()),
        format!("--root-dir={}", state.join("kubelet").display()),
        format!("--hostname-override={NAME}"),
        format!("--node-ip={address}"),
    ]);
    sandbox.start("kubelet", &command)?;

    let config = format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {{kubeconfig: {}}}
clusterCIDR: 10.244.0.0/16
hostnameOverride: {NAME}
conntrack: {{maxPerCore: 0, min: 0}}
",
        pki.kubeconfig("proxy").display()
    );
    let file = write(state, "kube-proxy.yaml", &config)?;
    sandbox.start(
        "kube-proxy",
        &[path(tools, "kube-proxy"), format!("--config={file}")],
    )?;

    let config = format!(
        ".:53 {{\n bind {address}\n errors\n kubernetes cluster.local in-addr.arpa {{\n  kubeconfig {}\n  \
         pods insecure\n }}\n cache 5\n}}\n",
        pki.kubeconfig("admin").display()
    );
    let file = write(state, "Corefile", &config)?;
    sandbox.start("coredns", &[path(tools, "coredns"), "-conf".into(), file])
}

/// CoreDNS runs beside the pods, not in one; this is the service through which they reach it.
pub(super) fn dns_service(sandbox: &Sandbox) -> String {
    let address = sandbox.address();
    format!(
        r#"
{{apiVersion: v1, kind: Service, metadata: {{name: kube-dns, namespace: kube-system}}, spec: {{clusterIP: {DNS},
  ports: [{{name: dns, port: 53, protocol: UDP}}, {{name: dns-tcp, port: 53, protocol: TCP}}]}}}}
---
{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
  metadata: {{name: kube-dns-1, namespace: kube-system, labels: {{kubernetes.io/service-name: kube-dns}}}},
  endpoints: [{{addresses: ["{address}"], conditions: {{ready: true}}}}],
  ports: [{{name: dns, port: 53, protocol: UDP}}, {{name: dns-tcp, port: 53, protocol: TCP}}]}}
"#
    )
}

fn write(state: &Path, name: &str, text: &str) -> Result<String, Error> {
    let file = state.join(name);
    fs::write(&file, text).map_err(Error::io(name))?;
    Ok(file.display().to_string())
}
