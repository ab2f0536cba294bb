//! A slice, relation by relation.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use zkinfer_crds::Digest;

use crate::graph::bound::accumulator_bound;
use crate::graph::{
    Activation, IntRange, LinearMap, Product, Requantise, Shared, Table, TableRef, TensorId,
    range_of_constant,
};
use crate::relations::{Relation, SliceRelations, SliceTensor};

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub(crate) fn statement() -> Digest {
    Digest::of(b"a statement")
}

/// Builds a slice relation by relation.
pub(crate) struct Builder {
    pub(crate) rng: ChaCha20Rng,
    pub(crate) slice: SliceRelations,
    /// Length and range of every tensor so far.
    pub(crate) tensors: Vec<(usize, IntRange)>,
}

impl Builder {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: rng(seed),
            slice: SliceRelations {
                inputs: Vec::new(),
                outputs: Vec::new(),
                relations: Vec::new(),
            },
            tensors: Vec::new(),
        }
    }

    fn tensor(&mut self, len: usize, range: IntRange) -> usize {
        self.tensors.push((len, range));
        self.tensors.len() - 1
    }

    pub(crate) fn id(i: usize) -> TensorId {
        TensorId(i as u32)
    }

    pub(crate) fn input(&mut self, len: usize, range: IntRange) -> usize {
        let i = self.tensor(len, range);
        let id = Self::id(i);
        self.slice.inputs.push(SliceTensor { id, len, range });
        self.slice.relations.push(Relation::Range { tensor: id, range });
        i
    }

    pub(crate) fn output(&mut self, i: usize) {
        let (len, range) = self.tensors[i];
        self.slice.outputs.push(SliceTensor {
            id: Self::id(i),
            len,
            range,
        });
    }

    /// A requantisation that every accumulator fits: `bits` as wide as the bound needs at this shift.
    pub(crate) fn linear(
        &mut self,
        inputs: &[usize],
        map: LinearMap,
        shift: u8,
        activation: Activation,
    ) -> usize {
        let input_ranges: Vec<_> = inputs.iter().map(|&i| self.tensors[i].1).collect();
        let bound = accumulator_bound(&map, &input_ranges).unwrap();
        let bits = (66 - (bound as u64 >> shift).leading_zeros()) as u8;
        let requantise = Requantise {
            shift,
            bits: bits.max(2),
            activation,
        };
        let lens: Vec<_> = inputs.iter().map(|&i| self.tensors[i].0).collect();
        let output = self.tensor(map.output_len(&lens).unwrap(), requantise.output_range());
        self.slice.relations.push(Relation::Requantised {
            inputs: inputs.iter().map(|&i| Self::id(i)).collect(),
            input_ranges,
            map,
            requantise,
            bound,
            output: Self::id(output),
        });
        output
    }

    /// The last relation, which is a map, ends in another requantisation; inputs are chosen so that they fit it.
    pub(crate) fn requantise(&mut self, other: Requantise) {
        if let Some(Relation::Requantised {
            requantise, output, ..
        }) = self.slice.relations.last_mut()
        {
            *requantise = other;
            self.tensors[output.0 as usize].1 = other.output_range();
        }
    }

    pub(crate) fn weights(&mut self, len: usize, magnitude: i64) -> Vec<i64> {
        (0..len)
            .map(|_| self.rng.gen_range(-magnitude..=magnitude))
            .collect()
    }

    pub(crate) fn dense(&mut self, input: usize, outputs: usize, batch: usize) -> LinearMap {
        let inputs = self.tensors[input].0 / batch;
        LinearMap::Dense {
            inputs: inputs as u32,
            outputs: outputs as u32,
            weight: self.weights(inputs * outputs, 20).into(),
            bias: self.weights(outputs, 500).into(),
        }
    }

    pub(crate) fn affine(&mut self, inputs: usize, [outer, channels, inner]: [u32; 3]) -> LinearMap {
        LinearMap::Affine {
            outer,
            channels,
            inner,
            scale: self.weights(inputs * channels as usize, 30).into(),
            bias: self.weights(channels as usize, 100).into(),
        }
    }

    pub(crate) fn product(
        &mut self,
        factors: [usize; 2],
        product: Product,
        shift: u8,
        activation: Activation,
    ) -> usize {
        let ranges = factors.map(|i| self.tensors[i].1);
        let bound = product.bound(ranges).unwrap();
        let requantise = Requantise {
            shift,
            bits: ((66 - (bound as u64 >> shift).leading_zeros()) as u8).max(2),
            activation,
        };
        let len = product
            .output_len(self.tensors[factors[0]].0, self.tensors[factors[1]].0)
            .unwrap();
        let output = self.tensor(len, requantise.output_range());
        self.slice.relations.push(Relation::Product {
            factors: factors.map(Self::id),
            ranges,
            product,
            requantise,
            output: Self::id(output),
        });
        output
    }

    pub(crate) fn maximum(&mut self, input: usize, windows: Vec<Vec<u32>>) -> usize {
        let range = self.tensors[input].1;
        let output = self.tensor(windows.len(), range);
        self.slice.relations.push(Relation::Maximum {
            input: Self::id(input),
            range,
            windows: windows.into_iter().collect(),
            output: Self::id(output),
        });
        output
    }

    pub(crate) fn permutation(&mut self, input: usize) -> usize {
        let (len, range) = self.tensors[input];
        let output = self.tensor(len, range);
        self.slice.relations.push(Relation::Permutation {
            input: Self::id(input),
            output: Self::id(output),
        });
        output
    }

    pub(crate) fn read(&mut self, input: usize, index: usize) -> usize {
        let output = self.tensor(self.tensors[index].0, self.tensors[input].1);
        self.slice.relations.push(Relation::Read {
            input: Self::id(input),
            index: Self::id(index),
            output: Self::id(output),
        });
        output
    }

    /// Rows of a constant.
    pub(crate) fn rows(&mut self, index: usize, table: Vec<i64>, width: u32) -> usize {
        let range = range_of_constant(&table).unwrap();
        let output = self.tensor(self.tensors[index].0 * width as usize, range);
        self.slice.relations.push(Relation::Rows {
            table: table.into(),
            width,
            index: Self::id(index),
            output: Self::id(output),
        });
        output
    }

    /// A read of the table `entry` over all values of the input's range.
    pub(crate) fn table(&mut self, input: usize, entry: impl Fn(i64) -> i64) -> usize {
        let (len, range) = self.tensors[input];
        let table = Table {
            name: "a function".to_owned(),
            first: range.lo(),
            columns: vec![(range.lo()..=range.hi()).map(entry).collect()],
        };
        let output = self.tensor(len, table.column_range(0).unwrap());
        self.slice.relations.push(Relation::Table {
            table: TableRef::new(table),
            index: Self::id(input),
            outputs: vec![Self::id(output)],
        });
        output
    }

    pub(crate) fn wired(&mut self, input: usize, source: Option<Vec<u32>>) -> usize {
        let (len, range) = self.tensors[input];
        let output = self.tensor(source.as_ref().map_or(len, Vec::len), range);
        self.slice.relations.push(Relation::Wired {
            input: Self::id(input),
            source: source.map(Shared::from),
            output: Self::id(output),
        });
        output
    }
}
