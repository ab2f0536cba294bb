//! A rule of weights as identities: from totals to each place's weight in the vector.
//!
//! The words are those of `zkinfer_scoring`'s `shares`, which says what is computed; here stands what is claimed of each step. Row i
//! of the sheet is miner i, owner i and uid i of the file at once: what belongs to an owner or a uid stands in its own row.
//!
//! Invariant: which identities there are follows from the rule's constants and the number of rows.

use zkinfer_scoring::{Constants, EXP2, LOG2};

use crate::checks::Compared;
use crate::double::vector;
use crate::sheet::{Expr, Number, Over, Sheet, Sum, zip};

/// Bits that earned and owed have at most, in microseconds: half a million years of work.
pub(crate) const TOTAL_BITS: u32 = 64;
/// Bits that counts of proofs have at most.
pub(crate) const SAMPLE_BITS: u32 = 28;
/// Bits of a factor, of which 2^32 is one.
const FACTOR_BITS: u32 = 33;
/// What is raised to a power has so many.
const BASE_BITS: u32 = 32;
/// Bits of a million.
const MILLION_BITS: u32 = 20;
const MILLION: u64 = 1_000_000;
/// Sums over all rows have so many more: there are 256 at most.
const ROW_BITS: u32 = 8;

/// What a sheet begins with, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) credit: Vec<u128>,
    pub(crate) debit: Vec<u128>,
    pub(crate) samples: Vec<u128>,
    /// 1 for who is on the skip list.
    pub(crate) skipped: Vec<u128>,
    /// The row of each one's owner.
    pub(crate) owners: Vec<u32>,
    /// The row of each one's uid; the last for who has none.
    pub(crate) slots: Vec<u32>,
    /// What the others' weights are multiplied with, and their sum for the subnet's owner.
    pub(crate) shares: [u32; 2],
}

impl Given {
    /// Rows that are nobody's: they have nothing, belong to the first owner, and have no uid.
    pub(crate) fn blank(rows: usize, shares: [u32; 2]) -> Self {
        let nothing = vec![0; rows];
        Self {
            credit: nothing.clone(),
            debit: nothing.clone(),
            samples: nothing.clone(),
            skipped: nothing,
            owners: vec![0; rows],
            slots: vec![rows.saturating_sub(1) as u32; rows],
            shares,
        }
    }
}

/// A sheet with where it begins and ends.
#[derive(Debug, Clone)]
pub(crate) struct Drawn {
    pub(crate) sheet: Sheet,
    /// Credit, debit, samples, skipped.
    pub(crate) totals: Vec<Number>,
    /// What a row's weight is multiplied with: the others' share, and in the last row the owner's.
    pub(crate) share: Number,
    /// The weight of each uid, and in the last row of the subnet's owner.
    pub(crate) vector: Number,
}

/// Draws a rule's sheet, and fills it in.
pub(crate) fn draw(given: &Given, constants: &Constants) -> Drawn {
    let mut sheet = Sheet::new(given.owners.clone(), given.slots.clone());
    let s = &mut sheet;
    let credit = s.number("what is earned", given.credit.clone(), TOTAL_BITS);
    let debit = s.number("what is owed", given.debit.clone(), TOTAL_BITS);
    let samples = s.number("the count of proofs", given.samples.clone(), SAMPLE_BITS);
    let skipped = s.flag("the skip list", given.skipped.clone());
    let standing = net(s, [&credit, &debit], &samples, &skipped, constants.cold_start);
    let left = owned(s, &standing);
    let base = scaled(s, &left);
    let (uncapped, bits) = power(s, base, constants.power_millionths);
    let weight = match u64::from(constants.owner_cap_millionths) < MILLION {
        true => capped(s, &uncapped, bits, constants.owner_cap_millionths),
        false => uncapped,
    };
    let (share, of_uids, bits) = slots(s, &weight, bits, given.shares);
    let vector = vector(s, &of_uids, bits);
    Drawn {
        sheet,
        totals: vec![credit, debit, samples, skipped],
        share,
        vector,
    }
}

/// What a miner has left of its own, and what it owes more than it has.
struct Net {
    left: Number,
    owes: Number,
}

