//! What the chain says at one block.
//!
//! Invariants: all of it is of one block, whatever comes meanwhile; a value is read whole and in one form or not at all. What may leave
//! is asked of this view before anything is signed.

use std::collections::BTreeMap;

use parity_scale_codec::Decode;
use serde::Deserialize;
use serde_json::{Value, json};
use zkinfer_weights::extrinsic::{Era, Extrinsic, Runtime, Terms};
use zkinfer_weights::hotkey::{Hotkey, HotkeyPair};
use zkinfer_weights::publication::{Form, Observed, Permitted, Refusal};
use zkinfer_weights::schedule::Schedule;
use zkinfer_weights::vector::Limits;

use crate::session::{ChainError, Session};
use crate::storage::{Item, uid_key};

/// Keys that are asked for at once.
const BATCH: usize = 256;
/// Blocks in which an extrinsic counts: less than the least between two publications, so that of what was not taken nothing is left
/// when the next ones may leave.
const PERIOD: u64 = 64;
/// Milliseconds of a block, for the beacon's round.
#[cfg(feature = "timelock")]
const BLOCK_MILLIS: u64 = 12_000;

const STORAGE: &str = "state_queryStorageAt";

/// What the chain says.
#[derive(Debug, Clone)]
pub struct View {
    /// What is asked before weights may leave.
    pub observed: Observed,
    /// The uids of the hotkeys that were asked for, where they have one.
    pub uids: BTreeMap<Hotkey, u16>,
    /// Epochs until a commit opens.
    pub period: u64,
    /// The hash of the block from which what is signed now counts.
    era: (Era, [u8; 32]),
    /// How many the validator's account has sent.
    nonce: u32,
}

/// What is signed and may leave.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// It.
    pub extrinsic: Extrinsic,
    /// The first block in which it does not count any more.
    pub until: u64,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// It may not leave.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A commit would never open.
    #[error(transparent)]
    Schedule(#[from] zkinfer_weights::schedule::ScheduleError),
    /// The chain does not say when its epochs are.
    #[cfg(feature = "timelock")]
    #[error(
        "the chain keeps no LastEpochBlock of this subnet: under this runtime nobody can tell when a commit would open"
    )]
    NoEpochs,
    /// This build locks nothing.
    #[cfg(not(feature = "timelock"))]
    #[error("this program was built without the feature that locks commits")]
    NoTimelock,
    /// It could not be locked.
    #[cfg(feature = "timelock")]
    #[error(transparent)]
    Lock(#[from] zkinfer_weights::lock::LockError),
}

#[derive(Deserialize)]
struct Header {
    number: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    spec_version: u32,
    transaction_version: u32,
}

#[derive(Deserialize)]
struct Changes {
    changes: Vec<(String, Option<String>)>,
}

/// A runtime, and the block at which it was asked for.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// The chain and its runtime.
    pub runtime: Runtime,
    number: u64,
    hash: [u8; 32],
}

