//! `Read`, `Table` and `Permutation`: lists that the look-up argument compares. The sum of fractions is 0 as a function of α and β
//! exactly if of each fingerprint as many are added as are taken away, modulo p; a row's multiplicity is the prover's, so whatever
//! has the fingerprint of a row can be taken away.

use std::collections::BTreeMap;

use super::{Zp, vectors};
use crate::graph::{IntRange, TensorId};
use crate::relations::Relation;
use crate::sumcheck::field::Ring;
use crate::sumcheck::layout::{Layout, Side};
use crate::sumcheck::multiset;
use crate::sumcheck::plan::Plan;
use crate::sumcheck::tests::slices::Builder;

/// The cells of each compared tensor, padding included.
type Cells<const P: u64> = BTreeMap<TensorId, Vec<Zp<P>>>;

/// The tag of an entry, from its instance and whether it stands at a value.
type Tag = fn(usize, bool) -> u64;

/// As the argument has them.
fn own(instance: usize, inside: bool) -> u64 {
    multiset::tag(instance) + u64::from(!inside)
}

/// Whether some multiplicities let the sum be 0.
fn holds<const P: u64>(layout: &Layout, cells: &Cells<P>, tag: Tag) -> bool {
    let mut sums = BTreeMap::new();
    for (instance, sides) in multiset::instances(layout).enumerate() {
        for (side, _) in sides {
            let counted = matches!(side, Side::Rows { .. } | Side::Constants { .. });
            let none = |group: usize| vec![Zp(0); 1 << layout.groups[group].axes.arity()];
            for entry in multiset::entries(layout, side, |id| cells[&id].clone(), none) {
                let key = (tag(instance, entry.inside), entry.first, entry.second);
                let (sum, free) = sums.entry(key).or_insert((Zp(0), false));
                *sum = *sum + entry.times;
                *free |= counted;
            }
        }
    }
    sums.into_values().all(|(sum, free)| free || sum == Zp(0))
}

fn cells<const P: u64>(layout: &Layout, id: TensorId, values: &[Zp<P>]) -> Vec<Zp<P>> {
    let axes = &layout.tensor(id).unwrap().axes;
    let mut cube = vec![Zp(0); 1 << axes.arity()];
    axes.scatter_with(values, |v| v, &mut cube);
    cube
}

fn elements<const P: u64>(values: &[i64]) -> Vec<Zp<P>> {
    values.iter().map(|v| Zp::integer(*v)).collect()
}

/// Every vector of so many elements.
fn all<const P: u64>(len: usize) -> Vec<Vec<Zp<P>>> {
    vectors(len, 0..P as i64).iter().map(|v| elements(v)).collect()
}

const X: TensorId = TensorId(0);
const I: TensorId = TensorId(1);
const Z: TensorId = TensorId(2);

/// `reads` values of three; what is public is not compared.
fn read(reads: usize) -> (Relation, Plan) {
    let mut b = Builder::new(1);
    let x = b.input(3, IntRange::unsigned(1));
    let i = b.input(reads, IntRange::unsigned(2));
    b.read(x, i);
    let relation = b.slice.relations[2].clone();
    let out = b.wired(x, None);
    b.output(out);
    (relation, Plan::new(&b.slice, 4).unwrap())
}

fn read_truth(relation: &Relation, x: &[i64], i: &[i64]) -> Vec<Option<i64>> {
    let values = [(X, x.to_vec()), (I, i.to_vec())].into();
    relation.follow(&values, None).unwrap().unwrap().1
}

#[test]
fn a_read_has_the_value_at_its_index_and_no_other() {
    const P: u64 = 17;
    let (relation, Plan { layout, .. }) = read(2);
    let made = all::<P>(2);
    for (x, i) in vectors(3, 0..2)
        .iter()
        .flat_map(|x| vectors(2, 0..4).into_iter().map(move |i| (x, i)))
    {
        let truth = read_truth(&relation, x, &i);
        let right: Vec<Option<Zp<P>>> = truth.iter().map(|v| v.map(Zp::integer)).collect();
        let mut tried: Cells<P> = [
            (X, cells(&layout, X, &elements(x))),
            (I, cells(&layout, I, &elements(&i))),
        ]
        .into();
        for z in &made {
            tried.insert(Z, cells(&layout, Z, z));
            let same = z.iter().zip(&right).all(|(z, right)| Some(*z) == *right);
            assert_eq!(holds(&layout, &tried, own), same, "x {x:?}, index {i:?}, {z:?}");
        }
    }
}

