//! What the web app tells of the ledger. Invariant: whoever looks holds up nobody who proves: of the ledger's totals and of its
//! chain only what is there is read.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use zkinfer_crds::Identity;
use zkinfer_scoring::ledger::Chain;

use super::operator::Operator;
use super::segments::Segments;
use crate::dispatch::unix_millis;
use crate::scoring::{Explained, Series, Spans, Standing, Trend};
use crate::web::LedgerView;

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
