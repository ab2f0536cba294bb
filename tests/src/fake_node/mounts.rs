//! A pod's volumes as folders of this machine.
//!
//! Invariant: a process finds under the replaced path what it would find in a container under the path that the pod
//! names. Files are written whole (a reader never sees half a token), and a token is renewed before it expires.
//! Config maps and secrets are copied once; a real kubelet also follows their changes.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use k8s_openapi::api::core::v1::{Container, Pod, Volume};
use kube::Client;
use tokio::task::JoinSet;

use super::{Error, volumes::Source};

/// Where mounts are, and the tasks that renew their tokens (they end with this).
#[derive(Debug, Default)]
pub(super) struct Mounts {
    places: Vec<(String, PathBuf)>,
    renewals: JoinSet<()>,
}

impl Mounts {
    /// Makes the folders of all volumes that the container mounts. `shared` holds what outlives the pod.
    pub(super) async fn make(
        client: &Client,
        pod: &Pod,
        container: &Container,
        folder: &Path,
        shared: &Path,
    ) -> Result<Self, Error> {
        let source = Source {
            client,
            pod,
            namespace: pod.metadata.namespace.as_deref().unwrap_or_default(),
        };
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        let volumes: BTreeMap<&str, &Volume> = volumes.map(|volume| (volume.name.as_str(), volume)).collect();
        let mut mounts = Self::default();
        for mount in container.volume_mounts.iter().flatten() {
            let volume = volumes.get(mount.name.as_str());
            let volume = volume.ok_or_else(|| Error::Missing(format!("volume {}", mount.name)))?;
            if mount.sub_path_expr.is_some() {
                return Err(Error::Unsupported("subPathExpr".into()));
            }
            let mut place = folder.join("volumes").join(&volume.name);
            if let Some(host) = &volume.host_path {
                place = shared.join(host.path.trim_start_matches('/'));
            }
            if !mounts.places.iter().any(|(_, made)| made.starts_with(&place)) {
                fs::create_dir_all(&place).map_err(Error::io(place.display().to_string()))?;
                source.fill(volume, &place, &mut mounts.renewals).await?;
            }
            if let Some(inner) = &mount.sub_path {
                place.push(inner);
                if volume.empty_dir.is_some() || volume.host_path.is_some() {
                    fs::create_dir_all(&place).map_err(Error::io(place.display().to_string()))?;
                }
            }
            mounts
                .places
                .push((mount.mount_path.trim_end_matches('/').to_owned(), place));
        }
        // The longest first: of two that fit, the inner one is meant.
        mounts
            .places
            .sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        Ok(mounts)
    }

    /// The folder of a mount.
    pub(super) fn place(&self, path: &str) -> Option<&Path> {
        self.places
            .iter()
            .find(|(mounted, _)| mounted == path)
            .map(|(_, place)| place.as_path())
    }

    /// Replaces each whole path under a mount: `--in=/data/x` under `/data`, but neither `/database` nor
    /// `http://host/data`.
    pub(super) fn localise(&self, text: &str) -> String {
        let part_of_path = |char: char| char.is_alphanumeric() || "._-/".contains(char);
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let starts = next == '/' && (out.ends_with("file://") || !out.ends_with(part_of_path));
            let found = self.places.iter().filter(|_| starts).find_map(|(path, place)| {
                let tail = rest.strip_prefix(path.as_str())?;
                let ends = tail.starts_with('/') || !tail.starts_with(part_of_path);
                ends.then_some((place, tail))
            });
            if let Some((place, tail)) = found {
                out.push_str(&place.to_string_lossy());
                rest = tail;
            } else {
                out.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_paths_are_replaced() {
        let places = vec![
            ("/data/in".into(), PathBuf::from("/t/b")),
            ("/data".into(), PathBuf::from("/t/data")),
        ];
        let mounts = Mounts {
            places,
            ..Default::default()
        };
        for (text, expected) in [
            ("/data", "/t/data"),
            ("--dir=/data/x", "--dir=/t/data/x"),
            ("/data/in/x:/data", "/t/b/x:/t/data"),
            ("/data/inner", "/t/data/inner"),
            ("/database", "/database"),
            ("http://host/data", "http://host/data"),
            ("file:///data/y", "file:///t/data/y"),
            ("café /data/", "café /t/data/"),
        ] {
            assert_eq!(mounts.localise(text), expected);
        }
    }
}
