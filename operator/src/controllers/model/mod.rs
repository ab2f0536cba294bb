//! A Model's way: source found → compiled → ready. Its status tells each step, and each obstacle by name.

mod apply;
mod changed;
mod gather;
mod observed;
mod plan;
mod status;

#[cfg(test)]
mod tests;

pub use apply::reconcile;
pub use changed::SourceLook;
pub use observed::{CompileState, Observed, SourceState};
pub use plan::{Action, Plan, plan};
