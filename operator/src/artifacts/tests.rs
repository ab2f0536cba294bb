//! Every store behaves the same.

use bytes::Bytes;
use zkinfer_crds::{ClaimId, Digest, RequestUid, SliceIndex};

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
        assert!(matches!(store.get_blob(&absent, 9).await, Err(ArtifactError::NotFound(d)) if d == absent));
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

#[tokio::test]
async fn a_namespace_names_what_came_from_it() {
    let (_dir, stores) = stores();
    for store in stores {
        let blob = store.put_blob(&b"model"[..]).await.unwrap();
        assert!(!store.blob_is_of(&blob.digest, "one").await.unwrap());
        store.grant_blob(&blob.digest, "one").await.unwrap();
        assert!(store.blob_is_of(&blob.digest, "one").await.unwrap());
        assert!(!store.blob_is_of(&blob.digest, "two").await.unwrap());
    }
}
