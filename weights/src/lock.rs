//! Commits that nobody opens before a round of drand's quicknet, not even who made them.
//!
//! ```text
//! commit = u v w body "AES_GCM_"          a compressed point, and lists with their length before them
//! body   = ciphertext nonce               AES-256-GCM of the payload
//! key    = 32 random bytes, encrypted to the round's number under the beacon's public key: u, v, w
//! ```
//!
//! The chain reads what an earlier version of the crate writes: there v and w have a length, though it is always 32.
//!
//! Invariant: key and nonce are of the system's randomness, new for each commit; the public key is the beacon's and no other. What
//! is made opens with the round's signature, by the chain's own code: a ciphertext of each side is opened by the other in tests.

use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};
use rand::RngCore as _;
use rand::rngs::OsRng;
use sha2::{Digest as _, Sha256};
use timelock::block_ciphers::AESGCMBlockCipherProvider;
use timelock::engines::EngineBLS;
use timelock::engines::drand::TinyBLS381;
use timelock::ibe::fullident::Identity;
use timelock::tlock::tle;

/// The public key of drand's quicknet, chain 52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971.
const BEACON: &str = "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d1064510d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a";

/// Why nothing was locked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// There is no round 0.
    #[error("the beacon has no round 0")]
    Round,
    /// The beacon's key, or what was made, is no point.
    #[error("the commit cannot be locked: {0}")]
    Points(String),
    /// The system has no randomness.
    #[error("the commit cannot be locked: the system gives no random bytes: {0}")]
    Random(String),
}

/// Locks a payload until a round.
///
/// # Errors
/// A round that there is not, or a system without randomness.
pub fn lock(payload: &[u8], round: u64) -> Result<Vec<u8>, LockError> {
    if round == 0 {
        return Err(LockError::Round);
    }
    let points = |e: &dyn std::fmt::Debug| LockError::Points(format!("{e:?}"));
    let beacon = hex::decode(BEACON).map_err(|e| points(&e))?;
    let beacon = <TinyBLS381 as EngineBLS>::PublicKeyGroup::deserialize_compressed(beacon.as_slice());
    let beacon = beacon.map_err(|e| points(&e))?;
    let mut key = [0; 32];
    OsRng
        .try_fill_bytes(&mut key)
        .map_err(|e| LockError::Random(e.to_string()))?;
    let locked =
        tle::<TinyBLS381, AESGCMBlockCipherProvider, OsRng>(beacon, key, payload, identity(round), OsRng);
    let locked = locked.map_err(|e| points(&e))?;
    let header = locked.header;
    let lists = (
        header.v.to_vec(),
        header.w.to_vec(),
        locked.body,
        locked.cipher_suite,
    );
    let mut commit = Vec::new();
    (header.u, lists)
        .serialize_compressed(&mut commit)
        .map_err(|e| points(&e))?;
    Ok(commit)
}

/// To whom it is encrypted: the message whose signature the round publishes.
fn identity(round: u64) -> Identity {
    Identity::new(b"", &Sha256::digest(round.to_be_bytes()))
}

/// Opens a commit with its round's signature.
#[cfg(test)]
pub(crate) fn open(commit: &[u8], signature: &[u8]) -> Result<Vec<u8>, LockError> {
    use timelock::ibe::fullident::Ciphertext;
    use timelock::tlock::{TLECiphertext, tld};

    type Lists = (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>);
    let points = |e: &dyn std::fmt::Debug| LockError::Points(format!("{e:?}"));
    let (u, (v, w, body, cipher_suite)) =
        <(<TinyBLS381 as EngineBLS>::PublicKeyGroup, Lists)>::deserialize_compressed(commit)
            .map_err(|e| points(&e))?;
    let masked = |list: Vec<u8>| <[u8; 32]>::try_from(list).map_err(|e| points(&e));
    let commit = TLECiphertext::<TinyBLS381> {
        header: Ciphertext {
            u,
            v: masked(v)?,
            w: masked(w)?,
        },
        body,
        cipher_suite,
    };
    let signature = <TinyBLS381 as EngineBLS>::SignatureGroup::deserialize_compressed(signature);
    let signature = signature.map_err(|e| points(&e))?;
    tld::<TinyBLS381, AESGCMBlockCipherProvider>(commit, signature).map_err(|e| points(&e))
}
