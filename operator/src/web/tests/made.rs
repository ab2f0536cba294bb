//! What viewers make: files and objects, and what is refused before anything of it is read.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tower::{ServiceExt, service_fn};
use zkinfer_crds::Digest;

use super::super::made::MAX_OBJECT;
use super::{ALL, SOME, World, bytes, is, json_of, reason, request};

/// An API server that makes what it is given, and says who asked; of the name `taken` it has one.
pub(super) fn client(bearer: String) -> kube::Client {
    let service = service_fn(move |request: Request<kube::client::Body>| {
        let bearer = bearer.clone();
        async move {
            let path = request.uri().path().to_owned();
            let body = request.into_body().collect_bytes().await.unwrap_or_default();
            let mut object: Value = serde_json::from_slice(&body).unwrap_or_default();
            let (code, answer) = if object["metadata"]["name"] == "taken" {
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 409,
                    "reason": "AlreadyExists", "message": "models.zkinfer.dev \"taken\" already exists",
                });
                (StatusCode::CONFLICT, status)
            } else {
                object["metadata"]["uid"] = json!(format!("{bearer} {path}"));
                (StatusCode::CREATED, object)
            };
            let response = Response::builder()
                .status(code)
                .body(Body::from(answer.to_string()));
            Ok::<_, Infallible>(response.unwrap_or_default())
        }
    });
    kube::Client::new(service, "default")
}

fn model(name: &str) -> Value {
    json!({
        "apiVersion": "zkinfer.dev/v1alpha1", "kind": "Model", "metadata": { "name": name },
        "spec": { "source": { "artifact": Digest::of(b"model") }, "proofSystem": "SumcheckWhir" },
    })
}

impl World {
    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// An object from the page itself.
    async fn post(&self, path: &str, token: &str, body: impl Into<Body>) -> Response<Body> {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("host", "127.0.0.1:4000"),
            ("origin", "http://127.0.0.1:4000"),
            ("authorization", &bearer),
            ("content-type", "application/json"),
        ];
        self.send("POST", path, &headers, body).await
    }

    async fn put_file(&self, path: &str, token: &str, body: impl Into<Body>) -> Response<Body> {
        let bearer = format!("Bearer {token}");
        let headers = [("host", "127.0.0.1:4000"), ("authorization", &bearer)];
        self.send("PUT", path, &headers, body).await
    }
}

#[tokio::test]
async fn an_object_is_made_by_the_api_server_for_the_viewers_own_token() {
    let world = World::new();
    let made = world
        .post("/api/v1/models/n", ALL, model("wine").to_string())
        .await;
    assert_eq!(made.status(), StatusCode::CREATED);
    let made = json_of(made).await;
    assert_eq!(
        made["metadata"]["uid"],
        "all /apis/zkinfer.dev/v1alpha1/namespaces/n/models"
    );
    assert_eq!(made["spec"]["controllerClass"], "default");
    let input = request("own", "2026-11-30T00:00:00Z", &Value::Null);
    let input = serde_json::to_string(&input).unwrap();
    let made = world.post("/api/v1/requests/n", ALL, input).await;
    assert_eq!(made.status(), StatusCode::CREATED);
    let text = bytes(made).await;
    assert!(
        !String::from_utf8_lossy(&text).contains("0.123456"),
        "nor are its values sent back"
    );
}

#[tokio::test]
async fn what_the_api_server_refuses_is_told_in_its_words() {
    let world = World::new();
    let refused = world
        .post("/api/v1/models/n", ALL, model("taken").to_string())
        .await;
    assert_eq!(refused.status(), StatusCode::CONFLICT);
    let told = json_of(refused).await;
    assert_eq!(told["reason"], "AlreadyExists");
    assert!(
        told["message"].as_str().unwrap().contains("already exists"),
        "{told}"
    );
}

