//! `weights make`: a ledger's scores, with everybody in their place, as a signed weights file.
//! `weights bind`: a pool's identity and a hotkey, bound to each other.
//! `weights rotate`: a miner's score, handed over to a new key.
//!
//! Invariant: what is declared is verified before anything is made of it; a key is read from its file and never shown.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ed25519_dalek::SigningKey;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use zkinfer_crds::{Digest, Identity};
use zkinfer_weights::assign::Registry;
use zkinfer_weights::binding::{Binding, Bound, Pool};
use zkinfer_weights::file::{Subnet, WeightsFile};
use zkinfer_weights::hotkey::{Hotkey, HotkeyPair};
use zkinfer_weights::rotation::{Rotation, Rotations};
use zkinfer_weights::vector::OwnerShare;

use super::super::ledger::{Checked, read as read_ledger, scores};
use crate::args::{Format, WeightsBindArgs, WeightsMakeArgs, WeightsRotateArgs};
use crate::exit::{Exit, UsageError, say};
use crate::files;

/// A subnet, and who is who in it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Declared {
    network: String,
    netuid: u16,
    version_key: u64,
    owner: Option<Owner>,
    /// The uid of each hotkey.
    uids: BTreeMap<Hotkey, u16>,
    #[serde(default)]
    bindings: Vec<Binding>,
    #[serde(default)]
    rotations: Vec<Rotation>,
    #[serde(default)]
    revoked: BTreeSet<Identity>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Owner {
    uid: u16,
    share_millionths: u32,
}

impl Declared {
    fn registry(&self) -> Result<Registry, String> {
        let said = |error: &dyn std::fmt::Display| error.to_string();
        let mut bound: Vec<Bound> = Vec::new();
        for binding in &self.bindings {
            // Of which pool and identity it is, says it itself: what counts here is that both keys have signed it.
            let (mut pool, identity) = (binding.statement.pool.clone(), binding.statement.identity);
            pool.network.clone_from(&self.network);
            let verified = binding.clone().verify(&pool, &identity);
            bound.push(verified.map_err(|e| said(&e))?);
        }
        // Whoever declares it by hand is told, rather than some miner left out.
        let (rotations, told) = Rotations::of(&self.network, &self.rotations, &self.revoked);
        if let Some(error) = told.first() {
            return Err(said(error));
        }
        let (registry, told) = Registry::new(&bound, self.uids.clone(), rotations, self.revoked.clone());
        told.first().map_or(Ok(registry), |error| Err(said(error)))
    }

    fn subnet(&self) -> Subnet {
        Subnet {
            network: self.network.clone(),
            netuid: self.netuid,
            version_key: self.version_key,
            owner: self.owner.as_ref().map(|owner| OwnerShare {
                uid: owner.uid,
                millionths: owner.share_millionths,
            }),
        }
    }
}

fn parsed<T: DeserializeOwned>(path: &Path) -> Result<T, UsageError> {
    let bytes = files::read(path)?;
    serde_json::from_slice(&bytes).map_err(|e| UsageError::new(format!("{}: {e}", path.display())))
}

/// A key as `operator identity new` and the operator's state folder have them.
fn key(path: &Path) -> Result<SigningKey, UsageError> {
    let bytes = files::read(path)?;
    let mut seed = [0; 32];
    let digits = std::str::from_utf8(&bytes).map(str::trim).unwrap_or_default();
    hex::decode_to_slice(digits, &mut seed)
        .map_err(|_| UsageError::new(format!("{}: not 32 bytes of hexadecimal", path.display())))?;
    Ok(SigningKey::from_bytes(&seed))
}

pub(super) fn make(args: &WeightsMakeArgs, format: Format) -> Result<Exit, UsageError> {
    let bad = |error: &dyn std::fmt::Display| {
        say(error, format);
        Ok(Exit::Bad)
    };
    let Checked { ledger, head } = match read_ledger(&args.ledger)? {
        Ok(checked) => checked,
        Err((path, error)) => return bad(&format!("{}: {error}", path.display())),
    };
    let Some(head) = head else {
        return Err(UsageError::new(
            "the ledger has no signed head, so that nobody knows whether it is whole: give --head FILE",
        ));
    };
    let declared: Declared = parsed(&args.subnet)?;
    let registry = match declared.registry() {
        Ok(registry) => registry,
        Err(error) => return bad(&format!("{}: {error}", args.subnet.display())),
    };
    let scores = match scores(&ledger, &args.rule) {
        Ok(scores) => scores,
        Err(error) => return bad(&format!("the ledger's rule: {error}")),
    };
    let file = WeightsFile::of(&scores, &registry, &head, declared.subnet());
    let bytes = match file.sign(&key(&args.key)?) {
        Ok(bytes) => bytes,
        Err(error) => return bad(&error),
    };
    files::write(&args.out, &bytes)?;
    let digest = Digest::of(&bytes);
    match format {
        Format::Json => println!("{}", json!({ "file": args.out, "digest": digest })),
        Format::Text => println!("{} is {digest}", args.out.display()),
    }
    Ok(Exit::Done)
}

pub(super) fn bind(args: &WeightsBindArgs, format: Format) -> Result<Exit, UsageError> {
    let seed = files::read(&args.hotkey_seed)?;
    let hotkey = HotkeyPair::from_text(&String::from_utf8_lossy(&seed))
        .map_err(|e| UsageError::new(format!("{}: {e}", args.hotkey_seed.display())))?;
    let pool = Pool {
        network: args.network.clone(),
        namespace: args.namespace.clone(),
        pool: args.pool.clone(),
        uid: args.uid.clone(),
    };
    let binding = match Binding::sign(pool, &hotkey, &key(&args.identity_key)?) {
        Ok(binding) => binding,
        Err(error) => {
            say(&error, format);
            return Ok(Exit::Bad);
        }
    };
    let printed = match args.patch {
        true => json!({ "spec": {
            "hotkey": binding.statement.hotkey,
            "hotkeyBinding": {
                "hotkeySignature": hex::encode(binding.hotkey_signature),
                "identitySignature": hex::encode(binding.identity_signature),
            },
        } }),
        false => json!(binding),
    };
    print(&printed, args.patch);
    Ok(Exit::Done)
}

pub(super) fn rotate(args: &WeightsRotateArgs, format: Format) -> Result<Exit, UsageError> {
    let signed = Rotation::sign(&args.network, &key(&args.from_key)?, &key(&args.to_key)?);
    let rotation = match signed {
        Ok(rotation) => rotation,
        Err(error) => {
            say(&error, format);
            return Ok(Exit::Bad);
        }
    };
    // A key that hands over to itself would be a ring, which counts for nobody.
    if rotation.from == rotation.to {
        say(
            &format!("both keys are {}: a key hands over to another", rotation.to),
            format,
        );
        return Ok(Exit::Bad);
    }
    let printed = match args.patch {
        true => json!({ "spec": { "keyRotations": [{
            "from": rotation.from,
            "to": rotation.to,
            "fromSignature": hex::encode(rotation.from_signature),
            "toSignature": hex::encode(rotation.to_signature),
        }] } }),
        false => json!(rotation),
    };
    print(&printed, args.patch);
    Ok(Exit::Done)
}

/// A patch is for a program's argument, in one line.
fn print(value: &serde_json::Value, line: bool) {
    match line {
        true => println!("{value}"),
        false => println!("{value:#}"),
    }
}
