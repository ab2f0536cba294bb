//! What a miner signs to prove that a MinerPool's `spec.identity` is its own.
//!
//! Invariant: the message names one pool of one cluster and one purpose, so that a signature over it proves nothing else:
//! no other signature of the key begins with [`DOMAIN`], and the uid is the API server's, never used twice.

/// The first line of the message.
pub const DOMAIN: &str = "zkinfer.dev/MinerPool/possession/v1";

/// The message: four lines, each ended by a line feed. None of the parts can hold one: namespace and name are names of
/// Kubernetes, the uid is the API server's.
#[must_use]
pub fn possession_message(namespace: &str, name: &str, uid: &str) -> Vec<u8> {
    format!("{DOMAIN}\n{namespace}\n{name}\n{uid}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_the_documented_one() {
        let message = possession_message("miner-alpha", "alpha", "6f9619ff-8b86-d011-b42d-00c04fc964ff");
        assert_eq!(
            String::from_utf8(message).unwrap(),
            "zkinfer.dev/MinerPool/possession/v1\nminer-alpha\nalpha\n6f9619ff-8b86-d011-b42d-00c04fc964ff\n"
        );
    }
}
