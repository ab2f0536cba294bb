//! `Requantised` and `Product`: quotients in limbs, public, looked up with their rectified value, or cut with their sign.

use std::collections::BTreeMap;

use super::{Off, Place, Zp, vectors};
use crate::graph::{Activation, IntRange, LinearMap, Product, Requantise, TensorId};
use crate::relations::{Relation, SliceRelations, check};
use crate::sumcheck::field::{Ring, reach};
use crate::sumcheck::layout::{Home, Limbs};
use crate::sumcheck::plan::Plan;
use crate::sumcheck::relation::Placed;
use crate::sumcheck::relation::requantised::{self, Quotient};
use crate::sumcheck::tests::slices::Builder;

/// A requantised copy of one value, which is public or read on.
fn slice(requantise: Requantise, public: bool) -> SliceRelations {
    let mut b = Builder::new(1);
    let x = b.input(1, IntRange::signed(8));
    let y = b.linear(&[x], copy(1), requantise.shift, requantise.activation);
    b.requantise(requantise);
    let out = if public { y } else { b.wired(y, None) };
    b.output(out);
    b.slice
}

fn copy(len: usize) -> LinearMap {
    LinearMap::Affine {
        outer: 1,
        channels: 1,
        inner: len as u32,
        scale: vec![1].into(),
        bias: vec![0].into(),
    }
}

/// What the checker gives for each of these accumulators.
pub(super) fn truth(requantise: Requantise, accumulators: &[i64]) -> Vec<Option<i64>> {
    let mut relation = slice(requantise, true).relations.remove(1);
    if let Relation::Requantised { map, .. } = &mut relation {
        *map = copy(accumulators.len());
    }
    let values = [(TensorId(0), accumulators.to_vec())].into();
    relation.follow(&values, None).unwrap().unwrap().1
}

fn step(plan: &Plan) -> &requantised::Placed {
    let found = plan.steps.iter().find_map(|s| match s {
        Placed::Requantised(step) | Placed::Product(step) => Some(step),
        _ => None,
    });
    found.unwrap()
}

/// By accumulator, every output that some assignment of the columns has with it; `ones` is 1 at values, 0 at padding.
fn found<const P: u64>(plan: &Plan, ones: i64, off: Off) -> Vec<Vec<Zp<P>>> {
    let step = step(plan);
    let tensor = plan.layout.tensor(step.output).unwrap();
    let range = (tensor.range.lo(), tensor.range.hi());
    let place = Place::new(&plan.layout, step.group, &tensor.home, range, ones, off);
    let mut found = vec![Vec::new(); P as usize];
    let one = Zp::<P>::integer(ones);
    place.each(|columns, public| {
        let z = match &tensor.home {
            Home::Column { column, .. } => columns[*column],
            Home::Limbs { limbs, offset, .. } => Limbs::less(limbs.value(columns), *offset, one),
            _ => public,
        };
        if let (Quotient::Signed { limbs, sign }, false) = (&step.quotient, off == Off::Identity(0))
            && z != step.rectified(columns[*sign], limbs.value(columns))
        {
            return;
        }
        let Zp(acc) = step.accumulator(columns, public, one).unwrap();
        if !found[acc as usize].contains(&z) {
            found[acc as usize].push(z);
        }
    });
    found
}

pub(super) fn shapes(most: u32) -> impl Iterator<Item = (Requantise, bool)> {
    let bits = 2..=most as u8;
    let widths = bits.flat_map(move |bits| (0..=most as u8 - bits).map(move |shift| (bits, shift)));
    widths.flat_map(|(bits, shift)| {
        let forms = [Activation::Identity, Activation::Relu].into_iter();
        forms.flat_map(move |activation| {
            let requantise = Requantise {
                shift,
                bits,
                activation,
            };
            [(requantise, false), (requantise, true)]
        })
    })
}