fn padded_places(layout: &Layout) -> Vec<usize> {
    let inside = cells::<5>(layout, Z, &[Zp(1), Zp(1)]);
    (0..inside.len()).filter(|at| inside[*at] == Zp(0)).collect()
}

/// Index and value at padding, on one place and on two of them, and with a value's place in exchange.
#[test]
fn padding_of_a_read_is_0_and_is_exchanged_with_nothing() {
    const P: u64 = 17;
    let (_, Plan { layout, .. }) = read(2);
    let padded = padded_places(&layout);
    assert_eq!(padded.len(), 14);
    let honest = |x: &[i64], i: &[i64], z: &[i64]| -> Cells<P> {
        let of = |id, values| (id, cells(&layout, id, &elements(values)));
        [of(X, x), of(I, i), of(Z, z)].into()
    };
    let case = honest(&[1, 0, 1], &[2, 0], &[1, 1]);
    assert!(holds(&layout, &case, own));
    let with = |at: &[(TensorId, usize, Zp<P>)]| {
        let mut case = case.clone();
        at.iter()
            .for_each(|&(id, at, value)| case.get_mut(&id).unwrap()[at] = value);
        case
    };
    let zero = |values: &[Zp<P>]| values.iter().all(|v| *v == Zp(0));
    let pairs = all::<P>(2);
    for &at in &padded {
        for v in &pairs {
            let case = with(&[(I, at, v[0]), (Z, at, v[1])]);
            assert_eq!(holds(&layout, &case, own), zero(v), "{at}: {v:?}");
        }
    }
    let (first, last) = (padded[0], padded[13]);
    for (v, w) in pairs
        .iter()
        .flat_map(|v| pairs.iter().step_by(3).map(move |w| (v, w)))
    {
        let case = with(&[
            (I, first, v[0]),
            (Z, first, v[1]),
            (I, last, w[0]),
            (Z, last, w[1]),
        ]);
        assert_eq!(holds(&layout, &case, own), zero(v) && zero(w), "{v:?}, {w:?}");
    }
    for v in all::<P>(3) {
        let case = with(&[(Z, 0, v[0]), (I, first, v[1]), (Z, first, v[2])]);
        let right = v[0] == Zp(1) && zero(&v[1..]);
        assert_eq!(holds(&layout, &case, own), right, "{v:?}");
    }
    // With one tag for both, padding reads a row like a value.
    let one_tag: Tag = |instance, _| multiset::tag(instance);
    let second = with(&[(I, first, Zp(2)), (Z, first, Zp(1))]);
    assert!(holds(&layout, &second, one_tag));
}

#[test]
fn as_many_equal_reads_as_the_prime_would_cancel() {
    const P: u64 = 5;
    let wrong = |reads: usize| {
        let (relation, Plan { layout, .. }) = read(reads);
        let index = vec![1; reads];
        let truth = read_truth(&relation, &[0, 1, 0], &index);
        assert_eq!(truth, vec![Some(1); reads]);
        let of = |id, values: &[i64]| (id, cells::<P>(&layout, id, &elements(values)));
        let cells: Cells<P> = [of(X, &[0, 1, 0]), of(I, &index), of(Z, &vec![3; reads])].into();
        holds(&layout, &cells, own)
    };
    assert_eq!([1, 2, 3, 4, 5].map(wrong), [false, false, false, false, true]);
}

/// One value, and tables of it by their rows.
fn tables(range: IntRange, rows: &[Vec<i64>]) -> (Vec<TensorId>, Plan) {
    let mut b = Builder::new(1);
    let x = b.input(1, range);
    let made = rows.iter().map(|rows| {
        let z = b.table(x, |v| rows[(v - range.lo()) as usize]);
        Builder::id(z)
    });
    let made = made.collect();
    let out = b.wired(x, None);
    b.output(out);
    (made, Plan::new(&b.slice, 4).unwrap())
}

