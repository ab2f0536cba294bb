//! The slice that takes a verifier longest: families of slices, each grown until no key is made for it any more, and the
//! largest that has one proved and verified. A step of the verifier's budget is a nanosecond where this agrees.

use std::error::Error;

use zkinfer_crds::Digest;
use zkml::graph::{Activation, IntRange, LinearMap, Product, Requantise, Shared, Table, TableRef, TensorId};
use zkml::relations::{Relation, SliceRelations, SliceTensor};
use zkml::sumcheck::{Key, SliceParameters, cost, prove, verify};

use super::measure::cpu;

/// No slice should take longer on the reference machine, in milliseconds.
const MOST_MS: f64 = 50.0;
const RANGE: IntRange = IntRange::unsigned(2);
/// Slices that commit to their accumulators, and those that have them in their proofs: families are the same, what is counted is not.
const PARAMETERS: [(&str, SliceParameters); 2] = [
    ("committed", SliceParameters { limb_bits: 8 }),
    ("in the proof", SliceParameters { limb_bits: 0 }),
];

/// What grows, its greatest size, and the slice of a size.
type Family = (&'static str, usize, fn(usize) -> SliceRelations);

const FAMILIES: &[Family] = &[
    ("kernel, axes that do not fit", 250, |n| conv(1, 281, n)),
    ("kernel, rows and columns", 500, |n| conv(1, 512, n)),
    ("channels of a kernel of 3", 600, |n| conv(n, 33, 3)),
    ("dense, one output", 1 << 12, |n| dense(n << 10, 1, 1)),
    ("dense, one input", 1 << 12, |n| dense(1, n << 10, 1)),
    ("dense, square", 1 << 12, |n| dense(1 << 10, n, 1)),
    ("dense, many vectors", 1 << 12, |n| dense(16, 64, n << 4)),
    ("public values", 1 << 12, |n| affine(n << 10, 1, 1, 0)),
    ("public rectified outputs", 1 << 10, |n| affine(1 << 10, 1, n, 4)),
    ("a factor for each value", 1 << 12, |n| {
        affine(n << 8, n << 8, 1, 0)
    }),
    ("sums of many tensors", 4096, |n| sum(1 << 10, n)),
    ("readers of a public tensor", 4096, |n| readers(1 << 20, n, 2)),
    ("wirings of a public tensor", 4096, |n| readers(1 << 20, n, 1)),
    ("readers of a small tensor", 4096, |n| readers(16, n, 2)),
    ("wirings of a small tensor", 4096, |n| readers(16, n, 1)),
    ("a wiring that many read", 4096, |n| wired(n, true)),
    ("the same order, that many read", 4096, |n| wired(n, false)),
    ("windows of 3", 1 << 12, |n| windows(n << 8, 3)),
    ("windows of 64", 1 << 14, |n| windows(n, 64)),
    ("one long window", 1 << 12, |n| windows(1, n)),
    ("products", 1 << 12, |n| product(n << 8)),
    ("reads", 1 << 12, |n| read(n << 10)),
    ("permutations", 1 << 12, |n| permutation(n << 8)),
    ("a map without axes", 1 << 12, general),
    ("rows of a long constant", 1 << 12, |n| rows(n << 10, 16)),
    ("many rows of a constant", 1 << 12, |n| rows(1 << 10, n << 8)),
    ("a table of 2^16 rows", 1 << 12, |n| tables(1, n << 8)),
    ("tables of 2^16 rows", 64, |n| tables(n, 16)),
    ("products of matrices", 1 << 12, |n| matrices(n, [16; 3])),
    ("a product of large matrices", 1 << 11, |n| matrices(1, [n; 3])),
    ("phases of a transposed convolution", 1 << 10, phases),
];

/// A slice in the making: every tensor has values 0 to 3.
#[derive(Default)]
struct Slice {
    inputs: Vec<SliceTensor>,
    outputs: Vec<SliceTensor>,
    relations: Vec<Relation>,
    tensors: Vec<SliceTensor>,
}

impl Slice {
    fn tensor(&mut self, len: usize, range: IntRange) -> TensorId {
        let id = TensorId(self.tensors.len() as u32);
        self.tensors.push(SliceTensor { id, len, range });
        id
    }

    fn input(len: usize) -> (Self, TensorId) {
        let mut slice = Self::default();
        let id = slice.another_input(len);
        (slice, id)
    }

    fn another_input(&mut self, len: usize) -> TensorId {
        let tensor = self.tensor(len, RANGE);
        self.inputs.push(self.tensors[tensor.0 as usize].clone());
        self.relations.push(Relation::Range { tensor, range: RANGE });
        tensor
    }

    fn output(&mut self, id: TensorId) {
        self.outputs.push(self.tensors[id.0 as usize].clone());
    }

    fn done(mut self, output: TensorId) -> SliceRelations {
        self.output(output);
        let Self {
            inputs,
            outputs,
            relations,
            ..
        } = self;
        SliceRelations {
            inputs,
            outputs,
            relations,
        }
    }

    fn linear(&mut self, inputs: &[TensorId], map: LinearMap, len: usize, shift: u8) -> TensorId {
        let activation = if shift == 0 {
            Activation::Identity
        } else {
            Activation::Relu
        };
        let requantise = Requantise {
            shift,
            bits: 28,
            activation,
        };
        let output = self.tensor(len, requantise.output_range());
        self.relations.push(Relation::Requantised {
            inputs: inputs.to_vec(),
            input_ranges: inputs.iter().map(|i| self.tensors[i.0 as usize].range).collect(),
            map,
            requantise,
            bound: 0,
            output,
        });
        output
    }

    fn maximum(&mut self, input: TensorId, windows: Vec<Vec<u32>>) -> TensorId {
        let range = self.tensors[input.0 as usize].range;
        let output = self.tensor(windows.len(), range);
        self.relations.push(Relation::Maximum {
            input,
            range,
            windows: windows.into_iter().collect(),
            output,
        });
        output
    }

    fn wired(&mut self, input: TensorId, source: Option<Vec<u32>>) -> TensorId {
        let SliceTensor { len, range, .. } = self.tensors[input.0 as usize];
        let output = self.tensor(source.as_ref().map_or(len, Vec::len), range);
        self.relations.push(Relation::Wired {
            input,
            source: source.map(Shared::from),
            output,
        });
        output
    }
}

fn weights(len: usize) -> Vec<i64> {
    (0..len as i64).map(|i| (i * 7919) % 7 - 3).collect()
}

/// `channels` of side × side, each by a kernel of its own.
fn conv(channels: usize, side: usize, kernel: usize) -> SliceRelations {
    let (mut s, x) = Slice::input(channels * side * side);
    let out = side - kernel + 1;
    let [c, h, o, k] = [channels, side, out, kernel].map(|d| d as u32);
    let map = LinearMap::Conv2d {
        input: [c, h, h],
        output: [c, o, o],
        kernel: [k, k],
        stride: [1, 1],
        dilation: [1, 1],
        pad: [0, 0],
        groups: c,
        weight: weights(channels * kernel * kernel).into(),
        bias: weights(channels).into(),
    };
    let y = s.linear(&[x], map, channels * out * out, 0);
    s.done(y)
}

fn dense(inputs: usize, outputs: usize, batch: usize) -> SliceRelations {
    let (mut s, x) = Slice::input(inputs * batch);
    let map = LinearMap::Dense {
        inputs: inputs as u32,
        outputs: outputs as u32,
        weight: weights(inputs * outputs).into(),
        bias: weights(outputs).into(),
    };
    let y = s.linear(&[x], map, outputs * batch, 0);
    s.done(y)
}

/// `times` element-wise maps of one input.
fn affine(len: usize, channels: usize, times: usize, shift: u8) -> SliceRelations {
    let (mut s, x) = Slice::input(len);
    let mut last = x;
    for at in 0..times {
        let map = LinearMap::Affine {
            outer: 1,
            channels: channels as u32,
            inner: (len / channels) as u32,
            scale: weights(channels).into(),
            bias: weights(channels).into(),
        };
        last = s.linear(&[x], map, len, shift);
        if at + 1 < times {
            s.output(last);
        }
    }
    s.done(last)
}

fn sum(len: usize, inputs: usize) -> SliceRelations {
    let (mut s, x) = Slice::input(len);
    let mut all = vec![x];
    for _ in 1..inputs {
        all.push(s.another_input(len));
    }
    let map = LinearMap::Affine {
        outer: 1,
        channels: 1,
        inner: len as u32,
        scale: weights(inputs).into(),
        bias: vec![1].into(),
    };
    let y = s.linear(&all, map, len, 0);
    s.done(y)
}

/// Maxima of one window each.
fn readers(len: usize, times: usize, entries: u32) -> SliceRelations {
    let (mut s, x) = Slice::input(len);
    let mut last = x;
    for at in 0..times {
        let first = (at * 97 % (len - 2)) as u32;
        last = s.maximum(x, vec![(first..first + entries).collect()]);
        if at + 1 < times {
            s.output(last);
        }
    }
    s.done(last)
}

/// A wiring of 2^16 values, and readers of two of them.
fn wired(times: usize, reversed: bool) -> SliceRelations {
    let len = 1u32 << 16;
    let (mut s, x) = Slice::input(len as usize);
    let w = s.wired(x, reversed.then(|| (0..len).rev().collect()));
    let mut last = w;
    for at in 0..times {
        last = s.wired(w, Some(vec![at as u32, 2]));
        if at + 1 < times {
            s.output(last);
        }
    }
    s.done(last)
}

fn windows(count: usize, entries: usize) -> SliceRelations {
    let len = 1 << 16;
    let (mut s, x) = Slice::input(len);
    let window = |t: usize| (0..entries).map(|k| ((t * 31 + k * 257) % len) as u32).collect();
    let m = s.maximum(x, (0..count).map(window).collect());
    s.done(m)
}

fn product(len: usize) -> SliceRelations {
    let (mut s, x) = Slice::input(len);
    let y = s.another_input(len);
    let requantise = Requantise {
        shift: 0,
        bits: 8,
        activation: Activation::Identity,
    };
    let output = s.tensor(len, requantise.output_range());
    s.relations.push(Relation::Product {
        factors: [x, y],
        ranges: [RANGE; 2],
        product: Product::Elements,
        requantise,
        output,
    });
    s.done(output)
}

/// Values 0 to 3 are indices.
fn read(len: usize) -> SliceRelations {
    let (mut s, x) = Slice::input(len);
    let index = s.another_input(16);
    let output = s.tensor(16, RANGE);
    s.relations.push(Relation::Read {
        input: x,
        index,
        output,
    });
    s.done(output)
}

/// So many rows of a constant of so many values; values 0 to 3 are indices.
fn rows(len: usize, count: usize) -> SliceRelations {
    const WIDTH: usize = 4;
    let (mut s, index) = Slice::input(count);
    // It holds weights, -3 to 3.
    let output = s.tensor(count * WIDTH, IntRange::signed(3));
    s.relations.push(Relation::Rows {
        table: weights(len.max(16)).into(),
        width: WIDTH as u32,
        index,
        output,
    });
    s.done(output)
}

/// So many tables of 2^16 rows, each read so often.
fn tables(tables: usize, reads: usize) -> SliceRelations {
    let mut s = Slice::default();
    let range = IntRange::unsigned(16);
    let index = s.tensor(reads, range);
    s.inputs.push(s.tensors[index.0 as usize].clone());
    s.relations.push(Relation::Range { tensor: index, range });
    let mut last = index;
    for at in 0..tables {
        let entries = (0..1i64 << 16).map(|row| (row * 7919 + at as i64) % 256);
        let table = Table {
            name: at.to_string(),
            first: 0,
            columns: vec![entries.collect()],
        };
        let entries = table.column_range(0).unwrap_or(range);
        last = s.tensor(reads, entries);
        s.relations.push(Relation::Table {
            table: TableRef::new(table),
            index,
            outputs: vec![last],
        });
        if at + 1 < tables {
            s.output(last);
        }
    }
    s.done(last)
}

/// So many products of matrices of these rows, inner lengths and columns.
fn matrices(batch: usize, [rows, inner, columns]: [usize; 3]) -> SliceRelations {
    let (mut s, x) = Slice::input(batch * rows * inner);
    let y = s.another_input(batch * inner * columns);
    let requantise = Requantise {
        shift: 0,
        bits: 28,
        activation: Activation::Identity,
    };
    let output = s.tensor(batch * rows * columns, requantise.output_range());
    let [rows, batch, inner, columns] = [rows, batch, inner, columns].map(|d| d as u32);
    s.relations.push(Relation::Product {
        factors: [x, y],
        ranges: [RANGE; 2],
        product: Product::Matrix {
            rows,
            batch,
            inner,
            columns,
        },
        requantise,
        output,
    });
    s.done(output)
}

/// As a transposed convolution is written: a convolution with a channel for each phase, which are put beside each other.
fn phases(count: usize) -> SliceRelations {
    const SIDE: usize = 32;
    let (mut s, x) = Slice::input(SIDE * SIDE);
    let map = LinearMap::Conv2d {
        input: [1, SIDE as u32, SIDE as u32],
        output: [count as u32, SIDE as u32 - 2, SIDE as u32 - 2],
        kernel: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        pad: [0, 0],
        groups: 1,
        weight: weights(9 * count).into(),
        bias: weights(count).into(),
    };
    let places = (SIDE - 2) * (SIDE - 2);
    let y = s.linear(&[x], map, count * places, 0);
    let beside = (0..count * places).map(|at| (at % count * places + at / count) as u32);
    let z = s.wired(y, Some(beside.collect()));
    s.done(z)
}

fn permutation(len: usize) -> SliceRelations {
    let (mut s, x) = Slice::input(len);
    let output = s.tensor(len, RANGE);
    s.relations.push(Relation::Permutation { input: x, output });
    s.done(output)
}

/// Dense layers whose batches do not fit what is cut before.
fn general(times: usize) -> SliceRelations {
    let len = 30 * 77;
    let (mut s, x) = Slice::input(len);
    let mut last = x;
    for (at, inputs) in [30, 77].into_iter().cycle().take(times).enumerate() {
        let map = LinearMap::Dense {
            inputs,
            outputs: 8,
            weight: weights(8 * inputs as usize).into(),
            bias: weights(8).into(),
        };
        last = s.linear(&[x], map, len / inputs as usize * 8, 0);
        if at + 1 < times {
            s.output(last);
        }
    }
    s.done(last)
}

/// Prints, for each family, its largest slice that has a key; whether none of them took too long.
pub(crate) fn run() -> Result<bool, Box<dyn Error>> {
    println!(
        "{:<36} {:<12} {:>7} {:>12} {:>9} {:>9}  refused beyond",
        "slices of", "accumulators", "size", "steps", "predicted", "measured"
    );
    let mut worst = 0f64;
    let each = FAMILIES
        .iter()
        .flat_map(|family| PARAMETERS.map(|parameters| (family, parameters)));
    for (&(name, most, slice), (accumulators, parameters)) in each {
        // The smallest of a family may have more accumulators than a proof names.
        if let Err(e) = cost(&slice(1), parameters) {
            println!("{name:<36} {accumulators:<12} {:>7}  {e}", "none");
            continue;
        }
        let (mut fits, mut beyond, mut why) = (1, most + 1, "nothing".to_owned());
        while beyond - fits > 1 + fits / 64 {
            let middle = if beyond > most && fits < most / 2 {
                (2 * fits).min(most)
            } else {
                fits.midpoint(beyond)
            };
            match cost(&slice(middle), parameters) {
                Ok(_) => fits = middle,
                Err(e) => (beyond, why) = (middle, e.to_string()),
            }
        }
        let slice = slice(fits);
        let steps = cost(&slice, parameters)?.verifier_steps;
        let key = Key::new(&slice, parameters)?;
        let inputs: Vec<Vec<i64>> = slice
            .inputs
            .iter()
            .map(|t| (0..t.len as i64).map(|i| i * 31 % 4).collect())
            .collect();
        let inputs: Vec<&[i64]> = inputs.iter().map(Vec::as_slice).collect();
        let statement = Digest::of(b"bars");
        let made = prove(&key, &statement, &inputs)?;
        let outputs: Vec<&[i64]> = made.outputs.iter().map(Vec::as_slice).collect();
        let mut least = f64::INFINITY;
        for _ in 0..3 {
            let began = cpu()?;
            verify(&key, &statement, &inputs, &outputs, &made.proof)?;
            least = least.min(1e3 * (cpu()? - began).as_secs_f64());
        }
        worst = worst.max(least);
        println!(
            "{name:<36} {accumulators:<12} {fits:>7} {steps:>12} {:>6.1} ms {least:>6.1} ms  {why}",
            steps as f64 / 1e6
        );
    }
    println!("the longest: {worst:.1} ms of {MOST_MS} ms");
    Ok(worst <= MOST_MS)
}
