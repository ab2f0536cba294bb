//! Weights that are published, without the I/O: what a Validator declares, who is who by the pools' statements, and what is told of
//! the last publication.
//!
//! Invariants: a miner's weight goes by statements that its own keys have signed; what is told here is of the last look, and decides
//! nothing: what has left is written down in the store ([`zkinfer_weights::record`]).

mod declared;
mod told;
mod who;

pub use declared::{ChainDeclared, Declared, Publisher, Revoked, Who};
pub use told::{Published, Said, Told};
pub use who::{Hotkeyed, Known, hotkeyed, known};
