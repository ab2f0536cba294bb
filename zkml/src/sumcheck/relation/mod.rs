//! The relations, each as a reduction: claims on what it makes become claims on what it reads.
//!
//! A proof walks them last first, so when a relation's turn comes every claim on its output has been made. A claim on a tensor
//! is settled where the tensor lives (`layout::Home`): by the verifier itself for a public one, by the opening
//! for a committed column, by the opening of its limbs for a quotient, later in the walk for a wiring.
//!
//! **Padding is 0, and proved to be.** Public tensors are padded by the verifier. A quotient's limbs at a padded place express an
//! accumulator that is 0 there (no bias, and inputs whose padding is 0), as integers below 2^62, so every limb is 0, and so are
//! the row's rectified value and sign. A maximum's pairs start from 0 and have `above = below` and `above · below = 0` there. A
//! wiring's output is summed over values alone. A product of zeros is 0.
//! A permutation's, a read's and a table's are compared with 0 ([`multiset`](super::multiset)). Only matrix products, batches and
//! those three rely on it.
//!
//! Each file holds all that is known of its relation: what it says ([`Lay`]) and what is argued once it has a place ([`Argue`]).
//! The lists here are made of the closed one ([`relations`](crate::relations)); the verifier's side calls nothing of the prover's.

mod conv;
mod dense;
pub(super) mod derived;
mod digest;
mod form;
mod general;
mod linear;
mod scale;

use serde::{Serialize, Serializer};

use super::channel::Channel;
use super::columns::{Columns, Values};
use super::error::{LayoutError, ProveError, VerifyError};
use super::layout::{Home, Layout};
use super::placer::Placer;
use super::proving::{Proving, Voice};
use super::shapes::{Classes, Lengths};
use super::verifying::Verifying;
use super::work::{Work, evaluation, opening};
use crate::graph::TensorId;
use crate::relations::Relation;

/// What a relation says, before any of its tensors has a place. Nothing has a default: a relation says all of it.
pub(super) trait Lay {
    /// The tensor that it makes and its length; `None` if it makes none.
    ///
    /// # Errors
    /// A tensor that is read before it is made, a map that does not fit, an index outside its tensor.
    fn length(&self, lens: &Lengths) -> Result<Option<(TensorId, usize)>, LayoutError>;

    /// Gives tensors whose positions it keeps the same axes.
    fn join(&self, classes: &mut Classes);

    /// Cuts axes where its own axes end.
    fn cut(&self, classes: &mut Classes);

    /// Gives what it keeps in place the same cuts on both sides.
    fn keep(&self, classes: &mut Classes);

    /// Places its columns, and the tensor that it makes.
    ///
    /// # Errors
    /// What has no layout.
    fn place(&self, placer: &mut Placer<'_>) -> Result<Placed, LayoutError>;
}

/// How a relation with its place stands in a plan's encoding.
pub(super) trait Written: Serialize {
    /// The word before it; none where it says itself what it is.
    const TAG: Option<&'static str>;

    /// Writes it.
    ///
    /// # Errors
    /// The serializer's.
    fn tagged<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match Self::TAG {
            Some(tag) => serializer.serialize_newtype_variant("Placed", 0, tag, self),
            None => self.serialize(serializer),
        }
    }
}

/// What is argued of a relation that has its place. Nothing has a default: what a relation does not count is not bounded.
pub(super) trait Argue {
    /// Fills the relation's columns; the tensor that it makes, `None` if it makes none.
    ///
    /// # Errors
    /// Values that the relation has no output for.
    fn fill(
        &self,
        relation: &Relation,
        columns: &mut Columns<'_>,
        values: &Values,
    ) -> Result<Option<(TensorId, Vec<i64>)>, ProveError>;

