//! What the Validator's limits leave of the calls' own.
//!
//! Invariant: a limit only lowers what a call takes, and who is refused is told the limit's field.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zkinfer_crds::calls::Reason;
use zkinfer_crds::k8s::Memory;

use crate::gateway::problem::Reject;

/// The most bytes of a body.
pub(super) struct Most<'a> {
    field: &'static str,
    own: u64,
    stated: Option<&'a Memory>,
}

impl<'a> Most<'a> {
    /// Of a call that takes `own` bytes, by this field of the limits.
    pub(super) const fn new(own: u64, field: &'static str, stated: Option<&'a Memory>) -> Self {
        Self { field, own, stated }
    }

    /// How many.
    pub(super) fn bytes(&self) -> u64 {
        self.stated
            .map_or(self.own, |stated| stated.bytes().min(self.own))
    }

    /// The answer to one that is larger.
    pub(super) fn too_large(&self) -> Reject {
        let message = match self.stated {
            Some(stated) => format!(
                "the body is too large: spec.limits.{} of the Validator is {stated}",
                self.field
            ),
            None => format!("the body is too large: at most {} bytes are taken", self.own),
        };
        Reject::new(Reason::TooLarge, message)
    }
}

/// How many files each caller uploads now.
#[derive(Clone, Default)]
pub struct Uploads(Arc<Mutex<BTreeMap<String, u32>>>);

/// One of them, until it is dropped.
pub(super) struct Uploading {
    uploads: Uploads,
    caller: String,
}

impl Uploads {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more of a caller's, of at most so many.
    pub(super) fn begin(&self, caller: String, most: Option<u32>) -> Result<Uploading, Reject> {
        let mut all = self.lock();
        let now = all.get(&caller).copied().unwrap_or(0);
        if let Some(most) = most.filter(|most| now >= *most) {
            let message = format!(
                "{now} files of `{caller}` are being uploaded, and spec.limits.uploadsPerClient of the Validator is {most}: try \
                 again when one has ended"
            );
            return Err(Reject::new(Reason::LimitReached, message));
        }
        all.insert(caller.clone(), now.saturating_add(1));
        drop(all);
        Ok(Uploading {
            uploads: self.clone(),
            caller,
        })
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        let mut all = self.uploads.lock();
        if let Some(many) = all.get_mut(&self.caller) {
            *many = many.saturating_sub(1);
            if *many == 0 {
                all.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_lowers_what_a_call_takes_and_never_raises_it() {
        let (small, large): (Memory, Memory) = ("1Ki".parse().unwrap(), "1Gi".parse().unwrap());
        assert_eq!(Most::new(1 << 20, "requestBytes", Some(&small)).bytes(), 1024);
        assert_eq!(Most::new(1 << 20, "requestBytes", Some(&large)).bytes(), 1 << 20);
        assert_eq!(Most::new(1 << 20, "requestBytes", None).bytes(), 1 << 20);
    }

    #[test]
    fn who_uploads_as_much_as_allowed_waits_for_an_end_and_nobody_else_does() {
        let uploads = Uploads::default();
        let begin = |who: &str| uploads.begin(who.to_owned(), Some(2)).ok();
        let (first, second) = (begin("a"), begin("a"));
        assert!(first.is_some() && second.is_some() && begin("a").is_none());
        let other = begin("b");
        assert!(other.is_some());
        drop(first);
        let third = begin("a");
        assert!(third.is_some() && begin("a").is_none());
        drop((second, third, other));
        assert!(uploads.lock().is_empty());
        let all: Vec<_> = (0..50).map(|_| uploads.begin("c".to_owned(), None)).collect();
        assert!(all.iter().all(Result::is_ok), "without a limit there is none");
    }
}
