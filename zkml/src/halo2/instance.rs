//! The public instance of a slice proof, in one column.
//!
//! Rows 0 and 1 hold bytes 0–15 and 16–31 of the statement digest, big-endian. They need no constraint: instances
//! are absorbed before any challenge, so a proof holds for exactly one digest. Then come the boundary tensors,
//! inputs before outputs, in the manifest's order: a tensor with range `[lo, lo + 2^w)` packs `v − lo`,
//! `floor(252 / w)` values per element, lowest first, row-major, zero padding.

use halo2_proofs::halo2curves::bn256::Fr;
use halo2_proofs::halo2curves::ff::Field;
use zkinfer_crds::Digest;

use crate::graph::IntRange;
use crate::relations::{Boundary, InstanceError, check_values};

/// Bits of an element that hold values: packed elements stay below 2^252, far below the field's modulus.
const ELEMENT_BITS: usize = 252;

/// How many values of a range one element holds.
pub(super) const fn values_per_element(range: IntRange) -> usize {
    ELEMENT_BITS / range.bits as usize
}

/// 2^exponent.
pub(super) fn power_of_two(exponent: u32) -> Fr {
    Fr::from(2).pow_vartime([u64::from(exponent)])
}

/// The field element of a signed integer.
pub(super) fn signed(value: i128) -> Fr {
    let magnitude = Fr::from_u128(value.unsigned_abs());
    if value < 0 { -magnitude } else { magnitude }
}

trait FromU128 {
    fn from_u128(value: u128) -> Self;
}

impl FromU128 for Fr {
    fn from_u128(value: u128) -> Self {
        Self::from((value >> 64) as u64) * power_of_two(64) + Self::from(value as u64)
    }
}

/// The two elements of a statement digest.
pub(super) fn digest_elements(digest: &Digest) -> [Fr; 2] {
    let half = |bytes: &[u8]| Fr::from_u128(bytes.iter().fold(0, |acc, &b| (acc << 8) | u128::from(b)));
    let bytes = digest.as_bytes();
    [half(&bytes[..16]), half(&bytes[16..])]
}

/// Packs one tensor. Every value must lie in `range`.
fn pack(range: IntRange, values: &[i64]) -> impl Iterator<Item = Fr> + '_ {
    let base = power_of_two(u32::from(range.bits));
    values.chunks(values_per_element(range)).map(move |chunk| {
        chunk.iter().rev().fold(Fr::ZERO, |acc, &v| {
            acc * base + signed(i128::from(v) - i128::from(range.lo()))
        })
    })
}

/// The instance column: exact lengths and ranges are checked here, for prover and verifier alike.
///
/// # Errors
/// A wrong count or length, or a value out of range.
pub(super) fn instance(
    boundary: Boundary<'_>,
    statement: &Digest,
    inputs: &[&[i64]],
    outputs: &[&[i64]],
) -> Result<Vec<Fr>, InstanceError> {
    let mut column = digest_elements(statement).to_vec();
    for (side, tensors, values) in [
        ("input", boundary.inputs, inputs),
        ("output", boundary.outputs, outputs),
    ] {
        check_values(side, tensors, values)?;
        for (tensor, values) in tensors.iter().zip(values) {
            column.extend(pack(tensor.range, values));
        }
    }
    Ok(column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_lowest_first_and_pads_with_zero() {
        let range = IntRange::signed(8); // 31 values per element
        let values: Vec<i64> = (-16..16).collect();
        let packed: Vec<_> = pack(range, &values).collect();
        assert_eq!(packed.len(), 2);
        assert_eq!(packed[1], Fr::from(15 + 128));
        let first = (0..31).fold(Fr::ZERO, |acc, i| {
            acc + Fr::from((112 + i) as u64) * power_of_two(8 * i)
        });
        assert_eq!(packed[0], first);
    }

    #[test]
    fn digest_halves_are_big_endian() {
        let mut bytes = [0u8; 32];
        (bytes[15], bytes[16]) = (5, 1);
        let [a, b] = digest_elements(&Digest::new(bytes));
        assert_eq!((a, b), (Fr::from(5), power_of_two(120)));
    }
}
