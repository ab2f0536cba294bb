//! What outlives a request: receipts, the ledger, and what compilers reported.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zkinfer_crds::compile_report::CompileOutcome;
use zkinfer_crds::wire::BlobRef;
use zkinfer_crds::{ClaimId, Digest};

use super::{ArtifactError, Artifacts, Streamed};

/// Objects that are removed at once: a store far away answers each in its own time.
const AT_ONCE: usize = 16;

/// A segment of the ledger, as the store lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredSegment {
    /// Its number.
    pub number: u64,
    /// In bytes.
    pub size: u64,
    /// Since it was written.
    pub age: Duration,
}

/// Under what name a compiler's report is kept.
#[derive(Debug, Clone, Copy)]
pub enum CompiledName<'a> {
    /// All that the result depends on.
    Key(&'a Digest),
    /// The uid of a Model.
    Model(&'a str),
    /// The uid of a Model whose compiler ended without a report: what it was started with, and how it ended.
    Crash(&'a str),
}

/// What a Model was compiled to, and from what: enough to compile it again when everything else has changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CompiledRecord {
    /// The ONNX file.
    pub onnx: BlobRef,
    /// The calibration data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<BlobRef>,
    /// What the compiler reported.
    pub outcome: CompileOutcome,
}

/// What is kept of a Model.
#[derive(Debug, Clone, PartialEq)]
pub enum Kept {
    /// As this version writes it.
    Record(Box<CompiledRecord>),
    /// As another version wrote it; the files that it was made from, as far as they are named.
    Old {
        /// The ONNX file.
        onnx: Option<Digest>,
        /// The calibration data.
        calibration: Option<Digest>,
    },
}

impl Kept {
    /// Reads what is kept, whoever wrote it.
    #[must_use]
    pub fn read(json: &[u8]) -> Self {
        if let Ok(record) = serde_json::from_slice(json) {
            return Self::Record(Box::new(record));
        }
        let value: Value = serde_json::from_slice(json).unwrap_or_default();
        let digest = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
        Self::Old {
            // The first version wrote `[digest of the ONNX file, what the compiler reported]`.
            onnx: digest(&value["onnx"]["digest"]).or_else(|| digest(&value[0])),
            calibration: digest(&value["calibration"]["digest"]),
        }
    }
}

impl CompiledName<'_> {
    fn path(self) -> Path {
        match self {
            Self::Key(key) => Path::from(format!("compiled/{}", key.hex())),
            Self::Model(uid) => Path::from(format!("models/{uid}")),
            Self::Crash(uid) => Path::from(format!("crashes/{uid}")),
        }
    }
}

impl Artifacts {
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

    /// A receipt of at most `max` bytes as a stream, with its size. Nobody has compared it with its digest: the reader does.
    ///
    /// # Errors
    /// A receipt that is absent or too large, or a failing store.
    pub async fn stream_receipt(&self, digest: &Digest, max: u64) -> Result<Streamed, ArtifactError> {
        let path = Path::from(format!("receipts/{}", digest.hex()));
        self.stream(&path, digest, max).await
    }

    /// Writes a ledger entry; `false` when the claim has been scored before.
    ///
    /// # Errors
    /// A failing store.
    pub async fn create_ledger_entry(&self, claim: ClaimId, json: Vec<u8>) -> Result<bool, ArtifactError> {
        self.create(&Path::from(format!("ledger/{claim}")), json.into())
            .await
    }

    /// A claim's ledger entry; `None` for one that has not been scored.
    ///
    /// # Errors
    /// A failing store.
    pub async fn ledger_entry(&self, claim: ClaimId) -> Result<Option<Bytes>, ArtifactError> {
        self.read(&Path::from(format!("ledger/{claim}"))).await
    }

    /// Every ledger entry that stands by itself, but those of claims that are known otherwise.
    ///
    /// # Errors
    /// A failing store.
    pub async fn ledger(&self, known: impl Fn(&ClaimId) -> bool + Send) -> Result<Vec<Bytes>, ArtifactError> {
        let of = |path: &Path| path.filename().and_then(|name| name.parse::<ClaimId>().ok());
        self.read_those(&Path::from("ledger"), move |path| {
            of(path).is_none_or(|claim| !known(&claim))
        })
        .await
    }

    /// Removes the ledger entries of claims that stand in a segment.
    ///
    /// # Errors
    /// A failing store.
    pub async fn remove_ledger_entries(&self, claims: &[ClaimId]) -> Result<(), ArtifactError> {
        let paths: Vec<Path> = claims
            .iter()
            .map(|claim| Path::from(format!("ledger/{claim}")))
            .collect();
        for some in paths.chunks(AT_ONCE) {
            let removed = some.iter().map(|path| self.remove(path));
            futures::future::try_join_all(removed).await?;
        }
        Ok(())
    }

