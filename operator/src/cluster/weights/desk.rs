//! What one look at weights works with: what was written down, what pools state, how weights are made, and what is told of it.
//!
//! Invariant: what leaves is written down before it does.

use std::collections::BTreeMap;
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
use zkinfer_weights::record::{Now, Record, next};
use zkinfer_weights::vector::Vector;

use super::super::segments::{Segments, WeighError};
use crate::dispatch::unix_millis;
use crate::in_force::Rules;
use crate::weights::{Declared, Known, Said, Told, known};
use crate::world::World;

/// A block, where no chain says which one it is.
pub(super) const BLOCK: Duration = Duration::from_secs(12);
/// Between two looks at what is due.
pub(super) const LONGEST: Duration = Duration::from_secs(600);
/// Uids that the status names.
const GREATEST: usize = 8;

/// Why nothing has left.
#[derive(Debug)]
pub(super) struct Failure {
    pub reason: &'static str,
    pub message: String,
}

impl Failure {
    pub(super) fn new(reason: &'static str, message: &dyn std::fmt::Display) -> Self {
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
pub(super) struct Looked {
    pub said: Said,
    /// Until the next look.
    pub pause: Duration,
}

/// Changes what is told, and wakes those who tell it.
pub(super) fn tell(world: &World, change: impl FnOnce(&mut Told)) {
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
pub(super) struct Desk<'a> {
    pub world: &'a World,
    pub segments: &'a Segments,
    pub rules: &'a Rules,
    pub declared: &'a Declared,
    pub record: Option<Record>,
    pub known: Known,
}

/// Until a block, and no longer than until the next look.
pub(super) fn until(block: u64, next: u64) -> Duration {
    let blocks = u32::try_from(next.saturating_sub(block)).unwrap_or(u32::MAX);
    BLOCK.saturating_mul(blocks.max(1)).min(LONGEST)
}

/// Weights that were made.
pub(super) struct Made {
    pub digest: Digest,
    pub at: u64,
    #[cfg_attr(not(feature = "bittensor"), allow(dead_code, reason = "a chain takes it"))]
    pub vector: Vector,
}

impl Desk<'_> {
    /// What was written down, and what pools state.
    pub(super) async fn read(&mut self) -> Result<(), Failure> {
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
    pub(super) async fn make(&mut self, uids: BTreeMap<Hotkey, u16>, now: &Now<'_>) -> Result<Made, Failure> {
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
    pub(super) async fn keep(&mut self, record: Record) -> Result<(), Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::new(reason::NO_LEDGER, error);
        let json = serde_json::to_vec(&record).map_err(|e| failed(&e))?;
        let kept = self.world.artifacts.put_weights_record(json).await;
        kept.map_err(|e| failed(&e))?;
        self.record = Some(record);
        Ok(())
    }

    /// They have left; the next ones are due in a block.
    pub(super) fn published(&self, next: u64) -> Said {
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
    pub(super) fn sent(&self, block: u64, interval: u64) {
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
