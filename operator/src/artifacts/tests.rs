//! Every store behaves the same.

use std::time::Duration;

use bytes::Bytes;
use zkinfer_crds::compile_report::{CompileFailure, CompileOutcome, FailureKind};
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
async fn a_store_is_of_one_class_and_another_is_told_of_which() {
    let (_dir, stores) = stores();
    for store in stores {
        for (class, other) in [
            ("zkinfer", None),
            ("zkinfer", None),
            ("blue", Some("zkinfer")),
            ("zkinfer", None),
        ] {
            assert_eq!(
                store.of_another(class).await.unwrap().as_deref(),
                other,
                "{class}"
            );
        }
    }
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

/// Makes a file look as if it had been written so many hours ago.
fn age(path: &FilePath, hours: u64) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let at = std::time::SystemTime::now() - Duration::from_secs(hours * 3600);
    file.set_modified(at).unwrap();
}

#[tokio::test]
async fn a_request_keeps_the_network_with_which_it_was_begun_until_it_is_gone() {
    let store = Artifacts::memory();
    let uid: zkinfer_crds::RequestUid = "00000000-0000-4000-8000-000000000001".parse().unwrap();
    assert_eq!(store.network_of(uid, "first").await.unwrap(), "first");
    assert_eq!(store.network_of(uid, "second").await.unwrap(), "first");
    store.delete_request(uid).await.unwrap();
    assert_eq!(store.network_of(uid, "second").await.unwrap(), "second");
}

#[tokio::test]
async fn a_blob_that_is_handed_in_again_is_not_swept_as_an_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = Artifacts::file(dir.path()).unwrap();
    let day = Duration::from_secs(24 * 3600);
    for again in [false, true] {
        let blob = store.put_blob(&b"key"[..]).await.unwrap();
        age(&dir.path().join("blobs/sha256").join(blob.digest.hex()), 48);
        assert!(store.stored_blobs().await.unwrap()[0].age > day);
        if again {
            store.put_blob(&b"key"[..]).await.unwrap();
            assert!(store.stored_blobs().await.unwrap()[0].age < day);
        }
        // The sweep may have made its list before.
        store.remove_old_blob(&blob.digest, day).await.unwrap();
        assert_eq!(store.has_blob(&blob).await.unwrap(), again);
    }
}

