use serde_json::Value;

use super::{array, bytes, made, rows};
use crate::call::{Call, CommitTooLong, commit_payload};
use crate::extrinsic::{EXTENSIONS, Era, Runtime, Terms};
use crate::hotkey::{Hotkey, HotkeyPair};
use crate::vector::Vector;

/// The vector that has exactly these values, the greatest of which is 65535.
fn exactly(uids: &Value, values: &Value) -> Option<Vector> {
    let numbers = |of: &Value| -> Vec<u64> {
        of.as_array()
            .unwrap()
            .iter()
            .map(|n| n.as_u64().unwrap())
            .collect()
    };
    let weights = numbers(uids)
        .into_iter()
        .map(|uid| uid as u16)
        .zip(numbers(values).into_iter().map(u128::from));
    Vector::of(&weights.collect(), None).ok()
}

#[test]
fn calls_are_the_sdks_byte_for_byte() {
    let mut compared = 0;
    for row in rows("calls") {
        let netuid = row["netuid"].as_u64().unwrap() as u16;
        let call = match row["function"].as_str().unwrap() {
            "set_weights" => match exactly(&row["dests"], &row["weights"]) {
                Some(vector) => Call::set_weights(netuid, &vector, row["version_key"].as_u64().unwrap()),
                // The empty one is nothing to set.
                None => continue,
            },
            "commit_timelocked_weights" => Call::commit_timelocked_weights(
                netuid,
                &bytes(&row["commit"]),
                row["reveal_round"].as_u64().unwrap(),
            )
            .unwrap(),
            // Those of subnets with several mechanisms, which nothing here publishes to.
            _ => continue,
        };
        assert_eq!(hex::encode(call.as_bytes()), row["call"].as_str().unwrap());
        compared += 1;
    }
    assert_eq!(compared, 8);
}

#[test]
fn a_commit_that_the_chain_would_not_take_is_refused() {
    assert_eq!(
        Call::commit_timelocked_weights(2, &[0; 5001], 1),
        Err(CommitTooLong(5001))
    );
}

#[test]
fn what_a_commit_holds_is_the_sdks_byte_for_byte() {
    let made = &made()["timelock"];
    let hotkey = Hotkey::new(array(&made["hotkey"]));
    // The SDK takes any bytes; ours are of a key.
    let vector = exactly(&made["uids"], &made["weights"]).unwrap();
    let version = made["version_key"].as_u64().unwrap();
    let payload = bytes(&made["payload"]);
    match hotkey {
        Ok(hotkey) => assert_eq!(commit_payload(&hotkey, &vector, version), payload),
        Err(_) => {
            let own = HotkeyPair::from_seed(&[9; 32]).unwrap().hotkey();
            let mut ours = commit_payload(&own, &vector, version);
            ours[1..33].copy_from_slice(&bytes(&made["hotkey"]));
            assert_eq!(ours, payload);
        }
    }
}

#[test]
fn eras_are_the_sdks() {
    for row in rows("eras") {
        let era = Era::mortal(row["period"].as_u64().unwrap(), row["current"].as_u64().unwrap());
        assert_eq!(hex::encode(era.bytes()), row["era"].as_str().unwrap(), "{row}");
        assert_eq!(era.birth(), row["birth"].as_u64().unwrap(), "{row}");
    }
}

#[test]
fn an_era_ends() {
    let era = Era::mortal(64, 1000);
    assert!(era.birth() <= 1000 && 1000 < era.death());
    assert_eq!(era.death() - era.birth(), 64);
    // What is no power of two is the next one, and none is longer than the chain remembers blocks for.
    assert_eq!(Era::mortal(100, 1000), Era::mortal(128, 1000));
    let longest = Era::mortal(u64::MAX, 7);
    assert_eq!(longest.death() - longest.birth(), 1 << 16);
    assert_eq!(Era::mortal(0, 7), Era::mortal(4, 7));
}

#[test]
fn extensions_are_those_of_the_chains_metadata() {
    assert_eq!(made()["madeBy"]["extensions"], serde_json::json!(EXTENSIONS));
}

#[test]
fn what_is_signed_and_sent_is_the_sdks_byte_for_byte() {
    for row in rows("extrinsics") {
        let number = |name: &str| row[name].as_u64().unwrap();
        let terms = Terms {
            runtime: Runtime {
                spec_version: number("specVersion") as u32,
                transaction_version: number("transactionVersion") as u32,
                genesis: array(&row["genesis"]),
            },
            era: Era::mortal(number("period"), number("current")),
            era_block: array(&row["eraBlock"]),
            nonce: number("nonce") as u32,
            tip: row["tip"].as_str().unwrap().parse().unwrap(),
            metadata_hash: row["metadataHash"].as_str().map(|_| array(&row["metadataHash"])),
        };
        let call = Call::from_bytes(bytes(&row["call"]));
        assert_eq!(hex::encode(terms.extra()), row["extra"].as_str().unwrap());
        assert_eq!(hex::encode(terms.implicit()), row["implicit"].as_str().unwrap());
        assert_eq!(hex::encode(terms.signed(&call)), row["payload"].as_str().unwrap());
        let sent = terms.with_account(&call, &array(&row["public"]), &array(&row["signature"]));
        assert_eq!(hex::encode(&sent.bytes), row["extrinsic"].as_str().unwrap());
        assert_eq!(hex::encode(sent.hash), row["hash"].as_str().unwrap());
    }
}

#[test]
fn an_extrinsic_is_signed_by_its_account() {
    let pair = HotkeyPair::from_seed(&[9; 32]).unwrap();
    let terms = Terms {
        runtime: Runtime {
            spec_version: 365,
            transaction_version: 1,
            genesis: [1; 32],
        },
        era: Era::mortal(64, 1000),
        era_block: [2; 32],
        nonce: 5,
        tip: 0,
        metadata_hash: None,
    };
    let call = Call::from_bytes(vec![7, 0]);
    let sent = terms.sign(&call, &pair);
    // Two bytes of length, format and kind of account, key, kind of signature.
    let signature: [u8; 64] = sent.bytes[37..101].try_into().unwrap();
    assert_eq!(sent.bytes[4..36], *pair.hotkey().as_bytes());
    assert_eq!(pair.hotkey().verify(&terms.signed(&call), &signature), Ok(()));
    // Of another chain, runtime or turn it is none.
    let others = [
        Terms {
            runtime: Runtime {
                genesis: [3; 32],
                ..terms.runtime
            },
            ..terms
        },
        Terms {
            runtime: Runtime {
                spec_version: 366,
                ..terms.runtime
            },
            ..terms
        },
        Terms { nonce: 6, ..terms },
        Terms {
            era: Era::mortal(64, 1064 + 1),
            ..terms
        },
    ];
    for other in others {
        assert!(pair.hotkey().verify(&other.signed(&call), &signature).is_err());
    }
}
