//! The parts of an `InferenceRequest`'s status.
//!
//! Invariant: a status stays below 16 KiB whatever the model is, and below 26 KiB where it has the answers to several inputs: rows,
//! values, names and messages are capped where they are put in.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::inference_request::InferenceRequestStatus;
use crate::words::{Digest, Identity, SliceIndex};

/// How many rows [`InferenceRequestStatus::recent_slices`] keeps.
pub const MAX_RECENT_SLICES: usize = 32;
/// How many output values are written inline.
pub const MAX_INLINE_VALUES: usize = 256;
/// How many bytes the classes' names of several answers may have together.
pub const MAX_LABEL_BYTES: usize = 4096;
/// In [`InferenceRequestStatus::verify`]: the ONNX file that whoever verifies trusts.
pub const MODEL_FILE: &str = "MODEL.onnx";
/// In [`InferenceRequestStatus::verify`]: the input that whoever verifies has given.
pub const INPUT_FILE: &str = "INPUT.json";
/// The longest message in a row, in characters.
pub const MAX_ROW_MESSAGE: usize = 120;

/// The answer to a request.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestOutput {
    /// The output's name in the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its dimensions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shape: Vec<u32>,
    /// Its values, row-major; only while there are at most 256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<f64>>,
    /// How many outputs the model has beside this one, its first; the receipt has them all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub others: Option<u32>,
    /// The place of the largest value, where the output is scores of classes: floats of shape [1, n], n of at least 2, unless
    /// the Model's `compareTop1` is false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<u32>,
    /// The name of that class, if the Model names its classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// How many inputs a request has, where its manifest answers several at once.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RequestBatch {
    /// As many as the manifest answers.
    pub size: u32,
    /// As many as were given; the last of them fills the batch up.
    pub inputs: u32,
}

/// The answer to one of several inputs: the model's first output.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestAnswer {
    /// The output's values, row-major; only while there are at most 256 in all answers together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<f64>>,
    /// The place of the largest value, as in `output.class`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<u32>,
    /// The name of that class; only while the names of all answers together have at most 4096 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The largest error of any output against the float model's answer to this input, in millionths, rounded up.
    pub error_vs_float_millionths: u64,
}

/// Where the receipt is.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptRef {
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
    /// Where it is on this machine; only without a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// A request's slices by state. Each is in one state, so the last four add up to the first.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct SliceCounts {
    /// All slices.
    pub total: u32,
    /// Waiting for a worker.
    pub queued: u32,
    /// Being proved.
    pub claimed: u32,
    /// Proof received, not yet verified.
    pub proved: u32,
    /// Proof verified.
    pub verified: u32,
}

impl SliceCounts {
    /// The text for [`InferenceRequestStatus::progress`].
    #[must_use]
    pub fn progress(&self) -> String {
        format!("{}/{}", self.verified, self.total)
    }
}

/// A request's place among those that wait.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct QueuePlace {
    /// How many of those that wait for the same limit would begin before it, and itself.
    pub position: u32,
    /// The limit, by its field in `limits` of the Validator.
    pub limit: String,
    /// Whose requests are counted, where it is a limit of one client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
}

/// What became of one attempt at a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SliceVerdict {
    /// The proof is right.
    Verified,
    /// The proof is wrong.
    Invalid,
    /// The proof came after the lease ended.
    Late,
    /// No proof came.
    Lost,
    /// The worker handed the slice back.
    Refused,
}

