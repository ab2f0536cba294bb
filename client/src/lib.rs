//! The HTTP client of the gateway: every call of [`zkinfer_crds::calls`], for workers, compilers and people's programs.
//!
//! Invariants: an answer is read up to its limit and no further; an answer that is an error says what the gateway said;
//! no redirect is followed, since a token goes with every call. When to try again is decided in [`pauses`] alone.

pub mod pauses;
mod token;

use std::marker::PhantomData;
use std::time::Duration;

use reqwest::header::HeaderName;
use reqwest::redirect::Policy;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zkinfer_crds::calls::{Call, Carries, Method};
use zkinfer_crds::wire::Problem;

pub use pauses::{Limit, Pauses, retry};
pub use reqwest::Body;
pub use reqwest::header::HeaderValue;
pub use token::{Token, TokenError};

/// Time to connect.
const CONNECT: Duration = Duration::from_secs(10);
/// Time for a call that does not say how long it may take.
const CALL: Duration = Duration::from_secs(60);
/// Largest answer that is an error.
const MAX_PROBLEM: u64 = 64 << 10;
/// How much of an answer that is no [`Problem`] is told.
const SAID: usize = 200;

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It was not sent, or not answered.
    #[error("no answer: {0}")]
    NoAnswer(String),
    /// There is no token to send.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The gateway does not know the token, or what it stands for may not do this.
    #[error("{said}")]
    Forbidden {
        /// The status.
        status: u16,
        /// The gateway's words.
        said: String,
    },
    /// The gateway said no.
    #[error("the gateway answered {status}: {said}")]
    Refused {
        /// The status.
        status: u16,
        /// The gateway's words.
        said: String,
    },
    /// The answer is not what the contract says.
    #[error("unexpected answer: {0}")]
    Unexpected(String),
}

impl CallError {
    /// Whether the same call may be answered otherwise in a while.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::NoAnswer(_) => true,
            Self::Refused { status, .. } => *status >= 500,
            Self::Token(_) | Self::Forbidden { .. } | Self::Unexpected(_) => false,
        }
    }

    /// The status of an answer that is an error.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Forbidden { status, .. } | Self::Refused { status, .. } => Some(*status),
            Self::NoAnswer(_) | Self::Token(_) | Self::Unexpected(_) => None,
        }
    }
}

