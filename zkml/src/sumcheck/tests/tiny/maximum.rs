//! `Maximum` and an inner `Range`.

use std::collections::BTreeMap;

use super::{Off, Place, Zp, vectors};
use crate::graph::{Activation, IntRange, LinearMap, TensorId};
use crate::relations::{Relation, SliceRelations, check};
use crate::sumcheck::field::Ring;
use crate::sumcheck::layout::{Home, Limbs};
use crate::sumcheck::plan::Plan;
use crate::sumcheck::relation::{Placed, maximum, range};
use crate::sumcheck::tests::slices::Builder;

const Y: TensorId = TensorId(1);

/// The maximum of all values, public or read on.
fn slice(entries: u32, bits: u8, public: bool) -> SliceRelations {
    let mut b = Builder::new(1);
    let x = b.input(entries as usize, IntRange::unsigned(bits));
    let y = b.maximum(x, vec![(0..entries).collect()]);
    let out = if public { y } else { b.wired(y, None) };
    b.output(out);
    b.slice
}

fn step(plan: &Plan) -> &maximum::Placed {
    let found = plan.steps.iter().find_map(|s| match s {
        Placed::Maximum(step) => Some(step),
        _ => None,
    });
    found.unwrap()
}

/// By the window's entries, every maximum that some assignment of the columns has with them. Identity 0 is that one difference of
/// each pair is 0; identity k + 1 is that of entry k.
fn found<const P: u64>(plan: &Plan, ones: i64, off: Off) -> BTreeMap<Vec<Zp<P>>, Vec<Zp<P>>> {
    let step = step(plan);
    let tensor = plan.layout.tensor(step.output).unwrap();
    let range = (tensor.range.lo(), tensor.range.hi());
    let place = Place::new(&plan.layout, Some(step.group), &tensor.home, range, ones, off);
    let (mut found, factors) = (BTreeMap::<_, Vec<_>>::new(), step.factors());
    place.each(|columns, public| {
        let factors: Vec<Zp<P>> = factors.iter().map(|c| columns[*c]).collect();
        if off != Off::Identity(0) && step.products(&factors).any(|product| product != Zp(0)) {
            return;
        }
        let z = match &tensor.home {
            Home::Column { column, .. } => columns[*column],
            _ => public,
        };
        let mut entries = step.entries(columns, z);
        if let Off::Identity(left) = off
            && left > 0
        {
            entries.remove(left - 1);
        }
        let maxima = found.entry(entries).or_default();
        if !maxima.contains(&z) {
            maxima.push(z);
        }
    });
    found
}

fn elements<const P: u64>(values: &[i64]) -> Vec<Zp<P>> {
    values.iter().map(|v| Zp::integer(*v)).collect()
}

fn exactly_one<const P: u64>(entries: u32, bits: u8, public: bool) {
    let slice = slice(entries, bits, public);
    let plan = Plan::new(&slice, 4).unwrap();
    let found = found::<P>(&plan, 1, Off::Nothing);
    let greatest = (1 << bits) - 1;
    for x in vectors(entries as usize, 0..=greatest) {
        let z = &found[&elements(&x)];
        let is = |z: i64| {
            let out = slice.outputs[0].id;
            let values = [(TensorId(0), x.clone()), (Y, vec![z]), (out, vec![z])].into();
            check(&slice, &values).is_ok()
        };
        let truth: Vec<i64> = (-1..=greatest + 1).filter(|z| is(*z)).collect();
        assert_eq!(*z, elements(&truth), "{x:?}");
        assert_eq!(truth.len(), 1, "{x:?}");
    }
    let padding = self::found::<P>(&plan, 0, Off::Nothing);
    assert_eq!(padding[&vec![Zp(0); entries as usize]], [Zp(0)]);
}

