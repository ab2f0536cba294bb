//! A span: what was done, from when to when, for whom.

use std::time::SystemTime;

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
}
