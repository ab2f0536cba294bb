//! Whose token it is, and what they may: a pool's worker presents its pod's projected token, and the API server says which ServiceAccount
//! it is of. Which pool that is, is in its name; which miner, in the pool.
//!
//! Invariant: a token that the API server has not confirmed within the time of [`Tokens`] counts for nothing, nor a right that
//! it has not granted within the time of [`Rights`].

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use sha2::{Digest as _, Sha256};
use zkinfer_crds::k8s::GROUP;

use super::operator::Operator;
use super::reviews::{Rights, Source, Token, Tokens, Turns};
use crate::controllers::pool::identity_of;
use crate::dispatch::{PoolId, WorkerAuth};
use crate::gateway::{Access, AuthUnavailable, Authenticator, Guard, Peer, Right};
use crate::specs::{TOKEN_AUDIENCE, pool_of};

/// Longest token that is asked about.
const MAX_TOKEN: usize = 8192;

/// Asks the API server whose token it is.
///
/// # Errors
/// An API server that does not answer.
async fn review(
    ctx: &Operator,
    token: &str,
    audience: Option<&str>,
) -> Result<Option<UserInfo>, AuthUnavailable> {
    if token.len() > MAX_TOKEN {
        return Ok(None);
    }
    let api: Api<TokenReview> = Api::all(ctx.world.client.clone());
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

/// Workers' tokens. See the module.
pub(super) struct TokenReviews {
    ctx: Arc<Operator>,
    tokens: Tokens<PoolId>,
}

impl TokenReviews {
    pub(super) fn new(ctx: Arc<Operator>, turns: Arc<Turns>) -> Self {
        Self {
            ctx,
            tokens: Tokens::new(turns),
        }
    }

    async fn pool(&self, bearer: &str, from: Peer) -> Result<Option<PoolId>, AuthUnavailable> {
        let hash = hash(bearer);
        if let Some(known) = self.tokens.known(&hash) {
            return Ok(known);
        }
        // What does not even claim to be a pool's is nobody's, and who claims in vain takes turns from nobody but those who
        // come from the same address with the same claim.
        let claimed =
            claimed_pool(bearer).filter(|id| self.ctx.world.stores.pools.get(&id.object()).is_some());
        let Some(claimed) = claimed else {
            return Ok(None);
        };
        let source = from.0.map(|ip| Source::Token(ip, Some(claimed)));
        let asking = async {
            let user = review(&self.ctx, bearer, Some(TOKEN_AUDIENCE)).await?;
            Ok(user.and_then(|u| u.username).and_then(|name| pool_of(&name)))
        };
        self.tokens.ask(hash, source, asking).await
    }
}

impl Authenticator for TokenReviews {
    fn authenticate<'a>(
        &'a self,
        bearer: &'a str,
        from: Peer,
    ) -> BoxFuture<'a, Result<Option<WorkerAuth>, AuthUnavailable>> {
        async move {
            let Some(id) = self.pool(bearer, from).await? else {
                return Ok(None);
            };
            let found = self.ctx.world.stores.pools.get(&id.object());
            Ok(found.map(|pool| WorkerAuth {
                identity: identity_of(&pool),
                pool: id,
            }))
        }
        .boxed()
    }
}

/// Clients' tokens and rights.
pub(super) struct Clients {
    ctx: Arc<Operator>,
    users: Tokens<UserInfo>,
    rights: Rights<(Token, Access)>,
}

impl Clients {
    pub(super) fn new(ctx: Arc<Operator>, turns: Arc<Turns>) -> Self {
        Self {
            ctx,
            users: Tokens::new(Arc::clone(&turns)),
            rights: Rights::new(turns),
        }
    }

    /// Whose token it is; `None` for nobody's.
    async fn whose(&self, bearer: &str, from: Peer) -> Result<Option<UserInfo>, AuthUnavailable> {
        let hash = hash(bearer);
        if let Some(known) = self.users.known(&hash) {
            return Ok(known);
        }
        let source = from.0.map(|ip| Source::Token(ip, None));
        self.users
            .ask(hash, source, review(&self.ctx, bearer, None))
            .await
    }

