//! Verifies one slice proof against one statement.
//!
//! Invariants: it never panics; it takes nothing but bytes from the prover, and every count and size from the key; exactly
//! one byte string is the encoding of a proof; it calls no prover code.

use std::collections::BTreeMap;
use std::panic::catch_unwind;

use zkinfer_crds::Digest;

use super::channel::Receiver;
use super::commitment::{Commitment, Opened, Opening};
use super::error::{Fault, VerifyError};
use super::field::{EF, EF_BYTES, signed};
use super::gkr;
use super::instance::absorb;
use super::key::{Inner, Key};
use super::logup;
use super::plan::{Home, Plan};
use super::relation;
use super::transcript::{Label, Transcript};
use crate::graph::TensorId;
use crate::relations::check_values;

/// No proof is longer; an envelope holds no more.
pub const MAX_PROOF_BYTES: usize = 512 << 10;

/// Accepts `proof` for `statement` and the public values, or says why not.
///
/// # Errors
/// Public values of the wrong length or range, malformed bytes, or a proof that does not hold.
pub fn verify(
    key: &Key,
    statement: &Digest,
    inputs: &[&[i64]],
    outputs: &[&[i64]],
    proof: &[u8],
) -> Result<(), VerifyError> {
    let inner = &*key.inner;
    let (scalars, root, opening) = decode(inner, proof)?;
    check_values("input", &inner.relations.inputs, inputs)?;
    check_values("output", &inner.relations.outputs, outputs)?;

    // Everything that is public, then the commitment: no challenge is known before.
    let mut transcript = Transcript::new();
    absorb(&mut transcript, statement, &key.digest(), inputs, outputs);
    inner
        .scheme
        .observe(&root, transcript.delegate(Label::Commitment));

    // Every looked-up cell is a row of its table …
    let mut receiver = Receiver::new(transcript, scalars);
    let fingerprint = logup::draw(&mut receiver);
    let leaves = gkr::verify(&mut receiver, inner.blocks.layers)?;
    // … provided that the columns have these values at its point, which the opening will show.
    let mut opened = Vec::new();
    for group in &inner.plan.groups {
        let point = leaves.point[leaves.point.len() - group.axes.arity()..].to_vec();
        let columns: Vec<usize> = (0..group.columns).collect();
        let values = receiver.receive(Label::Columns, columns.len())?;
        opened.push(vec![Opened {
            columns,
            point,
            values,
        }]);
    }
    let mut state = Verifying {
        key: inner,
        receiver,
        inputs,
        outputs,
        opened,
        pending: BTreeMap::new(),
    };
    let compared = inner.plan.compared().into_iter();
    let tensors = compared
        .map(|id| Ok((id, state.compared(id, &leaves.point)?)))
        .collect::<Result<BTreeMap<_, _>, VerifyError>>()?;
    let values: Vec<&[EF]> = state.opened.iter().map(|o| o[0].values.as_slice()).collect();
    let output = |index, point: &[EF]| state.output(index, point);
    logup::check(
        &inner.plan,
        &inner.blocks,
        fingerprint,
        &leaves,
        &values,
        &tensors,
        output,
    )?;

    // Outputs first: each relation turns claims on what it makes into claims on what it reads.
    for (step, relation) in inner.plan.steps.iter().zip(&inner.relations.relations).rev() {
        relation::verify(&mut state, step, relation)?;
    }
    let Verifying {
        receiver,
        opened,
        pending,
        ..
    } = state;
    // A claim that nobody has settled would be believed.
    if let Some(&open) = pending.keys().next() {
        return Err(VerifyError::Fault(Fault::OpenClaim(open)));
    }
    let mut transcript = receiver.finish()?;
    let opened = opened.into_iter().flatten().collect();
    inner
        .scheme
        .verify(&root, opening, opened, transcript.delegate(Label::Opening))
}

/// Splits a proof into its scalars, root and opening. Nothing is hashed for bytes that are no proof.
fn decode<'p>(key: &Inner, proof: &'p [u8]) -> Result<(&'p [u8], Commitment, Opening), VerifyError> {
    if proof.len() > MAX_PROOF_BYTES {
        return Err(VerifyError::Malformed("it is too long"));
    }
    let (scalars, tail) = proof
        .split_at_checked(key.scalars * EF_BYTES)
        .ok_or(VerifyError::Malformed("it is too short"))?;
    // Lengths in the bytes allocate nothing that the bytes do not fill; should a decoder panic, they are refused.
    let (root, opening) = catch_unwind(|| postcard::from_bytes::<(Commitment, Opening)>(tail))
        .ok()
        .and_then(Result::ok)
        .ok_or(VerifyError::Malformed("the opening does not decode"))?;
    // The library reads a list of roots and looks at the first: the others would be room for anything.
    let rounds = opening.rounds.iter().filter_map(|r| r.commitment.as_ref());
    if rounds.chain([&root]).any(|c| c.num_roots() != 1) {
        return Err(VerifyError::Malformed("a commitment is not one root"));
    }
    // The library's decoder accepts long spellings of a number, and trailing bytes.
    let again = postcard::to_allocvec(&(&root, &opening)).ok();
    if again.as_deref() == Some(tail) {
        Ok((scalars, root, opening))
    } else {
        Err(VerifyError::Malformed("the opening is not canonical"))
    }
}

