//! Who is asking.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};

use crate::dispatch::WorkerAuth;

/// Finds out whose worker a bearer token belongs to.
pub trait Authenticator: Send + Sync + 'static {
    /// The worker; `None` for a token that is not known.
    fn authenticate(&self, bearer: &str) -> Option<WorkerAuth>;
}

/// Tokens that this process handed out itself: local mode.
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
    fn authenticate(&self, bearer: &str) -> Option<WorkerAuth> {
        let hash: [u8; 32] = Sha256::digest(bearer.as_bytes()).into();
        self.by_hash.get(&hash).cloned()
    }
}

/// The bearer token of a call.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}
