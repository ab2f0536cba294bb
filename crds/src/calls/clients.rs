//! The calls of people and their programs, with the caller's own Kubernetes token.
//!
//! Invariant: the gateway lets nobody see or make what the API server would not let them see or make. A digest is no
//! permission.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cbor, File, Json, NoBody, NoQuery, Object, Reason, Reply, calls};
use crate::k8s::{InferenceRequest, RequestPhase};
use crate::wire::BlobRef;
use crate::words::Digest;

/// Largest request: inputs are inline.
const MAX_REQUEST_BYTES: u64 = 3 << 20;
/// Largest file that may be uploaded, or fetched from where a Model says: the operator holds models and inputs as a whole, and the
/// bodies that it reads at once share so many bytes. The compiler by hand reads larger ones.
pub const MAX_UPLOAD_BYTES: u64 = crate::float_wire::MAX_MODEL_BYTES;
/// Largest file of a model that a client is given.
pub const MAX_MODEL_FILE_BYTES: u64 = 256 << 20;
/// Largest receipt that a client reads.
const MAX_RECEIPT_BYTES: u64 = 1 << 30;
/// Largest object: the API server stores none that is larger.
const MAX_OBJECT_BYTES: u64 = 4 << 20;

/// Whose receipt it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptOf {
    /// the namespace of the request; a digest is no permission
    pub namespace: String,
}

/// The most requests in one answer.
pub const MAX_LISTED: u32 = 500;

const fn max_listed() -> u32 {
    MAX_LISTED
}

/// Which part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Page {
    /// the most requests in the answer
    #[serde(default = "max_listed")]
    #[schemars(range(min = 1, max = 500))]
    pub limit: u32,
    /// the `continue` of the answer before; absent: from the beginning
    #[serde(default, rename = "continue", skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Requests of a namespace, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestList {
    /// This part of them.
    pub requests: Vec<ListedRequest>,
    /// What asks for the next part; absent: this was the last. Requests that come and go meanwhile move no others.
    #[serde(default, rename = "continue", skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// A request in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListedRequest {
    /// Its name.
    pub name: String,
    /// Where it is on its way.
    pub phase: RequestPhase,
    /// Its Model's name.
    pub model: String,
    /// Seconds since it was created.
    pub age_seconds: u64,
    /// The digest of its receipt, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Digest>,
}

calls! {
    /// Create an InferenceRequest
    ///
    /// Needs the right to create inferencerequests.zkinfer.dev in its namespace, which must be stated.
    CreateRequest {
        id: "createRequest",
        call: Post "/v1/requests",
        bearer: Kubernetes,
        named: (),
        query: NoQuery,
        headers: &[],
        body: Object<InferenceRequest>, "", MAX_REQUEST_BYTES;
        answer: Object<InferenceRequest>, MAX_OBJECT_BYTES;
        replies: &[
            Reply::Answer(201, "the request as it was created"),
            Reply::Problem(400, &[(Reason::InvalidBody, "not an InferenceRequest, or without a namespace")]),
            Reply::Problem(403, &[(
                Reason::QuotaReached,
                "receipts or inputs of the namespace take what `quotas` of the Validator allows",
            )]),
            Reply::Problem(422, &[(
                Reason::OtherControllerClass,
                "its `spec.controllerClass` is not the one that this operator serves",
            )]),
        ],
    }

    /// List the InferenceRequests of a namespace
    ///
    /// By name. Needs the right to list them.
    ListRequests {
        id: "listRequests",
        call: Get "/v1/requests/{namespace}",
        bearer: Kubernetes,
        named: String,
        query: Page,
        headers: &[],
        body: NoBody, "", 0;
        answer: Json<RequestList>, 1 << 20;
        replies: &[
            Reply::Answer(200, "the requests, or a part of them"),
            Reply::Problem(400, &[(Reason::InvalidQuery, "a limit that is not 1 to 500")]),
        ],
    }

    /// Read an InferenceRequest with its status
    ///
    /// Needs the right to get it.
    ReadRequest {
        id: "readRequest",
        call: Get "/v1/requests/{namespace}/{name}",
        bearer: Kubernetes,
        named: (String, String),
        query: NoQuery,
        headers: &[],
        body: NoBody, "", 0;
        answer: Object<InferenceRequest>, MAX_OBJECT_BYTES;
        replies: &[Reply::Answer(200, "the request")],
    }

    /// Erase an InferenceRequest
    ///
    /// Its input, its answer and its receipt are removed, from the object too, and cannot be brought back; that it was there, how it
    /// ended, and by whom it was erased is left. Needs the right to update it.
    EraseRequest {
        id: "eraseRequest",
        call: Post "/v1/requests/{namespace}/{name}/erase",
        bearer: Kubernetes,
        named: (String, String),
        query: NoQuery,
        headers: &[],
        body: NoBody, "", 0;
        answer: Object<InferenceRequest>, MAX_OBJECT_BYTES;
        replies: &[Reply::Answer(
            202,
            "the request without its input; its `status.phase` is `Erased` once the rest is gone",
        )],
    }

    /// Fetch a receipt
    ///
    /// Needs the right to get inferencerequests.zkinfer.dev in the namespace whose request it is of.
    ReadReceipt {
        id: "readReceipt",
        call: Get "/v1/receipts/{digest}",
        bearer: Kubernetes,
        named: Digest,
        query: ReceiptOf,
        headers: &[],
        body: NoBody, "", 0;
        answer: Cbor, MAX_RECEIPT_BYTES;
        replies: &[
            Reply::Answer(200, "the receipt"),
            Reply::Problem(400, &[(Reason::InvalidQuery, "no namespace")]),
        ],
    }

    /// Fetch what a verifier needs of a compiled Model
    ///
    /// The manifest, the integer graph, or a verifying key. Needs the right to get the Model.
    ReadModelFile {
        id: "readModelFile",
        call: Get "/v1/models/{namespace}/{name}/files/{digest}",
        bearer: Kubernetes,
        named: (String, String, Digest),
        query: NoQuery,
        headers: &[],
        body: NoBody, "", 0;
        answer: File, MAX_MODEL_FILE_BYTES;
        replies: &[Reply::Answer(200, "the bytes; compare their SHA-256 before you use them")],
    }

    /// Upload a model, calibration data or an input
    ///
    /// Objects of the namespace may name it by digest from then on. Needs the right to create
    /// inferencerequests.zkinfer.dev or models.zkinfer.dev there. What nothing names is removed after 24 hours.
    UploadArtifact {
        id: "uploadArtifact",
        call: Put "/v1/artifacts/{namespace}/{digest}",
        bearer: Kubernetes,
        named: (String, Digest),
        query: NoQuery,
        headers: &[],
        body: File, "", MAX_UPLOAD_BYTES;
        answer: Json<BlobRef>, 64 << 10;
        replies: &[
            Reply::Answer(201, "it is there"),
            Reply::Problem(403, &[(
                Reason::QuotaReached,
                "files of the namespace take what `quotas.uploadBytes` of the Validator allows, or would with this one",
            )]),
            Reply::Problem(413, &[(
                Reason::TooLarge,
                "more than 64 MiB, or than `limits.uploadBytes` of the Validator",
            )]),
            Reply::Problem(422, &[(Reason::OtherDigest, "other bytes than the digest names")]),
            Reply::Problem(429, &[(
                Reason::LimitReached,
                "as many files of the caller are being uploaded as `limits.uploadsPerClient` of the Validator says",
            )]),
        ],
    }
}
