//! A prover while it walks the relations: what it has sent, and where its columns will be opened.

use std::collections::BTreeMap;

use p3_field::PrimeCharacteristicRing;

use super::channel::Sender;
use super::commitment::{self, Committed};
use super::field::{EF, F, dot_base, eq_table, power_of_two};
use super::fingerprint::Fingerprint;
use super::layout::{Home, Layout, Limbs};
use super::transcript::{Challenges, Label, Recorder, Silent};
use crate::graph::TensorId;

/// How a prover argues. An honest one is [`Silent`]: it says what its witness is. A test's may argue with something else.
pub(super) trait Voice: Recorder {
    /// The leaves of the lookup argument, numerators and denominators.
    fn leaves(&self, fingerprint: Fingerprint, leaves: [Vec<EF>; 2]) -> [Vec<EF>; 2];
    /// The values of a tensor.
    fn values<'v>(&self, tensor: TensorId, values: &'v [i64]) -> &'v [i64];
}

impl Voice for Silent {
    fn leaves(&self, _: Fingerprint, leaves: [Vec<EF>; 2]) -> [Vec<EF>; 2] {
        leaves
    }

    fn values<'v>(&self, _: TensorId, values: &'v [i64]) -> &'v [i64] {
        values
    }
}

/// The prover's state while it walks the relations.
pub(super) struct Proving<'a, V> {
    layout: &'a Layout,
    pub(super) sender: Sender<V>,
    committed: Option<&'a Committed>,
    values: &'a BTreeMap<TensorId, Vec<i64>>,
    /// Per group the points that it is opened at.
    points: Vec<Vec<Vec<EF>>>,
    /// Points of claims on wirings, which are reduced when their turn comes.
    pending: BTreeMap<TensorId, Vec<Vec<EF>>>,
}

impl<'a, V: Voice> Proving<'a, V> {
    /// Nothing is sent beyond the lookup argument.
    pub(super) fn new(
        layout: &'a Layout,
        sender: Sender<V>,
        committed: Option<&'a Committed>,
        values: &'a BTreeMap<TensorId, Vec<i64>>,
    ) -> Self {
        Self {
            layout,
            sender,
            committed,
            values,
            points: Vec::new(),
            pending: BTreeMap::new(),
        }
    }

    pub(super) fn layout(&self) -> &'a Layout {
        self.layout
    }

    pub(super) fn values(&self, id: TensorId) -> &'a [i64] {
        let values = self.values.get(&id).map(Vec::as_slice).unwrap_or_default();
        self.sender.transcript.recorder.values(id, values)
    }

    pub(super) fn column(&self, group: usize, column: usize) -> &'a [F] {
        self.committed
            .map_or(&[], |committed| commitment::column(committed, group, column))
    }

    /// `Σ 2^shift · limb`, cell by cell.
    pub(super) fn combine(&self, group: usize, limbs: &Limbs) -> Vec<EF> {
        let mut sum = F::zero_vec(1 << self.layout.groups[group].axes.arity());
        for &(column, shift, _) in &limbs.parts {
            let weight = power_of_two(shift);
            for (sum, &cell) in sum.iter_mut().zip(self.column(group, column)) {
                *sum += cell * weight;
            }
        }
        sum.into_iter().map(EF::from).collect()
    }

    /// Sends the values of all columns at the last coordinates of the lookup argument's point.
    pub(super) fn send_columns(&mut self, rho: &[EF]) {
        let mut tables: BTreeMap<usize, Vec<EF>> = BTreeMap::new();
        for (index, group) in self.layout.groups.iter().enumerate() {
            let point = &rho[rho.len() - group.axes.arity()..];
            let eq = tables.entry(point.len()).or_insert_with(|| eq_table(point));
            let values: Vec<EF> = (0..group.columns)
                .map(|c| dot_base(eq, self.column(index, c)))
                .collect();
            self.sender.send(Label::Columns, &values);
            self.points.push(vec![point.to_vec()]);
        }
    }

    /// Says what of the compared tensors does not follow from their columns.
    pub(super) fn claim_compared(&mut self, rho: &[EF]) {
        for id in self.layout.compared() {
            if let Some(tensor) = self.layout.tensor(id)
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
        self.sender.draw_point(Label::OutputPoint, coordinates)
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
        let Some(tensor) = self.layout.tensor(id) else {
            return;
        };
        match &tensor.home {
            // The verifier computes it.
            Home::Input(_) | Home::Output(_) | Home::Derived => {}
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

    /// Ends the walk: what was sent, and per group the points at which it is opened.
    pub(super) fn finish(self) -> (Sender<V>, Vec<Vec<Vec<EF>>>) {
        (self.sender, self.points)
    }
}
