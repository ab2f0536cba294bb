//! The reference job: BLAKE3 of 256 MiB, and 2^24 products in Goldilocks³. What proving does most, in a form that no change of
//! the prover touches, so that figures of two machines, or of a busy and an idle one, can be compared.

use std::error::Error;
use std::hint::black_box;

use p3_field::extension::CubicTrinomialExtensionField;
use p3_field::{BasedVectorSpace, PrimeCharacteristicRing};
use p3_goldilocks::Goldilocks;
use serde::Serialize;

use super::usage::cpu;

const BYTES: usize = 256 << 20;
const PIECE: usize = 1 << 20;
const PRODUCTS: u32 = 1 << 24;

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
    let coefficients = [3, 5, 7].map(Goldilocks::from_u64);
    let factor = CubicTrinomialExtensionField::<Goldilocks>::from_basis_coefficients_fn(|i| coefficients[i]);
    let mut product = factor;
    for _ in 0..PRODUCTS {
        product *= black_box(factor);
    }
    let _ = black_box(product);
    let ended = cpu()?;
    Ok(Reference {
        hash_s: (hashed - started).as_secs_f64(),
        products_s: (ended - hashed).as_secs_f64(),
        seconds: (ended - started).as_secs_f64(),
    })
}