/// One attempt at a slice.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RecentSlice {
    /// The slice.
    pub slice: SliceIndex,
    /// The pool: `namespace/name`.
    pub pool: String,
    /// The miner.
    pub identity: Identity,
    /// Which attempt at this slice it was, from 1.
    pub attempt: u32,
    /// From claim to proof.
    pub millis: u64,
    /// The proof's size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// What verifying the proof took, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify_micros: Option<u64>,
    /// What became of it.
    pub verdict: SliceVerdict,
    /// Why, where the verdict does not say all; at most 120 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl InferenceRequestStatus {
    /// Adds a row; the oldest goes when there are too many.
    pub fn push_recent(&mut self, mut row: RecentSlice) {
        if row.message.chars().count() > MAX_ROW_MESSAGE {
            row.message = row
                .message
                .chars()
                .take(MAX_ROW_MESSAGE - 3)
                .chain("...".chars())
                .collect();
        }
        self.recent_slices.push(row);
        let excess = self.recent_slices.len().saturating_sub(MAX_RECENT_SLICES);
        self.recent_slices.drain(..excess);
    }

    /// Sets the counts and their text.
    pub fn set_slices(&mut self, counts: SliceCounts) {
        self.progress = Some(counts.progress());
        self.slices = Some(counts);
    }
}

#[cfg(test)]
mod tests {
    use super::super::conditions::{MAX_MESSAGE, Truth, set_condition};
    use super::super::inference_request::condition;
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;

    #[test]
    fn a_full_status_stays_below_16_kib() {
        let digest = Digest::of(b"x");
        let mut status = InferenceRequestStatus {
            model_digest: Some(digest),
            ..Default::default()
        };
        for attempt in 0..100 {
            status.push_recent(RecentSlice {
                slice: SliceIndex(4095),
                pool: "n".repeat(30) + "/" + &"p".repeat(30),
                identity: Identity::new([255; 32]),
                attempt,
                millis: 1_000_000,
                bytes: Some(524_288),
                verify_micros: Some(1_000_000),
                verdict: SliceVerdict::Verified,
                message: String::new(),
            });
        }
        assert_eq!(status.recent_slices.len(), MAX_RECENT_SLICES);
        assert_eq!(
            status.recent_slices.last().map(|r| r.attempt),
            Some(99),
            "the latest rows stay"
        );
        status.set_slices(SliceCounts {
            total: 12,
            verified: 7,
            ..SliceCounts::default()
        });
        assert_eq!(status.progress.as_deref(), Some("7/12"));
        status.output = Some(RequestOutput {
            values: Some(vec![0.1; MAX_INLINE_VALUES]),
            ..RequestOutput::default()
        });
        status.batch = Some(RequestBatch { size: 64, inputs: 64 });
        let answer = RequestAnswer {
            values: Some(vec![0.1; MAX_INLINE_VALUES / 64]),
            class: Some(4095),
            label: Some("l".repeat(MAX_LABEL_BYTES / 64)),
            error_vs_float_millionths: 10_000,
        };
        // Of one input the values are in `output`.
        let of_several = InferenceRequestStatus {
            output: None,
            answers: vec![answer; 64],
            ..status.clone()
        };
        let size = |status: &InferenceRequestStatus| serde_json::to_vec(status).unwrap().len();
        let extra = size(&of_several).saturating_sub(size(&status));
        let now = Time(Timestamp::UNIX_EPOCH);
        for type_ in condition::ALL {
            let message = "m".repeat(MAX_MESSAGE / 4);
            set_condition(
                &mut status.conditions,
                type_,
                Truth::True,
                "Reason",
                &message,
                Some(1),
                &now,
            );
        }
        let bytes = serde_json::to_vec(&status).unwrap().len();
        assert!(bytes < 16 << 10, "{bytes} bytes");
        assert!(extra < 10 << 10, "{extra} bytes more of 64 answers");
    }

    #[test]
    fn a_long_row_message_is_cut() {
        let mut status = InferenceRequestStatus::default();
        status.push_recent(RecentSlice {
            slice: SliceIndex(0),
            pool: "a/b".to_owned(),
            identity: Identity::new([0; 32]),
            attempt: 1,
            millis: 1,
            bytes: None,
            verify_micros: None,
            verdict: SliceVerdict::Invalid,
            message: "é".repeat(500),
        });
        assert_eq!(status.recent_slices[0].message.chars().count(), MAX_ROW_MESSAGE);
    }
}
