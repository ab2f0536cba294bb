//! The cost model, and the parameters that it chooses.
//!
//! CPU milliseconds on one core of the reference machine, by the columns and rows of a circuit:
//! `t ≈ n/16384 · (600 + 80·advice + 125·permutation + 60·inverse columns + 47·fixed + 100·second-phase)`.

use serde::{Deserialize, Serialize};

use super::circuit::LOOKUPS_PER_INVERSE;
use super::correlation::Taps;
use super::forms::Forms;
use super::layout::roles;
use super::plan::{LayoutError, MAX_K, Plan, RESERVED_ROWS};
use super::shape::Role;
use crate::relations::SliceRelations;

/// What a manifest records of a slice's circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SliceParameters {
    /// Width of a full limb.
    pub limb_bits: u8,
    /// log2 of the circuit's rows.
    pub k: u8,
}

/// What proving a slice costs, predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Rows used, of 2^k.
    pub rows: usize,
    /// CPU milliseconds to prove, one core of the reference machine.
    pub cpu_ms: u32,
    /// Peak memory to prove, in bytes.
    pub memory_bytes: u64,
    /// Bytes of a proof.
    pub proof_bytes: u32,
    /// Bytes of the proving key.
    pub pk_bytes: u64,
}

/// Narrowest and widest full limb that is tried.
const LIMB_BITS: std::ops::RangeInclusive<u8> = 4..=13;

/// The cheapest parameters of a slice; ties go to the narrower limb.
///
/// # Errors
/// A slice that fits no circuit.
pub fn choose_parameters(relations: &SliceRelations) -> Result<SliceParameters, LayoutError> {
    let forms = Forms::new(relations, Taps::Counted)?;
    let mut best: Option<(u64, SliceParameters)> = None;
    let mut refused = None;
    for limb_bits in LIMB_BITS {
        let plan = Plan::new(relations, &forms, u32::from(limb_bits))?;
        let k = least_k(plan.rows);
        if k > MAX_K {
            refused = Some(LayoutError::Rows {
                rows: plan.rows,
                k: MAX_K,
                available: (1 << MAX_K) - RESERVED_ROWS,
            });
            continue;
        }
        // Fixed columns hardly depend on the limb width beyond one tag each.
        let work = (1u64 << k) * u64::from(units(&plan, 20 + plan.limb_columns));
        if best.is_none_or(|(least, _)| work < least) {
            best = Some((work, SliceParameters { limb_bits, k }));
        }
    }
    match best {
        Some((_, parameters)) => Ok(parameters),
        None => Err(refused.unwrap_or(LayoutError::Rows {
            rows: usize::MAX,
            k: MAX_K,
            available: 0,
        })),
    }
}

/// log2 of the least circuit with this many usable rows; beyond [`MAX_K`] there is none.
fn least_k(rows: usize) -> u8 {
    (rows + RESERVED_ROWS).next_power_of_two().trailing_zeros().max(5) as u8
}

/// Whether the parameters waste nothing: k is the least that holds the slice's rows. Costs no group operation, so whoever
/// derives keys for a manifest from outside asks this first and is not made to work for a needlessly large circuit.
///
/// # Errors
/// A slice without a circuit at these parameters.
pub fn is_least(relations: &SliceRelations, parameters: SliceParameters) -> Result<bool, LayoutError> {
    let SliceParameters { limb_bits, k } = parameters;
    if !LIMB_BITS.contains(&limb_bits) {
        return Err(LayoutError::Parameters { limb_bits, k });
    }
    let plan = Plan::new(
        relations,
        &Forms::new(relations, Taps::Counted)?,
        u32::from(limb_bits),
    )?;
    Ok(k == least_k(plan.rows))
}

/// Columns of inverses: of limbs, and one of the reads of explicit tables.
fn inverse_columns(plan: &Plan) -> usize {
    plan.limb_columns.div_ceil(LOOKUPS_PER_INVERSE) + usize::from(!plan.tables.is_empty())
}

/// Cost units per 16384 rows.
fn units(plan: &Plan, fixed: usize) -> u32 {
    let inverses = inverse_columns(plan);
    let (first, second, permutation) = (plan.limb_columns + 4, 5 + inverses, 5);
    (600 + 80 * (first + second) + 125 * permutation + 60 * inverses + 47 * fixed + 100 * second) as u32
}

/// Predicts what proving a slice costs.
///
/// # Errors
/// A slice without a circuit at these parameters.
pub fn cost(relations: &SliceRelations, parameters: SliceParameters) -> Result<Cost, LayoutError> {
    let SliceParameters { limb_bits, k } = parameters;
    if !LIMB_BITS.contains(&limb_bits) || !(4..=MAX_K).contains(&k) {
        return Err(LayoutError::Parameters { limb_bits, k });
    }
    let plan = Plan::new(
        relations,
        &Forms::new(relations, Taps::Counted)?,
        u32::from(limb_bits),
    )?;
    let available = (1usize << k).saturating_sub(RESERVED_ROWS);
    if plan.rows > available {
        return Err(LayoutError::Rows {
            rows: plan.rows,
            k,
            available,
        });
    }
    let roles = roles(&plan, relations);
    let fixed = roles.len();
    let n = 1u64 << k;
    let advice = plan.limb_columns + 4 + 5 + inverse_columns(&plan);
    // Points: advice, 2 permutation products, random, 4 quotient pieces, 2 openings. Scalars: advice with 6
    // rotations and one more to second outputs, fixed, 5 sigmas, 5 of the products, random.
    let rotations = 6 + usize::from(roles.contains(&Role::ReadTwo));
    let proof_bytes = 32 * (advice + 9 + advice + rotations + fixed + 5 + 5 + 1);
    let columns = (fixed + 5) as u64;
    Ok(Cost {
        rows: plan.rows,
        cpu_ms: (n * u64::from(units(&plan, fixed)) / 16384) as u32,
        memory_bytes: (24 << 20) + n * 32 * (3 * columns + 3 * advice as u64 + 40),
        proof_bytes: proof_bytes as u32,
        pk_bytes: 32 * n * (2 * columns + 3),
    })
}
