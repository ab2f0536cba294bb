//! The artifact store: immutable blobs by digest, and write-once slots per request.
//!
//! Invariants: a blob is compared with its digest whenever it is read; a reader states the most that it will take
//! before a byte is read; a slot, once written, never changes.
//!
//! | path | holds |
//! |---|---|
//! | `blobs/sha256/<hex>` | models, manifests, graphs, keys, SRS, inputs |
//! | `blobs-of/<namespace>/<hex>` | an empty file: objects of this namespace may name the blob |
//! | `requests/<uid>/claims/<slice>-<claim>` | what was granted, so that claims survive a restart |
//! | `requests/<uid>/proofs/<slice>-<claim>` | proof envelopes, as submitted |
//! | `requests/<uid>/inputs` | the digests of its slices' inputs, so that they can be erased with it |
//! | `requests/<uid>/network` | the network id in its statements, whatever it is now |
//! | `compiled/<key>`, `models/<uid>` | what the compiler reported, by all that it depends on and by Model |
//! | `crashes/<uid>` | how the compiler of a Model ended that has reported nothing, so that it is not started for ever |
//! | `receipts/<hex>` | receipts |
//! | `receipts-of/<namespace>/<hex>` | an empty file: the receipt is of a request of this namespace |
//! | `incoming/…` | blobs that are being uploaded |
//! | `ledger/<claim>` | one entry per scored claim, until a checkpoint has counted it and nothing is left of its request |
//! | `segments/<number>`, `segments/head` | the same entries in segments that the validator has signed, and where they end |
//! | `segments/checkpoint` | what stands for all segments up to one, signed: from there on the ledger is read at the start |
//! | `weights/<hex>`, `weights/last` | weights files that the validator has signed, and which has left last |
//! | `installation` | the class of the operator whose store it is |

mod blobs;
mod kept;
mod requests;
mod results;

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use zkinfer_crds::Digest;

pub use kept::Stored;
pub use requests::PutOnce;
pub use results::{CompiledName, CompiledRecord, Kept, StoredSegment};

/// Why an artifact could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// There is no such blob.
    #[error("there is no artifact {0}")]
    NotFound(Digest),
    /// The blob is larger than the reader takes.
    #[error("artifact {digest} has {size} bytes, at most {max} are read")]
    TooLarge {
        /// The blob.
        digest: Digest,
        /// Its size.
        size: u64,
        /// The reader's limit.
        max: u64,
    },
    /// The bytes under a digest are others.
    #[error("artifact {expected} is damaged: its digest is {got}")]
    Damaged {
        /// The name.
        expected: Digest,
        /// What is there.
        got: Digest,
    },
    /// The bytes stopped coming.
    #[error("the upload broke off: {0}")]
    BrokenOff(String),
    /// The store failed; trying again may help.
    #[error("artifact store: {0}")]
    Store(#[from] StoreError),
}

/// Small files that are read at once.
const READ_AT_ONCE: usize = 16;

