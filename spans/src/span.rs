//! A span: what was done, from when to when, for whom.

use std::fmt::Display;
use std::future::Future;
use std::time::{Instant, SystemTime};

use crate::context::Context;

/// What a key of a span says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Int(i64),
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u32> for Value {
    fn from(n: u32) -> Self {
        Self::Int(i64::from(n))
    }
}

impl From<u64> for Value {
    fn from(n: u64) -> Self {
        Self::Int(i64::try_from(n).unwrap_or(i64::MAX))
    }
}

/// Which side of a call a span is, in OpenTelemetry's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Within one process.
    Internal,
    /// Somebody was answered.
    Server,
    /// Something was given out, to be done by another process.
    Producer,
    /// It was taken up there.
    Consumer,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) own: Context,
    pub(crate) parent: Option<[u8; 8]>,
    pub(crate) from: SystemTime,
    pub(crate) to: SystemTime,
    pub(crate) attributes: Vec<(&'static str, Value)>,
    pub(crate) failed: Option<String>,
}

/// The longest text in a span, in bytes.
const MAX_TEXT: usize = 1024;

fn shortened(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let mut end = MAX_TEXT;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

impl Span {
    /// A span of this id, below another one or the first of its trace.
    #[must_use]
    pub fn new(
        name: &'static str,
        own: Context,
        parent: Option<Context>,
        (from, to): (SystemTime, SystemTime),
    ) -> Self {
        Self {
            name,
            kind: Kind::Internal,
            own,
            parent: parent.map(|p| p.span),
            from,
            to: to.max(from),
            attributes: Vec::new(),
            failed: None,
        }
    }

    /// Of another kind.
    #[must_use]
    pub fn of_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// With one more thing to say.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        let value = match value.into() {
            Value::Text(text) => Value::Text(shortened(text)),
            number @ Value::Int(_) => number,
        };
        self.attributes.push((key, value));
        self
    }

    /// It has come to nothing.
    #[must_use]
    pub fn failed(mut self, why: impl Into<String>) -> Self {
        self.failed = Some(shortened(why.into()));
        self
    }
}

/// Something that is being done. It is told of when this is dropped, also where it was given up.
#[derive(Debug)]
pub struct Timed {
    began: Instant,
    /// Absent where nobody is told.
    span: Option<Span>,
}

impl Timed {
    /// Begins below `parent`, if that is told of, and if this process tells anybody.
    #[must_use]
    pub fn begin(name: &'static str, parent: Option<Context>) -> Self {
        let now = SystemTime::now();
        let parent = parent.filter(|p| p.is_sampled() && crate::on());
        Self {
            began: Instant::now(),
            span: parent.map(|parent| Span::new(name, parent.fresh(), Some(parent), (now, now))),
        }
    }

    /// Begins something that belongs to this.
    #[must_use]
    pub fn child(&self, name: &'static str) -> Self {
        Self::begin(name, self.span.as_ref().map(|span| span.own))
    }

    /// Of another kind.
    #[must_use]
    pub fn of_kind(mut self, kind: Kind) -> Self {
        self.span = self.span.take().map(|span| span.of_kind(kind));
        self
    }

    /// With one more thing to say; where nobody is told it is not made.
    #[must_use]
    pub fn with<V: Into<Value>>(mut self, key: &'static str, value: impl FnOnce() -> V) -> Self {
        self.span = self.span.take().map(|span| span.with(key, value()));
        self
    }

    /// It has come to nothing.
    pub fn fail(&mut self, why: &dyn Display) {
        self.span = self.span.take().map(|span| span.failed(why.to_string()));
    }

    /// Does it, and ends.
    ///
    /// # Errors
    /// That of what is done.
    pub async fn during<T, E: Display>(mut self, done: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let result = done.await;
        if let Err(error) = &result {
            self.fail(error);
        }
        result
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        if let Some(mut span) = self.span.take() {
            // The clock may have been set meanwhile.
            span.to = span.from + self.began.elapsed();
            crate::tell(|| span);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use zkinfer_crds::RequestUid;

    #[test]
    fn a_span_does_not_end_before_it_begins_and_its_texts_have_an_end() {
        let own = Context::of_request(RequestUid::new([1; 16]));
        let now = SystemTime::now();
        let span = Span::new("request", own, None, (now, now - Duration::from_secs(5)))
            .with("name", "é".repeat(MAX_TEXT))
            .failed("x".repeat(2 * MAX_TEXT));
        assert_eq!(span.to, now);
        let (_, Value::Text(name)) = &span.attributes[0] else {
            panic!("{span:?}")
        };
        assert!(name.len() <= MAX_TEXT + '…'.len_utf8() && name.ends_with('…'));
        assert!(span.failed.unwrap().len() <= MAX_TEXT + '…'.len_utf8());
    }

    #[test]
    fn what_nobody_is_told_of_is_not_made() {
        let own = Context::of_request(RequestUid::new([1; 16]));
        let timed = Timed::begin("work", Some(own)).with("pool", || -> String { panic!("nobody asked") });
        assert!(timed.child("load").span.is_none());
    }
}