    /// Says what the verifier needs.
    fn prove<V: Voice>(&self, relation: &Relation, state: &mut Proving<'_, V>);

    /// Checks the relation.
    ///
    /// # Errors
    /// The check that fails.
    fn verify<C: Channel>(
        &self,
        relation: &Relation,
        state: &mut Verifying<'_, C>,
    ) -> Result<(), VerifyError>;

    /// What it takes.
    fn work(&self, relation: &Relation, layout: &Layout) -> Work;
}

/// What is made of the closed list: modules, both lists, and each call passed on.
macro_rules! lists {
    ($($relation:ident($file:ident) { $($field:ident),* },)*) => {
        $(pub(super) mod $file;)*

        /// A relation as it is said. In a key it stands by this encoding: coefficients and indices by their digests.
        #[derive(Debug, Serialize)]
        pub(super) enum Stated<'a> {
            $($relation($file::Stated<'a>),)*
        }

        impl<'a> Stated<'a> {
            pub(super) fn of(relation: &'a Relation) -> Self {
                match relation {
                    $(Relation::$relation { $($field),* } => {
                        Self::$relation($file::Stated::of($($field),*))
                    })*
                }
            }
        }

        impl Lay for Stated<'_> {
            fn length(&self, lens: &Lengths) -> Result<Option<(TensorId, usize)>, LayoutError> {
                match self { $(Self::$relation(one) => one.length(lens),)* }
            }

            fn join(&self, classes: &mut Classes) {
                match self { $(Self::$relation(one) => one.join(classes),)* }
            }

            fn cut(&self, classes: &mut Classes) {
                match self { $(Self::$relation(one) => one.cut(classes),)* }
            }

            fn keep(&self, classes: &mut Classes) {
                match self { $(Self::$relation(one) => one.keep(classes),)* }
            }

            fn place(&self, placer: &mut Placer<'_>) -> Result<Placed, LayoutError> {
                match self { $(Self::$relation(one) => one.place(placer),)* }
            }
        }

        /// A relation with its place. Its encoding is part of a plan's digest: see [`Written::TAG`].
        #[derive(Debug, Clone)]
        pub(super) enum Placed {
            $($relation($file::Placed),)*
            /// Of any relation that a verifier follows itself.
            Derived(derived::Placed),
        }

        impl Serialize for Placed {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$relation(one) => one.tagged(serializer),)*
                    Self::Derived(one) => one.tagged(serializer),
                }
            }
        }

        impl Argue for Placed {
            fn fill(
                &self,
                relation: &Relation,
                columns: &mut Columns<'_>,
                values: &Values,
            ) -> Result<Option<(TensorId, Vec<i64>)>, ProveError> {
                match self {
                    $(Self::$relation(one) => one.fill(relation, columns, values),)*
                    Self::Derived(one) => one.fill(relation, columns, values),
                }
            }

            fn prove<V: Voice>(&self, relation: &Relation, state: &mut Proving<'_, V>) {
                match self {
                    $(Self::$relation(one) => one.prove(relation, state),)*
                    Self::Derived(one) => one.prove(relation, state),
                }
            }

            fn verify<C: Channel>(
                &self,
                relation: &Relation,
                state: &mut Verifying<'_, C>,
            ) -> Result<(), VerifyError> {
                match self {
                    $(Self::$relation(one) => one.verify(relation, state),)*
                    Self::Derived(one) => one.verify(relation, state),
                }
            }

            fn work(&self, relation: &Relation, layout: &Layout) -> Work {
                match self {
                    $(Self::$relation(one) => one.work(relation, layout),)*
                    Self::Derived(one) => one.work(relation, layout),
                }
            }
        }
    };
}

crate::relations::relations!(lists);

/// Places of a tensor, padding included.
fn size(layout: &Layout, id: TensorId) -> u64 {
    layout.tensor(id).map_or(0, |t| 1 << t.axes.arity())
}

/// Values of a tensor.
fn values(layout: &Layout, id: TensorId) -> usize {
    layout.tensor(id).map_or(0, |t| t.axes.len())
}

/// Rounds of a sum-check over a whole tensor.
fn arity(layout: &Layout, id: TensorId) -> u64 {
    layout.arity(id) as u64
}

/// Steps for one claim on a tensor: of a wiring's none, because they are counted there.
fn claim(layout: &Layout, id: TensorId) -> u64 {
    layout.tensor(id).map_or(0, |t| match &t.home {
        Home::Input(_) | Home::Output(_) | Home::Derived => evaluation(t.axes.len()),
        Home::Column { .. } => opening(&t.axes, 1),
        Home::Limbs { limbs, .. } => opening(&t.axes, limbs.parts.len()),
        Home::Wired => 0,
    })
}