/// The verifier's state while it walks the relations.
pub(super) struct Verifying<'a> {
    key: &'a Inner,
    pub(super) receiver: Receiver<'a>,
    inputs: &'a [&'a [i64]],
    outputs: &'a [&'a [i64]],
    /// Per group what it must open to.
    opened: Vec<Vec<Opened>>,
    /// Claims on wirings, which are reduced when their turn comes.
    pending: BTreeMap<TensorId, Vec<(Vec<EF>, EF)>>,
}

impl<'a> Verifying<'a> {
    pub(super) fn plan(&self) -> &'a Plan {
        &self.key.plan
    }

    /// The point at which a group was looked up, with the values of its columns there.
    pub(super) fn looked_up(&self, group: usize) -> Opened {
        self.opened[group][0].clone()
    }

    pub(super) fn draw_point(&mut self, coordinates: usize) -> Vec<EF> {
        self.receiver
            .transcript
            .draw_point(Label::OutputPoint, coordinates)
    }

    /// Values of columns at a point, to be shown by the opening.
    fn receive(
        &mut self,
        label: Label,
        group: usize,
        columns: Vec<usize>,
        point: &[EF],
    ) -> Result<Vec<EF>, VerifyError> {
        let values = self.receiver.receive(label, columns.len())?;
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
    fn output(&self, index: usize, point: &[EF]) -> EF {
        let tensor = &self.key.relations.outputs[index];
        let axes = self.plan().tensor(tensor.id).map(|t| &t.axes);
        axes.map_or_else(EF::default, |a| a.all().evaluate(point, self.outputs[index]))
    }

    /// The value of a tensor at a point: computed for a public tensor, otherwise received and settled later.
    pub(super) fn claim(&mut self, id: TensorId, point: &[EF]) -> Result<EF, VerifyError> {
        let tensor = self
            .plan()
            .tensor(id)
            .ok_or(VerifyError::Fault(Fault::NoTensor(id)))?;
        match &tensor.home {
            Home::Input(index) => Ok(tensor.axes.all().evaluate(point, self.inputs[*index])),
            Home::Output(index) => Ok(self.output(*index, point)),
            Home::Column { group, column } => {
                Ok(self.receive(Label::Claim, *group, vec![*column], point)?[0])
            }
            // z = q is not committed: it is what its limbs say, on values; its padding is 0.
            Home::Limbs { group, limbs, offset } => {
                let parts = self.receive(Label::Claim, *group, limbs.columns().collect(), point)?;
                Ok(limbs.value_of(&parts) - tensor.axes.all().indicator(point) * signed(*offset))
            }
            Home::Wired => {
                let [value] = self.receiver.receive_array(Label::Claim)?;
                self.pending.entry(id).or_default().push((point.to_vec(), value));
                Ok(value)
            }
        }
    }

    /// The value of a tensor at its last coordinates of the lookup argument's point, where its columns are open already.
    fn compared(&mut self, id: TensorId, rho: &[EF]) -> Result<EF, VerifyError> {
        let tensor = self
            .plan()
            .tensor(id)
            .ok_or(VerifyError::Fault(Fault::NoTensor(id)))?;
        let point = &rho[rho.len() - tensor.axes.arity()..];
        match &tensor.home {
            Home::Column { group, column } => Ok(self.opened[*group][0].values[*column]),
            Home::Limbs { group, limbs, offset } => {
                let q = limbs.value(&self.opened[*group][0].values);
                Ok(q - tensor.axes.all().indicator(point) * signed(*offset))
            }
            Home::Input(_) | Home::Output(_) | Home::Wired => self.claim(id, point),
        }
    }

    /// All claims on a wiring.
    pub(super) fn take_pending(&mut self, id: TensorId) -> Vec<(Vec<EF>, EF)> {
        self.pending.remove(&id).unwrap_or_default()
    }
}
