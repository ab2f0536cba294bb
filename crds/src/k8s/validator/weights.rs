//! Publication of weights: for which subnet, by which rules, who is who, and where the weights go.
//!
//! Invariants: without `weights` nothing is computed and nothing leaves; uids that go to a chain are the chain's own, since a chain
//! gives a uid to somebody else when it likes; a key stands in a Secret and in no object of ours.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::common::HOTKEY_SECRET;
use crate::words::Digest;

/// Weights of miners, made of the ledger's scores and published every so many blocks.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[x_kube(
    validation = (
        "!has(self.uids.chain) || has(self.publisher.bittensor)",
        "uids.chain needs publisher.bittensor: without a chain nobody says who has which uid"
    ),
    validation = (
        "!has(self.publisher.bittensor) || has(self.uids.chain)",
        "publisher.bittensor needs uids.chain: a chain gives uids to others, and a list here would not know"
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Weights {
    /// The subnet.
    #[schemars(range(min = 0, max = 65535))]
    pub netuid: u16,
    /// The version key of the subnet's rules.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_u64))]
    pub version_key: u64,
    /// Blocks between two publications. A chain that wants more is given more. Where no chain says which block it is, a block
    /// takes 12 s.
    #[serde(default = "default_every")]
    #[schemars(range(min = 100, max = 1_000_000))]
    pub every: u32,
    /// The part of all weights that is the subnet owner's. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_share: Option<OwnerPart>,
    /// Who says which hotkey has which uid.
    pub uids: Uids,
    /// Where the weights go. A signed file of them is in the store in any case.
    pub publisher: Publisher,
    /// Keys that have no weight under any name, and hand over nothing: hotkeys (SS58) and identities of miners (ed25519:…).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 1024),
        inner(regex(pattern = "^([1-9A-HJ-NP-Za-km-z]{47,50}|ed25519:[0-9a-f]{64})$"))
    )]
    pub revoked: Vec<String>,
}

const fn default_every() -> u32 {
    100
}

/// The subnet owner's part.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OwnerPart {
    /// The owner's uid. No miner may have it.
    #[schemars(range(min = 0, max = 65535))]
    pub uid: u16,
    /// The owner's part of all, in millionths.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub millionths: u32,
}

/// Who says which hotkey has which uid.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[x_kube(validation = ("has(self.static) != has(self.chain)", "exactly one of static and chain must be set"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Uids {
    /// The uid of each hotkey, by its SS58 address.
    #[serde(default, rename = "static", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 4096))]
    pub fixed: Option<BTreeMap<String, u16>>,
    /// The chain says it, at each publication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Nothing>,
}

/// Where weights go.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[x_kube(validation = ("has(self.file) != has(self.bittensor)", "exactly one of file and bittensor must be set"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Publisher {
    /// Into the store, and no further.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Nothing>,
    /// To a chain as Bittensor's. Only operators that were built with it take this; the images are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bittensor: Option<Bittensor>,
}

/// Nothing more is to be said.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(deny_unknown_fields)]
#[schemars(transform = structural)]
pub struct Nothing {}

/// A structural schema does not say that there is no property: the API server drops those that it does not know.
fn structural(schema: &mut schemars::Schema) {
    schema.remove("additionalProperties");
}

/// A chain that takes weights.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bittensor {
    /// A node of the chain: ws://… or wss://…
    #[schemars(length(max = 2048), regex(pattern = "^wss?://[^/?#@\\s]+(/[^?#\\s]*)?$"))]
    pub endpoint: String,
    /// The hash of the chain's block 0: nothing is sent to another chain.
    #[schemars(regex(pattern = "^0x[0-9a-f]{64}$"))]
    pub genesis: String,
    /// A Secret in the operator's namespace with the validator's hotkey: under `seed`, `0x` and 64 hexadecimal digits. For another
    /// name than zkinfer-hotkey the operator needs a Role that lets it read that Secret.
    #[serde(default = "default_secret")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub hotkey_secret: String,
    /// Weights are locked until a round of drand's beacon, as a subnet with commits wants it; else they are sent for all to see. A
    /// subnet that wants it the other way gets nothing, which is told.
    #[serde(default = "default_timelock")]
    pub timelock: bool,
    /// The runtimes for which calls are known to be what they are: under any other nothing is sent, since the same bytes may mean
    /// another call there.
    #[schemars(length(min = 1, max = 64))]
    pub allowed_spec_versions: Vec<SpecVersion>,
}

fn default_secret() -> String {
    HOTKEY_SECRET.to_owned()
}

const fn default_timelock() -> bool {
    true
}

/// A runtime of a chain.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SpecVersion {
    /// Its `specVersion`.
    #[schemars(range(min = 0, max = 4_294_967_295_u64))]
    pub spec: u32,
    /// Its `transactionVersion`.
    #[schemars(range(min = 0, max = 4_294_967_295_u64))]
    pub transaction: u32,
}

/// The weights that were made last.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WeightsStatus {
    /// Of which subnet.
    pub netuid: u16,
    /// In which block they were made; where no chain says so, a block is 12 s of the time since 1970.
    pub block: u64,
    /// When.
    pub at: Time,
    /// The weights file in the store, `weights/<hex>`.
    pub digest: Digest,
    /// How many uids have a weight.
    pub uids: u32,
    /// Miners of the ledger that have none, since they have no hotkey, no uid, or a revoked key.
    pub left_out: u32,
    /// Those with the greatest weights, the owner among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub greatest: Vec<UidWeight>,
    /// The block in which they have left for a chain, or in which the file was written. Absent: they have not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<u64>,
    /// The block in which the next ones are due.
    pub next: u64,
}

/// One uid's weight.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct UidWeight {
    /// The uid.
    pub uid: u16,
    /// Its weight, of 65535.
    pub weight: u16,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_left_out_is_the_least_interval_the_own_secret_and_a_lock() {
        let weights: Weights = serde_json::from_value(json!({
            "netuid": 2, "versionKey": 11003, "uids": { "chain": {} },
            "publisher": { "bittensor": {
                "endpoint": "wss://chain.example", "genesis": format!("0x{}", "01".repeat(32)),
                "allowedSpecVersions": [{ "spec": 365, "transaction": 1 }],
            } },
        }))
        .unwrap();
        assert_eq!((weights.every, weights.owner_share), (100, None));
        let bittensor = weights.publisher.bittensor.unwrap();
        assert_eq!(
            (bittensor.hotkey_secret.as_str(), bittensor.timelock),
            (HOTKEY_SECRET, true)
        );
    }

    #[test]
    fn a_misspelt_field_is_no_setting() {
        for bad in [
            json!({ "netuid": 2, "versionKey": 1, "uids": { "chains": {} }, "publisher": { "file": {} } }),
            json!({ "netuid": 2, "versionKey": 1, "uids": { "static": {} }, "publisher": { "files": {} } }),
            json!({ "netuid": 2, "versionKey": 1, "uids": { "static": {} }, "publisher": { "file": { "path": "x" } } }),
        ] {
            assert!(serde_json::from_value::<Weights>(bad.clone()).is_err(), "{bad}");
        }
    }
}
