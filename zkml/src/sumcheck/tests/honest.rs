//! Honest proofs verify, for one statement and one instance only, and say what the plain checkers say.

use std::collections::BTreeMap;

use super::slices::*;
use crate::graph::{IntRange, LinearMap, Product, TensorId, Windows};
use crate::relations::{Relation, SliceRelations, check};
use crate::sumcheck::witness::Witness;
use crate::sumcheck::*;
use proptest::prelude::*;
use rand::Rng;

fn views(values: &[Vec<i64>]) -> Vec<&[i64]> {
    values.iter().map(Vec::as_slice).collect()
}

/// Proves, checks the whole witness with the plain checkers, verifies.
pub(super) fn round_trip(slice: &SliceRelations, limb_bits: u8, inputs: &[Vec<i64>]) {
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
    for slice in [small(), attention(), heads(), sorting(), tables()] {
        for limb_bits in [0, 4, 8, 13] {
            for seed in 0..4 {
                round_trip(&slice, limb_bits, &inputs(&slice, seed));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 24 } else { 200 }))]
    #[test]
    fn agrees_with_the_plain_checkers_on_random_slices(seed in any::<u64>(), values in any::<u64>(), limb_bits in prop_oneof![Just(0), 4u8..=9]) {
        let slice = random_of_all(seed);
        round_trip(&slice, limb_bits, &inputs(&slice, values));
    }
}

#[test]
fn the_chosen_parameters_are_the_cheapest_and_their_prediction_close() {
    for slice in [small(), digits()] {
        let (chosen, least) = choose_parameters(&slice).unwrap();
        assert_eq!(cost(&slice, chosen).unwrap(), least);
        for limb_bits in 4..=16 {
            let other = cost(&slice, SliceParameters { limb_bits }).unwrap();
            assert!(other.cpu_us >= least.cpu_us);
        }
        let key = Key::new(&slice, chosen).unwrap();
        assert!(security(&key).bits >= f64::from(SECURITY_BITS));
        let made = prove(&key, &statement(), &views(&inputs(&slice, 3))).unwrap();
        let (predicted, got) = (least.proof_bytes as f64, made.proof.len() as f64);
        assert!(
            (predicted / got - 1.0).abs() < 0.1,
            "predicted {predicted}, got {got}"
        );
    }
}

#[test]
fn refuses_slices_without_a_layout() {
    let slice = small();
    let refusal = |change: &dyn Fn(&mut SliceRelations), limb_bits| {
        let mut slice = slice.clone();
        change(&mut slice);
        Key::new(&slice, SliceParameters { limb_bits }).unwrap_err()
    };
    for limb_bits in [1, 3, 17, 255] {
        assert!(matches!(
            refusal(&|_| (), limb_bits),
            LayoutError::Parameters { .. }
        ));
    }
    let unmade: [&dyn Fn(&mut SliceRelations); 7] = [
        &|s| s.inputs.clear(),
        // Listed twice: only one copy would be checked.
        &|s| s.outputs.push(s.outputs[0].clone()),
        &|s| s.inputs.push(s.inputs[0].clone()),
        &|s| s.relations.swap(1, 2),
        &|s| s.outputs[0].len += 1,
        &|s| s.outputs[0].range.bits += 1,
        &|s| s.relations.push(s.relations[1].clone()),
    ];
    for change in unmade {
        assert!(matches!(refusal(change, 8), LayoutError::Unmade { .. }));
    }
    let index = refusal(
        &|s| {
            if let Relation::Maximum { windows, .. } = &mut s.relations[2] {
                *windows = change_first(windows, Vec::clear);
            }
        },
        8,
    );
    assert!(matches!(index, LayoutError::Index { output: 2 }));
    let range = refusal(
        &|s| {
            if let Relation::Requantised { input_ranges, .. } = &mut s.relations[1] {
                input_ranges[0].bits = 2;
            }
        },
        8,
    );
    assert!(matches!(range, LayoutError::Range { tensor: 0 }));
    let wide = refusal(
        &|s| {
            if let Relation::Requantised { requantise, .. } = &mut s.relations[1] {
                (requantise.shift, requantise.bits) = (40, 32);
            }
        },
        8,
    );
    assert!(matches!(wide, LayoutError::Wide { output: 1, bits: 72 }));
    let overflow = refusal(
        &|s| {
            if let Relation::Requantised {
                map: LinearMap::Conv2d { weight, .. },
                ..
            } = &mut s.relations[1]
            {
                weight[0] = 1 << 60;
            }
        },
        8,
    );
    assert!(matches!(overflow, LayoutError::Wide { output: 1, bits: 63 }));
    let mut slice = attention();
    for relation in &mut slice.relations {
        if let Relation::Product {
            product: Product::Matrix { rows, .. },
            ..
        } = relation
        {
            *rows += 1;
        }
    }
    let factors = Key::new(&slice, SliceParameters { limb_bits: 8 }).unwrap_err();
    assert!(matches!(factors, LayoutError::Factors { .. }));
}