/// `max(0, credit - debit)`, nothing on a cold start or on the skip list; and `max(0, debit - credit)`, always.
fn net(
    s: &mut Sheet,
    [credit, debit]: [&Number; 2],
    samples: &Number,
    skipped: &Number,
    cold_start: u64,
) -> Net {
    let needed = s.constant(cold_start.into());
    let warm = s
        .compare("the cold start", &samples.expr(), &needed, SAMPLE_BITS)
        .flag;
    let of = s.compare("what is left", &credit.expr(), &debit.expr(), TOTAL_BITS);
    // Not skipped, warm and not in debt: products of flags.
    let counts = zip(&warm.values, &skipped.values, |warm, skipped| {
        warm * (1 - skipped)
    });
    let counts = Expr {
        sum: warm.sum() - warm.by(skipped).sum,
        values: counts,
    };
    let counts = s.number_of("who counts", &counts, 1);
    let positive = s.number_of("who has something left", &counts.by(&of.flag), 1);
    let left = s.number_of("what is left", &positive.by(&of.gap), TOTAL_BITS);
    let owes = s.number_of("what is owed beyond", &of.under(), TOTAL_BITS);
    Net { left, owes }
}

/// What is left is shared with the owner's other identities that owe: times `max(0, P - D) / P`.
fn owned(s: &mut Sheet, standing: &Net) -> Number {
    let has = s.sum(Over::Owned, &standing.left).expr();
    let has = s.number_of("what an owner has", &has, TOTAL_BITS + ROW_BITS);
    let owes = s.sum(Over::Owned, &standing.owes).expr();
    let of = s.compare(
        "what an owner has left",
        &has.expr(),
        &owes,
        TOTAL_BITS + ROW_BITS,
    );
    let factor = s.quotient_or_zero("an owner's factor", &of.over().times(1 << 32), &has, FACTOR_BITS);
    part(s, "what is left of it", &standing.left, &factor, TOTAL_BITS)
}

/// `floor(what · factor / 2^32)`, with the factor that stands in the row of each one's owner.
fn part(s: &mut Sheet, name: &'static str, what: &Number, factor: &Number, bits: u32) -> Number {
    let factor = s.sum(Over::Owner, factor).expr();
    let factor = s.number_of(name, &factor, FACTOR_BITS);
    s.floor(name, &what.by(&factor), 1 << 32, bits).0
}

/// `floor(n / 2^shift)` with the least shift that leaves everybody 32 bits.
///
/// The shift is one of a table, and the same in all rows. Everybody has at most 32 bits, and where the shift is not 0 somebody has no
/// fewer: one shift less would leave it 33.
fn scaled(s: &mut Sheet, net: &Number) -> Number {
    let bits = |n: u128| 128 - n.leading_zeros();
    let greatest = net.values.iter().copied().max().unwrap_or(0);
    let shift = bits(greatest).saturating_sub(BASE_BITS);
    let shifts = TOTAL_BITS - BASE_BITS;
    let table: Vec<Vec<u128>> = (0..=shifts)
        .map(|by| vec![1 << by, u128::from(by == 0)])
        .collect();
    let index = vec![u64::from(shift); s.rows()];
    let chosen = s.lookup("the shift", &table, &[shifts + 1, 1], &index);
    let (by, none) = (&chosen[0], &chosen[1]);
    s.alike(by);
    s.alike(none);
    let base = s.quotient("what is scaled", &net.expr(), by, BASE_BITS);
    let most = s.constant((1 << BASE_BITS) - 1);
    s.at_most("what is scaled", &base.expr(), &most, BASE_BITS);
    let half = s.constant(1 << (BASE_BITS - 1));
    let full = s.compare("who has 32 bits", &base.expr(), &half, BASE_BITS).flag;
    let full = s.sum(Over::All, &full).expr();
    let one = s.constant(1);
    s.at_most(
        "somebody has 32 bits",
        &one,
        &full.plus(&none.expr()),
        ROW_BITS + 1,
    );
    base
}