    /// The numbers of the ledger's segments, in order.
    ///
    /// # Errors
    /// A failing store.
    pub async fn segments(&self) -> Result<Vec<u64>, ArtifactError> {
        let listed = self.store.list(Some(&Path::from("segments")));
        let names: Vec<_> = listed.map_ok(|meta| meta.location).try_collect().await?;
        let number = |path: &Path| path.filename().and_then(|name| name.parse().ok());
        let mut numbers: Vec<u64> = names.iter().filter_map(number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// A segment of the ledger.
    ///
    /// # Errors
    /// A failing store, or no such segment.
    pub async fn segment(&self, number: u64) -> Result<Bytes, ArtifactError> {
        Ok(self.store.get(&Self::segment_at(number)).await?.bytes().await?)
    }

    /// Writes a segment of the ledger; `false` where there is one of this number.
    ///
    /// # Errors
    /// A failing store.
    pub async fn create_segment(&self, number: u64, bytes: Vec<u8>) -> Result<bool, ArtifactError> {
        self.create(&Self::segment_at(number), bytes.into()).await
    }

    /// What the segments of the ledger take: number, bytes and age of each, in the order of their numbers.
    ///
    /// # Errors
    /// A failing store.
    pub async fn stored_segments(&self) -> Result<Vec<StoredSegment>, ArtifactError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut all = Vec::new();
        let prefix = Path::from("segments");
        let mut listed = self.store.list(Some(&prefix));
        while let Some(meta) = listed.try_next().await? {
            let written = u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or_default();
            let number = meta.location.filename().and_then(|name| name.parse().ok());
            all.extend(number.map(|number| StoredSegment {
                number,
                size: meta.size,
                age: now.saturating_sub(Duration::from_millis(written)),
            }));
        }
        all.sort_unstable_by_key(|segment| segment.number);
        Ok(all)
    }

    /// Removes a segment that a checkpoint stands for.
    ///
    /// # Errors
    /// A failing store.
    pub async fn remove_segment(&self, number: u64) -> Result<(), ArtifactError> {
        self.remove(&Self::segment_at(number)).await
    }

    /// The checkpoint from which the ledger is gone on with.
    ///
    /// # Errors
    /// A failing store.
    pub async fn ledger_checkpoint(&self) -> Result<Option<Bytes>, ArtifactError> {
        self.read(&Path::from("segments/checkpoint")).await
    }

    /// Writes the checkpoint of the ledger, in the place of the one before.
    ///
    /// # Errors
    /// A failing store.
    pub async fn put_ledger_checkpoint(&self, bytes: Vec<u8>) -> Result<(), ArtifactError> {
        let path = Path::from("segments/checkpoint");
        self.store
            .put(&path, PutPayload::from_bytes(bytes.into()))
            .await?;
        Ok(())
    }

    fn segment_at(number: u64) -> Path {
        Path::from(format!("segments/{number:020}"))
    }

    /// The signed head of the ledger.
    ///
    /// # Errors
    /// A failing store.
    pub async fn ledger_head(&self) -> Result<Option<Bytes>, ArtifactError> {
        self.read(&Path::from("segments/head")).await
    }

    /// Writes the signed head of the ledger, in the place of the one before.
    ///
    /// # Errors
    /// A failing store.
    pub async fn put_ledger_head(&self, bytes: Vec<u8>) -> Result<(), ArtifactError> {
        let path = Path::from("segments/head");
        self.store
            .put(&path, PutPayload::from_bytes(bytes.into()))
            .await?;
        Ok(())
    }

    /// Stores a weights file under its digest.
    ///
    /// # Errors
    /// A failing store.
    pub async fn put_weights(&self, bytes: Vec<u8>) -> Result<Digest, ArtifactError> {
        let digest = Digest::of(&bytes);
        self.create(&Path::from(format!("weights/{}", digest.hex())), bytes.into())
            .await?;
        Ok(digest)
    }

    /// What is written down of the weights that have left last.
    ///
    /// # Errors
    /// A failing store.
    pub async fn weights_record(&self) -> Result<Option<Bytes>, ArtifactError> {
        self.read(&Path::from("weights/last")).await
    }

    /// Writes down which weights have left last, in the place of what was there.
    ///
    /// # Errors
    /// A failing store.
    pub async fn put_weights_record(&self, json: Vec<u8>) -> Result<(), ArtifactError> {
        let path = Path::from("weights/last");
        self.store.put(&path, PutPayload::from_bytes(json.into())).await?;
        Ok(())
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

    /// The uids of the Models of which something is kept.
    ///
    /// # Errors
    /// A failing store.
    pub async fn models(&self) -> Result<BTreeSet<String>, ArtifactError> {
        let mut uids = BTreeSet::new();
        for folder in ["models", "crashes"] {
            let listed: Vec<_> = self.store.list(Some(&Path::from(folder))).try_collect().await?;
            uids.extend(
                listed
                    .iter()
                    .filter_map(|meta| meta.location.filename().map(str::to_owned)),
            );
        }
        Ok(uids)
    }

    /// Removes all that is kept of a Model; what other Models may share, under the key, stays.
    ///
    /// # Errors
    /// A failing store.
    pub async fn delete_model(&self, uid: &str) -> Result<(), ArtifactError> {
        self.remove_compiled(CompiledName::Model(uid)).await?;
        self.remove_compiled(CompiledName::Crash(uid)).await
    }

    /// Removes a compiler's report.
    ///
    /// # Errors
    /// A failing store.
    pub async fn remove_compiled(&self, name: CompiledName<'_>) -> Result<(), ArtifactError> {
        self.remove(&name.path()).await
    }
}
