//! Who is who: a hotkey and a pool's identity say of each other that they are one miner's.
//!
//! ```text
//! zkinfer hotkey v1
//! network: mainnet
//! namespace: miner-alpha
//! pool: fast
//! uid: 0b4f6c1e-…                the pool object's, so that another pool of this name is not bound
//! hotkey: 5F…
//! identity: ed25519:…
//! ```
//!
//! This text, each line ended by a line feed, is signed by both keys. Invariants: a [`Bound`] has had both signatures verified
//! over the same text, so that neither side can take the other for itself; one statement has one text, since no field can hold
//! a line feed; the text cannot be mistaken for that of a rotation.

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use zkinfer_crds::Identity;

use crate::hotkey::{Hotkey, HotkeyError, HotkeyPair};

/// Why a binding does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    /// A field that has no place in a line.
    #[error("{field} must have 1 to 253 printable ASCII characters without spaces, and has {got:?}")]
    Field {
        /// Which one.
        field: &'static str,
        /// What it has.
        got: String,
    },
    /// The hotkey did not sign it.
    #[error("the binding of pool {pool}: {source}")]
    Hotkey {
        /// The pool.
        pool: String,
        /// Why.
        source: HotkeyError,
    },
    /// The identity did not sign it.
    #[error("the binding of pool {pool}: the signature is not one of {identity}")]
    Identity {
        /// The pool.
        pool: String,
        /// Who should have signed.
        identity: Identity,
    },
    /// It speaks of something else.
    #[error("the binding says {field} {got:?}, and {expected:?} is expected")]
    Other {
        /// Of which field.
        field: &'static str,
        /// What it says.
        got: String,
        /// What there is.
        expected: String,
    },
}

/// A pool, as a binding names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pool {
    /// The network that the installation serves.
    pub network: String,
    /// The pool's namespace.
    pub namespace: String,
    /// The pool's name.
    pub pool: String,
    /// The pool object's uid.
    pub uid: String,
}

impl Pool {
    fn fields(&self) -> [(&'static str, &str); 4] {
        let Self {
            network,
            namespace,
            pool,
            uid,
        } = self;
        [
            ("network", network),
            ("namespace", namespace),
            ("pool", pool),
            ("uid", uid),
        ]
    }
}

/// What both keys sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The pool.
    #[serde(flatten)]
    pub pool: Pool,
    /// The hotkey.
    pub hotkey: Hotkey,
    /// The pool's identity.
    pub identity: Identity,
}

impl Statement {
    /// The text that is signed.
    ///
    /// # Errors
    /// A field that has no place in a line, by name.
    pub fn text(&self) -> Result<String, BindingError> {
        let mut text = "zkinfer hotkey v1\n".to_owned();
        for (field, value) in self.pool.fields() {
            line(&mut text, field, value)?;
        }
        line(&mut text, "hotkey", &self.hotkey.to_string())?;
        line(&mut text, "identity", &self.identity.to_string())?;
        Ok(text)
    }
}

/// Adds a line, if the value has a place in one.
pub(crate) fn line(text: &mut String, field: &'static str, value: &str) -> Result<(), BindingError> {
    let fits = (1..=253).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits {
        return Err(BindingError::Field {
            field,
            got: value.chars().take(80).collect(),
        });
    }
    text.extend([field, ": ", value, "\n"]);
    Ok(())
}

/// A statement with its two signatures, as a pool carries it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// What is signed.
    #[serde(flatten)]
    pub statement: Statement,
    /// The hotkey's signature of it.
    #[serde(with = "hex::serde")]
    pub hotkey_signature: [u8; 64],
    /// The identity's.
    #[serde(with = "hex::serde")]
    pub identity_signature: [u8; 64],
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Binding").field(&self.statement).finish()
    }
}

impl Binding {
    /// Signs for both sides.
    ///
    /// # Errors
    /// A field that has no place in the text.
    pub fn sign(pool: Pool, hotkey: &HotkeyPair, identity: &SigningKey) -> Result<Self, BindingError> {
        let statement = Statement {
            pool,
            hotkey: hotkey.hotkey(),
            identity: Identity::new(identity.verifying_key().to_bytes()),
        };
        let text = statement.text()?;
        Ok(Self {
            hotkey_signature: hotkey.sign(text.as_bytes()),
            identity_signature: identity.sign(text.as_bytes()).to_bytes(),
            statement,
        })
    }

    /// Verifies both signatures, and that it is of this pool and of this identity.
    ///
    /// # Errors
    /// The first thing that is not so.
    pub fn verify(self, pool: &Pool, identity: &Identity) -> Result<Bound, BindingError> {
        let said = self.statement.pool.fields();
        for ((field, got), (_, expected)) in said.into_iter().zip(pool.fields()) {
            same(field, got, expected)?;
        }
        same(
            "identity",
            &self.statement.identity.to_string(),
            &identity.to_string(),
        )?;
        let text = self.statement.text()?;
        let named = || self.statement.pool.pool.clone();
        signed_by_hotkey(&self.statement.hotkey, &text, &self.hotkey_signature).map_err(|source| {
            BindingError::Hotkey {
                pool: named(),
                source,
            }
        })?;
        if !signed_by_identity(&self.statement.identity, &text, &self.identity_signature) {
            return Err(BindingError::Identity {
                pool: named(),
                identity: self.statement.identity,
            });
        }
        Ok(Bound(self.statement))
    }
}

fn same(field: &'static str, got: &str, expected: &str) -> Result<(), BindingError> {
    if got == expected {
        return Ok(());
    }
    Err(BindingError::Other {
        field,
        got: got.chars().take(80).collect(),
        expected: expected.to_owned(),
    })
}

/// Wallets in browsers sign a text in brackets, so that it cannot be a transaction; both are the same statement.
fn signed_by_hotkey(key: &Hotkey, text: &str, signature: &[u8; 64]) -> Result<(), HotkeyError> {
    key.verify(text.as_bytes(), signature)
        .or_else(|_| key.verify(format!("<Bytes>{text}</Bytes>").as_bytes(), signature))
}

/// Strict: keys of small order, for which anybody can make signatures, are nobody's.
pub(crate) fn signed_by_identity(identity: &Identity, text: &str, signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(identity.as_bytes()).is_ok_and(|key| {
        key.verify_strict(text.as_bytes(), &Signature::from_bytes(signature))
            .is_ok()
    })
}

/// A statement that both keys have signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound(Statement);

impl Bound {
    /// The pool.
    #[must_use]
    pub const fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// The hotkey.
    #[must_use]
    pub const fn hotkey(&self) -> Hotkey {
        self.0.hotkey
    }

    /// The identity.
    #[must_use]
    pub const fn identity(&self) -> Identity {
        self.0.identity
    }
}
