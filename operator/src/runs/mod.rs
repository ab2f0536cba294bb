//! The validator's side of a request: the compiled model, the evaluated integer graph, statements, verification.
//!
//! Invariants: the operator computes every boundary tensor and every statement itself; from a miner it takes an
//! envelope and nothing else. A slice counts as verified only after its proof has been, an answer as right only after it
//! was compared with the float model's.

mod budget;
mod command;
mod follow;
mod judge;
mod model;
mod needs;
mod outbox;
mod prepare;
mod room;
mod rows;
mod run;
mod shelf;
mod tried;

pub use budget::{Budget, Use, container_limit, too_large};
pub use command::{quoted, verify_command};
pub use follow::follow;
pub use judge::{Judgement, Output, Terms};
pub use model::{CompiledModel, LoadError};
pub use needs::{Needs, input_len};
pub use outbox::{Outbox, OutboxOf, ReceiptFiles};
pub use prepare::PrepareError;
pub use room::{Asker, Room, RoomError, Rooms, Share};
pub use rows::{Row, check_input, choose, floats};
pub use run::{Float, Run, VerifyOutcome};
pub use shelf::{Shelf, ShelfError, loaded_bytes};
pub use tried::tried;
