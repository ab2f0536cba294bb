//! The compiler's calls. Each is tried again for a while: the operator may be restarted meanwhile.

use std::path::Path;
use std::time::Duration;

use zkinfer_client::{Answer, Body, CallError, Calling, Gateway, Limit, Pauses, retry, time_for};
use zkinfer_crds::calls::{Call, compile};
use zkinfer_crds::compile_report::CompileOutcome;
use zkinfer_crds::wire::{BlobRef, CompileTask};

use crate::exit::UsageError;

/// How often and how long apart a call without an answer is tried: about 40 s in all.
const TRIES: Limit = Limit::Tries(12);
const PAUSES: Pauses = Pauses::new(Duration::from_millis(500), Duration::from_secs(5));
/// Time for a line of progress: the next one comes soon.
const PROGRESS: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(super) struct Client {
    gateway: Gateway,
    token: String,
}

impl Client {
    pub(super) fn new(gateway: &str, token: &str) -> Result<Self, UsageError> {
        Ok(Self {
            gateway: Gateway::new(gateway).map_err(|e| UsageError::new(format!("--gateway: {e}")))?,
            token: token.to_owned(),
        })
    }

    /// Calls until there is an answer that is not a server's error.
    async fn call<C: Call>(
        &self,
        named: &C::Named,
        bytes: u64,
        with: impl Fn(Calling<C>) -> Calling<C>,
    ) -> Result<Answer<C>, CallError> {
        retry(PAUSES, TRIES, CallError::may_pass, async || {
            let call = self.gateway.call::<C>(named, &self.token);
            with(call.time(time_for(bytes))).send().await
        })
        .await
    }

    pub(super) async fn task(&self) -> Result<CompileTask, CallError> {
        let answer = self.call::<compile::Task>(&(), 0, |call| call).await?;
        answer.json().await
    }

    pub(super) async fn blob(&self, blob: &BlobRef) -> Result<Vec<u8>, CallError> {
        let answer = self.call::<compile::Fetch>(&blob.digest, blob.size, |call| call);
        answer.await?.at_most(blob.size).await
    }

    /// Hands in a file.
    pub(super) async fn put_blob(&self, blob: &BlobRef, file: &Path) -> Result<(), CallError> {
        let bytes = tokio::fs::read(file)
            .await
            .map_err(|e| CallError::Unexpected(format!("{}: {e}", file.display())))?;
        let bytes = bytes::Bytes::from(bytes);
        let put = |call: Calling<compile::Put>| call.bytes(Body::from(bytes.clone()));
        self.call(&blob.digest, blob.size, put).await.map(drop)
    }

    pub(super) async fn progress(&self, line: String) -> Result<(), CallError> {
        let call = self.gateway.call::<compile::Progress>(&(), &self.token);
        call.bytes(line).time(PROGRESS).send().await.map(drop)
    }

    pub(super) async fn report(&self, outcome: &CompileOutcome) -> Result<(), CallError> {
        let report = |call: Calling<compile::Report>| call.json(outcome);
        self.call(&(), 0, report).await.map(drop)
    }
}
