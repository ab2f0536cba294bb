//! Whoever fills in a sheet otherwise than the rule does has no vector.

use super::{Random, expected, random, rules};
use crate::program::Program;

/// Each column that a prover may choose, one at a time, is changed in some row: nothing comes of it. The working has one form.
#[test]
fn rejects_a_working_with_one_cell_changed() {
    for rule in rules() {
        let program = Program::new(&rule, 16).unwrap();
        let evaluator = program.graph().evaluator().unwrap();
        let mut numbers = Random::new(7);
        let mut refused = 0;
        for _ in 0..3 {
            let given = random(16, rule.constants(), &mut numbers);
            if expected(&given, &rule).is_err() {
                continue;
            }
            let honest = program.inputs(&given).unwrap();
            for tensor in 4..honest.len() {
                let len = honest[tensor].values.len();
                let width = len / 16;
                for column in 0..width {
                    let row = numbers.below(16) as usize;
                    let by = [1, -1, 2, 16][numbers.below(4) as usize];
                    let mut lie = honest.clone();
                    lie[tensor].values[row * width + column] += by;
                    assert!(
                        evaluator.run(&lie).is_err(),
                        "input {tensor}, column {column}, row {row} by {by}"
                    );
                    refused += 1;
                }
            }
        }
        assert!(refused > 500, "{rule:?}: {refused}");
    }
}

/// Filled in whole, by the rule, for other totals than those that are given.
#[test]
fn rejects_the_working_of_other_totals() {
    for rule in rules() {
        let program = Program::new(&rule, 16).unwrap();
        let evaluator = program.graph().evaluator().unwrap();
        let mut numbers = Random::new(8);
        for _ in 0..20 {
            let given = random(16, rule.constants(), &mut numbers);
            let mut other = given.clone();
            let row = numbers.below(16) as usize;
            match numbers.below(5) {
                0 => other.credit[row] += 1,
                1 => other.debit[row] += 1,
                2 => other.samples[row] += 1,
                3 => other.skipped[row] ^= 1,
                _ => other.shares = [999_999, 1],
            }
            if expected(&other, &rule).is_err() || other.credit[row] > u64::MAX.into() {
                continue;
            }
            let mut lie = program.inputs(&other).unwrap();
            let told = program.given(&given);
            lie[..told.len()].clone_from_slice(&told);
            assert!(evaluator.run(&lie).is_err(), "{given:?} as {other:?}");
        }
    }
}
