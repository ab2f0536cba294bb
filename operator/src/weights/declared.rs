//! What a Validator declares of weights, read.
//!
//! Invariant: whatever is read here is in force as it stands; what cannot be is named by its field, and nothing of it is.

use std::collections::{BTreeMap, BTreeSet};

use zkinfer_crds::Identity;
use zkinfer_crds::k8s::validator::{Bittensor, Weights};
use zkinfer_weights::hotkey::Hotkey;
use zkinfer_weights::publication::LEAST_INTERVAL;
use zkinfer_weights::vector::{MILLION, OwnerShare};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// The subnet.
    pub netuid: u16,
    /// The version key of its rules.
    pub version_key: u64,
    /// Blocks between two publications.
    pub every: u64,
    /// The subnet owner's part.
    pub owner: Option<OwnerShare>,
    /// Who has which uid.
    pub uids: Who,
    /// Where weights go.
    pub publisher: Publisher,
    /// Whose keys count no more.
    pub revoked: Revoked,
}

/// Who says which hotkey has which uid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// This list.
    Listed(BTreeMap<Hotkey, u16>),
    /// The chain.
    Chain,
}

/// Where weights go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publisher {
    /// Into the store alone.
    File,
    /// To a chain.
    Chain(ChainDeclared),
}

/// A chain, as it is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainDeclared {
    /// Where a node of it is.
    pub endpoint: String,
    /// The hash of its block 0.
    pub genesis: [u8; 32],
    /// The Secret of the validator's hotkey.
    pub secret: String,
    /// Whether weights are locked.
    pub timelock: bool,
    /// The runtimes that are known: spec version and transaction version.
    pub runtimes: Vec<(u32, u32)>,
}

/// Whose keys count no more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Revoked {
    /// Hotkeys.
    pub hotkeys: BTreeSet<Hotkey>,
    /// Identities.
    pub identities: BTreeSet<Identity>,
}

impl Declared {
    /// What a spec says.
    ///
    /// # Errors
    /// What is wrong with it, by field.
    pub fn read(spec: &Weights) -> Result<Self, String> {
        if u64::from(spec.every) < LEAST_INTERVAL {
            return Err(format!(
                "weights.every is {}: weights leave at most every {LEAST_INTERVAL} blocks",
                spec.every
            ));
        }
        let owner = spec.owner_share.map(|owner| OwnerShare {
            uid: owner.uid,
            millionths: owner.millionths,
        });
        if let Some(owner) = owner.filter(|owner| owner.millionths > MILLION) {
            return Err(format!(
                "weights.ownerShare.millionths is {}: all is {MILLION}",
                owner.millionths
            ));
        }
        let publisher = match (&spec.publisher.file, &spec.publisher.bittensor) {
            (Some(_), None) => Publisher::File,
            (None, Some(chain)) => Publisher::Chain(chain_of(chain)?),
            _ => return Err("weights.publisher: exactly one of file and bittensor must be set".to_owned()),
        };
        let uids = match (&spec.uids.fixed, &spec.uids.chain) {
            (Some(list), None) => Who::Listed(listed(list, owner)?),
            (None, Some(_)) => Who::Chain,
            _ => return Err("weights.uids: exactly one of static and chain must be set".to_owned()),
        };
        match (&uids, &publisher) {
            (Who::Chain, Publisher::File) => {
                return Err("weights.uids.chain needs publisher.bittensor".to_owned());
            }
            (Who::Listed(_), Publisher::Chain(_)) => {
                return Err("weights.publisher.bittensor needs uids.chain".to_owned());
            }
            (Who::Chain, Publisher::Chain(_)) | (Who::Listed(_), Publisher::File) => {}
        }
        Ok(Self {
            netuid: spec.netuid,
            version_key: spec.version_key,
            every: spec.every.into(),
            owner,
            uids,
            publisher,
            revoked: revoked(&spec.revoked)?,
        })
    }
}

