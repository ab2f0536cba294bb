//! The bodies of the calls between gateway and worker, version 1, and of a compiler's; [`calls`](crate::calls) says which call
//! carries which. A worker passes over fields that it does not know; the gateway takes none of them.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::dimensions::Dimensions;
use crate::slice_files::SliceFiles;
use crate::words::{
    ClaimId, Digest, Identity, ParameterId, Profile, ProofSystem, RequestUid, SliceIndex, closed_word,
};

/// The most bytes of inputs that a grant carries.
pub const MAX_INLINE_BYTES: u64 = 64 << 10;
/// The header of a proof whose worker takes another slice: a [`ClaimRequest`]. The answer does not wait for one.
pub const NEXT_HEADER: &str = "zkinfer-next";
/// The header beside it with the worker's token, since the proof itself comes with the claim's.
pub const WORKER_TOKEN_HEADER: &str = "zkinfer-worker-token";
/// The largest proof envelope that any verifier reads, in bytes.
pub const MAX_ENVELOPE_BYTES: u64 = 512 << 10;
/// The longest that a claim request may wait, in seconds.
pub const MAX_WAIT_SECONDS: u32 = 30;
/// The longest worker name and message, in bytes.
pub const MAX_TEXT: usize = 256;
/// The largest [`ClaimRequest`] and [`Refusal`], in bytes.
pub const MAX_BODY_BYTES: usize = 16 << 10;
/// The exit code of a worker that handed its claim back because it was told to stop.
pub const EXIT_DRAINED: u8 = 75;

/// A worker asks for a slice to prove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimRequest {
    /// The worker's name (a pod's name), for people; at most 256 bytes.
    #[schemars(length(max = 256))]
    pub worker: String,
    /// What the worker can prove with.
    pub parameters: Vec<ParameterId>,
    /// Memory that a slice may use, in bytes.
    pub memory_bytes: u64,
    /// Only slices of this request; absent: of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestUid>,
    /// How long the gateway may hold the answer while it has nothing, in seconds; more than 30 is as good as 30.
    pub wait_seconds: u32,
}

impl ClaimRequest {
    /// Reads a body, as the gateway does.
    ///
    /// # Errors
    /// Bytes that are no such body, or a name that is too long.
    pub fn read(json: &[u8]) -> Result<Self, BodyError> {
        let read: Self = body(json)?;
        text("worker", &read.worker)?;
        Ok(read)
    }
}

/// Why bytes are not the body of a call.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// There are too many.
    #[error("a body has at most {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// They are not the JSON of one.
    #[error("{0}")]
    Form(#[from] serde_json::Error),
    /// A text is too long.
    #[error("{0}: at most {MAX_TEXT} bytes")]
    Text(&'static str),
}

fn body<T: DeserializeOwned>(json: &[u8]) -> Result<T, BodyError> {
    if json.len() > MAX_BODY_BYTES {
        return Err(BodyError::TooLarge);
    }
    Ok(serde_json::from_slice(json)?)
}

fn text(field: &'static str, text: &str) -> Result<(), BodyError> {
    if text.len() <= MAX_TEXT {
        Ok(())
    } else {
        Err(BodyError::Text(field))
    }
}

/// A blob by digest and size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlobRef {
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// Number of bytes.
    pub size: u64,
}

/// The right to prove one slice once, for a limited time. A worker passes over fields that it does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimGrant {
    /// The claim's token: proves the right to submit or to hand back.
    pub token: String,
    /// The claim; also the statement's nonce.
    pub claim: ClaimId,
    /// The request.
    pub request: RequestUid,
    /// The slice.
    pub slice: SliceIndex,
    /// A number for people: how often this slice has been claimed, from 1.
    pub attempt: u32,
    /// Seconds from now after which the slice may be given to another.
    pub lease_seconds: u32,
    /// The largest envelope that will be read.
    pub max_bytes: u64,
    /// What to prove with.
    pub parameter_id: ParameterId,
    /// Memory that proving is predicted to take, in bytes.
    pub memory_bytes: u64,
    /// The miner in the statement.
    pub identity: Identity,
    /// The statement digest that the proof must be bound to.
    pub statement: Digest,
    /// The model's manifest.
    pub manifest: BlobRef,
    /// The model's integer graph.
    pub graph: BlobRef,
    /// The slice's input boundary tensors.
    pub inputs: BlobRef,
    /// The bytes of `inputs`, which need not be fetched then: where the call said `inline=true` and they are at most 64 KiB.
    /// They are compared with the digest like fetched ones.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "base64_text")]
    #[schemars(with = "Option<String>", extend("contentEncoding" = "base64"))]
    pub inputs_bytes: Option<Vec<u8>>,
    /// What the slice is proved with beside them, by role: as its proof system asks.
    #[serde(default, skip_serializing_if = "SliceFiles::is_empty")]
    pub files: SliceFiles,
    /// The claim's span, as W3C's Trace Context writes it, where the operator tells a collector of its requests: a worker that
    /// tells one too puts its spans below it. It has no bearing on what is proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// Bytes as base64 text.
