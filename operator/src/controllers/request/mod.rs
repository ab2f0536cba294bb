//! An InferenceRequest's way: accepted → planned → proving → a receipt, or a reason why not.

mod plan;
mod status;

pub use plan::{Action, ModelState, Observed, Plan, PoolView, RunEnd, RunState, RunView, plan};
