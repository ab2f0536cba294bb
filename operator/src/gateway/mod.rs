//! Every HTTP call: of workers, compilers and clients. The contract of `zkinfer_crds::calls`, and nothing else.
//!
//! Invariants: nobody is answered before they are known, and who only holds a line has none for long; a body is read only up
//! to its cap, within a time, and where there is room for it; every answer that is an error says what is wrong in a stable word and a sentence.

mod auth;
mod blob;
mod body;
mod call;
mod caller;
mod clients;
mod compile;
mod doors;
mod file;
mod house;
mod problem;
mod room;
mod shared;
mod timed;
mod work;

#[cfg(test)]
pub(crate) mod tests;

use axum::Router;
use tokio::net::TcpListener;

pub use auth::{AuthUnavailable, Authenticator, StaticTokens};
pub use blob::streaming;
pub use body::{Bodies, Held, Object, ReadError};
pub use caller::Caller;
pub use clients::{Access, Clients, Directory, Guard, Left, NotMade, Right, Uploads, take_upload, user};
pub use doors::{Door, Peer, known};
pub use shared::{Compilations, Gateway};

/// Serves other routes as the gateway serves its own, until `shutdown` is done: nobody who only holds a line has one for long.
///
/// # Errors
/// A listener that fails.
pub async fn serve_router(
    door: Door,
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
) -> std::io::Result<()> {
    doors::serve(door, listener, router, shutdown).await
}

impl Gateway {
    /// The routes.
    pub fn router(self) -> Router {
        let clients = self.clients.as_ref().map(|clients| {
            let artifacts = self.dispatcher.artifacts().clone();
            clients::router(clients.clone(), artifacts)
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
        doors::serve(Door::Gateway, listener, self.router(), shutdown).await
    }
}
