//! Every HTTP call: of workers, compilers and clients. The contract of `zkinfer_crds::calls`, and nothing else.
//!
//! Invariants: nobody is answered before they are known, and who only holds a line has none for long; a body is read only up
//! to its cap, and within a time; every answer that is an error says what is wrong in a stable word and a sentence.

mod auth;
mod body;
mod call;
mod clients;
mod compile;
mod doors;
mod problem;
mod work;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;

pub use auth::{AuthUnavailable, Authenticator, StaticTokens};
pub use clients::{Access, Clients, Directory, Guard, NotMade, Right};
pub use compile::Compilations;
pub use doors::Peer;

use self::body::Bodies;
use crate::dispatch::Dispatcher;

/// What the handlers share.
#[derive(Clone)]
pub struct Gateway {
    dispatcher: Arc<Dispatcher>,
    authenticator: Arc<dyn Authenticator>,
    compilations: Option<Arc<dyn Compilations>>,
    clients: Option<Clients>,
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
            clients: None,
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

    /// Serves clients too.
    #[must_use]
    pub fn with_clients(self, clients: Clients) -> Self {
        Self {
            clients: Some(clients),
            ..self
        }
    }

    /// Another time for the whole of a body.
    #[must_use]
    pub fn with_body_time(mut self, body_time: Duration) -> Self {
        self.bodies = self.bodies.with_time(body_time);
        self
    }

    /// The routes.
    pub fn router(self) -> Router {
        let clients = self.clients.as_ref().map(|clients| {
            let artifacts = self.dispatcher.artifacts().clone();
            clients::router(clients.clone(), artifacts, self.bodies.clone())
        });
        work::router(self.clone())
            .merge(compile::router(self))
            .merge(clients.unwrap_or_default())
            .fallback(problem::unknown_path)
            .method_not_allowed_fallback(problem::unknown_method)
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
        doors::serve(listener, self.router(), shutdown).await
    }
}
