//! A worker submits a proof, or hands its slice back.
//!
//! Invariants: a proof is stored in its write-once slot before it is verified; every submitted proof is verified, in a
//! bounded number of threads; a worker whose proof the store did not take is not to blame if none comes.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use zkinfer_crds::Digest;
use zkinfer_crds::wire::Refusal;
use zkinfer_spans::{Context, Timed};

use super::attempt::AttemptEnd;
use super::dispatcher::{Dispatcher, lock};
use super::token::ClaimToken;
use crate::artifacts::{ArtifactError, PutOnce};
use crate::runs::{Run, VerifyOutcome};

/// Answer to a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubmitAnswer {
    /// Taken; it will be verified.
    Taken,
    /// The same bytes were taken before.
    Again,
    /// Other bytes were taken before.
    Conflict,
    /// The lease has ended, or the request is over.
    Gone,
}

impl Dispatcher {
    /// Takes a proof: stores it, then has it verified.
    ///
    /// # Errors
    /// A failing store; nothing is burnt, the worker may try again.
    pub async fn submit(
        self: &Arc<Self>,
        token: ClaimToken,
        bytes: Bytes,
    ) -> Result<SubmitAnswer, ArtifactError> {
        let run = lock(&self.runs).get(&token.request).cloned();
        let Some(run) = run else {
            return Ok(SubmitAnswer::Gone);
        };
        if !self.takes(&token).await? {
            return Ok(SubmitAnswer::Gone);
        }
        match self
            .artifacts
            .put_proof(token.request, token.slice, token.claim, bytes.clone())
            .await
            .inspect_err(|_| self.excuse(&token))?
        {
            PutOnce::Same => return Ok(SubmitAnswer::Again),
            PutOnce::Different => return Ok(SubmitAnswer::Conflict),
            PutOnce::Created => {}
        }
        if !lock(&self.state)
            .queue
            .submitted(token.request, token.claim, bytes.len() as u64, self.now())
        {
            return Ok(SubmitAnswer::Gone);
        }
        let this = Arc::clone(self);
        tokio::spawn(async move { this.verify(run, token, bytes).await });
        Ok(SubmitAnswer::Taken)
    }

    /// Whether a proof of this claim is answered: it is waited for, or one has come before.
    ///
    /// # Errors
    /// A failing store.
    pub async fn takes(&self, token: &ClaimToken) -> Result<bool, ArtifactError> {
        if self.is_open(token) {
            return Ok(true);
        }
        if !lock(&self.runs).contains_key(&token.request) {
            return Ok(false);
        }
        let there = self.artifacts.has_proof(token.request, token.slice, token.claim);
        there.await.inspect_err(|_| self.excuse(token))
    }

    /// A claim's proof could not be taken, and not for want of its worker: it is not to blame if none is.
    pub fn excuse(&self, token: &ClaimToken) {
        lock(&self.state).queue.excuse(token.request, token.claim);
    }

    pub(super) async fn verify(self: Arc<Self>, run: Arc<Run>, token: ClaimToken, bytes: Bytes) {
        let ClaimToken {
            request,
            slice,
            claim,
            identity,
            ..
        } = token;
        let verifying = Timed::begin("verify", Some(Context::of_claim(request, claim)))
            .with("zkinfer.request", || request.to_string())
            .with("zkinfer.slice", || slice.0)
            .with("zkinfer.claim", || claim.to_string())
            .with("zkinfer.bytes", || bytes.len() as u64);
        let permit = Arc::clone(&self.verifying).acquire_owned().await;
        let verdict = tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            let verdict = run.verify(slice, claim, identity, &bytes);
            (Digest::of(&bytes), begun.elapsed(), verdict)
        })
        .await;
        drop((permit, verifying));
        let verdict = verdict.map(|(proof, took, verdict)| {
            lock(&self.state).queue.judged(request, claim, proof, took);
            verdict
        });
        let end = match verdict {
            Ok(VerifyOutcome::Verified) => AttemptEnd::Verified,
            Ok(VerifyOutcome::Invalid(why)) => AttemptEnd::Invalid(why),
            Ok(VerifyOutcome::Operator(why)) => AttemptEnd::Operator(why),
            Err(_) => AttemptEnd::Operator("the verifier stopped".to_owned()),
        };
        if let AttemptEnd::Operator(why) = &end {
            tracing::error!(%request, %slice, %claim, why, "a proof was not judged");
        }
        self.end(request, claim, end);
    }

    /// Ends a claim whose body was larger than any proof, unless a proof has come before.
    pub fn too_large(&self, token: &ClaimToken) {
        self.give_up(token, AttemptEnd::TooLarge);
    }

    /// Takes a slice back. `false` when a proof has come, or the claim has ended before.
    pub fn refuse(&self, token: &ClaimToken, refusal: Refusal) -> bool {
        self.give_up(token, AttemptEnd::HandedBack(refusal.reason, refusal.message))
    }

    fn give_up(&self, token: &ClaimToken, end: AttemptEnd) -> bool {
        let now = self.now();
        let given_up = lock(&self.state)
            .queue
            .give_up(token.request, token.claim, end, now);
        self.settle();
        given_up
    }
}
