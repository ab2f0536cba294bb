//! Whether a pool's miner gets weights, and what is missing.
//!
//! Invariant: whoever gets none is told why, and what to do: nobody has to ask the operator's log.

use zkinfer_crds::k8s::Truth;
use zkinfer_crds::k8s::miner_pool::{condition, reason};
use zkinfer_weights::assign::Place;
use zkinfer_weights::hotkey::Hotkey;

use crate::weights::Hotkeyed;

/// What is known of it.
#[derive(Debug, Clone, Default)]
pub struct Weighted {
    /// The network that a binding names.
    pub network: String,
    /// Whether the Validator publishes weights.
    pub published: bool,
    /// What the pool states of its hotkey.
    pub hotkey: Hotkeyed,
    /// Another pool of the same identity, as `namespace/name`, and the other hotkey that it is bound to.
    pub other: Option<(String, Hotkey)>,
    /// Where the identity's weight went when weights were made last.
    pub place: Option<Place>,
}

/// What is to become of a condition.
#[derive(Debug, PartialEq)]
pub(super) enum Becomes {
    /// It has this truth, reason and message.
    Said(Truth, &'static str, String),
    /// It is not there.
    Gone,
    /// It stays as it is.
    Stays,
}

/// Both conditions, of the pool of this namespace, name and uid.
pub(super) fn told(of: &Weighted, pool: (&str, &str, &str)) -> [(&'static str, Becomes); 2] {
    let said = |told: Option<(Truth, &'static str, String)>| match told {
        Some((truth, reason, message)) => Becomes::Said(truth, reason, message),
        None => Becomes::Gone,
    };
    let registered = match (&of.hotkey, of.place) {
        (Hotkeyed::Bound(_), _) if !of.published || of.other.is_some() => Becomes::Gone,
        // The operator has started again, and no weights were due yet.
        (Hotkeyed::Bound(_), None) => Becomes::Stays,
        (Hotkeyed::Bound(own), Some(place)) => said(registered(own.hotkey(), place)),
        _ => Becomes::Gone,
    };
    [
        (condition::HOTKEY_BOUND, said(bound(of, pool))),
        (condition::HOTKEY_REGISTERED, registered),
    ]
}

fn bound(of: &Weighted, (namespace, name, uid): (&str, &str, &str)) -> Option<(Truth, &'static str, String)> {
    let no = |why, message| Some((Truth::False, why, message));
    let remedy = || {
        format!(
            "`prover-worker weights bind --network {} --namespace {namespace} --pool {name} --uid {uid} --identity-key FILE \
             --hotkey-seed FILE --patch`",
            of.network
        )
    };
    match (&of.hotkey, &of.other) {
        (Hotkeyed::None, _) if !of.published => None,
        (Hotkeyed::None, _) => no(
            reason::NO_HOTKEY,
            format!(
                "spec.hotkey is not there: the miner has no weight. Patch the pool with what {} prints",
                remedy()
            ),
        ),
        (Hotkeyed::Missing, _) => no(
            reason::BINDING_MISSING,
            format!(
                "spec.hotkeyBinding is not there yet: patch the pool with what {} prints",
                remedy()
            ),
        ),
        (Hotkeyed::Wrong(why), _) => no(
            reason::BINDING_WRONG,
            format!("{why}: patch the pool with what {} prints", remedy()),
        ),
        (Hotkeyed::Bound(own), Some((pool, other))) => no(
            reason::TWO_HOTKEYS,
            format!(
                "{} is bound to {} here and to {other} by pool {pool}: a miner has one hotkey, and none has a weight until one of \
                 them is changed",
                own.identity(),
                own.hotkey()
            ),
        ),
        (Hotkeyed::Bound(own), None) => Some((
            Truth::True,
            reason::HOTKEY_BOUND,
            format!("{} and {} have both signed", own.hotkey(), own.identity()),
        )),
    }
}

fn registered(own: Hotkey, place: Place) -> Option<(Truth, &'static str, String)> {
    let no = |why, message| Some((Truth::False, why, message));
    match place {
        // It was bound later than weights were made, or to another hotkey.
        Place::NotBound => None,
        Place::Uid { hotkey, .. } | Place::NotRegistered(hotkey) if hotkey != own => None,
        Place::Uid { hotkey, uid } => Some((
            Truth::True,
            reason::REGISTERED,
            format!("{hotkey} has uid {uid}: the miner's weight goes there"),
        )),
        Place::NotRegistered(hotkey) => no(
            reason::NOT_REGISTERED,
            format!("{hotkey} has no uid in the subnet: the miner has no weight until it is registered"),
        ),
        Place::Revoked => no(
            reason::REVOKED,
            "the Validator has revoked the miner's hotkey or identity: it has no weight".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use serde_json::json;
    use zkinfer_crds::Identity;
    use zkinfer_weights::binding::{Binding, Pool};
    use zkinfer_weights::hotkey::HotkeyPair;

    use super::*;
    use crate::weights::hotkeyed;

    const POOL: (&str, &str, &str) = ("miners", "alpha", "0b4f");

    fn bound_pool() -> Hotkeyed {
        let pool = Pool {
            network: "mainnet".to_owned(),
            namespace: POOL.0.to_owned(),
            pool: POOL.1.to_owned(),
            uid: POOL.2.to_owned(),
        };
        let key = SigningKey::from_bytes(&[1; 32]);
        let hotkey = HotkeyPair::from_seed(&[9; 32]).unwrap();
        let binding = Binding::sign(pool.clone(), &hotkey, &key).unwrap();
        let spec = json!({
            "image": "x", "identity": Identity::new(key.verifying_key().to_bytes()),
            "hotkey": hotkey.hotkey().to_string(),
            "hotkeyBinding": {
                "hotkeySignature": hex::encode(binding.hotkey_signature),
                "identitySignature": hex::encode(binding.identity_signature),
            },
        });
        hotkeyed(&pool, &serde_json::from_value(spec).unwrap())
    }

    fn words(of: &Weighted) -> [Option<(Truth, &'static str)>; 2] {
        told(of, POOL).map(|(_, becomes)| match becomes {
            Becomes::Said(truth, why, _) => Some((truth, why)),
            Becomes::Gone | Becomes::Stays => None,
        })
    }

    #[test]
    fn who_has_no_hotkey_is_told_only_where_weights_are_published() {
        let silent = Weighted::default();
        assert_eq!(words(&silent), [None, None]);
        let published = Weighted {
            network: "mainnet".to_owned(),
            published: true,
            ..Weighted::default()
        };
        assert_eq!(words(&published), [Some((Truth::False, "NoHotkey")), None]);
        let [(_, Becomes::Said(_, _, message)), _] = told(&published, POOL) else {
            panic!("nothing is told");
        };
        assert!(
            message.contains("--network mainnet --namespace miners --pool alpha --uid 0b4f"),
            "{message}"
        );
    }

    #[test]
    fn what_is_wrong_with_a_binding_is_said_in_its_own_words() {
        let missing = Weighted {
            hotkey: Hotkeyed::Missing,
            ..Weighted::default()
        };
        assert_eq!(words(&missing), [Some((Truth::False, "BindingMissing")), None]);
        let wrong = Weighted {
            hotkey: Hotkeyed::Wrong("it was mistyped".to_owned()),
            ..Weighted::default()
        };
        assert_eq!(words(&wrong), [Some((Truth::False, "BindingWrong")), None]);
        let two = Weighted {
            hotkey: bound_pool(),
            other: Some((
                "miners/beta".to_owned(),
                HotkeyPair::from_seed(&[8; 32]).unwrap().hotkey(),
            )),
            ..Weighted::default()
        };
        assert_eq!(words(&two), [Some((Truth::False, "TwoHotkeys")), None]);
    }

    #[test]
    fn who_is_bound_is_told_whether_its_weight_goes_anywhere() {
        let hotkey = HotkeyPair::from_seed(&[9; 32]).unwrap().hotkey();
        let with = |place| Weighted {
            published: true,
            hotkey: bound_pool(),
            place,
            ..Weighted::default()
        };
        let bound = Some((Truth::True, "HotkeyBound"));
        assert_eq!(words(&with(None)), [bound, None]);
        for (place, word) in [
            (Place::Uid { hotkey, uid: 7 }, Some((Truth::True, "Registered"))),
            (
                Place::NotRegistered(hotkey),
                Some((Truth::False, "NotRegistered")),
            ),
            (Place::Revoked, Some((Truth::False, "Revoked"))),
            (Place::NotBound, None),
        ] {
            assert_eq!(words(&with(Some(place))), [bound, word], "{place:?}");
        }
        let elsewhere = HotkeyPair::from_seed(&[8; 32]).unwrap().hotkey();
        assert_eq!(words(&with(Some(Place::NotRegistered(elsewhere)))), [bound, None]);
        assert_eq!(told(&with(None), POOL)[1].1, Becomes::Stays);
        assert_eq!(told(&with(Some(Place::NotBound)), POOL)[1].1, Becomes::Gone);
        let unpublished = Weighted {
            published: false,
            ..with(Some(Place::Revoked))
        };
        assert_eq!(words(&unpublished), [bound, None]);
    }
}
