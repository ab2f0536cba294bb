//! What the handlers share: each asks it who calls, and whether they may, before anything else.

use std::sync::Arc;

use axum::extract::Path;
use axum::http::HeaderMap;
use zkinfer_crds::calls::Reason;
use zkinfer_crds::k8s::GROUP;

use super::access::{Access, Guard, Right};
use super::directory::Directory;
use super::limits::Uploads;
use crate::artifacts::Artifacts;
use crate::gateway::auth::{AuthUnavailable, bearer};
use crate::gateway::body::Bodies;
use crate::gateway::call::Named;
use crate::gateway::caller::Caller;
use crate::gateway::doors::{Peer, known};
use crate::gateway::problem::Reject;

/// The resources that clients name.
pub(super) const REQUESTS: &str = "inferencerequests";
pub(super) const MODELS: &str = "models";

/// What clients' calls need beside the store.
#[derive(Clone)]
pub struct Clients {
    /// Who may what.
    pub guard: Arc<dyn Guard>,
    /// The objects.
    pub directory: Arc<dyn Directory>,
    /// How many files each of them uploads, by whichever door.
    pub uploads: Uploads,
    /// The room for what they send, by whichever door.
    pub bodies: Bodies,
}

/// What the handlers share.
#[derive(Clone)]
pub(super) struct Front {
    pub(super) guard: Arc<dyn Guard>,
    pub(super) directory: Arc<dyn Directory>,
    pub(super) artifacts: Artifacts,
    pub(super) bodies: Bodies,
    pub(super) uploads: Uploads,
}

/// Whose token it is; their connection is kept.
///
/// # Errors
/// Nobody could be asked.
pub async fn user(guard: &dyn Guard, token: &str, from: Peer) -> Result<Option<String>, AuthUnavailable> {
    let user = guard.user(token, from).await?;
    if let Some(name) = &user {
        known(&Caller::user(name));
    }
    Ok(user)
}

impl Front {
    /// The name of a caller who is known, whatever they may do.
    pub(super) async fn known(&self, headers: &HeaderMap, from: Peer) -> Result<String, Reject> {
        let token = bearer(headers).ok_or_else(Reject::unknown_token)?;
        match user(&*self.guard, token, from).await {
            Ok(Some(name)) => Ok(name),
            Ok(None) => Err(Reject::unknown_token()),
            Err(e) => Err(Reject::unavailable(&e)),
        }
    }

    /// What the path names, for a caller who is known.
    pub(super) async fn named<T>(
        &self,
        headers: &HeaderMap,
        from: Peer,
        named: Named<T>,
    ) -> Result<T, Reject> {
        self.known(headers, from).await?;
        let Path(named) = named.map_err(|e| not_found(e.body_text()))?;
        Ok(named)
    }

    /// Whether the caller may do this.
    pub(super) async fn allowed(
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
    pub(super) fn watches(&self, namespace: &str) -> Result<(), Reject> {
        if self.directory.sees(namespace) {
            return Ok(());
        }
        let message = format!("this operator does not watch namespace `{namespace}` (--namespaces)");
        Err(Reject::new(Reason::NamespaceNotWatched, message))
    }
}

pub(super) fn not_found(what: impl Into<String>) -> Reject {
    Reject::new(Reason::NotFound, what)
}
