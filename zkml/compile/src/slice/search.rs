//! Looks for a cut: at every node of a short graph, and from coarse to fine in a long one.
//!
//! Invariant: what is returned is the best of all cuts at the places that were looked at, by the rule of [`partition`]; so a
//! graph of at most [`EXACT`] nodes, and every graph of a proof system that asks for the fewest slices, has the best cut there
//! is. What a slice costs is asked once for each stretch, and is what a search takes: half the square of the places.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use rayon::prelude::*;
use zkml::backend::{CutRule, SliceCount};

use super::balance::partition;
use crate::progress::Counter;

/// Nodes up to which a graph is cut wherever that is best, and places that a longer one is first cut at.
pub(super) const EXACT: usize = 24;
/// Of the longest slice, the places between its ends that are first looked at.
const PLACES: usize = 8;

/// A graph to be cut.
pub(super) struct Search<'a, C> {
    /// By node, the last end that a slice from there may have.
    pub reach: &'a [usize],
    /// Nodes with so many weights that a slice may not have two of them.
    pub heavy: &'a [usize],
    pub rule: CutRule,
    /// Least number of slices.
    pub parts: usize,
    /// What a stretch of nodes costs as a slice; `None` where it is none.
    pub cost: C,
}

impl<C: Fn(Range<usize>) -> Option<u64> + Sync> Search<'_, C> {
    /// Where the first cuts may be: ascending, the ends among them.
    pub(super) fn places(&self) -> Vec<usize> {
        let count = self.reach.len();
        let step = self.step();
        let heavy = self.heavy.iter().flat_map(|&at| [at, at + 1]);
        let places: BTreeSet<usize> = (0..count).step_by(step).chain(heavy).chain([count]).collect();
        places.into_iter().collect()
    }

    /// Nodes from one place to the next.
    fn step(&self) -> usize {
        let count = self.reach.len();
        match self.rule.count {
            SliceCount::Fewest => 1,
            SliceCount::Cheapest => count
                .div_ceil(EXACT)
                .min(self.rule.max_nodes / PLACES)
                .min(count / (2 * self.parts.max(1)))
                .max(1),
        }
    }

    /// Nodes in all stretches between places that are looked at.
    pub(super) fn work(&self, places: &[usize]) -> u64 {
        let of = |(at, &start): (usize, &usize)| {
            self.ends(places, at).map(|end| (end - start) as u64).sum::<u64>()
        };
        places.iter().enumerate().map(of).sum()
    }

    /// The ends of slices from a place, among the places.
    fn ends<'p>(&self, places: &'p [usize], at: usize) -> impl Iterator<Item = usize> + 'p {
        let reach = self.reach.get(places[at]).copied().unwrap_or_default();
        places[at + 1..]
            .iter()
            .copied()
            .take_while(move |&end| end <= reach)
    }

    /// The cut. `counter` hears of the first places' stretches.
    pub(super) fn cut(&self, places: &[usize], counter: &Counter<'_>) -> Option<Vec<Range<usize>>> {
        let mut known = HashMap::new();
        let tell = |nodes: u64| counter.add(nodes);
        let Some(mut best) = self.best(places, &mut known, &tell) else {
            // What a worker or a circuit holds may be less than from one place to the next.
            let every: Vec<usize> = (0..=self.reach.len()).collect();
            return self.best(&every, &mut known, &|_| {});
        };
        let mut step = self.step();
        while step > 1 {
            step = step.div_ceil(2);
            let around = |end: usize| [end.saturating_sub(step), end, (end + step).min(self.reach.len())];
            let near: BTreeSet<usize> = best.iter().flat_map(|r| around(r.end)).chain([0]).collect();
            let near: Vec<usize> = near.into_iter().collect();
            best = self.best(&near, &mut known, &|_| {}).unwrap_or(best);
        }
        Some(best)
    }

    /// The best cut at these places; `known` is what stretches cost.
    fn best(
        &self,
        places: &[usize],
        known: &mut HashMap<(usize, usize), Option<u64>>,
        tell: &(impl Fn(u64) + Sync),
    ) -> Option<Vec<Range<usize>>> {
        let before = &*known;
        let from = |at: usize| {
            let start = places[at];
            let (mut nodes, mut costs) = (0, Vec::new());
            for end in self.ends(places, at) {
                nodes += (end - start) as u64;
                if !before.contains_key(&(start, end)) {
                    costs.push(((start, end), (self.cost)(start..end)));
                }
            }
            if nodes > 0 {
                tell(nodes);
            }
            costs
        };
        let found: Vec<_> = (0..places.len()).into_par_iter().map(from).collect();
        known.extend(found.into_iter().flatten());
        let count = places.len() - 1;
        let longest = (0..count).map(|at| self.ends(places, at).count()).max()?;
        let cost = |range: &Range<usize>| {
            let stretch = (*places.get(range.start)?, *places.get(range.end)?);
            known.get(&stretch).copied().flatten()
        };
        let cut = partition(count, self.parts, longest.max(1), self.rule.count, cost)?;
        Some(cut.into_iter().map(|r| places[r.start]..places[r.end]).collect())
    }
}

