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
mod timed;
mod told;

pub use context::{Context, ContextError};
pub use export::{Exporter, SpansError};
pub use span::{Kind, Span, Value};
pub use timed::Timed;
pub use told::{end, on, start, tell};
