//! Who is who, by what the pools state of hotkeys and keys, verified.
//!
//! Invariants: nothing that a pool states counts without the signatures of the keys that it names; what one pool states wrongly costs
//! that pool alone. A revoked hotkey takes the identities that are bound to it along, whatever else they are bound to: who holds the
//! one may hold the other.

use std::collections::{BTreeMap, BTreeSet};

use zkinfer_crds::Identity;
use zkinfer_crds::k8s::miner_pool::{HotkeyBinding, MinerPoolSpec};
use zkinfer_weights::assign::Registry;
use zkinfer_weights::binding::{Binding, Bound, Pool, Statement};
use zkinfer_weights::hotkey::Hotkey;
use zkinfer_weights::rotation::{Rotation, Rotations};

use super::declared::Revoked;

/// What a pool states of its hotkey.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Hotkeyed {
    /// Nothing.
    #[default]
    None,
    /// A hotkey, and no binding yet.
    Missing,
    /// Something that does not hold, and why.
    Wrong(String),
    /// Both keys have signed.
    Bound(Bound),
}

/// Verifies what a pool states of its hotkey.
#[must_use]
pub fn hotkeyed(pool: &Pool, spec: &MinerPoolSpec) -> Hotkeyed {
    let Some(address) = &spec.hotkey else {
        return Hotkeyed::None;
    };
    let hotkey = match address.parse::<Hotkey>() {
        Ok(hotkey) => hotkey,
        Err(why) => return Hotkeyed::Wrong(format!("spec.hotkey: {why}")),
    };
    let Some(identity) = spec.identity else {
        return Hotkeyed::Wrong("spec.hotkey needs spec.identity, whose key signs the binding".to_owned());
    };
    let Some(signatures) = &spec.hotkey_binding else {
        return Hotkeyed::Missing;
    };
    let Some(binding) = binding(pool, hotkey, identity, signatures) else {
        return Hotkeyed::Wrong("spec.hotkeyBinding: a signature has 128 hexadecimal digits".to_owned());
    };
    match binding.verify(pool, &identity) {
        Ok(bound) => Hotkeyed::Bound(bound),
        Err(why) => Hotkeyed::Wrong(format!("spec.hotkeyBinding: {why}")),
    }
}

fn binding(pool: &Pool, hotkey: Hotkey, identity: Identity, signatures: &HotkeyBinding) -> Option<Binding> {
    Some(Binding {
        statement: Statement {
            pool: pool.clone(),
            hotkey,
            identity,
        },
        hotkey_signature: signature(&signatures.hotkey_signature)?,
        identity_signature: signature(&signatures.identity_signature)?,
    })
}

fn signature(digits: &str) -> Option<[u8; 64]> {
    let mut bytes = [0; 64];
    hex::decode_to_slice(digits, &mut bytes).ok().map(|()| bytes)
}

/// All that pools state, verified.
#[derive(Debug, Clone, Default)]
pub struct Known {
    bound: Vec<Bound>,
    rotations: Rotations,
    revoked: BTreeSet<Identity>,
    /// What does not hold, in sentences.
    pub told: Vec<String>,
}

/// Verifies what all pools of a network state.
#[must_use]
pub fn known<'a>(
    network: &str,
    pools: impl Iterator<Item = (Pool, &'a MinerPoolSpec)>,
    revoked: &Revoked,
) -> Known {
    let mut known = Known {
        revoked: revoked.identities.clone(),
        ..Known::default()
    };
    let mut rotations = Vec::new();
    for (pool, spec) in pools {
        match hotkeyed(&pool, spec) {
            Hotkeyed::Bound(bound) => {
                if revoked.hotkeys.contains(&bound.hotkey()) {
                    known.revoked.insert(bound.identity());
                }
                known.bound.push(bound);
            }
            Hotkeyed::Wrong(why) => known
                .told
                .push(format!("pool {}/{}: {why}", pool.namespace, pool.pool)),
            Hotkeyed::None | Hotkeyed::Missing => {}
        }
        for stated in &spec.key_rotations {
            let signatures = (signature(&stated.from_signature), signature(&stated.to_signature));
            let (Some(from_signature), Some(to_signature)) = signatures else {
                known.told.push(format!(
                    "pool {}/{}: spec.keyRotations: a signature has 128 hexadecimal digits",
                    pool.namespace, pool.pool
                ));
                continue;
            };
            rotations.push(Rotation {
                network: network.to_owned(),
                from: stated.from,
                to: stated.to,
                from_signature,
                to_signature,
            });
        }
    }
    let (holds, told) = Rotations::of(network, &rotations, &known.revoked);
    known.rotations = holds;
    known.told.extend(told.iter().map(ToString::to_string));
    known
}