/// For each accumulator below 2^reach the checker's output and no other, and 0 at padding; how many kinds of quotients there were.
fn exactly_one<const P: u64>(limb_bits: u8, wide: u32) -> [usize; 4] {
    let limit = 1i64 << reach(P);
    let accumulators: Vec<i64> = (1 - limit..limit).collect();
    let mut kinds = [0; 4];
    for (requantise, public) in shapes(reach(P)) {
        let plan = Plan::new(&slice(requantise, public), limb_bits).unwrap();
        let bits = u32::from(requantise.bits) + u32::from(requantise.shift);
        let kind = match step(&plan).quotient {
            Quotient::Limbs(_) => 0,
            Quotient::Public => 1,
            Quotient::Activation { .. } => 2,
            // The rectified value is a column of its own, and may be anything.
            Quotient::Signed { .. } if bits > wide => continue,
            Quotient::Signed { .. } => 3,
            Quotient::Named => unreachable!("there are limbs"),
        };
        kinds[kind] += 1;
        let found = found::<P>(&plan, 1, Off::Nothing);
        for (acc, z) in accumulators.iter().zip(truth(requantise, &accumulators)) {
            let expected: Vec<Zp<P>> = z.into_iter().map(Zp::integer).collect();
            let Zp(at) = Zp::<P>::integer(*acc);
            assert_eq!(
                found[at as usize], expected,
                "{requantise:?}, public {public}, accumulator {acc}"
            );
        }
        let padding = self::found::<P>(&plan, 0, Off::Nothing);
        assert_eq!(padding[0], [Zp(0)], "{requantise:?}, public {public}");
    }
    kinds
}

#[test]
fn an_accumulator_has_the_checkers_output_and_no_other() {
    let kinds = [
        exactly_one::<257>(4, 7),
        exactly_one::<257>(5, 7),
        exactly_one::<12_289>(4, 7),
        exactly_one::<65_537>(4, 5),
        exactly_one::<65_537>(8, 5),
    ];
    let tried = |kind: usize| kinds.iter().map(|k| k[kind]).sum::<usize>();
    assert!((0..4).all(|kind| tried(kind) > 5), "{kinds:?}");
}

fn other<const P: u64>(plan: &Plan, requantise: Requantise, off: Off, accumulators: &[i64]) -> bool {
    let found = found::<P>(plan, 1, off);
    let truth = truth(requantise, accumulators);
    accumulators.iter().zip(truth).any(|(acc, z)| {
        let Zp(at) = Zp::<P>::integer(*acc);
        found[at as usize].iter().any(|f| Some(*f) != z.map(Zp::integer))
    })
}

/// Beyond a limit an accumulator is also another one less the prime, and a wider number has two spellings.
fn beyond<const P: u64>() {
    let reach = reach(P) as u8;
    for (bits, activation) in [(3, Activation::Identity), (4, Activation::Relu)] {
        let of = |expressed: u8| Requantise {
            shift: expressed - bits,
            bits,
            activation,
        };
        let plan = |requantise| Plan::new(&slice(requantise, false), 4).unwrap();
        let all: Vec<i64> = (1 - P as i64..P as i64).collect();
        assert!(other::<P>(&plan(of(reach)), of(reach), Off::Nothing, &all));
        let limit = 1 << reach;
        let within: Vec<i64> = (1 - limit..limit).collect();
        assert!(!other::<P>(&plan(of(reach)), of(reach), Off::Nothing, &within));
        let wide = of(reach + 2);
        let found = found::<P>(&plan(wide), 1, Off::Nothing);
        assert!(found.iter().any(|z| z.len() > 1), "{wide:?}");
    }
}

#[test]
fn beyond_the_limits_there_are_second_outputs() {
    beyond::<257>();
    beyond::<12_289>();
    beyond::<65_537>();
}

