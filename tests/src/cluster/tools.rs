//! The programs that a cluster is made of, and whether this machine has them.
//!
//! Invariant: a test that cannot run says so where nobody can miss it, and fails if `ZKINFER_REQUIRE_CLUSTER=1`. Nothing
//! is installed from here: `scripts/kube.sh` does that.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use super::Error;

/// Built by `scripts/kube.sh` into one folder.
const BUILT: [&str; 9] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubectl",
    "helm",
    "coredns",
    "pause",
];

/// From Debian packages. `ctr` comes with containerd.
const INSTALLED: [&str; 12] = [
    "etcd",
    "containerd",
    "ctr",
    "runc",
    "nft",
    "iptables",
    "ip",
    "nsenter",
    "unshare",
    "setsid",
    "openssl",
    "buildah",
];

/// Where Debian installs the CNI plugins.
pub(super) const CNI: &str = "/usr/lib/cni";

/// Folders with daemons that are not on every user's `PATH`.
const SBIN: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The folder of binaries, once all of them have been seen.
#[derive(Debug, Clone)]
pub struct Tools {
    folder: PathBuf,
    containerd_major: u32,
}

impl Tools {
    /// Looks for everything that a cluster needs; the error names all that is missing.
    pub fn find() -> Result<Self, Error> {
        let folder =
            folder().ok_or_else(|| Error::Unavailable("neither ZKINFER_KUBE_BIN nor HOME is set".into()))?;
        let mut missing = Vec::new();
        if !nix::unistd::geteuid().is_root() {
            missing.push("root (namespaces and containers need it)".to_owned());
        }
        missing.extend(
            BUILT
                .iter()
                .filter(|name| !folder.join(name).is_file())
                .map(|name| {
                    let file = folder.join(name);
                    file.display().to_string()
                }),
        );
        let on_path = |name: &&str| {
            search_path()
                .split(':')
                .any(|dir| Path::new(dir).join(name).is_file())
        };
        missing.extend(
            INSTALLED
                .iter()
                .filter(|name| !on_path(name))
                .map(|name| (*name).to_owned()),
        );
        if !Path::new(CNI).join("bridge").is_file() {
            missing.push(format!("{CNI}/bridge"));
        }
        if !missing.is_empty() {
            let list = missing.join(", ");
            return Err(Error::Unavailable(format!(
                "missing: {list}. `scripts/kube.sh` installs what can be installed"
            )));
        }
        Ok(Self {
            folder,
            containerd_major: containerd_major()?,
        })
    }

    /// The path of a binary that `scripts/kube.sh` built.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// containerd 2 has another layout of its configuration.
    pub(super) fn containerd_major(&self) -> u32 {
        self.containerd_major
    }
}

/// `PATH` with the folders of daemons added.
pub(super) fn search_path() -> String {
    match env::var("PATH") {
        Ok(path) => format!("{path}:{SBIN}"),
        Err(_) => SBIN.to_owned(),
    }
}

/// The same folder as in `scripts/kube.sh`.
fn folder() -> Option<PathBuf> {
    let set = |name: &str| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("ZKINFER_KUBE_BIN").or_else(|| {
        let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
        cache.map(|cache| cache.join("zkinfer/kube"))
    })
}

fn containerd_major() -> Result<u32, Error> {
    let output = Command::new("containerd")
        .env("PATH", search_path())
        .arg("--version")
        .output();
    let text = output.map_err(Error::io("containerd --version"))?.stdout;
    // "containerd github.com/containerd/containerd 1.6.20~ds1 …" or "… v2.1.9 …"
    let text = String::from_utf8_lossy(&text).into_owned();
    let version = text
        .split_whitespace()
        .nth(2)
        .unwrap_or_default()
        .trim_start_matches('v');
    version
        .split('.')
        .next()
        .and_then(|major| major.parse().ok())
        .ok_or_else(|| Error::Unavailable(format!("containerd says nothing of its version: {text:?}")))
}

/// Whether clusters can run on this machine; the first statement of every test that starts one:
///
/// ```no_run
/// # async fn test() {
/// if !zkinfer_tests::cluster::can_run() {
///     return;
/// }
/// # }
/// ```
///
/// # Panics
/// With `ZKINFER_REQUIRE_CLUSTER=1`, where they cannot.
pub fn can_run() -> bool {
    static MISSING: OnceLock<Option<String>> = OnceLock::new();
    let missing = MISSING.get_or_init(|| Tools::find().err().map(|error| error.to_string()));
    missing.as_ref().is_none_or(|missing| not_run(missing))
}

/// Says what a test lacks where nobody can miss it; always false.
pub(crate) fn not_run(missing: &str) -> bool {
    assert!(
        env::var_os("ZKINFER_REQUIRE_CLUSTER").is_none_or(|value| value != "1"),
        "{missing}"
    );
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    crate::tell(format_args!("\n*** NOT RUN: {test}: {missing}\n"));
    false
}
