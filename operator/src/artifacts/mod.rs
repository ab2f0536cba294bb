//! The artifact store: immutable blobs by digest, and write-once slots per request.
//!
//! Invariants: a blob is compared with its digest whenever it is read; a reader states the most that it will take
//! before a byte is read; a slot, once written, never changes.
//!
//! | path | holds |
//! |---|---|
//! | `blobs/sha256/<hex>` | models, manifests, graphs, keys, SRS, inputs |
//! | `requests/<uid>/claims/<slice>/<claim>` | what was granted, so that claims survive a restart |
//! | `requests/<uid>/proofs/<slice>/<claim>` | proof envelopes, as submitted |
//! | `compiled/<key>`, `models/<uid>` | what the compiler reported, by all that it depends on and by Model |
//! | `receipts/<hex>` | receipts |
//! | `receipts-of/<namespace>/<hex>` | an empty file: the receipt is of a request of this namespace |
//! | `incoming/…` | blobs that are being uploaded |
//! | `ledger/<claim>` | one entry per scored claim |

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, WriteMultipart,
};
use sha2::{Digest as _, Sha256};
use zkinfer_crds::wire::BlobRef;
use zkinfer_crds::{ClaimId, Digest, RequestUid, SliceIndex};

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

/// Under what name a compiler's report is kept.
#[derive(Debug, Clone, Copy)]
pub enum CompiledName<'a> {
    /// All that the result depends on.
    Key(&'a Digest),
    /// The uid of a Model.
    Model(&'a str),
}

impl CompiledName<'_> {
    fn path(self) -> Path {
        match self {
            Self::Key(key) => Path::from(format!("compiled/{}", key.hex())),
            Self::Model(uid) => Path::from(format!("models/{uid}")),
        }
    }
}

