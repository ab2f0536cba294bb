//! Slices of every relation, fixed and random.

mod builder;
mod extremes;

use std::collections::BTreeMap;

use rand::{Rng, RngCore};

pub(crate) use self::builder::{Builder, rng, statement};
pub(crate) use self::extremes::{all_values, has_no_output, of_each_relation, pattern};
use crate::graph::{Activation, IntRange, LinearMap, Product, TensorId, Windows};
use crate::relations::{Relation, SliceRelations};
use crate::sumcheck::plan::Plan;
use crate::sumcheck::witness::Witness;

pub(crate) fn conv(
    b: &mut Builder,
    input: [u32; 3],
    oc: u32,
    kernel: [u32; 2],
    stride: [u32; 2],
    pad: [u32; 2],
    groups: u32,
) -> LinearMap {
    let out = |i: usize| (input[i + 1] + 2 * pad[i] - kernel[i]) / stride[i] + 1;
    let weights = (oc * input[0] / groups * kernel[0] * kernel[1]) as usize;
    LinearMap::Conv2d {
        input,
        output: [oc, out(0), out(1)],
        kernel,
        stride,
        dilation: [1, 1],
        pad,
        groups,
        weight: b.weights(weights, 15).into(),
        bias: b.weights(oc as usize, 50).into(),
    }
}

/// What a convolutional network is made of, with a skip connection and a tensor that is both output and read on.
pub(crate) fn small() -> SliceRelations {
    let mut b = Builder::new(7);
    let x = b.input(32, IntRange::signed(6));
    let map = conv(&mut b, [2, 4, 4], 3, [3, 3], [1, 1], [1, 1], 1);
    let y = b.linear(&[x], map, 5, Activation::Relu);
    let pooled = (0..12u32)
        .map(|t| {
            [0, 1, 4, 5]
                .map(|d| t / 4 * 16 + t / 2 % 2 * 8 + t % 2 * 2 + d)
                .to_vec()
        })
        .collect();
    let m = b.maximum(y, pooled);
    let skip = b.wired(x, Some((0..12).map(|i| (i * 5) % 32).collect()));
    let map = b.affine(2, [1, 3, 4]);
    let a = b.linear(&[m, skip], map, 3, Activation::Identity);
    let flat = b.wired(a, None);
    let map = b.dense(flat, 5, 1);
    let z = b.linear(&[flat], map, 4, Activation::Identity);
    b.output(z);
    b.output(m);
    b.slice
}

/// Values in range, among them the extremes.
pub(crate) fn inputs(slice: &SliceRelations, seed: u64) -> Vec<Vec<i64>> {
    let mut rng = rng(seed);
    let extreme = rng.next_u32() % 5;
    slice
        .inputs
        .iter()
        .map(|t| {
            (0..t.len)
                .map(|i| match extreme {
                    0 => [t.range.lo(), t.range.hi()][i % 2],
                    1 => t.range.lo(),
                    2 => t.range.hi(),
                    _ => rng.gen_range(t.range.lo()..=t.range.hi()),
                })
                .collect()
        })
        .collect()
}

/// A random slice of a few relations on small shapes, of those that both proof systems prove.
pub(crate) fn random(seed: u64) -> SliceRelations {
    random_of(seed, 7)
}

/// As [`random`], of all relations.
pub(crate) fn random_of_all(seed: u64) -> SliceRelations {
    random_of(seed, 11)
}

