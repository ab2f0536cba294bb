//! An InferenceRequest's way: accepted → planned → proving → a receipt, or a reason why not.

mod apply;
mod end;
mod fitting;
mod gather;
mod news;
mod plan;
mod status;

#[cfg(test)]
mod tests;

pub use apply::reconcile;
pub use end::{Ends, ends};
pub use plan::{Action, ModelState, Observed, Plan, PoolView, RunEnd, RunState, RunView, plan};
