//! Bodies of calls: read up to a cap, within a time, and never more of them at once than a budget of memory holds.
//!
//! Invariant: a handler knows who calls before it asks for a body, so nobody unknown takes any of the budget.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use zkinfer_crds::calls::{Call, Reason};

use super::problem::Reject;

/// Time for the whole of a body, waiting for room included.
const TIME: Duration = Duration::from_secs(30);
/// Bytes of bodies that are held at once, in KiB: a sixteenth of the operator's memory limit.
const BUDGET_KIB: usize = 64 << 10;

/// The room for bodies, shared by all routes.
#[derive(Clone)]
pub(super) struct Bodies {
    budget: Arc<Semaphore>,
    time: Duration,
}

/// A body that was read; it takes its room until it is dropped.
pub(super) struct Held {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl Deref for Held {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.bytes
    }
}

/// Why there is no body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadError {
    TooLarge,
    TooSlow,
    BrokenOff,
    NoRoom,
}

impl From<ReadError> for Reject {
    fn from(error: ReadError) -> Self {
        let (reason, message) = match error {
            ReadError::TooLarge => (Reason::TooLarge, "the body is too large"),
            ReadError::TooSlow => (Reason::TooSlow, "the body came too slowly"),
            ReadError::BrokenOff => (Reason::BrokenOff, "the body broke off"),
            ReadError::NoRoom => (Reason::Busy, "too many bodies are being read: try again"),
        };
        Self::new(reason, message)
    }
}

impl Default for Bodies {
    fn default() -> Self {
        Self {
            budget: Arc::new(Semaphore::new(BUDGET_KIB)),
            time: TIME,
        }
    }
}

impl Bodies {
    /// The same room with another time for a body.
    pub(super) fn with_time(self, time: Duration) -> Self {
        Self { time, ..self }
    }

    /// Reads a body of at most `max` bytes; nothing past the cap is read.
    pub(super) async fn read(&self, headers: &HeaderMap, body: Body, max: usize) -> Result<Held, ReadError> {
        let stated = headers
            .get(CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.parse::<u64>().ok());
        if stated.is_some_and(|n| n > max as u64) {
            return Err(ReadError::TooLarge);
        }
        let until = Instant::now() + self.time;
        let most = stated.map_or(max, |n| n as usize);
        let kib = u32::try_from(most.div_ceil(1024)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.budget).acquire_many_owned(kib);
        let room = timeout_at(until, room)
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or(ReadError::NoRoom)?;
        let collect = async {
            let mut bytes = Vec::new();
            let mut stream = body.into_data_stream();
            while let Some(chunk) = stream.next().await {
                let chunk = chunk.map_err(|_| ReadError::BrokenOff)?;
                if bytes.len() + chunk.len() > max {
                    return Err(ReadError::TooLarge);
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok(bytes.into())
        };
        let bytes = timeout_at(until, collect)
            .await
            .unwrap_or(Err(ReadError::TooSlow))?;
        Ok(Held { bytes, _room: room })
    }

    /// Reads the body of a call, up to the call's limit.
    pub(super) async fn of<C: Call>(&self, headers: &HeaderMap, body: Body) -> Result<Held, ReadError> {
        let max = usize::try_from(C::MAX_BODY).unwrap_or(usize::MAX);
        self.read(headers, body, max).await
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    #[tokio::test]
    async fn bodies_together_take_no_more_than_the_budget() {
        let bodies = Bodies::default().with_time(Duration::from_millis(80));
        let (none, max) = (HeaderMap::new(), BUDGET_KIB * 1024 / 2);
        let first = bodies.read(&none, Body::from("a"), max).await.ok();
        let second = bodies.read(&none, Body::from("b"), max).await.ok();
        assert_eq!(first.as_ref().map(|b| &b[..]), Some(&b"a"[..]));
        let third = bodies.read(&none, Body::from("c"), max).await;
        assert_eq!(third.err(), Some(ReadError::NoRoom));
        drop(second);
        assert!(bodies.read(&none, Body::from("c"), max).await.is_ok());
        // One that never ends gives its room back.
        let endless = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(
            bodies.read(&none, endless, max).await.err(),
            Some(ReadError::TooSlow)
        );
        assert!(bodies.read(&none, Body::from("d"), max).await.is_ok());
    }
}
