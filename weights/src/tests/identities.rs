use std::collections::BTreeSet;

use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use zkinfer_crds::Identity;

use super::{array, bytes, ours, rows};
use crate::binding::{Binding, BindingError, Pool};
use crate::hotkey::{Hotkey, HotkeyError, HotkeyPair};
use crate::rotation::{Rotation, RotationError, Rotations};
use crate::ss58::{Prefix, Ss58Error, decode, encode};

fn hotkey(seed: u8) -> HotkeyPair {
    HotkeyPair::from_seed(&[seed; 32]).unwrap()
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn identity(seed: u8) -> Identity {
    Identity::new(key(seed).verifying_key().to_bytes())
}

fn pool() -> Pool {
    Pool {
        network: "mainnet".into(),
        namespace: "miner-alpha".into(),
        pool: "fast".into(),
        uid: "0b4f6c1e-30a4-4a1c-9b4e-7f3f5a1f2c11".into(),
    }
}

#[test]
fn addresses_are_the_sdks() {
    for row in rows("ss58") {
        let (key, text) = (array(&row["key"]), row["address"].as_str().unwrap());
        let prefix = Prefix::new(row["prefix"].as_u64().unwrap() as u16).unwrap();
        assert_eq!(encode(&key, prefix), text, "{row}");
        assert_eq!(decode(text, prefix), Ok(key), "{row}");
    }
}

#[test]
fn a_mistyped_address_is_refused() {
    let good = encode(&[7; 32], Prefix::SUBSTRATE);
    for at in 0..good.len() {
        let mut letters = good.clone().into_bytes();
        letters[at] = if letters[at] == b'2' { b'3' } else { b'2' };
        let text = String::from_utf8(letters).unwrap();
        assert!(decode(&text, Prefix::SUBSTRATE).is_err(), "{text}");
    }
    for text in [
        "",
        "1",
        "0OIl",
        &good[1..],
        &format!("1{good}"),
        &format!("{good}1"),
        &"z".repeat(51),
        "é",
    ] {
        assert!(
            matches!(
                decode(text, Prefix::SUBSTRATE),
                Err(Ss58Error::Form(_) | Ss58Error::Checksum(_))
            ),
            "{text}"
        );
    }
}

#[test]
fn an_address_of_another_network_is_told_by_its_prefix() {
    let text = encode(&[7; 32], Prefix::new(0).unwrap());
    let wrong = decode(&text, Prefix::SUBSTRATE).unwrap_err();
    assert!(
        wrong.to_string().contains("has prefix 0, and 42 is expected"),
        "{wrong}"
    );
    assert_eq!(Prefix::new(16384), Err(Ss58Error::Prefix(16384)));
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(key: [u8; 32], prefix in 0u16..16384) {
        let prefix = Prefix::new(prefix).unwrap();
        prop_assert_eq!(decode(&encode(&key, prefix), prefix), Ok(key));
    }

    #[test]
    fn no_text_is_a_panic(text in "\\PC{0,60}") {
        let _ = decode(&text, Prefix::SUBSTRATE);
    }
}

#[test]
fn a_seed_makes_the_sdks_pair() {
    for row in rows("keys") {
        let pair = HotkeyPair::from_seed(&array(&row["seed"])).unwrap();
        assert_eq!(pair.hotkey().as_bytes().to_vec(), bytes(&row["public"]));
        assert_eq!(pair.hotkey().to_string(), row["address"].as_str().unwrap());
        let text = format!("0x{}\n", row["seed"].as_str().unwrap());
        assert_eq!(HotkeyPair::from_text(&text).unwrap().hotkey(), pair.hotkey());
    }
    for wrong in [
        "",
        "0x",
        "0x12",
        &"09".repeat(32),
        &format!("0x{}", "0g".repeat(32)),
    ] {
        assert_eq!(HotkeyPair::from_text(wrong).err(), Some(HotkeyError::Seed));
    }
}

#[test]
fn a_signature_of_the_sdks_is_verified_and_of_nothing_else() {
    for row in rows("signatures") {
        let by: Hotkey = row["address"].as_str().unwrap().parse().unwrap();
        let (message, signature) = (bytes(&row["message"]), array::<64>(&row["signature"]));
        assert_eq!(by.verify(&message, &signature), Ok(()));
        assert_eq!(
            hotkey(1).hotkey().verify(&message, &signature),
            Err(HotkeyError::Signature(hotkey(1).hotkey()))
        );
        for at in 0..64 {
            let mut changed = signature;
            changed[at] ^= 1;
            assert!(by.verify(&message, &changed).is_err(), "byte {at}");
        }
        assert!(
            by.verify(&[message.as_slice(), b"."].concat(), &signature)
                .is_err()
        );
    }
}

/// `tests/weights/vectors.py --check` has the SDK verify what is written here.
#[test]
fn a_signature_of_ours_is_written_for_the_sdk() {
    let binding = Binding::sign(pool(), &hotkey(9), &key(1)).unwrap();
    let messages = [
        binding.statement.text().unwrap().into_bytes(),
        b"zkinfer".to_vec(),
        vec![7; 300],
    ];
    let rows = messages.map(|message| {
        serde_json::json!({
            "address": hotkey(9).hotkey(), "message": hex::encode(&message), "signature": hex::encode(hotkey(9).sign(&message)),
        })
    });
    ours("signatures", &rows.to_vec().into(), |held| {
        for row in held {
            let by: Hotkey = row["address"].as_str().unwrap().parse().unwrap();
            assert_eq!(
                by.verify(&bytes(&row["message"]), &array(&row["signature"])),
                Ok(())
            );
        }
    });
}

#[test]
fn a_key_for_which_anybody_can_sign_is_none() {
    assert!(matches!(Hotkey::new([0; 32]), Err(HotkeyError::Key(_))));
    assert!(matches!(Hotkey::new([255; 32]), Err(HotkeyError::Key(_))));
    let text = encode(&[0; 32], Prefix::SUBSTRATE);
    assert!(text.parse::<Hotkey>().is_err());
}

#[test]
fn a_secret_is_not_shown() {
    let pair = hotkey(9);
    assert_eq!(format!("{pair:?}"), format!("HotkeyPair({})", pair.hotkey()));
}

#[test]
fn a_binding_holds_with_both_signatures_for_its_own_pool() {
    let binding = Binding::sign(pool(), &hotkey(9), &key(1)).unwrap();
    let bound = binding.clone().verify(&pool(), &identity(1)).unwrap();
    assert_eq!(
        (bound.hotkey(), bound.identity()),
        (hotkey(9).hotkey(), identity(1))
    );
    assert_eq!(bound.pool(), &pool());

    let json = serde_json::to_string(&binding).unwrap();
    assert_eq!(serde_json::from_str::<Binding>(&json).unwrap(), binding);
}

#[test]
fn the_text_that_is_signed_is_pinned() {
    let binding = Binding::sign(pool(), &hotkey(9), &key(1)).unwrap();
    assert_eq!(
        binding.statement.text().unwrap(),
        format!(
            "zkinfer hotkey v1\nnetwork: mainnet\nnamespace: miner-alpha\npool: fast\n\
             uid: 0b4f6c1e-30a4-4a1c-9b4e-7f3f5a1f2c11\nhotkey: 5ETmuXSyBiDHwabzdAxmbyj1A25asAmNXm5gtzf7edxxQYaq\n\
             identity: {}\n",
            identity(1)
        )
    );
}

#[test]
fn a_wallet_that_puts_the_text_in_brackets_is_understood() {
    let mut binding = Binding::sign(pool(), &hotkey(9), &key(1)).unwrap();
    let text = binding.statement.text().unwrap();
    binding.hotkey_signature = hotkey(9).sign(format!("<Bytes>{text}</Bytes>").as_bytes());
    assert!(binding.verify(&pool(), &identity(1)).is_ok());
}

#[test]
fn a_binding_of_another_pool_network_or_identity_is_refused_by_name() {
    let binding = Binding::sign(pool(), &hotkey(9), &key(1)).unwrap();
    let others = [
        (
            "network",
            Pool {
                network: "testnet".into(),
                ..pool()
            },
        ),
        (
            "namespace",
            Pool {
                namespace: "miner-beta".into(),
                ..pool()
            },
        ),
        (
            "pool",
            Pool {
                pool: "slow".into(),
                ..pool()
            },
        ),
        (
            "uid",
            Pool {
                uid: "0".into(),
                ..pool()
            },
        ),
    ];
    for (named, other) in others {
        let wrong = binding.clone().verify(&other, &identity(1)).unwrap_err();
        assert!(
            matches!(wrong, BindingError::Other { field, .. } if field == named),
            "{wrong}"
        );
    }
    let wrong = binding.verify(&pool(), &identity(2)).unwrap_err();
    assert!(
        matches!(
            wrong,
            BindingError::Other {
                field: "identity",
                ..
            }
        ),
        "{wrong}"
    );
}

#[test]
fn neither_side_takes_the_other_for_itself() {
    // A miner that names somebody else's hotkey has no signature of it, and who has a hotkey none of the identity.
    let good = Binding::sign(pool(), &hotkey(9), &key(1)).unwrap();
    let mut stolen = good.clone();
    stolen.statement.hotkey = hotkey(10).hotkey();
    assert!(matches!(
        stolen.verify(&pool(), &identity(1)),
        Err(BindingError::Hotkey { .. })
    ));
    let mut stolen = good.clone();
    stolen.identity_signature = Binding::sign(pool(), &hotkey(9), &key(2))
        .unwrap()
        .identity_signature;
    assert!(matches!(
        stolen.verify(&pool(), &identity(1)),
        Err(BindingError::Identity { .. })
    ));
    let mut changed = good;
    changed.statement.pool.uid = "1".into();
    let other = changed.statement.pool.clone();
    assert!(changed.verify(&other, &identity(1)).is_err());
}

#[test]
fn a_field_that_would_be_another_line_is_refused() {
    for name in ["", "a b", "a\nidentity: ed25519:00", "ä", &"a".repeat(254)] {
        let pool = Pool {
            pool: name.into(),
            ..pool()
        };
        let wrong = Binding::sign(pool, &hotkey(9), &key(1)).unwrap_err();
        assert!(
            matches!(wrong, BindingError::Field { field: "pool", .. }),
            "{wrong}"
        );
    }
}

fn rotation(from: u8, to: u8) -> Rotation {
    Rotation::sign("mainnet", &key(from), &key(to)).unwrap()
}

/// All of them, or the first that does not count.
fn all(rotations: &[Rotation]) -> Result<Rotations, RotationError> {
    let (all, told) = Rotations::of("mainnet", rotations, &BTreeSet::new());
    told.into_iter().next().map_or(Ok(all), Err)
}

#[test]
fn a_key_goes_on_as_its_newest() {
    let rotations = all(&[rotation(2, 3), rotation(1, 2), rotation(1, 2)]).unwrap();
    for old in [1, 2, 3] {
        assert_eq!(rotations.newest(&identity(old)), identity(3));
    }
    assert_eq!(rotations.newest(&identity(4)), identity(4));
}

#[test]
fn a_rotation_wants_the_old_key_and_the_new_one() {
    let mut without_old = rotation(1, 2);
    without_old.from_signature = rotation(3, 2).from_signature;
    let by = identity(1);
    assert!(matches!(all(&[without_old]), Err(RotationError::Signature { by: got, .. }) if got == by));
    let mut without_new = rotation(1, 2);
    without_new.to = identity(3);
    assert!(all(&[without_new]).is_err());
    let mut without_new = rotation(1, 2);
    without_new.to_signature = without_new.from_signature;
    let by = identity(2);
    assert!(matches!(all(&[without_new]), Err(RotationError::Signature { by: got, .. }) if got == by));
}

#[test]
fn a_key_hands_over_once_and_never_back() {
    assert!(matches!(
        all(&[rotation(1, 2), rotation(1, 3)]),
        Err(RotationError::Fork { .. })
    ));
    assert!(matches!(
        all(&[rotation(1, 2), rotation(2, 3), rotation(3, 1)]),
        Err(RotationError::Ring(_))
    ));
    assert!(matches!(all(&[rotation(1, 1)]), Err(RotationError::Ring(_))));
}

#[test]
fn a_rotation_of_another_network_is_refused() {
    let other = Rotation::sign("testnet", &key(1), &key(2)).unwrap();
    assert!(matches!(all(&[other]), Err(RotationError::Network { .. })));
}

#[test]
fn a_revoked_key_hands_over_nothing() {
    let revoked = BTreeSet::from([identity(2)]);
    let (rotations, told) = Rotations::of("mainnet", &[rotation(1, 2), rotation(2, 3)], &revoked);
    assert_eq!(told, []);
    assert_eq!(rotations.newest(&identity(1)), identity(2));
    assert_eq!(rotations.newest(&identity(2)), identity(2));
}

#[test]
fn statements_that_do_not_hold_cost_nobody_else() {
    let mut unsigned = rotation(30, 31);
    unsigned.from_signature = [0; 64];
    let of = [
        rotation(1, 2),
        rotation(10, 11),
        rotation(10, 12),
        rotation(20, 21),
        rotation(21, 20),
        rotation(22, 20),
        unsigned,
    ];
    let (rotations, told) = Rotations::of("mainnet", &of, &BTreeSet::new());
    // The unsigned one, the two of one key as one, and the three that end in a ring.
    assert_eq!(told.len(), 5, "{told:?}");
    assert_eq!(rotations.newest(&identity(1)), identity(2));
    for alone in [10, 20, 21, 22, 30] {
        assert_eq!(rotations.newest(&identity(alone)), identity(alone));
    }
}
