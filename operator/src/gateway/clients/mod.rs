//! The clients' calls: requests, receipts, files and uploads, with the caller's own token.
//!
//! Invariant: the gateway lets nobody see or make what whoever guards the objects would not let them see or make: each call
//! is answered only after the [`Guard`] has said who calls and that they may. A digest is no permission.

mod access;
mod directory;
mod files;
mod front;
mod limits;
mod requests;
mod uploads;

use axum::Router;
use axum::body::Body;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

pub use access::{Access, Guard, Right};
pub use directory::{Directory, Left, NotMade};
pub use front::{Clients, user};
pub use limits::Uploads;

use self::front::Front;
use super::call::Routes;
use super::doors::Peer;
use crate::artifacts::Artifacts;

/// The routes.
pub(super) fn router(clients: Clients, artifacts: Artifacts) -> Router {
    let routes = [requests::routes, files::routes, uploads::routes];
    let routes = routes.into_iter().fold(Routes::new(), |all, add| add(all));
    routes.router(front(clients, artifacts))
}

fn front(clients: Clients, artifacts: Artifacts) -> Front {
    let Clients {
        guard,
        directory,
        uploads,
        bodies,
    } = clients;
    Front {
        guard,
        directory,
        artifacts,
        bodies,
        uploads,
    }
}

/// Takes a file as the call `uploadArtifact` does, by its rules: for the namespace and under the digest that are named.
pub async fn take_upload(
    clients: Clients,
    artifacts: Artifacts,
    caller: (&HeaderMap, Peer),
    to: (String, String),
    body: Body,
) -> Response {
    let front = front(clients, artifacts);
    uploads::take(&front, caller, to, body).await.into_response()
}
