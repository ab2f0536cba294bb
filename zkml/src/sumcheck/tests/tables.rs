//! Provers that lie about reads of explicit tables, and tables that have no key.

use std::sync::Arc;

use p3_field::PrimeCharacteristicRing;

use super::lying::{Case, SUM};
use super::slices::*;
use crate::graph::{IntRange, Table, TableError, TableRef, TensorId};
use crate::relations::{Relation, SliceRelations};
use crate::sumcheck::field::F;
use crate::sumcheck::layout::Side;
use crate::sumcheck::logup::Content;
use crate::sumcheck::*;

/// Two tables with the same indices on 3 values that nothing else reads, and one of two rows; something public.
fn slice() -> SliceRelations {
    let mut b = Builder::new(1);
    let x = b.input(3, IntRange::signed(5));
    let bit = b.input(3, IntRange::unsigned(1));
    b.table(x, first);
    b.table(x, second);
    b.table(bit, two);
    let out = b.wired(x, None);
    b.output(out);
    b.slice
}

fn first(v: i64) -> i64 {
    v * v + 1
}

fn second(v: i64) -> i64 {
    40 - v
}

fn two(v: i64) -> i64 {
    7 - v
}

/// What the tables are read at.
const X: [i64; 3] = [-5, 0, 15];
const BITS: [i64; 3] = [0, 1, 1];

fn case() -> Case {
    Case::of(&slice(), 8, vec![X.to_vec(), BITS.to_vec()])
}

/// Writes the cell of what the `n`th table makes.
fn put(case: &mut Case, n: usize, at: usize, value: i64) {
    let [_, output] = case.layout().explicit[n].reads[0];
    let (group, column) = case.layout().column_of(output).unwrap();
    *case.cell(group, column, at) = field::signed(value);
}

/// Says that a row of the `n`th table is read so much more often.
fn count(case: &mut Case, n: usize, row: usize, more: i64) {
    let counts = case.layout().explicit[n].counts;
    *case.cell(counts, 0, row) += field::signed(more);
}

fn row(index: i64) -> usize {
    (index + 16) as usize
}

#[test]
fn an_honest_case_is_accepted() {
    assert!(case().accepted());
}

#[test]
fn rejects_the_entry_of_a_neighbour() {
    for counted in [false, true] {
        let mut case = case();
        put(&mut case, 0, 0, first(X[0] + 1));
        if counted {
            count(&mut case, 0, row(X[0]), -1);
            count(&mut case, 0, row(X[0] + 1), 1);
        }
        assert_eq!(case.refusal(), SUM);
    }
}

#[test]
fn rejects_the_row_of_another_table() {
    let mut case = case();
    put(&mut case, 0, 2, second(X[2]));
    count(&mut case, 0, row(X[2]), -1);
    count(&mut case, 1, row(X[2]), 1);
    assert_eq!(case.refusal(), SUM);
}

#[test]
fn rejects_entries_swapped_between_two_tables() {
    let mut case = case();
    put(&mut case, 0, 1, second(X[1]));
    put(&mut case, 1, 1, first(X[1]));
    assert_eq!(case.refusal(), SUM);
}

/// Padding of the index is 0, so `f(0)` there would be a true row, if padding were read like values.
#[test]
fn rejects_an_entry_at_padding() {
    for places in [3..4, 3..16] {
        let mut case = case();
        for at in places {
            put(&mut case, 0, at, first(0));
            count(&mut case, 0, row(0), 1);
        }
        assert_eq!(case.refusal(), SUM);
    }
}

/// A table of 16 rows on 3 values, and one of what it makes; something public. Nothing else reads either of them.
fn chained() -> Case {
    let mut b = Builder::new(1);
    let x = b.input(3, IntRange::signed(5));
    let y = b.table(x, halved);
    b.table(y, second);
    let out = b.wired(x, None);
    b.output(out);
    Case::of(&b.slice, 8, vec![X.to_vec()])
}

fn halved(v: i64) -> i64 {
    v.div_euclid(2)
}

