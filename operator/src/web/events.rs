//! What goes on, as a stream of events (SSE): one for each page that is open.
//!
//! Invariants: nothing is queued for a viewer: the next event is made when the last one is on its way, so that who reads
//! slowly misses states and holds no memory. What they may see is asked again before each event.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::stream::unfold;
use tokio::sync::OwnedSemaphorePermit;

use super::front::{Front, VIEWERS, bearer};
use super::place::{Place, place};
use super::refused::Refused;
use crate::gateway::Peer;

/// The time between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// So many looks without news, and the line is kept open by a word.
const QUIET: u32 = 15;

struct Viewer {
    front: Front,
    token: String,
    from: Peer,
    namespace: String,
    last: Option<[u8; 32]>,
    /// Looks since anything was sent; `None` after the last event.
    quiet: Option<u32>,
    _place: OwnedSemaphorePermit,
}

/// Answers with a stream that ends with the operator, or when the viewer may see it no more.
pub(super) async fn events(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    query: Result<Query<Place>, QueryRejection>,
) -> Result<Response, Refused> {
    let token = bearer(&headers)?.to_owned();
    let namespace = place(query)?;
    front.sees(&token, from, &namespace).await?;
    let permit = front.viewers.clone().try_acquire_owned();
    let viewer = Viewer {
        _place: permit.map_err(|_| Refused::too_many_viewers(VIEWERS))?,
        front,
        token,
        from,
        namespace,
        last: None,
        quiet: Some(0),
    };
    let stream = unfold(viewer, async |mut viewer| {
        let event = viewer.next().await?;
        Some((Ok::<_, std::convert::Infallible>(event), viewer))
    });
    let type_ = [(CONTENT_TYPE, "text/event-stream")];
    Ok((type_, Body::from_stream(stream)).into_response())
}

impl Viewer {
    /// What is sent next.
    async fn next(&mut self) -> Option<Bytes> {
        let mut stop = self.front.stop.clone();
        loop {
            let quiet = self.quiet?;
            if self.last.is_some() {
                tokio::select! {
                    () = tokio::time::sleep(EVERY) => {}
                    // A stop that nobody can tell any more is one.
                    _ = stop.wait_for(|stop| *stop) => return None,
                }
            }
            let sees = match self.front.sees(&self.token, self.from, &self.namespace).await {
                Ok(sees) => sees,
                Err(refused) => {
                    self.quiet = None;
                    return Some(event("refused", &refused.told()));
                }
            };
            let snapshot = self.front.snapshots.get(&self.front.shown, &self.namespace).await;
            let (json, digest) = snapshot.told(sees);
            if self.last != Some(digest) {
                (self.last, self.quiet) = (Some(digest), Some(0));
                return Some(event("overview", &json));
            }
            self.quiet = Some(quiet + 1);
            if quiet + 1 >= QUIET {
                self.quiet = Some(0);
                return Some(Bytes::from_static(b": nothing new\n\n"));
            }
        }
    }
}

/// JSON has no line ends of its own.
fn event(name: &str, json: &str) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {json}\n\n"))
}
