//! What the handlers share: each asks it who looks, and whether they may, before anything else.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use tokio::sync::{Semaphore, watch};
use zkinfer_crds::k8s::GROUP;

use super::drawing::Drawings;
use super::floats::Answers;
use super::ledger::Findings;
use super::maker::Maker;
use super::refused::Refused;
use super::shown::{Sees, Shown};
use super::snapshot::Snapshots;
use crate::gateway::{Access, Peer, Right};

/// Pages that follow at once.
pub(super) const VIEWERS: usize = 500;
/// Objects that are read at once: a body is held as a whole.
const MAKERS: usize = 8;

pub(super) const REQUESTS: &str = "inferencerequests";
pub(super) const MODELS: &str = "models";
pub(super) const POOLS: &str = "minerpools";
pub(super) const VALIDATORS: &str = "validators";

/// What the handlers share.
#[derive(Clone)]
pub(super) struct Front {
    pub(super) shown: Shown,
    pub(super) snapshots: Arc<Snapshots>,
    pub(super) drawings: Arc<Drawings>,
    pub(super) answers: Arc<Answers>,
    pub(super) findings: Arc<Findings>,
    pub(super) maker: Arc<dyn Maker>,
    pub(super) making: Arc<Semaphore>,
    pub(super) viewers: Arc<Semaphore>,
    pub(super) stop: watch::Receiver<bool>,
}

impl Front {
    pub(super) fn new(shown: Shown, maker: Arc<dyn Maker>, stop: watch::Receiver<bool>) -> Self {
        Self {
            shown,
            snapshots: Arc::default(),
            drawings: Arc::default(),
            answers: Arc::default(),
            findings: Arc::default(),
            maker,
            making: Arc::new(Semaphore::new(MAKERS)),
            viewers: Arc::new(Semaphore::new(VIEWERS)),
            stop,
        }
    }

    async fn may(&self, token: &str, from: Peer, access: Access) -> Result<bool, Refused> {
        match self.shown.clients.guard.right(token, from, access).await {
            Ok(Right::Granted) => Ok(true),
            Ok(Right::Denied) => Ok(false),
            Ok(Right::Unknown) => Err(Refused::unknown_token()),
            Err(e) => Err(Refused::unavailable(&e)),
        }
    }

    /// Which lists the token's user may see; the empty namespace means all of them, as it does for Kubernetes.
    pub(super) async fn sees(&self, token: &str, from: Peer, namespace: &str) -> Result<Sees, Refused> {
        let list = |resource| {
            let access = Access {
                verb: "list",
                resource,
                namespace: namespace.to_owned(),
                name: None,
            };
            self.may(token, from, access)
        };
        let sees = Sees {
            requests: list(REQUESTS).await?,
            models: list(MODELS).await?,
            pools: list(POOLS).await?,
        };
        if sees.requests || sees.models || sees.pools {
            return Ok(sees);
        }
        let place = if namespace.is_empty() {
            "in all namespaces: name one of yours".to_owned()
        } else {
            format!("in namespace `{namespace}`")
        };
        Err(Refused::forbidden(format!(
            "you may list nothing of {GROUP} {place}"
        )))
    }

    /// Whether the token's user may make such objects in a namespace.
    pub(super) async fn may_create(
        &self,
        who: (&HeaderMap, Peer),
        resource: &'static str,
        namespace: &str,
    ) -> Result<(), Refused> {
        self.may_all("create", who, resource, namespace).await
    }

    /// Whether the token's user may list such objects of a namespace.
    pub(super) async fn may_list(
        &self,
        who: (&HeaderMap, Peer),
        resource: &'static str,
        namespace: &str,
    ) -> Result<(), Refused> {
        self.may_all("list", who, resource, namespace).await
    }

    async fn may_all(
        &self,
        verb: &'static str,
        (headers, from): (&HeaderMap, Peer),
        resource: &'static str,
        namespace: &str,
    ) -> Result<(), Refused> {
        let access = Access {
            verb,
            resource,
            namespace: namespace.to_owned(),
            name: None,
        };
        if self.may(bearer(headers)?, from, access).await? {
            Ok(())
        } else {
            let message = format!("you may not {verb} {resource}.{GROUP} in namespace `{namespace}`");
            Err(Refused::forbidden(message))
        }
    }

    /// Whether the token's user may read this object.
    pub(super) async fn may_get(
        &self,
        (headers, from): (&HeaderMap, Peer),
        resource: &'static str,
        (namespace, name): (&str, &str),
    ) -> Result<(), Refused> {
        let token = bearer(headers)?;
        let access = Access {
            verb: "get",
            resource,
            namespace: namespace.to_owned(),
            name: Some(name.to_owned()),
        };
        if self.may(token, from, access).await? {
            Ok(())
        } else {
            let message = format!("you may not get {resource}.{GROUP} `{name}` in namespace `{namespace}`");
            Err(Refused::forbidden(message))
        }
    }
}

/// The viewer's token: that of the API server, or the one that `operator local` has printed.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, Refused> {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| value.strip_prefix("Bearer "));
    token
        .filter(|token| !token.is_empty())
        .ok_or_else(Refused::unknown_token)
}
