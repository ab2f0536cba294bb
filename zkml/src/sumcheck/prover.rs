//! Proves one slice for one statement.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use p3_field::PrimeCharacteristicRing;
use zkinfer_crds::Digest;

use super::channel::{Sender, encode};
use super::commitment::{self, Committed};
use super::error::ProveError;
use super::field::{EF, dot_base, eq_table};
use super::gkr;
use super::instance::absorb;
use super::key::{Inner, Key};
use super::logup::{Content, Fingerprint};
use super::multiset;
use super::plan::{Home, Limbs, Plan, Second};
use super::relation;
use super::transcript::{Label, Transcript};
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
    prove_witness(&key.inner, &key.digest(), statement, inputs, witness)
}

/// Proves whatever the witness says.
pub(super) fn prove_witness(
    key: &Inner,
    digest: &Digest,
    statement: &Digest,
    inputs: &[&[i64]],
    witness: Witness,
) -> Result<Proved, ProveError> {
    let values = |id: TensorId| witness.values.get(&id).cloned().unwrap_or_default();
    let outputs: Vec<Vec<i64>> = key.relations.outputs.iter().map(|t| values(t.id)).collect();
    let mut transcript = Transcript::new();
    let views: Vec<&[i64]> = outputs.iter().map(Vec::as_slice).collect();
    absorb(&mut transcript, statement, digest, inputs, &views);
    // The library panics where it cannot go on.
    let run = || argue(key, transcript, witness);
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(proof)) => Ok(Proved { proof, outputs }),
        Ok(Err(e)) => Err(ProveError::Prover(e)),
        Err(_) => Err(ProveError::Prover("the library panicked".to_owned())),
    }
}

fn argue(key: &Inner, mut transcript: Transcript, witness: Witness) -> Result<Vec<u8>, String> {
    let Witness { values, groups } = witness;
    let (root, committed) = key
        .scheme
        .commit(groups, transcript.delegate(Label::Commitment))?;
    let mut sender = Sender::new(transcript);
    let rho = look_up(key, &mut sender, &committed, &values);
    let mut state = Proving {
        key,
        sender,
        committed: &committed,
        values: &values,
        points: Vec::new(),
        pending: BTreeMap::new(),
    };
    state.send_columns(&rho);
    state.claim_compared(&rho);
    for (step, relation) in key.plan.steps.iter().zip(&key.relations.relations).rev() {
        relation::prove(&mut state, step, relation);
    }
    let Proving { sender, points, .. } = state;
    let Sender {
        mut transcript,
        scalars,
    } = sender;
    let points = points.into_iter().flatten().collect();
    let opening = key
        .scheme
        .open(committed, points, transcript.delegate(Label::Opening))?;
    let mut proof: Vec<u8> = scalars.iter().flat_map(encode).collect();
    proof.extend(postcard::to_allocvec(&(root, opening)).map_err(|e| e.to_string())?);
    #[cfg(test)]
    super::tests::record(transcript.events);
    Ok(proof)
}

/// The lookup argument up to its point.
fn look_up(
    key: &Inner,
    sender: &mut Sender,
    committed: &Committed,
    values: &BTreeMap<TensorId, Vec<i64>>,
) -> Vec<EF> {
    let alpha = sender.draw(Label::Alpha);
    let fingerprint = Fingerprint::new(alpha, sender.draw(Label::Beta));
    let leaves = 1 << key.blocks.layers;
    let (mut numerators, mut denominators) = (EF::zero_vec(leaves), vec![EF::ONE; leaves]);
    for block in &key.blocks.blocks {
        let range = block.offset..block.offset + (1 << block.arity);
        let (numerators, denominators) = (&mut numerators[range.clone()], &mut denominators[range]);
        match block.content {
            Content::Cells { group, lookup } => {
                let base = fingerprint.base(key.plan.tables[lookup.table].tag());
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
                        public = key.plan.groups[group].axes.scatter(output);
                        &public
                    }
                };
                for (d, &second) in denominators.iter_mut().zip(second) {
                    *d += fingerprint.beta() * second;
                }
            }
            Content::Entries { side, tag } => multiset::fill(
                &key.plan,
                (side, tag),
                fingerprint,
                |id| cube(key, committed, values, id),
                |group| commitment::column(committed, group, 0),
                [numerators, denominators],
            ),
            Content::Rows { table } => {
                let kind = key.plan.tables[table];
                let base = fingerprint.base(kind.tag());
                let counts = commitment::column(committed, key.plan.relation_groups + table, 0);
                for (j, (n, d)) in numerators.iter_mut().zip(denominators).enumerate() {
                    let value = j as u64 & ((1 << kind.width) - 1);
                    *n = -EF::from(counts[j]);
                    let second = super::field::F::from_u64(kind.second(value));
                    *d = base + super::field::F::from_u64(value) + fingerprint.beta() * second;
                }
            }
        }
    }
    let leaves = [numerators, denominators];
    #[cfg(test)]
    let leaves = super::tests::forge(fingerprint, leaves);
    gkr::prove(sender, leaves)
}

