//! Proves one slice for one statement.

use std::panic::{AssertUnwindSafe, catch_unwind};

use p3_field::PrimeCharacteristicRing;
use zkinfer_crds::Digest;

use super::channel::{Sender, encode};
use super::columns::Values;
use super::commitment::{self, Committed};
use super::disclosed;
use super::error::ProveError;
use super::field::{EF, F};
use super::fingerprint::Fingerprint;
use super::gkr;
use super::instance::absorb;
use super::key::{Inner, Key};
use super::layout::{Layout, Second};
use super::logup::Content;
use super::multiset;
use super::proving::{Proving, Voice};
use super::relation::Argue;
use super::transcript::{Challenges, Label, Silent, Transcript};
use super::witness::Witness;
use crate::graph::TensorId;
use crate::relations::check_values;

/// A slice proof with the outputs that it is for.
#[derive(Debug, Clone)]
pub struct Proved {
    /// The proof.
    pub proof: Vec<u8>,
    /// Values of the slice's outputs, in the manifest's order.
    pub outputs: Vec<Vec<i64>>,
}

/// Proves a slice. The proof is a function of the arguments alone, and hides nothing.
///
/// # Errors
/// Inputs of the wrong length or range, inputs outside the calibrated range, or a failing library.
pub fn prove(key: &Key, statement: &Digest, inputs: &[&[i64]]) -> Result<Proved, ProveError> {
    check_values("input", &key.inner.relations.inputs, inputs)?;
    let witness = Witness::new(&key.inner.plan, &key.inner.relations, inputs)?;
    let (proved, Silent) = prove_witness(&key.inner, &key.digest(), statement, inputs, witness, Silent)?;
    Ok(proved)
}

/// Proves whatever the witness says, in some voice; what became of the voice.
pub(super) fn prove_witness<V: Voice>(
    key: &Inner,
    digest: &Digest,
    statement: &Digest,
    inputs: &[&[i64]],
    witness: Witness,
    voice: V,
) -> Result<(Proved, V), ProveError> {
    let values = |id: TensorId| witness.values.get(&id).cloned().unwrap_or_default();
    let outputs: Vec<Vec<i64>> = key.relations.outputs.iter().map(|t| values(t.id)).collect();
    let mut transcript = Transcript::new(voice);
    let views: Vec<&[i64]> = outputs.iter().map(Vec::as_slice).collect();
    absorb(&mut transcript, statement, digest, inputs, &views);
    disclosed::absorb(&mut transcript, &key.plan.layout, &witness.named);
    // The library panics where it cannot go on.
    let run = || argue(key, transcript, witness);
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok((proof, voice))) => Ok((Proved { proof, outputs }, voice)),
        Ok(Err(e)) => Err(ProveError::Prover(e)),
        Err(_) => Err(ProveError::Prover("the library panicked".to_owned())),
    }
}

fn argue<V: Voice>(
    key: &Inner,
    mut transcript: Transcript<V>,
    witness: Witness,
) -> Result<(Vec<u8>, V), String> {
    let Witness {
        values,
        groups,
        named,
    } = witness;
    let layout = &key.plan.layout;
    let Some(scheme) = &key.scheme else {
        let mut state = Proving::new(layout, Sender::new(transcript), None, &values);
        walk(key, &mut state);
        let (
            Sender {
                mut transcript,
                scalars,
            },
            _,
        ) = state.finish();
        let mut proof = disclosed::encode(layout, &named);
        proof.extend(scalars.iter().flat_map(encode));
        proof.extend(encode(&transcript.draw(Label::Seal)));
        return Ok((proof, transcript.recorder));
    };
    let (root, committed) = scheme.commit(groups, transcript.delegate(Label::Commitment))?;
    let mut sender = Sender::new(transcript);
    let rho = look_up(key, &mut sender, &committed, &values);
    let mut state = Proving::new(layout, sender, Some(&committed), &values);
    state.send_columns(&rho);
    state.claim_compared(&rho);
    walk(key, &mut state);
    let (sender, points) = state.finish();
    let Sender {
        mut transcript,
        scalars,
    } = sender;
    let points = points.into_iter().flatten().collect();
    let opening = scheme.open(committed, points, transcript.delegate(Label::Opening))?;
    let mut proof: Vec<u8> = scalars.iter().flat_map(encode).collect();
    proof.extend(postcard::to_allocvec(&(root, opening)).map_err(|e| e.to_string())?);
    Ok((proof, transcript.recorder))
}

