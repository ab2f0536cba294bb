//! The routes are the calls.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use tower::ServiceExt;
use zkinfer_crds::calls::{self, Described};
use zkinfer_crds::k8s::InferenceRequest;
use zkinfer_crds::k8s::validator::Limits;
use zkinfer_crds::wire::Problem;

use super::*;
use crate::artifacts::Artifacts;
use crate::dispatch::{Dispatcher, TokenKey};

/// Knows nobody, and has nothing.
struct Nobody;

impl Guard for Nobody {
    fn user<'a>(&'a self, _: &'a str, _: Peer) -> BoxFuture<'a, Result<Option<String>, AuthUnavailable>> {
        ready(Ok(None)).boxed()
    }

    fn right<'a>(&'a self, _: &'a str, _: Peer, _: Access) -> BoxFuture<'a, Result<Right, AuthUnavailable>> {
        ready(Ok(Right::Unknown)).boxed()
    }
}

impl Directory for Nobody {
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
        request: InferenceRequest,
        _: String,
    ) -> BoxFuture<'_, Result<InferenceRequest, NotMade>> {
        ready(Ok(request)).boxed()
    }

    fn erase(
        &self,
        request: Arc<InferenceRequest>,
        _: String,
    ) -> BoxFuture<'_, Result<InferenceRequest, NotMade>> {
        ready(Ok((*request).clone())).boxed()
    }

    fn model_files(&self, _: &str, _: &str) -> Vec<Digest> {
        Vec::new()
    }
}

fn gateway() -> Gateway {
    let artifacts = Artifacts::memory();
    let dispatcher = Dispatcher::new(artifacts, TokenKey::new([3; 32]), (PATIENCE, PATIENCE), 1);
    Gateway::new(dispatcher, Arc::new(StaticTokens::default()))
}

/// Status and reason of a call whose path names nothing that there is.
async fn said(router: &Router, method: &str, path: &str, token: Option<&str>) -> (u16, String) {
    let mut call = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        call = call.header("authorization", format!("Bearer {token}"));
    }
    let answer = router.clone().oneshot(call.body(Body::empty()).unwrap());
    let answer = answer.await.unwrap();
    let status = answer.status().as_u16();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 16).await.unwrap();
    let problem: Problem = serde_json::from_slice(&body).unwrap();
    (status, problem.reason)
}

fn path(call: &Described, value: &str) -> String {
    let segments = call.path.split('/');
    let segments = segments.map(|s| if s.starts_with('{') { value } else { s });
    segments.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn every_call_is_served_and_asks_first_who_calls() {
    let clients = Clients {
        guard: Arc::new(Nobody),
        directory: Arc::new(Nobody),
        uploads: Uploads::default(),
        bodies: Bodies::default(),
    };
    let router = gateway().with_clients(clients).router();
    for call in calls::all() {
        let method = call.method.as_str();
        // Neither what the path names nor what is absent behind it is told to somebody unknown.
        for value in ["x", "%ff%fe"] {
            for token in [None, Some("secret")] {
                let path = path(&call, value);
                let said = said(&router, method, &path, token).await;
                assert_eq!(said, is(401, "UnknownToken"), "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn a_gateway_without_clients_has_no_path_for_them() {
    let router = gateway().router();
    for call in calls::clients::ALL {
        let said = said(&router, call.method.as_str(), &path(call, "x"), None).await;
        assert_eq!(said, is(404, "UnknownPath"), "{}", call.path);
    }
}
