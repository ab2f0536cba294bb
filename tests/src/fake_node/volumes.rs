//! What is in a volume: files from the API server, written as the kubelet writes them.

use std::{collections::BTreeMap, fs, path::Path};

use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, Secret, Volume, VolumeProjection,
};
use kube::{Api, Client};
use tokio::task::JoinSet;

use super::{Error, container::field, token::Renewal};

/// What filling a volume needs.
pub(super) struct Source<'a> {
    pub(super) client: &'a Client,
    pub(super) pod: &'a Pod,
    pub(super) namespace: &'a str,
}

impl Source<'_> {
    /// Fills a volume's folder.
    pub(super) async fn fill(
        &self,
        volume: &Volume,
        place: &Path,
        renewals: &mut JoinSet<()>,
    ) -> Result<(), Error> {
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
pub(super) fn write(file: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = || Error::io(file.display().to_string());
    fs::create_dir_all(file.parent().unwrap_or(file)).map_err(failed())?;
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = file.with_file_name(name);
    fs::write(&new, bytes).map_err(failed())?;
    fs::rename(&new, file).map_err(failed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_key_is_named() {
        let items = [KeyToPath {
            key: "k".into(),
            path: "p".into(),
            mode: None,
            user: None,
        }];
        let error = select("Secret s", Some(Files::new()), Some(&items), false).unwrap_err();
        assert_eq!(error.to_string(), "not found: key k of Secret s");
        assert!(select("Secret s", None, None, true).unwrap().is_empty());
    }
}
