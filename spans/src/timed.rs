//! What is being done, as a span that is told of when it ends.

use std::fmt::Display;
use std::future::Future;
use std::time::{Instant, SystemTime};

use crate::context::Context;
use crate::span::{Kind, Span, Value};
use crate::told;

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
        let parent = parent.filter(|p| p.is_sampled() && told::on());
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
            told::tell(|| span);
        }
    }
}

#[cfg(test)]
mod tests {
    use zkinfer_crds::RequestUid;

    use super::*;

    #[test]
    fn what_nobody_is_told_of_is_not_made() {
        let own = Context::of_request(RequestUid::new([1; 16]));
        let timed = Timed::begin("work", Some(own)).with("pool", || -> String { panic!("nobody asked") });
        assert!(timed.child("load").span.is_none());
    }
}
