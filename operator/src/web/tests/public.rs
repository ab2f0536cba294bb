//! Where the Validator lets everybody look: what whoever has no token sees, and what they never see; and where it does not.

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use futures::StreamExt;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use tower::ServiceExt;
use zkinfer_crds::Digest;

use super::super::front::ANYBODY;
use super::ledger::{MINER, put_pool};
use super::{ALL, SOME, World, bytes, is, json_of, reason, request};

/// What is counted of all.
const COUNTED: [&str; 4] = [
    "/api/v1/overview",
    "/api/v1/history?hours=24",
    "/api/v1/pools/n/fast",
    "/api/v1/validator",
];
/// What is told of one request, or of one Model.
const OF_ONE: [&str; 7] = [
    "/api/v1/requests/n/own",
    "/api/v1/requests/n/own/receipt",
    "/api/v1/requests/n/own/float",
    "/api/v1/models/n/wine",
    "/api/v1/models/n/wine/manifest",
    "/api/v1/models/n/wine/tensors",
    "/api/v1/models/n/wine/graph",
];
const HOST: [(&str, &str); 1] = [("host", "127.0.0.1:4000")];

/// A request that has an answer, a pool whose condition says where it runs, and a Validator.
fn world(public: bool) -> World {
    let mut world = World::new();
    world.book.public.store(public, Ordering::Relaxed);
    let row = json!({
        "slice": 0, "pool": "n/fast", "identity": MINER, "attempt": 1, "millis": 30, "bytes": 900,
        "verdict": "Verified", "message": "hidden",
    });
    let status = json!({
        "phase": "Succeeded", "finishedAt": "2026-11-30T00:00:02Z", "recentSlices": [row],
        "output": { "name": "y", "shape": [1], "values": [0.625], "label": "hidden" },
    });
    world.put(request("own", "2026-11-30T00:00:00Z", &status));
    let condition = json!({
        "type": "Ready", "status": "True", "reason": "Serving", "message": "hidden",
        "lastTransitionTime": "2026-11-30T00:00:00Z",
    });
    put_pool(
        &mut world,
        &json!({ "identity": MINER, "scoreMillionths": 7, "conditions": [condition] }),
    );
    let settings = json!({ "network": "main", "sourceUrls": ["https://hidden.example/"] });
    let validator = serde_json::from_value(json!({
        "apiVersion": "zkinfer.dev/v1alpha1", "kind": "Validator",
        "metadata": { "name": "zkinfer", "namespace": "system" }, "spec": settings,
        "status": { "settings": settings, "totals": { "requestsSucceeded": 1 } },
    }));
    let event = Event::Apply(validator.unwrap());
    world.feeds.validators.writer.apply_watcher_event(&event);
    world
}

impl World {
    async fn anybody(&self, path: &str) -> axum::http::Response<Body> {
        self.get(path, &HOST).await
    }
}

#[tokio::test]
async fn unless_the_validator_says_so_nobody_sees_anything_without_a_token() {
    let world = world(false);
    for path in COUNTED.iter().chain(&OF_ONE).chain(&["/api/v1/events"]) {
        let refused = reason(world.anybody(path).await).await;
        assert_eq!(refused, is(401, "UnknownToken"), "{path}");
    }
    assert_eq!(
        json_of(world.anybody("/api/v1/access").await).await,
        json!({ "public": false })
    );
}

#[tokio::test]
async fn public_stats_are_counts_for_everybody_and_tell_nothing_of_one_request_or_model() {
    let world = world(true);
    assert_eq!(
        json_of(world.anybody("/api/v1/access").await).await,
        json!({ "public": true })
    );
    for path in COUNTED {
        let shown = world.anybody(path).await;
        assert_eq!(shown.status(), StatusCode::OK, "{path}");
        let text = String::from_utf8(bytes(shown).await.to_vec()).unwrap();
        for secret in ["hidden", "\"own\"", "wine", "0.625"] {
            assert!(!text.contains(secret), "{path} tells {secret}: {text}");
        }
    }
    for path in OF_ONE {
        let refused = reason(world.anybody(path).await).await;
        assert_eq!(refused, is(401, "UnknownToken"), "{path}");
    }
    let told = json_of(world.anybody("/api/v1/overview").await).await;
    let requests = &told["requests"];
    assert_eq!(
        (&requests["count"], &requests["latest"], &requests["proofs"]),
        (&json!(1), &json!([]), &json!([]))
    );
    assert_eq!(
        (&requests["latency"]["p50"], &requests["proofBytes"]["most"]),
        (&json!(2000), &json!(900))
    );
    assert_eq!(
        (&told["models"], &told["pools"]["count"]),
        (&Value::Null, &json!(1))
    );
    let pool = json_of(world.anybody("/api/v1/pools/n/fast").await).await;
    assert_eq!(pool["pool"]["status"]["scoreMillionths"], 7);
    let validator = json_of(world.anybody("/api/v1/validator").await).await;
    let status = &validator["validators"][0]["status"];
    assert_eq!(
        status["settings"],
        json!({ "network": "main", "maxErrorMillionths": 10_000 })
    );
    assert_eq!(status["totals"]["requestsSucceeded"], 1);
}

