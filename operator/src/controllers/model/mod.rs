//! A Model's way: source found → compiled → ready. Its status tells each step, and each obstacle by name.

mod plan;
mod status;

pub use plan::{Action, CompileState, Observed, Plan, SetupPolicy, SourceState, plan};
