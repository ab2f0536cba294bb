//! Honest provers are believed, lying ones are not.
//!
//! [`slices`] makes slices, [`honest`] compares with the plain checkers, [`lying`] lies in the witness and argues honestly
//! from it, [`tampered`] changes what was said.

mod honest;
mod lying;
pub(crate) mod slices;
mod tampered;

use super::transcript::Event;

thread_local! {
    static EVENTS: std::cell::RefCell<Vec<Event>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Keeps the transcript of the proof made last on this thread.
pub(super) fn record(events: Vec<Event>) {
    EVENTS.with(|e| *e.borrow_mut() = events);
}
