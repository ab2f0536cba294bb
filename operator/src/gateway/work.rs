//! The workers' calls, one function each.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use tokio::time::timeout;
use tracing::{Instrument as _, Span};
use zkinfer_crds::calls::Reason;
use zkinfer_crds::calls::work::{Claim, Fetch, Inline, Refuse, Submit};
use zkinfer_crds::wire::{ClaimGrant, ClaimRequest, NEXT_HEADER, Refusal, WORKER_TOKEN_HEADER};
use zkinfer_crds::{ClaimId, Digest};

use super::auth::bearer;
use super::blob::send_blob;
use super::body::ReadError;
use super::call::{Answer, Named, Routes, carrying};
use super::caller::Caller;
use super::doors::{Peer, known};
use super::problem::Reject;
use super::shared::Gateway;
use crate::dispatch::{ClaimAnswer, ClaimToken, SubmitAnswer, WorkerAuth};

/// How long the answer to a proof waits to learn whose worker asks for more: a token that is remembered takes none of it.
const NEXT_TIME: Duration = Duration::from_millis(250);

pub(super) fn router(gateway: Gateway) -> Router {
    Routes::new()
        .call(Claim, claim)
        .call(Fetch, blob)
        .call(Submit, proof)
        .call(Refuse, refuse)
        .router(gateway)
}

async fn worker(gateway: &Gateway, headers: &HeaderMap, from: Peer) -> Result<WorkerAuth, Reject> {
    let token = bearer(headers).ok_or_else(Reject::unknown_token)?;
    match gateway.authenticator.authenticate(token, from).await {
        Ok(Some(auth)) => {
            known(&Caller::pool(&auth.pool));
            Ok(auth)
        }
        Ok(None) => Err(Reject::unknown_token()),
        Err(unavailable) => Err(Reject::unavailable(&unavailable)),
    }
}

/// The token of the claim that the path names. A claim that is over and of which no proof has come takes nothing more: its token
/// is good for nothing, whoever may have kept it.
async fn claim_token(gateway: &Gateway, headers: &HeaderMap, path: &Named) -> Result<ClaimToken, Reject> {
    let token = bearer(headers).ok_or_else(Reject::unknown_token)?;
    let token = gateway
        .dispatcher
        .open(token)
        .map_err(|_| Reject::unknown_token())?;
    match path.as_ref().map(|Path(claim)| claim.parse::<ClaimId>()) {
        Ok(Ok(claim)) if claim == token.claim => {}
        _ => return Err(Reject::new(Reason::OtherClaim, "the token is of another claim")),
    }
    match gateway.dispatcher.takes(&token).await {
        Ok(true) => {
            known(&Caller::pool(&token.pool));
            Ok(token)
        }
        Ok(false) => Err(Reject::gone()),
        Err(e) => Err(Reject::store(&e)),
    }
}

async fn claim(
    State(gateway): State<Gateway>,
    from: Peer,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let auth = worker(&gateway, &headers, from).await?;
    let caller = Caller::pool(&auth.pool);
    let request = ClaimRequest::read(&gateway.bodies.of::<Claim>(&caller, &headers, body).await?)?;
    match gateway.dispatcher.claim(&auth, &request, inline(&uri)).await {
        ClaimAnswer::Grant(grant) => Ok(carrying::<_, ClaimGrant>(Claim, StatusCode::OK, &grant)),
        ClaimAnswer::Nothing => Ok(StatusCode::NO_CONTENT.into_response()),
        ClaimAnswer::Over => Err(Reject::new(Reason::Over, "there is no more work to wait for")),
    }
}

async fn blob(State(gateway): State<Gateway>, from: Peer, headers: HeaderMap, digest: Named) -> Answer {
    let auth = worker(&gateway, &headers, from).await?;
    // The same answer for a blob that is absent and one that is not this pool's: a digest is no permission.
    let not_found = || Reject::new(Reason::NotFound, "no such blob was granted to this pool");
    let Path(digest) = digest.map_err(|_| not_found())?;
    let digest: Digest = digest.parse().map_err(|_| not_found())?;
    if !gateway.dispatcher.may_read(&auth, &digest) {
        return Err(not_found());
    }
    send_blob::<Fetch>(gateway.dispatcher.artifacts(), &digest, not_found).await
}