/// The cells of a tensor: its committed column, or its values on its cube.
fn cube(
    key: &Inner,
    committed: &Committed,
    values: &BTreeMap<TensorId, Vec<i64>>,
    id: TensorId,
) -> Vec<super::field::F> {
    if let Some((group, column)) = key.plan.column_of(id) {
        return commitment::column(committed, group, column).to_vec();
    }
    let values = values.get(&id).map(Vec::as_slice).unwrap_or_default();
    let axes = key.plan.tensor(id).map(|t| &t.axes);
    axes.map_or_else(Vec::new, |a| a.scatter(values))
}

/// The prover's state while it walks the relations.
pub(super) struct Proving<'a> {
    key: &'a Inner,
    pub(super) sender: Sender,
    committed: &'a Committed,
    values: &'a BTreeMap<TensorId, Vec<i64>>,
    /// Per group the points that it is opened at.
    points: Vec<Vec<Vec<EF>>>,
    /// Points of claims on wirings, which are reduced when their turn comes.
    pending: BTreeMap<TensorId, Vec<Vec<EF>>>,
}

impl<'a> Proving<'a> {
    pub(super) fn plan(&self) -> &'a Plan {
        &self.key.plan
    }

    pub(super) fn values(&self, id: TensorId) -> &'a [i64] {
        #[cfg(test)]
        if let Some(values) = super::tests::substitute(id) {
            return values;
        }
        self.values.get(&id).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn column(&self, group: usize, column: usize) -> &'a [super::field::F] {
        commitment::column(self.committed, group, column)
    }

    /// `Σ 2^shift · limb`, cell by cell.
    pub(super) fn combine(&self, group: usize, limbs: &Limbs) -> Vec<EF> {
        let mut sum = super::field::F::zero_vec(1 << self.plan().groups[group].axes.arity());
        for &(column, shift, _) in &limbs.parts {
            let weight = super::field::power_of_two(shift);
            for (sum, &cell) in sum.iter_mut().zip(self.column(group, column)) {
                *sum += cell * weight;
            }
        }
        sum.into_iter().map(EF::from).collect()
    }

    /// Sends the values of all columns at the last coordinates of the lookup argument's point.
    fn send_columns(&mut self, rho: &[EF]) {
        let mut tables: BTreeMap<usize, Vec<EF>> = BTreeMap::new();
        for (index, group) in self.plan().groups.iter().enumerate() {
            let point = &rho[rho.len() - group.axes.arity()..];
            let eq = tables.entry(point.len()).or_insert_with(|| eq_table(point));
            let values: Vec<EF> = (0..group.columns)
                .map(|c| dot_base(eq, commitment::column(self.committed, index, c)))
                .collect();
            self.sender.send(Label::Columns, &values);
            self.points.push(vec![point.to_vec()]);
        }
    }

    /// Says what of the compared tensors does not follow from their columns.
    fn claim_compared(&mut self, rho: &[EF]) {
        for id in self.plan().compared() {
            if let Some(tensor) = self.plan().tensor(id)
                && let Home::Wired = tensor.home
            {
                self.claim(id, &rho[rho.len() - tensor.axes.arity()..]);
            }
        }
    }

    /// The point at which a group was looked up.
    pub(super) fn looked_up(&self, group: usize) -> Vec<EF> {
        self.points[group][0].clone()
    }

    pub(super) fn draw_point(&mut self, coordinates: usize) -> Vec<EF> {
        self.sender.transcript.draw_point(Label::OutputPoint, coordinates)
    }

    /// Sends the values of some columns at a point, where they will be opened.
    pub(super) fn open(&mut self, group: usize, columns: &[usize], label: Label, point: Vec<EF>) {
        let eq = eq_table(&point);
        let values: Vec<EF> = columns
            .iter()
            .map(|&c| dot_base(&eq, self.column(group, c)))
            .collect();
        self.sender.send(label, &values);
        self.points[group].push(point);
    }

    /// Says what the verifier needs to know a tensor's value at a point.
    pub(super) fn claim(&mut self, id: TensorId, point: &[EF]) {
        let Some(tensor) = self.plan().tensor(id) else {
            return;
        };
        match &tensor.home {
            // The verifier computes it.
            Home::Input(_) | Home::Output(_) => {}
            Home::Column { group, column } => self.open(*group, &[*column], Label::Claim, point.to_vec()),
            Home::Limbs { group, limbs, .. } => {
                let columns: Vec<_> = limbs.columns().collect();
                self.open(*group, &columns, Label::Claim, point.to_vec());
            }
            Home::Wired => {
                let value = tensor.axes.all().evaluate(point, self.values(id));
                self.sender.send(Label::Claim, &[value]);
                self.pending.entry(id).or_default().push(point.to_vec());
            }
        }
    }

    /// The points of all claims on a wiring.
    pub(super) fn take_pending(&mut self, id: TensorId) -> Vec<Vec<EF>> {
        self.pending.remove(&id).unwrap_or_default()
    }
}
