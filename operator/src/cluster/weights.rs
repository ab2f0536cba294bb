//! Publishes weights as the Validator declares: looks whether any are due, makes them of the ledger, signs them, and lets them leave.
//!
//! Invariants: what leaves is written down before it does; whatever fails here is told by the Validator's condition, by a metric and
//! by an event, is tried again ever more seldom, and holds nobody up who proves. A key is read where it is used, and shown nowhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use zkinfer_crds::Digest;
use zkinfer_crds::k8s::validator::{UidWeight, WeightsStatus, reason};
use zkinfer_crds::k8s::{MinerPool, Truth};
use zkinfer_weights::assign::Place;
use zkinfer_weights::binding::Pool;
use zkinfer_weights::file::{FileError, Subnet, WeightsFile};
use zkinfer_weights::hotkey::Hotkey;
use zkinfer_weights::record::{Now, Record, Step, next, step};
use zkinfer_weights::vector::Vector;

use super::operator::Operator;
use super::segments::{Segments, WeighError};
use crate::dispatch::unix_millis;
use crate::in_force::Rules;
use crate::weights::{Declared, Known, Publisher, Said, Told, Who, known};
use crate::world::World;

#[cfg(feature = "bittensor")]
mod chain;

/// A block, where no chain says which one it is.
const BLOCK: Duration = Duration::from_secs(12);
/// Settings that change are seen as soon.
const SETTLE: Duration = Duration::from_secs(1);
/// Between two looks at what is due.
const LONGEST: Duration = Duration::from_secs(600);
/// After the first failure; twice as long after each that follows.
const AGAIN: Duration = Duration::from_secs(2);
/// And no longer than this.
const SELDOM: Duration = Duration::from_secs(300);
/// Uids that the status names.
const GREATEST: usize = 8;

/// Why nothing has left.
#[derive(Debug)]
struct Failure {
    reason: &'static str,
    message: String,
}

impl Failure {
    fn new(reason: &'static str, message: &dyn std::fmt::Display) -> Self {
        Self {
            reason,
            message: message.to_string(),
        }
    }
}

impl From<WeighError> for Failure {
    fn from(error: WeighError) -> Self {
        let reason = match &error {
            WeighError::File(FileError::Vector(_)) | WeighError::Empty => reason::NO_WEIGHTS,
            WeighError::File(_) | WeighError::Held(_) | WeighError::Ledger(_) | WeighError::Broken(_) => {
                reason::NO_LEDGER
            }
        };
        Self::new(reason, &error)
    }
}

/// What a look has come to.
struct Looked {
    said: Said,
    /// Until the next look.
    pause: Duration,
}

/// Publishes for ever.
pub(super) async fn run(ctx: Arc<Operator>, segments: Arc<Segments>) {
    let world = &ctx.world;
    world.settings_are_known().await;
    world.ready.wait_for_lists().await;
    let mut failures = 0;
    loop {
        let rules = world.in_force.get();
        let Some(declared) = &rules.weights else {
            tell(world, |told| *told = Told::default());
            failures = 0;
            settle(world, &rules, LONGEST).await;
            continue;
        };
        let mut desk = Desk {
            world,
            segments: &segments,
            rules: &rules,
            declared,
            record: None,
            known: Known::default(),
        };
        let pause = match look(&mut desk).await {
            Ok(Looked { said, pause }) => {
                failures = 0;
                tell(world, |told| told.said = Some(said));
                pause
            }
            Err(Failure { reason, message }) => {
                let pause = backoff(failures);
                failures += 1;
                world.metrics.weights(reason);
                tracing::warn!(
                    reason,
                    message,
                    "no weights have left, trying again in {} s",
                    pause.as_secs()
                );
                let said = Said {
                    truth: Truth::False,
                    reason,
                    message,
                };
                tell(world, |told| told.said = Some(said));
                pause
            }
        };
        settle(world, &rules, pause).await;
    }
}

/// Ever more seldom.
fn backoff(failures: u32) -> Duration {
    AGAIN.saturating_mul(1 << failures.min(8)).min(SELDOM)
}

/// Waits, unless other settings come into force meanwhile.
async fn settle(world: &World, rules: &Rules, pause: Duration) {
    let until = tokio::time::Instant::now() + pause;
    loop {
        let now = world.in_force.get();
        let same = (&now.weights, &now.network) == (&rules.weights, &rules.network);
        if !same || tokio::time::Instant::now() >= until {
            return;
        }
        tokio::time::sleep_until(until.min(tokio::time::Instant::now() + SETTLE)).await;
    }
}

