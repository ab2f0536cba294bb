//! Every connection of the operator comes in here, whichever listener it comes to: the one place where they get their bounds.
//!
//! Invariants: a connection that has not sent the whole head of a request in [`HEAD_TIME`], or has been silent for as long
//! between two, is closed, and so is one that takes nothing of its answer ([`super::timed`]); how many there are, and who has to go,
//! says [`super::house`]. Whoever asks without being known is answered once on a connection: who is refused is closed. Whole
//! addresses are never shut out: everybody who comes through a port-forward shares one.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::ServiceExt;

use super::caller::Caller;
use super::house::{House, Place};
use super::timed::{Timed, WRITE_TIME};

/// Time for the head of a request, and of silence between requests.
const HEAD_TIME: Duration = Duration::from_secs(15);
/// Most bytes that are read ahead: tokens have at most 8 KiB.
const BUFFER: usize = 32 << 10;
/// Pause after an accept that failed, which is for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// What a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Workers, compilers and clients.
    Gateway,
    /// People's browsers.
    App,
    /// Probes and Prometheus.
    Health,
    /// The objects of local mode.
    Objects,
}

impl Door {
    /// The most connections.
    const fn most(self) -> usize {
        match self {
            Self::Gateway => 8192,
            Self::App => 2048,
            Self::Health => 256,
            Self::Objects => 1024,
        }
    }
}

/// Where a call comes from; of calls that came over no connection it is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Peer(pub Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().copied().unwrap_or_default())
    }
}

tokio::task_local! {
    /// The connection that the call at work came over.
    static PLACE: Arc<Place>;
}

/// Says who is behind the call at work: their connection is kept. Of a call that came over none nothing is said.
pub fn known(caller: &Caller) {
    // Of a call that came over no connection there is none to keep.
    let _ = PLACE.try_with(|place| place.known(caller));
}

/// The times of connections.
#[derive(Debug, Clone, Copy)]
struct Times {
    head: Duration,
    write: Duration,
}

/// Serves until `shutdown` is done and every call that was begun has its answer.
///
/// # Errors
/// None: a connection that cannot be accepted is tried again.
pub(super) async fn serve(
    door: Door,
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let times = Times {
        head: HEAD_TIME,
        write: WRITE_TIME,
    };
    serve_within(times, House::new(door.most()), listener, router, shutdown).await
}

async fn serve_within(
    times: Times,
    house: Arc<House>,
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let (closing, closed) = watch::channel(());
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, from)) => {
                // Otherwise the second part of an answer waits for the first one's acknowledgement.
                let _ = stream.set_nodelay(true);
                let address = from.ip().to_canonical();
                if let Some(place) = House::enter(&house, address) {
                    tokio::spawn(connection(times, stream, router.clone(), place, closed.clone()));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(closed);
    let _ = closing.send(());
    // Each connection holds a receiver.
    closing.closed().await;
    Ok(())
}

async fn connection(
    times: Times,
    stream: TcpStream,
    router: Router,
    place: Place,
    mut closing: watch::Receiver<()>,
) {
    let (address, out) = (place.address, Arc::clone(&place.out));
    let place = Arc::new(place);
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        place.asked();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(Some(address)));
        let answer = PLACE.scope(Arc::clone(&place), router.clone().oneshot(request));
        let place = Arc::clone(&place);
        async move {
            let mut answer = answer.await?;
            if !place.stays() {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(times.head)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(Timed::new(stream, times.write)), service);
    let mut served = std::pin::pin!(served);
    let mut told = false;
    loop {
        tokio::select! {
            ended = served.as_mut() => {
                if let Err(error) = ended {
                    tracing::trace!(%error, "a connection ended");
                }
                return;
            }
            () = out.notified() => return,
            _ = closing.changed(), if !told => {
                told = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

#[cfg(test)]
mod tests;
