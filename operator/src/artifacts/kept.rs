//! What is kept long after it was made, by age and size, for whoever decides how long that is.
//!
//! Invariant: a listing holds nothing of an object but its digest, age and size, so that a store of a million objects is listed in
//! little memory.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::TryStreamExt;
use object_store::path::Path;
use zkinfer_crds::Digest;

use super::{ArtifactError, Artifacts};

/// An object of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Of its contents.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    /// Since it was written.
    pub age: Duration,
}

impl Artifacts {
    /// All blobs.
    ///
    /// # Errors
    /// A failing store.
    pub async fn stored_blobs(&self) -> Result<Vec<Stored>, ArtifactError> {
        self.stored("blobs/sha256").await
    }

    /// All receipts.
    ///
    /// # Errors
    /// A failing store.
    pub async fn stored_receipts(&self) -> Result<Vec<Stored>, ArtifactError> {
        self.stored("receipts").await
    }

    async fn stored(&self, folder: &str) -> Result<Vec<Stored>, ArtifactError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let prefix = Path::from(folder);
        let mut all = Vec::new();
        let mut listed = self.store.list(Some(&prefix));
        while let Some(meta) = listed.try_next().await? {
            let named = meta.location.filename();
            let digest = named.and_then(|name| format!("sha256:{name}").parse().ok());
            let written = u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or_default();
            all.extend(digest.map(|digest| Stored {
                digest,
                size: meta.size,
                age: now.saturating_sub(Duration::from_millis(written)),
            }));
        }
        Ok(all)
    }

    /// Which files were handed in for which namespace, whether they are there or not.
    ///
    /// # Errors
    /// A failing store.
    pub async fn blobs_of_namespaces(&self) -> Result<Vec<(String, Digest)>, ArtifactError> {
        self.of_namespaces("blobs-of").await
    }

    /// Which receipts are of requests of which namespace, whether they are there or not.
    ///
    /// # Errors
    /// A failing store.
    pub async fn receipts_of_namespaces(&self) -> Result<Vec<(String, Digest)>, ArtifactError> {
        self.of_namespaces("receipts-of").await
    }

    async fn of_namespaces(&self, folder: &str) -> Result<Vec<(String, Digest)>, ArtifactError> {
        let prefix = Path::from(folder);
        let mut all = Vec::new();
        let mut listed = self.store.list(Some(&prefix));
        while let Some(meta) = listed.try_next().await? {
            let parts: Vec<_> = meta.location.parts().collect();
            if let [_, namespace, hex] = parts.as_slice()
                && let Ok(digest) = format!("sha256:{}", hex.as_ref()).parse()
            {
                all.push((namespace.as_ref().to_owned(), digest));
            }
        }
        Ok(all)
    }

    /// Removes a receipt, and that it was of any namespace.
    ///
    /// # Errors
    /// A failing store.
    pub async fn remove_receipt(&self, digest: &Digest) -> Result<(), ArtifactError> {
        self.remove(&Path::from(format!("receipts/{}", digest.hex())))
            .await?;
        let of = self
            .store
            .list_with_delimiter(Some(&Path::from("receipts-of")))
            .await?;
        for namespace in of.common_prefixes.iter().filter_map(Path::filename) {
            let path = Path::from_iter(["receipts-of", namespace, &digest.hex()]);
            self.remove(&path).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn blobs_and_receipts_are_listed_with_their_sizes_and_a_removed_receipt_is_nobodys() {
        let store = Artifacts::memory();
        let blob = store.put_blob(vec![1; 7]).await.unwrap();
        let receipt = store.put_receipt(vec![2; 9].into(), "home").await.unwrap();
        let of = |all: Vec<Stored>| all.into_iter().map(|s| (s.digest, s.size)).collect::<Vec<_>>();
        assert_eq!(of(store.stored_blobs().await.unwrap()), [(blob.digest, 7)]);
        assert_eq!(of(store.stored_receipts().await.unwrap()), [(receipt, 9)]);
        store.grant_blob(&blob.digest, "home").await.unwrap();
        let of_home = |digest| vec![("home".to_owned(), digest)];
        assert_eq!(store.blobs_of_namespaces().await.unwrap(), of_home(blob.digest));
        assert_eq!(store.receipts_of_namespaces().await.unwrap(), of_home(receipt));
        store.remove_receipt(&receipt).await.unwrap();
        assert!(store.stored_receipts().await.unwrap().is_empty());
        assert!(!store.receipt_is_of(&receipt, "home").await.unwrap());
        store.remove_receipt(&receipt).await.unwrap();
    }
}
