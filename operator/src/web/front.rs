//! What the handlers share: each asks it who looks, and whether they may, before anything else.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use tokio::sync::{Semaphore, watch};
use zkinfer_crds::k8s::GROUP;

use super::compiled::Tries;
use super::drawing::Drawings;
use super::floats::Answers;
use super::ledger::Findings;
use super::maker::Maker;
use super::refused::Refused;
use super::shown::{Part, Sees, Shown};
use super::snapshot::Snapshots;
use crate::gateway::{Access, Caller, Peer, Right, user};

/// Pages that follow at once.
pub(super) const VIEWERS: usize = 500;
/// Of these without a token: whoever has one finds a place.
pub(super) const ANYBODY: usize = 400;

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
    pub(super) tries: Arc<Tries>,
    pub(super) findings: Arc<Findings>,
    /// What is found for those without a token: who has one does not wait behind them.
    pub(super) public_findings: Arc<Findings>,
    pub(super) maker: Arc<dyn Maker>,
    pub(super) viewers: Arc<Semaphore>,
    pub(super) anybody: Arc<Semaphore>,
    pub(super) stop: watch::Receiver<bool>,
}

impl Front {
    pub(super) fn new(shown: Shown, maker: Arc<dyn Maker>, stop: watch::Receiver<bool>) -> Self {
        Self {
            shown,
            snapshots: Arc::default(),
            drawings: Arc::default(),
            answers: Arc::default(),
            tries: Arc::default(),
            findings: Arc::default(),
            public_findings: Arc::default(),
            maker,
            viewers: Arc::new(Semaphore::new(VIEWERS)),
            anybody: Arc::new(Semaphore::new(ANYBODY)),
            stop,
        }
    }

    /// Who calls: the caller's share of what all share goes by it.
    pub(super) async fn caller(&self, token: &str, from: Peer) -> Result<Caller, Refused> {
        match user(&*self.shown.clients.guard, token, from).await {
            Ok(Some(name)) => Ok(Caller::user(&name)),
            Ok(None) => Err(Refused::unknown_token()),
            Err(e) => Err(Refused::unavailable(&e)),
        }
    }

    async fn may(&self, token: &str, from: Peer, access: Access) -> Result<bool, Refused> {
        self.caller(token, from).await?;
        match self.shown.clients.guard.right(token, from, access).await {
            Ok(Right::Granted) => Ok(true),
            Ok(Right::Denied) => Ok(false),
            Ok(Right::Unknown) => Err(Refused::unknown_token()),
            Err(e) => Err(Refused::unavailable(&e)),
        }
    }

    /// Who looks: whoever comes with a token, or, where the Validator lets everybody look, anybody without one. A token that is not
    /// known stays one that is not known.
    pub(super) fn viewer<'h>(&self, headers: &'h HeaderMap) -> Result<Viewer<'h>, Refused> {
        if !headers.contains_key(AUTHORIZATION) && self.shown.ledger.is_public() {
            return Ok(Viewer::Anybody);
        }
        bearer(headers).map(Viewer::Token)
    }

    /// Which lists a viewer may see; the empty namespace means all of them, as it does for Kubernetes.
    pub(super) async fn sees(
        &self,
        viewer: Viewer<'_>,
        from: Peer,
        namespace: &str,
    ) -> Result<Sees, Refused> {
        let token = match viewer {
            Viewer::Token(token) => token,
            // It may have been public a moment ago.
            Viewer::Anybody if !self.shown.ledger.is_public() => return Err(Refused::unknown_token()),
            Viewer::Anybody if namespace.is_empty() => return Ok(Sees::PUBLIC),
            Viewer::Anybody => {
                return Err(Refused::forbidden(
                    "without a token only all namespaces together are shown",
                ));
            }
        };
        let list = |resource| {
            let access = Access {
                verb: "list",
                resource,
                namespace: namespace.to_owned(),
                name: None,
            };
            self.may(token, from, access)
        };
        // Whoever has a token sees no less than everybody.
        let public = namespace.is_empty() && self.shown.ledger.is_public();
        let sees = Sees {
            requests: if list(REQUESTS).await? {
                Part::Everything
            } else if public {
                Part::Counts
            } else {
                Part::Nothing
            },
            models: list(MODELS).await?,
            pools: list(POOLS).await? || public,
        };
        if sees.requests != Part::Nothing || sees.models || sees.pools {
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

    /// Whether a viewer may see what is counted, or list such objects of a namespace: which of the two.
    pub(super) async fn may_look(
        &self,
        (headers, from): (&HeaderMap, Peer),
        resource: &'static str,
        namespace: &str,
    ) -> Result<Looks, Refused> {
        if self.viewer(headers)? == Viewer::Anybody {
            return Ok(Looks::AtCounts);
        }
        self.no_less(self.may_list((headers, from), resource, namespace).await)
    }

    /// The same of one object.
    pub(super) async fn may_look_at(
        &self,
        (headers, from): (&HeaderMap, Peer),
        resource: &'static str,
        of: (&str, &str),
    ) -> Result<Looks, Refused> {
        if self.viewer(headers)? == Viewer::Anybody {
            return Ok(Looks::AtCounts);
        }
        self.no_less(self.may_get((headers, from), resource, of).await)
    }

    /// Whoever has a token that is known sees no less than everybody.
    fn no_less(&self, may: Result<(), Refused>) -> Result<Looks, Refused> {
        match may {
            Ok(()) => Ok(Looks::AtAll),
            Err(why) if why.is_forbidden() && self.shown.ledger.is_public() => Ok(Looks::AtCounts),
            Err(why) => Err(why),
        }
    }

    /// Where what is found for such a viewer is kept.
    pub(super) fn findings_of(&self, looks: Looks) -> &Findings {
        match looks {
            Looks::AtCounts => &self.public_findings,
            Looks::AtAll => &self.findings,
        }
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

/// How much of something a viewer sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looks {
    /// Only what everybody may.
    AtCounts,
    /// All of it.
    AtAll,
}

/// Who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Viewer<'t> {
    /// Whoever has this token.
    Token(&'t str),
    /// Somebody without one, whom the Validator lets look at what is counted.
    Anybody,
}

/// The viewer's token: that of the API server, or the one that `operator local` has printed.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, Refused> {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| value.strip_prefix("Bearer "));
    token
        .filter(|token| !token.is_empty())
        .ok_or_else(Refused::unknown_token)
}
