//! A sheet of whole numbers: a row for each place, columns of limbs, and identities that hold in every row.
//!
//! ```text
//! number   = limb_0 + limb_1 · 2^13 + …             every limb in 0..2^13, so that a number is never negative
//! identity = Σ coefficient · (1 | number | number · number | sum over rows) = 0
//! ```
//!
//! An identity is one of whole numbers of any size. It is claimed column by column of powers of 2^13: each column's sum and what the
//! column below carries into it are 2^13 times what is carried on, and the last carries nothing on. **Why that suffices:** columns
//! times their powers add up to the identity's left side, and all that is carried cancels. Whoever fills in a sheet chooses its
//! numbers; identities say which it can have chosen.
//!
//! Invariant: which columns and identities a sheet has follows from the code that draws it, never from the numbers in it.

use std::collections::BTreeMap;
use std::ops::{Add, AddAssign, Mul, Sub};

/// Bits of a limb. Thirty-two products of two limbs stay below 2^31, as a tensor's values do.
pub(crate) const LIMB_BITS: u32 = 13;
const BASE: i128 = 1 << LIMB_BITS;
/// Sums over rows and what is carried lie in so many bits, sign included: 256 limbs are below 2^21.
pub(crate) const WIDE_BITS: u8 = 24;

/// Why numbers have no sheet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SheetError {
    /// A number has more bits than its place.
    #[error("`{0}` is too great for its place")]
    Great(&'static str),
    /// An identity does not hold for the numbers that were filled in.
    #[error("`{0}` does not hold")]
    Broken(&'static str),
}

/// A number of every row: columns of limbs, lowest first, and what stands there.
#[derive(Debug, Clone)]
pub(crate) struct Number {
    pub(crate) limbs: Vec<u32>,
    pub(crate) values: Vec<u128>,
}

/// What is added up over rows, limb by limb: columns of wide cells.
#[derive(Debug, Clone)]
pub(crate) struct Raw {
    cells: Vec<u32>,
    values: Vec<u128>,
}

#[derive(Debug, Clone)]
enum Term {
    One,
    Limbs(Vec<u32>),
    Wide(Vec<u32>),
    Product(Vec<u32>, Vec<u32>),
}

/// A side of an identity.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sum(Vec<(i128, Term)>);

impl Sum {
    pub(crate) fn constant(value: i128) -> Self {
        Self(vec![(value, Term::One)])
    }
}

impl Add for Sum {
    type Output = Self;
    fn add(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

impl Sub for Sum {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + other * -1
    }
}

impl Mul<i128> for Sum {
    type Output = Self;
    fn mul(mut self, by: i128) -> Self {
        self.0.iter_mut().for_each(|(coefficient, _)| *coefficient *= by);
        self
    }
}

/// A sum that is not negative, with what it is in every row.
#[derive(Debug, Clone)]
pub(crate) struct Expr {
    pub(crate) sum: Sum,
    pub(crate) values: Vec<u128>,
}

impl Expr {
    pub(crate) fn plus(self, other: &Self) -> Self {
        Self {
            sum: self.sum + other.sum.clone(),
            values: zip(&self.values, &other.values, u128::saturating_add),
        }
    }

    pub(crate) fn times(self, by: u64) -> Self {
        let values = self.values.iter().map(|v| v.saturating_mul(by.into()));
        Self {
            values: values.collect(),
            sum: self.sum * i128::from(by),
        }
    }
}

/// Row by row.
pub(crate) fn zip<A: Copy, B: Copy, C>(a: &[A], b: &[B], f: impl Fn(A, B) -> C) -> Vec<C> {
    a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect()
}

impl Number {
    pub(crate) fn sum(&self) -> Sum {
        Sum(vec![(1, Term::Limbs(self.limbs.clone()))])
    }

    pub(crate) fn expr(&self) -> Expr {
        Expr {
            sum: self.sum(),
            values: self.values.clone(),
        }
    }

    /// The product of two.
    pub(crate) fn by(&self, other: &Self) -> Expr {
        Expr {
            sum: Sum(vec![(1, Term::Product(self.limbs.clone(), other.limbs.clone()))]),
            values: zip(&self.values, &other.values, u128::saturating_mul),
        }
    }
}

impl Raw {
    pub(crate) fn expr(&self) -> Expr {
        Expr {
            sum: Sum(vec![(1, Term::Wide(self.cells.clone()))]),
            values: self.values.clone(),
        }
    }
}

/// Over which rows something is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Over {
    /// Row k has the sum over all rows whose owner is k.
    Owned,
    /// Row i has what stands in the row of its owner.
    Owner,
    /// Row k has the sum over all rows whose slot is k; the last row that over all rows with any slot.
    Slot,
    /// Every row has the sum over all.
    All,
}

/// One column of an identity: the sum of its terms is 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) constant: i64,
    pub(crate) limbs: BTreeMap<u32, i64>,
    pub(crate) wide: BTreeMap<u32, i64>,
    pub(crate) products: BTreeMap<u32, i64>,
}