    /// Whether the token's user may do this. First whether they may with every object of the namespace, which a review without a name
    /// asks: whoever names ever other objects is answered by one.
    async fn may(&self, bearer: &str, user: UserInfo, access: Access) -> Result<bool, AuthUnavailable> {
        if access.name.is_some() {
            let any = Access {
                name: None,
                ..access.clone()
            };
            if self.reviewed(bearer, user.clone(), any).await? {
                return Ok(true);
            }
        }
        self.reviewed(bearer, user, access).await
    }

    async fn reviewed(&self, bearer: &str, user: UserInfo, access: Access) -> Result<bool, AuthUnavailable> {
        let name = user.username.clone().unwrap_or_default();
        let review = access_review(&self.ctx, user, access.clone());
        self.rights.ask((hash(bearer), access), &name, review).await
    }
}

impl Guard for Clients {
    fn user<'a>(
        &'a self,
        bearer: &'a str,
        from: Peer,
    ) -> BoxFuture<'a, Result<Option<String>, AuthUnavailable>> {
        async move {
            let user = self.whose(bearer, from).await?;
            Ok(user.map(|user| user.username.unwrap_or_default()))
        }
        .boxed()
    }

    fn right<'a>(
        &'a self,
        bearer: &'a str,
        from: Peer,
        access: Access,
    ) -> BoxFuture<'a, Result<Right, AuthUnavailable>> {
        async move {
            let Some(user) = self.whose(bearer, from).await? else {
                return Ok(Right::Unknown);
            };
            let allowed = self.may(bearer, user, access).await?;
            Ok(if allowed { Right::Granted } else { Right::Denied })
        }
        .boxed()
    }
}

async fn access_review(ctx: &Operator, user: UserInfo, access: Access) -> Result<bool, AuthUnavailable> {
    let UserInfo {
        username,
        groups,
        uid,
        extra,
    } = user;
    let api: Api<SubjectAccessReview> = Api::all(ctx.world.client.clone());
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: username,
            groups,
            uid,
            extra,
            resource_attributes: Some(ResourceAttributes {
                group: Some(GROUP.to_owned()),
                resource: Some(access.resource.to_owned()),
                namespace: Some(access.namespace),
                name: access.name,
                verb: Some(access.verb.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let answer = api.create(&PostParams::default(), &review).await;
    let answer = answer.map_err(|e| AuthUnavailable(e.to_string()))?;
    Ok(answer.status.is_some_and(|s| s.allowed))
}

/// The pool whose a token says that it is: tokens of ServiceAccounts are JSON Web Tokens (RFC 7519) that name whose they are
/// in `sub`. Anybody can write that; whether it is so only the API server says.
fn claimed_pool(bearer: &str) -> Option<PoolId> {
    #[derive(serde::Deserialize)]
    struct Claims {
        sub: String,
    }
    if bearer.len() > MAX_TOKEN {
        return None;
    }
    let mut parts = bearer.split('.');
    let (_header, claims) = (parts.next()?, parts.next()?);
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    let Claims { sub } = serde_json::from_slice(&claims).ok()?;
    pool_of(&sub)
}

fn hash(bearer: &str) -> Token {
    Sha256::digest(bearer.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_whose_it_is_or_is_nobodys() {
        let token = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        let of = |sub: &str| claimed_pool(&token(&format!(r#"{{"aud": ["a"], "sub": "{sub}"}}"#)));
        assert_eq!(
            of("system:serviceaccount:miner:zkinfer-miner-own"),
            Some(PoolId::new("miner", "own"))
        );
        assert_eq!(of("system:serviceaccount:miner:default"), None);
        for nobody in [
            "",
            "..",
            "nonsense",
            &token("{}"),
            &token("1"),
            &token("é"),
            "a.!.c",
        ] {
            assert_eq!(claimed_pool(nobody), None, "{nobody}");
        }
        let long = token(&format!(r#"{{"sub": "x{}"}}"#, "x".repeat(MAX_TOKEN)));
        assert_eq!(claimed_pool(&long), None);
    }
}
