//! Spans on their way to a collector: gathered for a moment, sent together, tried again for a while.
//!
//! Invariant: whoever tells of a span waits for nothing, and what waits to be sent has an end: [`WAITING`] spans.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::redirect::Policy;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::otlp::{Teller, body};
use crate::span::Span;

/// The most spans that wait.
const WAITING: usize = 8192;
/// The most that are sent together, and how long they are gathered.
const TOGETHER: usize = 512;
const GATHERING: Duration = Duration::from_secs(1);
/// Time for a call, and to connect.
const CALL: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(3);
/// Before a call is made again, each time.
const AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];
/// At the end the collector is waited for no longer.
const LAST: Duration = Duration::from_secs(3);

/// Why no spans are told of.
#[derive(Debug, thiserror::Error)]
pub enum SpansError {
    /// It is no address.
    #[error(
        "`{0}` is no address of a collector: http:// or https://, host and port, such as http://collector:4318"
    )]
    Address(String),
    /// The client cannot be made.
    #[error("{0}")]
    Client(#[from] reqwest::Error),
    /// It was begun before.
    #[error("spans are told of already")]
    Started,
}

enum Message {
    Span(Box<Span>),
    /// Say when all that came before is sent or dropped.
    End(oneshot::Sender<()>),
}

/// Spans go to a collector of OpenTelemetry, by OTLP over HTTP.
#[derive(Debug)]
pub struct Exporter {
    sender: mpsc::Sender<Message>,
    dropped: Arc<AtomicU64>,
}

struct Sending {
    http: reqwest::Client,
    address: String,
    teller: Teller,
    dropped: Arc<AtomicU64>,
    /// The last call failed: that was said.
    failing: bool,
}

impl Exporter {
    /// To the collector at `endpoint`; its calls go to `/v1/traces` there. It needs a runtime.
    ///
    /// # Errors
    /// What is no address of a collector.
    pub fn new(endpoint: &str, service: &'static str, version: &'static str) -> Result<Self, SpansError> {
        let bad = || SpansError::Address(endpoint.to_owned());
        let url = reqwest::Url::parse(endpoint).map_err(|_| bad())?;
        let plain =
            ["http", "https"].contains(&url.scheme()) && url.query().is_none() && url.fragment().is_none();
        if !plain || !url.has_host() {
            return Err(bad());
        }
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(CALL)
            .redirect(Policy::none());
        if url.scheme() != "https" {
            // An image has no certificates, and needs none.
            http = http.tls_certs_only([]);
        }
        let dropped = Arc::new(AtomicU64::new(0));
        let sending = Sending {
            http: http.build()?,
            address: format!("{}/v1/traces", endpoint.trim_end_matches('/')),
            teller: Teller {
                service,
                version,
                instance: std::env::var("HOSTNAME").ok(),
            },
            dropped: Arc::clone(&dropped),
            failing: false,
        };
        let (sender, inbox) = mpsc::channel(WAITING);
        tokio::spawn(sending.run(inbox));
        Ok(Self { sender, dropped })
    }

    /// Sends it soon, or drops it where too many wait.
    pub fn tell(&self, span: Span) {
        if self.sender.try_send(Message::Span(Box::new(span))).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many were dropped so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Sends what has not been sent, waiting a moment for the collector.
    pub async fn end(&self) {
        let (done, ended) = oneshot::channel();
        let all = async {
            if self.sender.send(Message::End(done)).await.is_ok() {
                let _ = ended.await;
            }
        };
        if timeout(LAST, all).await.is_err() {
            tracing::warn!("the collector did not take the last spans in time");
        }
    }
}

impl Sending {
    async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        while let Some(first) = inbox.recv().await {
            let (mut spans, mut ended) = (Vec::new(), None);
            let mut take = |message: Option<Message>| match message {
                Some(Message::Span(span)) => {
                    spans.push(*span);
                    spans.len() < TOGETHER
                }
                Some(Message::End(done)) => {
                    ended = Some(done);
                    false
                }
                None => false,
            };
            let due = Instant::now() + GATHERING;
            let mut more = take(Some(first));
            while more {
                more = tokio::select! {
                    message = inbox.recv() => take(message),
                    () = sleep_until(due) => false,
                };
            }
            self.send(&spans).await;
            if let Some(done) = ended {
                let _ = done.send(());
            }
        }
    }

    async fn send(&mut self, spans: &[Span]) {
        if spans.is_empty() {
            return;
        }
        let body = body(&self.teller, spans).to_string();
        let mut pauses = AGAIN.into_iter();
        let failed = loop {
            match self.call(&body).await {
                Ok(()) => break None,
                Err((why, may_pass)) => match pauses.next().filter(|_| may_pass) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => break Some(why),
                },
            }
        };
        match failed {
            None => self.failing = false,
            Some(why) => {
                self.dropped.fetch_add(spans.len() as u64, Ordering::Relaxed);
                if !self.failing {
                    self.failing = true;
                    let dropped = self.dropped.load(Ordering::Relaxed);
                    tracing::warn!(address = self.address, %why, dropped, "spans were not taken and are dropped; said once until some are");
                }
            }
        }
    }

    /// One call; where it fails why, and whether it may be answered otherwise in a while.
    async fn call(&self, body: &str) -> Result<(), (String, bool)> {
        let call = self.http.post(&self.address);
        let call = call.header(reqwest::header::CONTENT_TYPE, "application/json");
        match call.body(body.to_owned()).send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            // The ones that OTLP says may be tried again.
            Ok(answer) => {
                let status = answer.status();
                Err((
                    format!("the collector answered {status}"),
                    [429, 502, 503, 504].contains(&status.as_u16()),
                ))
            }
            Err(error) => Err((error.to_string(), true)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::context::Context;
    use zkinfer_crds::RequestUid;

    fn span() -> Span {
        let now = SystemTime::now();
        Span::new(
            "request",
            Context::of_request(RequestUid::new([1; 16])),
            None,
            (now, now),
        )
    }

    #[test]
    fn what_is_no_address_of_a_collector_is_named() {
        for endpoint in [
            "collector:4318",
            "ftp://collector",
            "http://c/?token=x",
            "nonsense",
            "",
        ] {
            let error = Exporter::new(endpoint, "s", "0").unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with(&format!("`{endpoint}` is no address")),
                "{error}"
            );
        }
    }

    /// Nothing is read from the channel before the test awaits: a runtime of one thread.
    #[tokio::test]
    async fn too_many_spans_are_dropped_and_counted_and_nobody_waits() {
        let exporter = Exporter::new("http://127.0.0.1:9", "s", "0").unwrap();
        for _ in 0..WAITING + 5 {
            exporter.tell(span());
        }
        assert_eq!(exporter.dropped(), 5);
    }

    #[tokio::test]
    async fn a_collector_that_is_not_there_ends_nothing() {
        let exporter = Exporter::new("http://127.0.0.1:9", "s", "0").unwrap();
        exporter.tell(span());
        let began = Instant::now();
        exporter.end().await;
        assert!(began.elapsed() < LAST + CONNECT);
    }
}