#[tokio::test]
async fn nobody_makes_anything_who_may_not_or_from_elsewhere() {
    let world = World::new();
    let body = || model("wine").to_string();
    let of = |token: &'static str, path: &'static str| world.post(path, token, body());
    assert_eq!(
        reason(of("guess", "/api/v1/models/n").await).await,
        is(401, "UnknownToken")
    );
    assert_eq!(
        reason(of(SOME, "/api/v1/models/n").await).await,
        is(403, "Forbidden")
    );
    assert_eq!(
        reason(of(SOME, "/api/v1/requests/n").await).await,
        is(403, "Forbidden")
    );
    let host = ("host", "127.0.0.1:4000");
    let bearer = ("authorization", "Bearer all");
    let type_ = ("content-type", "application/json");
    for (headers, answer) in [
        (
            vec![("host", "evil.example:4000"), bearer, type_],
            is(421, "OtherHost"),
        ),
        (
            vec![host, bearer, type_, ("origin", "http://evil.example")],
            is(403, "OtherOrigin"),
        ),
        (
            vec![host, bearer, type_, ("sec-fetch-site", "cross-site")],
            is(403, "OtherOrigin"),
        ),
        // A form may be sent from any page without being asked for.
        (
            vec![host, bearer, ("content-type", "text/plain")],
            is(400, "InvalidBody"),
        ),
    ] {
        let sent = world.send("POST", "/api/v1/models/n", &headers, body()).await;
        assert_eq!(reason(sent).await, answer, "{headers:?}");
    }
    let upload = format!("/api/v1/artifacts/n/{}", Digest::of(b"model"));
    let elsewhere = [host, bearer, ("origin", "http://evil.example")];
    let sent = world.send("PUT", &upload, &elsewhere, "model").await;
    assert_eq!(reason(sent).await, is(403, "OtherOrigin"));
}

#[tokio::test]
async fn an_object_that_is_too_large_or_none_is_refused() {
    let world = World::new();
    let large = vec![b' '; MAX_OBJECT + 1];
    let refused = world.post("/api/v1/models/n", ALL, large).await;
    assert_eq!(reason(refused).await, is(413, "TooLarge"));
    for text in ["", "{", "[]", r#"{"kind":"ConfigMap","apiVersion":"v1"}"#] {
        let refused = world.post("/api/v1/models/n", ALL, text).await;
        assert_eq!(reason(refused).await, is(400, "InvalidBody"), "{text}");
    }
    let mut elsewhere = model("wine");
    elsewhere["metadata"]["namespace"] = json!("other");
    let refused = world.post("/api/v1/models/n", ALL, elsewhere.to_string()).await;
    assert_eq!(reason(refused).await, is(400, "InvalidBody"));
}

#[tokio::test]
async fn a_file_is_taken_under_its_digest_from_whoever_may_name_it() {
    let world = World::new();
    let digest = Digest::of(b"model");
    let path = format!("/api/v1/artifacts/n/{digest}");
    assert_eq!(
        reason(world.put_file(&path, "guess", "model").await).await,
        is(401, "UnknownToken")
    );
    assert_eq!(
        reason(world.put_file(&path, SOME, "model").await).await,
        is(403, "Forbidden")
    );
    assert_eq!(
        reason(world.put_file(&path, ALL, "another").await).await,
        is(422, "OtherDigest")
    );
    let taken = world.put_file(&path, ALL, "model").await;
    assert_eq!(taken.status(), StatusCode::CREATED);
    assert!(world.artifacts.blob_is_of(&digest, "n").await.unwrap());
    assert!(!world.artifacts.blob_is_of(&digest, "other").await.unwrap());
    let nonsense = world.put_file("/api/v1/artifacts/n/nonsense", ALL, "model").await;
    assert_eq!(nonsense.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_float_answer_is_shown_beside_a_proved_one_and_beside_none_else() {
    let mut world = World::new();
    let mut proving = request("own", "2026-11-30T00:00:00Z", &json!({ "phase": "Proving" }));
    proving.metadata.uid = Some("u".to_owned());
    let mut done = request("done", "2026-11-30T00:00:00Z", &json!({ "phase": "Succeeded" }));
    done.metadata.uid = Some("v".to_owned());
    world.put(proving);
    world.put(done);
    let of = |name: &str| format!("/api/v1/requests/n/{name}/float");
    assert_eq!(
        reason(world.call(&of("own"), SOME).await).await,
        is(404, "NotFound")
    );
    assert_eq!(
        reason(world.call(&of("done"), SOME).await).await,
        is(403, "Forbidden")
    );
    let told = bytes(world.call(&of("done"), ALL).await).await;
    let expected = r#"[{"name":"y","shape":[1,2],"values":[0.5,null],"count":2}]"#;
    assert_eq!(told, Bytes::from(expected));
}
