//! Proof of weights: that a weights file's vector is what its rule makes of the totals in it.
//!
//! ```text
//! totals (signed, replayed from the ledger) ──▶ rule: debts, shift, power, caps ──▶ uids, owner's share ──▶ 16 bits each
//!                                              └──────────────── an integer graph, proved by SumcheckWhir ───────────────┘
//! ```
//!
//! A rule's steps are identities between whole numbers on a [`sheet`], a row for each miner; what divides, rounds or compares is
//! filled in by whoever proves, and held by them (`checks`). The sheet is drawn as an integer graph of the engine's own operators
//! (`graph`); no ONNX file is there.
//!
//! Invariants: the graph follows from a rule's constants and a size; for totals in its range it has one output, the vector that
//! `zkinfer_scoring` and `zkinfer_weights` make, bit by bit, or none where they make none. That totals are the ledger's is not proved:
//! whoever has the ledger replays them.

mod checks;
mod double;
mod given;
mod graph;
mod program;
mod receipt;
mod rule;
mod sheet;

#[cfg(test)]
mod tests;

pub use given::{GivenError, SIZES};
pub use program::{Program, ProgramError};
pub use receipt::{ProveError, Proved, VerifyError, prove, verify};
pub use sheet::SheetError;