#[cfg(test)]
mod tests {
    use zkinfer_crds::ProofSystem;
    use zkml::systems;

    use super::*;
    use crate::progress::{Stage, silent};

    fn total(cut: &[Range<usize>], cost: impl Fn(Range<usize>) -> Option<u64>) -> u64 {
        cut.iter().cloned().filter_map(cost).sum()
    }

    /// Costs as a proof system has them: work that is rounded up to a power of two, and something for each slice.
    fn cost_of(work: &[u64]) -> impl Fn(Range<usize>) -> Option<u64> + Sync + '_ {
        |nodes| Some(300 + work[nodes].iter().sum::<u64>().next_power_of_two())
    }

    fn search<C: Fn(Range<usize>) -> Option<u64> + Sync>(
        count: usize,
        parts: usize,
        cost: C,
    ) -> Vec<Range<usize>> {
        let rule = systems::of(ProofSystem::SumcheckWhir).cut_rule();
        let reach: Vec<usize> = (0..count).map(|at| (at + rule.max_nodes).min(count)).collect();
        let search = Search {
            reach: &reach,
            heavy: &[],
            rule,
            parts,
            cost,
        };
        let places = search.places();
        let counter = Counter::new(
            Stage::Cutting(systems::of(ProofSystem::SumcheckWhir).id()),
            search.work(&places),
            &silent,
        );
        search.cut(&places, &counter).unwrap()
    }

    /// The best cut there is, by trying all.
    fn exactly(count: usize, parts: usize, cost: impl Fn(Range<usize>) -> Option<u64>) -> u64 {
        let cut = partition(count, parts, 64, SliceCount::Cheapest, |r| cost(r.clone())).unwrap();
        total(&cut, &cost)
    }

    #[test]
    fn a_short_graph_has_the_best_cut() {
        let work: Vec<u64> = (0..EXACT as u64).map(|i| 1 + i * 37 % 101).collect();
        for parts in [1, 3, 7] {
            let cut = search(EXACT, parts, cost_of(&work));
            assert_eq!(total(&cut, cost_of(&work)), exactly(EXACT, parts, cost_of(&work)));
        }
    }

    #[test]
    fn a_long_graph_is_cut_nearly_as_well_and_covers_every_node_once() {
        for count in [25, 40, 77, 150, 300] {
            let work: Vec<u64> = (0..count as u64).map(|i| 1 + i * i * 37 % 101).collect();
            for parts in [1, 4, 12] {
                let cut = search(count, parts, cost_of(&work));
                assert!(cut.len() >= parts, "{count}");
                assert!(cut.windows(2).all(|two| two[0].end == two[1].start), "{cut:?}");
                assert_eq!((cut[0].start, cut[cut.len() - 1].end), (0, count));
                let (found, best) = (total(&cut, cost_of(&work)), exactly(count, parts, cost_of(&work)));
                assert!(
                    found as f64 <= 1.1 * best as f64,
                    "{count} nodes, {parts} parts: {found}, {best}"
                );
            }
        }
    }

    #[test]
    fn nodes_that_stand_alone_in_a_slice_are_found() {
        // Two neighbours are too much for anybody.
        let alone = |nodes: Range<usize>| (nodes.len() == 1).then_some(1);
        assert_eq!(search(50, 1, alone).len(), 50);
    }
}