fn listed(list: &BTreeMap<String, u16>, owner: Option<OwnerShare>) -> Result<BTreeMap<Hotkey, u16>, String> {
    let (mut uids, mut whose) = (BTreeMap::new(), BTreeMap::new());
    for (address, uid) in list {
        let hotkey = address
            .parse::<Hotkey>()
            .map_err(|why| format!("weights.uids.static: {why}"))?;
        if let Some(other) = whose.insert(*uid, hotkey) {
            return Err(format!(
                "weights.uids.static: uid {uid} is said to be {other} and {hotkey}"
            ));
        }
        if owner.is_some_and(|owner| owner.uid == *uid) {
            return Err(format!(
                "weights.uids.static: uid {uid} is said to be {hotkey}, and to be the owner's by ownerShare"
            ));
        }
        uids.insert(hotkey, *uid);
    }
    Ok(uids)
}

fn revoked(list: &[String]) -> Result<Revoked, String> {
    let mut revoked = Revoked::default();
    for (i, key) in list.iter().enumerate() {
        let wrong = |why: &dyn std::fmt::Display| format!("weights.revoked[{i}]: {why}");
        if key.starts_with("ed25519:") {
            let identity = key.parse::<Identity>().map_err(|why| wrong(&why))?;
            revoked.identities.insert(identity);
        } else {
            let hotkey = key.parse::<Hotkey>().map_err(|why| wrong(&why))?;
            revoked.hotkeys.insert(hotkey);
        }
    }
    Ok(revoked)
}

/// What a build without it is told.
const NOT_BUILT: &str = "weights.publisher.bittensor: this operator was built without it (cargo feature `bittensor`); the images have it";

fn chain_of(chain: &Bittensor) -> Result<ChainDeclared, String> {
    if !cfg!(feature = "bittensor") {
        return Err(NOT_BUILT.to_owned());
    }
    read_chain(chain)
}