fn random_of(seed: u64, kinds: u32) -> SliceRelations {
    let mut b = Builder::new(seed);
    let batch = [1, 1, 2, 3, 4][b.rng.gen_range(0..5)];
    let row = b.rng.gen_range(1..=9) * 4;
    let bits = b.rng.gen_range(1..=8);
    let range = if b.rng.r#gen() && bits > 1 {
        IntRange::signed(bits)
    } else {
        IntRange::unsigned(bits)
    };
    let mut last = b.input(batch * row, range);
    for _ in 0..b.rng.gen_range(1..=4) {
        let (len, range) = b.tensors[last];
        let shift = b.rng.gen_range(0..=(range.bits / 2 + 6));
        let activation = if b.rng.r#gen() {
            Activation::Relu
        } else {
            Activation::Identity
        };
        last = match b.rng.gen_range(0..kinds) {
            0 | 1 => {
                let batch = if len.is_multiple_of(batch) { batch } else { 1 };
                let outputs = b.rng.gen_range(1..=9);
                let map = b.dense(last, outputs, batch);
                b.linear(&[last], map, shift.max(7), activation)
            }
            2 => {
                let (h, groups) = (
                    [1, 2, 3][b.rng.gen_range(0..3)],
                    1 + u32::from(len.is_multiple_of(2)),
                );
                let c = if groups == 2 { 2 } else { 1 };
                let plane = len as u32 / c;
                let h = if plane.is_multiple_of(h) { h } else { 1 };
                let input = [c, h, plane / h];
                let kernel = [
                    b.rng.gen_range(1..=h.min(3)),
                    b.rng.gen_range(1..=(plane / h).min(3)),
                ];
                let (stride, pad) = (
                    [b.rng.gen_range(1..3), b.rng.gen_range(1..3)],
                    [b.rng.gen_range(0..2), b.rng.gen_range(0..2)],
                );
                let map = conv(&mut b, input, c * 2, kernel, stride, pad, groups);
                b.linear(&[last], map, shift.max(6), activation)
            }
            3 => {
                let channels = [1, 2, 3, 4][b.rng.gen_range(0..4)];
                let channels = if len.is_multiple_of(channels) { channels } else { 1 };
                let outer = if len.is_multiple_of(2 * channels) && b.rng.r#gen() {
                    2
                } else {
                    1
                };
                let shape = [outer, channels, len / channels / outer].map(|d| d as u32);
                let map = b.affine(2, shape);
                b.linear(&[last, last], map, shift.max(4), activation)
            }
            4 => {
                let windows = (0..b.rng.gen_range(1..=len))
                    .map(|_| {
                        (0..b.rng.gen_range(1..=4))
                            .map(|_| b.rng.gen_range(0..len as u32))
                            .collect()
                    })
                    .collect();
                b.maximum(last, windows)
            }
            5 => {
                let source = (0..b.rng.gen_range(1..=2 * len))
                    .map(|_| b.rng.gen_range(0..len as u32))
                    .collect();
                b.wired(last, Some(source))
            }
            7 if range.bits <= 16 => b.product([last, last], Product::Elements, shift.max(8), activation),
            8 => b.permutation(last),
            9 if len > 1 => {
                let bits = b.rng.gen_range(1..=len.ilog2().min(8)) as u8;
                let reads = b.rng.gen_range(1..=20);
                let index = b.input(reads, IntRange::unsigned(bits));
                b.read(last, index)
            }
            10 if range.bits <= 8 => {
                let factor = b.rng.gen_range(-9..=9);
                b.table(last, |v| v * v * factor - v)
            }
            _ => b.wired(last, None),
        };
        if b.tensors[last].1.bits > 26 {
            break;
        }
        if b.rng.gen_range(0..4) == 0 {
            b.output(last);
        }
    }
    if !b.slice.outputs.iter().any(|t| t.id == Builder::id(last)) {
        b.output(last);
    }
    if last == 0 {
        b.slice.outputs.clear();
    }
    b.slice
}

