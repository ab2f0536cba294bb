//! The calls to the gateway. Every answer is read with a cap.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::StreamExt;
use reqwest::header::HeaderValue;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use zkinfer_crds::wire::{
    BLOBS_PATH, BlobRef, CLAIMS_PATH, ClaimGrant, ClaimRequest, INLINE_QUERY, MAX_INLINE_BYTES, NEXT_HEADER,
    Problem, Refusal, WORKER_TOKEN_HEADER,
};

use crate::exit::UsageError;

/// Time to connect, and for calls that do not wait.
const CONNECT: Duration = Duration::from_secs(10);
const CALL: Duration = Duration::from_secs(60);
/// Largest JSON answer.
const MAX_JSON: u64 = 64 << 10;
/// Largest grant: its inputs may be in it, as base64.
const MAX_GRANT: u64 = MAX_JSON + MAX_INLINE_BYTES * 4 / 3 + 4;
/// Largest blob.
const MAX_BLOB: u64 = 8 << 30;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// No answer.
    #[error("no answer: {0}")]
    Transport(#[from] reqwest::Error),
    /// The token cannot be read.
    #[error("cannot read the token file: {0}")]
    Token(std::io::Error),
    /// The gateway does not know the token.
    #[error("{0}")]
    Forbidden(String),
    /// The gateway said no.
    #[error("the gateway answered {status}: {message}")]
    Refused { status: StatusCode, message: String },
    /// The answer is not what the contract says.
    #[error("unexpected answer: {0}")]
    Unexpected(String),
}

/// Answer to a claim.
#[derive(Debug)]
pub(super) enum Claimed {
    Slice(Box<ClaimGrant>),
    Nothing,
    Over,
}

pub(super) struct Client {
    http: reqwest::Client,
    gateway: String,
    token: Token,
}

enum Token {
    Fixed(String),
    File(PathBuf),
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
        let gateway = gateway.trim_end_matches('/').to_owned();
        if reqwest::Url::parse(&gateway).is_err() {
            return Err(UsageError::new(format!("--gateway: `{gateway}` is not a URL")));
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none());
        Ok(Self {
            http: http.build().map_err(UsageError::new)?,
            gateway,
            token,
        })
    }

    fn token(&self) -> Result<String, CallError> {
        match &self.token {
            Token::Fixed(token) => Ok(token.clone()),
            Token::File(path) => std::fs::read_to_string(path)
                .map(|t| t.trim().to_owned())
                .map_err(CallError::Token),
        }
    }

    fn call(&self, method: Method, path: &str, bearer: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.gateway))
            .bearer_auth(bearer)
            .timeout(CALL)
    }

    pub(super) async fn claim(&self, request: &ClaimRequest) -> Result<Claimed, CallError> {
        let wait = Duration::from_secs(u64::from(request.wait_seconds)) + CALL;
        let call = self
            .call(
                Method::POST,
                &format!("{CLAIMS_PATH}?{INLINE_QUERY}"),
                &self.token()?,
            )
            .timeout(wait)
            .json(request);
        let answer = call.send().await?;
        match answer.status() {
            StatusCode::OK => {
                let body = body(answer, MAX_GRANT).await?;
                Ok(Claimed::Slice(Box::new(read_grant(&body)?)))
            }
            StatusCode::NO_CONTENT => Ok(Claimed::Nothing),
            StatusCode::GONE => Ok(Claimed::Over),
            _ => Err(refused(answer).await),
        }
    }

    /// Fetches a blob of exactly its stated size; the digest is the caller's to compare.
    pub(super) async fn blob(&self, blob: &BlobRef) -> Result<Vec<u8>, CallError> {
        if blob.size > MAX_BLOB {
            return Err(CallError::Unexpected(format!("a blob of {} bytes", blob.size)));
        }
        let path = format!("{BLOBS_PATH}/{}", blob.digest);
        // Blobs may be large: the time allowed grows with the size, at 1 MiB/s.
        let timeout = CALL + Duration::from_secs(blob.size >> 20);
        let answer = self
            .call(Method::GET, &path, &self.token()?)
            .timeout(timeout)
            .send()
            .await?;
        if answer.status() != StatusCode::OK {
            return Err(refused(answer).await);
        }
        body(answer, blob.size).await
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
        let path = format!("{CLAIMS_PATH}/{}/proof?{INLINE_QUERY}", grant.claim);
        let mut wanted = next.and_then(|next| self.next(next));
        loop {
            let mut call = self.call(Method::PUT, &path, &grant.token).body(envelope.clone());
            if let Some((next, token)) = wanted.take() {
                call = call.header(NEXT_HEADER, next).header(WORKER_TOKEN_HEADER, token);
            }
            match call.send().await {
                Ok(answer) if answer.status().is_success() => return Ok(next_grant(answer).await),
                Ok(answer) if answer.status().is_server_error() && Instant::now() < deadline => {}
                Ok(answer) => return Err(refused(answer).await),
                Err(e) if Instant::now() >= deadline => return Err(e.into()),
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// The headers that ask for the next slice; none where they cannot be made: it is asked for by itself then.
    fn next(&self, next: &ClaimRequest) -> Option<(HeaderValue, HeaderValue)> {
        let next = HeaderValue::from_bytes(&serde_json::to_vec(next).ok()?).ok()?;
        let mut token = HeaderValue::from_str(&self.token().ok()?).ok()?;
        token.set_sensitive(true);
        Some((next, token))
    }

    pub(super) async fn refuse(&self, grant: &ClaimGrant, refusal: &Refusal) -> Result<(), CallError> {
        let path = format!("{CLAIMS_PATH}/{}/refuse", grant.claim);
        let call = self
            .call(Method::POST, &path, &grant.token)
            .timeout(CONNECT)
            .json(refusal);
        let answer = call.send().await?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(refused(answer).await)
        }
    }
}

fn read_grant(json: &[u8]) -> Result<ClaimGrant, CallError> {
    serde_json::from_slice(json).map_err(|e| CallError::Unexpected(e.to_string()))
}

/// What came with the answer to a proof. The proof was taken, whatever it is.
async fn next_grant(answer: Response) -> Option<Box<ClaimGrant>> {
    let read = match body(answer, MAX_GRANT).await {
        Ok(json) if json.is_empty() => return None,
        Ok(json) => read_grant(&json),
        Err(e) => Err(e),
    };
    read.inspect_err(|error| tracing::warn!(%error, "the next slice was not understood"))
        .ok()
        .map(Box::new)
}

pub(crate) async fn body(answer: Response, max: u64) -> Result<Vec<u8>, CallError> {
    let too_long = || CallError::Unexpected(format!("more than {max} bytes"));
    if answer.content_length().is_some_and(|n| n > max) {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    let mut stream = answer.bytes_stream();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk?);
        if bytes.len() as u64 > max {
            return Err(too_long());
        }
    }
    Ok(bytes)
}

pub(crate) async fn refused(answer: Response) -> CallError {
    let status = answer.status();
    let body = body(answer, MAX_JSON).await.unwrap_or_default();
    let message = match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => format!("{}: {}", problem.reason, problem.message),
        Err(_) => String::from_utf8_lossy(&body).chars().take(200).collect(),
    };
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => CallError::Forbidden(message),
        _ => CallError::Refused { status, message },
    }
}
