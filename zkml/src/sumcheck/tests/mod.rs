//! Honest provers are believed, lying ones are not.
//!
//! [`slices`] makes slices, [`honest`] and [`extremes`] compare with the plain checkers, [`lying`] lies in the witness and argues
//! honestly from it ([`multiset`] in permutations and reads, [`tables`] in reads of explicit tables, [`rows`] in rows of a
//! constant, [`disclosed`] in accumulators that stand in the proof), [`forged`] lets all follow from the lie, [`alone`] lies so
//! well that only one check is left to refuse, [`tampered`] changes what was said, [`counts`] counts it, [`products`] what products
//! may be and cost. [`tiny`] tries all assignments of all columns over small fields. [`account`] counts the bits again, by others'
//! sums; [`gkr`] tries the argument of the look-ups by itself; [`findings`] holds the page to its list of attacks.

mod account;
mod alone;
mod counts;
mod disclosed;
mod extremes;
mod findings;
mod forged;
mod gkr;
mod honest;
mod lying;
mod multiset;
mod products;
mod rows;
pub(crate) mod slices;
mod tables;
mod tampered;
mod tiny;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use super::field::{EF, F};
use super::fingerprint::Fingerprint;
use super::proving::Voice;
use super::transcript::{Label, Recorder};
use crate::graph::TensorId;

/// One entry of a transcript's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A message of so many field elements.
    Absorb(Label, usize),
    /// A challenge.
    Draw(Label),
}

/// What a prover does differently from an honest one that has its witness, and what it said. By default an honest one.
#[derive(Default)]
pub(super) struct Lie {
    /// The transcript.
    events: Vec<Event>,
    /// Added to a leaf of the lookup argument: its place, its numerator, the first and the second part of its fingerprint.
    leaves: Vec<(usize, [F; 3])>,
    /// What is argued with in place of a tensor's values, each time that they are asked for.
    values: RefCell<BTreeMap<TensorId, VecDeque<Vec<i64>>>>,
    /// Messages that are sent and not absorbed: the challenges after them were known before.
    unsaid: Option<Label>,
}

impl Recorder for Lie {
    fn absorbs(&self, label: Label) -> bool {
        self.unsaid != Some(label)
    }

    fn absorbed(&mut self, label: Label, elements: usize) {
        self.events.push(Event::Absorb(label, elements));
    }

    fn drawn(&mut self, label: Label) {
        self.events.push(Event::Draw(label));
    }
}

impl Voice for Lie {
    fn leaves(
        &self,
        fingerprint: Fingerprint,
        [mut numerators, mut denominators]: [Vec<EF>; 2],
    ) -> [Vec<EF>; 2] {
        for &(at, [times, first, second]) in &self.leaves {
            numerators[at] += times;
            denominators[at] += fingerprint.beta() * second + first;
        }
        [numerators, denominators]
    }

    fn values<'v>(&self, tensor: TensorId, values: &'v [i64]) -> &'v [i64] {
        let mut lies = self.values.borrow_mut();
        match lies.get_mut(&tensor).and_then(VecDeque::pop_front) {
            Some(lie) => lie.leak(),
            None => values,
        }
    }
}
