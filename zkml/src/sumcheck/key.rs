//! What prover and verifier of a slice share.
//!
//! Invariants: a key is a function of relations and parameters alone, the same on every machine; it exists only for slices
//! whose integers cannot wrap, whose proofs have the required soundness, and whose sizes are within the limits here.

use std::fmt;
use std::sync::Arc;

use zkinfer_crds::Digest;

use super::commitment::Scheme;
use super::description::describe;
use super::error::LayoutError;
use super::logup::Blocks;
use super::parameters::SliceParameters;
use super::plan::{Plan, Step};
use super::relation::count::scalars;
use crate::relations::{Relation, SliceRelations};

/// The verifier reads every weight of a slice: 2.7 ns each.
const MAX_WEIGHTS: u64 = 1 << 21;
/// A single node that has more weights than that has no smaller slice.
const MAX_NODE_WEIGHTS: u64 = 1 << 24;
/// Values that wirings read and make, once for each claim: the verifier walks them, 10 ns each.
const MAX_WIRED: u64 = 1 << 24;
/// Leaves of the lookup argument: 150 bytes each while proving.
const MAX_LAYERS: usize = 22;

/// Relations, weights, tables and configuration of one slice. Cheap to clone.
#[derive(Clone)]
pub struct Key {
    pub(super) inner: Arc<Inner>,
}

/// See [`Key`].
pub(super) struct Inner {
    pub(super) relations: SliceRelations,
    pub(super) plan: Plan,
    pub(super) blocks: Blocks,
    pub(super) scheme: Scheme,
    /// Number of scalars of every proof.
    pub(super) scalars: usize,
    vk: Vec<u8>,
    digest: Digest,
}

/// The soundness of proofs under a key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Security {
    /// Bits, as the commitment scheme's library composes them, with this argument's own terms.
    pub bits: f64,
    /// The regime in which they hold.
    pub regime: &'static str,
}

/// The soundness of proofs under `key`: at least [`super::SECURITY_BITS`], or there were no key.
#[must_use]
pub fn security(key: &Key) -> Security {
    Security {
        bits: key.inner.scheme.bits,
        regime: super::REGIME,
    }
}

impl Key {
    /// The key of a slice.
    ///
    /// # Errors
    /// A slice that has no layout for this proof system; see [`LayoutError`].
    pub fn new(relations: &SliceRelations, parameters: SliceParameters) -> Result<Self, LayoutError> {
        let plan = Plan::new(relations, parameters.limb_bits)?;
        check_weights(relations)?;
        check_wirings(&plan)?;
        let blocks = Blocks::new(&plan);
        check_layers(&blocks)?;
        let scheme = Scheme::new(&plan, own_error_log2(&plan, &blocks))?;
        let scalars = scalars(&plan, &blocks);
        let vk = describe(relations, parameters, &plan.tables);
        let digest = Digest::of(&vk);
        Ok(Self {
            inner: Arc::new(Inner {
                relations: relations.clone(),
                plan,
                blocks,
                scheme,
                scalars,
                vk,
                digest,
            }),
        })
    }

    /// The verifying key: canonical CBOR of version, parameter id, relations with shapes, tables, weight digests.
    #[must_use]
    pub fn vk_bytes(&self) -> &[u8] {
        &self.inner.vk
    }

    /// SHA-256 of [`Key::vk_bytes`]: the key's name in a manifest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.inner.digest
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("digest", &self.digest())
            .finish_non_exhaustive()
    }
}

/// The number of weights, unless it is more than a verifier should read.
pub(super) fn check_weights(relations: &SliceRelations) -> Result<u64, LayoutError> {
    let weights = relations.relations.iter().filter_map(|relation| match relation {
        Relation::Requantised { map, .. } => Some(map.weight().len() as u64),
        _ => None,
    });
    let (count, total) = weights.fold((0, 0), |(n, sum), w| (n + 1, sum + w));
    let limit = if count == 1 { MAX_NODE_WEIGHTS } else { MAX_WEIGHTS };
    if total > limit {
        return Err(LayoutError::Large {
            what: "weights",
            got: total,
            limit,
        });
    }
    Ok(total)
}

/// Refuses more wiring than a verifier should walk: it costs a prover no cell, so nothing else bounds it.
pub(super) fn check_wirings(plan: &Plan) -> Result<(), LayoutError> {
    let values = |id| plan.tensor(id).map_or(0, |t| t.axes.len() as u64);
    let walked = plan.steps.iter().map(|step| match step {
        Step::Wired { input, output, .. } => {
            plan.wired_claims(*output) as u64 * (values(*input) + values(*output))
        }
        _ => 0,
    });
    let walked: u64 = walked.sum();
    if walked > MAX_WIRED {
        return Err(LayoutError::Large {
            what: "values read by wirings, once for each claim",
            got: walked,
            limit: MAX_WIRED,
        });
    }
    Ok(())
}

/// Refuses more leaves than fit in memory.
pub(super) fn check_layers(blocks: &Blocks) -> Result<(), LayoutError> {
    if blocks.layers > MAX_LAYERS {
        return Err(LayoutError::Large {
            what: "lookups",
            got: 1 << blocks.layers,
            limit: 1 << MAX_LAYERS,
        });
    }
    Ok(())
}

/// log2 of the probability that this argument's own challenges are unlucky, for one committed polynomial.
///
/// The lookup argument: 2 per leaf. Its layers: 2k + 2 each. Every relation: rounds of degree at most 3, MLE points, and powers
/// of one γ, never more than there are values in a tensor (2^22): 2^24 covers each. Over |EF| > 2^191.
fn own_error_log2(plan: &Plan, blocks: &Blocks) -> f64 {
    own_terms_log2(plan.steps.len(), blocks.layers)
}

/// The same by its sizes.
pub(super) fn own_terms_log2(steps: usize, layers: usize) -> f64 {
    let lookups = 2f64.powi(layers as i32 + 1);
    let layers = (layers * (layers + 2)) as f64;
    (lookups + layers + (steps + 1) as f64 * 2f64.powi(24)).log2() - 191.0
}
