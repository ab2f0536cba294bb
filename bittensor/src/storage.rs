//! Where the chain keeps what is asked of it.
//!
//! ```text
//! key = twox128("SubtensorModule") twox128(item) keys       as the item's own hashers make them
//! ```
//!
//! Invariant: keys are those that the chain's metadata gives: a subnet's number stands as it is, an account behind its blake2b-128,
//! and of `RevealPeriodEpochs` alone the number behind its xxHash. What the chain has not written has the value that its metadata
//! says, which stands beside each item here; an item without one has to be there.

use twox_hash::XxHash64;
use zkinfer_weights::hotkey::Hotkey;

/// The pallet.
const PALLET: &str = "SubtensorModule";

/// An item of a subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// Blocks between epochs.
    Tempo,
    /// When each uid's weights were set last.
    LastUpdate,
    /// Blocks between two settings of weights.
    WeightsSetRateLimit,
    /// The least version key.
    WeightsVersionKey,
    /// Whether weights are committed.
    CommitRevealWeightsEnabled,
    /// Epochs until a commit opens.
    RevealPeriodEpochs,
    /// The fewest weights of a vector.
    MinAllowedWeights,
    /// The most for one, of 65535.
    MaxWeightsLimit,
    /// The block of the last epoch.
    LastEpochBlock,
    /// The block in which an epoch was asked for.
    PendingEpochAt,
    /// How many epochs there were.
    SubnetEpochIndex,
    /// Blocks since the last step.
    BlocksSinceLastStep,
}

impl Item {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Tempo,
        Self::LastUpdate,
        Self::WeightsSetRateLimit,
        Self::WeightsVersionKey,
        Self::CommitRevealWeightsEnabled,
        Self::RevealPeriodEpochs,
        Self::MinAllowedWeights,
        Self::MaxWeightsLimit,
        Self::LastEpochBlock,
        Self::PendingEpochAt,
        Self::SubnetEpochIndex,
        Self::BlocksSinceLastStep,
    ];

    /// What the chain calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tempo => "Tempo",
            Self::LastUpdate => "LastUpdate",
            Self::WeightsSetRateLimit => "WeightsSetRateLimit",
            Self::WeightsVersionKey => "WeightsVersionKey",
            Self::CommitRevealWeightsEnabled => "CommitRevealWeightsEnabled",
            Self::RevealPeriodEpochs => "RevealPeriodEpochs",
            Self::MinAllowedWeights => "MinAllowedWeights",
            Self::MaxWeightsLimit => "MaxWeightsLimit",
            Self::LastEpochBlock => "LastEpochBlock",
            Self::PendingEpochAt => "PendingEpochAt",
            Self::SubnetEpochIndex => "SubnetEpochIndex",
            Self::BlocksSinceLastStep => "BlocksSinceLastStep",
        }
    }

    /// Its key for a subnet.
    #[must_use]
    pub fn key(self, netuid: u16) -> Vec<u8> {
        let mut key = prefix(self.name());
        if self == Self::RevealPeriodEpochs {
            key.extend(XxHash64::oneshot(0, &netuid.to_le_bytes()).to_le_bytes());
        }
        key.extend(netuid.to_le_bytes());
        key
    }
}

/// The key of a hotkey's uid in a subnet.
#[must_use]
pub fn uid_key(netuid: u16, hotkey: &Hotkey) -> Vec<u8> {
    let mut key = prefix("Uids");
    key.extend(netuid.to_le_bytes());
    let hash = blake2b_simd::Params::new()
        .hash_length(16)
        .hash(hotkey.as_bytes());
    key.extend(hash.as_bytes());
    key.extend(hotkey.as_bytes());
    key
}

fn prefix(item: &str) -> Vec<u8> {
    let mut key = twox128(PALLET).to_vec();
    key.extend(twox128(item));
    key
}

fn twox128(name: &str) -> [u8; 16] {
    let mut hash = [0; 16];
    let (low, high) = hash.split_at_mut(8);
    low.copy_from_slice(&XxHash64::oneshot(0, name.as_bytes()).to_le_bytes());
    high.copy_from_slice(&XxHash64::oneshot(1, name.as_bytes()).to_le_bytes());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with the Python packages xxhash and hashlib.
    #[test]
    fn keys_are_the_chains() {
        assert_eq!(hex::encode(twox128("System")), "26aa394eea5630e07c48ae0c9558cef7");
        assert_eq!(hex::encode(twox128(PALLET)), "658faa385070e074c85bf6b568cf0555");
        assert_eq!(
            hex::encode(Item::Tempo.key(2)),
            "658faa385070e074c85bf6b568cf05557641384bb339f3758acddfd7053d33170200"
        );
        assert_eq!(
            hex::encode(Item::RevealPeriodEpochs.key(2)),
            "658faa385070e074c85bf6b568cf05558f232bcbac768c1d6201850c60f161ed283537e217dff4590200"
        );
        let hotkey = "5ETmuXSyBiDHwabzdAxmbyj1A25asAmNXm5gtzf7edxxQYaq"
            .parse()
            .unwrap();
        assert_eq!(
            hex::encode(uid_key(2, &hotkey)),
            concat!(
                "658faa385070e074c85bf6b568cf0555aab1b4e78e1ea8305462ee53b3686dc80200",
                "eafe2b1069340fb42ceb2c3a2e3ec5af6a10be029d1ed283446587145a4f885225489b490424a0328dcce2a48ae6fe61"
            )
        );
    }

    #[test]
    fn no_two_items_have_one_key() {
        let keys: std::collections::BTreeSet<_> = Item::ALL.iter().map(|item| item.key(2)).collect();
        assert_eq!(keys.len(), Item::ALL.len());
    }
}
