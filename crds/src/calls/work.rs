//! The workers' calls.

use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{Cbor, File, Header, Json, NoBody, NoQuery, Reason, Reply, calls};
use crate::wire::{
    ClaimGrant, ClaimRequest, MAX_BODY_BYTES, MAX_ENVELOPE_BYTES, MAX_INLINE_BYTES, NEXT_HEADER, Refusal,
    WORKER_TOKEN_HEADER,
};
use crate::words::{ClaimId, Digest};

/// Largest JSON answer without inputs.
pub(super) const MAX_JSON: u64 = 64 << 10;
/// Largest grant: its inputs may be in it, as base64.
const MAX_GRANT: u64 = MAX_JSON + MAX_INLINE_BYTES * 4 / 3 + 4;
/// Largest blob.
pub const MAX_BLOB_BYTES: u64 = 8 << 30;

/// Of a call that may be answered with a grant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Inline {
    /// the worker reads `inputsBytes` of a grant
    #[serde(default)]
    pub inline: bool,
}

calls! {
    /// Ask for a slice to prove
    Claim {
        id: "claim",
        call: Post "/v1/work/claims",
        bearer: Worker,
        named: (),
        query: Inline,
        headers: &[],
        body: Json<ClaimRequest>, "", MAX_BODY_BYTES as u64;
        answer: Json<ClaimGrant>, MAX_GRANT;
        replies: &[
            Reply::Answer(200, "prove this"),
            Reply::Empty(204, "nothing while the gateway waited; ask again"),
            Reply::Problem(410, &[(
                Reason::Over,
                "the request that was asked for is over, or there will be no more work; stop",
            )]),
        ],
    }

    /// Fetch a blob that a grant names
    Fetch {
        id: "fetch",
        call: Get "/v1/work/blobs/{digest}",
        bearer: Worker,
        named: Digest,
        query: NoQuery,
        headers: &[],
        body: NoBody, "", 0;
        answer: File, MAX_BLOB_BYTES;
        replies: &[
            Reply::Answer(200, "the bytes; compare their SHA-256 before you use them"),
            Reply::Problem(404, &[(
                Reason::NotFound,
                "no such blob was granted to this pool for a request that is not over",
            )]),
        ],
    }

    /// Submit the proof of a claimed slice
    Submit {
        id: "submit",
        call: Put "/v1/work/claims/{claim}/proof",
        bearer: Claim,
        named: ClaimId,
        query: Inline,
        headers: &[
            Header {
                name: NEXT_HEADER,
                means: "the worker takes another slice; the answer does not wait for one",
                json: Some(SchemaGenerator::subschema_for::<ClaimRequest>),
            },
            Header {
                name: WORKER_TOKEN_HEADER,
                means: "beside `zkinfer-next`, the worker's token",
                json: None,
            },
        ],
        body: Cbor, "a proof envelope of at most the grant's `maxBytes`, within 30 s", MAX_ENVELOPE_BYTES;
        answer: Json<ClaimGrant>, MAX_GRANT;
        replies: &[
            Reply::Answer(
                201,
                "taken; it will be verified. With the next grant where `zkinfer-next` asks for one and it is there at once",
            ),
            Reply::Answer(200, "the same bytes were taken before; with the next grant, as with 201"),
            Reply::Problem(409, &[(Reason::OtherProof, "other bytes were taken before; they stay")]),
            Reply::Problem(410, &[(
                Reason::ClaimOver,
                "the lease has ended, or the request is over; claim another slice",
            )]),
            Reply::Problem(413, &[(Reason::TooLarge, "too many bytes; the claim ends as a wrong proof")]),
        ],
    }

    /// Hand a claimed slice back
    Refuse {
        id: "refuse",
        call: Post "/v1/work/claims/{claim}/refuse",
        bearer: Claim,
        named: ClaimId,
        query: NoQuery,
        headers: &[],
        body: Json<Refusal>, "", MAX_BODY_BYTES as u64;
        answer: NoBody, 0;
        replies: &[
            Reply::Empty(204, "handed back"),
            Reply::Problem(410, &[(
                Reason::ClaimOver,
                "a proof has come, the lease has ended, or the request is over",
            )]),
        ],
    }
}
