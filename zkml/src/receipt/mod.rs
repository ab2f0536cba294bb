//! One file for a whole run: what a stranger needs to check every slice and how they are linked.
//!
//! Invariant: a receipt holds no choice of its own. Wiring, ranges, circuits and keys come from the manifest that the
//! verifier trusts; each boundary tensor's values stand in it exactly once, so producer and consumers cannot see
//! different ones; it has one encoding, so no byte can be changed, removed or added without a verdict of invalid.

mod build;
mod report;
mod verify;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zkinfer_crds::{ClaimId, Digest, Identity, RequestUid, SliceIndex};

pub use build::{BuildError, ReceiptBuilder, RunValues, SliceValues};
pub use report::{Judged, Outcome, Report, Scope, Sentence, number, share};
pub use verify::{
    Against, DEFAULT_RULE, Derivation, Expected, Model, Proved, Verification, judge_outputs, verify,
    verify_decoded,
};

use crate::canonical::{self, CanonicalError};
use crate::graph::{IntTensor, TensorId};
use crate::manifest::Manifest;
use crate::statement::{Statement, tensors_digest};

/// The version that this code writes and reads.
pub const VERSION: u32 = 2;
/// The largest receipt that is read, in bytes.
pub const MAX_RECEIPT_BYTES: usize = 256 << 20;

/// Values of one boundary tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoundaryValues {
    /// The tensor.
    pub id: TensorId,
    /// Row-major values, 8 bytes each; shape and range are the manifest's.
    #[serde(with = "canonical::integers")]
    pub values: Vec<i64>,
}

/// The proof of one slice. Its place in the list is its index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SliceReceipt {
    /// The claim that was proved.
    pub claim: ClaimId,
    /// The proof, without its envelope: its ids are the manifest's.
    #[serde(with = "serde_bytes")]
    pub proof: Vec<u8>,
    /// The miner that proved it.
    pub identity: Identity,
}

/// See the module. No times, no scores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The verifier part of the SRS; all zero for a transparent proof system.
    pub srs: Digest,
    /// Boundary tensors between slices, by ascending id.
    pub inner: Vec<BoundaryValues>,
    /// The request's inputs, in the manifest's order.
    pub input: Vec<BoundaryValues>,
    /// The request's outputs, in the manifest's order.
    pub output: Vec<BoundaryValues>,
    /// By slice.
    pub slices: Vec<SliceReceipt>,
    /// The network that it was made on.
    pub network: String,
    /// The request.
    pub request: RequestUid,
    /// [`VERSION`].
    pub version: u32,
    /// The manifest.
    pub manifest: Manifest,
}

impl Receipt {
    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        canonical::to_bytes(self)
    }

    /// Decodes a receipt; nothing in it is believed yet.
    ///
    /// # Errors
    /// Another version, or bytes that are not the encoding of a receipt.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CanonicalError> {
        canonical::from_bytes_of_version(bytes, MAX_RECEIPT_BYTES, VERSION)
    }

    /// Values of every boundary tensor, to be looked up.
    #[must_use]
    pub fn values(&self) -> BTreeMap<TensorId, &[i64]> {
        let all = self.input.iter().chain(&self.inner).chain(&self.output);
        all.map(|b| (b.id, b.values.as_slice())).collect()
    }
}

/// What the statements of one run have in common. Operator and verifier build their statements from it.
#[derive(Debug, Clone)]
pub struct RunStatement {
    network: String,
    srs: Digest,
    manifest: Digest,
    slice_count: u32,
    request: RequestUid,
    input: Digest,
    output: Digest,
}

impl RunStatement {
    /// Binds a run: `input` and `output` are the request's tensors in the manifest's order.
    #[must_use]
    pub fn new(
        manifest: &Manifest,
        network: &str,
        request: RequestUid,
        input: &[IntTensor],
        output: &[IntTensor],
    ) -> Self {
        Self {
            network: network.to_owned(),
            srs: manifest.srs,
            manifest: manifest.digest(),
            slice_count: manifest.slices.len() as u32,
            request,
            input: tensors_digest(input),
            output: tensors_digest(output),
        }
    }

    /// The statement of one slice's claim.
    #[must_use]
    pub fn slice(&self, slice: SliceIndex, claim: ClaimId, identity: Identity) -> Statement {
        Statement {
            network: self.network.clone(),
            srs: self.srs,
            manifest: self.manifest,
            slice,
            slice_count: self.slice_count,
            request: self.request,
            claim,
            identity,
            input: self.input,
            output: self.output,
        }
    }
}
