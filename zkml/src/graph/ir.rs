//! The integer graph: tensors with exact ranges, and the operators between them.
//!
//! Invariants, checked by [`IntGraph::validate`]: nodes stand in topological order; every tensor is a graph
//! input or the output of exactly one node; shapes fit; every accumulator is statically below 2^62 in absolute
//! value, so equality modulo either backend's prime is equality over the integers.

use serde::{Deserialize, Serialize};
use zkinfer_crds::Digest;

use super::table::TableRef;
use crate::canonical::integers::Integer;
use crate::canonical::{self, CanonicalError};

/// The version of [`IntGraph::to_bytes`].
pub const VERSION: u32 = 2;

/// The place of a tensor in [`IntGraph::tensors`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TensorId(pub u32);

/// The exact set of values of a tensor: `[0, 2^bits)`, or `[-2^(bits-1), 2^(bits-1))` when signed.
///
/// Widths are powers of two by construction, so that a decomposition into limbs of exact width proves
/// membership and nothing more has to be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntRange {
    /// log2 of the number of values; 1..=32.
    pub bits: u8,
    /// Whether half of the values are negative.
    pub signed: bool,
}

impl IntRange {
    /// The widest range that the engine accepts, in bits.
    pub const MAX_BITS: u8 = 32;

    /// `[-2^(bits-1), 2^(bits-1))`.
    #[must_use]
    pub const fn signed(bits: u8) -> Self {
        Self { bits, signed: true }
    }

    /// `[0, 2^bits)`.
    #[must_use]
    pub const fn unsigned(bits: u8) -> Self {
        Self { bits, signed: false }
    }

    /// The least value.
    #[must_use]
    pub const fn lo(self) -> i64 {
        if self.signed { -(1 << (self.bits - 1)) } else { 0 }
    }

    /// The greatest value.
    #[must_use]
    pub const fn hi(self) -> i64 {
        self.lo() + (1 << self.bits) - 1
    }

    /// Whether `v` is one of the values.
    #[must_use]
    pub const fn contains(self, v: i64) -> bool {
        self.lo() <= v && v <= self.hi()
    }

    /// The greatest absolute value.
    #[must_use]
    pub const fn magnitude(self) -> i64 {
        if self.signed { -self.lo() } else { self.hi() }
    }
}

/// What is known of a tensor before any input: it is part of the integer graph's digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorInfo {
    /// The name in the model, or one derived from the node that makes it. For people; bound by the digest.
    pub name: String,
    /// The exact range of every value.
    pub range: IntRange,
    /// Dimensions, outermost first; row-major. Batch symbols are bound (to 1 unless told otherwise).
    pub shape: Vec<u32>,
    /// The float that value `v` stands for is `v · 2^-exponent`.
    pub exponent: i16,
}

impl TensorInfo {
    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().map(|&d| d as usize).product()
    }

    /// The float between one integer and the next.
    #[must_use]
    pub fn step(&self) -> f64 {
        super::dequantise(self, &[1])
            .first()
            .copied()
            .unwrap_or(f64::INFINITY)
    }

    /// Whether there is no value at all (never in a valid graph).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The values of one tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntTensor {
    /// Dimensions, outermost first.
    pub shape: Vec<u32>,
    /// Row-major values; as many as the product of `shape`.
    pub values: Vec<i64>,
}

