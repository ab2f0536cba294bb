//! A pod's volumes as folders of this machine.
//!
//! Invariant: a process finds under the replaced path what it would find in a container under the path that the pod
//! names. Files are written whole (a reader never sees half a token), and a token is renewed before it expires.
//! Config maps and secrets are copied once; a real kubelet also follows their changes.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use k8s_openapi::{
    api::{
        authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
        core::v1::{
            ConfigMap, Container, DownwardAPIVolumeFile, KeyToPath, Pod, Secret, ServiceAccount,
            ServiceAccountTokenProjection, Volume, VolumeProjection,
        },
    },
    jiff::Timestamp,
};
use kube::{Api, Client, api::PostParams};
use tokio::task::JoinSet;

use super::{Error, container::field};

/// Where mounts are, and the tasks that renew their tokens (they end with this).
#[derive(Debug, Default)]
pub(super) struct Mounts {
    places: Vec<(String, PathBuf)>,
    renewals: JoinSet<()>,
}

/// What filling a volume needs.
struct Source<'a> {
    client: &'a Client,
    pod: &'a Pod,
    namespace: &'a str,
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

    /// Replaces each whole path under a mount: `--in=/work/x` under `/work`, but neither `/workshop` nor
    /// `http://host/work`.
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

impl Source<'_> {
    async fn fill(&self, volume: &Volume, place: &Path, renewals: &mut JoinSet<()>) -> Result<(), Error> {
        if volume.empty_dir.is_some() || volume.host_path.is_some() {
            return Ok(());
        }
        if let Some(map) = &volume.config_map {
            let optional = map.optional.unwrap_or_default();
            return write_all(
                place,
                self.config_map(&map.name, map.items.as_deref(), optional).await?,
            );
        }
        if let Some(secret) = &volume.secret {
            let name = secret.secret_name.as_deref().unwrap_or_default();
            let optional = secret.optional.unwrap_or_default();
            return write_all(place, self.secret(name, secret.items.as_deref(), optional).await?);
        }
        if let Some(fields) = &volume.downward_api {
            return write_all(place, self.fields(fields.items.as_deref())?);
        }
        let Some(projected) = &volume.projected else {
            return Err(Error::Unsupported(format!("the kind of volume {}", volume.name)));
        };
        for projection in projected.sources.iter().flatten() {
            self.project(projection, place, renewals).await?;
        }
        Ok(())
    }

    async fn project(
        &self,
        projection: &VolumeProjection,
        place: &Path,
        renewals: &mut JoinSet<()>,
    ) -> Result<(), Error> {
        if let Some(token) = &projection.service_account_token {
            let renewal = Renewal::new(self, token, place);
            let wait = renewal.renew().await?;
            renewals.spawn(renewal.keep(wait));
        } else if let Some(map) = &projection.config_map {
            let optional = map.optional.unwrap_or_default();
            write_all(
                place,
                self.config_map(&map.name, map.items.as_deref(), optional).await?,
            )?;
        } else if let Some(secret) = &projection.secret {
            let optional = secret.optional.unwrap_or_default();
            write_all(
                place,
                self.secret(&secret.name, secret.items.as_deref(), optional)
                    .await?,
            )?;
        } else if let Some(fields) = &projection.downward_api {
            write_all(place, self.fields(fields.items.as_deref())?)?;
        } else {
            return Err(Error::Unsupported("a projected volume's source".into()));
        }
        Ok(())
    }

    async fn config_map(
        &self,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: bool,
    ) -> Result<Files, Error> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), self.namespace);
        let object = api.get_opt(name).await?.map(|map| {
            let text = map
                .data
                .into_iter()
                .flatten()
                .map(|(key, text)| (key, text.into_bytes()));
            text.chain(
                map.binary_data
                    .into_iter()
                    .flatten()
                    .map(|(key, bytes)| (key, bytes.0)),
            )
            .collect()
        });
        select(&format!("ConfigMap {name}"), object, items, optional)
    }

    async fn secret(&self, name: &str, items: Option<&[KeyToPath]>, optional: bool) -> Result<Files, Error> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), self.namespace);
        let object = api.get_opt(name).await?;
        let data = object.map(|secret| {
            secret
                .data
                .into_iter()
                .flatten()
                .map(|(key, bytes)| (key, bytes.0))
                .collect()
        });
        select(&format!("Secret {name}"), data, items, optional)
    }

    fn fields(&self, items: Option<&[DownwardAPIVolumeFile]>) -> Result<Files, Error> {
        let files = items.unwrap_or_default().iter().map(|item| {
            let Some(source) = &item.field_ref else {
                return Err(Error::Unsupported("resourceFieldRef".into()));
            };
            Ok((
                item.path.clone(),
                field(self.pod, &source.field_path)?.into_bytes(),
            ))
        });
        files.collect()
    }
}