#[test]
fn a_window_has_its_maximum_and_no_other() {
    for public in [false, true] {
        for (entries, bits) in [(2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (4, 1)] {
            exactly_one::<257>(entries, bits, public);
        }
        exactly_one::<12_289>(2, 3, public);
        exactly_one::<65_537>(2, 2, public);
        exactly_one::<65_537>(3, 1, public);
    }
}

fn other<const P: u64>(plan: &Plan, entries: usize, values: std::ops::Range<i64>, off: Off) -> bool {
    let found = found::<P>(plan, 1, off);
    vectors(entries, values).iter().any(|x| {
        let mut key = elements(x);
        if let Off::Identity(left) = off
            && left > 0
        {
            key.remove(left - 1);
        }
        let greatest = Zp::integer(*x.iter().max().unwrap());
        found.get(&key).into_iter().flatten().any(|z| *z != greatest)
    })
}

#[test]
fn without_any_one_look_up_or_identity_a_window_has_other_maxima() {
    for entries in [2, 3] {
        let plan = Plan::new(&slice(entries, 1, false), 4).unwrap();
        let lookups = plan.layout.groups[0].lookups.len();
        assert_eq!(lookups, 2 * (entries as usize - 1));
        let off = (0..lookups)
            .map(Off::LookUp)
            .chain((0..=entries as usize).map(Off::Identity));
        for (number, off) in off.enumerate() {
            assert!(
                other::<257>(&plan, entries as usize, 0..2, off),
                "{number} of {entries} entries"
            );
        }
        assert!(!other::<257>(&plan, entries as usize, 0..2, Off::Nothing));
    }
}

/// Modulo 5 a limb of 3 bits says −1: the lesser of two is a maximum, too.
#[test]
fn differences_that_wrap_let_the_lesser_be_a_maximum() {
    let plan = |bits| Plan::new(&slice(2, bits, false), 4).unwrap();
    assert!(other::<5>(&plan(3), 2, 0..3, Off::Nothing));
    assert!(!other::<5>(&plan(1), 2, 0..2, Off::Nothing));
}

/// An inner tensor with a claim on its range.
fn ranged(claimed: IntRange) -> SliceRelations {
    let mut b = Builder::new(3);
    let x = b.input(1, IntRange::signed(10));
    let ones = LinearMap::Affine {
        outer: 1,
        channels: 1,
        inner: 1,
        scale: vec![1].into(),
        bias: vec![0].into(),
    };
    let y = b.linear(&[x], ones, 0, Activation::Identity);
    b.slice.relations.push(Relation::Range {
        tensor: Builder::id(y),
        range: claimed,
    });
    let z = b.wired(x, None);
    b.output(z);
    b.slice
}

/// Every element that some assignment of the limbs stands for.
fn members<const P: u64>(claimed: IntRange, ones: i64, off: Off) -> Vec<Zp<P>> {
    let plan = Plan::new(&ranged(claimed), 4).unwrap();
    let Placed::Range(range::Placed::InnerRange { group, limbs, lo, .. }) = &plan.steps[2] else {
        panic!("an inner range")
    };
    let place = Place::new(&plan.layout, Some(*group), &Home::Wired, (0, 0), ones, off);
    let mut members = Vec::new();
    place.each(|columns, _| members.push(Limbs::less(limbs.value(columns), -lo, Zp::<P>::integer(ones))));
    members.sort_unstable();
    members.dedup();
    members
}

fn exactly_the_range<const P: u64>(most: u8) {
    for bits in 1..=most {
        for range in [IntRange::signed(bits), IntRange::unsigned(bits)] {
            let mut all = elements::<P>(&(range.lo()..=range.hi()).collect::<Vec<_>>());
            all.sort_unstable();
            assert_eq!(members::<P>(range, 1, Off::Nothing), all, "{range:?}");
            // What stands at padding is its own relation's to say: 0, which limbs of 0 express.
            assert!(members::<P>(range, 0, Off::Nothing).contains(&Zp(0)));
        }
    }
}

#[test]
fn an_inner_range_holds_its_values_and_no_other() {
    exactly_the_range::<257>(7);
    exactly_the_range::<12_289>(12);
    exactly_the_range::<65_537>(15);
}

#[test]
fn without_a_look_up_or_with_too_many_bits_a_range_holds_everything() {
    for off in [Off::LookUp(0), Off::LookUp(1)] {
        assert!(members::<257>(IntRange::signed(7), 1, off).len() > 128);
    }
    assert_eq!(members::<257>(IntRange::signed(9), 1, Off::Nothing).len(), 257);
}