/// Changes what is told, and wakes those who tell it.
fn tell(world: &World, change: impl FnOnce(&mut Told)) {
    let (places, anything) = world.weights.change(change);
    if places {
        for pool in world.stores.pools.state() {
            world.wake.pool(ObjectRef::from_obj(&*pool));
        }
    }
    if anything {
        for validator in world.stores.validators.state() {
            world.wake.validator(ObjectRef::from_obj(&*validator));
        }
    }
}

/// What one look works with.
struct Desk<'a> {
    world: &'a World,
    segments: &'a Segments,
    rules: &'a Rules,
    declared: &'a Declared,
    record: Option<Record>,
    known: Known,
}

async fn look(desk: &mut Desk<'_>) -> Result<Looked, Failure> {
    desk.read().await?;
    let declared = desk.declared;
    match (&declared.publisher, &declared.uids) {
        (Publisher::File, Who::Listed(uids)) => into_file(desk, uids).await,
        #[cfg(feature = "bittensor")]
        (Publisher::Chain(chain), Who::Chain) => chain::look(desk, chain).await,
        // What cannot be is not in force.
        _ => Err(Failure::new(
            reason::NOT_AS_DECLARED,
            &"this operator was built without this publisher",
        )),
    }
}

/// Into the store alone, by the clock.
async fn into_file(desk: &mut Desk<'_>, uids: &BTreeMap<Hotkey, u16>) -> Result<Looked, Failure> {
    let now = Now {
        netuid: desk.declared.netuid,
        genesis: None,
        interval: desk.declared.every,
        block: unix_millis() / BLOCK.as_millis() as u64,
        last_update: None,
    };
    if let Step::Wait { next } = step(desk.record.as_ref(), &now) {
        return Ok(Looked {
            said: desk.published(next),
            pause: until(now.block, next),
        });
    }
    let made = desk.make(uids.clone(), &now).await?;
    let record = Record::of(desk.record.as_ref(), &now, made.digest, made.at).taken(now.block);
    desk.keep(record).await?;
    desk.sent(now.block, now.interval);
    let next = next(now.block, now.interval);
    Ok(Looked {
        said: desk.published(next),
        pause: until(now.block, next),
    })
}

/// Until a block, and no longer than until the next look.
fn until(block: u64, next: u64) -> Duration {
    let blocks = u32::try_from(next.saturating_sub(block)).unwrap_or(u32::MAX);
    BLOCK.saturating_mul(blocks.max(1)).min(LONGEST)
}

/// Weights that were made.
struct Made {
    digest: Digest,
    at: u64,
    #[cfg_attr(not(feature = "bittensor"), allow(dead_code, reason = "a chain takes it"))]
    vector: Vector,
}

impl Desk<'_> {
    /// What was written down, and what pools state.
    async fn read(&mut self) -> Result<(), Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::new(reason::NO_LEDGER, error);
        let json = self.world.artifacts.weights_record().await;
        self.record = match json.map_err(|e| failed(&e))? {
            None => None,
            // What has left is not known then, and nothing leaves until a person has looked.
            Some(json) => Some(serde_json::from_slice(&json).map_err(|e| {
                failed(&format!(
                    "weights/last in the store cannot be read: {e}; see what has left, and remove it"
                ))
            })?),
        };
        let pools = self.world.stores.pools.state();
        let stated = pools
            .iter()
            .map(|pool| (named(&self.rules.network, pool), &pool.spec));
        self.known = known(&self.rules.network, stated, &self.declared.revoked);
        self.remember();
        Ok(())
    }

    /// After a restart the Validator's status has what was told.
    fn remember(&self) {
        let Some(record) = &self.record else { return };
        let validators = self.world.stores.validators.state();
        let statuses = validators
            .iter()
            .filter_map(|v| v.status.as_ref()?.weights.clone());
        let of_this = statuses.into_iter().find(|status| status.digest == record.digest);
        tell(self.world, |told| {
            if told.status.is_none() {
                told.status = of_this;
            }
        });
    }

    /// Makes, signs and stores the weights that are due, and tells of them.
    async fn make(&mut self, uids: BTreeMap<Hotkey, u16>, now: &Now<'_>) -> Result<Made, Failure> {
        let (registry, told) = std::mem::take(&mut self.known).registry(uids);
        for why in told {
            tracing::warn!(why, "a pool's statement does not count for weights");
        }
        let pools = self.world.stores.pools.state();
        let identities = pools.iter().filter_map(|pool| pool.spec.identity);
        let places: BTreeMap<_, _> = identities.map(|of| (of, registry.place(&of))).collect();
        tell(self.world, |told| told.places = places);
        let subnet = Subnet {
            network: self.rules.network.clone(),
            netuid: self.declared.netuid,
            version_key: self.declared.version_key,
            owner: self.declared.owner,
        };
        // The ledger names the rule by which these are.
        self.segments
            .score_by(&self.rules.scoring, self.rules.scoring_since);
        let weighed = self.segments.weigh(&self.rules.scoring, registry, subnet).await?;
        let vector = weighed
            .file
            .vector()
            .map_err(|e| Failure::new(reason::NO_WEIGHTS, &e))?;
        let stored = self.world.artifacts.put_weights(weighed.bytes).await;
        let digest = stored.map_err(|e| Failure::new(reason::NO_LEDGER, &e))?;
        let status = status(&weighed.file, &vector, digest, now);
        tell(self.world, |told| told.status = Some(status));
        Ok(Made {
            digest,
            at: weighed.file.at,
            vector,
        })
    }

    /// Writes down what leaves, or what has become of it.
    async fn keep(&mut self, record: Record) -> Result<(), Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::new(reason::NO_LEDGER, error);
        let json = serde_json::to_vec(&record).map_err(|e| failed(&e))?;
        let kept = self.world.artifacts.put_weights_record(json).await;
        kept.map_err(|e| failed(&e))?;
        self.record = Some(record);
        Ok(())
    }

    /// They have left; the next ones are due in a block.
    fn published(&self, next: u64) -> Said {
        let netuid = self.declared.netuid;
        let record = self.record.as_ref().filter(|record| record.netuid == netuid);
        match record.and_then(|record| record.last) {
            Some(last) => Said {
                truth: Truth::True,
                reason: reason::PUBLISHED,
                message: format!(
                    "weights of netuid {netuid} have left in block {last}; the next are due in block {next}"
                ),
            },
            None => Said {
                truth: Truth::Unknown,
                reason: reason::PUBLISHING,
                message: format!(
                    "somebody else has set weights with the validator's hotkey; the next are due in block {next}"
                ),
            },
        }
    }

    /// They have left.
    fn sent(&self, block: u64, interval: u64) {
        self.world.metrics.weights_sent(unix_millis());
        tell(self.world, |told| {
            if let Some(status) = &mut told.status {
                (status.sent, status.next) = (Some(block), next(block, interval));
            }
        });
    }
}

