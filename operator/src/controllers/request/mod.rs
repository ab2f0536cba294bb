//! An InferenceRequest's way: accepted → planned → proving → a receipt, or a reason why not.

mod apply;
mod consents;
mod controller;
mod end;
mod erase;
mod fitting;
mod gather;
mod line;
mod named;
mod news;
mod observed;
mod plan;
mod records;
mod room;
mod settle;
mod start;
mod status;

#[cfg(test)]
mod tests;

pub use records::{MADE_FOR, Requests, RunRecord};