#[test]
fn refuses_slices_that_are_too_large_and_says_of_what() {
    let refusal = |b: Builder| match Key::new(&b.slice, SliceParameters { limb_bits: 8 }) {
        Err(LayoutError::Large { what, got, limit }) => {
            assert!(got > limit);
            what
        }
        other => panic!("{other:?}"),
    };
    let identity = crate::graph::Activation::Identity;
    let mut b = Builder::new(1);
    let mut x = b.input(1100, IntRange::signed(4));
    for _ in 0..2 {
        let map = b.dense(x, 1100, 1);
        x = b.linear(&[x], map, 12, identity);
    }
    b.output(x);
    assert_eq!(refusal(b), "weights");

    let mut b = Builder::new(1);
    let x = b.input(16, IntRange::signed(4));
    let m = b.maximum(x, vec![vec![0; 5000]]);
    b.output(m);
    assert_eq!(refusal(b), "entries in one window");

    let mut b = Builder::new(1);
    let x = b.input(1 << 21, IntRange::signed(4));
    let map = b.affine(1, [1, 1, 1 << 21]);
    let y = b.linear(&[x], map, 2, identity);
    b.output(y);
    let z = b.wired(y, Some(vec![0]));
    b.output(z);
    let map = b.affine(1, [1, 1, 1 << 21]);
    let y = b.linear(&[x], map, 9, identity);
    b.output(y);
    assert_eq!(refusal(b), "lookups");

    let mut b = Builder::new(1);
    let x = b.input(16, IntRange::signed(4));
    for _ in 0..3000 {
        let w = b.wired(x, Some(vec![1, 2]));
        b.output(w);
    }
    assert_eq!(refusal(b), "bytes in a proof");
}

/// What costs a prover no cell meets no other limit, and whoever verifies would walk it.
#[test]
fn refuses_slices_that_keep_a_verifier_busy() {
    let identity = crate::graph::Activation::Identity;
    let refused = |name: &str, b: Builder| match Key::new(&b.slice, SliceParameters { limb_bits: 8 }) {
        Err(LayoutError::Large { what, .. }) => assert_eq!(what, "steps of a verifier", "{name}"),
        other => panic!("{name}: {other:?}"),
    };
    let mut b = Builder::new(1);
    let x = b.input(1 << 21, IntRange::signed(4));
    let w = b.wired(x, Some(vec![3; 1 << 21]));
    for _ in 0..5 {
        let v = b.wired(w, Some(vec![1, 2]));
        b.output(v);
    }
    refused("a wiring that many read", b);

    let mut b = Builder::new(1);
    let x = b.input(1 << 22, IntRange::signed(4));
    for i in 0..64 {
        let m = b.maximum(x, vec![vec![i, i + 1]]);
        b.output(m);
    }
    refused("a public tensor that many read", b);

    // Neither side's rows are a power of two or pad as their tensor does.
    let mut b = Builder::new(1);
    let x = b.input(281 * 281, IntRange::signed(4));
    let map = conv(&mut b, [1, 281, 281], 1, [33, 33], [1, 1], [0, 0], 1);
    let y = b.linear(&[x], map, 5, identity);
    b.output(y);
    refused("a large kernel", b);

    let mut b = Builder::new(1);
    let x = b.input(1 << 22, IntRange::signed(4));
    for _ in 0..2 {
        let map = b.affine(1, [1, 1, 1 << 22]);
        let y = b.linear(&[x], map, 0, identity);
        b.output(y);
    }
    refused("public values", b);

    let mut b = Builder::new(1);
    let x = b.input(1 << 20, IntRange::signed(4));
    let map = b.affine(1, [1, 1 << 20, 1]);
    let y = b.linear(&[x], map, 0, identity);
    b.output(y);
    refused("a factor for each value", b);

    let mut b = Builder::new(1);
    let x = b.input(1 << 16, IntRange::signed(4));
    for _ in 0..8 {
        let m = b.maximum(
            x,
            (0..1u32 << 16)
                .map(|t| vec![t, (t * 5 + 1) % (1 << 16)])
                .collect(),
        );
        b.output(m);
    }
    refused("windows", b);
}

/// The budget stands in the way of no honest layer: 512 × 512 images, 4 M weights, a batch of them.
#[test]
fn large_honest_layers_have_a_key() {
    let identity = crate::graph::Activation::Identity;
    let mut b = Builder::new(1);
    let x = b.input(2 * 512 * 512, IntRange::signed(4));
    let map = conv(&mut b, [2, 512, 512], 2, [7, 7], [2, 2], [3, 3], 1);
    let y = b.linear(&[x], map, 5, identity);
    b.output(y);
    // Rows and columns that would pad to twice as much: taps × positions.
    let mut odd = Builder::new(1);
    let x = odd.input(300 * 300, IntRange::signed(4));
    let map = conv(&mut odd, [1, 300, 300], 1, [3, 3], [1, 1], [1, 1], 1);
    let y = odd.linear(&[x], map, 5, identity);
    odd.output(y);
    let mut dense = Builder::new(1);
    let x = dense.input(64 * 2048, IntRange::signed(4));
    let map = dense.dense(x, 2048, 64);
    let y = dense.linear(&[x], map, 12, identity);
    dense.output(y);
    for slice in [b.slice, odd.slice, dense.slice] {
        let (parameters, cost) = choose_parameters(&slice).unwrap();
        let steps = cost.verifier_steps;
        assert!(steps < 30_000_000, "{steps}");
        Key::new(&slice, parameters).unwrap();
    }
}

