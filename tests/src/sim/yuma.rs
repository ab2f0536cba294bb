//! What a chain makes of several validators' scores as weights: Yuma's κ-median.
//!
//! ```text
//! consensus_j = the most w such that validators of κ of the stake or more give j at least w
//! clipped_ij  = min(w_ij, consensus_j)           incentive_j = sum_i stake_i clipped_ij, as a part of all
//! trust_i     = sum_j clipped_ij                 what is left of a validator's weights
//! ```
//!
//! Each validator scores only the requests that it has given out itself.

use std::collections::BTreeMap;

use zkinfer_crds::Identity;
use zkinfer_scoring::{Entry, Rule, Scores};

/// Half of the stake.
const KAPPA: f64 = 0.5;
/// Stakes of the validators; the second one lies.
const STAKES: [f64; 8] = [0.22, 0.20, 0.14, 0.12, 0.10, 0.09, 0.07, 0.06];
const LIAR: usize = 1;

/// What came of it.
#[derive(Debug, Clone)]
pub struct Yuma {
    /// How many validators.
    pub validators: usize,
    /// The least that is left of an honest validator's weights.
    pub honest_trust: f64,
    /// By how much incentives differ from the shares by all entries, added up: of everything.
    pub off: f64,
    /// What a validator of a fifth of the stake gets for its friend by giving it everything, in times of its share.
    pub friend: f64,
    /// What is left of that validator's weights.
    pub liar_trust: f64,
}

type Weights = BTreeMap<Identity, f64>;

fn weights(rule: &Rule, entries: &[Entry], at: u64) -> Weights {
    let scores = Scores::of(rule, entries, at).miners;
    let all: f64 = scores.values().map(|s| s.weight as f64).sum();
    let weight =
        |(miner, score): (Identity, zkinfer_scoring::Score)| (miner, score.weight as f64 / all.max(1.0));
    scores.into_iter().map(weight).collect()
}

/// The most weight that validators of κ of the stake give.
fn consensus(given: &mut [(f64, f64)]) -> f64 {
    given.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut stake = 0.0;
    for (weight, of) in given.iter() {
        stake += of;
        // Stakes are of one, to the last bit or so.
        if stake >= KAPPA - 1e-9 {
            return *weight;
        }
    }
    0.0
}

/// Incentives, and what is left of each validator's weights.
fn clip(validators: &[Weights], stakes: &[f64]) -> (Weights, Vec<f64>) {
    let mut miners: Weights = BTreeMap::new();
    let mut trust = vec![0.0; validators.len()];
    let all = validators.iter().flat_map(BTreeMap::keys).copied();
    for miner in all.collect::<std::collections::BTreeSet<_>>() {
        let given = |of: &Weights| of.get(&miner).copied().unwrap_or_default();
        let mut by: Vec<(f64, f64)> = validators.iter().map(given).zip(stakes.iter().copied()).collect();
        let most = consensus(&mut by);
        for ((of, stake), trust) in validators.iter().zip(stakes).zip(&mut trust) {
            let clipped = given(of).min(most);
            *trust += clipped;
            *miners.entry(miner).or_default() += stake * clipped;
        }
    }
    let all: f64 = miners.values().sum();
    miners.values_mut().for_each(|w| *w /= all.max(f64::MIN_POSITIVE));
    (miners, trust)
}

/// Lets validators score what each has given out, and one of them give all its weight to a friend.
pub(super) fn yuma(rule: &Rule, entries: &[Entry], at: u64, friend: Option<Identity>) -> Yuma {
    let n = STAKES.len();
    let of = |validator: usize| {
        let own = |e: &&Entry| usize::from(e.request.as_bytes()[0]) % n == validator;
        let own: Vec<Entry> = entries.iter().filter(own).cloned().collect();
        weights(rule, &own, at)
    };
    let mut validators: Vec<Weights> = (0..n).map(of).collect();
    let all = weights(rule, entries, at);
    let (honest, trust) = clip(&validators, &STAKES);
    let differ =
        |(miner, share): (&Identity, &f64)| (honest.get(miner).copied().unwrap_or_default() - share).abs();
    let off = all.iter().map(differ).sum();
    let honest_trust = trust.iter().copied().fold(1.0, f64::min);
    let (mut times, mut liar_trust) = (1.0, 1.0);
    if let Some(friend) = friend {
        validators[LIAR] = BTreeMap::from([(friend, 1.0)]);
        let (bribed, trust) = clip(&validators, &STAKES);
        let of = |weights: &Weights| weights.get(&friend).copied().unwrap_or_default();
        times = of(&bribed) / of(&honest).max(f64::MIN_POSITIVE);
        liar_trust = trust[LIAR];
    }
    Yuma {
        validators: n,
        honest_trust,
        off,
        friend: times,
        liar_trust,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(of: &[f64]) -> Weights {
        let id = |n: usize| Identity::new([n as u8; 32]);
        of.iter().enumerate().map(|(n, w)| (id(n), *w)).collect()
    }

    #[test]
    fn who_has_less_than_half_of_the_stake_moves_no_incentive_above_what_the_others_give() {
        let honest = weights(&[0.5, 0.3, 0.2]);
        let liar = weights(&[0.0, 0.0, 1.0]);
        let (incentive, trust) = clip(&[honest.clone(), honest.clone(), liar], &[0.3, 0.3, 0.4]);
        let of = |n: u8| incentive[&Identity::new([n; 32])];
        // 0.6 of the stake stands behind 0.5, 0.3 and 0.2; of the liar's only the 0.2 is left.
        assert!((of(0) - 0.3 / 0.68).abs() < 1e-12 && (of(2) - 0.2 / 0.68).abs() < 1e-12);
        assert!((trust[0] - 1.0).abs() < 1e-12 && (trust[2] - 0.2).abs() < 1e-12);
    }

    #[test]
    fn the_consensus_is_what_half_of_the_stake_gives_at_least() {
        assert_eq!(consensus(&mut [(0.1, 0.5), (0.9, 0.5)]), 0.9);
        assert_eq!(consensus(&mut [(0.1, 0.6), (0.9, 0.4)]), 0.1);
        assert_eq!(consensus(&mut []), 0.0);
    }
}
