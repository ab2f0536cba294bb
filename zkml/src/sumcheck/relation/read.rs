//! Reads by computed indices: `z[t] = x[i[t]]`. Pairs of index and value are compared with the positions of `x` in the lookup
//! argument ([`multiset`](crate::sumcheck::multiset) says why that suffices); no round of its own is needed.

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

/// Values of a tensor by indices.
#[derive(Debug, Serialize)]
pub(in crate::sumcheck) struct Stated<'a> {
    input: &'a TensorId,
    index: &'a TensorId,
    output: &'a TensorId,
}

impl<'a> Stated<'a> {
    pub(super) const fn of(input: &'a TensorId, index: &'a TensorId, output: &'a TensorId) -> Self {
        Self { input, index, output }
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
    /// `index` and `output` have equal axes. The one column of group `counts` has the axes of `input`.
    Read {
        input: TensorId,
        index: TensorId,
        output: TensorId,
        counts: usize,
    },
}

impl Lay for Stated<'_> {
    fn length(&self, lens: &Lengths) -> Result<Option<(TensorId, usize)>, LayoutError> {
        lens.of(*self.input)?;
        Ok(Some((*self.output, lens.of(*self.index)?)))
    }

    fn join(&self, classes: &mut Classes) {
        classes.join(*self.index, *self.output);
    }

    fn cut(&self, _: &mut Classes) {}

    fn keep(&self, _: &mut Classes) {}

    fn place(&self, placer: &mut Placer<'_>) -> Result<super::Placed, LayoutError> {
        let (input, index, output) = (*self.input, *self.index, *self.output);
        placer.get(index)?;
        let read = placer.get(input)?;
        let (axes, range) = (read.axes.clone(), read.range);
        let counts = placer.open_group(&axes);
        placer.column(counts);
        placer.make_unbounded(output, range)?;
        let layout = &placer.layout;
        let places = layout.padded(output);
        let mut sides = vec![
            (Side::Reads { index, output }, layout.arity(output)),
            (Side::Rows { input, counts }, layout.arity(input)),
        ];
        sides.extend((places > 0).then_some((Side::Padding { places }, 0)));
        placer.compare(Multiset {
            tensors: vec![input, index, output],
            sides,
        });
        let lists = Lists::Read {
            input,
            index,
            output,
            counts,
        };
        Ok(super::Placed::Read(Placed::Multiset(lists)))
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
        let Self::Multiset(Lists::Read {
            input,
            index,
            output,
            counts,
        }) = self;
        let x = values_of(values, *input);
        let (mut made, mut read) = (Vec::new(), vec![0u64; x.len()]);
        for (at, &i) in values_of(values, *index).iter().enumerate() {
            let inside = usize::try_from(i).ok().filter(|i| *i < x.len());
            let i = inside.ok_or(ProveError::Index {
                tensor: index.0,
                index: at,
            })?;
            made.push(x[i]);
            read[i] += 1;
        }
        columns.put(*counts, 0, &read, |v| v);
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
        let Self::Multiset(Lists::Read {
            input, index, output, ..
        }) = self;
        let sizes = [input, index, output].map(|id| size(layout, *id));
        Work {
            prover: 60 * sizes.iter().sum::<u64>(),
            ..Work::default()
        }
    }
}
