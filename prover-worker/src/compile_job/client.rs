//! The compiler's calls. Each is tried again for a while: the operator may be restarted meanwhile.

use std::path::Path;
use std::time::Duration;

use reqwest::{Body, Method, RequestBuilder, Response};
use zkinfer_crds::compile_report::CompileOutcome;
use zkinfer_crds::wire::{BlobRef, COMPILE_PATH, CompileTask};

use crate::exit::UsageError;
use crate::work::client::{CallError, body, refused};

const CALL: Duration = Duration::from_secs(60);
/// How often and how long apart a call without an answer is tried.
const TRIES: u32 = 12;
const PAUSE: Duration = Duration::from_secs(2);
const MAX_JSON: u64 = 64 << 10;

#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    gateway: String,
    token: String,
}

impl Client {
    pub(super) fn new(gateway: &str, token: &str) -> Result<Self, UsageError> {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        Ok(Self {
            http: http.build().map_err(UsageError::new)?,
            gateway: gateway.trim_end_matches('/').to_owned(),
            token: token.to_owned(),
        })
    }

    /// Calls until there is an answer that is not a server's error.
    async fn call(
        &self,
        method: Method,
        path: &str,
        bytes: u64,
        with: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, CallError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let call = self
                .http
                .request(method.clone(), format!("{}{COMPILE_PATH}/{path}", self.gateway))
                .bearer_auth(&self.token)
                // At 1 MiB/s, as workers fetch.
                .timeout(CALL + Duration::from_secs(bytes >> 20));
            match with(call).send().await {
                Ok(answer) if answer.status().is_success() => return Ok(answer),
                Ok(answer) if !answer.status().is_server_error() || tries >= TRIES => {
                    return Err(refused(answer).await);
                }
                Err(e) if tries >= TRIES => return Err(e.into()),
                Ok(_) | Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    pub(super) async fn task(&self) -> Result<CompileTask, CallError> {
        let answer = self.call(Method::GET, "task", 0, |call| call).await?;
        let json = body(answer, MAX_JSON).await?;
        serde_json::from_slice(&json).map_err(|e| CallError::Unexpected(e.to_string()))
    }

    pub(super) async fn blob(&self, blob: &BlobRef) -> Result<Vec<u8>, CallError> {
        let path = format!("blobs/{}", blob.digest);
        let answer = self.call(Method::GET, &path, blob.size, |call| call).await?;
        body(answer, blob.size).await
    }

    /// Hands in a file.
    pub(super) async fn put_blob(&self, blob: &BlobRef, file: &Path) -> Result<(), CallError> {
        let bytes = tokio::fs::read(file)
            .await
            .map_err(|e| CallError::Unexpected(format!("{}: {e}", file.display())))?;
        let bytes = bytes::Bytes::from(bytes);
        let path = format!("blobs/{}", blob.digest);
        self.call(Method::PUT, &path, blob.size, |call| {
            call.body(Body::from(bytes.clone()))
        })
        .await?;
        Ok(())
    }

    pub(super) async fn progress(&self, line: String) -> Result<(), CallError> {
        let call = self
            .http
            .post(format!("{}{COMPILE_PATH}/progress", self.gateway))
            .bearer_auth(&self.token)
            .timeout(Duration::from_secs(5))
            .body(line);
        let answer = call.send().await?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(refused(answer).await)
        }
    }

    pub(super) async fn report(&self, outcome: &CompileOutcome) -> Result<(), CallError> {
        self.call(Method::PUT, "report", 0, |call| call.json(outcome))
            .await?;
        Ok(())
    }
}
