//! What a person sees while it works: one line per event, with the time since the start, on standard error.

use std::time::Instant;

use super::objects::Key;
use crate::dispatch::{Attempt, Cause};

/// Prints lines, or nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    started: Instant,
    quiet: bool,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        Self {
            started: Instant::now(),
            quiet,
        }
    }

    pub(super) fn say(&self, what: impl std::fmt::Display) {
        if !self.quiet {
            eprintln!("{:>7.2} s  {what}", self.started.elapsed().as_secs_f64());
        }
    }

    pub(super) fn attempt(&self, request: &Key, attempt: &Attempt, verified: u32, total: u32) {
        let size = attempt.bytes.map(|b| format!(", {b} B")).unwrap_or_default();
        let verdict = attempt.end.cause().map_or("verified", Cause::word);
        let why = attempt.end.message();
        let why = if why.is_empty() {
            String::new()
        } else {
            format!(": {why}")
        };
        self.say(format_args!(
            "{request}  slice {}  {verdict} ({verified}/{total}), {} in {:.2} s{size}{why}",
            attempt.slice,
            attempt.pool,
            attempt.elapsed.as_secs_f64()
        ));
    }
}
