//! Which miner a pool is: the one whose key has signed for it, or nobody but the pool itself.
//!
//! Invariants: a stated identity counts only with a signature of its key over this pool of this cluster, so receipts name
//! a miner only where the miner has agreed; a derived identity is a hash for which nobody has a key, so no other pool can
//! prove it.

use ed25519_dalek::{Signature, VerifyingKey};
use kube::ResourceExt;
use sha2::{Digest as _, Sha256};
use zkinfer_crds::Identity;
use zkinfer_crds::k8s::miner_pool::MinerPoolSpec;
use zkinfer_crds::k8s::{MinerPool, possession_message};

/// What is known of a pool's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Possession {
    /// The spec states no identity.
    Derived,
    /// The stated identity's key has signed for this pool.
    Proven,
    /// There is no signature yet.
    Missing,
    /// The signature is not one of this key over this pool.
    Wrong,
}

/// The identity of a pool that states none: it names the pool, and nobody holds a key for it.
#[must_use]
pub fn derived_identity(uid: &str) -> Identity {
    let mut hash = Sha256::new();
    hash.update(b"zkinfer/derived-identity/v1");
    hash.update(uid.as_bytes());
    Identity::new(hash.finalize().into())
}

/// Checks the signature in a pool's spec.
#[must_use]
pub fn possession(spec: &MinerPoolSpec, namespace: &str, name: &str, uid: &str) -> Possession {
    match (&spec.identity, &spec.possession) {
        (None, _) => Possession::Derived,
        (Some(_), None) => Possession::Missing,
        (Some(identity), Some(signature)) => {
            if signed(identity, signature, &possession_message(namespace, name, uid)) {
                Possession::Proven
            } else {
                Possession::Wrong
            }
        }
    }
}

fn signed(identity: &Identity, signature: &str, message: &[u8]) -> bool {
    let mut bytes = [0; 64];
    let Ok(()) = hex::decode_to_slice(signature, &mut bytes) else {
        return false;
    };
    let Ok(key) = VerifyingKey::from_bytes(identity.as_bytes()) else {
        return false;
    };
    // Strict: keys of small order, for which anybody can make signatures, are nobody's.
    key.verify_strict(message, &Signature::from_bytes(&bytes)).is_ok()
}

/// The miner that a pool's proofs are bound to: the stated identity once it is proven, else the derived one.
#[must_use]
pub fn identity(spec: &MinerPoolSpec, namespace: &str, name: &str, uid: &str) -> Identity {
    let proven = possession(spec, namespace, name, uid) == Possession::Proven;
    let stated = spec.identity.filter(|_| proven);
    stated.unwrap_or_else(|| derived_identity(uid))
}

/// [`identity`] of an object.
#[must_use]
pub fn identity_of(pool: &MinerPool) -> Identity {
    let (namespace, uid) = (
        pool.namespace().unwrap_or_default(),
        pool.uid().unwrap_or_default(),
    );
    identity(&pool.spec, &namespace, &pool.name_any(), &uid)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;

    const UID: &str = "6f9619ff-8b86-d011-b42d-00c04fc964ff";

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn spec(identity: Option<Identity>, possession: Option<String>) -> MinerPoolSpec {
        let mut spec: MinerPoolSpec = serde_json::from_value(serde_json::json!({ "image": "x" })).unwrap();
        (spec.identity, spec.possession) = (identity, possession);
        spec
    }

    fn own() -> Identity {
        Identity::new(key().verifying_key().to_bytes())
    }

    fn sign(message: &[u8]) -> Option<String> {
        Some(hex::encode(key().sign(message).to_bytes()))
    }

    #[test]
    fn a_signature_over_this_pool_proves_its_identity_and_no_other() {
        let message = possession_message("miners", "alpha", UID);
        let proven = spec(Some(own()), sign(&message));
        assert_eq!(possession(&proven, "miners", "alpha", UID), Possession::Proven);
        assert_eq!(identity(&proven, "miners", "alpha", UID), own());
        let other = UID.replace('6', "7");
        for (namespace, name, uid) in [
            ("other", "alpha", UID),
            ("miners", "beta", UID),
            ("miners", "alpha", other.as_str()),
        ] {
            let found = possession(&proven, namespace, name, uid);
            assert_eq!(found, Possession::Wrong, "{namespace} {name} {uid}");
            assert_eq!(identity(&proven, namespace, name, uid), derived_identity(uid));
        }
        let bare = spec(Some(own()), sign(b"miners alpha"));
        assert_eq!(possession(&bare, "miners", "alpha", UID), Possession::Wrong);
    }

    #[test]
    fn a_stated_identity_without_a_signature_is_not_in_use() {
        let squatter = spec(Some(own()), None);
        assert_eq!(possession(&squatter, "miners", "alpha", UID), Possession::Missing);
        assert_eq!(identity(&squatter, "miners", "alpha", UID), derived_identity(UID));
        assert_eq!(
            possession(&spec(None, None), "miners", "alpha", UID),
            Possession::Derived
        );
    }

    #[test]
    fn another_pools_derived_identity_is_nobodys_to_prove() {
        let message = possession_message("miners", "alpha", UID);
        let victim = derived_identity("another uid");
        let claimed = spec(Some(victim), sign(&message));
        assert_eq!(possession(&claimed, "miners", "alpha", UID), Possession::Wrong);
        assert_ne!(identity(&claimed, "miners", "alpha", UID), victim);
    }

    #[test]
    fn keys_of_small_order_prove_nothing() {
        // The neutral element signs everything for whoever does not look: R = A, s = 0.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let signature = format!("01{}", "00".repeat(63));
        let claimed = spec(Some(Identity::new(neutral)), Some(signature));
        assert_eq!(possession(&claimed, "miners", "alpha", UID), Possession::Wrong);
        for garbage in ["zz".repeat(64), "ff".repeat(64), String::new()] {
            let claimed = spec(Some(own()), Some(garbage));
            assert_eq!(possession(&claimed, "miners", "alpha", UID), Possession::Wrong);
        }
    }
}