/// A linear map with constant coefficients: accumulator = coefficients · inputs + bias. Coefficients are integers in
/// the integer graph and floats in the float graph before it; the geometry is one definition (`linear.rs`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    bound(serialize = "T: Integer", deserialize = "T: Integer"),
    deny_unknown_fields
)]
pub enum LinearMap<T = i64> {
    /// One input viewed as `[batch, inputs]` (all leading dimensions are batch), output `[batch, outputs]`:
    /// `acc[b, o] = Σ_i weight[o·inputs + i] · x[b, i] + bias[o]`.
    Dense {
        /// `[outputs]`, at the accumulator's scale.
        #[serde(with = "canonical::integers")]
        bias: Vec<T>,
        /// Length of the contracted axis.
        inputs: u32,
        /// Row-major `[outputs, inputs]`.
        #[serde(with = "canonical::integers")]
        weight: Vec<T>,
        /// Number of outputs.
        outputs: u32,
    },
    /// One input `[1, in_channels, h, w]`, output `[1, out_channels, oh, ow]`, cross-correlation as in ONNX Conv:
    /// `acc[o, y, x] = Σ_{c, a, b} weight[o, c, a, b] · in[g(o)·in_channels/groups + c, y·stride + a·dilation − pad_top, …] + bias[o]`,
    /// entries outside the image are absent. Shapes are views: only lengths must agree. Average pooling is this with `groups = channels` and weights all equal.
    Conv2d {
        /// Rows above and columns left of the image.
        pad: [u32; 2],
        /// `[out_channels]`, at the accumulator's scale.
        #[serde(with = "canonical::integers")]
        bias: Vec<T>,
        /// Input channels and image: `[channels, height, width]`.
        input: [u32; 3],
        /// Number of groups; divides both channel counts.
        groups: u32,
        /// `[height, width]` of the kernel.
        kernel: [u32; 2],
        /// Output channels and image.
        output: [u32; 3],
        /// `[vertical, horizontal]`.
        stride: [u32; 2],
        /// Row-major `[out_channels, in_channels/groups, kernel height, kernel width]`.
        #[serde(with = "canonical::integers")]
        weight: Vec<T>,
        /// `[vertical, horizontal]`.
        dilation: [u32; 2],
    },
    /// Any number of inputs of the output's shape, element-wise, with one coefficient per (input, channel):
    /// `acc[c, i] = Σ_k scale[k·channels + c] · x_k[c, i] + bias[c]`. The tensor is viewed as
    /// `[outer, channels, inner]`, so that it covers residual additions, batch norm, and a lone requantisation.
    Affine {
        /// `[channels]`, at the accumulator's scale.
        #[serde(with = "canonical::integers")]
        bias: Vec<T>,
        /// Product of the dimensions after the channel axis.
        inner: u32,
        /// Product of the dimensions before the channel axis.
        outer: u32,
        /// Row-major `[inputs, channels]`.
        #[serde(with = "canonical::integers")]
        scale: Vec<T>,
        /// Number of channels.
        channels: u32,
    },
}

/// The non-linear function at the end of a requantisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Activation {
    /// z = q.
    Identity,
    /// z = max(q, 0).
    Relu,
}

/// From accumulator to activation: `q = floor((acc + 2^(shift-1)) / 2^shift)` (`q = acc` when `shift = 0`):
/// round half up, exact for negatives. `q` must lie in `[-2^(bits-1), 2^(bits-1))`; then `z = activation(q)`.
///
/// There is one shift per tensor; a per-channel scale goes into the channel's coefficients. A `q` outside its
/// range is a loss of completeness (the input is refused, naming the node), never a clamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requantise {
    /// Width of the signed `q`; 2..=32.
    pub bits: u8,
    /// Bits dropped from the accumulator; 0..=40.
    pub shift: u8,
    /// What follows.
    pub activation: Activation,
}

impl Requantise {
    /// The range of `z`.
    #[must_use]
    pub const fn output_range(self) -> IntRange {
        match self.activation {
            Activation::Identity => IntRange::signed(self.bits),
            Activation::Relu => IntRange::unsigned(self.bits - 1),
        }
    }

    /// `q` of an accumulator, before its range is checked.
    #[must_use]
    pub const fn quotient(self, acc: i64) -> i64 {
        if self.shift == 0 {
            acc
        } else {
            (acc + (1 << (self.shift - 1))) >> self.shift
        }
    }
}

/// Windows of a maximum: per output value the indices that it is of, into the flattened input. One list for all of them, so
/// that they are as long in memory as in a file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Cuts")]
pub struct Windows {
    #[serde(with = "canonical::integers")]
    ends: Vec<u32>,
    #[serde(with = "canonical::integers")]
    entries: Vec<u32>,
}