/// A digit classifier on 8×8 images: two convolutions, a pool, two dense layers.
pub(crate) fn digits() -> SliceRelations {
    let mut b = Builder::new(4);
    let x = b.input(64, IntRange::unsigned(8));
    let requantised = |b: &mut Builder, x: usize, map, activation| {
        let y = b.linear(&[x], map, 7, activation);
        if let Some(Relation::Requantised { requantise, .. }) = b.slice.relations.last() {
            let mut narrow = *requantise;
            narrow.shift += requantise.bits.saturating_sub(9);
            narrow.bits = requantise.bits.min(9);
            b.requantise(narrow);
        }
        y
    };
    let map = conv(&mut b, [1, 8, 8], 8, [3, 3], [1, 1], [1, 1], 1);
    let y = requantised(&mut b, x, map, Activation::Relu);
    let windows = (0..128u32)
        .map(|t| {
            [0, 1, 8, 9]
                .map(|d| t / 16 * 64 + t / 4 % 4 * 16 + t % 4 * 2 + d)
                .to_vec()
        })
        .collect();
    let m = b.maximum(y, windows);
    let map = conv(&mut b, [8, 4, 4], 16, [3, 3], [1, 1], [1, 1], 1);
    let y = requantised(&mut b, m, map, Activation::Relu);
    let flat = b.wired(y, None);
    let map = b.dense(flat, 32, 1);
    let y = requantised(&mut b, flat, map, Activation::Relu);
    let map = b.dense(y, 10, 1);
    let z = requantised(&mut b, y, map, Activation::Identity);
    b.output(z);
    b.slice
}

/// Every tensor of a slice, as the prover computes it.
pub(crate) fn values(slice: &SliceRelations, inputs: &[Vec<i64>]) -> BTreeMap<TensorId, Vec<i64>> {
    let plan = Plan::new(slice, 8).unwrap();
    let views: Vec<&[i64]> = inputs.iter().map(Vec::as_slice).collect();
    Witness::new(&plan, slice, &views).unwrap().values
}

/// `y`, and a dense layer that does not read its first value: nothing but `y`'s own relation is against a lie about that.
pub(crate) fn blind(shift: u8, activation: Activation) -> SliceRelations {
    let mut b = Builder::new(3);
    let x = b.input(16, IntRange::signed(6));
    let map = b.dense(x, 16, 1);
    let y = b.linear(&[x], map, shift, activation);
    let mut map = b.dense(y, 3, 1);
    if let LinearMap::Dense { weight, .. } = &mut map {
        weight.iter_mut().step_by(16).for_each(|w| *w = 0);
    }
    let z = b.linear(&[y], map, 4, Activation::Identity);
    b.output(z);
    b.slice
}

/// Attention without its softmax: `A = Q·K`, `B = relu(A)·V`, `B ∘ B` at the end; no dimension is a power of two.
pub(crate) fn attention() -> SliceRelations {
    attention_with(true)
}

/// As [`attention`], with its scores inside or public.
pub(crate) fn attention_with(public: bool) -> SliceRelations {
    let mut b = Builder::new(21);
    let (tokens, width) = (3, 5);
    let x = b.input(tokens * width, IntRange::signed(5));
    let project = |b: &mut Builder| {
        let map = b.dense(x, width, tokens);
        b.linear(&[x], map, 6, Activation::Identity)
    };
    let [q, k, v] = [(); 3].map(|()| project(&mut b));
    let turned = (0..width * tokens)
        .map(|t| (t % tokens * width + t / tokens) as u32)
        .collect();
    let k = b.wired(k, Some(turned));
    let [tokens, width] = [tokens as u32, width as u32];
    let scores = Product::Matrix {
        rows: tokens,
        batch: 1,
        inner: width,
        columns: tokens,
    };
    let a = b.product([q, k], scores, 5, Activation::Relu);
    let mixed = Product::Matrix {
        rows: tokens,
        batch: 1,
        inner: tokens,
        columns: width,
    };
    let m = b.product([a, v], mixed, 6, Activation::Identity);
    let out = b.product([m, m], Product::Elements, 8, Activation::Relu);
    b.output(out);
    if public {
        b.output(a);
    }
    b.slice
}