impl Session {
    /// Which chain and runtime it is, at its newest block. Nothing else that a chain says means anything before that is known.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub async fn runtime(&mut self) -> Result<At, ChainError> {
        const HEADER: &str = "chain_getHeader";
        let header: Header = self.call(HEADER, &json!([])).await?;
        let digits = header.number.strip_prefix("0x").unwrap_or_default();
        let number = u64::from_str_radix(digits, 16).map_err(|why| self.odd(HEADER, &why))?;
        let genesis = self.block_hash(0).await?;
        let hash = self.block_hash(number).await?;
        let version: Version = self
            .call("state_getRuntimeVersion", &json!([hex_of(&hash)]))
            .await?;
        Ok(At {
            runtime: Runtime {
                spec_version: version.spec_version,
                transaction_version: version.transaction_version,
                genesis,
            },
            number,
            hash,
        })
    }

    /// What the chain says of a subnet at that block: of the validator's own hotkey, and which of these hotkeys have which uids.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub async fn view(
        &mut self,
        at: At,
        netuid: u16,
        own: &Hotkey,
        hotkeys: &[Hotkey],
    ) -> Result<View, ChainError> {
        let values = self.subnet(at, netuid).await?;
        let mut uids = self.uids(at, netuid, own, hotkeys).await?;
        let uid = uids.get(own).copied();
        if !hotkeys.contains(own) {
            uids.remove(own);
        }
        let updates = values.read::<Vec<u64>>(self, Item::LastUpdate, Some(Vec::new()))?;
        let last_update = uid.and_then(|uid| updates.get(usize::from(uid)).copied());
        let observed = Observed {
            runtime: at.runtime,
            uid,
            last_update: last_update.unwrap_or_default(),
            rate_limit: values.read(self, Item::WeightsSetRateLimit, Some(100))?,
            version_key: values.read(self, Item::WeightsVersionKey, Some(0))?,
            commits: values.read(self, Item::CommitRevealWeightsEnabled, Some(true))?,
            limits: Limits {
                least_weights: values.read(self, Item::MinAllowedWeights, Some(1024))?,
                most_for_one: values.read(self, Item::MaxWeightsLimit, Some(u16::MAX))?,
            },
            schedule: Schedule {
                last_epoch: values.read(self, Item::LastEpochBlock, Some(0))?,
                pending: values.read(self, Item::PendingEpochAt, Some(0))?,
                index: values.read(self, Item::SubnetEpochIndex, Some(0))?,
                // Every subnet that there is has one.
                tempo: values.read(self, Item::Tempo, None)?,
                since_step: values.read(self, Item::BlocksSinceLastStep, Some(0))?,
                block: at.number,
            },
        };
        let period = values.read(self, Item::RevealPeriodEpochs, Some(1))?;
        let era = Era::mortal(PERIOD, at.number);
        let era_block = self.block_hash(era.birth()).await?;
        let nonce: u32 = self
            .call("system_accountNextIndex", &json!([own.to_string()]))
            .await?;
        Ok(View {
            observed,
            uids,
            period,
            era: (era, era_block),
            nonce,
        })
    }

    async fn block_hash(&mut self, number: u64) -> Result<[u8; 32], ChainError> {
        const METHOD: &str = "chain_getBlockHash";
        let hash: Option<String> = self.call(METHOD, &json!([number])).await?;
        let none = || format!("no hash of block {number}");
        let hash = hash.ok_or_else(|| self.odd(METHOD, &none()))?;
        let bytes = bytes_of(&hash).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes.ok_or_else(|| self.odd(METHOD, &none()))
    }

    async fn subnet(&mut self, at: At, netuid: u16) -> Result<Values, ChainError> {
        let keys: Vec<_> = Item::ALL.iter().map(|item| item.key(netuid)).collect();
        Ok(Values {
            netuid,
            of: self.values(at, &keys).await?,
        })
    }

    async fn uids(
        &mut self,
        at: At,
        netuid: u16,
        own: &Hotkey,
        hotkeys: &[Hotkey],
    ) -> Result<BTreeMap<Hotkey, u16>, ChainError> {
        let mut all: Vec<Hotkey> = hotkeys.to_vec();
        if !all.contains(own) {
            all.push(*own);
        }
        let mut uids = BTreeMap::new();
        for batch in all.chunks(BATCH) {
            let keys: Vec<_> = batch.iter().map(|hotkey| uid_key(netuid, hotkey)).collect();
            let values = self.values(at, &keys).await?;
            for (hotkey, key) in batch.iter().zip(&keys) {
                if let Some(bytes) = values.get(key) {
                    let uid = whole::<u16>(bytes);
                    uids.insert(
                        *hotkey,
                        uid.ok_or_else(|| self.odd(STORAGE, &"a uid that is none"))?,
                    );
                }
            }
        }
        Ok(uids)
    }

    /// What stands under these keys.
    async fn values(&mut self, at: At, keys: &[Vec<u8>]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, ChainError> {
        let named: Vec<String> = keys.iter().map(|key| hex_of(key)).collect();
        let found: Vec<Changes> = self.call(STORAGE, &json!([named, hex_of(&at.hash)])).await?;
        let mut values = BTreeMap::new();
        for (key, value) in found.into_iter().flat_map(|found| found.changes) {
            let key = bytes_of(&key).filter(|key| keys.contains(key));
            let key = key.ok_or_else(|| self.odd(STORAGE, &"a key that was not asked for"))?;
            let Some(value) = value else { continue };
            let value = bytes_of(&value).ok_or_else(|| self.odd(STORAGE, &"a value that is no bytes"))?;
            if values.insert(key, value).is_some() {
                return Err(self.odd(STORAGE, &"two values of one key"));
            }
        }
        Ok(values)
    }

    /// Hands in what is signed.
    ///
    /// # Errors
    /// See [`ChainError`]; only where it refuses it is known not to count.
    pub async fn submit(&mut self, extrinsic: &Extrinsic) -> Result<(), ChainError> {
        const METHOD: &str = "author_submitExtrinsic";
        let hash: Value = self.call(METHOD, &json!([hex_of(&extrinsic.bytes)])).await?;
        if hash != hex_of(&extrinsic.hash) {
            return Err(self.odd(METHOD, &"the hash of another extrinsic"));
        }
        Ok(())
    }
}

