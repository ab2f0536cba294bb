//! The graph beside the rule that it is of, whoever lies to it, and receipts beside the files that they are of.

mod equal;
mod lies;
mod receipts;

use std::collections::BTreeMap;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use zkinfer_scoring::{Constants, Owner, Rule, RuleName, Standing, Total, weigh};
use zkinfer_weights::vector::{MILLION, OwnerShare, Vector, VectorError};

use crate::rule::Given;

/// Rules of which there are proofs.
const RULES: [RuleName; 2] = [RuleName::SpeedSizeAccuracy, RuleName::DeliveredWork];

/// These, and one of other constants: more owners are capped, a greater power, no cold start.
fn rules() -> [Rule; 3] {
    let [first, second] = RULES.map(Rule::from);
    let name = RuleName::DeliveredWork;
    let constants = Constants {
        cold_start: 0,
        power_millionths: 1_700_001,
        owner_cap_millionths: 70_001,
        ..name.constants()
    };
    [first, second, Rule::new(name, constants).unwrap()]
}

/// Numbers that are the same at each run.
struct Random(ChaCha20Rng);

impl Random {
    fn new(seed: u64) -> Self {
        Self(ChaCha20Rng::seed_from_u64(seed))
    }

    fn below(&mut self, most: u64) -> u64 {
        self.0.next_u64() % most.max(1)
    }

    /// A number of any size up to so many bits, powers of two and their neighbours among them.
    fn sized(&mut self, bits: u64) -> u128 {
        let bits = self.below(bits + 1);
        let top = 1u128 << bits;
        let number = match self.below(8) {
            0 => top - 1,
            1 => top.div_ceil(2),
            2 => top / 2 + 1,
            _ => u128::from(self.0.next_u64()) % top,
        };
        number.min(u64::MAX.into())
    }
}

/// Totals as files have them, extreme ones among them.
fn random(rows: usize, rule: &Constants, of: &mut Random) -> Given {
    let miners = 1 + of.below(rows as u64) as usize;
    let owners = 1 + of.below(miners as u64);
    let bits = 1 + of.below(64);
    let level = of.sized(bits);
    let kind = of.below(6);
    let share = match of.below(5) {
        0 => None,
        1 => Some(MILLION),
        2 => Some(0),
        3 => Some(800_000),
        _ => Some(of.below(u64::from(MILLION) + 1) as u32),
    };
    let mut given = blank(rows, share);
    for row in 0..miners {
        given.credit[row] = match kind {
            // Alike, nearly alike, and of all sizes.
            0 => level,
            1 => (level + u128::from(of.below(3))).min(u64::MAX.into()),
            _ => of.sized(bits),
        };
        given.debit[row] = match of.below(4) {
            0 => of.sized(bits),
            1 => given.credit[row],
            _ => 0,
        };
        given.samples[row] = match of.below(8) {
            0 => u128::from(rule.cold_start).saturating_sub(1),
            1 => rule.cold_start.into(),
            2 => 0,
            _ => 1_000,
        };
        given.skipped[row] = u128::from(of.below(10) == 0);
        given.owners[row] = of.below(owners) as u32;
        given.slots[row] = of.below(rows as u64) as u32;
    }
    given
}

/// Nobody has anything.
fn blank(rows: usize, share: Option<u32>) -> Given {
    Given::blank(rows, share.map_or([1, 0], |share| [MILLION - share, share]))
}

/// What the crates of scores and of weights make of it: a value for each row.
fn expected(given: &Given, rule: &Rule) -> Result<Vec<i64>, VectorError> {
    let rows = given.owners.len();
    let names: Vec<String> = (0..rows).map(|owner| owner.to_string()).collect();
    let standings: Vec<Standing<'_>> = (0..rows)
        .map(|row| Standing {
            owner: Owner::Namespace(&names[given.owners[row] as usize]),
            total: Total {
                credit: given.credit[row],
                debit: given.debit[row],
                possible: 0,
                samples: given.samples[row] as u64,
            },
            skipped: (given.skipped[row] == 1).then_some(1),
        })
        .collect();
    let mut weights = BTreeMap::new();
    for (row, weighed) in weigh(&standings, rule.constants()).into_iter().enumerate() {
        let slot = given.slots[row] as usize;
        if slot + 1 < rows {
            *weights.entry(slot as u16).or_default() += weighed.weight;
        }
    }
    // Without an owner's share there is no owner.
    let owner = (given.shares != [1, 0]).then_some(OwnerShare {
        uid: rows as u16 - 1,
        millionths: given.shares[1],
    });
    let vector = Vector::of(&weights, owner)?;
    Ok((0..rows).map(|uid| i64::from(vector.value(uid as u16))).collect())
}
