//! What prover and verifier of a slice share.
//!
//! Invariants: a key is a function of relations and parameters alone, the same on every machine; it exists only for slices
//! whose integers cannot wrap, whose proofs have the required soundness, and whose sizes are within the limits here.

use std::fmt;
use std::sync::Arc;

use zkinfer_crds::Digest;

use super::budget;
use super::commitment::{MAX_STACK, Scheme, opening_bytes, stack};
use super::description::{describe, plan_digest};
use super::disclosed;
use super::error::LayoutError;
use super::field::EF_BYTES;
use super::parameters::SliceParameters;
use super::plan::Plan;
use super::verifier::MAX_PROOF_BYTES;
use super::work::Work;
use crate::relations::SliceRelations;

/// Weights of a slice of several linear maps; a map alone may have what a tensor may. A prover holds them all, and whoever
/// derives the key hashes them.
const MAX_WEIGHTS: u64 = 1 << 21;
/// What a collision of Blake3 takes.
const HASH_BITS: f64 = 128.0;
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
    /// None where accumulators stand in the proof: nothing is committed.
    pub(super) scheme: Option<Scheme>,
    bits: f64,
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
        bits: key.inner.bits,
        regime: match key.inner.scheme {
            Some(_) => super::REGIME,
            None => super::REGIME_DISCLOSED,
        },
    }
}

impl Key {
    /// The key of a slice.
    ///
    /// # Errors
    /// A slice that has no layout for this proof system; see [`LayoutError`].
    pub fn new(relations: &SliceRelations, parameters: SliceParameters) -> Result<Self, LayoutError> {
        Self::owning(relations.clone(), parameters)
    }

    /// [`Key::new`] of relations that nobody else needs: their weights are not copied.
    ///
    /// # Errors
    /// As [`Key::new`].
    pub fn owning(relations: SliceRelations, parameters: SliceParameters) -> Result<Self, LayoutError> {
        let plan = Plan::new(&relations, parameters.limb_bits)?;
        check(&relations, &plan)?;
        let own = own_error_log2(&plan);
        let (scheme, bits) = if plan.layout.disclosed {
            // Beyond these a collision of the transcript's hash is cheaper.
            (None, (-own).min(HASH_BITS))
        } else {
            let scheme = Scheme::new(&plan.layout, own)?;
            let bits = scheme.bits;
            (Some(scheme), bits)
        };
        let vk = describe(&relations, parameters, &plan);
        let digest = Digest::of(&vk);
        Ok(Self {
            inner: Arc::new(Inner {
                relations,
                plan,
                scheme,
                bits,
                vk,
                digest,
            }),
        })
    }

    /// The verifying key: canonical CBOR of version, parameter id, relations with shapes, tables, weight
    /// digests, and the digest of the plan.
    #[must_use]
    pub fn vk_bytes(&self) -> &[u8] {
        &self.inner.vk
    }

    /// SHA-256 of where its tensors, columns, lookups and claims stand. It is part of [`Key::vk_bytes`].
    #[must_use]
    pub fn plan_digest(&self) -> Digest {
        plan_digest(&self.inner.plan)
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

/// Refuses more weights than a slice of several maps should have.
fn check_weights(relations: &SliceRelations, total: u64) -> Result<(), LayoutError> {
    let maps = relations.relations.iter().filter(|r| r.weights() > 0);
    if maps.count() > 1 && total > MAX_WEIGHTS {
        return Err(LayoutError::Large {
            what: "weights",
            got: total,
            limit: MAX_WEIGHTS,
        });
    }
    Ok(())
}

/// What every plan must keep: checked by whoever cuts slices and by whoever makes keys.
pub(super) fn check(relations: &SliceRelations, plan: &Plan) -> Result<Work, LayoutError> {
    if plan.layout.disclosed {
        let (got, limit) = (disclosed::bytes(&plan.layout) as u64, disclosed::MAX_BYTES);
        if got > limit {
            return Err(LayoutError::Large {
                what: "bytes of accumulators in a proof",
                got,
                limit,
            });
        }
        let work = budget::check(plan, relations)?;
        check_weights(relations, work.weights)?;
        return check_bytes(disclosed::proof_bytes(&plan.layout, plan.scalars) as u64, work);
    }
    check_layers(plan.blocks.layers)?;
    let cells = plan.layout.cells();
    if stack(cells) > MAX_STACK {
        return Err(LayoutError::Large {
            what: "committed cells",
            got: cells,
            limit: 1 << MAX_STACK,
        });
    }
    let work = budget::check(plan, relations)?;
    check_weights(relations, work.weights)?;
    // The opening's bytes differ a little from proof to proof.
    let bytes = (plan.scalars * EF_BYTES) as u64 + opening_bytes(stack(cells));
    check_bytes(bytes + bytes / 32, work)
}

/// Columns and claims: a proof that no envelope holds is of no use.
fn check_bytes(got: u64, work: Work) -> Result<Work, LayoutError> {
    match MAX_PROOF_BYTES as u64 {
        limit if got > limit => Err(LayoutError::Large {
            what: "bytes in a proof",
            got,
            limit,
        }),
        _ => Ok(work),
    }
}

/// Refuses more leaves than fit in memory.
fn check_layers(layers: usize) -> Result<(), LayoutError> {
    if layers > MAX_LAYERS {
        return Err(LayoutError::Large {
            what: "lookups",
            got: 1 << layers,
            limit: 1 << MAX_LAYERS,
        });
    }
    Ok(())
}

/// log2 of the probability that this argument's own challenges are unlucky, for one committed polynomial.
///
/// The lookup argument: 2 per leaf. Its layers: 2k + 2 each. Every relation: rounds of degree at most 3, MLE points, and powers
/// of one γ, never more than there are values in a tensor (2^22): 2^24 covers each. Over |EF| > 2^191.
fn own_error_log2(plan: &Plan) -> f64 {
    own_terms_log2(plan.steps.len(), plan.blocks.layers)
}

/// The same by its sizes.
pub(super) fn own_terms_log2(steps: usize, layers: usize) -> f64 {
    let lookups = 2f64.powi(layers as i32 + 1);
    let layers = (layers * (layers + 2)) as f64;
    (lookups + layers + (steps + 1) as f64 * 2f64.powi(24)).log2() - 191.0
}
