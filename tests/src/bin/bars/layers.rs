//! The work that is measured: single layers as integer graphs, and the digits network.
//!
//! Quotients have 13 bits and remainders 18 to 24, so every activation takes three lookups of 13 bits or less.

use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;
use zkml::graph::{
    Activation, IntGraph, IntRange, IntTensor, Linear, LinearMap, Node, Op, Requantise, TensorId, TensorInfo,
};

/// Bits of activations, and of the outputs' quotients.
const BITS: u8 = 12;
/// Greatest absolute coefficient.
const COEFFICIENT: i64 = 1 << 11;

/// One kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Layer {
    /// 3×3, 32 → 64 channels, 16×16: 4.7 M multiplications, 16,384 activations.
    Conv,
    /// 1024 × 1024, one vector.
    Dense,
    /// 1024 × 1024, 64 vectors.
    DenseBatch,
    /// 131,072 activations, each with three range checks.
    Activations,
    /// The network of manifests/quickstart.
    Digits,
}

impl Layer {
    pub(crate) const ALL: [Self; 5] = [
        Self::Conv,
        Self::Dense,
        Self::DenseBatch,
        Self::Activations,
        Self::Digits,
    ];

    /// For people.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Conv => "conv 3x3 32->64 16x16",
            Self::Dense => "dense 1024x1024",
            Self::DenseBatch => "dense 1024x1024, 64 vectors",
            Self::Activations => "131,072 activations x 3",
            Self::Digits => "digits network",
        }
    }

    /// The layer as a graph of one node; none for a network that is a file.
    pub(crate) fn graph(self) -> Option<IntGraph> {
        let mut rng = StdRng::seed_from_u64(7);
        let mut draw =
            |n: usize, most: i64| -> Vec<i64> { (0..n).map(|_| rng.gen_range(-most..=most)).collect() };
        let (input, output, map, shift) = match self {
            Self::Conv => {
                let map = LinearMap::Conv2d {
                    input: [32, 16, 16],
                    output: [64, 16, 16],
                    kernel: [3, 3],
                    stride: [1, 1],
                    dilation: [1, 1],
                    pad: [1, 1],
                    groups: 1,
                    weight: draw(64 * 32 * 9, COEFFICIENT).into(),
                    bias: draw(64, 1 << 20).into(),
                };
                (vec![1, 32, 16, 16], vec![1, 64, 16, 16], map, 18)
            }
            Self::Dense | Self::DenseBatch => {
                let batch = if self == Self::Dense { 1 } else { 64 };
                let map = LinearMap::Dense {
                    inputs: 1024,
                    outputs: 1024,
                    weight: draw(1024 * 1024, COEFFICIENT).into(),
                    bias: draw(1024, 1 << 20).into(),
                };
                (vec![batch, 1024], vec![batch, 1024], map, 18)
            }
            Self::Activations => {
                let map = LinearMap::Affine {
                    outer: 1,
                    channels: 1,
                    inner: 1 << 17,
                    scale: vec![(1 << 24) - 3].into(),
                    bias: vec![1 << 20].into(),
                };
                (vec![1, 1 << 17], vec![1, 1 << 17], map, 24)
            }
            Self::Digits => return None,
        };
        Some(one_node(input, output, map, shift))
    }
}

fn one_node(input: Vec<u32>, output: Vec<u32>, map: LinearMap, shift: u8) -> IntGraph {
    let requantise = Requantise {
        shift,
        bits: BITS + 1,
        activation: Activation::Relu,
    };
    let tensor = |name: &str, shape, range| TensorInfo {
        name: name.to_owned(),
        shape,
        range,
        exponent: 0,
        whole: false,
        ranks: None,
    };
    IntGraph {
        tensors: vec![
            tensor("x", input, IntRange::signed(BITS)),
            tensor("z", output, requantise.output_range()),
        ],
        nodes: vec![Node {
            name: "layer".to_owned(),
            op: Op::Linear(Linear { map, requantise }),
            inputs: vec![TensorId(0)],
            output: TensorId(1),
        }],
        inputs: vec![TensorId(0)],
        tables: Vec::new(),
        outputs: vec![TensorId(1)],
    }
}

/// A random input of the graph, small enough that no quotient leaves its range.
pub(crate) fn input(graph: &IntGraph, most: i64) -> IntTensor {
    let info = &graph.tensors[graph.inputs[0].0 as usize];
    let mut rng = StdRng::seed_from_u64(11);
    let (lo, hi) = (info.range.lo().max(-most), info.range.hi().min(most));
    IntTensor {
        shape: info.shape.clone(),
        values: (0..info.len()).map(|_| rng.gen_range(lo..=hi)).collect(),
    }
}
