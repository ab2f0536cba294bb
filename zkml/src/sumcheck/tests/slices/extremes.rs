//! One relation a slice, of lengths beside powers of two and values up to 32 bits, and inputs at the ends of their ranges.

use std::collections::BTreeMap;

use rand::Rng;

use super::{Builder, conv, rng};
use crate::graph::bound::accumulator_bound;
use crate::graph::{Activation, IntRange, LinearMap, Product, Requantise, TensorId};
use crate::relations::{Relation, SliceRelations};
use crate::sumcheck::disclosed::NO_LIMBS;
use crate::sumcheck::plan::Plan;
use crate::sumcheck::witness::Witness;

const LENGTHS: [usize; 12] = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33];

const RANGES: [IntRange; 7] = [
    IntRange::unsigned(1),
    IntRange::signed(2),
    IntRange::unsigned(8),
    IntRange::signed(16),
    IntRange::signed(17),
    IntRange::unsigned(24),
    IntRange::signed(32),
];

/// From a length and a range to the relation, at the end of a slice without outputs.
type Family = fn(&mut Builder, usize, IntRange) -> usize;

const FAMILIES: [(&str, Family); 10] = [
    ("range", range),
    ("map", map),
    ("elements", elements),
    ("matrices", matrices),
    ("maximum", maximum),
    ("wired", wired),
    ("read", read),
    ("rows", rows),
    ("permutation", permutation),
    ("table", table),
];

/// Slices of each relation by its name; what it makes is public in every second of them, and read on in the others.
pub(crate) fn of_each_relation() -> Vec<(&'static str, Vec<SliceRelations>)> {
    let slice = |family: Family, len: usize, range: IntRange| {
        let mut b = Builder::new((len << 6) as u64 + u64::from(range.bits));
        let y = family(&mut b, len, range);
        let out = if len.is_multiple_of(2) {
            y
        } else {
            b.wired(y, None)
        };
        b.output(out);
        b.slice
    };
    let of = |family| {
        let pairs = LENGTHS
            .into_iter()
            .flat_map(|len| RANGES.map(|range| (len, range)));
        pairs.map(|(len, range)| slice(family, len, range)).collect()
    };
    Vec::from(FAMILIES.map(|(name, family)| (name, of(family))))
}

/// The shift with which accumulators below a bound have quotients of 32 bits at most.
fn shift(bound: i64) -> u8 {
    (64 - bound.leading_zeros()).saturating_sub(30) as u8
}

fn activation(len: usize) -> Activation {
    if len.is_multiple_of(3) {
        Activation::Identity
    } else {
        Activation::Relu
    }
}

fn range(b: &mut Builder, len: usize, range: IntRange) -> usize {
    let x = b.input(len, range);
    let copy = LinearMap::Affine {
        outer: 1,
        channels: 1,
        inner: len as u32,
        scale: vec![1].into(),
        bias: vec![0].into(),
    };
    let y = b.linear(&[x], copy, 0, Activation::Identity);
    b.requantise(Requantise {
        shift: 0,
        bits: (range.bits + u8::from(range.lo() == 0)).max(2),
        activation: Activation::Identity,
    });
    b.slice.relations.push(Relation::Range {
        tensor: Builder::id(y),
        range,
    });
    b.wired(x, None)
}

fn map(b: &mut Builder, len: usize, range: IntRange) -> usize {
    let x = b.input(len, range);
    let (inputs, map) = match (len + usize::from(range.bits)) % 4 {
        0 => (vec![x], b.dense(x, 3, 1)),
        1 => {
            let kernel = [1, len.min(3) as u32];
            (vec![x], conv(b, [1, 1, len as u32], 2, kernel, [1, 2], [0, 1], 1))
        }
        2 => (vec![x, x], b.affine(2, [1, 1, len as u32])),
        _ => (vec![x], b.dense(x, 2, len)),
    };
    let ranges = vec![range; inputs.len()];
    let shift = shift(accumulator_bound(&map, &ranges).unwrap()).max(range.bits / 3);
    b.linear(&inputs, map, shift, activation(len))
}

/// Of different tensors, one of them narrower.
fn elements(b: &mut Builder, len: usize, range: IntRange) -> usize {
    let other = IntRange::signed(range.bits.min(27));
    let factors = [b.input(len, range), b.input(len, other)];
    multiplied(b, factors, Product::Elements, len)
}

fn matrices(b: &mut Builder, len: usize, range: IntRange) -> usize {
    let [rows, inner, columns] =
        [[len, 3, 2], [2, len, 3], [3, 2, len], [1, len, 1]][usize::from(range.bits) % 4];
    let batch = 1 + len % 2;
    let factors = [
        b.input(batch * rows * inner, IntRange::signed(range.bits.min(22))),
        b.input(batch * inner * columns, range),
    ];
    let [rows, batch, inner, columns] = [rows, batch, inner, columns].map(|d| d as u32);
    let product = Product::Matrix {
        rows,
        batch,
        inner,
        columns,
    };
    multiplied(b, factors, product, len)
}

