//! What happens in virtual time.

use zkinfer_crds::{ClaimId, RequestUid};

use super::machine::Deed;

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// The queue is looked at.
    Tick,
    /// An hour is over.
    Hour,
    /// A client asks.
    Client,
    /// A machine comes.
    Comes(usize),
    /// A machine goes, and says so or does not.
    Goes { machine: usize, announced: bool },
    /// A worker asks for work, if its machine lives that life still.
    Asks(usize, u32),
    /// A worker is done with a claim.
    Done {
        machine: usize,
        life: u32,
        request: RequestUid,
        claim: ClaimId,
        deed: Deed,
        bytes: u64,
    },
}