/// Batches of matrices, inside and public: scores and mixtures of three heads, and two matrices of a value or two. But for the
/// smallest no dimension is a power of two.
pub(crate) fn heads() -> SliceRelations {
    let mut b = Builder::new(27);
    let (heads, tokens, width) = (3, 5, 3);
    let len = heads * tokens * width;
    let x = b.input(len, IntRange::signed(5));
    let project = |b: &mut Builder| {
        let map = b.affine(1, [heads as u32, 1, (tokens * width) as u32]);
        b.linear(&[x], map, 4, Activation::Identity)
    };
    let [q, k, v] = [(); 3].map(|()| project(&mut b));
    let turned = (0..len).map(|t| {
        let (head, at) = (t / (tokens * width), t % (tokens * width));
        (head * tokens * width + at % tokens * width + at / tokens) as u32
    });
    let k = b.wired(k, Some(turned.collect()));
    let matrices = |rows, inner, columns, batch| Product::Matrix {
        rows,
        batch,
        inner,
        columns,
    };
    let a = b.product([q, k], matrices(5, 3, 5, 3), 5, Activation::Relu);
    let m = b.product([a, v], matrices(5, 5, 3, 3), 6, Activation::Identity);
    let [two, four] = [2, 4].map(|n| b.wired(m, Some((0..n).collect())));
    let least = b.product([two, four], matrices(1, 1, 2, 2), 3, Activation::Identity);
    b.output(m);
    b.output(least);
    b.slice
}

/// `y` in ascending order, shown by differences that are not negative, and some of its greatest values by computed indices; the
/// read values go into a dense layer, where their padding would count. A public permutation beside it.
pub(crate) fn sorting() -> SliceRelations {
    let mut b = Builder::new(31);
    let x = b.input(11, IntRange::signed(6));
    let i = b.input(5, IntRange::unsigned(3));
    let map = b.affine(1, [1, 1, 11]);
    let y = b.linear(&[x], map, 2, Activation::Identity);
    let sorted = b.permutation(y);
    let low = b.wired(sorted, Some((0..10).collect()));
    let high = b.wired(sorted, Some((1..11).collect()));
    let difference = LinearMap::Affine {
        outer: 1,
        channels: 1,
        inner: 10,
        scale: vec![-1, 1].into(),
        bias: vec![0].into(),
    };
    let rises = b.linear(&[low, high], difference, 0, Activation::Identity);
    let bits = b.tensors[rises].1.bits;
    b.slice.relations.push(Relation::Range {
        tensor: Builder::id(rises),
        range: IntRange::unsigned(bits),
    });
    let falling = b.wired(sorted, Some((0..11).rev().collect()));
    let greatest = b.read(falling, i);
    let map = b.dense(greatest, 3, 1);
    let z = b.linear(&[greatest], map, 3, Activation::Relu);
    let again = b.read(x, i);
    let mixed = b.permutation(again);
    b.output(z);
    b.output(mixed);
    b.output(again);
    b.slice
}

/// Two functions of one public tensor, the first of them read again from a wiring and public; a third of a tensor that is cut into
/// limbs, whose values go into a dense layer, where their padding would count; one of two rows.
pub(crate) fn tables() -> SliceRelations {
    let mut b = Builder::new(41);
    let x = b.input(11, IntRange::signed(5));
    let bit = b.input(3, IntRange::unsigned(1));
    let square = |v: i64| v * v - 7;
    let a = b.table(x, square);
    let c = b.table(x, |v| 100 - v);
    let turned = b.wired(x, Some((0..5).rev().collect()));
    let again = b.table(turned, square);
    let map = LinearMap::Affine {
        outer: 1,
        channels: 1,
        inner: 11,
        scale: vec![1, 1].into(),
        bias: vec![3].into(),
    };
    let sum = b.linear(&[a, c], map, 1, Activation::Identity);
    let clipped = b.table(sum, |v| v.clamp(-9, 50) * 1000);
    let map = b.dense(clipped, 3, 1);
    let z = b.linear(&[clipped], map, 9, Activation::Relu);
    let two = b.table(bit, |v| 5 - 12 * v);
    let map = b.dense(two, 2, 1);
    let y = b.linear(&[two], map, 3, Activation::Identity);
    b.output(z);
    b.output(again);
    b.output(y);
    b.slice
}

/// The same windows but for the first, which is changed.
pub(crate) fn change_first(windows: &Windows, change: impl FnOnce(&mut Vec<u32>)) -> Windows {
    let mut all: Vec<_> = windows.iter().map(<[u32]>::to_vec).collect();
    change(&mut all[0]);
    all.iter().collect()
}
