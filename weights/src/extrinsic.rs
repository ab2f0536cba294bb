//! A signed extrinsic: a call with what says for which chain, for which time and how often it counts.
//!
//! ```text
//! extrinsic = length 0x84 0 public 1 signature extra call
//! signed    = call extra implicit                              of more than 256 bytes: their blake2b-256
//! extra     = era nonce tip mode                               numbers compact; mode 1 with a digest of the metadata
//! implicit  = spec_version transaction_version genesis era_block digest
//! ```
//!
//! Invariants: a signature is of one chain (its genesis), one runtime (its versions), one nonce, and of a few blocks: every era is
//! mortal, so that what a chain did not take cannot come back much later. Bytes are those of the chain's own SDK.

use parity_scale_codec::{Compact, Encode};

use crate::call::Call;
use crate::hotkey::{Hotkey, HotkeyPair};

/// The fourth format, signed.
const SIGNED: u8 = 0x84;
/// An account by its key.
const BY_KEY: u8 = 0;
/// A signature of sr25519.
const SR25519: u8 = 1;
/// What is longer is signed by its digest.
const WHOLE: usize = 256;

/// The extensions that are signed, in their order; a runtime with others is none that this is for. Those that have nothing to
/// say have no bytes.
pub const EXTENSIONS: [&str; 12] = [
    "CheckNonZeroSender",
    "CheckSpecVersion",
    "CheckTxVersion",
    "CheckGenesis",
    "CheckMortality",
    "CheckNonce",
    "CheckWeight",
    "ChargeTransactionPayment",
    "SudoTransactionExtension",
    "SubtensorTransactionExtension",
    "DrandPriority",
    "CheckMetadataHash",
];

/// How long an extrinsic counts: some blocks from one on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Era {
    period: u64,
    phase: u64,
    birth: u64,
}

impl Era {
    /// About so many blocks, as a power of two from 4 to 65536, around a block.
    #[must_use]
    pub fn mortal(period: u64, current: u64) -> Self {
        let period = period.clamp(4, 1 << 16).next_power_of_two();
        let step = Self::step(period);
        let phase = current % period / step * step;
        Self {
            period,
            phase,
            birth: (current.max(phase) - phase) / period * period + phase,
        }
    }

    /// Phases of long periods are told in steps.
    fn step(period: u64) -> u64 {
        (period >> 12).max(1)
    }

    /// The block from which it counts; its hash is signed.
    #[must_use]
    pub const fn birth(&self) -> u64 {
        self.birth
    }

    /// The first block in which it does not count any more.
    #[must_use]
    pub const fn death(&self) -> u64 {
        self.birth.saturating_add(self.period)
    }

    /// Its two bytes.
    #[must_use]
    pub fn bytes(&self) -> [u8; 2] {
        let low = (self.period.trailing_zeros() - 1).clamp(1, 15) as u16;
        // Of a period of at most 2^16 in steps, phases have 12 bits.
        (low | ((self.phase / Self::step(self.period)) as u16) << 4).to_le_bytes()
    }
}

/// For which chain and runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runtime {
    /// `spec_version`.
    pub spec_version: u32,
    /// `transaction_version`.
    pub transaction_version: u32,
    /// The hash of block 0.
    pub genesis: [u8; 32],
}

/// What is signed with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// For which chain and runtime.
    pub runtime: Runtime,
    /// For how long.
    pub era: Era,
    /// The hash of the era's first block.
    pub era_block: [u8; 32],
    /// How many the account has sent.
    pub nonce: u32,
    /// What is paid to be sooner; weights cost nothing.
    pub tip: u128,
    /// The digest of the runtime's metadata, where the chain is to check it.
    pub metadata_hash: Option<[u8; 32]>,
}

impl Terms {
    /// What of them is sent.
    #[must_use]
    pub fn extra(&self) -> Vec<u8> {
        let mode = u8::from(self.metadata_hash.is_some());
        (self.era.bytes(), Compact(self.nonce), Compact(self.tip), mode).encode()
    }

    /// What of them the chain knows by itself.
    #[must_use]
    pub fn implicit(&self) -> Vec<u8> {
        let Runtime {
            spec_version,
            transaction_version,
            genesis,
        } = self.runtime;
        (
            spec_version,
            transaction_version,
            genesis,
            self.era_block,
            self.metadata_hash,
        )
            .encode()
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn signed(&self, call: &Call) -> Vec<u8> {
        let whole = [call.as_bytes(), &self.extra(), &self.implicit()].concat();
        if whole.len() > WHOLE {
            return digest(&whole).to_vec();
        }
        whole
    }

    /// The extrinsic with its signature.
    #[must_use]
    pub fn sign(&self, call: &Call, by: &HotkeyPair) -> Extrinsic {
        let signature = by.sign(&self.signed(call));
        self.with_account(call, by.hotkey().as_bytes(), &signature)
    }

    /// The extrinsic with a signature that has been made elsewhere.
    #[must_use]
    pub fn with_signature(&self, call: &Call, by: &Hotkey, signature: &[u8; 64]) -> Extrinsic {
        self.with_account(call, by.as_bytes(), signature)
    }

    pub(crate) fn with_account(&self, call: &Call, account: &[u8; 32], signature: &[u8; 64]) -> Extrinsic {
        let mut body = vec![SIGNED, BY_KEY];
        body.extend(account);
        body.push(SR25519);
        body.extend(signature);
        body.extend(self.extra());
        body.extend(call.as_bytes());
        // As a list of bytes: its length before it.
        let bytes = body.encode();
        Extrinsic {
            hash: digest(&bytes),
            bytes,
        }
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    let hash = blake2b_simd::Params::new().hash_length(32).hash(bytes);
    let mut digest = [0; 32];
    digest.copy_from_slice(hash.as_bytes());
    digest
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extrinsic {
    /// All of it.
    pub bytes: Vec<u8>,
    /// The hash by which the chain knows it.
    pub hash: [u8; 32],
}
