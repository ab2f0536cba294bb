//! Brings weights to a chain as Bittensor's.
//!
//! A [`Session`] speaks JSON-RPC over WebSocket with a node; [`View`] is what the chain says at one block, read from its storage
//! ([`storage`]); [`look`] asks what is to be done, lets what is due leave, and follows what has left.
//!
//! Invariants: nothing a node says makes this panic, wait for ever or hold more than a few megabytes; what it says that no chain says
//! is an error by the call's name. Calls, signatures and whether weights may leave at all are `zkinfer-weights`'. Nobody's key is in an
//! error.

mod publish;
mod session;
pub mod storage;
mod view;

pub use publish::{Desk, Due, Made, Outcome, Trouble, look};
pub use session::{ChainError, Session, Times};
pub use view::View;