/// A number to the rule's power, and how many bits it has.
///
/// The steps are `log2` and `exp2` of `zkinfer_scoring`: between two entries of tables of 256 steps.
fn power(s: &mut Sheet, x: Number, millionths: u32) -> (Number, u32) {
    if u64::from(millionths) == MILLION {
        return (x, BASE_BITS);
    }
    // x = (1 + fraction) · 2^whole: times 2^(31 - whole) it is 2^31 + fraction, which no other whole gives.
    let top = BASE_BITS - 1;
    let mut table: Vec<Vec<u128>> = (0..=top)
        .map(|whole| vec![1 << (top - whole), whole.into(), 0])
        .collect();
    table.push(vec![0, 0, 1]);
    let index = x.values.iter().map(|x| match x {
        0 => u64::from(BASE_BITS),
        x => u64::from(127 - x.leading_zeros()),
    });
    let index: Vec<u64> = index.collect();
    let chosen = s.lookup("a logarithm's whole part", &table, &[BASE_BITS, 6, 1], &index);
    let (up, whole, zero) = (&chosen[0], &chosen[1], &chosen[2]);
    s.zero("the logarithm of 0", &zero.by(&x).sum);
    let scaled = x.by(up);
    let fraction = Expr {
        values: scaled.values.iter().map(|v| v.saturating_sub(1 << top)).collect(),
        sum: scaled.sum + zero.sum() * (1 << top) - Sum::constant(1 << top),
    };
    // 8 bits choose an entry, 23 stand between it and the next; these to the base 2^26, whose limbs reach no further.
    let (at, rest) = s.floor("a logarithm's entry", &fraction.times(1 << 3), 1 << 26, 8);
    let log = table_of(s, "a logarithm's entry", &LOG2, &at, [32, 25]);
    let between = s
        .floor("a logarithm between entries", &log.step.by(&rest), 1 << 26, 25)
        .0;
    let log = whole
        .expr()
        .times(1 << 32)
        .plus(&log.entry.expr())
        .plus(&between.expr());
    let exponent = log.times(millionths.into());
    let greatest = BASE_BITS * millionths / MILLION as u32;
    let exponent = s.floor("the exponent", &exponent, MILLION, 38).0;
    // Whole part, 8 bits that choose an entry, and 24 between it and the next.
    let (whole, fraction) = s.floor("the exponent's whole part", &exponent.expr(), 1 << 32, 6);
    let (at, rest) = s.floor("the exponent's entry", &fraction.expr().times(1 << 2), 1 << 26, 8);
    let exp = table_of(s, "the exponent's entry", &EXP2, &at, [63, 56]);
    let between = s
        .floor("a power between entries", &exp.step.by(&rest), 1 << 26, 56)
        .0;
    let table: Vec<Vec<u128>> = (0..=greatest)
        .map(|whole| vec![1 << whole, whole.into()])
        .collect();
    let chosen = s.lookup(
        "a power's whole part",
        &table,
        &[greatest + 1, 6],
        &narrow(&whole.values),
    );
    s.zero("a power's whole part", &(chosen[1].sum() - whole.sum()));
    let mantissa = exp.entry.by(&chosen[0]).plus(&between.by(&chosen[0]));
    let raised = s.floor("a power", &mantissa, 1 << 62, greatest + 1).0;
    // 0 to any power is 0.
    let values = zip(&raised.values, &zero.values, |raised, zero| raised * (1 - zero));
    let of = Expr {
        values,
        sum: raised.sum() - zero.by(&raised).sum,
    };
    (s.number_of("a power", &of, greatest + 1), greatest + 1)
}

fn narrow(values: &[u128]) -> Vec<u64> {
    values.iter().map(|v| *v as u64).collect()
}

/// An entry of a table of 256 steps, and how far it is to the next.
struct Entry {
    entry: Number,
    step: Number,
}

fn table_of(s: &mut Sheet, name: &'static str, table: &[u64], at: &Number, [entry, step]: [u32; 2]) -> Entry {
    let rows = table.windows(2).enumerate();
    let rows: Vec<Vec<u128>> = rows
        .map(|(at, pair)| vec![pair[0].into(), (pair[1] - pair[0]).into(), at as u128])
        .collect();
    let chosen = s.lookup(name, &rows, &[entry, step, 8], &narrow(&at.values));
    // The row that was chosen is the one that was asked for.
    s.zero(name, &(chosen[2].sum() - at.sum()));
    Entry {
        entry: chosen[0].clone(),
        step: chosen[1].clone(),
    }
}

