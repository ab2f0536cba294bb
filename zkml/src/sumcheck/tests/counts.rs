//! What a plan counts by a walk on nothing is what a proof has.

use super::lying::Case;
use super::slices::*;
use super::{Event, Lie};
use crate::relations::SliceRelations;
use crate::sumcheck::prover::prove_witness;
use crate::sumcheck::transcript::Label;
use crate::sumcheck::*;

/// A slice's proof has as many scalars as its plan says, all of them absorbed once.
fn has_what_its_plan_counts(slice: &SliceRelations, limb_bits: u8) {
    let case = Case::new(slice, limb_bits, 5);
    let views: Vec<&[i64]> = case.inputs.iter().map(Vec::as_slice).collect();
    let (inner, digest) = (&case.key.inner, case.key.digest());
    let made = prove_witness(inner, &digest, &statement(), &views, case.witness, Lie::default());
    let (_, Lie { events, .. }) = made.unwrap();
    let scalars: usize = events
        .iter()
        .map(|event| match event {
            // What stands before the first challenge is no scalar.
            Event::Absorb(Label::Statement | Label::Key | Label::Public | Label::Named, _) => 0,
            Event::Absorb(_, n) => *n,
            Event::Draw(_) => 0,
        })
        .sum();
    assert_eq!(
        scalars, inner.plan.scalars,
        "limbs of {limb_bits} bits: {slice:?}"
    );
}

/// Every relation, in each place that limbs, activations, axes and public tensors give it.
#[test]
fn a_proof_has_as_many_scalars_as_its_plan_counts() {
    let all = [
        small(),
        attention_with(false),
        attention_with(true),
        heads(),
        sorting(),
        tables(),
        blind(2, crate::graph::Activation::Relu),
    ];
    for slice in &all {
        for limb_bits in LIMB_BITS.chain([0]) {
            has_what_its_plan_counts(slice, limb_bits);
        }
    }
    for seed in 0..60 {
        has_what_its_plan_counts(&random_of_all(seed), 4 + (seed % 13) as u8);
        has_what_its_plan_counts(&random_of_all(seed), 0);
    }
}
