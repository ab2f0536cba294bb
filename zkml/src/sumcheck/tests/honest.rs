//! Honest proofs verify, for one statement and one instance only, and say what the plain checkers say.

use std::collections::BTreeMap;

use super::slices::*;
use crate::relations::{SliceRelations, check};
use crate::sumcheck::witness::Witness;
use crate::sumcheck::*;
use proptest::prelude::*;

fn views(values: &[Vec<i64>]) -> Vec<&[i64]> {
    values.iter().map(Vec::as_slice).collect()
}

/// Proves, checks the whole witness with the plain checkers, verifies.
fn round_trip(slice: &SliceRelations, limb_bits: u8, inputs: &[Vec<i64>]) {
    let key = Key::new(slice, SliceParameters { limb_bits }).unwrap();
    let made = prove(&key, &statement(), &views(inputs)).unwrap();
    let witness = Witness::new(&key.inner.plan, slice, &views(inputs)).unwrap();
    check(slice, &witness.values).unwrap();
    let outputs: BTreeMap<_, _> = slice.outputs.iter().map(|t| t.id).zip(&made.outputs).collect();
    assert!(outputs.iter().all(|(id, v)| witness.values[id] == **v));
    verify(
        &key,
        &statement(),
        &views(inputs),
        &views(&made.outputs),
        &made.proof,
    )
    .unwrap();
}

#[test]
fn proves_and_verifies_every_relation() {
    let slice = small();
    for limb_bits in [4, 8, 13] {
        round_trip(&slice, limb_bits, &inputs(&slice, 3));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 24 } else { 200 }))]
    #[test]
    fn agrees_with_the_plain_checkers_on_random_slices(seed in any::<u64>(), values in any::<u64>(), limb_bits in 4u8..=9) {
        let slice = random(seed);
        round_trip(&slice, limb_bits, &inputs(&slice, values));
    }
}
