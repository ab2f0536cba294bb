//! Whose token it is: a pool's worker presents its pod's projected token, and the API server says which ServiceAccount
//! it is of. Which pool that is, is in its name; which miner, in the pool.
//!
//! Invariant: a token that the API server has not confirmed within [`FRESH`] counts for nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use kube::ResourceExt;
use kube::api::{Api, PostParams};
use sha2::{Digest as _, Sha256};

use super::Context;
use crate::build::{TOKEN_AUDIENCE, pool_of};
use crate::controllers::pool::identity_of;
use crate::dispatch::{PoolId, WorkerAuth};
use crate::gateway::{AuthUnavailable, Authenticator};

/// How long the API server's word counts.
const FRESH: Duration = Duration::from_secs(60);
/// How long a token that it did not know is not asked for again.
const UNKNOWN: Duration = Duration::from_secs(5);
/// Tokens that are remembered.
const MAX_REMEMBERED: usize = 10_000;
/// Longest token that is asked about.
const MAX_TOKEN: usize = 8192;

/// Asks the API server whose token it is.
///
/// # Errors
/// An API server that does not answer.
pub(super) async fn review(
    ctx: &Context,
    token: &str,
    audience: Option<&str>,
) -> Result<Option<UserInfo>, AuthUnavailable> {
    if token.len() > MAX_TOKEN {
        return Ok(None);
    }
    let api: Api<TokenReview> = Api::all(ctx.client.clone());
    let review = TokenReview {
        spec: TokenReviewSpec {
            token: token.to_owned(),
            audiences: audience.map(|a| vec![a.to_owned()]),
        },
        ..TokenReview::default()
    };
    let answer = api
        .create(&PostParams::default(), &review)
        .await
        .map_err(|e| AuthUnavailable(e.to_string()))?;
    let status = answer.status.unwrap_or_default();
    // An authenticator that knows no audiences says so by returning none.
    let for_us = audience.is_none_or(|a| status.audiences.iter().flatten().any(|of| of == a));
    Ok(status
        .user
        .filter(|_| status.authenticated == Some(true) && for_us))
}

/// What the API server said, and when.
type Answer = (Option<PoolId>, Instant);

/// See the module.
pub(super) struct TokenReviews {
    ctx: Arc<Context>,
    /// By SHA-256 of the token.
    known: Mutex<HashMap<[u8; 32], Answer>>,
}

impl TokenReviews {
    pub(super) fn new(ctx: Arc<Context>) -> Self {
        Self {
            ctx,
            known: Mutex::default(),
        }
    }

    async fn pool(&self, bearer: &str) -> Result<Option<PoolId>, AuthUnavailable> {
        let hash: [u8; 32] = Sha256::digest(bearer.as_bytes()).into();
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((pool, at)) = known.get(&hash)
                && at.elapsed() < if pool.is_some() { FRESH } else { UNKNOWN }
            {
                return Ok(pool.clone());
            }
        }
        let user = review(&self.ctx, bearer, Some(TOKEN_AUDIENCE)).await?;
        let pool = user.and_then(|u| u.username).and_then(|name| pool_of(&name));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_REMEMBERED {
            known.retain(|_, (_, at)| at.elapsed() < UNKNOWN);
        }
        if known.len() < MAX_REMEMBERED {
            known.insert(hash, (pool.clone(), Instant::now()));
        }
        Ok(pool)
    }
}

impl Authenticator for TokenReviews {
    fn authenticate<'a>(
        &'a self,
        bearer: &'a str,
    ) -> BoxFuture<'a, Result<Option<WorkerAuth>, AuthUnavailable>> {
        async move {
            let Some(id) = self.pool(bearer).await? else {
                return Ok(None);
            };
            let found = self
                .ctx
                .stores
                .pools
                .find(|p| id == PoolId::new(&p.namespace().unwrap_or_default(), &p.name_any()));
            Ok(found.map(|pool| WorkerAuth {
                identity: identity_of(&pool),
                pool: id,
            }))
        }
        .boxed()
    }
}
