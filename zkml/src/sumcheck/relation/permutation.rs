//! Permutations: `z` has the values of `x`, each as often. Both lists are compared in the lookup argument
//! ([`multiset`](crate::sumcheck::multiset) says why that suffices); no round of its own is needed.

use serde::Serialize;

use super::{Argue, Lay, Written, size};
use crate::graph::TensorId;
use crate::relations::Relation;
use crate::sumcheck::channel::Channel;
use crate::sumcheck::columns::{Columns, Values, values_of};
use crate::sumcheck::error::{LayoutError, ProveError, VerifyError};
use crate::sumcheck::layout::{Layout, Multiset, Side};
use crate::sumcheck::placer::Placer;
use crate::sumcheck::proving::{Proving, Voice};
use crate::sumcheck::shapes::{Classes, Lengths};
use crate::sumcheck::verifying::Verifying;
use crate::sumcheck::work::Work;

/// A tensor with the values of another.
#[derive(Debug, Serialize)]
pub(in crate::sumcheck) struct Stated<'a> {
    input: &'a TensorId,
    output: &'a TensorId,
}

impl<'a> Stated<'a> {
    pub(super) const fn of(input: &'a TensorId, output: &'a TensorId) -> Self {
        Self { input, output }
    }
}

/// In a plan it stands among the multisets.
#[derive(Debug, Clone, Serialize)]
pub(in crate::sumcheck) enum Placed {
    Multiset(Lists),
}

/// The lists that are compared.
#[derive(Debug, Clone, Serialize)]
pub(in crate::sumcheck) enum Lists {
    /// Equal axes.
    Permutation { input: TensorId, output: TensorId },
}

impl Lay for Stated<'_> {
    fn length(&self, lens: &Lengths) -> Result<Option<(TensorId, usize)>, LayoutError> {
        Ok(Some((*self.output, lens.of(*self.input)?)))
    }

    fn join(&self, classes: &mut Classes) {
        classes.join(*self.input, *self.output);
    }

    fn cut(&self, _: &mut Classes) {}

    fn keep(&self, _: &mut Classes) {}

    fn place(&self, placer: &mut Placer<'_>) -> Result<super::Placed, LayoutError> {
        let (input, output) = (*self.input, *self.output);
        let range = placer.get(input)?.range;
        placer.make_unbounded(output, range)?;
        let layout = &placer.layout;
        let sides = vec![
            (Side::Output(output), layout.arity(output)),
            (Side::Input(input), layout.arity(input)),
        ];
        placer.compare(Multiset {
            tensors: vec![input, output],
            sides,
        });
        let lists = Lists::Permutation { input, output };
        Ok(super::Placed::Permutation(Placed::Multiset(lists)))
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
        let Self::Multiset(Lists::Permutation { input, output }) = self;
        let mut made = values_of(values, *input).to_vec();
        made.sort_unstable();
        columns.put_output(*output, &made);
        Ok(Some((*output, made)))
    }

    fn prove<V: Voice>(&self, _: &Relation, _: &mut Proving<'_, V>) {}

    /// The lookup argument has shown it.
    fn verify<C: Channel>(&self, _: &Relation, _: &mut Verifying<'_, C>) -> Result<(), VerifyError> {
        Ok(())
    }

    /// What the lookup argument compares is counted with it.
    fn work(&self, _: &Relation, layout: &Layout) -> Work {
        let Self::Multiset(Lists::Permutation { input, output }) = self;
        Work {
            prover: 60 * (size(layout, *input) + size(layout, *output)),
            ..Work::default()
        }
    }
}