/// [`Windows`] whose ends may be anything.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cuts {
    #[serde(with = "canonical::integers")]
    ends: Vec<u32>,
    #[serde(with = "canonical::integers")]
    entries: Vec<u32>,
}

impl TryFrom<Cuts> for Windows {
    type Error = &'static str;

    fn try_from(Cuts { ends, entries }: Cuts) -> Result<Self, Self::Error> {
        let last = ends.last().copied().unwrap_or(0) as usize;
        if ends.is_sorted() && last == entries.len() {
            Ok(Self { ends, entries })
        } else {
            Err("the ends of windows do not cut their entries")
        }
    }
}

impl Windows {
    /// Number of windows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none (never in a valid graph).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Indices of all windows.
    #[must_use]
    pub fn entries(&self) -> &[u32] {
        &self.entries
    }

    /// Each window's indices, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        let cuts = starts.zip(&self.ends);
        cuts.map(|(start, &end)| &self.entries[start as usize..end as usize])
    }
}

impl<W: AsRef<[u32]>> FromIterator<W> for Windows {
    fn from_iter<I: IntoIterator<Item = W>>(windows: I) -> Self {
        let mut all = Self::default();
        for window in windows {
            all.entries.extend_from_slice(window.as_ref());
            all.ends.push(all.entries.len() as u32);
        }
        all
    }
}

/// What a node does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Op {
    /// A linear map with constant coefficients, then a requantisation.
    Linear {
        /// The coefficients.
        map: LinearMap,
        /// From accumulator to output.
        requantise: Requantise,
    },
    /// `z[t] = max over windows[t] of x`: indices into the flattened input, at least one per output.
    /// Range and exponent of the output are the input's.
    Max {
        /// Indices of each output's window, each window sorted and without repeats.
        windows: Windows,
    },
    /// `z[t] = x[source[t]]`: reshape (`source` = None: the same order), transpose, slice.
    Wiring {
        /// Index into the flattened input per output value; `None` keeps the order.
        #[serde(with = "canonical::integers::optional")]
        source: Option<Vec<u32>>,
    },
    /// `z[t] = T[x[t]]`. The range of `x` holds exactly the table's indices, that of `z` is the least that holds its column;
    /// exponents are for people, since the rows say all.
    Table {
        /// Its place in [`IntGraph::tables`].
        table: u32,
    },
}

/// One operator with its tensors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// What it does.
    pub op: Op,
    /// The model's name for the node (after fusion, the last fused one's).
    pub name: String,
    /// Tensors read, in the operator's order.
    pub inputs: Vec<TensorId>,
    /// The tensor made.
    pub output: TensorId,
}

/// The exact integer function that is proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntGraph {
    /// Operators in topological order.
    pub nodes: Vec<Node>,
    /// The request's inputs, in the model's order.
    pub inputs: Vec<TensorId>,
    /// The tables that nodes read, each once, in the order of the first nodes that read them. Not written where there is none.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::table::deserialize_tables"
    )]
    pub tables: Vec<TableRef>,
    /// The request's outputs, in the model's order.
    pub outputs: Vec<TensorId>,
    /// Every tensor; `TensorId` indexes it.
    pub tensors: Vec<TensorInfo>,
}

/// An integer graph as it is written: with its version.
#[derive(Serialize)]
struct Written<'a> {
    graph: &'a IntGraph,
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    graph: IntGraph,
    version: u32,
}

impl IntGraph {
    /// The canonical encoding, with [`VERSION`].
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        canonical::to_bytes(&Written {
            graph: self,
            version: VERSION,
        })
    }

    /// SHA-256 of the canonical encoding: the graph's name in a manifest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// Decodes a graph; [`IntGraph::validate`] comes next.
    ///
    /// # Errors
    /// More than `max` bytes, another version, or bytes that are no graph's encoding.
    pub fn from_bytes(bytes: &[u8], max: usize) -> Result<Self, CanonicalError> {
        let read: Read = canonical::from_bytes_of_version(bytes, max, VERSION)?;
        Ok(read.graph)
    }
}
