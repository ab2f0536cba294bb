//! What is found in the ledger for those who look.
//!
//! Invariants: what is found is kept for a while, and finding takes at most a fifth of the time, however many ask for however
//! many miners; a fifth for those who look without a token, and another for all others, who never wait behind them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::sync::Mutex;
use zkinfer_crds::Identity;
use zkinfer_scoring::ledger::Chain;

use super::refused::Refused;
use crate::scoring::{Explained, Series, Spans, Standing, Trend};

/// How long what was found is told.
const FRESH: Duration = Duration::from_secs(10);
/// So many times as long as finding took nothing is found again.
const REST: u32 = 4;

/// The ledger, as far as it is shown.
pub trait LedgerView: Send + Sync + 'static {
    /// The namespace of the Validators.
    fn namespace(&self) -> &str;

    /// Whether the Validator lets everybody look at what is counted.
    fn is_public(&self) -> bool;

    /// Why a miner has its score, with at most so many of its claims; nothing where no claim of it bears on one.
    fn explain(&self, miner: Identity, most: usize) -> Option<Explained>;

    /// How at most so many miners stand.
    fn standing(&self, most: usize) -> Standing;

    /// What ended in the last hours, of everybody's claims or of some.
    fn spans(&self, of: &Series, hours: u64) -> Spans;

    /// How a miner has worked in the last day; nothing of one that has ended no claim.
    fn trend(&self, miner: &Identity) -> Option<Trend>;

    /// Where the signed ledger ends, and how many entries wait for its next segment.
    fn chain(&self) -> BoxFuture<'_, (Chain, usize)>;
}

/// What is found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Of {
    /// Why a miner has its score.
    Miner(Identity),
    /// How all stand.
    All,
    /// What ended in so many hours.
    Hours(Series, u64),
    /// How the miners of a namespace's pools have worked; of all of them, where it is empty.
    Trends(String),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Findings {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    found: BTreeMap<Of, (Instant, Bytes)>,
    rests_until: Option<Instant>,
}

impl Findings {
    /// As JSON, by `find` where it is not known.
    pub(super) async fn get(
        &self,
        of: Of,
        find: impl FnOnce() -> Value + Send + 'static,
    ) -> Result<Bytes, Refused> {
        let mut kept = self.kept.lock().await;
        kept.found.retain(|_, (at, _)| at.elapsed() < FRESH);
        if let Some((_, json)) = kept.found.get(&of) {
            return Ok(json.clone());
        }
        if let Some(until) = kept.rests_until {
            tokio::time::sleep_until(until.into()).await;
        }
        let began = Instant::now();
        let found = tokio::task::spawn_blocking(move || Bytes::from(find().to_string()));
        let json = found.await.map_err(|e| Refused::unavailable(&e))?;
        kept.rests_until = Some(Instant::now() + began.elapsed() * REST);
        kept.found.insert(of, (Instant::now(), json.clone()));
        Ok(json)
    }
}
