//! What a test has measured, said where it is read.

use std::fmt::Display;
use std::io::Write as _;

/// Says a line, also while the test passes.
pub fn tell(line: impl Display) {
    // Not eprintln!: the test runner keeps that to itself unless the test fails.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Says what was measured against a bar of the project, in a form that is easily found in a log.
pub fn measured(what: impl Display) {
    tell(format_args!("measured: {what}"));
}
