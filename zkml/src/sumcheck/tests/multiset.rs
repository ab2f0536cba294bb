//! Provers that lie about permutations and reads. The tensors lied about are read by nothing else, so nothing else refuses.

use std::collections::BTreeSet;

use p3_field::PrimeCharacteristicRing;

use super::lying::{Case, SUM};
use super::slices::*;
use crate::graph::{IntRange, TensorId};
use crate::relations::{CheckError, Relation, SliceRelations, check};
use crate::sumcheck::field::F;
use crate::sumcheck::relation::{Placed, permutation, read};
use crate::sumcheck::*;

/// A case with these inputs, so that a lie can be built on them.
fn case(slice: &SliceRelations, inputs: &[&[i64]]) -> Case {
    Case::of(slice, 8, inputs.iter().map(|v| v.to_vec()).collect())
}

/// Nothing refuses but the sum of all fractions.
fn refused(case: Case) -> bool {
    case.refusal() == SUM
}

/// Two permutations of 3 values on 16 places each, and something public.
fn permutations() -> SliceRelations {
    let mut b = Builder::new(1);
    let inputs = [(); 2].map(|()| b.input(3, IntRange::signed(5)));
    for x in inputs {
        b.permutation(x);
    }
    let out = b.wired(inputs[0], None);
    b.output(out);
    b.slice
}

/// Two reads, 3 of 11 values each, by the same indices.
fn reads() -> SliceRelations {
    let mut b = Builder::new(1);
    let inputs = [(); 2].map(|()| b.input(11, IntRange::signed(5)));
    let index = b.input(3, IntRange::unsigned(4));
    for x in inputs {
        b.read(x, index);
    }
    let out = b.wired(inputs[0], None);
    b.output(out);
    b.slice
}

const LEFT: [i64; 11] = [7, 5, -3, 1, 2, 9, 9, -8, 4, 6, 11];
const RIGHT: [i64; 11] = [8, -5, 3, -1, 12, 10, 0, 13, 14, -6, -11];

fn permuted() -> Case {
    case(&permutations(), &[&[5, 3, 1], &[2, 4, 6]])
}

fn read() -> Case {
    case(&reads(), &[&LEFT, &RIGHT, &[4, 0, 4]])
}

/// The `n`th permutation or read.
fn instance(case: &Case, n: usize) -> Placed {
    let lists = |s: &&Placed| matches!(s, Placed::Permutation(_) | Placed::Read(_));
    case.steps().iter().filter(lists).nth(n).unwrap().clone()
}

/// Group and column of what the `n`th instance makes.
fn made(case: &Case, n: usize) -> (usize, usize) {
    let id = match instance(case, n) {
        Placed::Permutation(permutation::Placed::Multiset(lists)) => {
            let permutation::Lists::Permutation { output, .. } = lists;
            output
        }
        Placed::Read(read::Placed::Multiset(read::Lists::Read { output, .. })) => output,
        other => panic!("{other:?}"),
    };
    case.layout().column_of(id).unwrap()
}

/// The group of a read's multiplicities.
fn counts(case: &Case, n: usize) -> usize {
    match instance(case, n) {
        Placed::Read(read::Placed::Multiset(read::Lists::Read { counts, .. })) => counts,
        other => panic!("{other:?}"),
    }
}

fn put(case: &mut Case, n: usize, at: usize, value: i64) {
    let (group, column) = made(case, n);
    *case.cell(group, column, at) = field::signed(value);
}

#[test]
fn accepts_any_order_of_the_right_values() {
    let mut case = permuted();
    for (at, value) in [3, 5, 1].into_iter().enumerate() {
        put(&mut case, 0, at, value);
    }
    assert!(case.accepted());
    assert!(read().accepted());
}

#[test]
fn rejects_a_value_that_is_not_there_or_too_often() {
    for value in [4, 5, 0] {
        let mut case = permuted();
        // In place of 1.
        put(&mut case, 0, 0, value);
        assert!(refused(case), "{value}");
    }
}

/// Tags of tables are below 2^10, whatever function and width; each instance has two of its own, that of its values and that of its
/// padding. So no row, read or padding of one stands for another's.
#[test]
fn all_tags_of_a_plan_differ() {
    use crate::sumcheck::table::{Function, Table};
    let functions = [Function::Range, Function::Relu, Function::Sign];
    let tables = functions
        .into_iter()
        .flat_map(|function| (1..=64).map(move |width| Table { function, width }));
    let tags: BTreeSet<u64> = tables.clone().map(Table::tag).collect();
    assert_eq!(tags.len(), tables.count());
    assert!(tags.iter().all(|tag| *tag < multiset::tag(0)));

    let mut b = Builder::new(1);
    let x = b.input(9, IntRange::signed(6));
    let i = b.input(5, IntRange::unsigned(3));
    for n in 0..40 {
        b.table(x, |v| v * n);
        b.read(x, i);
        b.permutation(x);
    }
    let y = b.wired(x, None);
    b.output(y);
    let mut slices = super::lying::slices();
    slices.push((b.slice, 8));
    for (slice, limb_bits) in slices {
        let layout = plan::Plan::new(&slice, limb_bits).unwrap().layout;
        let tables = layout.tables.iter().map(|t| t.tag());
        let instances = (0..multiset::instances(&layout).count()).map(multiset::tag);
        let all: Vec<u64> = tables.chain(instances.flat_map(|tag| [tag, tag + 1])).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{all:?}");
    }
}