/// Says that the table of halves gives `half` at a place, and what follows.
fn answer(case: &mut Case, at: usize, half: i64) {
    put(case, 0, at, half);
    put(case, 1, at, second(half));
    count(case, 1, (half + 8) as usize, 1);
    if let Some(&x) = X.get(at) {
        count(case, 1, (halved(x) + 8) as usize, -1);
    }
}

#[test]
fn a_table_of_a_tables_output_is_read_where_that_table_says() {
    assert!(chained().accepted());
    for counted in [false, true] {
        let mut case = chained();
        answer(&mut case, 1, halved(X[1]) + 1);
        if counted {
            count(&mut case, 0, row(X[1]), -1);
            count(&mut case, 0, row(X[1] + 2), 1);
        }
        assert_eq!(case.refusal(), SUM);
    }
    // The first table is read as it should be, the second at another place of its own.
    let mut case = chained();
    put(&mut case, 1, 1, second(halved(X[1]) + 1));
    assert_eq!(case.refusal(), SUM);
}

/// The committed index would be read like a value there: its row is a true one.
#[test]
fn rejects_an_index_that_is_not_0_at_padding() {
    for padding in [3, 15] {
        for counted in [false, true] {
            let mut case = chained();
            answer(&mut case, padding, 1);
            if counted {
                count(&mut case, 0, row(2), 1);
            }
            assert_eq!(case.refusal(), SUM);
        }
    }
}

/// `p − 1` is −1: it takes away what was never read, or what another row was said to be read too often.
#[test]
fn rejects_a_multiplicity_below_0() {
    for balanced in [None, Some(row(5)), Some(row(6))] {
        let mut case = case();
        // Nothing reads 5, 6 or 7; the entries of 5 and of −5 are equal.
        count(&mut case, 0, row(7), -1);
        let counts = case.layout().explicit[0].counts;
        assert_eq!(*case.cell(counts, 0, row(7)), -F::ONE);
        if let Some(row) = balanced {
            count(&mut case, 0, row, 1);
        }
        assert_eq!(case.refusal(), SUM);
    }
    // A wrong entry, with its read taken away again.
    let mut case = case();
    put(&mut case, 0, 0, first(X[0] + 1));
    count(&mut case, 0, row(X[0]), -2);
    count(&mut case, 0, row(X[0] + 1), 1);
    assert_eq!(case.refusal(), SUM);
}

/// The table of two rows has 14 places beyond its end, all `(0, 0)` with the tag of padding.
#[test]
fn rejects_a_read_of_a_row_beyond_the_end() {
    for row in [2, 15] {
        let mut case = case();
        put(&mut case, 2, 0, 0);
        count(&mut case, 2, 0, -1);
        count(&mut case, 2, row, 1);
        assert_eq!(case.refusal(), SUM, "row {row}");
    }
}

#[test]
fn rejects_a_wrong_multiplicity_on_any_row() {
    for table in 0..3 {
        let rows = [32, 32, 16][table];
        for row in [0, 1, 2, rows / 2, rows - 1] {
            let mut case = case();
            count(&mut case, table, row, if row % 2 == 0 { 1 } else { -1 });
            assert_eq!(case.refusal(), SUM, "table {table}, row {row}");
        }
    }
}

/// Rows of the prover's own, or reads of other values than the committed ones: the sum is 0, its end is wrong.
#[test]
fn the_argument_is_about_the_keys_own_rows_and_the_committed_values() {
    for lie in [[0, 1, 0], [0, 0, 1]] {
        let mut case = case();
        let blocks = case.key.inner.plan.blocks.blocks.clone();
        let rows = blocks.iter().find(|b| {
            let side = |s| matches!(s, Side::Constants { table: 0 });
            matches!(b.content, Content::Entries { side: s, .. } if side(s))
        });
        // A row that nothing reads.
        let leaf = rows.unwrap().offset + row(X[0] + 1);
        case.lie.leaves.push((leaf, lie.map(F::from_u64)));
        assert_eq!(case.refusal(), Refutation::Leaves, "{lie:?}");
    }
    let mut case = case();
    let read = case.layout().explicit[0].reads[0];
    put(&mut case, 0, 0, first(X[0]) + 1);
    let blocks = case.key.inner.plan.blocks.blocks.clone();
    let reads = blocks.iter().find(|b| match b.content {
        Content::Entries {
            side: Side::Reads { index, output },
            ..
        } => [index, output] == read,
        _ => false,
    });
    case.lie
        .leaves
        .push((reads.unwrap().offset, [F::ZERO, F::ZERO, -F::ONE]));
    assert_eq!(case.refusal(), Refutation::Leaves);
}

