//! The proxy of `studio`: whose calls go on, and what of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, Uri};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;
use tokio::net::TcpListener;
use tower::ServiceExt;

use super::super::{Proxy, Upstream};
use super::{Arc, Router, SocketAddr, bytes, is, json_of, reason};

const SECRET: &str = "secret of this run";
const TOKEN: &str = "the person's own";

struct There {
    address: Mutex<String>,
    lost: AtomicUsize,
}

impl Upstream for There {
    fn reach(&self) -> BoxFuture<'_, Result<(String, String), String>> {
        let address = self.address.lock().unwrap().clone();
        std::future::ready(Ok((address, TOKEN.to_owned()))).boxed()
    }

    fn lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }
}

/// Says what it was asked.
async fn echo(method: Method, uri: Uri, headers: HeaderMap, body: String) -> axum::Json<serde_json::Value> {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    axum::Json(json!({
        "method": method.as_str(), "path": uri.to_string(), "body": body, "token": header("authorization"),
        "type": header("content-type"), "origin": header("origin"), "cookie": header("cookie"),
    }))
}

async fn proxy() -> (Router, Arc<There>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(echo)).await });
    let there = Arc::new(There {
        address: Mutex::new(address),
        lost: AtomicUsize::new(0),
    });
    let proxy = Proxy {
        address: SocketAddr::from(([127, 0, 0, 1], 4000)),
        secret: SECRET.to_owned(),
        upstream: Arc::clone(&there) as Arc<dyn Upstream>,
    };
    (proxy.router().unwrap(), there)
}

async fn ask(
    router: &Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    router.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn who_knows_the_secret_asks_with_the_persons_token_and_nothing_else_goes_on() {
    let (router, _) = proxy().await;
    let bearer = format!("Bearer {SECRET}");
    let own = [
        ("host", "127.0.0.1:4000"),
        ("origin", "http://127.0.0.1:4000"),
        ("cookie", "a=b"),
        ("content-type", "application/json"),
        ("authorization", bearer.as_str()),
    ];
    let path = "/api/v1/models/n?x=%2F..";
    let answer = ask(&router, "POST", path, &own, "{}").await;
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert!(answer.headers().contains_key("content-security-policy"));
    let told = json_of(answer).await;
    let expected = json!({
        "method": "POST", "path": path, "body": "{}", "token": format!("Bearer {TOKEN}"),
        "type": "application/json", "origin": null, "cookie": null,
    });
    assert_eq!(told, expected);
    // A file of the app is nobody's.
    let file = json_of(ask(&router, "GET", "/app.js", &own[..1], "").await).await;
    assert_eq!((&file["path"], &file["token"]), (&json!("/app.js"), &json!(null)));
}

#[tokio::test]
async fn nobody_else_is_passed_on() {
    let (router, _) = proxy().await;
    let host = ("host", "127.0.0.1:4000");
    let bearer = format!("Bearer {SECRET}");
    let secret = ("authorization", bearer.as_str());
    let path = "/api/v1/overview";
    for (headers, answer) in [
        (vec![host], is(401, "UnknownToken")),
        (
            vec![host, ("authorization", "Bearer guess")],
            is(401, "UnknownToken"),
        ),
        (
            vec![host, ("authorization", "Bearer the person's own")],
            is(401, "UnknownToken"),
        ),
        (vec![secret, ("host", "evil.example:4000")], is(421, "OtherHost")),
        (vec![secret], is(421, "OtherHost")),
        (
            vec![host, secret, ("origin", "http://evil.example")],
            is(403, "OtherOrigin"),
        ),
        (vec![host, secret, ("origin", "null")], is(403, "OtherOrigin")),
        (
            vec![host, secret, ("sec-fetch-site", "same-site")],
            is(403, "OtherOrigin"),
        ),
    ] {
        let refused = ask(&router, "GET", path, &headers, "").await;
        assert_eq!(reason(refused).await, answer, "{headers:?}");
    }
    // Outside of the API nothing is sent.
    let sent = ask(&router, "POST", "/app.js", &[host, secret], "{}").await;
    assert_eq!(reason(sent).await, is(404, "NotFound"));
}

#[tokio::test]
async fn an_operator_that_is_away_is_said_and_another_way_looked_for() {
    let (router, there) = proxy().await;
    *there.address.lock().unwrap() = "http://127.0.0.1:1".to_owned();
    let bearer = format!("Bearer {SECRET}");
    let own = [("host", "127.0.0.1:4000"), ("authorization", bearer.as_str())];
    let refused = ask(&router, "GET", "/api/v1/overview", &own, "").await;
    assert_eq!(refused.status(), 502);
    let text = String::from_utf8(bytes(refused).await.to_vec()).unwrap();
    assert!(text.contains("NoOperator") && !text.contains(TOKEN), "{text}");
    assert_eq!(there.lost.load(Ordering::Relaxed), 1);
}
