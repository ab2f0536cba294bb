//! Why a slice has no key, an input no proof, a proof no acceptance.

use crate::graph::TableError;
use crate::graph::linear::GeometryError;
use crate::relations::InstanceError;

/// Why a slice cannot be laid out for this proof system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// `limb_bits` is not a parameter of this proof system.
    #[error("limb_bits = {limb_bits} is outside {min}..={max}")]
    Parameters {
        /// The given limb width.
        limb_bits: u8,
        /// The least that is allowed.
        min: u8,
        /// The greatest that is allowed.
        max: u8,
    },
    /// A relation reads a tensor that no earlier relation makes, makes one twice, or an output is not made as described.
    #[error("tensor {tensor} is not made once, before it is read, as the slice describes it")]
    Unmade {
        /// The tensor's id.
        tensor: u32,
    },
    /// A linear map does not fit its tensors.
    #[error("tensor {output}: {source}")]
    Geometry {
        /// The output tensor's id.
        output: u32,
        /// What does not fit.
        source: GeometryError,
    },
    /// Factors of a product do not fit, or other relations cut their axes where the product does not.
    #[error("tensor {output}: the factors' shapes do not fit")]
    Factors {
        /// The output tensor's id.
        output: u32,
    },
    /// An index of a wiring or of a window lies outside the tensor, or a window is empty.
    #[error("tensor {output}: an index is outside its input, or a window is empty")]
    Index {
        /// The output tensor's id.
        output: u32,
    },
    /// The range that a relation states is not the one that its tensor has.
    #[error("tensor {tensor}: a relation states a range that the tensor does not have")]
    Range {
        /// The tensor's id.
        tensor: u32,
    },
    /// The rows of a table are none of a table.
    #[error("tensor {tensor}: {source}")]
    Table {
        /// The tensor of indices.
        tensor: u32,
        /// What is wrong with them.
        source: TableError,
    },
    /// A relation that this proof system does not prove.
    #[error("tensor {tensor}: no such relation is proved by SumcheckWhir")]
    Unsupported {
        /// The tensor that it reads.
        tensor: u32,
    },
    /// Accumulators, or what the limbs can express, do not stay below 2^62.
    #[error("tensor {output}: accumulators of {bits} bits are too wide for this proof system")]
    Wide {
        /// The output tensor's id.
        output: u32,
        /// Their width.
        bits: u32,
    },
    /// Too much of something for one slice.
    #[error("the slice has {got} {what}, at most {limit} are supported")]
    Large {
        /// What there is too much of.
        what: &'static str,
        /// How much.
        got: u64,
        /// How much is supported.
        limit: u64,
    },
    /// The commitment scheme has no configuration of the required strength for this size.
    #[error("the commitment scheme refuses this size: {0}")]
    Library(String),
    /// The commitment scheme's own account of this slice is below [`super::SECURITY_BITS`].
    #[error("only {bits} bits of soundness")]
    Security {
        /// Whole bits.
        bits: u32,
    },
}

/// Why no proof was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProveError {
    /// The inputs are not those of this slice.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// A quotient leaves its range: the input lies outside what the model was calibrated for.
    #[error("tensor {tensor}: the quotient at {index} is out of range")]
    OutOfRange {
        /// The output tensor's id.
        tensor: u32,
        /// Flat index.
        index: usize,
    },
    /// A computed index lies outside the tensor that it reads.
    #[error("tensor {tensor}: the index at {index} lies outside the tensor that it reads")]
    Index {
        /// The tensor of indices.
        tensor: u32,
        /// Flat index of the wrong one.
        index: usize,
    },
    /// The library failed.
    #[error("the prover failed: {0}")]
    Prover(String),
}

/// Why a proof was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The public values are not those of this slice.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// The proof's bytes are too many, too few, or not canonical.
    #[error("the proof is malformed: {0}")]
    Malformed(&'static str),
    /// The proof does not hold for this statement.
    #[error("the proof does not hold for this statement: {0}")]
    Invalid(&'static str),
}
