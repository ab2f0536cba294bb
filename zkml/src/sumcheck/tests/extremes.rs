//! Ten thousand random and extreme inputs of each relation: the witness is what the checker says, where it says something. Of some,
//! proofs are made and verified.

use super::honest::round_trip;
use super::slices::{has_no_output, of_each_relation, pattern};
use crate::relations::check;
use crate::sumcheck::disclosed::NO_LIMBS;
use crate::sumcheck::plan::Plan;
use crate::sumcheck::witness::Witness;
use crate::sumcheck::*;

/// Inputs of each slice; each relation has 84 slices.
const INPUTS: u64 = if cfg!(debug_assertions) { 12 } else { 120 };

#[test]
fn ten_thousand_inputs_of_each_relation_have_the_checkers_outputs() {
    for (name, slices) in of_each_relation() {
        let (mut tried, mut refused) = (0, 0);
        for (at, slice) in slices.iter().enumerate() {
            let limb_bits = [4, 8, 13][at % 3];
            let plans = [NO_LIMBS, limb_bits].map(|limb_bits| Plan::new(slice, limb_bits).unwrap());
            for seed in 0..INPUTS {
                let inputs = pattern(slice, seed + INPUTS * at as u64);
                let views: Vec<&[i64]> = inputs.iter().map(Vec::as_slice).collect();
                let none = has_no_output(slice, &inputs);
                for plan in &plans {
                    match Witness::new(plan, slice, &views) {
                        Ok(witness) => {
                            assert!(!none, "{name}: {slice:?} {inputs:?}");
                            assert_eq!(
                                check(slice, &witness.values),
                                Ok(()),
                                "{name}: {slice:?} {inputs:?}"
                            );
                        }
                        Err(ProveError::Index { .. }) if none => refused += 1,
                        Err(e) => panic!("{name}: {e}: {slice:?} {inputs:?}"),
                    }
                }
                tried += 1;
            }
        }
        assert!(cfg!(debug_assertions) || tried >= 10_000, "{name}: {tried}");
        assert_eq!(refused > 0, ["read", "rows"].contains(&name), "{name}: {refused}");
    }
}

#[test]
fn proofs_of_random_and_extreme_inputs_of_each_relation_verify() {
    for (name, slices) in of_each_relation() {
        let mut proved = 0;
        for (at, slice) in slices
            .iter()
            .enumerate()
            .step_by(if cfg!(debug_assertions) { 30 } else { 4 })
        {
            let seeds = (at as u64..).map(|seed| pattern(slice, seed));
            let inputs = seeds
                .take(200)
                .find(|inputs| !has_no_output(slice, inputs))
                .unwrap();
            round_trip(slice, [NO_LIMBS, 4, 8, 13, 16][at / 4 % 5], &inputs);
            proved += 1;
        }
        assert!(proved > 2, "{name}");
    }
}
