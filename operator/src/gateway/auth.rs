//! Who is asking.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use futures::FutureExt;
use futures::future::BoxFuture;
use sha2::{Digest as _, Sha256};

use super::doors::Peer;
use crate::dispatch::WorkerAuth;

/// Nobody could be asked whose token it is; asking again may help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AuthUnavailable(pub String);

/// Finds out whose worker a bearer token belongs to.
pub trait Authenticator: Send + Sync + 'static {
    /// The worker; `None` for a token that is not known.
    fn authenticate<'a>(
        &'a self,
        bearer: &'a str,
        from: Peer,
    ) -> BoxFuture<'a, Result<Option<WorkerAuth>, AuthUnavailable>>;
}

/// Tokens that this process handed out itself.
#[derive(Debug, Default)]
pub struct StaticTokens {
    /// By SHA-256, so that a look-up takes no time that depends on a secret.
    by_hash: BTreeMap<[u8; 32], WorkerAuth>,
}

impl StaticTokens {
    /// Knows these tokens.
    #[must_use]
    pub fn new(tokens: impl IntoIterator<Item = (String, WorkerAuth)>) -> Self {
        let hashed = |(token, auth): (String, WorkerAuth)| (Sha256::digest(token.as_bytes()).into(), auth);
        Self {
            by_hash: tokens.into_iter().map(hashed).collect(),
        }
    }
}

impl Authenticator for StaticTokens {
    fn authenticate<'a>(
        &'a self,
        bearer: &'a str,
        _: Peer,
    ) -> BoxFuture<'a, Result<Option<WorkerAuth>, AuthUnavailable>> {
        let hash: [u8; 32] = Sha256::digest(bearer.as_bytes()).into();
        std::future::ready(Ok(self.by_hash.get(&hash).cloned())).boxed()
    }
}

/// The bearer token of a call.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}
