//! The objects of local mode, as they are read from files, and as they are in the store at the end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use zkinfer_crds::k8s::{self, CONSENT_CONFIG_MAP, Document, DocumentError, MinerPool, parse_documents};

use super::api::{Kind, Store};
use super::names::{DEFAULT_NAMESPACE, OPERATOR_NAMESPACE, pool_uid};
use crate::consent::{Installation, Listing, Lists, decide};

/// Why objects cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// A path cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A folder without YAML.
    #[error("{} holds no .yaml, .yml or .json file", .0.display())]
    Empty(PathBuf),
    /// A document that the API server would refuse.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// Two objects of one kind, namespace and name.
    #[error("{file}: {kind} {name} is there twice")]
    Twice {
        /// The second one's file.
        file: String,
        /// Its kind.
        kind: &'static str,
        /// Namespace and name.
        name: String,
    },
    /// An object that is not admitted.
    #[error("{name}: {why}")]
    Refused {
        /// Namespace and name.
        name: String,
        /// Why.
        why: String,
    },
}

/// `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Key {
    /// The key of an object.
    #[must_use]
    pub fn of(meta: &ObjectMeta) -> Self {
        Self {
            namespace: meta
                .namespace
                .clone()
                .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
            name: meta.name.clone().unwrap_or_default(),
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

macro_rules! objects {
    ($($(#[$doc:meta])* $kind:ident($file:ident, $one:ident, $all:ident),)*) => {
        /// All objects.
        #[derive(Debug, Default)]
        pub struct Objects {
            $(
                #[doc = concat!("Of the kind ", stringify!($kind), ", by key.")]
                pub $all: BTreeMap<Key, k8s::$kind>,
            )*
            /// By key.
            pub config_maps: BTreeMap<Key, ConfigMap>,
            /// The person's own files, where there is one model and one request: the ONNX file and the inputs.
            pub given: Option<(PathBuf, Vec<PathBuf>)>,
        }

        impl Objects {
            /// Adds an object.
            ///
            /// # Errors
            /// An object that is there already.
            pub fn add(&mut self, document: Document, file: &str) -> Result<(), ObjectError> {
                match document {
                    $(Document::$kind(object) => add(&mut self.$all, stringify!($kind), *object, file),)*
                    Document::ConfigMap(object) => add(&mut self.config_maps, "ConfigMap", *object, file),
                    Document::Ignored { kind, name, .. } => {
                        tracing::debug!(%kind, %name, file, "not needed in local mode");
                        Ok(())
                    }
                }
            }

            /// All that are in the store.
            pub(super) fn of(store: &Store, given: Option<(PathBuf, Vec<PathBuf>)>) -> Self {
                Self {
                    $($all: keyed(store, Kind::$kind),)*
                    config_maps: keyed(store, Kind::ConfigMap),
                    given,
                }
            }

            /// Makes them in the store, what others refer to first; a pool is the same in every run.
            ///
            /// # Errors
            /// An object that is not admitted.
            pub(super) fn put(&self, store: &Store) -> Result<(), ObjectError> {
                for (key, object) in &self.config_maps {
                    put(store, Kind::ConfigMap, key, object)?;
                }
                $(
                    for (key, object) in &self.$all {
                        put(store, Kind::$kind, key, object)?;
                    }
                )*
                Ok(())
            }

            /// Those of our kinds, whole: requests last.
            pub(super) fn values(&self) -> Vec<Value> {
                let mut all = Vec::new();
                $(all.extend(self.$all.values().map(|object| (Kind::$kind, serde_json::to_value(object))));)*
                all.sort_by_key(|(kind, _)| *kind == Kind::InferenceRequest);
                all.into_iter().filter_map(|(_, value)| value.ok()).collect()
            }
        }
    };
}

zkinfer_crds::kinds!(objects);

impl Objects {
    /// Reads files, and the YAML files of folders in the order of their names.
    ///
    /// # Errors
    /// The first file or document that cannot be taken.
    pub fn read(paths: &[PathBuf]) -> Result<Self, ObjectError> {
        let mut objects = Self::default();
        for path in paths {
            for file in files(path)? {
                let yaml = std::fs::read_to_string(&file).map_err(|source| ObjectError::Read {
                    path: file.clone(),
                    source,
                })?;
                let name = file.display().to_string();
                for document in parse_documents(&yaml, &name)? {
                    objects.add(document, &name)?;
                }
            }
        }
        Ok(objects)
    }

    /// The list of the Validator that will rule: the first by name of the operator's namespace, since all are made at once.
    fn installation(&self) -> Option<Installation> {
        let of = |(key, _): &(&Key, &k8s::Validator)| key.namespace == OPERATOR_NAMESPACE;
        let (key, validator) = self.validators.iter().find(of)?;
        let list = validator.spec.consent.clone()?;
        let at = format!("spec.consent of Validator {key}");
        Some(Installation { at, list })
    }

    /// Whether pools of other namespaces may serve a Model only because one person runs all of it here.
    pub(super) fn are_consented_to_by_the_runner(&self) -> bool {
        let list = |namespace: &str| {
            let key = Key {
                namespace: namespace.to_owned(),
                name: CONSENT_CONFIG_MAP.to_owned(),
            };
            self.config_maps.get(&key).map(Listing::of)
        };
        let installation = self.installation();
        self.models.iter().any(|(key, model)| {
            let own = list(&key.namespace);
            let lists = Lists {
                own: own.as_ref(),
                installation: installation.as_ref(),
            };
            let served_by = model.spec.served_by.as_deref();
            let consent = decide(&key.namespace, &key.name, served_by, &lists).or_of_the_runner();
            let elsewhere = |(pool, object): (&Key, &MinerPool)| {
                pool.namespace != key.namespace && object.spec.serves(&pool.namespace, &key.namespace)
            };
            consent.is_of_the_runner() && self.pools.iter().any(elsewhere)
        })
    }
}

fn add<K: Resource>(
    to: &mut BTreeMap<Key, K>,
    kind: &'static str,
    mut object: K,
    file: &str,
) -> Result<(), ObjectError> {
    let key = key(object.meta_mut());
    match to.insert(key.clone(), object) {
        None => Ok(()),
        Some(_) => Err(ObjectError::Twice {
            file: file.to_owned(),
            kind,
            name: key.to_string(),
        }),
    }
}

fn keyed<K: Resource + DeserializeOwned>(store: &Store, kind: Kind) -> BTreeMap<Key, K> {
    let all = store.all::<K>(kind).into_iter();
    all.map(|o| (Key::of(o.meta()), o)).collect()
}

fn put<K: Serialize>(store: &Store, kind: Kind, key: &Key, object: &K) -> Result<(), ObjectError> {
    let refused = |why: String| ObjectError::Refused {
        name: key.to_string(),
        why,
    };
    let mut object = serde_json::to_value(object).map_err(|e| refused(e.to_string()))?;
    if kind == Kind::MinerPool {
        let uid = pool_uid(&key.namespace, &key.name);
        object["metadata"]["uid"] = serde_json::json!(uid);
    }
    let made = store.create(kind, &key.namespace, object);
    made.map(drop).map_err(|e| refused(e.to_string()))
}

fn files(path: &Path) -> Result<Vec<PathBuf>, ObjectError> {
    let bad = |source| ObjectError::Read {
        path: path.to_owned(),
        source,
    };
    if !std::fs::metadata(path).map_err(bad)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path)
        .map_err(bad)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(bad)?;
    let yaml = |p: &PathBuf| {
        p.extension()
            .is_some_and(|e| e == "yaml" || e == "yml" || e == "json")
    };
    let mut files: Vec<_> = entries
        .into_iter()
        .map(|e| e.path())
        .filter(|p| p.is_file() && yaml(p))
        .collect();
    files.sort();
    if files.is_empty() {
        Err(ObjectError::Empty(path.to_owned()))
    } else {
        Ok(files)
    }
}

fn key(meta: &mut ObjectMeta) -> Key {
    meta.namespace.get_or_insert_with(|| DEFAULT_NAMESPACE.to_owned());
    Key::of(meta)
}