/// A pool, as its binding names it.
fn named(network: &str, pool: &MinerPool) -> Pool {
    Pool {
        network: network.to_owned(),
        namespace: pool.namespace().unwrap_or_default(),
        pool: pool.name_any(),
        uid: pool.uid().unwrap_or_default(),
    }
}

fn status(file: &WeightsFile, vector: &Vector, digest: Digest, now: &Now<'_>) -> WeightsStatus {
    let both = vector.uids().iter().zip(vector.values());
    let mut greatest: Vec<UidWeight> = both
        .map(|(uid, weight)| UidWeight {
            uid: *uid,
            weight: *weight,
        })
        .collect();
    greatest.sort_by_key(|of| (std::cmp::Reverse(of.weight), of.uid));
    greatest.truncate(GREATEST);
    let left_out = file
        .rows
        .iter()
        .filter(|row| !matches!(row.place, Place::Uid { .. }));
    WeightsStatus {
        netuid: file.subnet.netuid,
        block: now.block,
        at: crate::clock::now(),
        digest,
        uids: u32::try_from(vector.uids().len()).unwrap_or(u32::MAX),
        left_out: u32::try_from(left_out.count()).unwrap_or(u32::MAX),
        greatest,
        sent: None,
        next: next(now.block, now.interval),
    }
}

#[cfg(test)]
mod tests {
    use zkinfer_crds::Identity;
    use zkinfer_weights::vector::VectorError;

    use super::*;

    #[test]
    fn what_fails_is_tried_again_ever_more_seldom_and_never_given_up() {
        let pauses: Vec<u64> = (0..40).map(|failures| backoff(failures).as_secs()).collect();
        assert_eq!(pauses[..5], [2, 4, 8, 16, 32]);
        assert!(pauses[8..].iter().all(|pause| *pause == 300), "{pauses:?}");
    }

    #[test]
    fn a_look_comes_when_weights_are_due_or_some_minutes_later() {
        assert_eq!(until(100, 110), Duration::from_secs(120));
        assert_eq!(until(110, 100), BLOCK);
        assert_eq!(until(0, u64::MAX), LONGEST);
    }

    #[test]
    fn scores_that_make_no_vector_are_no_fault_of_the_ledger() {
        let nobody = WeighError::File(FileError::Vector(VectorError::Nobody));
        assert_eq!(Failure::from(nobody).reason, reason::NO_WEIGHTS);
        assert_eq!(Failure::from(WeighError::Empty).reason, reason::NO_WEIGHTS);
        let held = WeighError::Held("another key signs it".to_owned());
        assert_eq!(Failure::from(held).reason, reason::NO_LEDGER);
        let other = WeighError::File(FileError::Signature(Identity::new([1; 32])));
        assert_eq!(Failure::from(other).reason, reason::NO_LEDGER);
    }
}
