//! The clients' calls: requests, receipts, files and uploads, with the caller's own token.
//!
//! Invariant: the gateway lets nobody see or make what whoever guards the objects would not let them see or make: each call
//! is answered only after the [`Guard`] has said who calls and that they may. A digest is no permission.

mod files;
mod requests;
mod uploads;

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::HeaderMap;
use futures::future::BoxFuture;
use zkinfer_crds::Digest;
use zkinfer_crds::calls::Reason;
use zkinfer_crds::k8s::{GROUP, InferenceRequest};

use super::auth::{AuthUnavailable, bearer};
use super::body::Bodies;
use super::call::{Named, Routes};
use super::doors::Peer;
use super::problem::Reject;
use crate::artifacts::Artifacts;

/// The resources that clients name.
const REQUESTS: &str = "inferencerequests";
const MODELS: &str = "models";

/// What a client wants to do, in Kubernetes' words.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Access {
    /// `get`, `list`, `create`.
    pub verb: &'static str,
    /// The resource, of our group.
    pub resource: &'static str,
    /// The namespace.
    pub namespace: String,
    /// The object; absent: any.
    pub name: Option<String>,
}

/// Whether somebody may do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Nobody knows whose token it is.
    Unknown,
    /// They may not.
    Denied,
    /// They may.
    Granted,
}

/// Says whose a token is and what they may do.
pub trait Guard: Send + Sync + 'static {
    /// Whether it is somebody's.
    fn knows<'a>(&'a self, bearer: &'a str, from: Peer) -> BoxFuture<'a, Result<bool, AuthUnavailable>>;

    /// Whether they may do this.
    fn right<'a>(
        &'a self,
        bearer: &'a str,
        from: Peer,
        access: Access,
    ) -> BoxFuture<'a, Result<Right, AuthUnavailable>>;
}

/// Why an object was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotMade {
    /// It was refused, with a status of HTTP.
    #[error("{message}")]
    Refused {
        /// The status.
        status: u16,
        /// Why.
        message: String,
    },
    /// Nobody could be asked.
    #[error("{0}")]
    Unavailable(String),
}

/// The objects, as clients see them.
pub trait Directory: Send + Sync + 'static {
    /// Whether there can be anything in this namespace, as far as the operator sees.
    fn sees(&self, namespace: &str) -> bool;

    /// The requests of a namespace, or the one of this name.
    fn requests(&self, namespace: &str, name: Option<&str>) -> Vec<Arc<InferenceRequest>>;

    /// Makes a request; as it was made.
    fn make(
        &self,
        namespace: String,
        request: InferenceRequest,
    ) -> BoxFuture<'_, Result<InferenceRequest, NotMade>>;

    /// The files of a compiled Model that a verifier needs: manifest, integer graph, and verifying keys that are files.
    /// None where there is no such Model, or none that was compiled.
    fn model_files(&self, namespace: &str, name: &str) -> Vec<Digest>;
}

/// What clients' calls need beside the store.
#[derive(Clone)]
pub struct Clients {
    /// Who may what.
    pub guard: Arc<dyn Guard>,
    /// The objects.
    pub directory: Arc<dyn Directory>,
}

/// What the handlers share.
#[derive(Clone)]
struct Front {
    guard: Arc<dyn Guard>,
    directory: Arc<dyn Directory>,
    artifacts: Artifacts,
    bodies: Bodies,
}

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
    })
}

impl Front {
    /// The token of a caller who is known, whatever they may do.
    async fn known<'h>(&self, headers: &'h HeaderMap, from: Peer) -> Result<&'h str, Reject> {
        let token = bearer(headers).ok_or_else(Reject::unknown_token)?;
        match self.guard.knows(token, from).await {
            Ok(true) => Ok(token),
            Ok(false) => Err(Reject::unknown_token()),
            Err(e) => Err(Reject::unavailable(&e)),
        }
    }

    /// What the path names, for a caller who is known.
    async fn named<T>(&self, headers: &HeaderMap, from: Peer, named: Named<T>) -> Result<T, Reject> {
        self.known(headers, from).await?;
        let Path(named) = named.map_err(|e| not_found(e.body_text()))?;
        Ok(named)
    }

    /// Whether the caller may do this.
    async fn allowed(
        &self,
        (headers, from): (&HeaderMap, Peer),
        (verb, resource): (&'static str, &'static str),
        namespace: &str,
        name: Option<&str>,
    ) -> Result<(), Reject> {
        let token = bearer(headers).ok_or_else(Reject::unknown_token)?;
        let access = Access {
            verb,
            resource,
            namespace: namespace.to_owned(),
            name: name.map(str::to_owned),
        };
        match self.guard.right(token, from, access).await {
            Ok(Right::Granted) => Ok(()),
            Ok(Right::Denied) => {
                let message = format!("you may not {verb} {resource}.{GROUP} in namespace `{namespace}`");
                Err(Reject::new(Reason::Forbidden, message))
            }
            Ok(Right::Unknown) => Err(Reject::unknown_token()),
            Err(e) => Err(Reject::unavailable(&e)),
        }
    }

    /// Whether there can be anything in this namespace, as far as the operator sees.
    fn watches(&self, namespace: &str) -> Result<(), Reject> {
        if self.directory.sees(namespace) {
            return Ok(());
        }
        let message = format!("this operator does not watch namespace `{namespace}` (--namespaces)");
        Err(Reject::new(Reason::NamespaceNotWatched, message))
    }
}

fn not_found(what: impl Into<String>) -> Reject {
    Reject::new(Reason::NotFound, what)
}
