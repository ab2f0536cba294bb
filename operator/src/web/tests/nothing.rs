//! A directory that has nothing, and in which nothing is made.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use zkinfer_crds::Digest;
use zkinfer_crds::k8s::InferenceRequest;
use zkinfer_crds::k8s::validator::Limits;

use crate::gateway::{Directory, Left, NotMade};

pub(super) struct Nothing;

impl Directory for Nothing {
    fn sees(&self, _: &str) -> bool {
        true
    }

    fn other_class(&self, _: &InferenceRequest) -> Option<String> {
        None
    }

    fn requests(&self, _: &str, _: Option<&str>) -> Vec<Arc<InferenceRequest>> {
        Vec::new()
    }

    fn limits(&self) -> Limits {
        Limits::default()
    }

    fn left(&self, _: &str) -> Result<Option<Left>, String> {
        Ok(None)
    }

    fn uploaded(&self, _: &str, _: u64) {}

    fn may_begin(&self, _: &str) -> Result<(), String> {
        Ok(())
    }

    fn make(
        &self,
        _: String,
        _: InferenceRequest,
        _: String,
    ) -> BoxFuture<'_, Result<InferenceRequest, NotMade>> {
        std::future::ready(Err(NotMade::Unavailable("nothing is made here".to_owned()))).boxed()
    }

    fn erase(
        &self,
        request: Arc<InferenceRequest>,
        _: String,
    ) -> BoxFuture<'_, Result<InferenceRequest, NotMade>> {
        std::future::ready(Ok((*request).clone())).boxed()
    }

    fn model_files(&self, _: &str, _: &str) -> Vec<Digest> {
        Vec::new()
    }
}
