//! Which operators of ONNX a model may have.
//!
//! Invariant: messages, `inspect` and the page of operators come from this list and from those of functions and recipes; and so
//! does what a word says of each of them: whether the reader folds it, which inputs must be constants, whether it reads whole
//! numbers that depend on the inputs. Where that depends on the input, [`whole`](super::whole) says so.

use std::collections::BTreeSet;

use super::{microsoft, ml, recipe};
use crate::functions;

/// An operator whose nodes the reader types itself, so that [`translate`](super::translate) finds them in the reader's words.
struct Native {
    onnx: &'static str,
    /// Whether it may compute a constant from constants: its result is bounded by the sizes of what it reads.
    folds: bool,
    /// Whether it moves whole numbers that depend on the inputs, or casts them.
    whole: bool,
    /// Inputs that must be constants, in ONNX's words: what depends on the model's inputs there decides shapes, or makes a product
    /// of two computed tensors.
    constants: &'static [(usize, &'static str)],
}

impl Native {
    const fn new(onnx: &'static str) -> Self {
        Self {
            onnx,
            folds: false,
            whole: false,
            constants: &[],
        }
    }

    const fn folds(self) -> Self {
        Self { folds: true, ..self }
    }

    const fn whole(self) -> Self {
        Self { whole: true, ..self }
    }

    const fn constants(self, constants: &'static [(usize, &'static str)]) -> Self {
        Self { constants, ..self }
    }
}

/// All of them. Some forms are still unsupported; typing finds those.
const NATIVE: &[Native] = &[
    Native::new("Add").folds(),
    Native::new("AveragePool"),
    Native::new("BatchNormalization"),
    Native::new("Cast").folds().whole(),
    Native::new("Clip"),
    Native::new("Concat").folds(),
    Native::new("Constant").folds(),
    Native::new("Conv").constants(&[(1, "W")]),
    Native::new("Div").folds(),
    Native::new("Dropout"),
    Native::new("Einsum"),
    Native::new("Flatten").folds().whole(),
    Native::new("Gather").folds().constants(&[(1, "indices")]),
    Native::new("Gemm"),
    Native::new("GlobalAveragePool"),
    Native::new("GlobalMaxPool"),
    Native::new("Identity").folds().whole(),
    Native::new("If"),
    Native::new("Loop"),
    Native::new("MatMul"),
    Native::new("Max"),
    Native::new("MaxPool"),
    Native::new("Min"),
    Native::new("Mul").folds(),
    Native::new("Neg").folds(),
    Native::new("ReduceMax").constants(&[(1, "axes")]),
    Native::new("ReduceMean").constants(&[(1, "axes")]),
    Native::new("ReduceSum").constants(&[(1, "axes")]),
    Native::new("Relu"),
    Native::new("Reshape").folds().whole().constants(&[(1, "shape")]),
    Native::new("Scan"),
    Native::new("Shape").folds(),
    Native::new("Slice")
        .folds()
        .constants(&[(1, "starts"), (2, "ends"), (3, "axes"), (4, "steps")]),
    Native::new("Split").constants(&[(1, "split")]),
    Native::new("Squeeze").folds().whole().constants(&[(1, "axes")]),
    Native::new("Sub").folds(),
    Native::new("Sum"),
    Native::new("Transpose").folds().whole(),
    Native::new("Unsqueeze").folds().whole().constants(&[(1, "axes")]),
];

fn native(op: &str) -> Option<&'static Native> {
    NATIVE.iter().find(|native| native.onnx == op)
}

/// Whether the reader folds an operator of constants.
pub(super) fn folds(op: &str) -> bool {
    native(op).is_some_and(|native| native.folds)
}

/// The inputs of an operator that must be constants, and what ONNX calls them.
pub(super) fn constants(op: &str) -> &'static [(usize, &'static str)] {
    native(op).map_or(&[], |native| native.constants)
}

/// Whether an operator reads whole numbers that depend on the inputs, at every input, by the same rule as floats.
pub(super) fn reads_whole(op: &str) -> bool {
    native(op).is_some_and(|native| native.whole) || recipe::reads_whole(op)
}

/// All ONNX operators that may stand in a model.
#[must_use]
pub fn operators() -> BTreeSet<&'static str> {
    let of_one_value = functions::operators().iter().map(|o| o.onnx);
    of_one_value
        .chain(NATIVE.iter().map(|native| native.onnx))
        .chain(recipe::operators())
        .collect()
}

/// All operators of the domain ai.onnx.ml that may stand in a model.
#[must_use]
pub fn operators_of_models() -> BTreeSet<&'static str> {
    ml::recipes().map(|r| r.onnx).collect()
}

/// All operators of the domain com.microsoft that may stand in a model.
#[must_use]
pub fn operators_of_microsoft() -> BTreeSet<&'static str> {
    microsoft::RECIPES.iter().map(|r| r.onnx).collect()
}

/// Operators of whose output the inputs' values decide how large it is.
const SIZED_BY_VALUES: &[&str] = &["NonMaxSuppression", "NonZero", "Unique"];
/// Why none of them can be taken.
pub(super) const SIZED: &str =
    "how large its output is depends on the input's values, and what is proved has fixed shapes";

/// Why an operator that is in none of the lists is refused.
pub(super) fn why_unknown(op: &str) -> &'static str {
    if SIZED_BY_VALUES.contains(&op) {
        SIZED
    } else {
        "the operator is not supported"
    }
}
