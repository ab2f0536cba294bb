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
