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

pub use access::{Access, Guard, Right};
pub use directory::{Directory, NotMade};
pub use front::Clients;

use self::front::Front;
use self::limits::Uploads;
use super::body::Bodies;
use super::call::Routes;
use crate::artifacts::Artifacts;

/// The routes.
pub(super) fn router(clients: Clients, artifacts: Artifacts, bodies: Bodies) -> Router {
    let Clients { guard, directory } = clients;
    let routes = [requests::routes, files::routes, uploads::routes];
    let routes = routes.into_iter().fold(Routes::new(), |all, add| add(all));
    routes.router(Front {
        guard,
        directory,
        artifacts,
        bodies,
        uploads: Uploads::default(),
    })
}