/// Values of a subnet.
struct Values {
    netuid: u16,
    of: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Values {
    fn read<T: Decode>(&self, session: &Session, item: Item, unset: Option<T>) -> Result<T, ChainError> {
        let name = item.name();
        match self.of.get(&item.key(self.netuid)) {
            Some(bytes) => {
                whole(bytes).ok_or_else(|| session.odd(STORAGE, &format!("{name} in another form")))
            }
            None => unset.ok_or_else(|| {
                session.odd(
                    STORAGE,
                    &format!("no {name} of netuid {}: is there such a subnet?", self.netuid),
                )
            }),
        }
    }
}

/// A value that is all of these bytes.
fn whole<T: Decode>(mut bytes: &[u8]) -> Option<T> {
    let value = T::decode(&mut bytes).ok()?;
    bytes.is_empty().then_some(value)
}

fn hex_of(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn bytes_of(text: &str) -> Option<Vec<u8>> {
    hex::decode(text.strip_prefix("0x")?).ok()
}

impl View {
    /// Signs what may leave, in the form that is declared: locked, or for all to see.
    ///
    /// # Errors
    /// A subnet that takes it the other way, or a commit that cannot be made.
    pub fn prepare(
        &self,
        permitted: &Permitted,
        by: &HotkeyPair,
        form: Form,
        now_millis: u64,
    ) -> Result<Prepared, PrepareError> {
        let call = match form {
            Form::Plain => permitted.set_weights()?,
            Form::Committed => self.commit(permitted, by, now_millis)?,
        };
        let (era, era_block) = self.era;
        let terms = Terms {
            runtime: self.observed.runtime,
            era,
            era_block,
            nonce: self.nonce,
            tip: 0,
            metadata_hash: None,
        };
        Ok(Prepared {
            extrinsic: terms.sign(&call, by),
            until: era.death(),
        })
    }

    #[cfg(feature = "timelock")]
    fn commit(
        &self,
        permitted: &Permitted,
        by: &HotkeyPair,
        now_millis: u64,
    ) -> Result<zkinfer_weights::call::Call, PrepareError> {
        // Runtimes of before count epochs from a block's number, and keep nothing of them.
        if self.observed.schedule.last_epoch == 0 {
            return Err(PrepareError::NoEpochs);
        }
        let round = self
            .observed
            .schedule
            .round(self.period, now_millis, BLOCK_MILLIS)?;
        let locked = zkinfer_weights::lock::lock(&permitted.payload(&by.hotkey()), round)?;
        Ok(permitted.commit(&locked, round)?)
    }

    #[cfg(not(feature = "timelock"))]
    #[allow(clippy::unused_self, reason = "with the feature it needs the epochs")]
    fn commit(
        &self,
        _: &Permitted,
        _: &HotkeyPair,
        _: u64,
    ) -> Result<zkinfer_weights::call::Call, PrepareError> {
        Err(PrepareError::NoTimelock)
    }
}
