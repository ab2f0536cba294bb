//! Connections: how many there are, and for how long one may be silent.
//!
//! Invariants: a connection that has not sent the whole head of a request in [`HEAD_TIME`], or has been silent for as long
//! between two, is closed; of those that have sent no request yet an address has at most [`PENDING`], and a new one takes
//! the place of the oldest, so that whoever asks at once is never kept out by those who only hold the line. Whole
//! addresses are never shut out: everybody who comes through a port-forward shares one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tower::ServiceExt;

/// Time for the head of a request, and of silence between requests.
const HEAD_TIME: Duration = Duration::from_secs(15);
/// Connections of one address that have sent no request yet.
const PENDING: usize = 128;
/// Connections in all.
const MOST: usize = 8192;
/// Most bytes that are read ahead: tokens have at most 8 KiB.
const BUFFER: usize = 32 << 10;
/// Pause after an accept that failed, which is for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Where a call comes from; of calls that came over no connection it is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Peer(pub Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().copied().unwrap_or_default())
    }
}

/// Serves until `shutdown` is done and every call that was begun has its answer.
///
/// # Errors
/// None: a connection that cannot be accepted is tried again.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let doors = Arc::new(Doors::default());
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
                if let Some(place) = Doors::enter(&doors, address) {
                    tokio::spawn(connection(stream, router.clone(), place, closed.clone()));
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

async fn connection(stream: TcpStream, router: Router, place: Place, mut closing: watch::Receiver<()>) {
    let (address, out) = (place.address, Arc::clone(&place.out));
    let place = Arc::new(place);
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        place.asked();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(Some(address)));
        router.clone().oneshot(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
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

#[derive(Default)]
struct Doors {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    open: usize,
    next: u64,
    /// Those that have sent no request yet.
    pending: BTreeMap<u64, Arc<Notify>>,
    by_address: HashMap<IpAddr, BTreeSet<u64>>,
}

/// A connection's place.
struct Place {
    doors: Arc<Doors>,
    number: u64,
    address: IpAddr,
    /// It has to go.
    out: Arc<Notify>,
}

impl Doors {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new connection; `None` where all are taken by such as have asked for something.
    fn enter(this: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut inner = this.lock();
        let own = inner.by_address.get(&address);
        if own.is_some_and(|own| own.len() >= PENDING) {
            inner.send_out(address);
        }
        if inner.open >= MOST {
            let most = inner.by_address.iter().max_by_key(|(_, own)| own.len());
            let most = most.map(|(address, _)| *address)?;
            inner.send_out(most);
        }
        let (number, out) = (inner.next, Arc::new(Notify::new()));
        inner.next += 1;
        inner.open += 1;
        inner.pending.insert(number, Arc::clone(&out));
        inner.by_address.entry(address).or_default().insert(number);
        Some(Place {
            doors: Arc::clone(this),
            number,
            address,
            out,
        })
    }
}

impl Inner {
    /// Sends the oldest connection of an address away that has not asked yet.
    fn send_out(&mut self, address: IpAddr) {
        let oldest = self.by_address.get(&address).and_then(|own| own.first().copied());
        if let Some(number) = oldest
            && let Some(out) = self.asked(number, address)
        {
            out.notify_one();
        }
    }

    fn asked(&mut self, number: u64, address: IpAddr) -> Option<Arc<Notify>> {
        let out = self.pending.remove(&number)?;
        if let Some(own) = self.by_address.get_mut(&address) {
            own.remove(&number);
            if own.is_empty() {
                self.by_address.remove(&address);
            }
        }
        Some(out)
    }
}

impl Place {
    /// A whole head has come.
    fn asked(&self) {
        self.doors.lock().asked(self.number, self.address);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.doors.lock();
        inner.asked(self.number, self.address);
        inner.open -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn a_new_connection_takes_the_place_of_the_oldest_that_only_holds_the_line() {
        let doors = Arc::new(Doors::default());
        let enter = |last| Doors::enter(&doors, address(last)).unwrap();
        let asked = enter(1);
        asked.asked();
        let other = enter(2);
        let silent: Vec<Place> = (0..PENDING).map(|_| enter(1)).collect();
        let waits = |place: &Place| doors.lock().pending.contains_key(&place.number);
        assert!(silent.iter().all(waits));
        let newest = enter(1);
        assert!(!waits(&silent[0]) && waits(&silent[1]) && waits(&newest) && waits(&other));
        drop((asked, other, silent, newest));
        let inner = doors.lock();
        assert_eq!(
            (inner.open, inner.pending.len(), inner.by_address.len()),
            (0, 0, 0)
        );
    }

    #[test]
    fn a_full_house_sends_away_who_has_most_that_have_not_asked() {
        let doors = Arc::new(Doors::default());
        let enter = |last| Doors::enter(&doors, address(last));
        let at_work: Vec<Place> = (0..MOST - 3)
            .map(|_| enter(1).unwrap())
            .inspect(Place::asked)
            .collect();
        let silent = [enter(2).unwrap(), enter(2).unwrap(), enter(3).unwrap()];
        let _new = enter(4).unwrap();
        let waits = |place: &Place| doors.lock().pending.contains_key(&place.number);
        assert_eq!(silent.each_ref().map(waits), [false, true, true]);
        drop(at_work);
    }
}
