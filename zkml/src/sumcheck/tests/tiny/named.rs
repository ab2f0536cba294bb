//! Accumulators that stand in a proof: every number that its bits can spell, and what follows from it.

use super::Zp;
use super::requantised::{shapes, truth};
use crate::graph::{Activation, IntRange, LinearMap, Requantise};
use crate::relations::Relation;
use crate::sumcheck::columns::Values;
use crate::sumcheck::disclosed::{NO_LIMBS, decode, encode};
use crate::sumcheck::field::{Ring, reach};
use crate::sumcheck::plan::Plan;
use crate::sumcheck::tests::slices::Builder;

/// A requantised copy of so many values, by a map whose accumulators are named.
fn plan(requantise: Requantise, len: usize) -> (Plan, Relation) {
    let mut b = Builder::new(1);
    let x = b.input(len, IntRange::signed(8));
    let map = LinearMap::Dense {
        inputs: 1,
        outputs: 1,
        weight: vec![1].into(),
        bias: vec![0].into(),
    };
    let y = b.linear(&[x], map, requantise.shift, requantise.activation);
    b.requantise(requantise);
    b.output(y);
    (
        Plan::new(&b.slice, NO_LIMBS).unwrap(),
        b.slice.relations.remove(1),
    )
}

/// By what they are modulo p, the accumulators that can be named, each with what follows from it.
fn found<const P: u64>(requantise: Requantise) -> Vec<Vec<(i64, i64)>> {
    let spelled = 1i64 << (requantise.bits + requantise.shift);
    let (plan, relation) = plan(requantise, spelled as usize);
    let [named] = &plan.layout.named[..] else {
        panic!("one list is named")
    };
    assert_eq!(1 << named.width, spelled);
    let all: Values = [(named.tensor, (0..spelled).map(|v| v - named.offset).collect())].into();
    let read = decode(&plan.layout, &encode(&plan.layout, &all)).unwrap();
    assert_eq!(read, all);
    let numbers = &read[&named.tensor];
    let (_, made) = relation.follow(&Values::new(), Some(numbers)).unwrap().unwrap();
    let mut found = vec![Vec::new(); P as usize];
    for (number, z) in numbers.iter().zip(made) {
        let Zp(at) = Zp::<P>::integer(*number);
        let z = z.expect("whatever is named has a quotient in its range");
        found[at as usize].push((*number, z));
    }
    found
}

fn at<const P: u64>(found: &[Vec<(i64, i64)>], accumulator: i64) -> &[(i64, i64)] {
    let Zp(at) = Zp::<P>::integer(accumulator);
    &found[at as usize]
}

fn exactly_one<const P: u64>() {
    let limit = 1i64 << reach(P);
    let accumulators: Vec<i64> = (1 - limit..limit).collect();
    for (requantise, public) in shapes(reach(P)) {
        if !public {
            continue;
        }
        let found = found::<P>(requantise);
        for (acc, z) in accumulators.iter().zip(truth(requantise, &accumulators)) {
            let only: Vec<_> = z.map(|z| (*acc, z)).into_iter().collect();
            assert_eq!(at::<P>(&found, *acc), only, "{requantise:?}");
        }
    }
}

#[test]
fn a_named_accumulator_is_the_relations_own_and_no_other() {
    exactly_one::<257>();
    exactly_one::<12_289>();
    exactly_one::<65_537>();
}

#[test]
fn beyond_the_limits_another_accumulator_can_be_named() {
    const P: u64 = 257;
    let of = |shift| Requantise {
        shift,
        bits: 3,
        activation: Activation::Identity,
    };
    let wraps = |acc: &i64| {
        at::<P>(&found::<P>(of(4)), *acc)
            .iter()
            .any(|(named, _)| named != acc)
    };
    assert!([-128, -127, 0, 127, 128].iter().all(|acc| !wraps(acc)));
    assert!((129..257).any(|acc| wraps(&acc)));
    let outputs = |named: &Vec<(i64, i64)>| named.windows(2).any(|n| n[0].1 != n[1].1);
    assert!(found::<P>(of(6)).iter().any(outputs));
}