/// What became of a write-once slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOnce {
    /// It was empty; now it holds the bytes.
    Created,
    /// It held the same bytes.
    Same,
    /// It holds other bytes, which stay.
    Different,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Artifacts {
    store: Arc<dyn ObjectStore>,
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
        })
    }

    /// Memory, for tests.
    #[must_use]
    pub fn memory() -> Self {
        Self {
            store: Arc::new(InMemory::new()),
        }
    }

    fn blob_path(digest: &Digest) -> Path {
        Path::from(format!("blobs/sha256/{}", digest.hex()))
    }

    fn slot_path(uid: RequestUid, slice: SliceIndex, claim: ClaimId) -> Path {
        Path::from(format!("requests/{uid}/proofs/{slice}/{claim}"))
    }

    /// Stores a blob under its digest. The same blob again is no work.
    ///
    /// # Errors
    /// A failing store.
    pub async fn put_blob(&self, bytes: impl Into<Bytes>) -> Result<BlobRef, ArtifactError> {
        let bytes = bytes.into();
        let blob = BlobRef {
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
        };
        self.create(&Self::blob_path(&blob.digest), bytes).await?;
        Ok(blob)
    }

    /// Whether a blob of this size is there. Its contents are compared when it is read.
    ///
    /// # Errors
    /// A failing store.
    pub async fn has_blob(&self, blob: &BlobRef) -> Result<bool, ArtifactError> {
        match self.store.head(&Self::blob_path(&blob.digest)).await {
            Ok(meta) => Ok(meta.size == blob.size),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// Stores a blob as it comes, without ever holding all of it. It is under its digest only once that was compared.
    ///
    /// # Errors
    /// Other bytes than the digest names, more than `max`, a stream that breaks off, or a failing store; nothing stays.
    pub async fn put_blob_stream<E: std::fmt::Display>(
        &self,
        digest: &Digest,
        max: u64,
        mut stream: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<BlobRef, ArtifactError> {
        let incoming = Path::from(format!(
            "incoming/{}-{:016x}",
            digest.hex(),
            rand::random::<u64>()
        ));
        let mut upload = WriteMultipart::new(self.store.put_multipart(&incoming).await?);
        let (mut hash, mut size) = (Sha256::new(), 0);
        let taken = async {
            while let Some(chunk) = stream.next().await {
                let chunk = chunk.map_err(|e| ArtifactError::BrokenOff(e.to_string()))?;
                size += chunk.len() as u64;
                if size > max {
                    return Err(ArtifactError::TooLarge {
                        digest: *digest,
                        size,
                        max,
                    });
                }
                hash.update(&chunk);
                upload.put(chunk);
                upload.wait_for_capacity(READ_AT_ONCE).await?;
            }
            match Digest::new(hash.finalize().into()) {
                got if got == *digest => Ok(()),
                got => Err(ArtifactError::Damaged {
                    expected: *digest,
                    got,
                }),
            }
        };
        if let Err(e) = taken.await {
            upload.abort().await?;
            return Err(e);
        }
        upload.finish().await?;
        self.store.rename(&incoming, &Self::blob_path(digest)).await?;
        Ok(BlobRef {
            digest: *digest,
            size,
        })
    }

    /// A blob of at most `max` bytes as a stream, with its size. Nobody has compared it with its digest: the reader does.
    ///
    /// # Errors
    /// A blob that is absent or too large, or a failing store.
    pub async fn stream_blob(
        &self,
        digest: &Digest,
        max: u64,
    ) -> Result<(u64, BoxStream<'static, Result<Bytes, StoreError>>), ArtifactError> {
        let found = match self.store.get(&Self::blob_path(digest)).await {
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

    /// Reads a blob of at most `max` bytes.
    ///
    /// # Errors
    /// A blob that is absent, too large or damaged, or a failing store.
    pub async fn get_blob(&self, digest: &Digest, max: u64) -> Result<Bytes, ArtifactError> {
        let found = match self.store.get(&Self::blob_path(digest)).await {
            Err(StoreError::NotFound { .. }) => return Err(ArtifactError::NotFound(*digest)),
            found => found?,
        };
        if found.meta.size > max {
            return Err(ArtifactError::TooLarge {
                digest: *digest,
                size: found.meta.size,
                max,
            });
        }
        let bytes = found.bytes().await?;
        let got = Digest::of(&bytes);
        if got == *digest {
            Ok(bytes)
        } else {
            Err(ArtifactError::Damaged {
                expected: *digest,
                got,
            })
        }
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

    /// Writes a claim's proof.
    ///
    /// # Errors
    /// A failing store.
    pub async fn put_proof(
        &self,
        uid: RequestUid,
        slice: SliceIndex,
        claim: ClaimId,
        bytes: Bytes,
    ) -> Result<PutOnce, ArtifactError> {
        let path = Self::slot_path(uid, slice, claim);
        if self.create(&path, bytes.clone()).await? {
            return Ok(PutOnce::Created);
        }
        let there = self.store.get(&path).await?;
        let same = there.meta.size == bytes.len() as u64 && there.bytes().await? == bytes;
        Ok(if same { PutOnce::Same } else { PutOnce::Different })
    }

    /// Whether a claim has a proof.
    ///
    /// # Errors
    /// A failing store.
    pub async fn has_proof(
        &self,
        uid: RequestUid,
        slice: SliceIndex,
        claim: ClaimId,
    ) -> Result<bool, ArtifactError> {
        self.is_there(&Self::slot_path(uid, slice, claim)).await
    }

    /// A claim's proof and when it came, in Unix milliseconds.
    ///
    /// # Errors
    /// A failing store.
    pub async fn proof(
        &self,
        uid: RequestUid,
        slice: SliceIndex,
        claim: ClaimId,
    ) -> Result<Option<(Bytes, u64)>, ArtifactError> {
        let found = match self.store.get(&Self::slot_path(uid, slice, claim)).await {
            Err(StoreError::NotFound { .. }) => return Ok(None),
            found => found?,
        };
        let at = found.meta.last_modified.timestamp_millis().max(0) as u64;
        Ok(Some((found.bytes().await?, at)))
    }

    /// Keeps what was granted; before the worker is told.
    ///
    /// # Errors
    /// A failing store.
    pub async fn put_claim(
        &self,
        uid: RequestUid,
        slice: SliceIndex,
        claim: ClaimId,
        json: Vec<u8>,
    ) -> Result<(), ArtifactError> {
        let path = Path::from(format!("requests/{uid}/claims/{slice}/{claim}"));
        self.create(&path, json.into()).await.map(|_| ())
    }

    /// Everything that was granted for a request.
    ///
    /// # Errors
    /// A failing store.
    pub async fn claims(&self, uid: RequestUid) -> Result<Vec<Bytes>, ArtifactError> {
        self.read_all(&Path::from(format!("requests/{uid}/claims"))).await
    }

    /// The requests of which something is kept.
    ///
    /// # Errors
    /// A failing store.
    pub async fn requests(&self) -> Result<Vec<RequestUid>, ArtifactError> {
        let listed = self
            .store
            .list_with_delimiter(Some(&Path::from("requests")))
            .await?;
        let uid = |path: &Path| path.filename().and_then(|name| name.parse().ok());
        Ok(listed.common_prefixes.iter().filter_map(uid).collect())
    }

    /// Removes everything of a request but its receipt.
    ///
    /// # Errors
    /// A failing store.
    pub async fn delete_request(&self, uid: RequestUid) -> Result<(), ArtifactError> {
        let prefix = Path::from(format!("requests/{uid}"));
        let listed: Vec<_> = self.store.list(Some(&prefix)).try_collect().await?;
        for meta in listed {
            self.store.delete(&meta.location).await?;
        }
        Ok(())
    }

    /// Stores a receipt of a request of a namespace under its digest.
    ///
    /// # Errors
    /// A failing store.
    pub async fn put_receipt(&self, bytes: Bytes, namespace: &str) -> Result<Digest, ArtifactError> {
        let digest = Digest::of(&bytes);
        self.create(&Path::from(format!("receipts/{}", digest.hex())), bytes)
            .await?;
        self.create(&Self::receipt_of(&digest, namespace), Bytes::new())
            .await?;
        Ok(digest)
    }

    fn receipt_of(digest: &Digest, namespace: &str) -> Path {
        Path::from_iter(["receipts-of", namespace, &digest.hex()])
    }

    /// Whether a request of this namespace has ended with this receipt.
    ///
    /// # Errors
    /// A failing store.
    pub async fn receipt_is_of(&self, digest: &Digest, namespace: &str) -> Result<bool, ArtifactError> {
        self.is_there(&Self::receipt_of(digest, namespace)).await
    }

    async fn is_there(&self, path: &Path) -> Result<bool, ArtifactError> {
        match self.store.head(path).await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// Blobs that were stored longer ago than this.
    ///
    /// # Errors
    /// A failing store.
    pub async fn blobs_older_than(&self, age: Duration) -> Result<Vec<Digest>, ArtifactError> {
        let prefix = Path::from("blobs/sha256");
        let listed: Vec<_> = self.store.list(Some(&prefix)).try_collect().await?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_millis() as i64);
        let old = listed
            .iter()
            .filter(|meta| now - meta.last_modified.timestamp_millis() > age.as_millis() as i64);
        let digest =
            |meta: &object_store::ObjectMeta| format!("sha256:{}", meta.location.filename()?).parse().ok();
        Ok(old.filter_map(digest).collect())
    }

    /// Removes a blob that nothing names any more.
    ///
    /// # Errors
    /// A failing store.
    pub async fn remove_blob(&self, digest: &Digest) -> Result<(), ArtifactError> {
        self.remove(&Self::blob_path(digest)).await
    }

    /// Removes a compiler's report.
    ///
    /// # Errors
    /// A failing store.
    pub async fn remove_compiled(&self, name: CompiledName<'_>) -> Result<(), ArtifactError> {
        self.remove(&name.path()).await
    }

    async fn remove(&self, path: &Path) -> Result<(), ArtifactError> {
        match self.store.delete(path).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Writes a ledger entry; `false` when the claim has been scored before.
    ///
    /// # Errors
    /// A failing store.
    pub async fn create_ledger_entry(&self, claim: ClaimId, json: Vec<u8>) -> Result<bool, ArtifactError> {
        self.create(&Path::from(format!("ledger/{claim}")), json.into())
            .await
    }

    /// Reads a receipt.
    ///
    /// # Errors
    /// A receipt that is absent or damaged, or a failing store.
    pub async fn receipt(&self, digest: &Digest) -> Result<Bytes, ArtifactError> {
        let bytes = match self
            .read(&Path::from(format!("receipts/{}", digest.hex())))
            .await?
        {
            Some(bytes) => bytes,
            None => return Err(ArtifactError::NotFound(*digest)),
        };
        match Digest::of(&bytes) {
            got if got == *digest => Ok(bytes),
            got => Err(ArtifactError::Damaged {
                expected: *digest,
                got,
            }),
        }
    }

    /// Whether a claim has been scored.
    ///
    /// # Errors
    /// A failing store.
    pub async fn has_ledger_entry(&self, claim: ClaimId) -> Result<bool, ArtifactError> {
        self.is_there(&Path::from(format!("ledger/{claim}"))).await
    }

    /// Every ledger entry.
    ///
    /// # Errors
    /// A failing store.
    pub async fn ledger(&self) -> Result<Vec<Bytes>, ArtifactError> {
        self.read_all(&Path::from("ledger")).await
    }

    /// Keeps what the compiler reported under the key of all that it depends on, and what a Model was compiled to.
    ///
    /// # Errors
    /// A failing store.
    pub async fn put_compiled(&self, name: CompiledName<'_>, json: Vec<u8>) -> Result<(), ArtifactError> {
        self.store
            .put(&name.path(), PutPayload::from_bytes(json.into()))
            .await?;
        Ok(())
    }

    /// What [`Artifacts::put_compiled`] kept.
    ///
    /// # Errors
    /// A failing store.
    pub async fn compiled(&self, name: CompiledName<'_>) -> Result<Option<Bytes>, ArtifactError> {
        self.read(&name.path()).await
    }

    async fn read(&self, path: &Path) -> Result<Option<Bytes>, ArtifactError> {
        match self.store.get(path).await {
            Ok(found) => Ok(Some(found.bytes().await?)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Small files are read several at once: a store far away answers each in its own time.
    async fn read_all(&self, prefix: &Path) -> Result<Vec<Bytes>, ArtifactError> {
        let paths = self.store.list(Some(prefix)).map_ok(|meta| meta.location);
        let read = paths
            .map_err(ArtifactError::from)
            .map_ok(|path| async move { Ok(self.store.get(&path).await?.bytes().await?) });
        read.try_buffered(READ_AT_ONCE).try_collect().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stores() -> (tempfile::TempDir, [Artifacts; 2]) {
        let dir = tempfile::tempdir().unwrap();
        let file = Artifacts::file(&dir.path().join("store")).unwrap();
        (dir, [file, Artifacts::memory()])
    }

    #[tokio::test]
    async fn a_blob_is_read_back_by_digest_and_within_the_limit() {
        let (_dir, stores) = stores();
        for store in stores {
            let blob = store.put_blob(&b"hello"[..]).await.unwrap();
            assert_eq!(store.put_blob(&b"hello"[..]).await.unwrap(), blob);
            assert_eq!(store.get_blob(&blob.digest, 5).await.unwrap(), &b"hello"[..]);
            assert!(matches!(
                store.get_blob(&blob.digest, 4).await,
                Err(ArtifactError::TooLarge { size: 5, .. })
            ));
            let absent = Digest::of(b"absent");
            assert!(
                matches!(store.get_blob(&absent, 9).await, Err(ArtifactError::NotFound(d)) if d == absent)
            );
        }
    }

    #[tokio::test]
    async fn a_damaged_blob_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let store = Artifacts::file(dir.path()).unwrap();
        let blob = store.put_blob(&b"hello"[..]).await.unwrap();
        std::fs::write(dir.path().join("blobs/sha256").join(blob.digest.hex()), b"jello").unwrap();
        assert!(matches!(
            store.get_blob(&blob.digest, 9).await,
            Err(ArtifactError::Damaged { .. })
        ));
    }

    #[tokio::test]
    async fn a_slot_is_written_once() {
        let (_dir, stores) = stores();
        let (uid, claim) = (RequestUid::new([1; 16]), ClaimId::new([2; 16]));
        for store in stores {
            let put =
                |bytes: &'static [u8]| store.put_proof(uid, SliceIndex(3), claim, Bytes::from_static(bytes));
            assert_eq!(put(b"one").await.unwrap(), PutOnce::Created);
            assert_eq!(put(b"one").await.unwrap(), PutOnce::Same);
            assert_eq!(put(b"two").await.unwrap(), PutOnce::Different);
            assert!(store.has_proof(uid, SliceIndex(3), claim).await.unwrap());
            assert_eq!(store.requests().await.unwrap(), [uid]);
            store.delete_request(uid).await.unwrap();
            assert!(!store.has_proof(uid, SliceIndex(3), claim).await.unwrap());
            assert!(store.requests().await.unwrap().is_empty());
            assert!(store.create_ledger_entry(claim, b"{}".to_vec()).await.unwrap());
            assert!(!store.create_ledger_entry(claim, b"{}".to_vec()).await.unwrap());
        }
    }
}
