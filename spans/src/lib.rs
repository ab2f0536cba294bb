//! The way of a request as spans of OpenTelemetry: its own, one of each claim, and what operator and worker do for it.
//!
//! Invariants: the ids of a request's span and of a claim's follow from the ids of request and claim alone, so that an operator
//! that was started again tells of the same spans, and whoever knows a request's uid finds its trace: the trace id is the uid.
//! Nobody waits for a collector: what it does not take in time is dropped, and said. Nothing that was computed is in a span: ids,
//! names, times and causes, no input and no answer.
//!
//! Spans are sent as OTLP over HTTP, in JSON. That takes no crate that is not in the programs anyway, so every build has it; the
//! tests read what is sent with OpenTelemetry's own types.

mod context;
mod export;
mod otlp;
mod span;

use std::sync::OnceLock;

pub use context::{Context, ContextError};
pub use export::{Exporter, SpansError};
pub use span::{Kind, Span, Timed, Value};

/// Where this process tells of spans, once it does.
static EXPORTER: OnceLock<Exporter> = OnceLock::new();

/// Tells the collector at `endpoint` of this process' spans from now on; without one, of none. It needs a runtime.
///
/// # Errors
/// What is no address of a collector, and a second call.
pub fn start(endpoint: Option<&str>, service: &'static str, version: &'static str) -> Result<(), SpansError> {
    let Some(endpoint) = endpoint else { return Ok(()) };
    let exporter = Exporter::new(endpoint, service, version)?;
    EXPORTER.set(exporter).map_err(|_| SpansError::Started)
}

/// Whether anybody is told.
#[must_use]
pub fn on() -> bool {
    EXPORTER.get().is_some()
}

/// Tells of a span, if anybody is told.
pub fn tell(span: impl FnOnce() -> Span) {
    if let Some(exporter) = EXPORTER.get() {
        exporter.tell(span());
    }
}

/// Sends what has not been sent, waiting a moment for the collector.
pub async fn end() {
    if let Some(exporter) = EXPORTER.get() {
        exporter.end().await;
    }
}
