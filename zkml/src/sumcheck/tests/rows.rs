//! Rows of a constant: the verifier reads them off itself, so that whatever else is said of them is refused, although it is argued
//! honestly from there on.

use super::Lie;
use super::lying::Case;
use super::slices::*;
use crate::graph::{Activation, IntRange, TensorId};
use crate::relations::{Relation, SliceRelations, check};
use crate::sumcheck::witness::Witness;
use crate::sumcheck::*;

const ROWS: TensorId = TensorId(1);
const WRONG: Refutation = Refutation::Relation {
    tensor: ROWS,
    claim: Claim::Rows,
};

/// Five rows of two values; the least range that holds them is that of all that stand in for them here.
const CONSTANT: [i64; 10] = [-64, 5, 3, 1, 2, 9, 0, -8, 4, 63];

/// Three rows, public or not, and a linear map of them.
fn slice(constant: &[i64], public: bool) -> SliceRelations {
    let mut b = Builder::new(1);
    let index = b.input(3, IntRange::signed(5));
    let rows = b.rows(index, constant.to_vec(), 2);
    if public {
        b.output(rows);
    }
    let map = b.dense(rows, 2, 1);
    let y = b.linear(&[rows], map, 4, Activation::Relu);
    b.output(y);
    b.slice
}

/// A prover that takes another constant for the key's, and is honest otherwise.
fn taking(other: &[i64], public: bool, indices: [i64; 3]) -> Case {
    let key = Key::new(&slice(&CONSTANT, public), SliceParameters { limb_bits: 8 }).unwrap();
    let witness = Witness::new(&key.inner.plan, &slice(other, public), &[&indices]).unwrap();
    Case {
        key,
        inputs: vec![indices.to_vec()],
        witness,
        lie: Lie::default(),
    }
}

#[test]
fn accepts_rows_at_indices_from_either_end() {
    for public in [false, true] {
        for indices in [[0, 4, 2], [-1, -5, 3], [1, 1, 1]] {
            let case = taking(&CONSTANT, public, indices);
            check(&slice(&CONSTANT, public), &case.witness.values).unwrap();
            assert!(case.accepted(), "{public} {indices:?}");
        }
    }
}

#[test]
fn rejects_one_value_of_a_row_that_is_not_the_constants() {
    for public in [false, true] {
        for at in 1..CONSTANT.len() - 1 {
            let mut other = CONSTANT;
            other[at] += 1;
            // Of the row that has it, first, last, and from the end.
            let row = at as i64 / 2;
            for indices in [[row, 0, 4], [4, 0, row], [0, row - 5, 4]] {
                let case = taking(&other, public, indices);
                assert!(check(&slice(&CONSTANT, public), &case.witness.values).is_err());
                assert_eq!(case.refusal(), WRONG, "{public} {at} {indices:?}");
            }
        }
        // A value of no row that is read is nobody's lie.
        let mut other = CONSTANT;
        other[5] += 1;
        assert!(taking(&other, public, [0, 1, 4]).accepted());
    }
}

#[test]
fn rejects_rows_in_another_order() {
    let exchanged = [3, 1, -64, 5, 2, 9, 0, -8, 4, 63];
    for public in [false, true] {
        assert_eq!(taking(&exchanged, public, [0, 1, 4]).refusal(), WRONG);
    }
}

#[test]
fn rejects_an_index_that_names_no_row() {
    let longer = [CONSTANT.as_slice(), &[7, 7]].concat();
    for public in [false, true] {
        for index in [5, -6] {
            let case = taking(&longer, public, [0, index, 1]);
            assert!(
                check(&slice(&CONSTANT, public), &case.witness.values).is_err(),
                "{index}"
            );
            assert_eq!(case.refusal(), WRONG, "{index}");
            let key = Key::new(&slice(&CONSTANT, public), SliceParameters { limb_bits: 8 }).unwrap();
            let made = Witness::new(&key.inner.plan, &slice(&CONSTANT, public), &[&[0, index, 1]]);
            let at = ProveError::Index { tensor: 0, index: 1 };
            assert_eq!(made.map(|_| ()).unwrap_err(), at);
        }
    }
}

#[test]
fn refuses_places_that_only_a_prover_knows_and_constants_without_whole_rows() {
    let error = |slice: &SliceRelations| Key::new(slice, SliceParameters { limb_bits: 8 }).unwrap_err();
    let mut b = Builder::new(1);
    let x = b.input(3, IntRange::signed(5));
    let moved = b.wired(x, None);
    let rows = b.rows(moved, CONSTANT.to_vec(), 2);
    b.output(rows);
    assert_eq!(error(&b.slice), LayoutError::NotGiven { tensor: 1 });

    for width in [0, 3, 11] {
        let mut slice = slice(&CONSTANT, false);
        let Relation::Rows { width: w, .. } = &mut slice.relations[1] else {
            panic!("rows");
        };
        *w = width;
        assert_eq!(error(&slice), LayoutError::Index { output: 1 }, "{width}");
    }
    let mut slice = slice(&CONSTANT, false);
    let Relation::Rows { table, .. } = &mut slice.relations[1] else {
        panic!("rows");
    };
    *table = vec![1 << 40; 10].into();
    assert_eq!(error(&slice), LayoutError::Entries { tensor: 0 });
}
