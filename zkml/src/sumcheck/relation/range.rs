//! The exact range of an inner tensor: `v − lo` is a sum of limbs, each looked up in the table of its exact width.
//!
//! The sum of limbs of exact widths runs over `[0, 2^bits)` and nothing else, so `v` lies in `[lo, lo + 2^bits)`. That the
//! sum is `v − lo` at the random point of the lookup argument means that it is so everywhere.

use serde::Serialize;

use super::{Argue, Lay, Written, claim};
use crate::graph::{IntRange, TensorId};
use crate::relations::Relation;
use crate::sumcheck::channel::Channel;
use crate::sumcheck::columns::{Columns, Values, values_of};
use crate::sumcheck::error::{Claim, LayoutError, ProveError, VerifyError};
use crate::sumcheck::layout::{Home, Layout, Limbs};
use crate::sumcheck::placer::Placer;
use crate::sumcheck::proving::{Proving, Voice};
use crate::sumcheck::shapes::{Classes, Lengths};
use crate::sumcheck::verifying::Verifying;
use crate::sumcheck::work::Work;

/// Every value of a tensor lies in a range.
#[derive(Debug, Serialize)]
pub(in crate::sumcheck) struct Stated<'a> {
    tensor: &'a TensorId,
    range: &'a IntRange,
}

impl<'a> Stated<'a> {
    pub(super) const fn of(tensor: &'a TensorId, range: &'a IntRange) -> Self {
        Self { tensor, range }
    }
}

/// Where that is shown.
#[derive(Debug, Clone, Serialize)]
pub(in crate::sumcheck) enum Placed {
    /// A public tensor: checked by the verifier before anything.
    PublicRange,
    /// `v − lo` of an inner tensor is cut into limbs.
    InnerRange {
        tensor: TensorId,
        group: usize,
        limbs: Limbs,
        lo: i64,
    },
}

impl Lay for Stated<'_> {
    fn length(&self, lens: &Lengths) -> Result<Option<(TensorId, usize)>, LayoutError> {
        lens.of(*self.tensor).map(|_| None)
    }

    fn join(&self, _: &mut Classes) {}

    fn cut(&self, _: &mut Classes) {}

    fn keep(&self, _: &mut Classes) {}

    fn place(&self, placer: &mut Placer<'_>) -> Result<super::Placed, LayoutError> {
        let (tensor, range) = (*self.tensor, *self.range);
        let made = placer.get(tensor)?;
        if let Home::Input(_) | Home::Output(_) = made.home {
            // The verifier checks the tensor's own range, which must be this one.
            return if made.range == range {
                Ok(super::Placed::Range(Placed::PublicRange))
            } else {
                Err(LayoutError::Range { tensor: tensor.0 })
            };
        }
        if !(1..=IntRange::MAX_BITS).contains(&range.bits) {
            return Err(LayoutError::Range { tensor: tensor.0 });
        }
        let axes = made.axes.clone();
        let group = placer.open_group(&axes);
        let limbs = placer.limbs(group, u32::from(range.bits));
        Ok(super::Placed::Range(Placed::InnerRange {
            tensor,
            group,
            limbs,
            lo: range.lo(),
        }))
    }
}

impl Written for Placed {
    const TAG: Option<&'static str> = None;
}

impl Argue for Placed {
    fn fill(
        &self,
        _: &Relation,
        columns: &mut Columns<'_>,
        values: &Values,
    ) -> Result<Option<(TensorId, Vec<i64>)>, ProveError> {
        match self {
            Self::PublicRange => {}
            Self::InnerRange {
                tensor,
                group,
                limbs,
                lo,
            } => {
                let values = values_of(values, *tensor);
                let offset: Vec<u64> = values.iter().map(|v| (v - lo) as u64).collect();
                columns.put_limbs(*group, limbs, &offset);
            }
        }
        Ok(None)
    }

    fn prove<V: Voice>(&self, _: &Relation, state: &mut Proving<'_, V>) {
        match self {
            Self::PublicRange => {}
            Self::InnerRange { tensor, group, .. } => {
                let point = state.looked_up(*group);
                state.claim(*tensor, &point);
            }
        }
    }

    fn verify<C: Channel>(&self, _: &Relation, state: &mut Verifying<'_, C>) -> Result<(), VerifyError> {
        let (tensor, group, limbs, lo) = match self {
            Self::PublicRange => return Ok(()),
            Self::InnerRange {
                tensor,
                group,
                limbs,
                lo,
            } => (*tensor, *group, limbs, *lo),
        };
        let opened = state.looked_up(group);
        let claim = state.claim(tensor, &opened.point)?;
        let ones = state.layout().groups[group].axes.all().indicator(&opened.point);
        state.channel.check(Claim::Range.refuted(tensor), || {
            Limbs::less(limbs.value(&opened.values), -lo, ones) == claim
        })
    }

    fn work(&self, _: &Relation, layout: &Layout) -> Work {
        match self {
            Self::PublicRange => Work::default(),
            Self::InnerRange { tensor, .. } => Work {
                verifier: claim(layout, *tensor),
                ..Work::default()
            },
        }
    }
}
