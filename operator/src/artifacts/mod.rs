//! The artifact store: immutable blobs by digest, and write-once slots per request.
//!
//! Invariants: a blob is compared with its digest whenever it is read; a reader states the most that it will take
//! before a byte is read; a slot, once written, never changes.
//!
//! | path | holds |
//! |---|---|
//! | `blobs/sha256/<hex>` | models, manifests, graphs, keys, SRS, inputs |
//! | `requests/<uid>/proofs/<slice>/<claim>` | proof envelopes, as submitted |
//! | `receipts/<hex>` | receipts |
//! | `ledger/<claim>` | one entry per scored claim |

use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
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
    /// The store failed; trying again may help.
    #[error("artifact store: {0}")]
    Store(#[from] StoreError),
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
            store: Arc::new(LocalFileSystem::new_with_prefix(root)?),
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

    /// Claims that have a proof, by slice.
    ///
    /// # Errors
    /// A failing store.
    pub async fn proofs(&self, uid: RequestUid) -> Result<Vec<(SliceIndex, ClaimId)>, ArtifactError> {
        let prefix = Path::from(format!("requests/{uid}/proofs"));
        let listed: Vec<_> = self.store.list(Some(&prefix)).try_collect().await?;
        let parse = |path: &Path| {
            let mut parts = path.parts().skip(3);
            let slice = parts.next()?.as_ref().parse().ok()?;
            Some((SliceIndex(slice), parts.next()?.as_ref().parse().ok()?))
        };
        Ok(listed.iter().filter_map(|meta| parse(&meta.location)).collect())
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

    /// Stores a receipt under its digest.
    ///
    /// # Errors
    /// A failing store.
    pub async fn put_receipt(&self, bytes: Bytes) -> Result<Digest, ArtifactError> {
        let digest = Digest::of(&bytes);
        self.create(&Path::from(format!("receipts/{}", digest.hex())), bytes)
            .await?;
        Ok(digest)
    }

    /// Writes a ledger entry; `false` when the claim has been scored before.
    ///
    /// # Errors
    /// A failing store.
    pub async fn create_ledger_entry(&self, claim: ClaimId, json: Vec<u8>) -> Result<bool, ArtifactError> {
        self.create(&Path::from(format!("ledger/{claim}")), json.into())
            .await
    }

    /// Every ledger entry.
    ///
    /// # Errors
    /// A failing store.
    pub async fn ledger(&self) -> Result<Vec<Bytes>, ArtifactError> {
        let listed: Vec<_> = self.store.list(Some(&Path::from("ledger"))).try_collect().await?;
        let mut entries = Vec::new();
        for meta in listed {
            entries.push(self.store.get(&meta.location).await?.bytes().await?);
        }
        Ok(entries)
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
            assert_eq!(store.proofs(uid).await.unwrap(), [(SliceIndex(3), claim)]);
            store.delete_request(uid).await.unwrap();
            assert!(store.proofs(uid).await.unwrap().is_empty());
            assert!(store.create_ledger_entry(claim, b"{}".to_vec()).await.unwrap());
            assert!(!store.create_ledger_entry(claim, b"{}".to_vec()).await.unwrap());
        }
    }
}
