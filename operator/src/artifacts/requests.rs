//! What is kept while a request lives: claims, and proofs in write-once slots. There is no folder for each slice,
//! which would have to be made and removed.

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStoreExt};
use zkinfer_crds::wire::BlobRef;
use zkinfer_crds::{ClaimId, Digest, RequestUid, SliceIndex, encode};

use super::{ArtifactError, Artifacts};

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

impl Artifacts {
    fn slot_path(uid: RequestUid, slice: SliceIndex, claim: ClaimId) -> Path {
        Path::from(format!("requests/{uid}/proofs/{slice}-{claim}"))
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
        let path = Path::from(format!("requests/{uid}/claims/{slice}-{claim}"));
        self.create(&path, json.into()).await.map(|_| ())
    }

    /// The network id of a request: the one that was given for it first, whatever it is now.
    ///
    /// # Errors
    /// A failing store.
    pub async fn network_of(&self, uid: RequestUid, now: &str) -> Result<String, ArtifactError> {
        let path = Path::from(format!("requests/{uid}/network"));
        if self.create(&path, now.to_owned().into()).await? {
            return Ok(now.to_owned());
        }
        let there = self.store.get(&path).await?.bytes().await?;
        Ok(String::from_utf8_lossy(&there).into_owned())
    }

    /// Keeps which blobs are inputs of a request's slices.
    ///
    /// # Errors
    /// A failing store.
    pub async fn put_inputs_of(&self, uid: RequestUid, inputs: &[BlobRef]) -> Result<(), ArtifactError> {
        let digests: Vec<Digest> = inputs.iter().map(|blob| blob.digest).collect();
        let path = Path::from(format!("requests/{uid}/inputs"));
        self.create(&path, encode(&digests).into()).await.map(|_| ())
    }

    /// Which blobs are inputs of a request's slices; none where it never began.
    ///
    /// # Errors
    /// A failing store, or a list that is none.
    pub async fn inputs_of(&self, uid: RequestUid) -> Result<Vec<Digest>, ArtifactError> {
        let path = Path::from(format!("requests/{uid}/inputs"));
        let Some(list) = self.read(&path).await? else {
            return Ok(Vec::new());
        };
        serde_json::from_slice(&list).map_err(|e| {
            let error = StoreError::Generic {
                store: "artifact store",
                source: format!("{path}: {e}").into(),
            };
            error.into()
        })
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
        if let Some(root) = &self.root {
            // What a killed write left behind is in no listing, and would keep the folder.
            let _ = std::fs::remove_dir_all(root.join(prefix.as_ref()));
        }
        Ok(())
    }
}
