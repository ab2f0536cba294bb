//! The app of an operator in a cluster, on a person's own machine: what is asked here is asked there, with that person's token.
//!
//! Invariants: nobody's call goes there who does not bring this run's secret, whose Host is not this machine's or whose Origin is
//! not the page's own; the token goes to the operator and nowhere else, and never to the page; of a call only method, path, type and
//! body go on.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use futures::future::BoxFuture;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;

use super::front::bearer;
use super::gate::{API, Hosts, gate};
use super::refused::Refused;
use crate::gateway::{Caller, Door, known, serve_router};

/// The way to the operator's app.
pub trait Upstream: Send + Sync + 'static {
    /// Its address, and the token to come with.
    fn reach(&self) -> BoxFuture<'_, Result<(String, String), String>>;

    /// It did not answer at that address: another way has to be found.
    fn lost(&self);
}

/// Whoever knows this run's secret.
const RUNNER: &str = "runner";

/// See the module.
pub struct Proxy {
    /// Where it is asked: an address of this machine alone.
    pub address: SocketAddr,
    /// What whoever asks has to know.
    pub secret: String,
    /// Where it asks.
    pub upstream: Arc<dyn Upstream>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Proxy");
        shown.field("address", &self.address).finish_non_exhaustive()
    }
}

impl Proxy {
    /// Answers until `stop` is done.
    ///
    /// # Errors
    /// A listener that fails, a machine without a source of random numbers for TLS.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send,
    ) -> std::io::Result<()> {
        let router = self.router().map_err(std::io::Error::other)?;
        serve_router(Door::App, listener, router, stop).await
    }

    pub(super) fn router(self) -> Result<Router, reqwest::Error> {
        let hosts = Hosts::Loopback(self.address);
        let client = reqwest::Client::builder()
            // Nothing of the machine's surroundings decides where the token goes.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let asking = Asking {
            secret: self.secret.into(),
            upstream: self.upstream,
            client,
        };
        Ok(Router::new()
            .fallback(pass)
            .with_state(asking)
            .layer(from_fn_with_state(hosts, gate)))
    }
}

#[derive(Clone)]
struct Asking {
    secret: Arc<str>,
    upstream: Arc<dyn Upstream>,
    client: reqwest::Client,
}

impl Asking {
    fn is_known(&self, headers: &HeaderMap) -> bool {
        bearer(headers).is_ok_and(|given| given.as_bytes().ct_eq(self.secret.as_bytes()).into())
    }
}

async fn pass(State(asking): State<Asking>, request: Request) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let is_call = parts.uri.path().starts_with(API);
    if is_call {
        if !asking.is_known(&parts.headers) {
            return Err(Refused::unknown_token());
        }
        known(&Caller::user(RUNNER));
    }
    // Files are read, and a path is one.
    if !path.starts_with('/') || !(is_call || parts.method == Method::GET) {
        return Err(Refused::not_found(format!("there is no {path}")));
    }
    let (address, token) = asking.upstream.reach().await.map_err(Refused::no_operator)?;
    let has_body = matches!(parts.method, Method::POST | Method::PUT);
    let mut call = asking.client.request(parts.method, format!("{address}{path}"));
    if is_call {
        call = call.bearer_auth(token);
    }
    if let Some(type_) = parts.headers.get(CONTENT_TYPE) {
        call = call.header(CONTENT_TYPE, type_);
    }
    if has_body {
        call = call.body(reqwest::Body::wrap_stream(body.into_data_stream()));
    }
    let answer = call.send().await.map_err(|e| {
        asking.upstream.lost();
        Refused::no_operator(e.without_url().to_string())
    })?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() =
        StatusCode::from_u16(answer.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    for name in [CONTENT_TYPE, CONTENT_DISPOSITION, CACHE_CONTROL] {
        if let Some(value) = answer.headers().get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    *response.body_mut() = Body::from_stream(answer.bytes_stream());
    Ok(response)
}
