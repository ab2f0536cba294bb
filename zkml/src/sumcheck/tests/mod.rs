//! Honest provers are believed, lying ones are not.
//!
//! [`slices`] makes slices, [`honest`] compares with the plain checkers, [`lying`] lies in the witness and argues honestly
//! from it ([`multiset`] in permutations and reads, [`tables`] in reads of explicit tables), [`alone`] lies so well that only one check is left to refuse,
//! [`tampered`] changes what was said. [`account`] counts the bits again, by others' sums.

mod account;
mod alone;
mod honest;
mod lying;
mod multiset;
pub(crate) mod slices;
mod tables;
mod tampered;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use super::field::{EF, F};
use super::logup::Fingerprint;
use super::transcript::{Event, Label};
use crate::graph::TensorId;

/// What a prover does differently from an honest one that has its witness.
#[derive(Default)]
pub(super) struct Lie {
    /// Added to a leaf of the lookup argument: its place, its numerator, the first and the second part of its fingerprint.
    leaves: Vec<(usize, [F; 3])>,
    /// What is argued with in place of a tensor's values, each time that they are asked for.
    values: BTreeMap<TensorId, VecDeque<Vec<i64>>>,
    /// Messages that are sent and not absorbed: the challenges after them were known before.
    unsaid: Option<Label>,
}

thread_local! {
    static EVENTS: RefCell<Vec<Event>> = const { RefCell::new(Vec::new()) };
    static LIE: RefCell<Lie> = RefCell::default();
}

/// Keeps the transcript of the proof made last on this thread.
pub(super) fn record(events: Vec<Event>) {
    EVENTS.with(|e| *e.borrow_mut() = events);
}

/// The leaves that this thread's prover argues with.
pub(super) fn forge(
    fingerprint: Fingerprint,
    [mut numerators, mut denominators]: [Vec<EF>; 2],
) -> [Vec<EF>; 2] {
    LIE.with_borrow(|lie| {
        for &(at, [times, first, second]) in &lie.leaves {
            numerators[at] += times;
            denominators[at] += fingerprint.beta() * second + first;
        }
    });
    [numerators, denominators]
}

/// Whether this thread's prover leaves such messages out of its transcript.
pub(super) fn unsaid(label: Label) -> bool {
    LIE.with_borrow(|lie| lie.unsaid == Some(label))
}

/// What this thread's prover argues with in place of a tensor's values.
pub(super) fn substitute(id: TensorId) -> Option<&'static [i64]> {
    let values = LIE.with_borrow_mut(|lie| lie.values.get_mut(&id)?.pop_front())?;
    Some(values.leak())
}
