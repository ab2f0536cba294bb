//! A miner's new key, that goes on with the score of the old one.
//!
//! ```text
//! zkinfer rotation v1
//! network: mainnet
//! from: ed25519:…
//! to: ed25519:…
//! ```
//!
//! Both keys sign this text. Invariants: nobody hands over a score that is not theirs (the old key signs), nor a debt to somebody
//! who has not taken it (the new key signs). A key hands over once, to one key; rotations make no ring, so that every key has one
//! newest. A key that is revoked hands over nothing, whoever has stolen it. What does not hold is told and does not count: no
//! miner's statements bear on another's score.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};
use zkinfer_crds::Identity;

use crate::binding::{BindingError, line, signed_by_identity};

/// Why rotations do not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    /// A field that has no place in the text.
    #[error(transparent)]
    Field(#[from] BindingError),
    /// A signature is missing.
    #[error("the rotation from {from} to {to} is not signed by {by}")]
    Signature {
        /// The old key.
        from: Identity,
        /// The new one.
        to: Identity,
        /// Who should have signed.
        by: Identity,
    },
    /// It is of another network.
    #[error("the rotation from {from} is of network {got:?}, and {expected:?} is expected")]
    Network {
        /// The old key.
        from: Identity,
        /// What it says.
        got: String,
        /// Which one it is.
        expected: String,
    },
    /// A key hands over twice.
    #[error("{from} hands over to {first} and to {second}: a key hands over once")]
    Fork {
        /// The old key.
        from: Identity,
        /// The one new key.
        first: Identity,
        /// The other.
        second: Identity,
    },
    /// Rotations lead back.
    #[error("rotations lead from {0} into a ring")]
    Ring(Identity),
}

/// A rotation with its two signatures.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rotation {
    /// The network.
    pub network: String,
    /// The old key.
    pub from: Identity,
    /// The new one.
    pub to: Identity,
    /// The old key's signature.
    #[serde(with = "hex::serde")]
    pub from_signature: [u8; 64],
    /// The new one's.
    #[serde(with = "hex::serde")]
    pub to_signature: [u8; 64],
}

impl fmt::Debug for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rotation({}: {} to {})", self.network, self.from, self.to)
    }
}

fn text(network: &str, from: &Identity, to: &Identity) -> Result<String, BindingError> {
    let mut text = "zkinfer rotation v1\n".to_owned();
    line(&mut text, "network", network)?;
    line(&mut text, "from", &from.to_string())?;
    line(&mut text, "to", &to.to_string())?;
    Ok(text)
}

impl Rotation {
    /// Signs with both keys.
    ///
    /// # Errors
    /// A network that has no place in the text.
    pub fn sign(network: &str, from: &SigningKey, to: &SigningKey) -> Result<Self, BindingError> {
        let id = |key: &SigningKey| Identity::new(key.verifying_key().to_bytes());
        let text = text(network, &id(from), &id(to))?;
        Ok(Self {
            network: network.to_owned(),
            from: id(from),
            to: id(to),
            from_signature: from.sign(text.as_bytes()).to_bytes(),
            to_signature: to.sign(text.as_bytes()).to_bytes(),
        })
    }

    fn verify(&self, network: &str) -> Result<(), RotationError> {
        if self.network != network {
            return Err(RotationError::Network {
                from: self.from,
                got: self.network.chars().take(80).collect(),
                expected: network.to_owned(),
            });
        }
        let text = text(network, &self.from, &self.to)?;
        for (by, signature) in [(self.from, &self.from_signature), (self.to, &self.to_signature)] {
            if !signed_by_identity(&by, &text, signature) {
                return Err(RotationError::Signature {
                    from: self.from,
                    to: self.to,
                    by,
                });
            }
        }
        Ok(())
    }
}

/// All rotations of a network, verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rotations(BTreeMap<Identity, Identity>);

impl Rotations {
    /// Verifies them, each and together, and tells what does not count: those that do not hold, of a key that hands over twice
    /// all, and of a ring all. Those of revoked keys are passed over.
    #[must_use]
    pub fn of(
        network: &str,
        rotations: &[Rotation],
        revoked: &BTreeSet<Identity>,
    ) -> (Self, Vec<RotationError>) {
        let mut told = Vec::new();
        let mut next: BTreeMap<Identity, BTreeSet<Identity>> = BTreeMap::new();
        for rotation in rotations.iter().filter(|of| !revoked.contains(&of.from)) {
            match rotation.verify(network) {
                Ok(()) => {
                    next.entry(rotation.from).or_default().insert(rotation.to);
                }
                Err(error) => told.push(error),
            }
        }
        let mut all = Self::default();
        for (from, to) in next {
            let mut to = to.into_iter();
            match (to.next(), to.next()) {
                (Some(first), Some(second)) => told.push(RotationError::Fork { from, first, second }),
                (Some(to), None) => {
                    all.0.insert(from, to);
                }
                (None, _) => {}
            }
        }
        // As many steps as there are rotations lead to an end, or into a ring.
        let endless: Vec<Identity> = all
            .0
            .keys()
            .copied()
            .filter(|from| all.walk(from).is_none())
            .collect();
        for from in endless {
            all.0.remove(&from);
            told.push(RotationError::Ring(from));
        }
        (all, told)
    }

    fn walk(&self, from: &Identity) -> Option<Identity> {
        let mut at = *from;
        for _ in 0..=self.0.len() {
            match self.0.get(&at) {
                Some(next) => at = *next,
                None => return Some(at),
            }
        }
        None
    }

    /// The newest key of a miner.
    #[must_use]
    pub fn newest(&self, identity: &Identity) -> Identity {
        // Without a ring every walk ends.
        self.walk(identity).unwrap_or(*identity)
    }
}
