//! The cost model, and the parameters that it chooses.
//!
//! CPU time on one core of the reference machine with AVX2 (AVX-512 is a quarter faster). It goes by powers of two: cells of
//! the stack and leaves of the lookup argument are rounded up to one each, so a slice is cheapest when it fills them.

use serde::{Deserialize, Serialize};

use super::commitment::{opening_bytes, stack};
use super::disclosed::{self, NO_LIMBS};
use super::error::LayoutError;
use super::field::EF_BYTES;
use super::key::check;
use super::plan::{LIMB_BITS, Plan, Sketch};
use super::work::Work;
use crate::relations::SliceRelations;

/// What a manifest records of a slice's proof system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SliceParameters {
    /// Width of a full limb, and of the widest activation table; 0 where nothing is cut into limbs, because accumulators
    /// stand in the proof.
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
    /// Committed cells before rounding up to a power of two: slices are best filled to just below one. Where nothing is
    /// committed, the numbers that stand in a proof.
    pub cells: u64,
    /// Steps of a verifier, about a nanosecond each on one core of the reference machine.
    pub verifier_steps: u64,
}

/// The cheapest parameters of a slice, and what they cost; ties go to the narrower limb.
///
/// Whoever cuts a graph asks this of every stretch of its nodes: so a width's layout is counted only if what it costs without
/// its openings does not rule it out.
///
/// # Errors
/// A slice that has no layout.
pub fn choose_parameters(relations: &SliceRelations) -> Result<(SliceParameters, Cost), LayoutError> {
    let sketch = Sketch::of(relations)?;
    let (mut widths, mut refused) = (Vec::new(), None);
    // Where a proof can hold the accumulators nothing is cheaper: all else of it is work beside that.
    match disclosing(&sketch, relations) {
        Ok(best) => return Ok(best),
        Err(error @ LayoutError::Large { .. }) => refused = refused.or(Some(error)),
        Err(error) => return Err(error),
    }
    for limb_bits in LIMB_BITS {
        let placed = sketch.place(limb_bits).and_then(|uncounted| {
            let work = check(relations, uncounted.plan())?;
            Ok((cost_of(uncounted.plan(), work).cpu_us, limb_bits, uncounted))
        });
        match placed {
            Ok(width) => widths.push(width),
            // Another width may have fewer cells; nothing else depends on it.
            Err(error @ LayoutError::Large { .. }) => refused = Some(error),
            Err(error) => return Err(error),
        }
    }
    widths.sort_by_key(|&(least, limb_bits, _)| (least, limb_bits));
    let mut best: Option<(SliceParameters, Cost)> = None;
    for (least, limb_bits, uncounted) in widths {
        if best.is_some_and(|(_, cost)| cost.cpu_us < least) {
            break;
        }
        let plan = uncounted.counted()?;
        match check(relations, &plan) {
            Ok(work) => {
                let cost = cost_of(&plan, work);
                let key = |p: SliceParameters, c: Cost| (c.cpu_us, p.limb_bits);
                let parameters = SliceParameters { limb_bits };
                if best.is_none_or(|(p, c)| key(parameters, cost) < key(p, c)) {
                    best = Some((parameters, cost));
                }
            }
            Err(error @ LayoutError::Large { .. }) => refused = Some(error),
            Err(error) => return Err(error),
        }
    }
    match (best, refused) {
        (Some(best), _) => Ok(best),
        (None, Some(error)) => Err(error),
        (None, None) => Err(LayoutError::Library("no width was tried".to_owned())),
    }
}

/// The parameters of a slice whose accumulators stand in its proofs.
fn disclosing(
    sketch: &Sketch<'_>,
    relations: &SliceRelations,
) -> Result<(SliceParameters, Cost), LayoutError> {
    let placed = sketch.place(NO_LIMBS)?;
    check(relations, placed.plan())?;
    let plan = placed.counted()?;
    let cost = cost_of(&plan, check(relations, &plan)?);
    let limb_bits = NO_LIMBS;
    Ok((SliceParameters { limb_bits }, cost))
}

/// Predicts what proving a slice costs.
///
/// # Errors
/// A slice without a layout at these parameters.
pub fn cost(relations: &SliceRelations, parameters: SliceParameters) -> Result<Cost, LayoutError> {
    let plan = Plan::new(relations, parameters.limb_bits)?;
    let work = check(relations, &plan)?;
    Ok(cost_of(&plan, work))
}

/// By a plan's counts: of an uncounted one it is too little.
fn cost_of(plan: &Plan, work: Work) -> Cost {
    let cells = plan.layout.cells();
    let (stack, layers) = (stack(cells), plan.blocks.layers);
    let values: usize = plan.layout.tensors.values().map(|t| t.axes.len()).sum();
    if plan.layout.disclosed {
        return Cost {
            cpu_us: 50 + work.prover / 1000,
            // Values with what is made of them at a time; weights of graph, relations and key while these are made.
            memory_bytes: (12 << 20) + values as u64 * 120 + work.weights * 24,
            proof_bytes: disclosed::proof_bytes(&plan.layout, plan.scalars) as u64,
            cells: plan.layout.named.iter().map(|n| n.len as u64).sum(),
            verifier_steps: work.verifier,
        };
    }
    let (full, leaves) = (1u64 << stack, 1u64 << layers);
    let nanoseconds = full * per_place(stack) + leaves * per_place(layers) + work.prover;
    Cost {
        cpu_us: 700 + nanoseconds / 1000,
        // The codeword with its copy, leaves with their tree, values; weights of graph, relations and key while these are made.
        memory_bytes: (12 << 20) + full * 100 + leaves * 150 + values as u64 * 60 + work.weights * 24,
        proof_bytes: (plan.scalars * EF_BYTES) as u64 + opening_bytes(stack),
        cells,
        verifier_steps: work.verifier,
    }
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
