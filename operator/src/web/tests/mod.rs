//! The server: who is answered, under what policy, and how much anybody can hold.

mod compiled;
mod counted;
mod ledger;
mod made;
mod nothing;
mod proxy;
mod public;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, Response, StatusCode};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;
use zkinfer_crds::Digest;
use zkinfer_crds::k8s::InferenceRequest;

use self::nothing::Nothing;
use super::front::{Front, VIEWERS};
use super::{FloatOutput, Floats, Hosts, Maker, NoFloat, Shown, router};
use crate::artifacts::Artifacts;
use crate::gateway::{Access, AuthUnavailable, Bodies, Clients, Guard, Peer, Right, Uploads};
use crate::world::{Feeds, watched};

/// May do all; may list requests and read `own` in namespace `n`; nobody else is known.
const ALL: &str = "all";
const SOME: &str = "some";

struct Rights;

impl Guard for Rights {
    fn user<'a>(
        &'a self,
        bearer: &'a str,
        _: Peer,
    ) -> BoxFuture<'a, Result<Option<String>, AuthUnavailable>> {
        let known = [ALL, SOME].contains(&bearer);
        std::future::ready(Ok(known.then(|| bearer.to_owned()))).boxed()
    }

    fn right<'a>(
        &'a self,
        bearer: &'a str,
        _: Peer,
        access: Access,
    ) -> BoxFuture<'a, Result<Right, AuthUnavailable>> {
        let some = access.namespace == "n" && access.resource == "inferencerequests";
        let right = match bearer {
            ALL => Right::Granted,
            SOME if some && (access.verb == "list" || access.name.as_deref() == Some("own")) => {
                Right::Granted
            }
            SOME => Right::Denied,
            _ => Right::Unknown,
        };
        std::future::ready(Ok(right)).boxed()
    }
}

/// Says the same to every request; an API server that is away.
struct Same;

impl Floats for Same {
    fn answer(&self, _: Arc<InferenceRequest>) -> BoxFuture<'_, Result<Vec<FloatOutput>, NoFloat>> {
        let output = FloatOutput {
            name: "y".to_owned(),
            shape: vec![1, 2],
            values: vec![Some(0.5), None],
            count: 2,
        };
        std::future::ready(Ok(vec![output])).boxed()
    }
}

impl Maker for Same {
    fn client(&self, bearer: &str) -> Result<kube::Client, String> {
        Ok(made::client(bearer.to_owned()))
    }
}

/// A server whose stores hold what is put there.
struct World {
    router: Router,
    feeds: Feeds,
    artifacts: Artifacts,
    book: Arc<ledger::Book>,
    front: Front,
    stop: watch::Sender<bool>,
}

fn own() -> Hosts {
    Hosts::Loopback(SocketAddr::from(([127, 0, 0, 1], 4000)))
}

impl World {
    fn new() -> Self {
        let (stores, _wake, feeds) = watched();
        let artifacts = Artifacts::memory();
        let book = Arc::new(ledger::Book::default());
        let (stop, stopped) = watch::channel(false);
        let shown = Shown {
            requests: stores.requests.clone(),
            models: stores.models.clone(),
            pools: stores.pools.clone(),
            artifacts: artifacts.clone(),
            clients: Clients {
                guard: Arc::new(Rights),
                directory: Arc::new(Nothing),
                uploads: Uploads::default(),
                bodies: Bodies::default(),
            },
            compiled: Arc::new(compiled::Two),
            floats: Arc::new(Same),
            class: "default".to_owned(),
            validators: stores.validators.clone(),
            ledger: Arc::<ledger::Book>::clone(&book),
        };
        let front = Front::new(shown, Arc::new(Same), stopped);
        Self {
            router: router(front.clone(), own()),
            feeds,
            artifacts,
            book,
            front,
            stop,
        }
    }

