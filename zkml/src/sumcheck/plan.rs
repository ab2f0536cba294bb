//! Where everything of a slice stands: its layout, its relations in their places, and what every proof of it has.
//!
//! Invariant: a plan is a function of the relations and `limb_bits` alone. The verifier's plan decides every count and
//! every size; nothing of it is read from a proof. A plan exists only for relations whose integers cannot wrap modulo p:
//! every accumulator stays below 2^62 and so does everything that limbs can express.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::disclosed::{self, Derived, NO_LIMBS};
use super::error::{LayoutError, VerifyError};
use super::explicit::Explicit;
use super::layout::{Group, Home, Layout, Named, Tensor};
use super::logup::Blocks;
use super::placer::Placer;
use super::relation::{Lay, Placed, Stated, derived};
use super::shapes::{Classes, Lengths, Shapes};
use super::table::Table;
use super::tally::Tally;
use super::walk::walk;
use crate::graph::{IntRange, TensorId};
use crate::relations::SliceRelations;

/// Narrowest and widest full limb.
pub const LIMB_BITS: std::ops::RangeInclusive<u8> = 4..=16;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) layout: Layout,
    /// One per relation.
    pub(super) steps: Vec<Placed>,
    /// Where every list of the lookup argument stands.
    pub(super) blocks: Blocks,
    /// Number of scalars of every proof.
    pub(super) scalars: usize,
}

/// What a plan's digest is of. Its blocks stand beside it, and scalars follow.
impl Serialize for Plan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Described<'a> {
            tensors: &'a BTreeMap<TensorId, Tensor>,
            groups: &'a [Group],
            relation_groups: usize,
            tables: &'a [Table],
            #[serde(skip_serializing_if = "<[Explicit]>::is_empty")]
            explicit: &'a [Explicit],
            #[serde(skip_serializing_if = "<[Named]>::is_empty")]
            named: &'a [Named],
            steps: &'a [Placed],
        }
        let Layout {
            tensors,
            groups,
            relation_groups,
            tables,
            explicit,
            named,
            // Those of permutations and reads, which are among the steps.
            multisets: _,
            // By the parameter that stands beside the plan.
            disclosed: _,
        } = &self.layout;
        let described = Described {
            tensors,
            groups,
            relation_groups: *relation_groups,
            tables,
            explicit,
            named,
            steps: &self.steps,
        };
        described.serialize(serializer)
    }
}

/// What is the same of a slice at every width of limbs: its relations, and the axes of their tensors.
pub(super) struct Sketch<'a> {
    relations: &'a SliceRelations,
    stated: Vec<Stated<'a>>,
    shapes: Shapes,
}

/// Everything in its place, but what a proof has is not counted yet: nothing can be proved or verified with it.
pub(super) struct Uncounted<'a> {
    relations: &'a SliceRelations,
    plan: Plan,
}

impl<'a> Sketch<'a> {
    /// Checks that every relation fits its tensors.
    ///
    /// # Errors
    /// A relation that does not.
    pub(super) fn of(relations: &'a SliceRelations) -> Result<Self, LayoutError> {
        let stated: Vec<_> = relations.relations.iter().map(Stated::of).collect();
        let shapes = shapes(relations, &stated)?;
        Ok(Self {
            relations,
            stated,
            shapes,
        })
    }

    /// Places every relation of the slice.
    ///
    /// # Errors
    /// A relation that has no layout; see [`LayoutError`].
    pub(super) fn place(&self, limb_bits: u8) -> Result<Uncounted<'a>, LayoutError> {
        if limb_bits != NO_LIMBS && !LIMB_BITS.contains(&limb_bits) {
            return Err(LayoutError::Parameters {
                limb_bits,
                min: *LIMB_BITS.start(),
                max: *LIMB_BITS.end(),
            });
        }
        let relations = self.relations;
        let mut placer = Placer::new(limb_bits, &self.shapes, &relations.outputs);
        for (i, tensor) in relations.inputs.iter().enumerate() {
            if !(1..=IntRange::MAX_BITS).contains(&tensor.range.bits) {
                return Err(LayoutError::Range { tensor: tensor.id.0 });
            }
            placer.make(tensor.id, tensor.range, Home::Input(i))?;
        }
        let both = self.stated.iter().zip(&relations.relations);
        let steps = both.map(|(stated, relation)| {
            if !placer.discloses() {
                return stated.place(&mut placer);
            }
            let placed = derived::place(relation, stated, &mut placer)?;
            let layout = &mut placer.layout;
            let named = relation
                .output()
                .and_then(|made| disclosed::named(relation, made, layout));
            layout.named.extend(named);
            Ok(placed)
        });
        let steps = steps.collect::<Result<Vec<_>, _>>()?;
        for (index, output) in relations.outputs.iter().enumerate() {
            let made = placer.layout.tensors.get(&output.id);
            let fits = |t: &Tensor| {
                // The index too: of a tensor that is listed twice only one copy would be checked.
                matches!(t.home, Home::Output(i) if i == index)
                    && t.axes.len() == output.len
                    && t.range == output.range
            };
            if !made.is_some_and(fits) {
                return Err(LayoutError::Unmade { tensor: output.id.0 });
            }
        }
        let layout = placer.finish();
        let plan = Plan {
            blocks: Blocks::new(&layout),
            layout,
            steps,
            scalars: 0,
        };
        Ok(Uncounted { relations, plan })
    }
}

impl Uncounted<'_> {
    /// The plan without its counts: what it says of claims and openings is too little.
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The whole plan.
    ///
    /// # Errors
    /// A walk that does not end.
    pub(super) fn counted(self) -> Result<Plan, LayoutError> {
        let Self { relations, mut plan } = self;
        plan.count(relations)
            .map_err(|e| LayoutError::Uncounted(Box::new(e)))?;
        Ok(plan)
    }
}

impl Plan {
    /// Places every relation of a slice.
    ///
    /// # Errors
    /// A relation that has no layout; see [`LayoutError`].
    pub(super) fn new(relations: &SliceRelations, limb_bits: u8) -> Result<Self, LayoutError> {
        Sketch::of(relations)?.place(limb_bits)?.counted()
    }

    /// Counts scalars, claims and openings: those of the verifier's own walk.
    fn count(&mut self, relations: &SliceRelations) -> Result<(), VerifyError> {
        let (tally, opened) = walk(self, relations, Tally::default(), [&[], &[]], &Derived::default())?;
        let Tally { scalars, claims } = tally;
        self.scalars = scalars;
        for (id, claims) in claims {
            if let Some(tensor) = self.layout.tensors.get_mut(&id) {
                tensor.claims = claims;
            }
        }
        for (group, opened) in self.layout.groups.iter_mut().zip(opened) {
            // The first is of all columns, where they are looked up.
            group.openings = opened.into_iter().skip(1).map(|o| o.columns).collect();
        }
        Ok(())
    }
}

/// Checks that every relation fits its tensors, and chooses axes.
fn shapes(relations: &SliceRelations, stated: &[Stated<'_>]) -> Result<Shapes, LayoutError> {
    let mut lens = Lengths::new(&relations.inputs)?;
    for relation in stated {
        if let Some((id, len)) = relation.length(&lens)? {
            lens.make(id, len)?;
        }
    }
    let mut classes = Classes::new(lens);
    stated.iter().for_each(|r| r.join(&mut classes));
    stated.iter().for_each(|r| r.cut(&mut classes));
    // What one end of a chain cuts reaches the other.
    stated.iter().for_each(|r| r.keep(&mut classes));
    stated.iter().rev().for_each(|r| r.keep(&mut classes));
    Ok(classes.finish())
}