/// Rows of a constant, at places of which one is chosen in each row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lookup {
    pub(crate) name: &'static str,
    pub(crate) table: Vec<i64>,
    /// Columns of limbs that have what stands there.
    pub(crate) limbs: Vec<u32>,
    pub(crate) index: Vec<i64>,
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Sheet {
    pub(crate) owners: Vec<u32>,
    pub(crate) slots: Vec<u32>,
    /// By column.
    pub(crate) limbs: Vec<Vec<i64>>,
    pub(crate) wide: Vec<Vec<i64>>,
    /// Pairs of columns of limbs.
    pub(crate) products: Vec<(u32, u32)>,
    known: BTreeMap<(u32, u32), u32>,
    pub(crate) claims: Vec<Claim>,
    pub(crate) lookups: Vec<Lookup>,
    /// From which column of limbs to which wide one.
    pub(crate) sums: BTreeMap<Over, Vec<(u32, u32)>>,
    /// Columns of limbs that have the same in all rows.
    pub(crate) alike: Vec<u32>,
    /// Columns of limbs with what has to stand there.
    pub(crate) fixed: Vec<(u32, Vec<i64>)>,
    fault: Option<SheetError>,
}

impl Sheet {
    /// An empty one; both lists have as many places as there are rows.
    pub(crate) fn new(owners: Vec<u32>, slots: Vec<u32>) -> Self {
        Self {
            owners,
            slots,
            limbs: Vec::new(),
            wide: Vec::new(),
            products: Vec::new(),
            known: BTreeMap::new(),
            claims: Vec::new(),
            lookups: Vec::new(),
            sums: BTreeMap::new(),
            alike: Vec::new(),
            fixed: Vec::new(),
            fault: None,
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.owners.len()
    }

    /// Whether everything had its place.
    ///
    /// # Errors
    /// The first that had none.
    pub(crate) fn finish(self) -> Result<Self, SheetError> {
        match self.fault {
            None => Ok(self),
            Some(fault) => Err(fault),
        }
    }

    /// The same number in every row.
    pub(crate) fn constant(&self, value: u128) -> Expr {
        Expr {
            sum: Sum::constant(value as i128),
            values: vec![value; self.rows()],
        }
    }

    /// A number that is filled in. Nothing is claimed of it but how many bits it has, rounded up to limbs.
    pub(crate) fn number(&mut self, name: &'static str, values: Vec<u128>, bits: u32) -> Number {
        let count = bits.div_ceil(LIMB_BITS);
        if values
            .iter()
            .any(|v| v.checked_shr(count * LIMB_BITS).unwrap_or(0) != 0)
        {
            self.fault.get_or_insert(SheetError::Great(name));
        }
        let first = self.limbs.len() as u32;
        for limb in 0..count {
            let part = |v: &u128| (v.checked_shr(limb * LIMB_BITS).unwrap_or(0) & (BASE as u128 - 1)) as i64;
            self.limbs.push(values.iter().map(part).collect());
        }
        Number {
            limbs: (first..first + count).collect(),
            values,
        }
    }

    /// A number that is what an expression is.
    pub(crate) fn number_of(&mut self, name: &'static str, of: &Expr, bits: u32) -> Number {
        let number = self.number(name, of.values.clone(), bits);
        self.zero(name, &(number.sum() - of.sum.clone()));
        number
    }

    /// Numbers of a row of a table: `fields` are their bits, and `index` the row that is chosen.
    pub(crate) fn lookup(
        &mut self,
        name: &'static str,
        table: &[Vec<u128>],
        fields: &[u32],
        index: &[u64],
    ) -> Vec<Number> {
        let empty = Vec::new();
        let row = |at: &u64| table.get(*at as usize).unwrap_or(&empty);
        let numbers: Vec<Number> = fields
            .iter()
            .enumerate()
            .map(|(field, bits)| {
                let values = index.iter().map(|at| row(at).get(field).copied().unwrap_or(0));
                self.number(name, values.collect(), *bits)
            })
            .collect();
        let entries = table.iter().flat_map(|row| {
            row.iter().zip(fields).flat_map(|(value, bits)| {
                let limbs = 0..bits.div_ceil(LIMB_BITS);
                limbs.map(|limb| {
                    (value.checked_shr(limb * LIMB_BITS).unwrap_or(0) & (BASE as u128 - 1)) as i64
                })
            })
        });
        self.lookups.push(Lookup {
            name,
            table: entries.collect(),
            limbs: numbers.iter().flat_map(|n| n.limbs.iter().copied()).collect(),
            index: index.iter().map(|at| *at as i64).collect(),
        });
        numbers
    }

    /// What a number adds up to over rows.
    pub(crate) fn sum(&mut self, over: Over, of: &Number) -> Raw {
        let rows = self.rows();
        let last = rows - 1;
        let (owners, slots) = (self.owners.clone(), self.slots.clone());
        fn add<T: Copy + Default + AddAssign>(
            over: Over,
            of: &[T],
            (owners, slots): (&[u32], &[u32]),
            last: usize,
        ) -> Vec<T> {
            let mut made = vec![T::default(); of.len()];
            for (row, value) in of.iter().enumerate() {
                let (owner, slot) = (owners[row] as usize, slots[row] as usize);
                match over {
                    Over::Owned => made[owner] += *value,
                    Over::Owner => made[row] = of[owner],
                    Over::Slot if slot == last => {}
                    Over::Slot => {
                        made[slot] += *value;
                        made[last] += *value;
                    }
                    Over::All => made[0] += *value,
                }
            }
            if over == Over::All {
                let all = made[0];
                made.fill(all);
            }
            made
        }
        let mut cells = Vec::new();
        for limb in &of.limbs {
            let to = self.wide.len() as u32;
            let column = add(over, &self.limbs[*limb as usize], (&owners, &slots), last);
            self.wide.push(column);
            self.sums.entry(over).or_default().push((*limb, to));
            cells.push(to);
        }
        let values = add(over, &of.values, (&owners, &slots), last);
        Raw { cells, values }
    }

    /// Claims that a number is the same in every row.
    pub(crate) fn alike(&mut self, number: &Number) {
        self.alike.extend(&number.limbs);
    }

    /// A number of one limb that is what is said here, in each row.
    pub(crate) fn fixed(&mut self, name: &'static str, values: Vec<u128>) -> Number {
        let said = values.iter().map(|v| *v as i64).collect();
        let number = self.number(name, values, LIMB_BITS);
        self.fixed.push((number.limbs[0], said));
        number
    }

    fn product(&mut self, a: u32, b: u32) -> u32 {
        let pair = (a.min(b), a.max(b));
        let products = &mut self.products;
        *self.known.entry(pair).or_insert_with(|| {
            products.push(pair);
            products.len() as u32 - 1
        })
    }

    /// Claims that a sum is 0 in every row.
    pub(crate) fn zero(&mut self, name: &'static str, sum: &Sum) {
        let mut columns: Vec<Claim> = Vec::new();
        for (coefficient, term) in &sum.0 {
            let cells: Vec<(usize, Option<(Kind, u32)>)> = match term {
                Term::One => vec![(0, None)],
                Term::Limbs(limbs) => placed(limbs, Kind::Limb),
                Term::Wide(cells) => placed(cells, Kind::Wide),
                Term::Product(a, b) => {
                    let pairs = a.iter().enumerate().flat_map(|(i, a)| {
                        let b = b.iter().enumerate();
                        b.map(move |(j, b)| (i + j, *a, *b))
                    });
                    let pairs: Vec<_> = pairs.collect();
                    let of = |(at, a, b)| (at, Some((Kind::Product, self.product(a, b))));
                    pairs.into_iter().map(of).collect()
                }
            };
            for (part, digit) in digits(*coefficient).into_iter().enumerate() {
                for (at, cell) in &cells {
                    let at = at + part;
                    columns.resize(columns.len().max(at + 1), Claim::default());
                    columns[at].add(*cell, digit);
                }
            }
        }
        let last = columns.len().saturating_sub(1);
        let mut carried = None;
        for (at, mut claim) in columns.into_iter().enumerate() {
            if let Some(carried) = carried.take() {
                claim.add(Some((Kind::Wide, carried)), 1);
            }
            let left: Vec<i128> = (0..self.rows()).map(|row| self.left(&claim, row)).collect();
            let wrong = |left: &i128| match at == last {
                true => *left != 0,
                false => left % BASE != 0,
            };
            if left.iter().any(wrong) {
                self.fault.get_or_insert(SheetError::Broken(name));
            }
            if at < last {
                let next = self.wide.len() as u32;
                self.wide
                    .push(left.iter().map(|left| (left / BASE) as i64).collect());
                claim.add(Some((Kind::Wide, next)), -(BASE as i64));
                carried = Some(next);
            }
            self.claims.push(claim);
        }
    }

    /// What a claim's terms add up to in a row.
    fn left(&self, claim: &Claim, row: usize) -> i128 {
        let limb = |column: u32| i128::from(self.limbs[column as usize][row]);
        let limbs = claim.limbs.iter().map(|(at, by)| i128::from(*by) * limb(*at));
        let wide = claim.wide.iter();
        let wide = wide.map(|(at, by)| i128::from(*by) * i128::from(self.wide[*at as usize][row]));
        let products = claim.products.iter().map(|(at, by)| {
            let (a, b) = self.products[*at as usize];
            i128::from(*by) * limb(a) * limb(b)
        });
        i128::from(claim.constant) + limbs.sum::<i128>() + wide.sum::<i128>() + products.sum::<i128>()
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Limb,
    Wide,
    Product,
}

fn placed(cells: &[u32], kind: Kind) -> Vec<(usize, Option<(Kind, u32)>)> {
    let cells = cells.iter().enumerate();
    cells.map(|(at, cell)| (at, Some((kind, *cell)))).collect()
}

/// A coefficient to the base 2^13, with its sign on each digit.
fn digits(coefficient: i128) -> Vec<i64> {
    let (mut left, sign) = (coefficient.unsigned_abs(), coefficient.signum() as i64);
    let mut digits = Vec::new();
    while left > 0 {
        digits.push(sign * (left & (BASE as u128 - 1)) as i64);
        left >>= LIMB_BITS;
    }
    digits
}

impl Claim {
    /// A term more; without a cell the constant.
    fn add(&mut self, cell: Option<(Kind, u32)>, by: i64) {
        let sum = match cell {
            None => &mut self.constant,
            Some((Kind::Limb, at)) => self.limbs.entry(at).or_default(),
            Some((Kind::Wide, at)) => self.wide.entry(at).or_default(),
            Some((Kind::Product, at)) => self.products.entry(at).or_default(),
        };
        *sum += by;
    }
}
