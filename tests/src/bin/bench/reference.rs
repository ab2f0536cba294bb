//! The reference job: BLAKE3 of 256 MiB, and 2^24 products in the cubic extension of the Goldilocks field.
//!
//! Invariant: no change of the prover, of a library of fields, or between optimised builds touches the job: its arithmetic is
//! written out here in one function's worth of machine integers. So figures of two machines, or of a busy and an idle one, can be
//! compared. Not those of a build without optimisation (`opt-level = 0`), in which the job takes several times as long.

use std::error::Error;
use std::hint::black_box;

use serde::Serialize;

use super::usage::cpu;

const BYTES: usize = 256 << 20;
const PIECE: usize = 1 << 20;
const PRODUCTS: u32 = 1 << 24;

/// 2^64 − 2^32 + 1.
const P: u64 = 0xffff_ffff_0000_0001;
/// 2^64 modulo p.
const EPSILON: u64 = 0xffff_ffff;

/// CPU seconds.
#[derive(Debug, Serialize)]
pub(super) struct Reference {
    hash_s: f64,
    products_s: f64,
    pub(super) seconds: f64,
}

/// Does the job once.
pub(super) fn time() -> Result<Reference, Box<dyn Error>> {
    let started = cpu()?;
    let piece = vec![0x5a_u8; PIECE];
    let mut hasher = blake3::Hasher::new();
    for _ in 0..BYTES / PIECE {
        hasher.update(black_box(&piece));
    }
    black_box(hasher.finalize());
    let hashed = cpu()?;
    let factor = [3, 5, P - 7];
    let mut made = factor;
    for _ in 0..PRODUCTS {
        made = product(made, black_box(factor));
    }
    black_box(made);
    let ended = cpu()?;
    Ok(Reference {
        hash_s: (hashed - started).as_secs_f64(),
        products_s: (ended - hashed).as_secs_f64(),
        seconds: (ended - started).as_secs_f64(),
    })
}

/// Of two elements of `F[X] / (X³ − X − 1)`, coefficients below p.
#[inline(always)]
fn product(a: [u64; 3], b: [u64; 3]) -> [u64; 3] {
    let third = sum(times(a[1], b[2]), times(a[2], b[1]));
    let fourth = times(a[2], b[2]);
    let second = sum(sum(times(a[0], b[2]), times(a[1], b[1])), times(a[2], b[0]));
    [
        sum(times(a[0], b[0]), third),
        sum(sum(times(a[0], b[1]), times(a[1], b[0])), sum(third, fourth)),
        sum(second, fourth),
    ]
}

#[inline(always)]
fn sum(a: u64, b: u64) -> u64 {
    let (s, over) = a.overflowing_add(b);
    if over || s >= P { s.wrapping_sub(P) } else { s }
}

#[inline(always)]
fn times(a: u64, b: u64) -> u64 {
    let whole = u128::from(a).wrapping_mul(u128::from(b));
    let (low, high) = (whole as u64, (whole >> 64) as u64);
    // 2^96 is −1, 2^64 is 2^32 − 1.
    let (mut made, under) = low.overflowing_sub(high >> 32);
    if under {
        made = made.wrapping_sub(EPSILON);
    }
    let (mut made, over) = made.overflowing_add((high & EPSILON).wrapping_mul(EPSILON));
    if over {
        made = made.wrapping_add(EPSILON);
    }
    if made >= P { made - P } else { made }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn power(of: [u64; 3], exponent: u64) -> [u64; 3] {
        let mut made = [1, 0, 0];
        for bit in (0..64).rev() {
            made = product(made, made);
            if exponent >> bit & 1 == 1 {
                made = product(made, of);
            }
        }
        made
    }

    #[test]
    fn products_are_those_of_a_field_of_p_cubed_elements() {
        for element in [[3, 5, P - 7], [0, 1, 0], [P - 1, P - 1, P - 1]] {
            let frobenius = power(element, P);
            assert_ne!(frobenius, element);
            assert_eq!(power(power(frobenius, P), P), element);
            // The norm lies in the field of p elements.
            let norm = product(product(element, frobenius), power(frobenius, P));
            assert_eq!((norm[1], norm[2]), (0, 0));
        }
        assert_eq!(times(P - 1, P - 1), 1);
        assert_eq!(times(1 << 48, 1 << 48), P - 1);
    }
}
