//! The web app: what the operator knows, in a browser.
//!
//! Invariants: nobody is shown anything but what their own token lets them read of the objects, or, where the Validator says so,
//! what is counted of them all; what is made is made with that token: the operator's rights are never used for a viewer; what is shown is what the watches have and the store holds.
//! Whatever is counted or drawn is bounded, and computed once for all who look.

mod api;
mod compiled;
mod drawing;
mod events;
mod files;
mod floats;
mod front;
mod gate;
mod ledger;
mod made;
mod maker;
mod place;
mod proxy;
mod refused;
mod reports;
mod scores;
mod shown;
mod snapshot;
mod stats;
mod tiles;
mod views;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use compiled::{Compiled, Tried};
pub use floats::{FloatOutput, Floats, MAX_VALUES, NoFloat};
pub use gate::Hosts;
pub use ledger::LedgerView;
pub use maker::Maker;
pub use proxy::{Proxy, Upstream};
pub use shown::Shown;

use self::front::Front;
use crate::gateway::{Door, serve_router};

/// The app's server, before it is known what it shows.
pub struct Web {
    /// Where it is asked.
    pub listener: TcpListener,
    /// Under which names.
    pub hosts: Hosts,
    /// Who makes objects for viewers.
    pub maker: Arc<dyn Maker>,
}

impl std::fmt::Debug for Web {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Web");
        shown
            .field("listener", &self.listener)
            .field("hosts", &self.hosts);
        shown.finish_non_exhaustive()
    }
}

impl Web {
    /// Serves until it is told to stop.
    ///
    /// # Errors
    /// A listener that fails.
    pub async fn serve(self, shown: Shown, stop: watch::Receiver<bool>) -> std::io::Result<()> {
        if !files::is_built() {
            tracing::warn!("this operator was built without its web app: scripts/build-web.sh makes it");
        }
        let router = router(Front::new(shown, self.maker, stop.clone()), self.hosts);
        let mut stop = stop;
        let stopped = async move {
            if stop.wait_for(|stop| *stop).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        serve_router(Door::App, self.listener, router, stopped).await
    }
}

fn router(front: Front, hosts: Hosts) -> Router {
    Router::new()
        .nest("/api/v1", api::routes().with_state(front.clone()))
        .route("/tiles/{name}", axum::routing::get(api::tile).with_state(front))
        .fallback(axum::routing::get(files::file))
        .layer(from_fn_with_state(hosts, gate::gate))
}