#[test]
fn without_any_one_look_up_or_identity_there_are_second_outputs() {
    const P: u64 = 257;
    let within: Vec<i64> = (-127..128).collect();
    let mut tried = 0;
    for (bits, shift, activation) in [
        (3, 2, Activation::Identity),
        (3, 2, Activation::Relu),
        (5, 1, Activation::Identity),
        (3, 0, Activation::Identity),
        (3, 0, Activation::Relu),
    ] {
        for public in [false, true] {
            let requantise = Requantise {
                shift,
                bits,
                activation,
            };
            let plan = Plan::new(&slice(requantise, public), 4).unwrap();
            let Some(group) = step(&plan).group else { continue };
            for number in 0..plan.layout.groups[group].lookups.len() {
                let off = Off::LookUp(number);
                assert!(
                    other::<P>(&plan, requantise, off, &within),
                    "{requantise:?}, public {public}, {number}"
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 12, "{tried}");
    // A cut quotient with its sign: the rectified value is public, since a free one would be tried with each.
    const Q: u64 = 127;
    let within: Vec<i64> = (-31..32).collect();
    let requantise = Requantise {
        shift: 0,
        bits: 5,
        activation: Activation::Relu,
    };
    let plan = Plan::new(&slice(requantise, true), 4).unwrap();
    assert!(matches!(step(&plan).quotient, Quotient::Signed { .. }));
    for number in 0..plan.layout.groups[0].lookups.len() {
        assert!(
            other::<Q>(&plan, requantise, Off::LookUp(number), &within),
            "look-up {number}"
        );
    }
    for public in [false, true] {
        let plan = Plan::new(&slice(requantise, public), 4).unwrap();
        assert!(!other::<Q>(&plan, requantise, Off::Nothing, &within));
        assert!(other::<Q>(&plan, requantise, Off::Identity(0), &within));
    }
}

/// Maps and products of small tensors, all of whose places are public: each with its inputs' ranges.
fn composed() -> Vec<SliceRelations> {
    let public = |mut b: Builder, y: usize| {
        b.output(y);
        b.slice
    };
    let range = IntRange::signed(2);
    let mut slices = Vec::new();
    for activation in [Activation::Identity, Activation::Relu] {
        for shift in [0, 1, 2] {
            let mut b = Builder::new(1);
            let x = b.input(4, range);
            let map = LinearMap::Dense {
                inputs: 2,
                outputs: 2,
                weight: vec![3, -5, 1, 7].into(),
                bias: vec![2, -9].into(),
            };
            let y = b.linear(&[x], map, shift, activation);
            slices.push(public(b, y));
            let mut b = Builder::new(2);
            let x = b.input(5, range);
            let map = super::super::slices::conv(&mut b, [1, 1, 5], 1, [1, 3], [1, 2], [0, 1], 1);
            let y = b.linear(&[x], map, shift + 2, activation);
            slices.push(public(b, y));
            let mut b = Builder::new(3);
            let (x, w) = (b.input(2, IntRange::signed(3)), b.input(2, range));
            let map = b.affine(2, [1, 2, 1]);
            let y = b.linear(&[x, w], map, shift + 1, activation);
            slices.push(public(b, y));
            let mut b = Builder::new(4);
            let (x, w) = (b.input(2, IntRange::signed(3)), b.input(2, IntRange::unsigned(3)));
            let y = b.product([x, w], Product::Elements, shift, activation);
            slices.push(public(b, y));
            let mut b = Builder::new(5);
            let (x, w) = (b.input(4, range), b.input(2, range));
            let matrix = Product::Matrix {
                rows: 2,
                batch: 1,
                inner: 2,
                columns: 1,
            };
            let y = b.product([x, w], matrix, shift, activation);
            slices.push(public(b, y));
        }
    }
    slices
}

fn accumulators(relation: &Relation, x: &[&[i64]]) -> Vec<i64> {
    match relation {
        Relation::Requantised { map, .. } => map.accumulate(x),
        Relation::Product { product, .. } => product.accumulate(x[0], x[1]),
        _ => unreachable!("a map or a product"),
    }
}

#[test]
fn all_inputs_of_small_maps_and_products_have_one_output() {
    const P: u64 = 12_289;
    for slice in composed() {
        let plan = Plan::new(&slice, 4).unwrap();
        let found = found::<P>(&plan, 1, Off::Nothing);
        let relation = slice.relations.last().unwrap();
        let output = relation.output().unwrap();
        let range = slice.outputs[0].range;
        let lens: Vec<usize> = slice.inputs.iter().map(|t| t.len).collect();
        let bits = slice.inputs.iter().map(|t| t.range).collect::<Vec<_>>();
        let first = vectors(lens[0], bits[0].lo()..=bits[0].hi());
        let rest = match lens.get(1) {
            Some(len) => vectors(*len, bits[1].lo()..=bits[1].hi()),
            None => vec![Vec::new()],
        };
        for (a, b) in first.iter().flat_map(|a| rest.iter().map(move |b| (a, b))) {
            let x = [a.as_slice(), b.as_slice()];
            let acc = accumulators(relation, &x[..lens.len()]);
            assert!(acc.iter().all(|acc| acc.unsigned_abs() < 1 << reach(P)));
            let only = |acc: &i64| {
                let Zp(at) = Zp::<P>::integer(*acc);
                let [z] = found[at as usize][..] else {
                    panic!("{relation:?}: accumulator {acc} has {:?}", found[at as usize])
                };
                (range.lo()..=range.hi()).find(|v| Zp::integer(*v) == z).unwrap()
            };
            let made: Vec<i64> = acc.iter().map(only).collect();
            let mut values: BTreeMap<TensorId, Vec<i64>> = [(output, made)].into();
            for (tensor, x) in slice.inputs.iter().zip(x) {
                values.insert(tensor.id, x.to_vec());
            }
            assert_eq!(check(&slice, &values), Ok(()), "{values:?}");
        }
    }
}
