//! Everything that is known of a pool when its plan is made.

use zkinfer_crds::Identity;
use zkinfer_crds::k8s::miner_pool::{MinerPoolSpec, MinerPoolStatus};

use super::identity::Possession;
use super::trouble::Trouble;
use super::weighted::Weighted;
use crate::dispatch::Pause;
use crate::scoring::MinerScore;

/// Everything that a plan is made from.
#[derive(Debug, Clone)]
pub struct Observed<'a> {
    /// The spec.
    pub spec: &'a MinerPoolSpec,
    /// Its generation.
    pub generation: Option<i64>,
    /// Namespace, name and uid.
    pub pool: (&'a str, &'a str, &'a str),
    /// The miner that its proofs are bound to.
    pub identity: Identity,
    /// What is known of the stated one.
    pub possession: Possession,
    /// The status as it is.
    pub status: &'a MinerPoolStatus,
    /// An older pool with the same identity, as `namespace/name`.
    pub identity_taken_by: Option<String>,
    /// Whether its miner gets weights.
    pub weights: Weighted,
    /// From the ledger.
    pub score: MinerScore,
    /// The dispatcher's pause, for what its claims have come to.
    pub pause: Option<Pause>,
    /// What keeps workers from starting.
    pub trouble: Option<Trouble>,
}