#[tokio::test]
async fn nothing_is_made_without_a_token_however_public_stats_are() {
    let world = world(true);
    let digest = Digest::of(b"file");
    let file = format!("/api/v1/artifacts/n/{digest}");
    for (method, path) in [
        ("POST", "/api/v1/requests/n"),
        ("POST", "/api/v1/models/n"),
        ("PUT", &*file),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST[0].0, HOST[0].1);
        let request = request.header("content-type", "application/json");
        let response = world
            .router
            .clone()
            .oneshot(request.body(Body::from("{}")).unwrap());
        let refused = reason(response.await.unwrap()).await;
        assert_eq!(refused, is(401, "UnknownToken"), "{method} {path}");
    }
}

#[tokio::test]
async fn a_token_shows_what_it_did_and_no_less_than_everybody_sees_and_one_that_is_unknown_stays_unknown() {
    let world = world(true);
    for path in COUNTED.iter().chain(&OF_ONE) {
        let refused = reason(world.call(path, "guess").await).await;
        assert_eq!(refused, is(401, "UnknownToken"), "{path}");
    }
    let own = json_of(world.call("/api/v1/overview?namespace=n", SOME).await).await;
    assert_eq!(own["requests"]["latest"][0]["name"], "own");
    for path in COUNTED {
        let shown = world.call(path, SOME).await;
        assert_eq!(shown.status(), StatusCode::OK, "{path}");
        let text = String::from_utf8(bytes(shown).await.to_vec()).unwrap();
        assert!(
            !text.contains("hidden") && !text.contains("wine"),
            "{path}: {text}"
        );
    }
    for path in ["/api/v1/models/n/wine", "/api/v1/requests/n/other"] {
        let refused = reason(world.call(path, SOME).await).await;
        assert_eq!(refused, is(403, "Forbidden"), "{path}");
    }
    let all = json_of(world.call("/api/v1/pools/n/fast", ALL).await).await;
    assert_eq!(all["pool"]["status"]["conditions"][0]["message"], "hidden");
}

#[tokio::test]
async fn without_a_token_only_the_whole_is_shown_and_in_few_windows() {
    let world = world(true);
    for path in ["/api/v1/overview?namespace=n", "/api/v1/events?namespace=n"] {
        let refused = reason(world.anybody(path).await).await;
        assert_eq!(refused, is(403, "Forbidden"), "{path}");
    }
    let path = "/api/v1/history?hours=25";
    assert_eq!(reason(world.anybody(path).await).await, is(400, "InvalidQuery"));
    assert_eq!(world.call(path, ALL).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_line_without_a_token_ends_when_stats_are_public_no_more() {
    let world = world(true);
    let mut stream = world
        .anybody("/api/v1/events")
        .await
        .into_body()
        .into_data_stream();
    let first = String::from_utf8(stream.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(
        first.starts_with("event: overview\n") && !first.contains("wine"),
        "{first}"
    );
    world.book.public.store(false, Ordering::Relaxed);
    let last = String::from_utf8(stream.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(
        last.starts_with("event: refused\n") && last.contains("UnknownToken"),
        "{last}"
    );
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn whoever_has_a_token_finds_a_place_however_many_look_without_one() {
    let world = world(true);
    let mut open = Vec::new();
    for _ in 0..ANYBODY {
        let response = world.anybody("/api/v1/events").await;
        assert_eq!(response.status(), StatusCode::OK);
        open.push(response);
    }
    let one_more = world.anybody("/api/v1/events").await;
    assert_eq!(reason(one_more).await, is(503, "TooManyViewers"));
    assert_eq!(world.call("/api/v1/events", ALL).await.status(), StatusCode::OK);
    open.pop();
    assert_eq!(world.anybody("/api/v1/events").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn tiles_are_shown_by_pages_of_others_where_stats_are_public_and_by_nobody_otherwise() {
    let elsewhere = [
        HOST[0],
        ("sec-fetch-site", "cross-site"),
        ("referer", "https://blog.example/"),
    ];
    for (public, status, shown_by) in [(true, 200, "cross-origin"), (false, 404, "same-origin")] {
        let world = world(public);
        for name in ["requests", "latency", "proofs", "miners"] {
            let tile = world.get(&format!("/tiles/{name}.svg"), &elsewhere).await;
            assert_eq!(tile.status(), status, "{name}");
            let headers = tile.headers();
            assert_eq!(headers["cross-origin-resource-policy"], shown_by, "{name}");
            assert!(headers.contains_key("content-security-policy"));
            if public {
                assert_eq!(headers["content-type"], "image/svg+xml");
                let svg = String::from_utf8(bytes(tile).await.to_vec()).unwrap();
                assert!(svg.starts_with("<svg") && !svg.contains("hidden"), "{svg}");
            }
        }
        let none = world.get("/tiles/none.svg", &HOST).await;
        assert_eq!(reason(none).await, is(404, "NotFound"));
        let other = [("host", "evil.example"), elsewhere[1]];
        assert_eq!(world.get("/tiles/miners.svg", &other).await.status(), 421);
    }
}
