//! The objects of local mode: what an API server would hold, in memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rand::RngCore;
use rand::rngs::OsRng;
use zkinfer_crds::k8s::{
    CONSENT_CONFIG_MAP, Document, DocumentError, InferenceRequest, MinerPool, Model, ServedBy,
    parse_documents,
};
use zkinfer_crds::{Digest, RequestUid};

use crate::artifacts::ArtifactError;
use crate::clock::now;
use crate::consent::{Consent, Listing, Lists, decide};
use crate::dispatch::PoolId;
use crate::sources::AllowedUrl;
use crate::sources::NamespaceFiles;

/// The namespace of objects that name none.
pub const DEFAULT_NAMESPACE: &str = "default";
/// The namespace in which an operator is installed, unless somebody chose another.
const OPERATOR_NAMESPACE: &str = "zkinfer-system";

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

    /// As a pool's id.
    #[must_use]
    pub fn pool(&self) -> PoolId {
        PoolId::new(&self.namespace, &self.name)
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// All objects.
#[derive(Debug, Default)]
pub struct Objects {
    /// By key.
    pub models: BTreeMap<Key, Model>,
    /// By key.
    pub requests: BTreeMap<Key, InferenceRequest>,
    /// By key.
    pub pools: BTreeMap<Key, MinerPool>,
    /// By key.
    pub config_maps: BTreeMap<Key, ConfigMap>,
    /// The person's own files, where there is one model and one request: the ONNX file and the input.
    pub given: Option<(PathBuf, PathBuf)>,
}

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

    /// Adds an object, as the API server would on creation: with uid, generation and time.
    ///
    /// # Errors
    /// An object that is there already.
    pub fn add(&mut self, document: Document, file: &str) -> Result<(), ObjectError> {
        let twice = |kind, key: Key| ObjectError::Twice {
            file: file.to_owned(),
            kind,
            name: key.to_string(),
        };
        match document {
            Document::Model(mut o) => {
                let key = create(&mut o.metadata);
                self.models
                    .insert(key.clone(), *o)
                    .map_or(Ok(()), |_| Err(twice("Model", key)))
            }
            Document::InferenceRequest(mut o) => {
                let key = create(&mut o.metadata);
                self.requests
                    .insert(key.clone(), *o)
                    .map_or(Ok(()), |_| Err(twice("InferenceRequest", key)))
            }
            Document::MinerPool(mut o) => {
                let key = create(&mut o.metadata);
                o.metadata.uid = Some(pool_uid(&key).to_string());
                self.pools
                    .insert(key.clone(), *o)
                    .map_or(Ok(()), |_| Err(twice("MinerPool", key)))
            }
            Document::ConfigMap(mut o) => {
                let key = create(&mut o.metadata);
                self.config_maps
                    .insert(key.clone(), *o)
                    .map_or(Ok(()), |_| Err(twice("ConfigMap", key)))
            }
            Document::Ignored { kind, name, .. } => {
                tracing::debug!(%kind, %name, file, "not needed in local mode");
                Ok(())
            }
        }
    }
}

impl Objects {
    /// Who may serve a Model: whoever runs the pools says so, unless a list is among the files.
    #[must_use]
    pub fn consent(&self, model: &Key, served_by: Option<&[ServedBy]>) -> Consent {
        let list = |namespace: &str| {
            let key = Key {
                namespace: namespace.to_owned(),
                name: CONSENT_CONFIG_MAP.to_owned(),
            };
            self.config_maps.get(&key).map(Listing::of)
        };
        let (own, operator) = (list(&model.namespace), list(OPERATOR_NAMESPACE));
        let lists = Lists {
            own: own.as_ref(),
            operator_namespace: OPERATOR_NAMESPACE,
            operator: operator.as_ref(),
        };
        decide(&model.namespace, &model.name, served_by, &lists).or_of_the_runner()
    }
}

impl NamespaceFiles for Objects {
    fn config_map<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<ConfigMap>, String>> {
        let key = Key {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        std::future::ready(Ok(self.config_maps.get(&key).cloned())).boxed()
    }

    /// All that is here is one person's.
    fn may_name<'a>(
        &'a self,
        _namespace: &'a str,
        _digest: &'a Digest,
    ) -> BoxFuture<'a, Result<bool, ArtifactError>> {
        std::future::ready(Ok(true)).boxed()
    }

    /// Files of this machine are given as they are.
    fn addresses(&self) -> &[AllowedUrl] {
        &[]
    }
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

fn create(meta: &mut ObjectMeta) -> Key {
    meta.namespace.get_or_insert_with(|| DEFAULT_NAMESPACE.to_owned());
    meta.uid = Some(random_uid().to_string());
    meta.generation = Some(1);
    meta.creation_timestamp = Some(now());
    Key::of(meta)
}

/// The same for a pool in every run, so that a miner's signature over it holds in the next one.
fn pool_uid(key: &Key) -> RequestUid {
    let hash = Digest::of(format!("zkinfer/local-pool/v1\n{key}\n").as_bytes());
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&hash.as_bytes()[..16]);
    uuid(bytes, 8)
}

/// A UUID of this version.
fn uuid(mut bytes: [u8; 16], version: u8) -> RequestUid {
    bytes[6] = bytes[6] & 0x0f | version << 4;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    RequestUid::new(bytes)
}

/// A random UUID, version 4.
fn random_uid() -> RequestUid {
    let mut bytes = [0u8; 16];
    OsRng.fill_bytes(&mut bytes);
    uuid(bytes, 4)
}
