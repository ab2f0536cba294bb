//! The API server of local mode: the part of Kubernetes' API that this operator and its clients use, on a store in memory.
//!
//! Invariant: a call is answered as an API server would answer it, or refused with the API's own Status: nothing that is not
//! understood is taken for something else.

mod kinds;
mod query;
mod refused;
mod store;
mod tokens;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::IntoResponse;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use kube::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout_at};
use tower::service_fn;

pub(super) use kinds::Kind;
pub(super) use refused::Refused;
pub(super) use store::{Id, Store};
pub(super) use tokens::{RUNNER, Tokens};

use self::query::{Query, Target};
use super::names::DEFAULT_NAMESPACE;
use crate::gateway::{Caller, Door, known, serve_router};
use crate::web::Maker;

/// The largest body that is read.
const MAX_BODY: usize = 4 << 20;
/// How long a watch lasts for which nobody said how long.
const WATCH: Duration = Duration::from_secs(300);

/// See the module.
#[derive(Clone)]
pub(super) struct ApiServer {
    pub(super) store: Arc<Store>,
    pub(super) tokens: Arc<Tokens>,
}

impl Maker for ApiServer {
    fn client(&self, bearer: &str) -> Result<Client, String> {
        match self.tokens.user(bearer).as_deref() {
            Some(RUNNER) => Ok(Self::client(self)),
            _ => Err("the token is not that of this run".to_owned()),
        }
    }
}

impl ApiServer {
    /// A client of this process, which may do everything.
    pub(super) fn client(&self) -> Client {
        let api = self.clone();
        let service = service_fn(move |request: Request<kube::client::Body>| {
            let api = api.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await?;
                Ok::<_, kube::Error>(api.answer(&Request::from_parts(parts, body)))
            }
        });
        Client::new(service, DEFAULT_NAMESPACE)
    }

    /// Answers those who come with the runner's token, for ever.
    pub(super) async fn serve(self, listener: TcpListener) {
        let router = Router::new().fallback(from_outside).with_state(self);
        let served = serve_router(Door::Objects, listener, router, std::future::pending());
        if let Err(error) = served.await {
            tracing::error!(%error, "objects are not served any more");
        }
    }

    fn answer(&self, request: &Request<Bytes>) -> Response<Body> {
        self.answered(request).unwrap_or_else(|refused| {
            let code = StatusCode::from_u16(refused.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            said(code, &refused.status())
        })
    }

    fn answered(&self, request: &Request<Bytes>) -> Result<Response<Body>, Refused> {
        let query = Query::of(request.uri().query().unwrap_or_default())?;
        let (kind, namespace, name, status) = match Target::of(request.uri().path())? {
            Target::Review(review) => return self.review(request, &review),
            Target::Objects {
                kind,
                namespace,
                name,
                status,
            } => (kind, namespace, name, status),
        };
        let not_allowed = || Refused::not_allowed(format!("{} is not done here", request.method()));
        let Some(name) = name else {
            return match (request.method(), namespace) {
                (&Method::GET, namespace) if query.watch => Ok(self.watch(kind, namespace, query)),
                (&Method::GET, namespace) => Ok(self.list(kind, namespace.as_deref(), &query)),
                (&Method::POST, Some(namespace)) => {
                    let made = self.store.create(kind, &namespace, read(request.body())?)?;
                    Ok(said(StatusCode::CREATED, &made))
                }
                _ => Err(not_allowed()),
            };
        };
        let namespace = namespace.ok_or_else(not_allowed)?;
        let id = Id::new(kind, &namespace, &name);
        let object = match *request.method() {
            Method::GET => self
                .store
                .get(&id)
                .ok_or_else(|| Refused::not_found(id.to_string()))?,
            Method::PUT => self.replace(&id, status, read(request.body())?)?,
            Method::PATCH => {
                let content = request.headers().get(CONTENT_TYPE);
                let content = content.and_then(|c| c.to_str().ok()).unwrap_or_default();
                match content {
                    "application/apply-patch+yaml" => self.apply(&id, status, read(request.body())?)?,
                    "application/merge-patch+json" => self.merge(&id, status, &read(request.body())?)?,
                    other => return Err(Refused::not_understood(other)),
                }
            }
            Method::DELETE if !status => {
                let options: Value = if request.body().is_empty() {
                    Value::Null
                } else {
                    read(request.body())?
                };
                self.store.delete(&id, options["preconditions"]["uid"].as_str())?
            }
            _ => return Err(not_allowed()),
        };
        Ok(said(StatusCode::OK, &object))
    }

    fn review(&self, request: &Request<Bytes>, review: &str) -> Result<Response<Body>, Refused> {
        if request.method() != Method::POST {
            return Err(Refused::not_allowed("reviews are made"));
        }
        let asked = read(request.body())?;
        let answer = match review {
            "tokenreviews" => self.tokens.review(asked),
            "subjectaccessreviews" | "selfsubjectaccessreviews" => tokens::may(asked),
            other => return Err(Refused::not_found(format!("resource {other}"))),
        };
        Ok(said(StatusCode::CREATED, &answer))
    }

    fn list(&self, kind: Kind, namespace: Option<&str>, query: &Query) -> Response<Body> {
        let (version, all) = self.store.list(kind, namespace);
        let (api_version, name) = kind.types();
        let items: Vec<&Value> = all.iter().map(|o| &**o).filter(|o| query.wants(o)).collect();
        said(
            StatusCode::OK,
            &json!({
                "apiVersion": api_version, "kind": format!("{name}List"),
                "metadata": { "resourceVersion": version.to_string() }, "items": items,
            }),
        )
    }

    /// The changes after a version, as they come, until its time is over.
    fn watch(&self, kind: Kind, namespace: Option<String>, query: Query) -> Response<Body> {
        let mut changed = self.store.changes();
        // What came before it is looked for at once.
        changed.mark_changed();
        let until = Instant::now() + query.seconds.map_or(WATCH, Duration::from_secs);
        let (cursor, first) = match query.version {
            Some(version) => (version, Vec::new()),
            None => self.store.list(kind, namespace.as_deref()),
        };
        let first: Vec<Bytes> = first
            .iter()
            .filter(|o| query.wants(o))
            .map(|o| line("ADDED", o))
            .collect();
        let store = Arc::clone(&self.store);
        let wanted = move |id: &Id| id.kind == kind && namespace.as_ref().is_none_or(|n| *n == id.namespace);
        let later = stream::unfold(Some((cursor, changed)), move |at| {
            let (store, query, wanted) = (Arc::clone(&store), query.clone(), wanted.clone());
            async move {
                let (mut cursor, mut changed) = at?;
                loop {
                    let Ok(changed_in_time) = timeout_at(until, changed.changed()).await else {
                        // What it has been told of until now, for the next watch.
                        return Some((bookmark(kind, cursor), None));
                    };
                    changed_in_time.ok()?;
                    let Some(changes) = store.since(cursor) else {
                        return Some((line("ERROR", &Refused::expired().status()), None));
                    };
                    cursor = changes.last().map_or(cursor, |c| c.version);
                    let ours = changes.iter().filter(|c| wanted(&c.id) && query.wants(&c.object));
                    let lines: Vec<u8> = ours.flat_map(|c| line(c.what, &c.object)).collect();
                    if !lines.is_empty() {
                        return Some((Bytes::from(lines), Some((cursor, changed))));
                    }
                }
            }
        });
        let events = stream::iter(first).chain(later).map(Ok::<_, Infallible>);
        let mut response = Response::new(Body::from_stream(events));
        response.headers_mut().insert(CONTENT_TYPE, JSON);
        response
    }

    fn replace(&self, id: &Id, status: bool, new: Value) -> Result<Arc<Value>, Refused> {
        self.store.update(id, |object| {
            let version = &new["metadata"]["resourceVersion"];
            if version.is_string() && *version != object["metadata"]["resourceVersion"] {
                return Err(Refused::conflict(format!("{id} has changed since")));
            }
            change(id, object, status, new)
        })
    }

    fn merge(&self, id: &Id, status: bool, patch: &Value) -> Result<Arc<Value>, Refused> {
        self.store.update(id, |object| {
            let mut new = object.clone();
            merge(&mut new, patch);
            change(id, object, status, new)
        })
    }

    /// Server-side apply by the one manager that there is: what it applies is what the object has, beside what the server
    /// and others write, which is the status of an object, or all but the status.
    fn apply(&self, id: &Id, status: bool, applied: Value) -> Result<Arc<Value>, Refused> {
        if !status && self.store.get(id).is_none() {
            let mut object = applied;
            object["metadata"]["name"] = json!(id.name);
            return self.store.create(id.kind, &id.namespace, object);
        }
        self.store.update(id, |object| {
            let uid = &applied["metadata"]["uid"];
            if uid.is_string() && *uid != object["metadata"]["uid"] {
                return Err(Refused::conflict(format!("{id} is another by now")));
            }
            change(id, object, status, applied)
        })
    }
}