/// Of two instances with one tag only the union would be proved.
#[test]
fn rejects_values_swapped_between_two_permutations() {
    let mut case = permuted();
    put(&mut case, 0, 0, 2);
    put(&mut case, 1, 0, 1);
    assert!(refused(case));
}

#[test]
fn rejects_values_swapped_between_two_reads() {
    let mut case = read();
    put(&mut case, 0, 0, RIGHT[4]);
    put(&mut case, 1, 0, LEFT[4]);
    assert!(refused(case));
}

/// `[5, 3, 1 | 0]` is no permutation of `[3, 1, 0 | 5]`.
#[test]
fn rejects_a_value_lost_into_padding() {
    let mut case = permuted();
    for (at, value) in [3, 1, 0, 5].into_iter().enumerate() {
        put(&mut case, 0, at, value);
    }
    assert!(refused(case));
}

#[test]
fn rejects_padding_that_is_not_zero() {
    let mut case = permuted();
    for at in 3..16 {
        put(&mut case, 0, at, 1);
    }
    assert!(refused(case));
}

/// The value that index 0 reads, on padding, where the index is 0: a true row, if padding were read like values.
#[test]
fn rejects_a_read_into_padding() {
    let mut case = read();
    let counts = counts(&case, 0);
    for at in 3..16 {
        put(&mut case, 0, at, LEFT[0]);
        *case.cell(counts, 0, 0) += F::ONE;
    }
    assert!(refused(case));
}

#[test]
fn rejects_a_value_of_another_index() {
    let mut case = read();
    let counts = counts(&case, 0);
    put(&mut case, 0, 0, LEFT[3]);
    *case.cell(counts, 0, 4) -= F::ONE;
    *case.cell(counts, 0, 3) += F::ONE;
    assert!(refused(case));
}

/// Index 12 of 11 values, on whose place stands padding: whatever is read, nothing is there.
#[test]
fn rejects_a_read_beyond_the_end() {
    for row in [12, 15, 0] {
        let mut case = read();
        case.inputs[2][0] = 12;
        case.witness.values.insert(TensorId(2), vec![12, 0, 4]);
        for n in 0..2 {
            put(&mut case, n, 0, 0);
            let counts = counts(&case, n);
            *case.cell(counts, 0, 4) -= F::ONE;
            *case.cell(counts, 0, row) += F::ONE;
        }
        assert!(refused(case), "row {row}");
    }
}

/// A row beyond the end is `(0, 0)`: with its multiplicity a value 0 could be read at index 0, if it had the values' tag.
#[test]
fn rejects_a_zero_read_from_beyond_the_end() {
    let mut case = read();
    let counts = counts(&case, 0);
    put(&mut case, 0, 1, 0);
    *case.cell(counts, 0, 0) -= F::ONE;
    *case.cell(counts, 0, 13) += F::ONE;
    assert!(refused(case));
}

#[test]
fn rejects_a_wrong_multiplicity_beyond_the_end_too() {
    for row in 0..16 {
        let mut case = read();
        let counts = counts(&case, 1);
        *case.cell(counts, 0, row) += F::ONE;
        assert!(refused(case), "row {row}");
    }
}

#[test]
fn an_honest_prover_names_an_index_outside_its_tensor() {
    let case = read();
    for (index, wrong) in [11, 15].into_iter().enumerate() {
        let mut indices = [1; 3];
        indices[index] = wrong;
        let made = prove(&case.key, &statement(), &[&LEFT, &RIGHT, &indices]);
        assert_eq!(made.unwrap_err(), ProveError::Index { tensor: 2, index });
    }
}

#[test]
fn the_plain_checkers_say_what_the_definitions_say() {
    let slice = SliceRelations {
        inputs: Vec::new(),
        outputs: Vec::new(),
        relations: vec![
            Relation::Permutation {
                input: TensorId(0),
                output: TensorId(1),
            },
            Relation::Read {
                input: TensorId(0),
                index: TensorId(2),
                output: TensorId(3),
            },
        ],
    };
    let said = |tensors: [&[i64]; 4]| {
        let ids = (0..).map(TensorId);
        check(&slice, &ids.zip(tensors.map(<[i64]>::to_vec)).collect())
    };
    assert_eq!(said([&[4, -1, 4], &[4, 4, -1], &[2, 1, 1], &[4, -1, -1]]), Ok(()));
    let refusals: [[&[i64]; 4]; 6] = [
        [&[4, -1, 4], &[4, -1, -1], &[0], &[4]],
        [&[4, -1, 4], &[4, -1], &[0], &[4]],
        [&[4, -1], &[4, -1, 4], &[0], &[4]],
        [&[4, -1], &[4, -1], &[0], &[-1]],
        [&[4, -1], &[4, -1], &[2], &[0]],
        [&[4, -1], &[4, -1], &[-1], &[-1]],
    ];
    for tensors in refusals {
        assert!(matches!(
            said(tensors),
            Err(CheckError::Output { .. } | CheckError::Tensor(_))
        ));
    }
}
