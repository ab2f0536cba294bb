//! The objects that clients see and make.

use std::sync::Arc;

use futures::future::BoxFuture;
use zkinfer_crds::Digest;
use zkinfer_crds::k8s::InferenceRequest;
use zkinfer_crds::k8s::validator::Limits;

/// Why an object was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotMade {
    /// It was refused, with a status of HTTP.
    #[error("{message}")]
    Refused {
        /// The status.
        status: u16,
        /// Why.
        message: String,
    },
    /// Nobody could be asked.
    #[error("{0}")]
    Unavailable(String),
}

/// What a namespace may still hand in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// So many bytes.
    pub bytes: u64,
    /// What is said of a file that is larger.
    pub beyond: String,
}

/// The objects, as clients see them.
pub trait Directory: Send + Sync + 'static {
    /// Whether there can be anything in this namespace, as far as the operator sees.
    fn sees(&self, namespace: &str) -> bool;

    /// The class of the objects that the operator takes, where this one is of another.
    fn other_class(&self, request: &InferenceRequest) -> Option<String>;

    /// The requests of a namespace, or the one of this name.
    fn requests(&self, namespace: &str, name: Option<&str>) -> Vec<Arc<InferenceRequest>>;

    /// How much is taken at once.
    fn limits(&self) -> Limits;

    /// What a namespace may still hand in; `None` without a bound.
    ///
    /// # Errors
    /// It has handed in all that it may: why, with the quota's name.
    fn left(&self, namespace: &str) -> Result<Option<Left>, String>;

    /// A file of so many bytes was handed in for a namespace.
    fn uploaded(&self, namespace: &str, bytes: u64);

    /// Whether requests of a namespace may begin.
    ///
    /// # Errors
    /// What they leave takes all that it may: why, with the quota's name.
    fn may_begin(&self, namespace: &str) -> Result<(), String>;

    /// Makes a request for a client of this name; as it was made.
    fn make(
        &self,
        namespace: String,
        request: InferenceRequest,
        client: String,
    ) -> BoxFuture<'_, Result<InferenceRequest, NotMade>>;

    /// Erases a request, as a client of this name: its input is not in it any more, and what came of it is removed.
    fn erase(
        &self,
        request: Arc<InferenceRequest>,
        client: String,
    ) -> BoxFuture<'_, Result<InferenceRequest, NotMade>>;

    /// The files of a compiled Model that a verifier needs: manifest, integer graph, and verifying keys that are files.
    /// None where there is no such Model, or none that was compiled.
    fn model_files(&self, namespace: &str, name: &str) -> Vec<Digest>;
}