/// Changes an object to another, as far as who asks may change it.
fn change(id: &Id, object: &mut Value, status: bool, mut new: Value) -> Result<(), Refused> {
    if status {
        object["status"] = new["status"].take();
        return Ok(());
    }
    new["metadata"]["name"] = json!(id.name);
    new["metadata"]["namespace"] = json!(id.namespace);
    new["status"] = object["status"].take();
    if new["status"].is_null()
        && let Value::Object(new) = &mut new
    {
        new.remove("status");
    }
    *object = id.kind.admit(new)?;
    Ok(())
}

/// RFC 7386.
fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    if let Value::Object(object) = object {
        for (key, value) in patch {
            if value.is_null() {
                object.remove(key);
            } else {
                merge(object.entry(key).or_insert(Value::Null), value);
            }
        }
    }
}

const JSON: http::HeaderValue = http::HeaderValue::from_static("application/json");

fn said(code: StatusCode, object: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(object.to_string()));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

fn line(what: &str, object: &Value) -> Bytes {
    format!("{{\"type\":\"{what}\",\"object\":{object}}}\n").into()
}

fn bookmark(kind: Kind, version: u64) -> Bytes {
    let (api_version, name) = kind.types();
    let metadata = json!({ "resourceVersion": version.to_string() });
    line(
        "BOOKMARK",
        &json!({ "apiVersion": api_version, "kind": name, "metadata": metadata }),
    )
}

fn read(body: &Bytes) -> Result<Value, Refused> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|e| Refused::bad_request(format!("the body is not JSON: {e}")))?;
    // What is written into it is an object's field.
    if value.is_object() && (value["metadata"].is_object() || value.get("metadata").is_none()) {
        Ok(value)
    } else {
        Err(Refused::bad_request("the body is no object"))
    }
}

async fn from_outside(
    State(api): State<ApiServer>,
    request: axum::extract::Request,
) -> axum::response::Response {
    let bearer = request.headers().get(AUTHORIZATION).and_then(|h| h.to_str().ok());
    let user = bearer.and_then(|b| api.tokens.user(b.strip_prefix("Bearer ")?));
    if user.as_deref() != Some(RUNNER) {
        return said(StatusCode::UNAUTHORIZED, &Refused::unauthorized().status());
    }
    known(&Caller::user(RUNNER));
    let (parts, body) = request.into_parts();
    match to_bytes(body, MAX_BODY).await {
        Ok(body) => api.answer(&Request::from_parts(parts, body)),
        Err(_) => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
    }
}