/// Contents by path in the volume.
type Files = BTreeMap<String, Vec<u8>>;

fn select(
    what: &str,
    object: Option<Files>,
    items: Option<&[KeyToPath]>,
    optional: bool,
) -> Result<Files, Error> {
    let Some(mut data) = object else {
        return if optional {
            Ok(Files::new())
        } else {
            Err(Error::Missing(what.to_owned()))
        };
    };
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        return Ok(data);
    };
    let mut files = Files::new();
    for item in items {
        match data.remove(&item.key) {
            Some(bytes) => drop(files.insert(item.path.clone(), bytes)),
            None if optional => {}
            None => return Err(Error::Missing(format!("key {} of {what}", item.key))),
        }
    }
    Ok(files)
}

fn write_all(place: &Path, files: Files) -> Result<(), Error> {
    files
        .into_iter()
        .try_for_each(|(path, bytes)| write(&place.join(path), &bytes))
}

/// Writes a file beside its place and moves it there.
fn write(file: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = || Error::io(file.display().to_string());
    fs::create_dir_all(file.parent().unwrap_or(file)).map_err(failed())?;
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = file.with_file_name(name);
    fs::write(&new, bytes).map_err(failed())?;
    fs::rename(&new, file).map_err(failed())
}

/// A token that is asked for again and again.
struct Renewal {
    api: Api<ServiceAccount>,
    account: String,
    spec: TokenRequestSpec,
    file: PathBuf,
}

impl Renewal {
    fn new(source: &Source<'_>, token: &ServiceAccountTokenProjection, place: &Path) -> Self {
        let spec = source.pod.spec.as_ref();
        let metadata = &source.pod.metadata;
        // Bound to the pod: the API server refuses the token as soon as the pod is gone.
        let bound = BoundObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            name: metadata.name.clone(),
            uid: metadata.uid.clone(),
        };
        Self {
            api: Api::namespaced(source.client.clone(), source.namespace),
            account: spec
                .and_then(|spec| spec.service_account_name.clone())
                .unwrap_or_else(|| "default".into()),
            spec: TokenRequestSpec {
                audiences: token.audience.iter().cloned().collect::<Vec<_>>().into(),
                bound_object_ref: Some(bound),
                expiration_seconds: token.expiration_seconds,
                ..Default::default()
            },
            file: place.join(&token.path),
        }
    }

    /// Writes a new token; how long to wait until the next.
    async fn renew(&self) -> Result<Duration, Error> {
        let request = TokenRequest {
            spec: Some(self.spec.clone()),
            ..Default::default()
        };
        let answer = self
            .api
            .create_token_request(&self.account, &PostParams::default(), &request)
            .await?;
        let status = answer.status.unwrap_or_default();
        let (Some(token), Some(expires)) = (status.token, status.expiration_timestamp) else {
            return Err(Error::Missing("the token in the answer".into()));
        };
        write(&self.file, token.as_bytes())?;
        Ok(pause(Timestamp::now(), expires.0))
    }

    async fn keep(self, mut wait: Duration) {
        loop {
            tokio::time::sleep(wait).await;
            wait = self.renew().await.unwrap_or(Duration::from_secs(5));
        }
    }
}

/// Renews at four fifths of the time, as the kubelet does.
fn pause(now: Timestamp, expires: Timestamp) -> Duration {
    let left = Duration::try_from(expires.duration_since(now)).unwrap_or_default();
    left.mul_f64(0.8).max(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_paths_are_replaced() {
        let places = vec![
            ("/work/in".into(), PathBuf::from("/t/b")),
            ("/work".into(), PathBuf::from("/t/work")),
        ];
        let mounts = Mounts {
            places,
            ..Default::default()
        };
        for (text, expected) in [
            ("/work", "/t/work"),
            ("--dir=/work/x", "--dir=/t/work/x"),
            ("/work/in/x:/work", "/t/b/x:/t/work"),
            ("/work/inner", "/t/work/inner"),
            ("/workshop", "/workshop"),
            ("http://host/work", "http://host/work"),
            ("file:///work/y", "file:///t/work/y"),
            ("café /work/", "café /t/work/"),
        ] {
            assert_eq!(mounts.localise(text), expected);
        }
    }

    #[test]
    fn tokens_are_renewed_in_time() {
        let now = Timestamp::UNIX_EPOCH;
        let after = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(pause(now, after(600)), Duration::from_secs(480));
        assert_eq!(pause(after(600), now), Duration::from_secs(1));
    }

    #[test]
    fn a_missing_key_is_named() {
        let items = [KeyToPath {
            key: "k".into(),
            path: "p".into(),
            mode: None,
        }];
        let error = select("Secret s", Some(Files::new()), Some(&items), false).unwrap_err();
        assert_eq!(error.to_string(), "not found: key k of Secret s");
        assert!(select("Secret s", None, None, true).unwrap().is_empty());
    }
}