#[test]
fn a_table_has_the_entry_of_its_index_and_no_other() {
    const P: u64 = 17;
    for range in [IntRange::unsigned(2), IntRange::signed(2), IntRange::unsigned(1)] {
        let len = (range.hi() - range.lo() + 1) as usize;
        for rows in vectors(len, -1..2) {
            let (made, Plan { layout, .. }) = tables(range, std::slice::from_ref(&rows));
            let truth: BTreeMap<Zp<P>, Zp<P>> = (range.lo()..=range.hi())
                .zip(&rows)
                .map(|(x, z)| (Zp::integer(x), Zp::integer(*z)))
                .collect();
            for v in all::<P>(2) {
                let tried = [
                    (X, cells(&layout, X, &v[..1])),
                    (made[0], cells(&layout, made[0], &v[1..])),
                ]
                .into();
                let right = truth.get(&v[0]) == Some(&v[1]);
                assert_eq!(holds(&layout, &tried, own), right, "{rows:?}: {v:?}");
            }
        }
    }
}

#[test]
fn padding_of_a_table_is_0_whatever_the_row_of_0_is() {
    const P: u64 = 17;
    for rows in [[3, 1, 2, 0], [0, 1, 2, 3]] {
        let (made, Plan { layout, .. }) = tables(IntRange::unsigned(2), &[rows.to_vec()]);
        for at in 1..16 {
            for v in all::<P>(2) {
                let mut x = cells(&layout, X, &[Zp(1)]);
                let mut z = cells(&layout, made[0], &[Zp(1)]);
                (x[at], z[at]) = (v[0], v[1]);
                let tried = [(X, x), (made[0], z)].into();
                assert_eq!(holds(&layout, &tried, own), v == [Zp(0), Zp(0)], "{at}: {v:?}");
            }
        }
    }
}

#[test]
fn entries_of_two_tables_do_not_change_places() {
    const P: u64 = 17;
    let rows = [vec![0, 1, 2, 3], vec![3, 3, 1, 1]];
    let (made, Plan { layout, .. }) = tables(IntRange::unsigned(2), &rows);
    let one_tag: Tag = |_, inside| multiset::tag(0) + u64::from(!inside);
    let (mut accepted, mut with_one_tag) = (0, 0);
    for x in 0..4 {
        for z in all::<P>(2) {
            let of = |id, v: Zp<P>| (id, cells(&layout, id, &[v]));
            let tried = [of(X, Zp::integer(x)), of(made[0], z[0]), of(made[1], z[1])].into();
            let right = z == elements(&[rows[0][x as usize], rows[1][x as usize]]);
            assert_eq!(holds(&layout, &tried, own), right, "{x}: {z:?}");
            accepted += usize::from(right);
            with_one_tag += usize::from(holds(&layout, &tried, one_tag));
        }
    }
    assert_eq!(accepted, 4);
    assert!(with_one_tag > 4, "{with_one_tag}");
}

#[test]
fn a_permutation_has_each_value_as_often_and_ascending_it_is_one() {
    const P: u64 = 7;
    let mut b = Builder::new(1);
    let x = b.input(3, IntRange::unsigned(2));
    let z = b.permutation(x);
    let out = b.wired(x, None);
    b.output(out);
    let layout = Plan::new(&b.slice, 4).unwrap().layout;
    let z = Builder::id(z);
    let sorted = |v: &[Zp<P>]| {
        let mut v = v.to_vec();
        v.sort_unstable();
        v
    };
    for x in vectors(3, 0..4) {
        let x = elements::<P>(&x);
        let mut ascending = 0;
        for v in all::<P>(3) {
            let tried: Cells<P> = [(X, cells(&layout, X, &x)), (z, cells(&layout, z, &v))].into();
            let right = sorted(&v) == sorted(&x);
            assert_eq!(holds(&layout, &tried, own), right, "{x:?}: {v:?}");
            ascending += usize::from(right && v == sorted(&v));
        }
        assert_eq!(ascending, 1, "{x:?}");
        // A value's place takes no 0 of padding's, nor the other way round.
        for (at, v) in all::<P>(2).iter().flat_map(|v| (3..16).map(move |at| (at, v))) {
            let mut made = cells(&layout, z, &x);
            (made[0], made[at]) = (v[0], v[1]);
            let tried: Cells<P> = [(X, cells(&layout, X, &x)), (z, made)].into();
            assert_eq!(
                holds(&layout, &tried, own),
                v[0] == x[0] && v[1] == Zp(0),
                "{x:?}, {at}: {v:?}"
            );
        }
    }
}
