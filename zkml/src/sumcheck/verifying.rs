//! A verifier while it walks the relations: what was claimed so far, and where each claim is settled.
//!
//! Invariant: a claim on a tensor ends in the statement's values or what the verifier has derived, in the opening, or in a later
//! relation's turn; nothing else is believed. It calls no prover code.

use std::collections::BTreeMap;

use super::axes::Axes;
use super::channel::Channel;
use super::columns::Values;
use super::commitment::Opened;
use super::disclosed::Derived;
use super::error::{Fault, VerifyError};
use super::field::EF;
use super::layout::{Home, Layout, Limbs, Tensor};
use super::transcript::Label;
use crate::graph::TensorId;

/// The verifier's state while it walks the relations.
pub(super) struct Verifying<'a, C> {
    layout: &'a Layout,
    pub(super) channel: C,
    inputs: &'a [&'a [i64]],
    outputs: &'a [&'a [i64]],
    derived: &'a Derived,
    /// Per group what it must open to.
    opened: Vec<Vec<Opened>>,
    /// Claims on wirings, which are reduced when their turn comes.
    pending: BTreeMap<TensorId, Vec<(Vec<EF>, EF)>>,
}

impl<'a, C: Channel> Verifying<'a, C> {
    /// Nothing is received yet.
    pub(super) fn new(
        layout: &'a Layout,
        channel: C,
        [inputs, outputs]: [&'a [&'a [i64]]; 2],
        derived: &'a Derived,
    ) -> Self {
        Self {
            layout,
            channel,
            inputs,
            outputs,
            derived,
            opened: Vec::new(),
            pending: BTreeMap::new(),
        }
    }

    pub(super) fn layout(&self) -> &'a Layout {
        self.layout
    }

    /// Receives the values of all columns at the last coordinates of the lookup argument's point.
    pub(super) fn receive_columns(&mut self, rho: &[EF]) -> Result<(), VerifyError> {
        for group in &self.layout.groups {
            let point = rho[rho.len() - group.axes.arity()..].to_vec();
            let columns: Vec<usize> = (0..group.columns).collect();
            let values = self.channel.receive(Label::Columns, columns.len())?;
            self.opened.push(vec![Opened {
                columns,
                point,
                values,
            }]);
        }
        Ok(())
    }

    /// Per group the values of its columns at the lookup argument's point.
    pub(super) fn columns(&self) -> Vec<&[EF]> {
        self.opened.iter().map(|o| o[0].values.as_slice()).collect()
    }

    /// The point at which a group was looked up, with the values of its columns there.
    pub(super) fn looked_up(&self, group: usize) -> Opened {
        self.opened[group][0].clone()
    }

    pub(super) fn draw_point(&mut self, coordinates: usize) -> Vec<EF> {
        self.channel.draw_point(Label::OutputPoint, coordinates)
    }

    /// Values of columns at a point, to be shown by the opening.
    fn receive(
        &mut self,
        label: Label,
        group: usize,
        columns: Vec<usize>,
        point: &[EF],
    ) -> Result<Vec<EF>, VerifyError> {
        let values = self.channel.receive(label, columns.len())?;
        self.opened[group].push(Opened {
            columns,
            point: point.to_vec(),
            values: values.clone(),
        });
        Ok(values)
    }

    /// Values of the factors that a sum-check over products ends in.
    pub(super) fn open(
        &mut self,
        group: usize,
        columns: &[usize],
        point: &[EF],
    ) -> Result<Vec<EF>, VerifyError> {
        self.receive(Label::Factors, group, columns.to_vec(), point)
    }

    /// The MLE of a public output, from the statement's values.
    pub(super) fn output(&self, index: usize, axes: &Axes, point: &[EF]) -> EF {
        self.channel
            .compute(|| axes.all().evaluate(point, self.outputs[index]))
    }

    /// The value of a public tensor at a point, from the statement's values: no claim of a prover's.
    pub(super) fn public(&self, id: TensorId, point: &[EF]) -> Result<EF, VerifyError> {
        let tensor = self.tensor(id)?;
        match &tensor.home {
            Home::Input(index) => Ok(self
                .channel
                .compute(|| tensor.axes.all().evaluate(point, self.inputs[*index]))),
            Home::Output(index) => Ok(self.output(*index, &tensor.axes, point)),
            Home::Derived => Ok(self.known(&self.derived.values, tensor, id, point)),
            Home::Column { .. } | Home::Limbs { .. } | Home::Wired => {
                Err(VerifyError::Fault(Fault::NotPublic(id)))
            }
        }
    }

    /// The MLE of accumulators that the proof names, by the tensor that is made of them.
    pub(super) fn accumulators(&self, id: TensorId, point: &[EF]) -> Result<EF, VerifyError> {
        Ok(self.known(&self.derived.named, self.tensor(id)?, id, point))
    }

    /// The MLE of what the verifier has derived: all of it, before the walk. Nothing is there while claims are only counted.
    fn known(&self, of: &Values, tensor: &Tensor, id: TensorId, point: &[EF]) -> EF {
        self.channel.compute(|| {
            let values = of.get(&id).map(Vec::as_slice).unwrap_or_default();
            tensor.axes.all().evaluate(point, values)
        })
    }

    /// The values of an input, from the statement; none while claims are only counted, when there is none yet.
    pub(super) fn given(&self, id: TensorId) -> Result<Option<&'a [i64]>, VerifyError> {
        match self.tensor(id)?.home {
            Home::Input(index) => Ok(self.inputs.get(index).copied()),
            Home::Output(_) | Home::Column { .. } | Home::Limbs { .. } | Home::Wired | Home::Derived => {
                Err(VerifyError::Fault(Fault::NotPublic(id)))
            }
        }
    }

    /// The values of an output, from the statement; none where the tensor is none, or as for [`Self::given`].
    pub(super) fn made(&self, id: TensorId) -> Option<&'a [i64]> {
        match self.layout.tensor(id)?.home {
            Home::Output(index) => self.outputs.get(index).copied(),
            Home::Input(_) | Home::Column { .. } | Home::Limbs { .. } | Home::Wired | Home::Derived => None,
        }
    }

    fn tensor(&self, id: TensorId) -> Result<&'a Tensor, VerifyError> {
        self.layout
            .tensor(id)
            .ok_or(VerifyError::Fault(Fault::NoTensor(id)))
    }

    /// The value of a tensor at a point: computed for a public tensor, otherwise received and settled later.
    pub(super) fn claim(&mut self, id: TensorId, point: &[EF]) -> Result<EF, VerifyError> {
        self.channel.claimed(id);
        let tensor = self.tensor(id)?;
        match &tensor.home {
            Home::Input(_) | Home::Output(_) | Home::Derived => self.public(id, point),
            Home::Column { group, column } => {
                Ok(self.receive(Label::Claim, *group, vec![*column], point)?[0])
            }
            // z = q is not committed: it is what its limbs say, on values; its padding is 0.
            Home::Limbs { group, limbs, offset } => {
                let parts = self.receive(Label::Claim, *group, limbs.columns().collect(), point)?;
                let ones = tensor.axes.all().indicator(point);
                Ok(Limbs::less(limbs.value_of(&parts), *offset, ones))
            }
            Home::Wired => {
                let [value] = self.channel.receive_array(Label::Claim)?;
                self.pending.entry(id).or_default().push((point.to_vec(), value));
                Ok(value)
            }
        }
    }

    /// The value of a tensor at its last coordinates of the lookup argument's point, where its columns are open already.
    pub(super) fn compared(&mut self, id: TensorId, rho: &[EF]) -> Result<EF, VerifyError> {
        let tensor = self.tensor(id)?;
        let point = &rho[rho.len() - tensor.axes.arity()..];
        match &tensor.home {
            Home::Column { group, column } => Ok(self.opened[*group][0].values[*column]),
            Home::Limbs { group, limbs, offset } => {
                let q = limbs.value(&self.opened[*group][0].values);
                Ok(Limbs::less(q, *offset, tensor.axes.all().indicator(point)))
            }
            Home::Input(_) | Home::Output(_) | Home::Derived => self.public(id, point),
            Home::Wired => self.claim(id, point),
        }
    }

    /// All claims on a wiring.
    pub(super) fn take_pending(&mut self, id: TensorId) -> Vec<(Vec<EF>, EF)> {
        self.pending.remove(&id).unwrap_or_default()
    }

    /// Ends the walk: what remains of the channel, and what every group must open to.
    pub(super) fn finish(self) -> Result<(C, Vec<Vec<Opened>>), VerifyError> {
        // A claim that nobody has settled would be believed.
        match self.pending.keys().next() {
            Some(&open) => Err(VerifyError::Fault(Fault::OpenClaim(open))),
            None => Ok((self.channel, self.opened)),
        }
    }
}
