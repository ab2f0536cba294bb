//! HTTP for workers and compilers: the contract of `zkinfer_crds::wire`, and nothing else.
//!
//! Invariants: nobody is answered before they are known, and who only holds a line has none for long; a body is read only up to its cap, and within a time; every
//! answer that is an error says what is wrong in a stable word and a sentence.

mod auth;
mod body;
mod compile;
mod doors;
mod problem;
mod routes;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post, put};
use tokio::net::TcpListener;

pub use auth::{AuthUnavailable, Authenticator, StaticTokens};
pub use compile::Compilations;

pub(crate) use auth::bearer;
pub(crate) use body::Bodies;
pub use doors::Peer;

pub(crate) use doors::serve;
pub(crate) use problem::Reject;
pub(crate) use routes::blob_of as blob;

use crate::dispatch::Dispatcher;

/// What the handlers share.
#[derive(Clone)]
pub struct Gateway {
    dispatcher: Arc<Dispatcher>,
    authenticator: Arc<dyn Authenticator>,
    compilations: Option<Arc<dyn Compilations>>,
    bodies: Bodies,
}

impl Gateway {
    /// A gateway in front of a dispatcher.
    #[must_use]
    pub fn new(dispatcher: Arc<Dispatcher>, authenticator: Arc<dyn Authenticator>) -> Self {
        Self {
            dispatcher,
            authenticator,
            compilations: None,
            bodies: Bodies::default(),
        }
    }

    /// Serves compilers too.
    #[must_use]
    pub fn with_compilations(self, compilations: Arc<dyn Compilations>) -> Self {
        Self {
            compilations: Some(compilations),
            ..self
        }
    }

    /// Another time for the whole of a body.
    #[must_use]
    pub fn with_body_time(mut self, body_time: Duration) -> Self {
        self.bodies = self.bodies.with_time(body_time);
        self
    }

    /// The room for bodies, which whoever serves on the same address shares.
    pub(crate) fn bodies(&self) -> Bodies {
        self.bodies.clone()
    }

    /// The routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/v1/work/claims", post(routes::claim))
            .route("/v1/work/blobs/{digest}", get(routes::blob))
            .route("/v1/work/claims/{claim}/proof", put(routes::proof))
            .route("/v1/work/claims/{claim}/refuse", post(routes::refuse))
            .route("/v1/compile/task", get(compile::task))
            .route(
                "/v1/compile/blobs/{digest}",
                get(compile::get_blob).put(compile::put_blob),
            )
            .route("/v1/compile/progress", post(compile::progress))
            .route("/v1/compile/report", put(compile::report))
            .fallback(routes::unknown)
            .method_not_allowed_fallback(routes::method)
            .with_state(self)
    }

    /// Serves until `shutdown` is done.
    ///
    /// # Errors
    /// A listener that fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        serve(listener, self.router(), shutdown).await
    }
}