#[test]
fn one_changed_row_is_another_key() {
    let key = |slice: &SliceRelations| Key::new(slice, SliceParameters { limb_bits: 8 }).unwrap();
    let made = {
        let views: [&[i64]; 2] = [&X, &BITS];
        prove(&key(&slice()), &statement(), &views).unwrap()
    };
    let mut other = slice();
    for relation in &mut other.relations {
        if let Relation::Table { table, .. } = relation {
            let mut changed = Table::clone(table);
            let mut rows = changed.columns[0].to_vec();
            *rows.last_mut().unwrap() -= 1;
            changed.columns[0] = rows.into();
            *table = TableRef::new(changed);
            break;
        }
    }
    assert_ne!(key(&slice()).digest(), key(&other).digest());
    let outputs: Vec<&[i64]> = made.outputs.iter().map(Vec::as_slice).collect();
    let said =
        |slice: &SliceRelations| verify(&key(slice), &statement(), &[&X, &BITS], &outputs, &made.proof);
    assert_eq!(said(&slice()), Ok(()));
    assert!(said(&other).is_err());
}

#[test]
fn all_reads_of_one_table_share_its_rows() {
    let slice = tables();
    let plan = plan::Plan::new(&slice, 8).unwrap();
    let reads: Vec<usize> = plan.layout.explicit.iter().map(|t| t.reads.len()).collect();
    assert_eq!(reads, [2, 1, 1, 1]);
    // An equal table made anew, not the same allocation.
    let mut apart = slice;
    for relation in &mut apart.relations {
        if let Relation::Table { table, .. } = relation {
            *table = TableRef::new(Table::clone(table));
        }
    }
    let key = |slice| {
        Key::new(slice, SliceParameters { limb_bits: 8 })
            .unwrap()
            .digest()
    };
    assert_eq!(key(&tables()), key(&apart));
}

#[test]
fn the_largest_table_is_proved_from_its_first_row_to_its_last() {
    let mut b = Builder::new(1);
    let range = IntRange::signed(16);
    let x = b.input(5, range);
    let y = b.table(x, |v| (v ^ 0x2a55) - 3);
    b.output(y);
    let key = Key::new(&b.slice, SliceParameters { limb_bits: 8 }).unwrap();
    let inputs = [range.lo(), -1, 0, 1, range.hi()];
    let made = prove(&key, &statement(), &[&inputs]).unwrap();
    assert_eq!(made.outputs, [inputs.map(|v| (v ^ 0x2a55) - 3)]);
    let said = |outputs: &[i64]| verify(&key, &statement(), &[&inputs], &[outputs], &made.proof);
    assert_eq!(said(&made.outputs[0]), Ok(()));
    for at in 0..inputs.len() {
        let mut wrong = made.outputs[0].clone();
        wrong[at] ^= 1;
        assert!(said(&wrong).is_err(), "value {at}");
    }
}

/// Tables of every shape, with entries up to 32 bits: where 0 is no index, and where rows are fewer than places.
#[test]
fn proves_tables_of_all_sizes() {
    for range in [1, 2, 3, 4, 5, 12]
        .into_iter()
        .flat_map(|b| [IntRange::unsigned(b), IntRange::signed(b)])
    {
        let mut b = Builder::new(1);
        let x = b.input(5, range);
        let y = b.table(x, |v| v * ((1 << 31) / range.magnitude().max(1) - 1));
        b.output(y);
        let mut rng = rng(2);
        let values: Vec<i64> = (0..5)
            .map(|_| rand::Rng::gen_range(&mut rng, range.lo()..=range.hi()))
            .collect();
        assert!(Case::of(&b.slice, 8, vec![values]).accepted(), "{range:?}");
    }
}

