use std::time::Duration;

use super::*;

/// A namespace that may name everything and has no ConfigMap.
struct Everything;

impl NamespaceFiles for Everything {
    fn config_map<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<Option<ConfigMap>, String>> {
        Box::pin(async { Ok(None) })
    }

    fn may_name<'a>(&'a self, _: &'a str, _: &'a Digest) -> BoxFuture<'a, Result<bool, ArtifactError>> {
        Box::pin(async { Ok(true) })
    }

    fn addresses(&self) -> Vec<AllowedUrl> {
        Vec::new()
    }
}

async fn read(artifacts: &Artifacts, digest: Digest) -> Result<BTreeMap<String, InlineTensor>, SourceError> {
    let named = RequestInput {
        artifact: Some(digest),
        ..RequestInput::default()
    };
    input(
        &Everything,
        artifacts,
        "default",
        &named,
        Some("x"),
        MAX_VALUES as u64,
    )
    .await
}

#[tokio::test]
async fn a_file_of_more_numbers_than_an_input_has_is_refused_by_how_many_are_read() {
    let artifacts = Artifacts::memory();
    // Two bytes a number: as a tree of values this would be a gibibyte.
    let zeros = [&b"["[..], &b"0,".repeat(MAX_FILE_BYTES as usize / 2 - 1)].concat();
    let large = artifacts.put_blob(zeros).await.unwrap();
    match read(&artifacts, large.digest).await {
        Err(SourceError::Invalid(why)) => assert_eq!(why, "more than 4194304 values"),
        other => panic!("{:?}", other.map(|tensors| tensors.len())),
    }
    let small = artifacts.put_blob(&b"[[1, 2.5]]"[..]).await.unwrap();
    let tensors = read(&artifacts, small.digest).await.unwrap();
    assert_eq!(
        (tensors["x"].shape.as_slice(), tensors["x"].data.as_slice()),
        (&[1, 2][..], &[1.0, 2.5][..])
    );
}

#[tokio::test]
async fn few_files_of_numbers_are_in_memory_at_a_time() {
    let artifacts = Artifacts::memory();
    let blob = artifacts.put_blob(&b"[1]"[..]).await.unwrap();
    let turns = [reading().await.unwrap(), reading().await.unwrap()];
    let mut waits = std::pin::pin!(read(&artifacts, blob.digest));
    let early = tokio::time::timeout(Duration::from_millis(50), &mut waits).await;
    assert!(early.is_err(), "a third file is read");
    drop(turns);
    assert_eq!(waits.await.unwrap()["x"].data, [1.0]);
}