/// Every relation, last first.
fn walk<V: Voice>(key: &Inner, state: &mut Proving<'_, V>) {
    for (step, relation) in key.plan.steps.iter().zip(&key.relations.relations).rev() {
        step.prove(relation, state);
    }
}

/// The lookup argument up to its point.
fn look_up<V: Voice>(key: &Inner, sender: &mut Sender<V>, committed: &Committed, values: &Values) -> Vec<EF> {
    let (layout, blocks) = (&key.plan.layout, &key.plan.blocks);
    let fingerprint = Fingerprint::draw(sender);
    let leaves = 1 << blocks.layers;
    let (mut numerators, mut denominators) = (EF::zero_vec(leaves), vec![EF::ONE; leaves]);
    for block in &blocks.blocks {
        let range = block.offset..block.offset + (1 << block.arity);
        let (numerators, denominators) = (&mut numerators[range.clone()], &mut denominators[range]);
        match block.content {
            Content::Cells { group, lookup } => {
                let base = fingerprint.base(layout.tables[lookup.table].tag());
                let cells = commitment::column(committed, group, lookup.column);
                numerators.fill(EF::ONE);
                for (d, &cell) in denominators.iter_mut().zip(cells) {
                    *d = base + cell;
                }
                let public;
                let second = match lookup.second {
                    Second::Zero => continue,
                    Second::Column(column) => commitment::column(committed, group, column),
                    Second::Output(index) => {
                        let output = key.relations.outputs.get(index).and_then(|t| values.get(&t.id));
                        let output = output.map(Vec::as_slice).unwrap_or_default();
                        public = layout.groups[group].axes.scatter(output);
                        &public
                    }
                };
                for (d, &second) in denominators.iter_mut().zip(second) {
                    *d += fingerprint.beta() * second;
                }
            }
            Content::Entries { side, tag } => multiset::fill(
                layout,
                (side, tag),
                fingerprint,
                |id| cube(layout, committed, values, id),
                |group| commitment::column(committed, group, 0).to_vec(),
                [numerators, denominators],
            ),
            Content::Rows { table } => {
                let kind = layout.tables[table];
                let base = fingerprint.base(kind.tag());
                let counts = commitment::column(committed, layout.relation_groups + table, 0);
                for (j, (n, d)) in numerators.iter_mut().zip(denominators).enumerate() {
                    let value = j as u64 & ((1 << kind.width) - 1);
                    *n = -EF::from(counts[j]);
                    let second = F::from_u64(kind.second(value));
                    *d = base + F::from_u64(value) + fingerprint.beta() * second;
                }
            }
        }
    }
    let leaves = [numerators, denominators];
    let leaves = sender.transcript.recorder.leaves(fingerprint, leaves);
    gkr::prove(sender, leaves)
}

/// The cells of a tensor: its committed column, or its values on its cube.
fn cube(layout: &Layout, committed: &Committed, values: &Values, id: TensorId) -> Vec<F> {
    if let Some((group, column)) = layout.column_of(id) {
        return commitment::column(committed, group, column).to_vec();
    }
    let values = values.get(&id).map(Vec::as_slice).unwrap_or_default();
    let axes = layout.tensor(id).map(|t| &t.axes);
    axes.map_or_else(Vec::new, |a| a.scatter(values))
}
