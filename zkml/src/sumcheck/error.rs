//! Why a slice has no key, an input no proof, a proof no acceptance.

use crate::graph::linear::GeometryError;
use crate::graph::{TableError, TensorId};
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
    /// Entries of a table, or of a constant, that no tensor has: more than 32 bits.
    #[error(
        "tensor {tensor}: entries of the table or constant that it is an index of have more than 32 bits"
    )]
    Entries {
        /// The tensor of indices.
        tensor: u32,
    },
    /// Rows of a constant are read at places that only a prover knows.
    #[error("tensor {tensor}: rows of a constant are read at its values, and it is no input of the slice")]
    NotGiven {
        /// The tensor of indices.
        tensor: u32,
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
    /// A verifier's walk over the plan ends early: this program's plan and relations do not belong together.
    #[error("what a proof consists of cannot be counted: {0}")]
    Uncounted(Box<VerifyError>),
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
    /// A computed index lies outside the tensor or table that it reads.
    #[error("tensor {tensor}: the index at {index} lies outside what it reads")]
    Index {
        /// The tensor of indices.
        tensor: u32,
        /// Flat index of the wrong one.
        index: usize,
    },
    /// The library failed.
    #[error("the prover failed: {0}")]
    Prover(String),
    /// This program has a plan or relations that do not belong together.
    #[error("a fault of this program, nothing was proved: {0}")]
    Fault(#[from] Fault),
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
    /// The proof does not hold for this statement: a check that it should pass failed.
    #[error("the proof does not hold for this statement: {0}")]
    Refuted(#[from] Refutation),
    /// No lie of a prover's: this program has a plan or relations that do not belong together.
    #[error("a fault of this program, the proof was not judged: {0}")]
    Fault(#[from] Fault),
}

/// Which check failed, and on what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refutation {
    /// A check of one relation.
    #[error("tensor {}: {claim}", tensor.0)]
    Relation {
        /// The tensor that the relation makes, or whose range it says.
        tensor: TensorId,
        /// What was claimed of it.
        claim: Claim,
    },
    /// The sum of all fractions of the lookup argument is not 0, or one of its layers is not the sum of the one below.
    #[error("layer {layer} of the lookup argument does not add up")]
    Layer {
        /// From the root down, which is 0.
        layer: usize,
    },
    /// A fraction without a value makes 0/0 of any sum.
    #[error("a denominator of the lookup argument is 0")]
    Denominator,
    /// What the lookup argument ended in is not what the columns and tables say.
    #[error("the columns are not those of the lookup argument")]
    Leaves,
    /// A coordinate that has to be divided by is 0, which happens by chance once in 2^192.
    #[error("a coordinate of the point is 0 in round {round}")]
    Coordinate {
        /// Of its sum-check.
        round: usize,
    },
    /// Claims on committed columns, all at once.
    #[error("the columns do not open to the values that were claimed")]
    Opening,
    /// A proof without a commitment ends in what its transcript gives, which begins with the statement.
    #[error("it is not of this statement")]
    Seal,
}

/// What is claimed of the tensor that a relation makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Claim {
    /// A value less the least of its range is a sum of limbs.
    #[error("limbs are not those of the value whose range they prove")]
    Range,
    /// An accumulator is what several inputs contribute.
    #[error("an accumulator is not the sum of its inputs' shares")]
    Shares,
    /// A share is the map of its input.
    #[error("an accumulator is not the linear map of its inputs")]
    Map,
    /// An accumulator is a product of two tensors.
    #[error("an accumulator is not the product of its factors")]
    Product,
    /// A value is 0 or the quotient, by the quotient's sign.
    #[error("an activation is not the rectified quotient")]
    Rectified,
    /// A maximum of two is one of them.
    #[error("a maximum is neither of the two that it is of")]
    OneOfTwo,
    /// Entries of a tournament are those of the window.
    #[error("a maximum is not over its window")]
    Window,
    /// A value stands where the wiring says.
    #[error("a wiring's output is not what it reads")]
    Wiring,
    /// What follows from a relation by its definition.
    #[error("the values that follow are none of the tensor's, or not those of the statement")]
    Derived,
    /// Rows are those of the constant at the given indices.
    #[error("rows are not those of the constant at the given indices, or an index names none")]
    Rows,
}

impl Claim {
    /// That it does not hold.
    pub(super) fn refuted(self, tensor: TensorId) -> VerifyError {
        Refutation::Relation { tensor, claim: self }.into()
    }
}

/// What no proof can bring about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A step of the plan names a tensor that the plan does not have.
    #[error("tensor {} has no place", .0.0)]
    NoTensor(TensorId),
    /// A relation takes a tensor for public that only a prover knows.
    #[error("tensor {} is not public", .0.0)]
    NotPublic(TensorId),
    /// A step of the plan is not that of its relation.
    #[error("the step that makes tensor {} is not that of its relation", .0.0)]
    OtherStep(TensorId),
    /// No relation has settled a claim on a wiring, so it would be believed.
    #[error("a claim on tensor {} is left open", .0.0)]
    OpenClaim(TensorId),
}
