//! What the Validator's limits leave of clients' calls, and whom an erasure is for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use axum::body::Body;
use axum::http::Request;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use serde_json::json;
use tower::ServiceExt;
use zkinfer_crds::k8s::InferenceRequest;
use zkinfer_crds::k8s::validator::Limits;
use zkinfer_crds::wire::Problem;

use super::*;
use crate::artifacts::Artifacts;
use crate::dispatch::{Dispatcher, PoolId, TokenKey, WorkerAuth};

/// Whoever calls is called as their token, and may do all but what needs `update`, which `owner` may; `nobody` may do nothing.
struct Callers;

const NOBODY: &str = "nobody";

impl Guard for Callers {
    fn user<'a>(
        &'a self,
        bearer: &'a str,
        _: Peer,
    ) -> BoxFuture<'a, Result<Option<String>, AuthUnavailable>> {
        ready(Ok(Some(bearer.to_owned()))).boxed()
    }

    fn right<'a>(
        &'a self,
        bearer: &'a str,
        _: Peer,
        access: Access,
    ) -> BoxFuture<'a, Result<Right, AuthUnavailable>> {
        let granted = bearer != NOBODY && (access.verb != "update" || bearer == "owner");
        ready(Ok(if granted { Right::Granted } else { Right::Denied })).boxed()
    }
}

/// Has one request, `one`, in every namespace; what `full` leaves takes all that it may, and others may hand in so many bytes.
struct Limited(Limits, Option<AtomicUsize>);

fn one() -> InferenceRequest {
    let request = json!({
        "apiVersion": "zkinfer.dev/v1alpha1", "kind": "InferenceRequest", "metadata": { "name": "one", "namespace": "n" },
        "spec": { "modelRef": { "name": "m" }, "input": { "inline": { "x": { "shape": [1], "data": [0.5] } } } },
    });
    serde_json::from_value(request).unwrap()
}

impl Directory for Limited {
    fn sees(&self, _: &str) -> bool {
        true
    }

    fn other_class(&self, _: &InferenceRequest) -> Option<String> {
        None
    }

    fn requests(&self, _: &str, name: Option<&str>) -> Vec<Arc<InferenceRequest>> {
        let there = name.is_none_or(|name| name == "one");
        there.then(|| Arc::new(one())).into_iter().collect()
    }

    fn limits(&self) -> Limits {
        self.0.clone()
    }

    fn left(&self, _: &str) -> Result<Option<Left>, String> {
        let Some(left) = &self.1 else { return Ok(None) };
        match left.load(Ordering::SeqCst) as u64 {
            0 => Err("spec.quotas.uploadBytes".to_owned()),
            bytes => Ok(Some(Left {
                bytes,
                beyond: format!("more than {bytes} bytes"),
            })),
        }
    }

    fn uploaded(&self, _: &str, bytes: u64) {
        if let Some(left) = &self.1 {
            left.fetch_sub(bytes as usize, Ordering::SeqCst);
        }
    }

    fn may_begin(&self, namespace: &str) -> Result<(), String> {
        match namespace {
            "full" => Err("spec.quotas.receiptBytes".to_owned()),
            _ => Ok(()),
        }
    }

    fn make(
        &self,
        _: String,
        mut request: InferenceRequest,
        client: String,
    ) -> BoxFuture<'_, Result<InferenceRequest, NotMade>> {
        request.metadata.labels = Some([("for".to_owned(), client)].into());
        ready(Ok(request)).boxed()
    }

    fn erase(
        &self,
        request: Arc<InferenceRequest>,
        client: String,
    ) -> BoxFuture<'_, Result<InferenceRequest, NotMade>> {
        self.make(String::new(), (*request).clone(), client)
    }

    fn model_files(&self, _: &str, _: &str) -> Vec<Digest> {
        Vec::new()
    }
}

/// A worker of a namespace of its own.
const WORKER: &str = "worker";

fn router(limits: Limits) -> Router {
    router_of(Limited(limits, None))
}

fn router_of(directory: Limited) -> Router {
    let dispatcher = Dispatcher::new(
        Artifacts::memory(),
        TokenKey::new([3; 32]),
        (PATIENCE, PATIENCE),
        1,
    );
    let clients = Clients {
        guard: Arc::new(Callers),
        directory: Arc::new(directory),
        uploads: Uploads::default(),
        bodies: Bodies::default(),
    };
    let auth = WorkerAuth {
        pool: PoolId::new("miner", "own"),
        identity: identity(ALPHA),
    };
    Gateway::new(
        dispatcher,
        Arc::new(StaticTokens::new([(WORKER.to_owned(), auth)])),
    )
    .with_clients(clients)
    .router()
}

/// Calls whose bodies never come to their end, and how many of them have been asked for what they have.
struct Stalled {
    calls: Vec<tokio::task::JoinHandle<()>>,
    begun: Arc<AtomicUsize>,
}

