//! Where a receipt goes beside the store, for whom its files lie at hand.

use bytes::Bytes;
use futures::future::BoxFuture;
use zkinfer_crds::k8s::request_status::{INPUT_FILE, MODEL_FILE};

use super::run::Run;

/// Whose receipt it is.
#[derive(Debug, Clone, Copy)]
pub struct OutboxOf<'a> {
    /// The request's namespace.
    pub namespace: &'a str,
    /// Its name.
    pub request: &'a str,
    /// Its Model's name.
    pub model: &'a str,
}

/// The files that `prover-worker verify` is given, as paths.
#[derive(Debug, Clone)]
pub struct ReceiptFiles {
    /// The receipt.
    pub receipt: String,
    /// The ONNX file.
    pub model: String,
    /// The requester's own inputs: files that are given one after the other.
    pub inputs: Vec<String>,
}

impl ReceiptFiles {
    /// As they are called by whoever fetches the receipt.
    #[must_use]
    pub fn named(request: &str) -> Self {
        Self {
            receipt: format!("{request}.cbor"),
            model: MODEL_FILE.to_owned(),
            inputs: vec![INPUT_FILE.to_owned()],
        }
    }
}

/// Takes receipts.
pub trait Outbox: Send + Sync {
    /// Puts a receipt down, and says where; or why it cannot, in a sentence.
    fn put<'a>(
        &'a self,
        of: OutboxOf<'a>,
        receipt: &'a Bytes,
        run: &'a Run,
    ) -> BoxFuture<'a, Result<ReceiptFiles, String>>;
}
