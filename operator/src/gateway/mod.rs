//! Every HTTP call: of workers, compilers and clients. The contract of `zkinfer_crds::calls`, and nothing else.
//!
//! Invariants: nobody is answered before they are known, and who only holds a line has none for long; a body is read only up
//! to its cap, and within a time; every answer that is an error says what is wrong in a stable word and a sentence.

mod auth;
mod blob;
mod body;
mod call;
mod clients;
mod compile;
mod doors;
mod problem;
mod shared;
mod work;

#[cfg(test)]
pub(crate) mod tests;

use axum::Router;
use tokio::net::TcpListener;

pub use auth::{AuthUnavailable, Authenticator, StaticTokens};
pub use clients::{Access, Clients, Directory, Guard, NotMade, Right, Uploads, take_upload};
pub use doors::Peer;
pub use shared::{Compilations, Gateway};

/// Serves other routes as the gateway serves its own, until `shutdown` is done: nobody who only holds a line has one for long.
///
/// # Errors
/// A listener that fails.
pub async fn serve_router(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
) -> std::io::Result<()> {
    doors::serve(listener, router, shutdown).await
}

impl Gateway {
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
