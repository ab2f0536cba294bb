//! From what miners have earned and owe to their weights and shares: the same for every rule.
//!
//! ```text
//! n_i   = max(0, credit_i - debit_i)           nothing on a cold start, or on the skip list
//! n_i  *= max(0, P - D) / P                    of the owner: P all its n, D by how much its identities owe more than they have
//! w_i   = n_i ^ power
//! w_i  *= C / G                                of an owner whose weight G is more than C: C is the cap's part of what is left
//! share = w_i / sum of w
//! ```
//!
//! Invariants: nothing but sums, products, comparisons, quotients by numbers that are there (`q = a / b` is claimed as
//! `q b <= a < (q + 1) b`) and a power by table: operations that a circuit of whole numbers has. Faults of one identity are paid
//! by all of its owner's, so that nobody keeps its good work under one name and its faults under another. No sum overflows:
//! what is raised to a power has 32 bits, scaled alike for everybody.

use std::collections::BTreeMap;

use crate::fixed::{MILLION, ONE, part, power, ratio};
use crate::rules::{Constants, Owner, Total};

/// Why a miner has no share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zero {
    /// Something that it handed in was no proof of what was claimed; until this Unix millisecond.
    Skipped {
        /// When it ends.
        until: u64,
    },
    /// It has too few verified proofs in the window.
    ColdStart {
        /// What it has.
        samples: u64,
        /// What it needs.
        needed: u64,
    },
    /// It, or its owner's identities together, owe as much as they have earned.
    InDebt,
    /// It has earned so little, beside the others, that it rounds to nothing.
    Little,
}

impl std::fmt::Display for Zero {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Skipped { until } => write!(f, "handed in what was no proof: nothing until {until}"),
            Self::ColdStart { samples, needed } => {
                write!(f, "{samples} of the {needed} proofs that it needs")
            }
            Self::InDebt => f.write_str("it, or its owner's identities together, owe what they have earned"),
            Self::Little => f.write_str("too little to be seen beside the others"),
        }
    }
}

/// A miner on its way to a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing<'a> {
    /// Who it belongs to.
    pub owner: Owner<'a>,
    /// What it has earned and owes.
    pub total: Total,
    /// Until when it is on the skip list, in Unix milliseconds.
    pub skipped: Option<u64>,
}

/// What it comes to, in the order of the miners given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weighed {
    /// What is left of its total, and of its owner's debts.
    pub net: u128,
    /// Its weight before caps.
    pub uncapped: u128,
    /// Its weight.
    pub weight: u128,
    /// Its part of all weights, in millionths.
    pub share_millionths: u32,
    /// What it has earned, less what it owes, of what it could have, in millionths.
    pub quality_millionths: u32,
    /// Why it has none.
    pub zero: Option<Zero>,
}

fn barred(of: &Standing<'_>, constants: &Constants) -> Option<Zero> {
    let (samples, needed) = (of.total.samples, constants.cold_start);
    match of.skipped {
        Some(until) => Some(Zero::Skipped { until }),
        None if samples < needed => Some(Zero::ColdStart { samples, needed }),
        None => None,
    }
}

/// Sums by owner.
fn by_owner<'a>(standings: &[Standing<'a>], of: impl Fn(usize) -> u128) -> BTreeMap<Owner<'a>, u128> {
    let mut sums = BTreeMap::new();
    for (i, standing) in standings.iter().enumerate() {
        let sum: &mut u128 = sums.entry(standing.owner).or_default();
        *sum = sum.saturating_add(of(i));
    }
    sums
}

/// The most weight that one owner keeps; `None` if all keep what they have.
fn cap(groups: &BTreeMap<Owner<'_>, u128>, cap_millionths: u32) -> Option<u128> {
    let mut sizes: Vec<u128> = groups.values().copied().filter(|g| *g > 0).collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let million = u128::from(MILLION);
    // Less than an equal part for each is nobody's to have: shares are of one.
    let least = million.div_ceil(sizes.len().max(1) as u128);
    let cap = u128::from(cap_millionths).max(least);
    if cap >= million {
        return None;
    }
    let mut rest: u128 = sizes.iter().sum();
    for (capped, size) in sizes.iter().enumerate() {
        let Some(left) = million.checked_sub(cap * capped as u128).filter(|left| *left > 0) else {
            return Some(*size);
        };
        // With this many capped to C each, the whole is rest / (1 - capped · cap), and C is its part.
        if *size * left <= cap * rest {
            return (capped > 0).then(|| cap * rest / left);
        }
        rest -= size;
    }
    sizes.last().copied()
}

/// Weighs all miners together: from totals on, which every rule does alike.
#[must_use]
pub fn weigh(standings: &[Standing<'_>], constants: &Constants) -> Vec<Weighed> {
    let mut weighed: Vec<Weighed> = standings
        .iter()
        .map(|of| {
            let zero = barred(of, constants);
            let net = match zero {
                None => of.total.credit.saturating_sub(of.total.debit),
                Some(_) => 0,
            };
            let quality = if net == 0 {
                0
            } else {
                ratio(net, of.total.possible)
            };
            Weighed {
                net,
                zero,
                quality_millionths: ((u128::from(quality) * u128::from(MILLION)) >> 32) as u32,
                ..Weighed::default()
            }
        })
        .collect();
    let has = by_owner(standings, |i| weighed[i].net);
    let owes = by_owner(standings, |i| {
        let Total { credit, debit, .. } = standings[i].total;
        debit.saturating_sub(credit)
    });
    for (of, standing) in weighed.iter_mut().zip(standings) {
        let (has, owes) = (has[&standing.owner], owes[&standing.owner]);
        of.net = part(of.net, ratio(has.saturating_sub(owes), has));
        if of.net == 0 && of.zero.is_none() {
            of.zero = Some(Zero::InDebt);
        }
    }
    let greatest = weighed.iter().map(|w| w.net).max().unwrap_or_default();
    let shift = (128 - greatest.leading_zeros()).saturating_sub(32);
    for of in &mut weighed {
        of.uncapped = power(of.net >> shift, constants.power_millionths);
        if of.net >> shift == 0 {
            of.uncapped = 0;
        }
    }
    let groups = by_owner(standings, |i| weighed[i].uncapped);
    let most = cap(&groups, constants.owner_cap_millionths);
    for (of, standing) in weighed.iter_mut().zip(standings) {
        let factor = most.map_or(ONE, |most| ratio(most, groups[&standing.owner]));
        of.weight = part(of.uncapped, factor);
    }
    let all: u128 = weighed.iter().map(|w| w.weight).sum();
    for of in &mut weighed {
        let share = (of.weight * u128::from(MILLION)).checked_div(all);
        of.share_millionths = share.unwrap_or_default() as u32;
        if of.weight == 0 && of.zero.is_none() {
            of.zero = Some(Zero::Little);
        }
    }
    weighed
}