/// Of an owner whose weight G is more than C, `floor(w · floor(C 2^32 / G) / 2^32)`.
///
/// With `cap` the part that one may have, at least an equal part, K owners are capped, `left = 1 - K cap` and R is the others' sum:
/// exactly those have `G left > cap R`. Only one K is so: let K owners be the greatest, and be capped, and all others not. Were one
/// more capped, the greatest of the others, of weight g, both sides would lose `cap g`: `G left > cap R` holds for it there if and only
/// if it does here, and here it does not. So neither it nor any smaller one is capped at a greater K; and a smaller K leaves out one
/// that is. `C = floor(cap R / left)`; where nobody is capped, nobody has more than it.
fn capped(s: &mut Sheet, uncapped: &Number, bits: u32, cap_millionths: u32) -> Number {
    let bits = bits + ROW_BITS;
    let one = s.constant(1);
    let million = s.constant(MILLION.into());
    let group = s.sum(Over::Owned, uncapped).expr();
    let group = s.number_of("an owner's weight", &group, bits);
    let some = s.compare("who has a weight", &group.expr(), &one, bits).flag;
    let many = s.sum(Over::All, &some);
    let cap = cap_of(s, &many.expr(), cap_millionths);
    // Filled in as the rule finds it; claimed below.
    let flags = over_cap(&group.values, cap.values[0]);
    let is_capped = s.number("who is capped", flags.clone(), 1);
    let count = s.sum(Over::All, &is_capped).expr();
    let count = s.number_of("how many are capped", &count, ROW_BITS + 1);
    let rest = Expr {
        values: zip(&group.values, &flags, |group, capped| group * (1 - capped)),
        sum: group.sum() - is_capped.by(&group).sum,
    };
    let rest = s.number_of("who is not capped", &rest, bits);
    let rest = s.sum(Over::All, &rest).expr();
    let rest = s.number_of("all who are not capped", &rest, bits);
    let part = cap.by(&count);
    let left = Expr {
        values: part
            .values
            .iter()
            .map(|part| u128::from(MILLION).saturating_sub(*part))
            .collect(),
        sum: million.sum - part.sum,
    };
    let left = s.number_of("what is left for them", &left, MILLION_BITS);
    let whole = cap.by(&rest);
    let over: Compared = s.compare(
        "who is over the cap",
        &group.by(&left),
        &whole.clone().plus(&one),
        bits + MILLION_BITS,
    );
    s.zero("who is over the cap", &(over.flag.sum() - is_capped.sum()));
    let most = s.quotient("the cap", &whole, &left, bits);
    let kept = Expr {
        values: zip(
            &group.values,
            &zip(&most.values, &flags, |most, capped| (most, capped)),
            |group, (most, capped)| if capped == 1 { most } else { group },
        ),
        sum: is_capped.by(&most).sum + group.sum() - is_capped.by(&group).sum,
    };
    let kept = s.number_of("what an owner keeps", &kept, bits);
    let factor = s.quotient_or_zero(
        "a capped factor",
        &kept.expr().times(1 << 32),
        &group,
        FACTOR_BITS,
    );
    self::part(s, "a weight", uncapped, &factor, bits - ROW_BITS)
}

/// The part that one owner may have, where so many have any: what the rule says, or an equal part.
fn cap_of(s: &mut Sheet, many: &Expr, cap_millionths: u32) -> Number {
    let most = s.rows() as u64;
    let cap = |many: u64| u64::from(cap_millionths).max(MILLION.div_ceil(many.max(1)));
    let table: Vec<Vec<u128>> = (0..=most)
        .map(|many| vec![cap(many).into(), many.into()])
        .collect();
    let chosen = s.lookup(
        "the cap's part",
        &table,
        &[MILLION_BITS, ROW_BITS + 1],
        &narrow(&many.values),
    );
    s.zero("the cap's part", &(chosen[1].sum() - many.sum.clone()));
    chosen[0].clone()
}

/// Who is capped, by the greatest first.
fn over_cap(groups: &[u128], cap: u128) -> Vec<u128> {
    let mut sizes = groups.to_vec();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let mut rest: u128 = sizes.iter().sum();
    let mut left = u128::from(MILLION);
    let mut least = None;
    for size in sizes {
        if size * left <= cap * rest {
            break;
        }
        rest -= size;
        left = left.saturating_sub(cap);
        least = Some(size);
    }
    let capped = |group: &u128| u128::from(least.is_some_and(|least| *group >= least));
    groups.iter().map(capped).collect()
}

/// What each uid has of the miners' weights, times the others' share; in the last row the owner's share of all, or of 1 while nobody
/// has anything.
fn slots(s: &mut Sheet, weight: &Number, bits: u32, shares: [u32; 2]) -> (Number, Number, u32) {
    let rows = s.rows();
    let bits = bits + ROW_BITS;
    let of = s.sum(Over::Slot, weight).expr();
    let of = s.number_of("a uid's weight", &of, bits);
    let last = (0..rows).map(|row| u128::from(row + 1 == rows)).collect();
    let last = s.fixed("the owner's row", last);
    let nobody = zip(&of.values, &last.values, |of, last| {
        u128::from(of == 0 && last == 1)
    });
    let nobody = s.flag("nobody has a weight", nobody);
    // Only in the last row, and only where the sum is 0; there it has to be.
    s.zero("nobody has a weight", &(nobody.sum() - nobody.by(&last).sum));
    s.zero("nobody has a weight", &nobody.by(&of).sum);
    s.at_most(
        "nobody has a weight",
        &last.expr(),
        &of.expr().plus(&nobody.expr()),
        bits,
    );
    let share = (0..rows).map(|row| shares[usize::from(row + 1 == rows)].into());
    let share = s.number("the shares", share.collect(), MILLION_BITS);
    let bits = bits + MILLION_BITS;
    let all = share.by(&of).plus(&share.by(&nobody));
    let all = s.number_of("a weight of all", &all, bits);
    (share, all, bits)
}
