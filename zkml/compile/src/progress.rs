//! How far a long computation has come.
//!
//! Invariant: counted in work, since nothing here knows a clock: whoever listens decides when to say it.

use std::sync::Mutex;

use zkml::backend::SystemId;
use zkml::graph::Profile;

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The float model answers each sample.
    Answering,
    /// The graph's greatest values on each sample, and its answers against the float model's.
    Observing,
    /// The integer graph of a profile on each sample.
    Measuring(Profile),
    /// The costs of slices: counted in nodes of all slices that are looked at.
    Cutting(SystemId),
}

/// How far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Units of work that are done.
    pub done: u64,
    /// Units of work that there are.
    pub of: u64,
}

/// Who hears of it: called often, from many threads, one at a time for each stage and never with less than before.
pub type Listener<'a> = &'a (dyn Fn(Progress) + Sync);

/// Nobody.
pub fn silent(_: Progress) {}

/// Counts a stage's work.
pub(crate) struct Counter<'a> {
    stage: Stage,
    done: Mutex<u64>,
    of: u64,
    listener: Listener<'a>,
}

impl<'a> Counter<'a> {
    /// A stage that begins, which is told.
    pub(crate) fn new(stage: Stage, of: u64, listener: Listener<'a>) -> Self {
        listener(Progress { stage, done: 0, of });
        Self {
            stage,
            done: Mutex::new(0),
            of,
            listener,
        }
    }

    /// A stage of which nobody hears.
    pub(crate) fn silent(stage: Stage) -> Self {
        Self::new(stage, 0, &silent)
    }

    /// Some more is done.
    pub(crate) fn add(&self, units: u64) {
        // A listener that panicked has ended the computation anyway.
        if let Ok(mut done) = self.done.lock() {
            *done += units;
            (self.listener)(Progress {
                stage: self.stage,
                done: *done,
                of: self.of,
            });
        }
    }
}