#[tokio::test]
async fn what_killed_uploads_left_behind_goes_and_what_is_coming_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = Artifacts::file(dir.path()).unwrap();
    let file = |name: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, b"half").unwrap();
        path
    };
    // Killed before the last byte, and between the last byte and the name.
    let left = [
        file("incoming/one-1#1"),
        file("incoming/two-2"),
        file("blobs/sha256/three#1"),
        file("ledger/seven#1"),
    ];
    left.iter().for_each(|path| age(path, 3));
    let coming = [
        file("incoming/four-4#1"),
        file("incoming/five-5"),
        file("blobs/sha256/six#1"),
    ];
    store
        .remove_broken_uploads(Duration::from_secs(2 * 3600))
        .await
        .unwrap();
    assert!(left.iter().all(|path| !path.exists()), "{left:?}");
    assert!(coming.iter().all(|path| path.exists()), "{coming:?}");
    // A request's go with it, whatever their age.
    let uid = RequestUid::new([1; 16]);
    let half = file(&format!("requests/{uid}/claims/0-eight#1"));
    store.delete_request(uid).await.unwrap();
    assert!(!half.exists());
    assert!(store.requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_kept_of_a_model_is_listed_and_removed_by_its_uid() {
    let (_dir, stores) = stores();
    for store in stores {
        for name in [CompiledName::Model("one"), CompiledName::Crash("two")] {
            store.put_compiled(name, b"{}".to_vec()).await.unwrap();
        }
        let uids = |uids: &[&str]| uids.iter().map(|u| (*u).to_owned()).collect();
        assert_eq!(store.models().await.unwrap(), uids(&["one", "two"]));
        store.delete_model("one").await.unwrap();
        assert_eq!(store.models().await.unwrap(), uids(&["two"]));
    }
}

#[test]
fn what_another_version_kept_of_a_model_still_names_the_files_that_it_was_made_from() {
    let (onnx, calibration) = (Digest::of(b"onnx"), Digest::of(b"calibration"));
    let old = |json: String, calibration| {
        assert_eq!(
            Kept::read(json.as_bytes()),
            Kept::Old {
                onnx: Some(onnx),
                calibration
            },
            "{json}"
        );
    };
    // Version 1, good and bad.
    old(
        format!(r#"["{onnx}",{{"compiled":{{"model":"{onnx}","slices":[]}}}}]"#),
        None,
    );
    old(
        format!(r#"["{onnx}",{{"failed":{{"kind":"Other","message":"no"}}}}]"#),
        None,
    );
    // A later one whose report nobody here reads.
    let of = |d: &Digest| format!(r#"{{"digest":"{d}","size":4}}"#);
    let (model, data) = (of(&onnx), of(&calibration));
    old(
        format!(r#"{{"onnx":{model},"calibration":{data},"outcome":{{"later":{{}}}}}}"#),
        Some(calibration),
    );
    // Reports before files and measures had their names.
    let slice = format!(
        r#"{{"nodes":["a"],"vk":"{onnx}","cells":7,"predictedMicros":1,"predictedMemoryBytes":1,"predictedProofBytes":1}}"#
    );
    let key = format!(r#""k":9,"rows":1,"verifyingKey":{model},"provingKey":{model},"srs":{model}"#);
    for slice in [
        slice.clone(),
        slice.replace(r#""cells":7"#, &format!(r#""halo2":{{{key}}}"#)),
    ] {
        let accuracy = r#"{"profile":"P8","samples":1,"synthetic":false,"maxErrorMillionths":1,"meanErrorMillionths":1,
            "top1AgreementMillionths":1,"outputScale":[1.0],"budgetMillionths":1,"withinBudget":true}"#;
        let report = format!(
            r#"{{"model":"{onnx}","manifest":{model},"graph":{model},"slices":[{slice}],"accuracy":{accuracy}}}"#
        );
        old(
            format!(r#"{{"onnx":{model},"calibration":{data},"outcome":{{"compiled":{report}}}}}"#),
            Some(calibration),
        );
        // It is the slice that is not read, nothing else.
        let now = report.replace(&slice, "");
        let outcome = format!(r#"{{"onnx":{model},"outcome":{{"compiled":{now}}}}}"#);
        assert!(
            matches!(Kept::read(outcome.as_bytes()), Kept::Record(_)),
            "{outcome}"
        );
    }
    for garbage in ["", "7", "{}", r#"["sha256:short"]"#] {
        let nothing = Kept::Old {
            onnx: None,
            calibration: None,
        };
        assert_eq!(Kept::read(garbage.as_bytes()), nothing, "{garbage}");
    }
    let record = CompiledRecord {
        onnx: serde_json::from_str(&model).unwrap(),
        calibration: None,
        outcome: CompileOutcome::Failed(CompileFailure {
            kind: FailureKind::Other,
            message: "no".to_owned(),
            unsupported: Vec::new(),
            outline: None,
        }),
    };
    let json = serde_json::to_vec(&record).unwrap();
    assert_eq!(Kept::read(&json), Kept::Record(Box::new(record)));
}

#[tokio::test]
async fn a_request_says_which_blobs_are_its_slices_inputs_until_it_is_removed() {
    let (_dir, stores) = stores();
    for store in stores {
        let uid = RequestUid::new([4; 16]);
        assert!(store.inputs_of(uid).await.unwrap().is_empty());
        let blobs = [
            store.put_blob(&b"one"[..]).await.unwrap(),
            store.put_blob(&b"two"[..]).await.unwrap(),
        ];
        store.put_inputs_of(uid, &blobs).await.unwrap();
        // A run that is begun again after a restart has the same.
        store.put_inputs_of(uid, &blobs).await.unwrap();
        assert_eq!(store.inputs_of(uid).await.unwrap(), blobs.map(|b| b.digest));
        store.delete_request(uid).await.unwrap();
        assert!(store.inputs_of(uid).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn an_erased_blob_is_gone_and_nobodys_and_what_another_namespace_gave_is_known() {
    let (_dir, stores) = stores();
    for store in stores {
        let digest = store.put_blob(&b"input"[..]).await.unwrap().digest;
        store.grant_blob(&digest, "home").await.unwrap();
        assert!(!store.blob_is_of_another(&digest, "home").await.unwrap());
        store.grant_blob(&digest, "away").await.unwrap();
        assert!(store.blob_is_of_another(&digest, "home").await.unwrap());
        store.erase_blob(&digest, "home").await.unwrap();
        assert_eq!(store.find_blob(&digest).await.unwrap(), None);
        assert!(!store.blob_is_of(&digest, "home").await.unwrap());
        assert!(store.blob_is_of(&digest, "away").await.unwrap());
        store.erase_blob(&digest, "home").await.unwrap();
    }
}