/// Whether a grant may carry its inputs.
fn inline(uri: &Uri) -> bool {
    Query::<Inline>::try_from_uri(uri).is_ok_and(|Query(query)| query.inline)
}

/// What a worker takes next, if it says so with its proof.
fn wanted(headers: &HeaderMap) -> Result<Option<ClaimRequest>, Reject> {
    let said = headers.get(NEXT_HEADER);
    Ok(said.map(|s| ClaimRequest::read(s.as_bytes())).transpose()?)
}

/// The grant that goes with the answer to a proof, for a worker that is known and where there is one at once. Without, the
/// worker asks as ever, and is told then if it is not known.
async fn next(
    gateway: &Gateway,
    headers: &HeaderMap,
    from: Peer,
    wanted: &ClaimRequest,
    inline: bool,
) -> Option<Box<ClaimGrant>> {
    let token = headers.get(WORKER_TOKEN_HEADER)?.to_str().ok()?;
    let known = timeout(NEXT_TIME, gateway.authenticator.authenticate(token, from)).await;
    let auth = known.ok()?.ok()??;
    gateway.dispatcher.claim_now(&auth, wanted, inline).await
}

/// What is said while a call about a claim is answered.
fn about(token: &ClaimToken) -> Span {
    tracing::error_span!(
        "claim",
        request = %token.request,
        slice = token.slice.0,
        claim = %token.claim,
        pool = %token.pool,
    )
}

async fn proof(
    State(gateway): State<Gateway>,
    from: Peer,
    uri: Uri,
    headers: HeaderMap,
    claim: Named,
    body: Body,
) -> Answer {
    let token = claim_token(&gateway, &headers, &claim).await?;
    let about = about(&token);
    taken(gateway, from, uri, headers, token, body)
        .instrument(about)
        .await
}

async fn taken(
    gateway: Gateway,
    from: Peer,
    uri: Uri,
    headers: HeaderMap,
    token: ClaimToken,
    body: Body,
) -> Answer {
    let wanted = wanted(&headers)?;
    let max = token.max_bytes as usize;
    let caller = Caller::pool(&token.pool);
    let body = match gateway.bodies.read(&caller, &headers, body, max).await {
        Ok(body) => body,
        Err(ReadError::TooLarge) => {
            gateway.dispatcher.too_large(&token);
            let message = format!("a proof has at most {max} bytes");
            return Err(Reject::new(Reason::TooLarge, message));
        }
        Err(e) => {
            // What others take is not the worker's fault. What its own namespace takes is: whoever filled the room with bodies of
            // their own would be excused from every claim.
            if e == ReadError::NoRoom {
                gateway.dispatcher.excuse(&token);
            }
            return Err(e.into());
        }
    };
    let status = match gateway.dispatcher.submit(token, body.clone()).await {
        Ok(SubmitAnswer::Taken) => StatusCode::CREATED,
        Ok(SubmitAnswer::Again) => StatusCode::OK,
        Ok(SubmitAnswer::Conflict) => {
            let message = "another proof was submitted for this claim; it stays";
            return Err(Reject::new(Reason::OtherProof, message));
        }
        Ok(SubmitAnswer::Gone) => return Err(Reject::gone()),
        Err(e) => return Err(Reject::store(&e)),
    };
    // The proof is being judged meanwhile.
    drop(body);
    let next = match &wanted {
        Some(wanted) => next(&gateway, &headers, from, wanted, inline(&uri)).await,
        None => None,
    };
    Ok(match next {
        Some(grant) => carrying::<_, ClaimGrant>(Submit, status, &grant),
        None => status.into_response(),
    })
}

async fn refuse(State(gateway): State<Gateway>, headers: HeaderMap, claim: Named, body: Body) -> Answer {
    let token = claim_token(&gateway, &headers, &claim).await?;
    let about = about(&token);
    let body = gateway
        .bodies
        .of::<Refuse>(&Caller::pool(&token.pool), &headers, body)
        .instrument(about)
        .await?;
    let refusal = Refusal::read(&body)?;
    if gateway.dispatcher.refuse(&token, refusal) {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(Reject::gone())
    }
}