impl Known {
    /// The hotkeys that are bound to somebody, each once: whose uids have to be known.
    #[must_use]
    pub fn hotkeys(&self) -> Vec<Hotkey> {
        let all: BTreeSet<Hotkey> = self.bound.iter().map(Bound::hotkey).collect();
        all.into_iter().collect()
    }

    /// Where everybody's weight goes, with these uids; and what cannot be so.
    #[must_use]
    pub fn registry(self, uids: BTreeMap<Hotkey, u16>) -> (Registry, Vec<String>) {
        let (registry, told) = Registry::new(&self.bound, uids, self.rotations, self.revoked);
        let told = self.told.into_iter().chain(told.iter().map(ToString::to_string));
        (registry, told.collect())
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use serde_json::{Value, json};
    use zkinfer_weights::assign::Place;
    use zkinfer_weights::hotkey::HotkeyPair;

    use super::*;

    fn key(n: u8) -> SigningKey {
        SigningKey::from_bytes(&[n; 32])
    }

    fn identity(n: u8) -> Identity {
        Identity::new(key(n).verifying_key().to_bytes())
    }

    fn hotkey(n: u8) -> HotkeyPair {
        HotkeyPair::from_seed(&[n; 32]).unwrap()
    }

    fn pool(name: &str) -> Pool {
        Pool {
            network: "mainnet".to_owned(),
            namespace: "miner-alpha".to_owned(),
            pool: name.to_owned(),
            uid: format!("uid-of-{name}"),
        }
    }

    /// A pool of miner `n`, bound to hotkey `m`.
    fn spec(name: &str, n: u8, m: u8) -> Value {
        let binding = Binding::sign(pool(name), &hotkey(m), &key(n)).unwrap();
        json!({
            "image": "x", "identity": identity(n), "hotkey": hotkey(m).hotkey().to_string(),
            "hotkeyBinding": {
                "hotkeySignature": hex::encode(binding.hotkey_signature),
                "identitySignature": hex::encode(binding.identity_signature),
            },
        })
    }

    fn rotation(from: u8, to: u8) -> Value {
        let signed = Rotation::sign("mainnet", &key(from), &key(to)).unwrap();
        json!({
            "from": signed.from, "to": signed.to, "fromSignature": hex::encode(signed.from_signature),
            "toSignature": hex::encode(signed.to_signature),
        })
    }

    fn read(value: &Value) -> MinerPoolSpec {
        serde_json::from_value(value.clone()).unwrap()
    }

    fn of(pools: &[(&str, Value)], revoked: &Revoked) -> Known {
        let specs: Vec<_> = pools
            .iter()
            .map(|(name, spec)| (pool(name), read(spec)))
            .collect();
        known(
            "mainnet",
            specs.iter().map(|(pool, spec)| (pool.clone(), spec)),
            revoked,
        )
    }

    fn uids(of: &[(u8, u16)]) -> BTreeMap<Hotkey, u16> {
        of.iter().map(|(n, uid)| (hotkey(*n).hotkey(), *uid)).collect()
    }

    #[test]
    fn a_pool_is_bound_by_both_signatures_over_itself_and_by_nothing_else() {
        let good = spec("fast", 1, 9);
        assert!(matches!(
            hotkeyed(&pool("fast"), &read(&good)),
            Hotkeyed::Bound(_)
        ));
        // The same under another name is another pool.
        assert!(matches!(
            hotkeyed(&pool("slow"), &read(&good)),
            Hotkeyed::Wrong(_)
        ));
        let with = |field: &str, value: Value| {
            let mut spec = good.clone();
            spec[field] = value;
            hotkeyed(&pool("fast"), &read(&spec))
        };
        assert!(
            matches!(with("identity", json!(identity(2))), Hotkeyed::Wrong(why) if why.contains("not one of"))
        );
        let other = hotkey(8).hotkey().to_string();
        assert!(matches!(with("hotkey", json!(other)), Hotkeyed::Wrong(_)));
        assert_eq!(with("hotkeyBinding", Value::Null), Hotkeyed::Missing);
        assert_eq!(with("hotkey", Value::Null), Hotkeyed::None);
        let mistyped =
            Hotkeyed::Wrong("spec.hotkeyBinding: a signature has 128 hexadecimal digits".to_owned());
        let short = json!({ "hotkeySignature": "00", "identitySignature": "00" });
        assert_eq!(with("hotkeyBinding", short), mistyped);
    }

    #[test]
    fn a_miner_with_a_new_key_goes_on_with_the_old_ones_score() {
        let mut spec = spec("fast", 2, 9);
        spec["keyRotations"] = json!([rotation(1, 2)]);
        let known = of(&[("fast", spec)], &Revoked::default());
        assert!(known.told.is_empty(), "{:?}", known.told);
        let (registry, told) = known.registry(uids(&[(9, 7)]));
        assert!(told.is_empty(), "{told:?}");
        let at_seven = Place::Uid {
            hotkey: hotkey(9).hotkey(),
            uid: 7,
        };
        assert_eq!(registry.place(&identity(1)), at_seven);
        assert_eq!(registry.place(&identity(2)), at_seven);
        assert_eq!(registry.place(&identity(3)), Place::NotBound);
    }

    #[test]
    fn a_rotation_that_the_old_key_has_not_signed_takes_nothing() {
        let mut stolen = rotation(1, 2);
        stolen["fromSignature"] = rotation(2, 2)["fromSignature"].clone();
        let mut spec = spec("fast", 2, 9);
        spec["keyRotations"] = json!([stolen]);
        let (registry, told) = of(&[("fast", spec)], &Revoked::default()).registry(uids(&[(9, 7)]));
        assert_eq!(registry.place(&identity(1)), Place::NotBound);
        assert!(told[0].contains("is not signed by"), "{told:?}");
    }

    #[test]
    fn a_revoked_hotkey_or_identity_has_no_weight_and_hands_over_nothing() {
        let mut spec_of = spec("fast", 2, 9);
        spec_of["keyRotations"] = json!([rotation(1, 2)]);
        let pools = [("fast", spec_of)];
        let hotkeys = Revoked {
            hotkeys: [hotkey(9).hotkey()].into(),
            ..Revoked::default()
        };
        let (registry, _) = of(&pools, &hotkeys).registry(uids(&[(9, 7)]));
        assert_eq!(registry.place(&identity(2)), Place::Revoked);
        assert_eq!(registry.place(&identity(1)), Place::Revoked);
        // The old key is stolen: nobody gets its score by it.
        let old = Revoked {
            identities: [identity(1)].into(),
            ..Revoked::default()
        };
        let (registry, _) = of(&pools, &old).registry(uids(&[(9, 7)]));
        assert_eq!(registry.place(&identity(1)), Place::Revoked);
        assert!(matches!(registry.place(&identity(2)), Place::Uid { uid: 7, .. }));
    }

    #[test]
    fn what_one_pool_states_wrongly_costs_no_other() {
        let mut wrong = spec("slow", 2, 8);
        wrong["hotkeyBinding"]["hotkeySignature"] = json!("00".repeat(64));
        let known = of(
            &[("fast", spec("fast", 1, 9)), ("slow", wrong)],
            &Revoked::default(),
        );
        assert_eq!(known.hotkeys(), [hotkey(9).hotkey()]);
        let (registry, told) = known.registry(uids(&[(9, 7)]));
        assert!(matches!(registry.place(&identity(1)), Place::Uid { uid: 7, .. }));
        assert_eq!(registry.place(&identity(2)), Place::NotBound);
        assert!(
            told.len() == 1 && told[0].starts_with("pool miner-alpha/slow: "),
            "{told:?}"
        );
    }
}