/// An error of the argument's own that leaves too little of the bits.
#[test]
fn refuses_a_key_below_the_required_soundness() {
    use crate::sumcheck::commitment::Scheme;
    let plan = crate::sumcheck::plan::Plan::new(&small(), 8).unwrap();
    assert!(Scheme::new(&plan.layout, -150.0).is_ok());
    let weak = Scheme::new(&plan.layout, -95.0).map(|s| s.bits);
    assert!(
        matches!(weak, Err(LayoutError::Security { bits: ..100 })),
        "{weak:?}"
    );
}

/// Changes one number of one relation to something that no compiler writes.
fn spoil(slice: &mut SliceRelations, rng: &mut impl Rng) {
    let n = [0, 1, 2, 3, 7, 1 << 12, 1 << 22, u32::MAX][rng.gen_range(0..8)];
    let id = TensorId(rng.gen_range(0..4));
    let bits = [0, 1, 31, 33, 64, 255][rng.gen_range(0..6)];
    if rng.gen_range(0..6) == 0 {
        match rng.gen_range(0..3) {
            0 => slice.inputs[0].len = n as usize,
            1 => slice.inputs[0].range.bits = bits,
            _ => slice.inputs[0].id = id,
        }
        return;
    }
    let at = rng.gen_range(0..slice.relations.len());
    match &mut slice.relations[at] {
        Relation::Range { range, .. } => range.bits = bits,
        Relation::Requantised {
            inputs,
            input_ranges,
            map,
            requantise,
            output,
            ..
        } => match rng.gen_range(0..7) {
            0 => inputs.clear(),
            1 => inputs[0] = id,
            2 => input_ranges[0].bits = bits,
            3 => requantise.bits = bits,
            4 => requantise.shift = bits,
            5 => *output = id,
            _ => match map {
                LinearMap::Dense { inputs, outputs, .. } => *[inputs, outputs][rng.gen_range(0..2)] = n,
                LinearMap::Affine {
                    outer,
                    channels,
                    inner,
                    ..
                } => *[outer, channels, inner][rng.gen_range(0..3)] = n,
                LinearMap::Conv2d {
                    input,
                    output,
                    kernel,
                    stride,
                    pad,
                    groups,
                    ..
                } => {
                    let i = rng.gen_range(0..2);
                    *[
                        &mut input[i],
                        &mut output[i],
                        &mut kernel[i],
                        &mut stride[i],
                        &mut pad[i],
                        groups,
                    ][rng.gen_range(0..6)] = n;
                }
            },
        },
        Relation::Product {
            factors,
            ranges,
            product,
            requantise,
            ..
        } => match rng.gen_range(0..4) {
            0 => factors[0] = id,
            1 => ranges[1].bits = bits,
            2 => requantise.bits = bits,
            _ => {
                *product = Product::Matrix {
                    rows: n,
                    batch: n,
                    inner: n,
                    columns: n,
                };
            }
        },
        Relation::Maximum {
            input,
            windows,
            range,
            ..
        } => match rng.gen_range(0..4) {
            0 => *input = id,
            1 => range.bits = bits,
            2 => *windows = Windows::default(),
            _ => *windows = change_first(windows, |w| *w = vec![n; n.min(9000) as usize]),
        },
        Relation::Read { input, index, .. } => *[input, index][rng.gen_range(0..2)] = id,
        Relation::Rows {
            table, width, index, ..
        } => match rng.gen_range(0..3) {
            0 => *index = id,
            1 => *width = n,
            _ => *table = vec![i64::from(n); n.min(9000) as usize].into(),
        },
        Relation::Table { index, outputs, .. } => match rng.gen_range(0..2) {
            0 => *index = id,
            _ => outputs.clear(),
        },
        Relation::Permutation { input, output } => *[input, output][rng.gen_range(0..2)] = id,
        Relation::Wired { input, source, .. } => match rng.gen_range(0..2) {
            0 => *input = id,
            _ => *source = Some(vec![n].into()),
        },
    }
}

#[test]
fn whatever_a_slice_says_a_key_is_made_or_refused_without_a_panic() {
    let mut rng = rng(6);
    let mut made = 0;
    for seed in 0..400 {
        let slices = [
            small(),
            attention(),
            heads(),
            sorting(),
            tables(),
            random_of_all(seed),
        ];
        let mut slice = slices[rng.gen_range(0..5)].clone();
        for _ in 0..rng.gen_range(1..3) {
            spoil(&mut slice, &mut rng);
        }
        made += usize::from(Key::new(&slice, SliceParameters { limb_bits: 8 }).is_ok());
        let _ = choose_parameters(&slice);
    }
    assert!(made < 300, "most of these are no slices");
}
