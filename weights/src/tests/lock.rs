use serde_json::json;

use super::{bytes, made, ours};
use crate::call::MAX_COMMIT;
use crate::lock::{LockError, lock, open};

#[test]
fn a_commit_of_the_sdks_is_opened() {
    let made = &made()["timelock"];
    let opened = open(&bytes(&made["ciphertext"]), &bytes(&made["signature"]));
    assert_eq!(opened, Ok(bytes(&made["payload"])));
}

/// `tests/weights/vectors.py --check` has the SDK open what is written here.
#[test]
fn a_commit_of_ours_is_opened_at_its_round_and_at_no_other() {
    let made = &made()["timelock"];
    let (payload, signature) = (bytes(&made["payload"]), bytes(&made["signature"]));
    let commit = lock(&payload, 1000).unwrap();
    assert_eq!(open(&commit, &signature), Ok(payload.clone()));
    assert!(open(&lock(&payload, 1001).unwrap(), &signature).is_err());
    // As long as the SDK's, and with 256 uids no longer than the chain takes.
    assert_eq!(commit.len(), bytes(&made["ciphertext"]).len());
    assert!(lock(&[0; 33 + 2 * (2 + 512) + 8], 1000).unwrap().len() <= MAX_COMMIT);
    ours(
        "timelock",
        &json!([{ "round": 1000, "payload": hex::encode(payload), "ciphertext": hex::encode(commit) }]),
        |held| {
            for row in held {
                assert_eq!(
                    open(&bytes(&row["ciphertext"]), &signature),
                    Ok(bytes(&row["payload"]))
                );
            }
        },
    );
}

#[test]
fn no_two_commits_are_alike_and_no_byte_can_be_changed() {
    let signature = bytes(&made()["timelock"]["signature"]);
    let (one, other) = (lock(b"weights", 1000).unwrap(), lock(b"weights", 1000).unwrap());
    assert_ne!(one, other);
    // The point, the masked key, the body; not the lengths, and not the name of the cipher at the end, which nobody reads.
    for at in [0, 50, 95, 104, 135, 144, 175, 192, 214] {
        let mut changed = one.clone();
        changed[at] ^= 1;
        assert_ne!(open(&changed, &signature), Ok(b"weights".to_vec()), "byte {at}");
    }
}

#[test]
fn there_is_no_round_0() {
    assert_eq!(lock(b"weights", 0), Err(LockError::Round));
}
