//! The cost model, and the parameters that it chooses.
//!
//! CPU time on one core of the reference machine with AVX2 (AVX-512 is a quarter faster). It goes by powers of two: cells of
//! the stack and leaves of the lookup argument are rounded up to one each, so a slice is cheapest when it fills them.

use serde::{Deserialize, Serialize};

use super::commitment::{MAX_STACK, stack};
use super::error::LayoutError;
use super::field::EF_BYTES;
use super::key::{check_layers, check_weights, check_wirings};
use super::logup::Blocks;
use super::plan::{LIMB_BITS, Plan, Quotient, Step};
use super::relation::count::scalars;
use crate::relations::{Product, Relation, SliceRelations};

/// What a manifest records of a slice's proof system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SliceParameters {
    /// Width of a full limb, and of the widest activation table.
    pub limb_bits: u8,
}

/// What proving a slice costs, predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// CPU microseconds to prove, one core of the reference machine.
    pub cpu_us: u64,
    /// Peak memory to prove, in bytes.
    pub memory_bytes: u64,
    /// Bytes of a proof.
    pub proof_bytes: u64,
    /// Committed cells before rounding up to a power of two: slices are best filled to just below one.
    pub cells: u64,
}

/// The cheapest parameters of a slice; ties go to the narrower limb.
///
/// # Errors
/// A slice that has no layout.
pub fn choose_parameters(relations: &SliceRelations) -> Result<SliceParameters, LayoutError> {
    let mut best: Option<(u64, SliceParameters)> = None;
    let mut refused = None;
    for limb_bits in LIMB_BITS {
        let parameters = SliceParameters { limb_bits };
        match cost(relations, parameters) {
            Ok(cost) if best.is_none_or(|(least, _)| cost.cpu_us < least) => {
                best = Some((cost.cpu_us, parameters));
            }
            Ok(_) => {}
            // Another width may have fewer cells; nothing else depends on it.
            Err(error @ LayoutError::Large { .. }) => refused = Some(error),
            Err(error) => return Err(error),
        }
    }
    match (best, refused) {
        (Some((_, parameters)), _) => Ok(parameters),
        (None, Some(error)) => Err(error),
        (None, None) => Err(LayoutError::Library("no width was tried".to_owned())),
    }
}

/// Predicts what proving a slice costs.
///
/// # Errors
/// A slice without a layout at these parameters.
pub fn cost(relations: &SliceRelations, parameters: SliceParameters) -> Result<Cost, LayoutError> {
    let plan = Plan::new(relations, parameters.limb_bits)?;
    let weights = check_weights(relations)?;
    check_wirings(&plan)?;
    let blocks = Blocks::new(&plan);
    check_layers(&blocks)?;
    let (cells, stack) = (plan.cells(), stack(plan.cells()));
    if stack > MAX_STACK {
        return Err(LayoutError::Large {
            what: "committed cells",
            got: cells,
            limit: 1 << MAX_STACK,
        });
    }
    let values: usize = plan.tensors.values().map(|t| t.axes.len()).sum();
    let (full, leaves) = (1u64 << stack, 1u64 << blocks.layers);
    let nanoseconds =
        full * per_place(stack) + leaves * per_place(blocks.layers) + relation_work(&plan, relations);
    Ok(Cost {
        cpu_us: 700 + nanoseconds / 1000,
        // The codeword with its copy, leaves with their tree, values; weights of graph, relations and key while these are made.
        memory_bytes: (12 << 20) + full * 100 + leaves * 150 + values as u64 * 60 + weights * 24,
        proof_bytes: (scalars(&plan, &blocks) * EF_BYTES) as u64 + opening_bytes(stack),
        cells,
    })
}

/// Nanoseconds per cell of a stack, or per leaf, of so many coordinates: beyond 2^18 they leave the cache.
fn per_place(coordinates: usize) -> u64 {
    match coordinates {
        0..=18 => 200,
        19 => 230,
        20 => 280,
        _ => 345,
    }
}

/// Bytes of an opening, measured: a round more every four coordinates from 11 on.
fn opening_bytes(stack: usize) -> u64 {
    const MEASURED: [u64; 15] = [
        10_500, 14_500, 18_500, 36_500, 40_500, 46_000, 51_000, 68_500, 73_000, 78_500, 84_500, 99_000,
        104_500, 110_500, 117_500,
    ];
    MEASURED[stack.clamp(8, 22) - 8]
}

/// Nanoseconds for evaluating the relations, for their sum-checks, and for the claims that these make.
fn relation_work(plan: &Plan, relations: &SliceRelations) -> u64 {
    let size = |id| plan.tensor(id).map_or(0, |t| 1u64 << t.axes.arity());
    let mut work = 0;
    for group in &plan.groups {
        let columns: usize = group.openings.iter().map(Vec::len).sum();
        work += 12 * ((columns as u64) << group.axes.arity());
    }
    for (step, relation) in plan.steps.iter().zip(&relations.relations) {
        work += match (step, relation) {
            (Step::Requantised(step), Relation::Requantised { map, .. }) => {
                let output = plan.tensor(step.output).map_or(0, |t| t.axes.len());
                let signs = if matches!(step.quotient, Quotient::Signed { .. }) {
                    100 * size(step.output)
                } else {
                    0
                };
                let inputs: u64 = step.forms.iter().map(|f| 40 * size(f.input)).sum();
                map.multiplications(output) + 5 * map.weight().len() as u64 + inputs + signs
            }
            (Step::Requantised(step), Relation::Product { product, .. }) => {
                let factors: u64 = step.factors().map(size).sum();
                let terms = match product {
                    Product::Elements => 1,
                    Product::Matrix { inner, .. } => u64::from(*inner),
                };
                100 * factors + terms * size(step.output)
            }
            (Step::Maximum(step), _) => {
                130 * step.above.len() as u64 * size(step.output) + 100 * size(step.input)
            }
            (Step::Multiset(multiset), _) => multiset.tensors().into_iter().map(|id| 60 * size(id)).sum(),
            (Step::Wired { input, output, .. }, _) => 60 * size(*input) + 20 * size(*output),
            _ => 0,
        };
    }
    work
}