mod base64_text {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    #[expect(clippy::ref_option, reason = "as serde calls it")]
    pub(super) fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, to: S) -> Result<S::Ok, S::Error> {
        bytes.as_ref().map(|b| STANDARD.encode(b)).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        let decoded = text.map(|t| STANDARD.decode(t)).transpose();
        decoded.map_err(de::Error::custom)
    }
}

closed_word! {
    /// Why a worker hands a claim back.
    RefuseReason {
        /// The slice needs more memory than the worker has.
        TooLittleMemory = "TooLittleMemory",
        /// The worker does not know the parameter id or the relations.
        Unsupported = "Unsupported",
        /// The worker was told to stop.
        Draining = "Draining",
        /// A blob could not be fetched or was damaged.
        Fetch = "Fetch",
        /// Proving failed.
        Failed = "Failed",
    }
}

/// A claim handed back before its lease ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Refusal {
    /// The kind of reason.
    pub reason: RefuseReason,
    /// For people; at most 256 bytes.
    #[schemars(length(max = 256))]
    pub message: String,
}

impl Refusal {
    /// Reads a body, as the gateway does.
    ///
    /// # Errors
    /// Bytes that are no such body, or a message that is too long.
    pub fn read(json: &[u8]) -> Result<Self, BodyError> {
        let read: Self = body(json)?;
        text("message", &read.message)?;
        Ok(read)
    }
}

/// What a compiler shall make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CompileTask {
    /// The ONNX file.
    pub model: BlobRef,
    /// Samples that calibrate the integers; absent: standard-normal inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<BlobRef>,
    /// How many bits the integers have; absent: the cheapest profile within the budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// Greatest error of any output against the float model, in millionths of its size or its scale.
    pub error_budget_millionths: u32,
    /// By output, its natural magnitude; empty: the greatest of the float model's outputs over the samples.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output_scale: Vec<f64>,
    /// Whether an output of classes must have its greatest value where the float model has it.
    pub compare_top1: bool,
    /// By name: the sizes of dimensions that the file leaves free.
    #[serde(default, skip_serializing_if = "Dimensions::is_empty")]
    pub dimensions: Dimensions,
    /// How many inputs each manifest answers at once.
    #[serde(default = "one_at_a_time", skip_serializing_if = "is_one_at_a_time")]
    pub batch_sizes: Vec<u32>,
    /// Least number of slices.
    pub parallelism: u32,
    /// Most memory that proving one slice may need, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
    /// What the slices are proved with.
    pub proof_system: ProofSystem,
    /// The trusted setup's file. Absent where the proof system has none, and where the development setup is used, which is
    /// FORGEABLE BY ANYONE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup: Option<BlobRef>,
}

/// The greatest error that a model promises unless its owner says otherwise, in millionths: 0.1 %. In the measure by which answers
/// are judged; whoever judges has a bound of their own, and what is promised here decides nothing there.
pub const DEFAULT_ERROR_BUDGET_MILLIONTHS: u32 = 1_000;

/// What is asked of a compiler unless somebody says otherwise: a manifest for one input at a time.
#[must_use]
pub fn one_at_a_time() -> Vec<u32> {
    vec![1]
}

/// Whether nothing else is asked.
#[must_use]
pub fn is_one_at_a_time(sizes: &[u32]) -> bool {
    sizes == [1]
}

/// The body of every answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// A stable word for programs, such as `ClaimOver`.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_documented_json_form() {
        let request = ClaimRequest {
            worker: "w-0".to_owned(),
            parameters: vec![ParameterId::Halo2KzgBn254V1],
            memory_bytes: 1 << 30,
            request: None,
            wait_seconds: 20,
        };
        let json = r#"{"worker":"w-0","parameters":["halo2-kzg-bn254/v1"],"memoryBytes":1073741824,"waitSeconds":20}"#;
        assert_eq!(serde_json::to_string(&request).unwrap(), json);
        assert_eq!(serde_json::from_str::<ClaimRequest>(json).unwrap(), request);
        assert!(serde_json::from_str::<ClaimRequest>(&json.replace("worker", "vorker")).is_err());
    }
}