/// The size of something in the store, and its bytes as they come.
pub type Streamed = (u64, BoxStream<'static, Result<Bytes, StoreError>>);

/// See the module.
#[derive(Debug, Clone)]
pub struct Artifacts {
    store: Arc<dyn ObjectStore>,
    /// Where the store is a folder: what a killed upload leaves there is in no listing.
    root: Option<PathBuf>,
}

impl Artifacts {
    /// A folder, made if need be.
    ///
    /// # Errors
    /// A folder that cannot be made.
    pub fn file(root: &FilePath) -> Result<Self, ArtifactError> {
        let generic = |e| StoreError::Generic {
            store: "LocalFileSystem",
            source: Box::new(e),
        };
        std::fs::create_dir_all(root).map_err(generic)?;
        Ok(Self {
            // Folders that hold nothing any more would be listed as requests.
            store: Arc::new(LocalFileSystem::new_with_prefix(root)?.with_automatic_cleanup(true)),
            root: Some(root.to_owned()),
        })
    }

    /// A store by URL: `file:///path`, `s3://bucket/prefix`, `gs://…`, `az://…`; credentials and settings come from the
    /// environment, under the names that the clouds' own tools use (`AWS_…`, `GOOGLE_…`, `AZURE_…`).
    ///
    /// # Errors
    /// A URL of no known store, or settings that it does not take.
    pub fn url(url: &str) -> Result<Self, ArtifactError> {
        let invalid = |e: &dyn std::fmt::Display| StoreError::Generic {
            store: "artifact store",
            source: format!("{url}: {e}").into(),
        };
        let parsed: reqwest::Url = url.parse().map_err(|e| invalid(&e))?;
        if parsed.scheme() == "file" {
            let path = parsed
                .to_file_path()
                .map_err(|()| invalid(&"not an absolute path"))?;
            return Self::file(&path);
        }
        let (store, prefix) = object_store::parse_url_opts(
            &parsed,
            std::env::vars().map(|(k, v)| (k.to_ascii_lowercase(), v)),
        )?;
        Ok(Self {
            store: Arc::new(PrefixStore::new(store, prefix)),
            root: None,
        })
    }

    /// Memory, for tests.
    #[must_use]
    pub fn memory() -> Self {
        Self {
            store: Arc::new(InMemory::new()),
            root: None,
        }
    }

    /// Memory that takes this long to write anything.
    #[cfg(test)]
    pub(crate) fn slow(write: std::time::Duration) -> Self {
        let config = object_store::throttle::ThrottleConfig {
            wait_put_per_call: write,
            ..Default::default()
        };
        Self {
            store: Arc::new(object_store::throttle::ThrottledStore::new(
                InMemory::new(),
                config,
            )),
            root: None,
        }
    }

    /// Whether it takes and gives a few kilobytes now.
    ///
    /// # Errors
    /// A store that fails, is full, or gives something else than it was given.
    pub async fn try_it(&self) -> Result<(), ArtifactError> {
        let path = Path::from("health/probe");
        let given = Bytes::from(rand::random::<[u8; 32]>().repeat(128));
        self.store
            .put(&path, PutPayload::from_bytes(given.clone()))
            .await?;
        match self.read(&path).await? {
            Some(got) if got == given => Ok(()),
            // Another operator, or a folder that is another by now.
            _ => Err(StoreError::Generic {
                store: "artifact store",
                source: "what was written a moment ago is not there".into(),
            }
            .into()),
        }
    }

    /// The store is from now on, if it was not before, that of the operator of this class; the other class, where it is another's.
    /// Two in one store would each remove what is the other's as belonging to nobody.
    ///
    /// # Errors
    /// A failing store.
    pub async fn of_another(&self, class: &str) -> Result<Option<String>, ArtifactError> {
        let path = Path::from("installation");
        // Read first: of a store that is full this is all that can be done, and enough.
        let mut there = self.read(&path).await?;
        if there.is_none() {
            let own = Bytes::copy_from_slice(class.as_bytes());
            if self.create(&path, own).await? {
                return Ok(None);
            }
            // Somebody was quicker.
            there = self.read(&path).await?;
        }
        let other = there.filter(|there| there != class.as_bytes());
        Ok(other.map(|other| String::from_utf8_lossy(&other).into_owned()))
    }

    /// Writes a slot that was empty; `false` when it was not.
    async fn create(&self, path: &Path, bytes: Bytes) -> Result<bool, ArtifactError> {
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        match self
            .store
            .put_opts(path, PutPayload::from_bytes(bytes), options)
            .await
        {
            Ok(_) => Ok(true),
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    async fn is_there(&self, path: &Path) -> Result<bool, ArtifactError> {
        match self.store.head(path).await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    async fn remove(&self, path: &Path) -> Result<(), ArtifactError> {
        match self.store.delete(path).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    async fn read(&self, path: &Path) -> Result<Option<Bytes>, ArtifactError> {
        match self.store.get(path).await {
            Ok(found) => Ok(Some(found.bytes().await?)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// What is kept under a digest, as it comes from the store: of at most `max` bytes.
    async fn stream(&self, path: &Path, digest: &Digest, max: u64) -> Result<Streamed, ArtifactError> {
        let found = match self.store.get(path).await {
            Err(StoreError::NotFound { .. }) => return Err(ArtifactError::NotFound(*digest)),
            found => found?,
        };
        let size = found.meta.size;
        if size > max {
            return Err(ArtifactError::TooLarge {
                digest: *digest,
                size,
                max,
            });
        }
        Ok((size, found.into_stream()))
    }

    /// Small files are read several at once: a store far away answers each in its own time.
    async fn read_all(&self, prefix: &Path) -> Result<Vec<Bytes>, ArtifactError> {
        self.read_those(prefix, |_| true).await
    }

    /// The same of those alone that are wanted.
    async fn read_those(
        &self,
        prefix: &Path,
        wanted: impl Fn(&Path) -> bool + Send,
    ) -> Result<Vec<Bytes>, ArtifactError> {
        let paths = self.store.list(Some(prefix)).map_ok(|meta| meta.location);
        let paths = paths.try_filter(|path| std::future::ready(wanted(path)));
        let read = paths
            .map_err(ArtifactError::from)
            .map_ok(|path| async move { Ok(self.store.get(&path).await?.bytes().await?) });
        read.try_buffered(READ_AT_ONCE).try_collect().await
    }
}

#[cfg(test)]
mod tests;