    fn put(&mut self, request: InferenceRequest) {
        self.feeds
            .requests
            .writer
            .apply_watcher_event(&Event::Apply(request));
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// With a token, from a page of its own.
    async fn call(&self, path: &str, token: &str) -> Response<Body> {
        let bearer = format!("Bearer {token}");
        self.get(path, &[("host", "127.0.0.1:4000"), ("authorization", &bearer)])
            .await
    }
}

async fn bytes(response: Response<Body>) -> Bytes {
    axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap()
}

async fn json_of(response: Response<Body>) -> Value {
    serde_json::from_slice(&bytes(response).await).unwrap()
}

async fn reason(response: Response<Body>) -> (u16, String) {
    let status = response.status().as_u16();
    let reason = json_of(response).await["reason"].as_str().unwrap().to_owned();
    (status, reason)
}

fn is(status: u16, reason: &str) -> (u16, String) {
    (status, reason.to_owned())
}

/// A request of the Model `wine` in namespace `n`.
fn request(name: &str, created: &str, status: &Value) -> InferenceRequest {
    serde_json::from_value(json!({
        "apiVersion": "zkinfer.dev/v1alpha1", "kind": "InferenceRequest",
        "metadata": { "name": name, "namespace": "n", "creationTimestamp": created, "resourceVersion": "7" },
        "spec": {
            "modelRef": { "name": "wine" },
            "input": { "inline": { "x": { "shape": [1, 2], "data": [0.123_456, 0.5] } } },
        },
        "status": status,
    }))
    .unwrap()
}

#[tokio::test]
async fn nobody_is_answered_before_they_are_known_and_then_only_what_they_may_see() {
    let mut world = World::new();
    world.put(request(
        "own",
        "2026-11-30T00:00:00Z",
        &json!({ "phase": "Proving" }),
    ));
    world.put(request(
        "other",
        "2026-11-30T00:00:00Z",
        &json!({ "phase": "Proving" }),
    ));
    for path in [
        "/api/v1/overview",
        "/api/v1/events",
        "/api/v1/requests/n/own",
        "/api/v1/requests/n/own/receipt",
        "/api/v1/requests/n/own/float",
        "/api/v1/models/n/wine",
        "/api/v1/models/n/wine/manifest",
        "/api/v1/models/n/wine/tensors",
        "/api/v1/models/n/wine/graph",
        "/api/v1/pools/n/fast",
        "/api/v1/validator",
    ] {
        assert_eq!(
            reason(world.call(path, "guess").await).await,
            is(401, "UnknownToken"),
            "{path}"
        );
        let without = world.get(path, &[("host", "127.0.0.1:4000")]).await;
        assert_eq!(reason(without).await, is(401, "UnknownToken"), "{path}");
    }
    assert_eq!(
        reason(world.call("/api/v1/overview", SOME).await).await,
        is(403, "Forbidden")
    );
    let own = json_of(world.call("/api/v1/overview?namespace=n", SOME).await).await;
    assert_eq!(
        (&own["requests"]["count"], &own["models"], &own["pools"]),
        (&json!(2), &Value::Null, &Value::Null)
    );
    let all = json_of(world.call("/api/v1/overview", ALL).await).await;
    assert_eq!(
        (
            &all["requests"]["count"],
            &all["models"]["count"],
            &all["pools"]["count"]
        ),
        (&json!(2), &json!(0), &json!(0))
    );
    assert_eq!(
        world.call("/api/v1/requests/n/own", SOME).await.status(),
        StatusCode::OK
    );
    for path in [
        "/api/v1/requests/n/other",
        "/api/v1/models/n/wine",
        "/api/v1/models/n/wine/graph",
        "/api/v1/pools/n/fast",
        "/api/v1/validator",
    ] {
        assert_eq!(
            reason(world.call(path, SOME).await).await,
            is(403, "Forbidden"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_page_of_another_site_gets_nothing_and_nothing_is_changed_from_here() {
    let world = World::new();
    let bearer = ("authorization", "Bearer all");
    let host = ("host", "127.0.0.1:4000");
    let path = "/api/v1/overview";
    for (headers, answer) in [
        (vec![("host", "evil.example:4000"), bearer], is(421, "OtherHost")),
        (vec![bearer], is(421, "OtherHost")),
        (
            vec![host, bearer, ("origin", "http://evil.example")],
            is(403, "OtherOrigin"),
        ),
        (vec![host, bearer, ("origin", "null")], is(403, "OtherOrigin")),
        (
            vec![host, bearer, ("sec-fetch-site", "cross-site")],
            is(403, "OtherOrigin"),
        ),
    ] {
        assert_eq!(
            reason(world.get(path, &headers).await).await,
            answer,
            "{headers:?}"
        );
    }
    let same = [
        host,
        bearer,
        ("origin", "http://127.0.0.1:4000"),
        ("sec-fetch-site", "same-origin"),
    ];
    assert_eq!(world.get(path, &same).await.status(), StatusCode::OK);
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(host.0, host.1)
            .header(bearer.0, bearer.1);
        let response = world
            .router
            .clone()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert!(response.headers().get("access-control-allow-origin").is_none());
    }
}

#[tokio::test]
async fn every_answer_carries_the_policy_sets_no_cookie_and_is_not_kept_where_it_is_data() {
    let world = World::new();
    for path in [
        "/",
        "/requests/n/own",
        "/no.file",
        "/api/v1/overview",
        "/api/v1/nonsense",
    ] {
        let response = world.call(path, "guess").await;
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .map(|v| v.to_str().unwrap().to_owned())
        };
        let policy = header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert_eq!(
            header("x-content-type-options").as_deref(),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(header("set-cookie"), None, "{path}");
        if path.starts_with("/api/") {
            assert_eq!(header("cache-control").as_deref(), Some("no-store"), "{path}");
        }
    }
    let refused = world.get("/", &[("host", "evil.example")]).await;
    assert!(
        refused.headers().contains_key("content-security-policy"),
        "nor one that is refused"
    );
}

#[tokio::test]
async fn a_request_is_shown_with_its_status_and_without_the_values_of_its_input() {
    let mut world = World::new();
    let receipt = Digest::of(b"receipt");
    let status = json!({ "phase": "Succeeded", "receipt": { "digest": receipt, "bytes": 7 } });
    world.put(request("own", "2026-11-30T00:00:00Z", &status));
    let text = bytes(world.call("/api/v1/requests/n/own", SOME).await).await;
    assert!(!String::from_utf8_lossy(&text).contains("0.123456"));
    let shown: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(
        shown["input"]["inline"],
        json!([{ "name": "x", "shape": [1, 2] }])
    );
    assert_eq!(shown["status"]["phase"], "Succeeded");
    // The status names a receipt, and the store says whose it is.
    let path = "/api/v1/requests/n/own/receipt";
    assert_eq!(reason(world.call(path, SOME).await).await, is(404, "NotFound"));
    world
        .artifacts
        .put_receipt(Bytes::from_static(b"receipt"), "other")
        .await
        .unwrap();
    assert_eq!(reason(world.call(path, SOME).await).await, is(404, "NotFound"));
    world
        .artifacts
        .put_receipt(Bytes::from_static(b"receipt"), "n")
        .await
        .unwrap();
    assert_eq!(bytes(world.call(path, SOME).await).await, "receipt");
    assert_eq!(
        reason(world.call("/api/v1/requests/n/none", ALL).await).await,
        is(404, "NotFound")
    );
    assert_eq!(
        reason(world.call("/api/v1/models/n/wine/graph", ALL).await).await,
        is(404, "NotFound")
    );
}

#[tokio::test]
async fn what_is_asked_for_wrongly_is_refused_by_name() {
    let world = World::new();
    for query in ["?namespace=UPPER", "?namespace=a/b", "?other=x"] {
        let path = format!("/api/v1/overview{query}");
        assert_eq!(
            reason(world.call(&path, ALL).await).await,
            is(400, "InvalidQuery"),
            "{query}"
        );
    }
    assert_eq!(
        reason(world.call("/api/v1/nonsense", ALL).await).await,
        is(404, "NotFound")
    );
}

#[tokio::test]
async fn a_stream_tells_news_and_ends_with_the_operator() {
    let mut world = World::new();
    let response = world.call("/api/v1/events?namespace=n", SOME).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut stream = response.into_body().into_data_stream();
    let first = String::from_utf8(stream.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(
        first.starts_with("event: overview\ndata: {") && first.ends_with("}\n\n"),
        "{first}"
    );
    world.put(request(
        "own",
        "2020-01-01T00:00:00Z",
        &json!({ "phase": "Proving" }),
    ));
    let next = String::from_utf8(stream.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(next.contains(r#""Proving":1"#), "{next}");
    world.stop.send(true).unwrap();
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn only_so_many_pages_follow_at_once_and_one_that_is_closed_makes_room() {
    let world = World::new();
    let mut open = Vec::new();
    for _ in 0..VIEWERS {
        let response = world.call("/api/v1/events", ALL).await;
        assert_eq!(response.status(), StatusCode::OK);
        open.push(response);
    }
    let one_more = world.call("/api/v1/events", ALL).await;
    assert_eq!(reason(one_more).await, is(503, "TooManyViewers"));
    assert_eq!(world.front.viewers.available_permits(), 0);
    open.pop();
    assert_eq!(world.call("/api/v1/events", ALL).await.status(), StatusCode::OK);
}
