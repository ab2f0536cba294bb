//! What a slice proof is bound to: `zkinfer/statement/v1`.
//!
//! Invariant: the verifier builds the whole statement from its own manifest and its own records; a prover supplies
//! no part of it. Change any field and the digest changes, and with it the public values of the proof.

use ciborium::Value;
use zkinfer_crds::{ClaimId, Digest, Identity, RequestUid, SliceIndex};

use crate::canonical;
use crate::graph::IntTensor;

/// The domain of statement digests.
pub const DOMAIN: &str = "zkinfer/statement/v1";
/// Longest network id, in bytes.
pub const MAX_NETWORK_ID: usize = 64;

/// The claim of one slice proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The network that the request was made on.
    pub network: String,
    /// Verifier part of the SRS; all zero for a transparent proof system.
    pub srs: Digest,
    /// The manifest: model, integers, cuts, keys.
    pub manifest: Digest,
    /// The slice.
    pub slice: SliceIndex,
    /// Number of slices in the manifest.
    pub slice_count: u32,
    /// The request.
    pub request: RequestUid,
    /// The claim: a nonce.
    pub claim: ClaimId,
    /// The miner.
    pub identity: Identity,
    /// Digest of the request's input.
    pub input: Digest,
    /// Digest of the request's output.
    pub output: Digest,
}

impl Statement {
    /// The canonical CBOR array of the fields, domain first; digests and ids as byte strings.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let bytes = |b: &[u8]| Value::Bytes(b.to_vec());
        canonical::to_bytes(&Value::Array(vec![
            Value::Text(DOMAIN.to_owned()),
            Value::Text(self.network.clone()),
            bytes(self.srs.as_bytes()),
            bytes(self.manifest.as_bytes()),
            Value::from(self.slice.0),
            Value::from(self.slice_count),
            bytes(self.request.as_bytes()),
            bytes(self.claim.as_bytes()),
            bytes(self.identity.as_bytes()),
            bytes(self.input.as_bytes()),
            bytes(self.output.as_bytes()),
        ]))
    }

    /// SHA-256 of [`Statement::encode`].
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.encode())
    }
}

/// `SHA-256(rank u8 ‖ dims u64le ‖ values i64le)` over the tensors one after another. Rank and dimensions come first,
/// so that no two lists of tensors share an encoding.
#[must_use]
pub fn tensors_digest<'a>(tensors: impl IntoIterator<Item = &'a IntTensor>) -> Digest {
    let mut bytes = Vec::new();
    for tensor in tensors {
        bytes.push(tensor.shape.len() as u8);
        tensor
            .shape
            .iter()
            .for_each(|&d| bytes.extend(u64::from(d).to_le_bytes()));
        tensor.values.iter().for_each(|v| bytes.extend(v.to_le_bytes()));
    }
    Digest::of(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> Statement {
        Statement {
            network: "local".to_owned(),
            srs: Digest::new([1; 32]),
            manifest: Digest::new([2; 32]),
            slice: SliceIndex(3),
            slice_count: 4,
            request: RequestUid::new([5; 16]),
            claim: ClaimId::new([6; 16]),
            identity: Identity::new([7; 32]),
            input: Digest::new([8; 32]),
            output: Digest::new([9; 32]),
        }
    }

    #[test]
    fn encoding_matches_the_golden_vector() {
        let b = |n: u8, len: usize| hex::encode(vec![n; len]);
        let expected = format!(
            "8b74{}656c6f63616c5820{}5820{}030450{}50{}5820{}5820{}5820{}",
            hex::encode(DOMAIN),
            b(1, 32),
            b(2, 32),
            b(5, 16),
            b(6, 16),
            b(7, 32),
            b(8, 32),
            b(9, 32)
        );
        assert_eq!(hex::encode(statement().encode()), expected);
        assert_eq!(
            statement().digest().to_string(),
            "sha256:ee0356203c9ab8f2a887fcb4ecc57c396b1bf19f508a0236d019f07d853f80a8"
        );
    }

    #[test]
    fn every_field_is_bound() {
        let base = statement();
        let changed: [fn(&mut Statement); 10] = [
            |s| s.network.push('x'),
            |s| s.srs = Digest::new([0; 32]),
            |s| s.manifest = Digest::new([0; 32]),
            |s| s.slice.0 += 1,
            |s| s.slice_count += 1,
            |s| s.request = RequestUid::new([0; 16]),
            |s| s.claim = ClaimId::new([0; 16]),
            |s| s.identity = Identity::new([0; 32]),
            |s| s.input = Digest::new([0; 32]),
            |s| s.output = Digest::new([0; 32]),
        ];
        for (i, change) in changed.iter().enumerate() {
            let mut other = base.clone();
            change(&mut other);
            assert_ne!(other.digest(), base.digest(), "field {i}");
        }
    }

    #[test]
    fn tensor_digest_matches_the_golden_vector() {
        let tensor = IntTensor {
            shape: vec![1, 2],
            values: vec![-1, 258],
        };
        let bytes =
            hex::decode("0201000000000000000200000000000000ffffffffffffffff0201000000000000").unwrap();
        assert_eq!(tensors_digest([&tensor]), Digest::of(&bytes));
        let flat = IntTensor {
            shape: vec![2],
            values: vec![-1, 258],
        };
        assert_ne!(tensors_digest([&flat]), tensors_digest([&tensor]));
    }
}
