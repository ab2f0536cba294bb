//! What the web app and the Validator's status tell of the ledger. Invariant: whoever looks holds up nobody who proves: of the ledger's totals and of its
//! chain only what is there is read.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use zkinfer_crds::Identity;
use zkinfer_crds::k8s::validator::LedgerEnd;
use zkinfer_scoring::ledger::Chain;

use super::operator::Operator;
use super::segments::Segments;
use crate::dispatch::unix_millis;
use crate::scoring::{Explained, Series, Spans, Standing, Trend};
use crate::web::LedgerView;
use crate::world::{World, lock};

/// How often it is looked where the ledger ends.
const LOOK: Duration = Duration::from_secs(15);

/// See the module.
pub(super) struct Told {
    pub(super) ctx: Arc<Operator>,
    pub(super) segments: Arc<Segments>,
    /// The operator's own namespace, where Validators are.
    pub(super) namespace: String,
}

impl LedgerView for Told {
    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn is_public(&self) -> bool {
        self.ctx.world.in_force.get().stats.public
    }

    fn explain(&self, miner: Identity, most: usize) -> Option<Explained> {
        self.ctx.pools.ledger().explain(&miner, unix_millis(), most)
    }

    fn standing(&self, most: usize) -> Standing {
        self.ctx.pools.ledger().standing(unix_millis(), most)
    }

    fn spans(&self, of: &Series, hours: u64) -> Spans {
        self.ctx.pools.ledger().spans(of, unix_millis(), hours)
    }

    fn trend(&self, miner: &Identity) -> Option<Trend> {
        self.ctx.pools.ledger().trend(miner, unix_millis())
    }

    fn chain(&self) -> BoxFuture<'_, (Chain, usize)> {
        self.segments.told().boxed()
    }
}

/// Keeps where the ledger ends for the Validator's status, for ever.
pub(super) async fn follow(world: Arc<World>, segments: Arc<Segments>) {
    loop {
        // Of one that is held nothing was read with a key of ours.
        let end = match segments.held() {
            None => end_of(&segments.told().await.0),
            Some(_) => None,
        };
        *lock(&world.ledger_end) = end;
        tokio::time::sleep(LOOK).await;
    }
}

fn end_of(chain: &Chain) -> Option<LedgerEnd> {
    Some(LedgerEnd {
        validator: chain.validator,
        sequence: chain.next.checked_sub(1)?,
        digest: chain.last,
        entries: chain.entries,
    })
}