fn multiplied(b: &mut Builder, factors: [usize; 2], product: Product, len: usize) -> usize {
    let bound = product.bound(factors.map(|i| b.tensors[i].1)).unwrap();
    b.product(factors, product, shift(bound), activation(len))
}

fn maximum(b: &mut Builder, len: usize, range: IntRange) -> usize {
    let x = b.input(len, range);
    let window = |t: usize| (0..=t % 3).map(|k| ((t * 5 + k * 7) % len) as u32).collect();
    b.maximum(x, (0..len).map(window).collect())
}

fn wired(b: &mut Builder, len: usize, range: IntRange) -> usize {
    let x = b.input(len, range);
    let source = (0..len as u32).rev().chain([0, len as u32 - 1]);
    b.wired(x, Some(source.collect()))
}

/// Some of the indices of every second length lie beyond the end.
fn read(b: &mut Builder, len: usize, range: IntRange) -> usize {
    let x = b.input(len, range);
    let bits = len.ilog2() as u8 + (len % 2) as u8;
    let i = b.input(1 + len / 2, IntRange::unsigned(bits.max(1)));
    b.read(x, i)
}

/// Some of the indices of every second length name no row of five.
fn rows(b: &mut Builder, len: usize, range: IntRange) -> usize {
    let index = if len.is_multiple_of(2) {
        IntRange::signed(3)
    } else {
        IntRange::unsigned(3)
    };
    let i = b.input(len, index);
    let width = 1 + len % 3;
    let constant: Vec<i64> = (0..5 * width)
        .map(|_| b.rng.gen_range(range.lo()..=range.hi()))
        .collect();
    b.rows(i, constant, width as u32)
}

fn permutation(b: &mut Builder, len: usize, range: IntRange) -> usize {
    let x = b.input(len, range);
    b.permutation(x)
}

/// Of few rows and wide entries, where the range is none of a table's.
fn table(b: &mut Builder, len: usize, range: IntRange) -> usize {
    let index = if range.bits > 16 {
        IntRange::signed(range.bits % 9)
    } else {
        range
    };
    let x = b.input(len, index);
    let step = (1 << 30) / index.magnitude().max(1);
    b.table(x, |v| {
        if range.bits > 16 {
            v * step - 1
        } else {
            v * v / 7 - v
        }
    })
}

/// The least, the greatest, the middle, one of them among others, all equal, in turns; then random ones.
pub(crate) fn pattern(slice: &SliceRelations, seed: u64) -> Vec<Vec<i64>> {
    let mut rng = rng(seed);
    let tensor = |range: IntRange, len: usize, rng: &mut rand_chacha::ChaCha20Rng| {
        let (lo, hi) = (range.lo(), range.hi());
        let (some, at) = (rng.gen_range(lo..=hi), rng.gen_range(0..len));
        let one_of =
            |value: i64, others: i64| (0..len).map(|i| if i == at { value } else { others }).collect();
        match seed % 12 {
            0 => vec![lo; len],
            1 => vec![hi; len],
            2 => vec![0; len],
            3 => one_of(hi, 0),
            4 => one_of(lo, hi),
            5 => vec![some; len],
            6 => (0..len).map(|i| [lo, hi][i % 2]).collect(),
            _ => (0..len).map(|_| rng.gen_range(lo..=hi)).collect::<Vec<i64>>(),
        }
    };
    slice
        .inputs
        .iter()
        .map(|t| tensor(t.range, t.len, &mut rng))
        .collect()
}

/// Whether an index of a read or of rows lies outside: then there is no output.
pub(crate) fn has_no_output(slice: &SliceRelations, inputs: &[Vec<i64>]) -> bool {
    let given = |id: &TensorId| {
        let at = slice.inputs.iter().position(|t| t.id == *id);
        at.map(|at| inputs[at].as_slice()).unwrap_or_default()
    };
    slice.relations.iter().any(|relation| {
        let (least, count, index) = match relation {
            Relation::Read { input, index, .. } => (0, given(input).len() as i64, index),
            Relation::Rows {
                table, width, index, ..
            } => {
                let count = table.len() as i64 / i64::from(*width);
                (-count, count, index)
            }
            _ => return false,
        };
        given(index).iter().any(|i| !(least..count).contains(i))
    })
}

/// Every tensor for each of many inputs, by the definitions.
pub(crate) fn all_values(
    slice: &SliceRelations,
    inputs: &[Vec<Vec<i64>>],
) -> Vec<BTreeMap<TensorId, Vec<i64>>> {
    let plan = Plan::new(slice, NO_LIMBS).unwrap();
    let values = |inputs: &Vec<Vec<i64>>| {
        let views: Vec<&[i64]> = inputs.iter().map(Vec::as_slice).collect();
        Witness::new(&plan, slice, &views).unwrap().values
    };
    inputs.iter().map(values).collect()
}
