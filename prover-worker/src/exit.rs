//! Exit codes, and the one way in which this program fails.

use std::process::ExitCode;

use crate::args::Format;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what was asked; of `verify`: valid.
    Done,
    /// The thing looked at is bad: an invalid receipt, a model that cannot be compiled.
    Bad,
    /// Wrong use, or a path that cannot be read or written.
    Usage,
    /// The worker was told to stop and has handed its claim back.
    Drained,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Bad => 1,
            Exit::Usage => 2,
            Exit::Drained => zkinfer_crds::wire::EXIT_DRAINED,
        })
    }
}

/// Wrong use, or an unreadable path.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

impl UsageError {
    pub(crate) fn new(what: impl std::fmt::Display) -> Self {
        Self(what.to_string())
    }
}

/// Prints an error: a line on standard error, or JSON on standard output.
pub(crate) fn say(error: &dyn std::fmt::Display, format: Format) {
    match format {
        Format::Text => eprintln!("error: {error}"),
        Format::Json => println!("{}", serde_json::json!({ "error": error.to_string() })),
    }
}
