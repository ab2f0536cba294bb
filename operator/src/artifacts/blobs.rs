//! Immutable blobs by digest.
//!
//! Invariant: a blob is under its digest only once its bytes were compared with it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStoreExt, PutPayload, WriteMultipart};
use sha2::{Digest as _, Sha256};
use zkinfer_crds::Digest;
use zkinfer_crds::wire::BlobRef;

use super::{ArtifactError, Artifacts, Streamed};

/// Where blobs are, and where they are uploaded to.
const BLOBS: &str = "blobs/sha256";
const INCOMING: &str = "incoming";
/// A part of a file that comes as a stream: clouds take none that is smaller, but for the last.
const PART: usize = 5 << 20;
/// The same where the store is a folder.
const PART_OF_FOLDER: usize = 512 << 10;
/// A blob older than this is stored again when it is handed in again; far less than the time after which it is swept.
const OLD: Duration = Duration::from_secs(3600);

impl Artifacts {
    fn blob_path(digest: &Digest) -> Path {
        Path::from(format!("{BLOBS}/{}", digest.hex()))
    }

    /// Stores a blob under its digest. The same blob again is no work, unless it is old: then it is as if it were new,
    /// since what is old and not named yet may be swept.
    ///
    /// # Errors
    /// A failing store.
    pub async fn put_blob(&self, bytes: impl Into<Bytes>) -> Result<BlobRef, ArtifactError> {
        let bytes = bytes.into();
        let blob = BlobRef {
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
        };
        let path = Self::blob_path(&blob.digest);
        if !self.create(&path, bytes.clone()).await? && self.is_older(&path, OLD).await? {
            self.store.put(&path, PutPayload::from_bytes(bytes)).await?;
        }
        Ok(blob)
    }

    /// Objects of this namespace may name the blob from now on: it came from there.
    ///
    /// # Errors
    /// A failing store.
    pub async fn grant_blob(&self, digest: &Digest, namespace: &str) -> Result<(), ArtifactError> {
        let path = Self::blob_of(digest, namespace);
        self.create(&path, Bytes::new()).await.map(|_| ())
    }

    /// Whether objects of this namespace may name the blob.
    ///
    /// # Errors
    /// A failing store.
    pub async fn blob_is_of(&self, digest: &Digest, namespace: &str) -> Result<bool, ArtifactError> {
        self.is_there(&Self::blob_of(digest, namespace)).await
    }

    fn blob_of(digest: &Digest, namespace: &str) -> Path {
        Path::from_iter(["blobs-of", namespace, &digest.hex()])
    }

    /// A blob by its digest; `None` where it is not there. Its contents are compared when it is read.
    ///
    /// # Errors
    /// A failing store.
    pub async fn find_blob(&self, digest: &Digest) -> Result<Option<BlobRef>, ArtifactError> {
        match self.store.head(&Self::blob_path(digest)).await {
            Ok(meta) => Ok(Some(BlobRef {
                digest: *digest,
                size: meta.size,
            })),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(e) => Err(e.into()),
        }
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

    /// How much of a blob is held that is stored as it comes.
    #[must_use]
    pub const fn part_bytes(&self) -> usize {
        if self.root.is_some() { PART_OF_FOLDER } else { PART }
    }

    /// Stores a blob as it comes, of which never more is held than one part: the next is taken when the store has it. It is under its
    /// digest only once that was compared.
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
            "{INCOMING}/{}-{:016x}",
            digest.hex(),
            rand::random::<u64>()
        ));
        let upload = self.store.put_multipart(&incoming).await?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, self.part_bytes());
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
                // Copied: what a chunk is cut from may be much larger than the chunk, and stays as long as it does.
                upload.write(&chunk);
                upload.wait_for_capacity(1).await?;
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
    pub async fn stream_blob(&self, digest: &Digest, max: u64) -> Result<Streamed, ArtifactError> {
        self.stream(&Self::blob_path(digest), digest, max).await
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

    /// Whether another namespace than this one has handed the blob in, too.
    ///
    /// # Errors
    /// A failing store.
    pub async fn blob_is_of_another(&self, digest: &Digest, namespace: &str) -> Result<bool, ArtifactError> {
        let of = self
            .store
            .list_with_delimiter(Some(&Path::from("blobs-of")))
            .await?;
        let others = of.common_prefixes.iter().filter_map(Path::filename);
        for other in others.filter(|other| *other != namespace) {
            if self.blob_is_of(digest, other).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes a blob, and that objects of this namespace may name it.
    ///
    /// # Errors
    /// A failing store.
    pub async fn erase_blob(&self, digest: &Digest, namespace: &str) -> Result<(), ArtifactError> {
        self.remove(&Self::blob_path(digest)).await?;
        self.remove(&Self::blob_of(digest, namespace)).await
    }

    /// Removes a blob that nothing names any more, unless it was stored again within this time.
    ///
    /// # Errors
    /// A failing store.
    pub async fn remove_old_blob(&self, digest: &Digest, age: Duration) -> Result<(), ArtifactError> {
        let path = Self::blob_path(digest);
        if self.is_older(&path, age).await? {
            self.remove(&path).await?;
        }
        Ok(())
    }

    /// Removes what uploads and other writes left behind that were killed longer ago than this.
    ///
    /// # Errors
    /// A failing store.
    pub async fn remove_broken_uploads(&self, age: Duration) -> Result<(), ArtifactError> {
        let listed: Vec<_> = self.store.list(Some(&Path::from(INCOMING))).try_collect().await?;
        for meta in listed.iter().filter(|meta| is_older(meta, age)) {
            self.remove(&meta.location).await?;
        }
        let Some(root) = &self.root else { return Ok(()) };
        // In a folder, what is not whole yet has `#` in its name, and is not listed. Requests go with their folders.
        for folder in [
            INCOMING, BLOBS, "compiled", "crashes", "ledger", "models", "receipts", "segments",
        ] {
            for entry in std::fs::read_dir(root.join(folder))
                .into_iter()
                .flatten()
                .flatten()
            {
                if !entry.file_name().to_string_lossy().contains('#') {
                    continue;
                }
                let modified = entry.metadata().and_then(|m| m.modified());
                if modified.is_ok_and(|at| at.elapsed().is_ok_and(|since| since > age)) {
                    // Gone meanwhile, or looked at again.
                    let _ = std::fs::remove_file(entry.path());
                }
            }
        }
        Ok(())
    }

    async fn is_older(&self, path: &Path, age: Duration) -> Result<bool, ArtifactError> {
        match self.store.head(path).await {
            Ok(meta) => Ok(is_older(&meta, age)),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}

fn is_older(meta: &object_store::ObjectMeta, age: Duration) -> bool {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as i64);
    now - meta.last_modified.timestamp_millis() > age.as_millis() as i64
}