impl Stalled {
    fn new(router: &Router, (method, path): (&'static str, &str), token: &str, many: usize) -> Self {
        let begun = Arc::new(AtomicUsize::new(0));
        let call = |_| {
            let (begun, mut first) = (Arc::clone(&begun), true);
            let endless = futures::stream::poll_fn(move |_| {
                if std::mem::take(&mut first) {
                    begun.fetch_add(1, Ordering::SeqCst);
                }
                Poll::<Option<Chunks>>::Pending
            });
            let call = Request::builder().method(method).uri(path);
            let call = call.header("authorization", format!("Bearer {token}"));
            let call = call.body(Body::from_stream(endless)).unwrap();
            let router = router.clone();
            tokio::spawn(async move {
                let _ = router.oneshot(call).await;
            })
        };
        let calls = (0..many).map(call).collect();
        Self { calls, begun }
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }
}

impl Drop for Stalled {
    fn drop(&mut self) {
        self.calls.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// Status and body of an answer.
async fn said(router: &Router, (method, path): (&str, &str), token: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
    let call = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {token}"))
        .body(Body::from(body));
    let answer = router.clone().oneshot(call.unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, body.to_vec())
}

fn problem_of(body: &[u8]) -> Problem {
    serde_json::from_slice(body).unwrap()
}

fn whose(body: &[u8]) -> String {
    let request: InferenceRequest = serde_json::from_slice(body).unwrap();
    request.metadata.labels.unwrap_or_default()["for"].clone()
}

#[tokio::test]
async fn a_body_beyond_a_limit_is_refused_by_the_limits_field() {
    let small = Some("1Ki".parse().unwrap());
    let limited = router(Limits {
        request_bytes: small.clone(),
        upload_bytes: small,
        ..Limits::default()
    });
    let free = router(Limits::default());
    let mut large = serde_json::to_vec(&one()).unwrap();
    assert!(large.len() < 1024);
    let create = ("POST", "/v1/requests");
    let (status, made) = said(&limited, create, "alice", large.clone()).await;
    assert_eq!((status, whose(&made).as_str()), (201, "alice"));
    large.extend([b' '; 1024]);
    let (status, body) = said(&limited, create, "alice", large.clone()).await;
    let problem = problem_of(&body);
    assert_eq!((status, problem.reason.as_str()), (413, "TooLarge"));
    assert!(
        problem
            .message
            .contains("spec.limits.requestBytes of the Validator is 1Ki"),
        "{}",
        problem.message
    );
    assert_eq!(said(&free, create, "alice", large).await.0, 201);

    let file = vec![7; 2048];
    let path = format!("/v1/artifacts/n/{}", Digest::of(&file));
    let (status, body) = said(&limited, ("PUT", &path), "alice", file.clone()).await;
    let problem = problem_of(&body);
    assert_eq!((status, problem.reason.as_str()), (413, "TooLarge"));
    assert!(
        problem
            .message
            .contains("spec.limits.uploadBytes of the Validator is 1Ki"),
        "{}",
        problem.message
    );
    assert_eq!(said(&free, ("PUT", &path), "alice", file).await.0, 201);
}

#[tokio::test]
async fn a_client_beyond_its_uploads_is_told_so_and_another_is_not() {
    let router = router(Limits {
        uploads_per_client: Some(1),
        ..Limits::default()
    });
    // A file that never comes to its end.
    let path = format!("/v1/artifacts/n/{}", Digest::of(b"never"));
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let mut begun = Some(begun);
    let endless = futures::stream::poll_fn(move |_| {
        if let Some(begun) = begun.take() {
            let _ = begun.send(());
        }
        Poll::<Option<Result<bytes::Bytes, std::io::Error>>>::Pending
    });
    let endless = Body::from_stream(endless);
    let call = Request::builder()
        .method("PUT")
        .uri(&path)
        .header("authorization", "Bearer alice")
        .body(endless)
        .unwrap();
    let waiting = tokio::spawn(router.clone().oneshot(call));
    let file = b"file".to_vec();
    let path = format!("/v1/artifacts/n/{}", Digest::of(&file));
    // It is asked for its bytes, so it has its place.
    has_begun.await.unwrap();
    let (status, body) = said(&router, ("PUT", &path), "alice", file.clone()).await;
    assert_eq!(status, 429);
    let refused = problem_of(&body);
    assert_eq!(refused.reason, "LimitReached");
    assert!(
        refused
            .message
            .contains("spec.limits.uploadsPerClient of the Validator is 1"),
        "{}",
        refused.message
    );
    assert_eq!(said(&router, ("PUT", &path), "bob", file.clone()).await.0, 201);
    // What breaks off counts no more.
    waiting.abort();
    let _ = waiting.await;
    assert_eq!(said(&router, ("PUT", &path), "alice", file).await.0, 201);
}

#[tokio::test]
async fn what_goes_beyond_a_namespaces_quota_is_refused_by_its_name_at_the_door() {
    let router = router_of(Limited(Limits::default(), Some(AtomicUsize::new(3000))));
    let put = async |file: Vec<u8>| {
        let path = format!("/v1/artifacts/n/{}", Digest::of(&file));
        said(&router, ("PUT", &path), "alice", file).await
    };
    let (status, body) = put(vec![1; 3001]).await;
    let problem = problem_of(&body);
    assert_eq!((status, problem.reason.as_str()), (403, "QuotaReached"));
    assert_eq!(problem.message, "more than 3000 bytes");
    assert_eq!(put(vec![2; 2000]).await.0, 201);
    assert_eq!(put(vec![3; 2000]).await.0, 403, "a thousand are left");
    assert_eq!(put(vec![4; 1000]).await.0, 201);
    // What the namespace has takes nothing more.
    assert_eq!(put(vec![2; 2000]).await.0, 201);
    let (status, body) = put(vec![5; 1]).await;
    let problem = problem_of(&body);
    assert_eq!(
        (status, problem.message.as_str()),
        (403, "spec.quotas.uploadBytes")
    );

    let mut request = one();
    let create = ("POST", "/v1/requests");
    let body = |request: &InferenceRequest| serde_json::to_vec(request).unwrap();
    assert_eq!(said(&router, create, "alice", body(&request)).await.0, 201);
    request.metadata.namespace = Some("full".to_owned());
    let (status, body) = said(&router, create, "alice", body(&request)).await;
    let problem = problem_of(&body);
    assert_eq!((status, problem.reason.as_str()), (403, "QuotaReached"));
    assert_eq!(problem.message, "spec.quotas.receiptBytes");
}

#[tokio::test]
async fn whoever_may_update_a_request_erases_it_and_is_named() {
    let router = router(Limits::default());
    let erase = ("POST", "/v1/requests/n/one/erase");
    let (status, body) = said(&router, erase, "viewer", Vec::new()).await;
    let problem = problem_of(&body);
    assert_eq!((status, problem.reason.as_str()), (403, "Forbidden"));
    assert!(problem.message.contains("may not update"), "{}", problem.message);
    let (status, body) = said(&router, erase, "owner", Vec::new()).await;
    assert_eq!((status, whose(&body).as_str()), (202, "owner"));
    let other = ("POST", "/v1/requests/n/two/erase");
    let (status, body) = said(&router, other, "owner", Vec::new()).await;
    assert_eq!((status, problem_of(&body).reason.as_str()), (404, "NotFound"));
}

#[tokio::test]
async fn requests_that_never_come_to_their_end_keep_no_client_and_no_worker_out() {
    let router = router(Limits::default());
    let create = ("POST", "/v1/requests");
    let (first, second) = (
        Stalled::new(&router, create, "mallory", 40),
        Stalled::new(&router, create, "oscar", 40),
    );
    sleep(Duration::from_secs(1)).await;
    // Of 3 MiB each; half of 64 MiB is the most that one caller has.
    assert_eq!((first.begun(), second.begun()), (10, 10));
    let begun = Instant::now();
    let body = serde_json::to_vec(&one()).unwrap();
    let (status, made) = said(&router, create, "alice", body).await;
    assert_eq!((status, whose(&made).as_str()), (201, "alice"));
    let claims = claim_request(0).to_string().into_bytes();
    let (status, _) = said(&router, ("POST", "/v1/work/claims"), WORKER, claims).await;
    assert_eq!(status, 204);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn uploads_that_never_come_to_their_end_hold_no_more_than_their_share() {
    let router = router(Limits::default());
    let path = format!("/v1/artifacts/n/{}", Digest::of(b"never"));
    let stalled = Stalled::new(&router, ("PUT", &path), "mallory", 20);
    sleep(Duration::from_millis(500)).await;
    // Of 5 MiB each; half of 40 MiB.
    assert_eq!(stalled.begun(), 4);
    let file = b"file".to_vec();
    let path = format!("/v1/artifacts/n/{}", Digest::of(&file));
    let begun = Instant::now();
    assert_eq!(said(&router, ("PUT", &path), "alice", file).await.0, 201);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_request_for_a_namespace_where_its_client_may_make_none_is_refused_whatever_else_is_in_it() {
    let router = router(Limits::default());
    let create = ("POST", "/v1/requests");
    // Whether the rest is a request is found out for who may make one.
    let stated = json!({ "metadata": { "namespace": "n" }, "spec": 7 }).to_string();
    let (status, body) = said(&router, create, NOBODY, stated.clone().into_bytes()).await;
    assert_eq!((status, problem_of(&body).reason.as_str()), (403, "Forbidden"));
    for text in [
        stated.as_str(),
        "{",
        "[]",
        "{}",
        r#"{"metadata": {}}"#,
        r#"{"metadata": 1}"#,
    ] {
        let (status, body) = said(&router, create, "alice", text.into()).await;
        assert_eq!(
            (status, problem_of(&body).reason.as_str()),
            (400, "InvalidBody"),
            "{text}"
        );
    }
}
