//! A worker's calls, and what it makes of their answers.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use zkinfer_client::{Answer, CallError, Gateway, HeaderValue, Limit, Pauses, Token, retry, time_for};
use zkinfer_crds::calls::work;
use zkinfer_crds::wire::{BlobRef, ClaimGrant, ClaimRequest, NEXT_HEADER, Refusal, WORKER_TOKEN_HEADER};

use crate::exit::UsageError;

/// Time to hand a slice back: the worker may be killed.
const REFUSE: Duration = Duration::from_secs(10);
/// Between tries to submit a proof.
const SUBMIT: Pauses = Pauses::new(Duration::from_millis(250), Duration::from_secs(2));
/// Grants are read with their inputs.
const INLINE: work::Inline = work::Inline { inline: true };

/// Answer to a claim.
#[derive(Debug)]
pub(super) enum Claimed {
    Slice(Box<ClaimGrant>),
    Nothing,
    Over,
}

pub(super) struct Client {
    gateway: Gateway,
    token: Token,
}

impl Client {
    pub(super) fn new(
        gateway: &str,
        token: Option<String>,
        file: Option<PathBuf>,
    ) -> Result<Self, UsageError> {
        let token = match (token, file) {
            (_, Some(file)) => Token::File(file),
            (Some(token), None) => Token::Fixed(token),
            (None, None) => return Err(UsageError::new("a worker needs --token-file or ZKINFER_TOKEN")),
        };
        let gateway = Gateway::new(gateway).map_err(|e| UsageError::new(format!("--gateway: {e}")))?;
        Ok(Self { gateway, token })
    }

    pub(super) async fn claim(&self, request: &ClaimRequest) -> Result<Claimed, CallError> {
        let wait = Duration::from_secs(u64::from(request.wait_seconds));
        let call = self.gateway.call::<work::Claim>(&(), &self.token.now()?);
        let call = call.query(&INLINE).json(request).time(time_for(0) + wait);
        match call.send().await {
            Ok(answer) => {
                let grant = answer.json_if_any().await?;
                Ok(grant.map_or(Claimed::Nothing, |grant| Claimed::Slice(Box::new(grant))))
            }
            Err(e) if e.status() == Some(410) => Ok(Claimed::Over),
            Err(e) => Err(e),
        }
    }

    /// Fetches a blob of exactly its stated size; the digest is the caller's to compare.
    pub(super) async fn blob(&self, blob: &BlobRef) -> Result<Vec<u8>, CallError> {
        if blob.size > work::MAX_BLOB_BYTES {
            return Err(CallError::Unexpected(format!("a blob of {} bytes", blob.size)));
        }
        let call = self.gateway.call::<work::Fetch>(&blob.digest, &self.token.now()?);
        let answer = call.time(time_for(blob.size)).send().await?;
        answer.at_most(blob.size).await
    }

    /// Submits a proof; a call without an answer is repeated while the lease lasts, with the same bytes. The grant of what
    /// is wanted next, if one came with the answer; only the first call asks for it, since an answer that is lost may
    /// have had one.
    pub(super) async fn submit(
        &self,
        grant: &ClaimGrant,
        envelope: Vec<u8>,
        deadline: Instant,
        next: Option<&ClaimRequest>,
    ) -> Result<Option<Box<ClaimGrant>>, CallError> {
        let mut wanted = next.and_then(|next| self.next(next));
        let answer = retry(SUBMIT, Limit::Until(deadline), CallError::may_pass, async || {
            let call = self.gateway.call::<work::Submit>(&grant.claim, &grant.token);
            let mut call = call.query(&INLINE).bytes(envelope.clone());
            if let Some((next, token)) = wanted.take() {
                call = call.header(NEXT_HEADER, next).header(WORKER_TOKEN_HEADER, token);
            }
            call.send().await
        });
        Ok(next_grant(answer.await?).await)
    }

    /// The headers that ask for the next slice; none where they cannot be made: it is asked for by itself then.
    fn next(&self, next: &ClaimRequest) -> Option<(HeaderValue, HeaderValue)> {
        let next = HeaderValue::from_bytes(&serde_json::to_vec(next).ok()?).ok()?;
        let mut token = HeaderValue::from_str(&self.token.now().ok()?).ok()?;
        token.set_sensitive(true);
        Some((next, token))
    }

    pub(super) async fn refuse(&self, grant: &ClaimGrant, refusal: &Refusal) -> Result<(), CallError> {
        let call = self.gateway.call::<work::Refuse>(&grant.claim, &grant.token);
        call.json(refusal).time(REFUSE).send().await.map(drop)
    }
}

/// What came with the answer to a proof. The proof was taken, whatever it is.
async fn next_grant(answer: Answer<work::Submit>) -> Option<Box<ClaimGrant>> {
    let read = answer.json_if_any().await;
    read.inspect_err(|error| tracing::warn!(%error, "the next slice was not understood"))
        .ok()
        .flatten()
        .map(Box::new)
}
