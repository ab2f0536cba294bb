//! What an evaluation may cost, whatever the file says.
//!
//! Invariant: no tensor is made, and no loop over tensors begins, before its size was held against these numbers.

use std::cell::Cell;

use crate::Step;

/// Bytes of a file: protobuf's own limit.
pub(crate) const MAX_FILE: usize = i32::MAX as usize;
/// Nodes of a model.
pub(crate) const MAX_NODES: usize = 1 << 16;
/// Protobuf records and names that make a model, all together: each costs memory beyond its bytes.
pub(crate) const MAX_RECORDS: usize = 1 << 21;
/// Values of one tensor.
pub(crate) const MAX_ELEMENTS: usize = 1 << 26;
/// Values of all constants together, and of all values alive at one time: 2 GiB.
pub(crate) const MAX_LIVE: usize = 1 << 28;
/// Dimensions of a tensor.
pub(crate) const MAX_RANK: usize = 16;
/// Multiply-adds of matrix products in one evaluation, everything else counted as [`STEP`] of them. Minutes at most.
pub(crate) const MAX_WORK: u64 = 1 << 38;
/// What one value costs in an operator that is no matrix product.
pub(crate) const STEP: u64 = 8;
/// What a node costs besides, each time that it is computed in a graph that is computed again and again.
pub(crate) const NODE: u64 = 1 << 12;

/// What is left of an evaluation's work.
pub(crate) struct Budget {
    all: u64,
    /// None once more was asked for than there was.
    left: Cell<Option<u64>>,
}

impl Budget {
    pub(crate) fn new(all: u64) -> Self {
        Self {
            all,
            left: Cell::new(Some(all)),
        }
    }

    /// Whether something was refused for want of it.
    pub(crate) fn is_spent(&self) -> bool {
        self.left.get().is_none()
    }

    /// Takes `count` multiply-adds.
    pub(crate) fn spend(&self, count: u64) -> Step<()> {
        let left = self.left.get().and_then(|left| left.checked_sub(count));
        self.left.set(left);
        match left {
            Some(_) => Ok(()),
            None => Err(format!(
                "the evaluation takes more than {} multiply-adds",
                self.all
            )),
        }
    }
}

/// The number of values of a shape, held against the limits.
pub(crate) fn volume(shape: &[usize]) -> Step<usize> {
    if shape.len() > MAX_RANK {
        return Err(format!(
            "{} dimensions; at most {MAX_RANK} are evaluated",
            shape.len()
        ));
    }
    // A dimension of 0 does not excuse the others: they take part in products elsewhere.
    let nonzero = shape.iter().filter(|&&d| d > 0);
    match nonzero.copied().try_fold(1usize, usize::checked_mul) {
        Some(n) if n <= MAX_ELEMENTS => Ok(if shape.contains(&0) { 0 } else { n }),
        _ => Err(format!(
            "a tensor of shape {shape:?} has more than {MAX_ELEMENTS} values"
        )),
    }
}