impl From<reqwest::Error> for CallError {
    fn from(error: reqwest::Error) -> Self {
        // The first says only that sending failed.
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        Self::NoAnswer(text)
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It is no address.
    #[error("`{0}` is not a URL")]
    NotAUrl(String),
    /// The client cannot be made.
    #[error("{0}")]
    Client(#[from] reqwest::Error),
}

/// A gateway at an address.
#[derive(Debug, Clone)]
pub struct Gateway {
    http: reqwest::Client,
    address: String,
}

impl Gateway {
    /// The gateway at `address`.
    ///
    /// # Errors
    /// What is not a URL; a machine without certificates, where the address begins with `https`.
    pub fn new(address: &str) -> Result<Self, AddressError> {
        let address = address.trim_end_matches('/').to_owned();
        let url = reqwest::Url::parse(&address).map_err(|_| AddressError::NotAUrl(address.clone()))?;
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .redirect(Policy::none());
        if url.scheme() != "https" {
            // An image has no certificates, and needs none.
            http = http.tls_certs_only([]);
        }
        Ok(Self {
            http: http.build()?,
            address,
        })
    }

    /// Begins a call.
    pub fn call<C: Call>(&self, named: &C::Named, bearer: &str) -> Calling<C> {
        let method = match C::METHOD {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
        };
        let url = format!("{}{}", self.address, C::path(named));
        let request = self.http.request(method, url).bearer_auth(bearer).timeout(CALL);
        Calling {
            request,
            call: PhantomData,
        }
    }
}

/// Time for a call that carries so many bytes: at 1 MiB/s.
#[must_use]
pub const fn time_for(bytes: u64) -> Duration {
    CALL.saturating_add(Duration::from_secs(bytes >> 20))
}

/// A call that was begun.
#[must_use]
#[derive(Debug)]
pub struct Calling<C> {
    request: reqwest::RequestBuilder,
    call: PhantomData<C>,
}

impl<C: Call> Calling<C> {
    fn with(self, change: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder) -> Self {
        Self {
            request: change(self.request),
            call: PhantomData,
        }
    }

    /// What stands behind the `?`.
    pub fn query(self, query: &C::Query) -> Self {
        self.with(|request| request.query(query))
    }

    /// A header.
    pub fn header(self, name: &'static str, value: HeaderValue) -> Self {
        self.with(|request| request.header(HeaderName::from_static(name), value))
    }

    /// Another time for the call and its answer.
    pub fn time(self, time: Duration) -> Self {
        self.with(|request| request.timeout(time))
    }

    /// A body of JSON.
    pub fn json<T: Serialize>(self, body: &T) -> Self
    where
        C::Body: Carries<T>,
    {
        self.with(|request| request.json(body))
    }

    /// A body of bytes.
    pub fn bytes(self, body: impl Into<Body>) -> Self {
        self.with(|request| request.body(body))
    }

    /// Makes the call.
    ///
    /// # Errors
    /// No answer, or one that is an error.
    pub async fn send(self) -> Result<Answer<C>, CallError> {
        let response = self.request.send().await?;
        let status = response.status();
        if status.is_success() {
            return Ok(Answer {
                response,
                call: PhantomData,
            });
        }
        let body = match read(response, MAX_PROBLEM).await {
            Ok(body) => body,
            // What it said is lost: the same call is given the same answer.
            Err(broken @ CallError::NoAnswer(_)) => return Err(broken),
            Err(_) => Vec::new(),
        };
        let said = match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => format!("{}: {}", problem.reason, problem.message),
            Err(_) if body.is_empty() => status.to_string(),
            Err(_) => String::from_utf8_lossy(&body).chars().take(SAID).collect(),
        };
        let status = status.as_u16();
        Err(match status {
            401 | 403 => CallError::Forbidden { status, said },
            _ => CallError::Refused { status, said },
        })
    }
}

/// An answer that is no error. Its body is not read yet.
#[derive(Debug)]
pub struct Answer<C> {
    response: reqwest::Response,
    call: PhantomData<C>,
}

impl<C: Call> Answer<C> {
    /// Its status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// Its bytes, up to the call's limit.
    ///
    /// # Errors
    /// More of them, or an answer that breaks off.
    pub async fn bytes(self) -> Result<Vec<u8>, CallError> {
        self.at_most(C::MAX_ANSWER).await
    }

    /// Its bytes, of which there must not be more than `max`, nor than the call's limit.
    ///
    /// # Errors
    /// More of them, or an answer that breaks off.
    pub async fn at_most(self, max: u64) -> Result<Vec<u8>, CallError> {
        read(self.response, max.min(C::MAX_ANSWER)).await
    }

    /// What its JSON says.
    ///
    /// # Errors
    /// As for [`bytes`](Self::bytes), and other JSON.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, CallError>
    where
        C::Answer: Carries<T>,
    {
        parse::<C, T>(&self.bytes().await?)
    }

    /// What its JSON says, if it carries any.
    ///
    /// # Errors
    /// As for [`json`](Self::json).
    pub async fn json_if_any<T: DeserializeOwned>(self) -> Result<Option<T>, CallError>
    where
        C::Answer: Carries<T>,
    {
        let bytes = self.bytes().await?;
        (!bytes.is_empty()).then(|| parse::<C, T>(&bytes)).transpose()
    }
}

fn parse<C: Call, T: DeserializeOwned>(json: &[u8]) -> Result<T, CallError>
where
    C::Answer: Carries<T>,
{
    serde_json::from_slice(json).map_err(|e| CallError::Unexpected(e.to_string()))
}

async fn read(mut response: reqwest::Response, max: u64) -> Result<Vec<u8>, CallError> {
    let too_long = || CallError::Unexpected(format!("it has more than {max} bytes"));
    if response.content_length().is_some_and(|n| n > max) {
        return Err(too_long());
    }
    // A body may come without saying how long it is.
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if (bytes.len() + chunk.len()) as u64 > max {
            return Err(too_long());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