#[test]
fn refuses_tables_that_are_none_and_indices_of_another_range() {
    let refusal = |change: &dyn Fn(&mut Table, &mut Vec<TensorId>)| {
        let mut slice = slice();
        let table = slice.relations.iter_mut().find_map(|r| match r {
            Relation::Table { table, outputs, .. } => Some((table, outputs)),
            _ => None,
        });
        let (table, outputs) = table.unwrap();
        let mut changed = Table::clone(table);
        change(&mut changed, outputs);
        *table = TableRef::new(changed);
        Key::new(&slice, SliceParameters { limb_bits: 8 }).unwrap_err()
    };
    let rows = |n: usize| -> Arc<[i64]> { vec![1; n].into() };
    let range = LayoutError::Range { tensor: 0 };
    assert_eq!(refusal(&|t, _| t.first = 0), range);
    assert_eq!(
        refusal(&|t, _| t.columns[0] = rows(2)),
        table_error(TableError::Indices {
            name: "a function".to_owned(),
            first: -16,
            rows: 2
        })
    );
    assert_eq!(
        refusal(&|t, _| {
            t.first = -32;
            t.columns[0] = rows(64);
        }),
        range
    );
    let unsupported = LayoutError::Unsupported { tensor: 0 };
    assert_eq!(refusal(&|t, _| t.columns.push(rows(32))), unsupported);
    assert_eq!(refusal(&|_, outputs| outputs.clear()), unsupported);
    assert_eq!(refusal(&|_, outputs| outputs.push(TensorId(90))), unsupported);
    let none = TableError::Columns {
        name: "a function".to_owned(),
    };
    assert_eq!(refusal(&|t, _| t.columns.clear()), table_error(none));
    // 33 bits: no tensor has them.
    let wide = |t: &mut Table, _: &mut Vec<TensorId>| {
        let mut rows = t.columns[0].to_vec();
        rows[0] = 1 << 33;
        t.columns[0] = rows.into();
    };
    assert_eq!(refusal(&wide), LayoutError::Entries { tensor: 0 });
}

fn table_error(source: TableError) -> LayoutError {
    LayoutError::Table { tensor: 0, source }
}

/// Tables are found by digests that are computed once, not by hashing rows at each read.
#[test]
fn thousands_of_tables_and_reads_are_planned_at_once() {
    let mut b = Builder::new(1);
    let bit = b.input(1, IntRange::unsigned(1));
    let x = b.input(1, IntRange::unsigned(16));
    for n in 0..1500 {
        b.table(bit, |v| v * (n + 1));
    }
    let large = b.table(x, |v| v);
    let read = b.slice.relations.last().cloned().unwrap();
    for n in 0..1500 {
        let mut again = read.clone();
        if let Relation::Table { outputs, .. } = &mut again {
            outputs[0] = TensorId(large as u32 + 1 + n);
        }
        b.slice.relations.push(again);
    }
    let since = std::time::Instant::now();
    let plan = plan::Plan::new(&b.slice, 8).unwrap();
    assert_eq!(
        (plan.layout.explicit.len(), plan.layout.explicit[1500].reads.len()),
        (1501, 1501)
    );
    // By hashing at each read it takes a quarter of an hour.
    assert!(since.elapsed().as_secs() < 20, "{:?}", since.elapsed());
}

/// The largest table is light for a verifier; many of them are counted.
#[test]
fn the_rows_of_a_table_are_counted_with_a_verifiers_work() {
    let steps = |tables: i64| {
        let mut b = Builder::new(1);
        let x = b.input(64, IntRange::signed(16));
        for n in 0..tables {
            let y = b.table(x, |v| v.clamp(-9, n));
            b.output(y);
        }
        let cost = cost(&b.slice, SliceParameters { limb_bits: 8 })?;
        Ok::<_, LayoutError>(cost.verifier_steps)
    };
    let [one, two] = [1, 2].map(|n| steps(n).unwrap());
    assert!((327_680..700_000).contains(&(two - one)), "{}", two - one);
    // 2^22 cells hold the rows of 63.
    assert!(matches!(steps(80), Err(LayoutError::Large { .. })));
}
