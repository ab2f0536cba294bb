//! What a cluster could leave behind, looked for where the kernel shows it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use zkinfer_tests::cluster::{Cluster, wait_for};

/// Where a cluster was.
#[derive(Debug)]
pub struct Place {
    slot: u8,
    folder: PathBuf,
    settings: Vec<String>,
}

impl Place {
    /// The place of a running cluster.
    pub fn of(cluster: &Cluster, settings: Vec<String>) -> Self {
        Self::new(cluster.sandbox().slot(), cluster.folder(), settings)
    }

    pub fn new(slot: u8, folder: &Path, settings: Vec<String>) -> Self {
        Self {
            slot,
            folder: folder.to_owned(),
            settings,
        }
    }

    /// Everything that is still there.
    pub fn remains(&self) -> Vec<String> {
        let mut found = Vec::new();
        let folder = self.folder.display().to_string();
        if self.folder.exists() {
            found.push(folder.clone());
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        found.extend(
            mounts
                .lines()
                .filter(|line| line.contains(&folder))
                .map(|line| format!("mount {line}")),
        );
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let path = process.path();
            let names = ["cmdline", "environ"].map(|file| fs::read(path.join(file)).unwrap_or_default());
            if names
                .iter()
                .any(|text| String::from_utf8_lossy(text).contains(&folder))
            {
                found.push(format!(
                    "process {}: {}",
                    path.display(),
                    String::from_utf8_lossy(&names[0])
                ));
            }
        }
        if settings() != self.settings {
            found.push(format!("{:?} in place of {:?}", settings(), self.settings));
        }
        // Another test's cluster may have been given the number by now.
        let owner = fs::read_to_string(format!("/run/zkinfer-cluster-{}", self.slot));
        if owner.as_ref().is_ok_and(|owner| owner.trim() != folder) {
            return found;
        }
        found.extend(owner.ok().map(|_| format!("slot {}", self.slot)));
        let link = PathBuf::from(format!("/sys/class/net/zk{}", self.slot));
        let roots = fs::read_dir("/sys/fs/cgroup")
            .unwrap()
            .flatten()
            .map(|entry| entry.path());
        let roots = roots.chain([PathBuf::from("/sys/fs/cgroup")]);
        let groups = roots.map(|root| root.join(format!("zkinfer-{}", self.slot)));
        found.extend(
            groups
                .chain([link])
                .filter(|path| path.exists())
                .map(|path| path.display().to_string()),
        );
        found
    }

    /// Waits until nothing is.
    pub async fn wait_until_empty(&self) {
        let probe = async || {
            let remains = self.remains();
            if remains.is_empty() {
                Ok(())
            } else {
                Err(remains.join("\n"))
            }
        };
        wait_for("nothing left of the cluster", Duration::from_secs(20), probe)
            .await
            .unwrap();
    }
}

/// The machine's settings that a kubelet changes.
pub fn settings() -> Vec<String> {
    [
        "vm/overcommit_memory",
        "vm/panic_on_oom",
        "kernel/panic",
        "kernel/panic_on_oops",
        "net/ipv4/ip_forward",
    ]
    .iter()
    .map(|name| {
        format!(
            "{name}={}",
            fs::read_to_string(format!("/proc/sys/{name}")).unwrap().trim()
        )
    })
    .collect()
}
