//! Hotkeys: the sr25519 keys by which a chain knows miners and validators.
//!
//! Invariants: whatever is a [`Hotkey`] is a key that somebody can have to themselves: the neutral point, for which anybody can
//! make signatures, is none. Secrets are never shown.

use std::fmt;
use std::str::FromStr;

use schnorrkel::{ExpansionMode, Keypair, MiniSecretKey, PublicKey, Signature};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ss58::{self, Prefix, Ss58Error};

/// What every signature of the chain's keys is bound to.
const CONTEXT: &[u8] = b"substrate";

/// Why a hotkey or its signature is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HotkeyError {
    /// The address is none.
    #[error(transparent)]
    Address(#[from] Ss58Error),
    /// The bytes are no key.
    #[error("{0} is not the address of an sr25519 key")]
    Key(String),
    /// The signature is not its own.
    #[error("the signature is not one of hotkey {0}")]
    Signature(Hotkey),
    /// A seed has 32 bytes.
    #[error("a hotkey's seed is 0x and 64 hexadecimal digits")]
    Seed,
}

/// A hotkey's public key, written as its SS58 address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hotkey([u8; 32]);

impl Hotkey {
    /// The key with these bytes.
    ///
    /// # Errors
    /// Bytes that are no point of the curve's group, or are its neutral one.
    pub fn new(bytes: [u8; 32]) -> Result<Self, HotkeyError> {
        // With the neutral point as key, s·B and s are a signature of anything.
        if bytes == [0; 32] || PublicKey::from_bytes(&bytes).is_err() {
            return Err(HotkeyError::Key(ss58::encode(&bytes, Prefix::SUBSTRATE)));
        }
        Ok(Self(bytes))
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Verifies a signature of its own.
    ///
    /// # Errors
    /// A signature of another key, of something else, or bytes that are none.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), HotkeyError> {
        let wrong = |_| HotkeyError::Signature(*self);
        let key = PublicKey::from_bytes(&self.0).map_err(wrong)?;
        let signature = Signature::from_bytes(signature).map_err(wrong)?;
        key.verify_simple(CONTEXT, message, &signature).map_err(wrong)
    }
}

impl fmt::Display for Hotkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&ss58::encode(&self.0, Prefix::SUBSTRATE))
    }
}

impl fmt::Debug for Hotkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hotkey {
    type Err = HotkeyError;
    fn from_str(text: &str) -> Result<Self, HotkeyError> {
        Self::new(ss58::decode(text, Prefix::SUBSTRATE)?)
    }
}

impl Serialize for Hotkey {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hotkey {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A hotkey with its secret.
pub struct HotkeyPair(Keypair);

impl HotkeyPair {
    /// The pair of a seed, as the chain's own tools make it.
    ///
    /// # Errors
    /// None that bytes of this length can cause.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, HotkeyError> {
        let seed = MiniSecretKey::from_bytes(seed).map_err(|_| HotkeyError::Seed)?;
        Ok(Self(seed.expand_to_keypair(ExpansionMode::Ed25519)))
    }

    /// The pair of a seed as it stands in a file or a Secret: `0x` and 64 hexadecimal digits.
    ///
    /// # Errors
    /// Anything else; the message does not show what was given.
    pub fn from_text(text: &str) -> Result<Self, HotkeyError> {
        let digits = text.trim().strip_prefix("0x").ok_or(HotkeyError::Seed)?;
        let mut seed = [0; 32];
        hex::decode_to_slice(digits, &mut seed).map_err(|_| HotkeyError::Seed)?;
        Self::from_seed(&seed)
    }

    /// Its public key.
    #[must_use]
    pub fn hotkey(&self) -> Hotkey {
        Hotkey(self.0.public.to_bytes())
    }

    /// Signs.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign_simple(CONTEXT, message).to_bytes()
    }
}

impl fmt::Debug for HotkeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HotkeyPair({})", self.hotkey())
    }
}
