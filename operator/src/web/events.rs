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

use super::front::{ANYBODY, Front, VIEWERS, Viewer};
use super::place::{Place, place};
use super::refused::Refused;
use crate::gateway::Peer;

/// The time between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// So many looks without news, and the line is kept open by a word.
const QUIET: u32 = 15;

struct Following {
    front: Front,
    /// None: anybody, where the Validator lets everybody look.
    token: Option<String>,
    from: Peer,
    namespace: String,
    last: Option<[u8; 32]>,
    /// Looks since anything was sent; `None` after the last event.
    quiet: Option<u32>,
    _place: OwnedSemaphorePermit,
    _place_of_anybody: Option<OwnedSemaphorePermit>,
}

/// Answers with a stream that ends with the operator, or when the viewer may see it no more.
pub(super) async fn events(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    query: Result<Query<Place>, QueryRejection>,
) -> Result<Response, Refused> {
    let viewer = front.viewer(&headers)?;
    let namespace = place(query)?;
    front.sees(viewer, from, &namespace).await?;
    let (token, of_anybody) = match viewer {
        Viewer::Token(token) => (Some(token.to_owned()), None),
        Viewer::Anybody => {
            let permit = front.anybody.clone().try_acquire_owned();
            (
                None,
                Some(permit.map_err(|_| Refused::too_many_viewers(ANYBODY))?),
            )
        }
    };
    let permit = front.viewers.clone().try_acquire_owned();
    let following = Following {
        _place: permit.map_err(|_| Refused::too_many_viewers(VIEWERS))?,
        _place_of_anybody: of_anybody,
        front,
        token,
        from,
        namespace,
        last: None,
        quiet: Some(0),
    };
    let stream = unfold(following, async |mut following| {
        let event = following.next().await?;
        Some((Ok::<_, std::convert::Infallible>(event), following))
    });
    let type_ = [(CONTENT_TYPE, "text/event-stream")];
    Ok((type_, Body::from_stream(stream)).into_response())
}

impl Following {
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
            let viewer = self.token.as_deref().map_or(Viewer::Anybody, Viewer::Token);
            let sees = match self.front.sees(viewer, self.from, &self.namespace).await {
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