fn read_chain(chain: &Bittensor) -> Result<ChainDeclared, String> {
    let at = |field: &str, why: &dyn std::fmt::Display| format!("weights.publisher.bittensor.{field}: {why}");
    let url = chain
        .endpoint
        .parse::<reqwest::Url>()
        .map_err(|why| at("endpoint", &why))?;
    if !["ws", "wss"].contains(&url.scheme()) || url.host_str().is_none_or(str::is_empty) {
        return Err(at("endpoint", &"must be ws://HOST or wss://HOST"));
    }
    // Addresses are told; what lets somebody in belongs into a Secret.
    if !url.username().is_empty() || url.password().is_some() {
        return Err(at("endpoint", &"must not have a user or a password in it"));
    }
    let mut genesis = [0; 32];
    let digits = chain.genesis.strip_prefix("0x").unwrap_or_default();
    hex::decode_to_slice(digits, &mut genesis).map_err(|_| {
        at(
            "genesis",
            &"must be 0x and 64 hexadecimal digits, the hash of the chain's block 0",
        )
    })?;
    if chain.allowed_spec_versions.is_empty() {
        return Err(at("allowedSpecVersions", &"must have at least 1 entry"));
    }
    let runtimes = chain.allowed_spec_versions.iter();
    Ok(ChainDeclared {
        endpoint: chain.endpoint.clone(),
        genesis,
        secret: chain.hotkey_secret.clone(),
        timelock: chain.timelock,
        runtimes: runtimes
            .map(|runtime| (runtime.spec, runtime.transaction))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ALPHA: &str = "5ETmuXSyBiDHwabzdAxmbyj1A25asAmNXm5gtzf7edxxQYaq";

    fn with(change: &Value) -> Weights {
        let mut spec = json!({
            "netuid": 2, "versionKey": 11003, "uids": { "static": { ALPHA: 7 } }, "publisher": { "file": {} },
        });
        for (field, value) in change.as_object().unwrap() {
            spec[field] = value.clone();
        }
        serde_json::from_value(spec).unwrap()
    }

    fn bittensor(change: &Value) -> Bittensor {
        let mut spec = json!({
            "endpoint": "wss://chain.example:443", "genesis": format!("0x{}", "ab".repeat(32)),
            "allowedSpecVersions": [{ "spec": 365, "transaction": 1 }],
        });
        for (field, value) in change.as_object().unwrap() {
            spec[field] = value.clone();
        }
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn what_is_declared_is_read() {
        let spec = with(&json!({
            "every": 360, "ownerShare": { "uid": 0, "millionths": 800_000 },
            "revoked": [ALPHA, format!("ed25519:{}", "01".repeat(32))],
        }));
        let read = Declared::read(&spec).unwrap();
        let alpha: Hotkey = ALPHA.parse().unwrap();
        assert_eq!((read.netuid, read.version_key, read.every), (2, 11003, 360));
        assert_eq!(read.uids, Who::Listed([(alpha, 7)].into()));
        assert_eq!(read.revoked.hotkeys, [alpha].into());
        assert_eq!(read.revoked.identities, [Identity::new([1; 32])].into());
        assert_eq!(read.owner.unwrap().millionths, 800_000);
    }

    #[test]
    fn what_cannot_be_is_named_by_its_field() {
        let other = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty";
        let mistyped = ALPHA.replace("5ETm", "5ETn");
        for (change, words) in [
            (json!({ "every": 99 }), "weights.every is 99"),
            (
                json!({ "ownerShare": { "uid": 0, "millionths": 1_000_001 } }),
                "weights.ownerShare.millionths is 1000001",
            ),
            (
                json!({ "ownerShare": { "uid": 7, "millionths": 1 } }),
                "uid 7 is said to be 5ETm",
            ),
            (
                json!({ "uids": { "static": { ALPHA: 7, other: 7 } } }),
                "uid 7 is said to be 5ETm",
            ),
            (
                json!({ "uids": { "static": { mistyped.clone(): 7 } } }),
                "weights.uids.static: the checksum of SS58 address",
            ),
            (
                json!({ "revoked": [ALPHA, mistyped] }),
                "weights.revoked[1]: the checksum",
            ),
            (
                json!({ "uids": { "chain": {} } }),
                "weights.uids.chain needs publisher.bittensor",
            ),
            (json!({ "uids": {} }), "weights.uids: exactly one"),
            (json!({ "publisher": {} }), "weights.publisher: exactly one"),
        ] {
            let error = Declared::read(&with(&change)).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_chain_is_read_or_named_by_its_field() {
        let read = read_chain(&bittensor(&json!({}))).unwrap();
        assert_eq!((read.genesis, read.timelock), ([0xab; 32], true));
        assert_eq!(
            (read.runtimes, read.secret.as_str()),
            (vec![(365, 1)], "zkinfer-hotkey")
        );
        for (change, words) in [
            (
                json!({ "endpoint": "https://chain.example" }),
                "endpoint: must be ws://",
            ),
            (json!({ "endpoint": "wss://" }), "endpoint"),
            (
                json!({ "endpoint": "wss://me:secret@chain.example" }),
                "endpoint: must not have a user",
            ),
            (json!({ "genesis": "0x12" }), "genesis: must be 0x and 64"),
            (
                json!({ "allowedSpecVersions": [] }),
                "allowedSpecVersions: must have at least 1",
            ),
        ] {
            let error = read_chain(&bittensor(&change)).unwrap_err();
            assert!(error.contains(words) && !error.contains("secret"), "{error}");
        }
    }

    #[cfg(not(feature = "bittensor"))]
    #[test]
    fn a_build_without_a_chain_says_so() {
        let spec = with(&json!({
            "uids": { "chain": {} }, "publisher": { "bittensor": bittensor(&json!({})) },
        }));
        assert_eq!(Declared::read(&spec).unwrap_err(), NOT_BUILT);
    }
}
