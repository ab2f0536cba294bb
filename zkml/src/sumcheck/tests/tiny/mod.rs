//! Uniqueness by exhaustion: over small primes, with the limits scaled, every assignment of the committed columns that the look-ups
//! let stand, at values and at padding, and every input. Exactly the checker's output must come out, and with one look-up, one
//! identity or one limit left out another one must come out too.
//!
//! Nothing is typed again: columns, their tables and rows, homes and offsets are the plan's; the identities between columns are
//! the functions that the verifier evaluates at its point (`relation::requantised::Placed::accumulator` and `rectified`,
//! `relation::maximum::Placed::entries` and `products`, `layout::Limbs`, `multiset::entries`), which are written for any
//! [`Ring`]; what a relation says is asked of its checker. What exhaustion cannot show is that an identity at a random point is one
//! at every place, that is the sum-checks and the look-up argument: [`super::lying`] and [`super::alone`] lie to those.

mod checkers;
mod lists;
mod maximum;
mod named;
mod requantised;

use std::iter::Sum;
use std::ops::{Add, Mul, Sub};

use crate::sumcheck::field::{F, Ring, reach};
use crate::sumcheck::layout::{Home, Layout, Lookup, Second};
use p3_field::PrimeField64;

/// The prime field of `P`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Zp<const P: u64>(u64);

impl<const P: u64> Add for Zp<P> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self((self.0 + other.0) % P)
    }
}

impl<const P: u64> Sub for Zp<P> {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self((self.0 + P - other.0) % P)
    }
}

impl<const P: u64> Mul for Zp<P> {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        Self(self.0 * other.0 % P)
    }
}

impl<const P: u64> Sum for Zp<P> {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self(0), |a, b| a + b)
    }
}

impl<const P: u64> Ring for Zp<P> {
    fn integer(value: i64) -> Self {
        Self(value.rem_euclid(P as i64) as u64)
    }

    fn times(self, factor: i64) -> Self {
        self * Self::integer(factor)
    }
}

impl<const P: u64> Zp<P> {
    fn all() -> impl Iterator<Item = Self> + Clone {
        (0..P).map(Self)
    }
}

/// The limits of the real prime are those of the relations: `2^reach` bounds accumulators, and what limbs express.
#[test]
fn the_limits_are_scaled_by_the_rule_of_the_real_prime() {
    assert_eq!(1 << reach(F::ORDER_U64), crate::graph::bound::LIMIT);
    assert_eq!([257, 12_289, 65_537].map(reach), [7, 12, 15]);
}

/// What of a place is not asked.
#[derive(Clone, Copy, PartialEq)]
enum Off {
    /// Everything is.
    Nothing,
    /// The look-up of this number: its column, and the second of its row, may be anything.
    LookUp(usize),
    /// The identity of this number.
    Identity(usize),
}

/// All columns of one group at one place, as the look-ups let them stand; a public output's value stands behind them.
struct Place<'a> {
    columns: usize,
    lookups: &'a [Lookup],
    layout: &'a Layout,
    /// What a public output may be: the verifier looks at its range.
    public: Vec<i64>,
    off: Off,
}

impl<'a> Place<'a> {
    /// A place of this group, or of no group; `ones` is 1 at values and 0 at padding, where a public tensor is 0.
    fn new(
        layout: &'a Layout,
        group: Option<usize>,
        home: &Home,
        range: (i64, i64),
        ones: i64,
        off: Off,
    ) -> Self {
        let group = group.map(|g| &layout.groups[g]);
        let public = match (home, ones) {
            (Home::Output(_), 0) => vec![0],
            (Home::Output(_), _) => (range.0..=range.1).collect(),
            _ => Vec::new(),
        };
        Self {
            columns: group.map_or(0, |g| g.columns),
            lookups: group.map(|g| g.lookups.as_slice()).unwrap_or_default(),
            layout,
            public,
            off,
        }
    }

    /// What may stand in columns that depend on each other: rows of a table, or anything.
    fn dials<const P: u64>(&self) -> Vec<Vec<Vec<(usize, Zp<P>)>>> {
        let public: Vec<Zp<P>> = self.public.iter().map(|v| Zp::integer(*v)).collect();
        let (mut dials, mut free) = (Vec::new(), vec![true; self.columns + 1]);
        for (number, lookup) in self.lookups.iter().enumerate() {
            let table = self.layout.tables[lookup.table];
            let second = match lookup.second {
                Second::Zero => None,
                Second::Column(column) => Some(column),
                Second::Output(_) => Some(self.columns),
            };
            free[lookup.column] = false;
            let in_public = second == Some(self.columns);
            let may: Vec<Zp<P>> = if in_public {
                public.clone()
            } else {
                Zp::all().collect()
            };
            second.into_iter().for_each(|at| free[at] = false);
            let with = |first: Zp<P>, other: Zp<P>| {
                let second = second.map(|at| (at, other));
                [(lookup.column, first)]
                    .into_iter()
                    .chain(second)
                    .collect::<Vec<_>>()
            };
            dials.push(if self.off == Off::LookUp(number) {
                let others = if second.is_some() { may } else { vec![Zp(0)] };
                let firsts = Zp::all();
                firsts
                    .flat_map(|v| others.iter().map(move |o| with(v, *o)).collect::<Vec<_>>())
                    .collect()
            } else {
                let rows = (0..1u64 << table.width).map(|v| (v, Zp::integer(table.second(v) as i64)));
                let stands = |(_, second): &(u64, Zp<P>)| !in_public || may.contains(second);
                let rows = rows.filter(stands);
                rows.map(|(v, second)| with(Zp::integer(v as i64), second))
                    .collect()
            });
        }
        for at in (0..self.columns).filter(|at| free[*at]) {
            dials.push(Zp::all().map(|v| vec![(at, v)]).collect());
        }
        if free[self.columns] && !public.is_empty() {
            dials.push(public.into_iter().map(|v| vec![(self.columns, v)]).collect());
        }
        dials
    }

    /// Calls `visit` with every assignment: the columns, then the public value. How many there were.
    fn each<const P: u64>(&self, mut visit: impl FnMut(&[Zp<P>], Zp<P>)) -> usize {
        let dials = self.dials::<P>();
        let mut columns = vec![Zp(0); self.columns + 1];
        let (mut at, mut tried) = (vec![0; dials.len()], 0);
        if dials.iter().any(Vec::is_empty) {
            return 0;
        }
        loop {
            for (dial, &choice) in dials.iter().zip(&at) {
                dial[choice]
                    .iter()
                    .for_each(|&(column, value)| columns[column] = value);
            }
            let (public, columns) = columns.split_last().unwrap();
            visit(columns, *public);
            tried += 1;
            // The next number, digit by digit.
            let Some(digit) = (0..dials.len()).find(|&d| at[d] + 1 < dials[d].len()) else {
                return tried;
            };
            at[digit] += 1;
            at[..digit].fill(0);
        }
    }
}

/// Every vector of so many of these values.
fn vectors(len: usize, values: impl Iterator<Item = i64>) -> Vec<Vec<i64>> {
    let values: Vec<i64> = values.collect();
    (0..len).fold(vec![Vec::new()], |all, _| {
        let longer = |v: &Vec<i64>| {
            let each = values.iter().map(|x| [&v[..], std::slice::from_ref(x)].concat());
            each.collect::<Vec<_>>()
        };
        all.iter().flat_map(longer).collect()
    })
}
