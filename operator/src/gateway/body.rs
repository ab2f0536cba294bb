//! Bodies of calls: read up to a cap, within a time, and never more of them at once than there is room for. One account for every
//! listener.
//!
//! Invariants: a handler knows who calls before it asks for a body, so nobody unknown takes any of the room; whatever a body
//! becomes is on the account too: an object that is read from it ([`Bodies::object`]), the part of a file that is kept until the
//! store has it ([`super::file`]). Callers share the room as [`super::room`] says.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use futures::StreamExt;
use tokio::time::{Instant, timeout_at};
use zkinfer_crds::calls::{Call, Reason};

use super::caller::Caller;
use super::problem::Reject;
use super::room::{NoRoom, Place, Room};

/// Time for the whole of a body, waiting for room included; and of silence inside a file.
const TIME: Duration = Duration::from_secs(30);
/// Bytes of bodies that are held at once, in KiB: a sixteenth of the operator's memory limit.
const BODIES_KIB: u32 = 64 << 10;
/// Of parts of files that are on their way into the store.
const FILES_KIB: u32 = 40 << 10;
/// Of objects that were read from bodies.
const OBJECTS_KIB: u32 = 32 << 10;
/// A body that comes for so long gives way to whoever holds less: over a network an honest one takes less.
const GRACE: Duration = Duration::from_millis(500);
/// The same of a file.
const FILE_GRACE: Duration = Duration::from_secs(10);
/// An object takes so many times the bytes of its body: a number of two characters is eight bytes, and text again on its way on.
const OF_OBJECT: usize = 8;

/// The room for bodies, shared by all routes and listeners.
#[derive(Clone)]
pub struct Bodies {
    bodies: Arc<Room>,
    objects: Arc<Room>,
    pub(super) files: Arc<Room>,
    pub(super) time: Duration,
}

/// A body that was read; it takes its room until it is dropped.
pub struct Held {
    bytes: Bytes,
    _room: Place,
}

impl Deref for Held {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.bytes
    }
}

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It has more bytes than are taken.
    #[error("the body is too large")]
    TooLarge,
    /// It did not come in time.
    #[error("the body came too slowly")]
    TooSlow,
    /// It ended before its end.
    #[error("the body broke off")]
    BrokenOff,
    /// Others' bodies take the room.
    #[error("too many bodies are being read: try again")]
    NoRoom,
    /// The caller's own bodies take as much of the room as one caller's may.
    #[error("too many bodies of yours are being read: try again when one has ended")]
    OwnRoom,
}

impl From<NoRoom> for ReadError {
    fn from(why: NoRoom) -> Self {
        match why {
            NoRoom::Own => Self::OwnRoom,
            NoRoom::Others => Self::NoRoom,
        }
    }
}

impl From<ReadError> for Reject {
    fn from(error: ReadError) -> Self {
        let reason = match error {
            ReadError::TooLarge => Reason::TooLarge,
            ReadError::TooSlow => Reason::TooSlow,
            ReadError::BrokenOff => Reason::BrokenOff,
            ReadError::NoRoom | ReadError::OwnRoom => Reason::Busy,
        };
        Self::new(reason, error.to_string())
    }
}

impl Default for Bodies {
    fn default() -> Self {
        Self {
            bodies: Room::new(BODIES_KIB, GRACE),
            objects: Room::new(OBJECTS_KIB, GRACE),
            files: Room::new(FILES_KIB, FILE_GRACE),
            time: TIME,
        }
    }
}

impl Bodies {
    /// The same room with another time for a body.
    #[must_use]
    pub fn with_time(self, time: Duration) -> Self {
        Self { time, ..self }
    }

    /// Reads a caller's body of at most `max` bytes; nothing past the cap is read.
    ///
    /// # Errors
    /// A body that is too large, too slow or breaks off; no room for it.
    pub async fn read(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        body: Body,
        max: usize,
    ) -> Result<Held, ReadError> {
        let stated = headers
            .get(CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.parse::<u64>().ok());
        if stated.is_some_and(|n| n > max as u64) {
            return Err(ReadError::TooLarge);
        }
        let until = Instant::now() + self.time;
        let most = stated.map_or(max, |n| n as usize);
        let room = self.bodies.take(caller, most, until).await?;
        let collect = async {
            // What grows as it comes would take up to twice as much.
            let mut bytes = Vec::with_capacity(most);
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
        let bytes = room.during(timeout_at(until, collect)).await?;
        let bytes = bytes.unwrap_or(Err(ReadError::TooSlow))?;
        Ok(Held { bytes, _room: room })
    }

    /// Reads the body of a call, up to the call's limit.
    pub(super) async fn of<C: Call>(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Held, ReadError> {
        let max = usize::try_from(C::MAX_BODY).unwrap_or(usize::MAX);
        self.read(caller, headers, body, max).await
    }

    /// Room for the object that a body is read into, for as long as it is at work.
    ///
    /// # Errors
    /// None in time.
    pub async fn object(&self, caller: &Caller, body: &Held) -> Result<Object, ReadError> {
        let until = Instant::now() + self.time;
        let bytes = body.len().saturating_mul(OF_OBJECT);
        let place = self.objects.take(caller, bytes, until).await?;
        Ok(Object { _place: place })
    }
}

/// An object's room, until it is dropped.
pub struct Object {
    _place: Place,
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn caller(name: &str) -> Caller {
        Caller::namespace(name)
    }

    fn endless() -> Body {
        Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>())
    }

    #[tokio::test]
    async fn bodies_together_take_no_more_than_the_budget() {
        let bodies = Bodies::default().with_time(Duration::from_millis(80));
        let (none, max) = (HeaderMap::new(), BODIES_KIB as usize * 1024 / 2);
        let read = async |name: &str, body: Body| bodies.read(&caller(name), &none, body, max).await;
        let first = read("a", Body::from("a")).await.ok();
        let second = read("b", Body::from("b")).await.ok();
        assert_eq!(first.as_ref().map(|b| &b[..]), Some(&b"a"[..]));
        assert_eq!(read("c", Body::from("c")).await.err(), Some(ReadError::NoRoom));
        assert_eq!(read("a", Body::from("a")).await.err(), Some(ReadError::OwnRoom));
        drop(second);
        assert!(read("c", Body::from("c")).await.is_ok());
        // One that never ends gives its room back.
        assert_eq!(read("d", endless()).await.err(), Some(ReadError::TooSlow));
        assert!(read("d", Body::from("d")).await.is_ok());
    }

    #[tokio::test]
    async fn the_largest_object_has_room_and_two_of_them_are_not_one_callers() {
        let bodies = Bodies::default().with_time(Duration::from_millis(80));
        let (none, max) = (HeaderMap::new(), 3 << 20);
        let held = async |name: &str| {
            bodies
                .read(&caller(name), &none, Body::from(vec![b' '; max]), max)
                .await
        };
        let (first, second) = (held("a").await.unwrap(), held("a").await.unwrap());
        let one = bodies.object(&caller("a"), &first).await.unwrap();
        assert_eq!(
            bodies.object(&caller("a"), &second).await.err(),
            Some(ReadError::OwnRoom)
        );
        // A small one of somebody else has its place beside it.
        let small = bodies
            .read(&caller("b"), &none, Body::from("{}"), max)
            .await
            .unwrap();
        assert!(bodies.object(&caller("b"), &small).await.is_ok());
        drop(one);
        assert!(bodies.object(&caller("a"), &second).await.is_ok());
    }
}
