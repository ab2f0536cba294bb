//! Whom this process tells of its spans: one collector, or nobody.

use std::sync::OnceLock;

use crate::export::{Exporter, SpansError};
use crate::span::Span;

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
