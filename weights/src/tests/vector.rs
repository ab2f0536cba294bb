use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::rows;
use crate::vector::{Limits, OwnerShare, Vector, VectorError};

const ANY: Limits = Limits {
    least_weights: 0,
    most_for_one: 65535,
};

fn of(weights: &[(u16, u128)]) -> Vector {
    Vector::of(&weights.iter().copied().collect(), None).unwrap()
}

fn numbers(of: &Value) -> Vec<u16> {
    let numbers = of.as_array().unwrap().iter();
    numbers.map(|n| n.as_u64().unwrap() as u16).collect()
}

#[test]
fn uids_and_values_are_the_sdks() {
    for row in rows("vectors") {
        let weights = row["weights"].as_array().unwrap().iter();
        let weights = weights.map(|w| w.as_str().unwrap().parse::<u128>().unwrap());
        let weights: BTreeMap<u16, u128> = numbers(&row["uids"]).into_iter().zip(weights).collect();
        match Vector::of(&weights, None) {
            Ok(vector) => {
                assert_eq!(vector.uids(), numbers(&row["outUids"]), "{row}");
                assert_eq!(vector.values(), numbers(&row["values"]), "{row}");
            }
            Err(wrong) => {
                assert_eq!(wrong, VectorError::Nobody);
                assert_eq!(row["outUids"], serde_json::json!([]));
            }
        }
    }
}

/// By whole numbers; `None` for an exact half.
fn exact(weight: u128, greatest: u128) -> Option<u16> {
    let twice = 2 * weight * 65535;
    let (below, rest) = (twice / greatest, twice % greatest);
    let half = rest == 0 && below % 2 == 1;
    (!half).then_some(below.div_ceil(2) as u16)
}

proptest! {
    #[test]
    fn values_are_those_of_exact_division(weights in proptest::collection::vec(0u128..1 << 32, 1..40)) {
        let greatest = *weights.iter().max().unwrap();
        prop_assume!(greatest > 0);
        let given: BTreeMap<u16, u128> = weights.iter().enumerate().map(|(uid, w)| (uid as u16, *w)).collect();
        let vector = Vector::of(&given, None).unwrap();
        prop_assert_eq!(vector.values().iter().max(), Some(&65535));
        for (uid, weight) in &given {
            if let Some(value) = exact(*weight, greatest) {
                prop_assert_eq!(vector.value(*uid), value);
            }
        }
    }

    #[test]
    fn the_owner_has_its_part(weights in proptest::collection::vec(1u128..1 << 70, 1..40), millionths in 1u32..1_000_000) {
        let given: BTreeMap<u16, u128> = weights.iter().enumerate().map(|(uid, w)| (uid as u16, *w)).collect();
        let vector = Vector::of(&given, Some(OwnerShare { uid: 100, millionths })).unwrap();
        let sum: f64 = vector.values().iter().map(|v| f64::from(*v)).sum();
        let part = f64::from(vector.value(100)) / sum;
        // Every value is rounded by at most a half, of 65535 for the greatest.
        prop_assert!((part - f64::from(millionths) / 1e6).abs() < 41.0 / 65535.0, "{part}");
        let alone = Vector::of(&given, None).unwrap();
        for (one, other) in (0..39).map(|uid| (uid, uid + 1)).filter(|(_, other)| given.contains_key(other)) {
            let order = |of: &Vector| of.value(one).cmp(&of.value(other));
            prop_assert!(order(&vector) == order(&alone) || vector.value(one).abs_diff(vector.value(other)) <= 1);
        }
    }
}

#[test]
fn the_greatest_is_65535_and_nothing_is_left_out() {
    let vector = of(&[(7, 0), (3, 1), (9, 2), (1, 0)]);
    assert_eq!(
        (vector.uids(), vector.values()),
        (&[3, 9][..], &[32768, 65535][..])
    );
    // What rounds to nothing is nothing.
    assert_eq!(of(&[(1, 1), (2, 1_000_000)]).uids(), [2]);
    assert_eq!(vector.value(7), 0);
}

#[test]
fn nobody_has_a_vector() {
    assert_eq!(Vector::of(&BTreeMap::new(), None), Err(VectorError::Nobody));
    let zeros = BTreeMap::from([(1, 0), (2, 0)]);
    assert_eq!(Vector::of(&zeros, None), Err(VectorError::Nobody));
    let nothing = OwnerShare {
        uid: 0,
        millionths: 0,
    };
    assert_eq!(Vector::of(&zeros, Some(nothing)), Err(VectorError::Nobody));
}

#[test]
fn an_owners_share_is_of_all() {
    let weights = BTreeMap::from([(1, 30), (2, 10)]);
    let share = |millionths| Vector::of(&weights, Some(OwnerShare { uid: 0, millionths })).unwrap();
    // 0.8 of all: 160 of 200, beside 30 and 10.
    assert_eq!(share(800_000).values(), [65535, 12288, 4096]);
    assert_eq!(share(0).uids(), [1, 2]);
    assert_eq!(share(1_000_000).uids(), [0]);
    // While nobody has earned anything it has all.
    let vector = Vector::of(
        &BTreeMap::new(),
        Some(OwnerShare {
            uid: 5,
            millionths: 1,
        }),
    )
    .unwrap();
    assert_eq!((vector.uids(), vector.values()), (&[5][..], &[65535][..]));
}

#[test]
fn an_owner_is_no_miner_and_has_no_more_than_all() {
    let weights = BTreeMap::from([(1, 30)]);
    let share = |uid, millionths| Vector::of(&weights, Some(OwnerShare { uid, millionths }));
    assert_eq!(share(1, 1), Err(VectorError::OwnerMines(1)));
    assert_eq!(share(0, 1_000_001), Err(VectorError::Share(1_000_001)));
    let great = BTreeMap::from([(1, u128::MAX)]);
    assert_eq!(
        Vector::of(
            &great,
            Some(OwnerShare {
                uid: 0,
                millionths: 1
            })
        ),
        Err(VectorError::Great)
    );
}

#[test]
fn a_vector_that_the_chain_would_not_take_is_refused_before() {
    let vector = of(&[(1, 3), (2, 1)]);
    assert_eq!(vector.fits(ANY, 9), Ok(()));
    let limits = Limits {
        least_weights: 3,
        ..ANY
    };
    assert_eq!(vector.fits(limits, 9), Err(VectorError::Few { least: 3, got: 2 }));
    // 65535 of 65535 + 21845 is 49151.25 of 65535.
    let limits = |most_for_one| Limits { most_for_one, ..ANY };
    assert_eq!(vector.fits(limits(49152), 9), Ok(()));
    assert_eq!(
        vector.fits(limits(49151), 9),
        Err(VectorError::Much {
            uid: 1,
            value: 65535,
            sum: 87380,
            limit: 49151
        })
    );
}

#[test]
fn all_for_oneself_is_allowed() {
    let limits = Limits {
        least_weights: 8,
        most_for_one: 1,
    };
    assert_eq!(of(&[(9, 5)]).fits(limits, 9), Ok(()));
    assert!(of(&[(9, 5)]).fits(limits, 8).is_err());
}
