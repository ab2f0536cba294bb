//! The definitions themselves: for all inputs of a small slice of each relation exactly one output passes its checker, and it is what
//! a prover fills in and a verifier derives.

use std::collections::BTreeSet;

use super::vectors;
use crate::graph::{Activation, IntRange, LinearMap, Product};
use crate::relations::{Relation, SliceRelations, check};
use crate::sumcheck::columns::Values;
use crate::sumcheck::disclosed::NO_LIMBS;
use crate::sumcheck::plan::Plan;
use crate::sumcheck::tests::slices::Builder;
use crate::sumcheck::witness::Witness;

/// A relation of each kind has a number: one that is not in the list does not compile.
fn kind(relation: &Relation) -> usize {
    match relation {
        Relation::Range { .. } => 0,
        Relation::Requantised { .. } => 1,
        Relation::Maximum { .. } => 2,
        Relation::Product { .. } => 3,
        Relation::Read { .. } => 4,
        Relation::Rows { .. } => 5,
        Relation::Permutation { .. } => 6,
        Relation::Table { .. } => 7,
        Relation::Wired { .. } => 8,
    }
}

fn of(inputs: &[(usize, IntRange)], relation: impl Fn(&mut Builder, &[usize]) -> usize) -> SliceRelations {
    let mut b = Builder::new(5);
    let inputs: Vec<usize> = inputs.iter().map(|(len, range)| b.input(*len, *range)).collect();
    let out = relation(&mut b, &inputs);
    b.output(out);
    b.slice
}

fn slices() -> Vec<SliceRelations> {
    let (two, three) = (IntRange::signed(2), IntRange::unsigned(2));
    let narrow = Activation::Identity;
    let matrix = Product::Matrix {
        rows: 2,
        batch: 1,
        inner: 2,
        columns: 1,
    };
    vec![
        of(&[(3, two)], |b, x| {
            let map = LinearMap::Dense {
                inputs: 3,
                outputs: 2,
                weight: vec![1, -2, 3, 0, 2, 1].into(),
                bias: vec![1, -1].into(),
            };
            b.linear(&[x[0]], map, 1, Activation::Relu)
        }),
        of(&[(2, two), (2, two)], |b, x| {
            let map = LinearMap::Affine {
                outer: 1,
                channels: 1,
                inner: 2,
                scale: vec![1, -1].into(),
                bias: vec![1].into(),
            };
            b.linear(x, map, 1, narrow)
        }),
        of(&[(3, three)], |b, x| {
            b.maximum(x[0], vec![vec![0, 1, 2], vec![2]])
        }),
        of(&[(2, two), (2, three)], |b, x| {
            b.product([x[0], x[1]], Product::Elements, 1, narrow)
        }),
        of(&[(4, two), (2, IntRange::unsigned(1))], |b, x| {
            b.product([x[0], x[1]], matrix, 1, Activation::Relu)
        }),
        of(&[(3, two), (2, three)], |b, x| b.read(x[0], x[1])),
        of(&[(1, IntRange::signed(3))], |b, x| {
            b.rows(x[0], vec![5, -2, 0, 1, 7, 7], 2)
        }),
        of(&[(2, three)], |b, x| b.permutation(x[0])),
        of(&[(2, two)], |b, x| b.table(x[0], |v| v * v - 1)),
        of(&[(3, two)], |b, x| b.wired(x[0], Some(vec![2, 2]))),
    ]
}

#[test]
fn for_all_inputs_one_output_passes_and_it_is_the_one_that_is_made_and_derived() {
    let mut kinds = BTreeSet::new();
    for slice in slices() {
        let relation = slice.relations.last().unwrap();
        kinds.extend(slice.relations.iter().map(kind));
        let plans = [4, NO_LIMBS].map(|limb_bits| Plan::new(&slice, limb_bits).unwrap());
        let output = &slice.outputs[0];
        let candidates = vectors(output.len, output.range.lo() - 1..=output.range.hi() + 1);
        let given = slice
            .inputs
            .iter()
            .map(|t| vectors(t.len, t.range.lo()..=t.range.hi()));
        let given = given.fold(vec![Vec::new()], |all: Vec<Vec<Vec<i64>>>, next| {
            let longer = |v: &Vec<Vec<i64>>| {
                next.iter()
                    .map(|x| [&v[..], std::slice::from_ref(x)].concat())
                    .collect::<Vec<_>>()
            };
            all.iter().flat_map(longer).collect()
        });
        let mut without = 0;
        for inputs in given {
            let ids = slice.inputs.iter().map(|t| t.id);
            let values: Values = ids.zip(inputs.iter().cloned()).collect();
            let passes = |z: &&Vec<i64>| {
                let mut values = values.clone();
                values.insert(output.id, z.to_vec());
                check(&slice, &values).is_ok()
            };
            let passing: Vec<&Vec<i64>> = candidates.iter().filter(passes).collect();
            let views: Vec<&[i64]> = inputs.iter().map(Vec::as_slice).collect();
            let made = plans.each_ref().map(|plan| {
                let witness = Witness::new(plan, &slice, &views);
                witness.ok().map(|w| w.values[&output.id].clone())
            });
            if let Relation::Permutation { .. } = relation {
                // Any order passes; the honest one ascends.
                assert_eq!(made[0], made[1]);
                assert!(passing.contains(&made[0].as_ref().unwrap()));
                continue;
            }
            assert!(passing.len() <= 1, "{relation:?}: {inputs:?} {passing:?}");
            let passing = passing.first().map(|z| z.to_vec());
            without += usize::from(passing.is_none());
            assert_eq!(
                made,
                [passing.clone(), passing.clone()],
                "{relation:?}: {inputs:?}"
            );
            let followed = match relation.named() {
                None => relation.follow(&values, None).ok().flatten(),
                Some(_) => None,
            };
            if let Some((_, followed)) = followed {
                let followed: Option<Vec<i64>> = followed.into_iter().collect();
                assert_eq!(followed, passing, "{relation:?}: {inputs:?}");
            }
        }
        let partial = matches!(relation, Relation::Read { .. } | Relation::Rows { .. });
        assert_eq!(without > 0, partial, "{relation:?}");
    }
    assert_eq!(kinds, (0..9).collect());
}

/// Nothing of these two is a prover's, where no relation asks for a column.
#[test]
fn wirings_and_rows_of_constants_have_no_columns() {
    for slice in slices() {
        let deterministic = matches!(
            slice.relations.last(),
            Some(Relation::Wired { .. } | Relation::Rows { .. })
        );
        let plan = Plan::new(&slice, 4).unwrap();
        assert!(
            !deterministic || plan.layout.cells() == 0,
            "{:?}",
            slice.relations
        );
    }
}
