//! Which operators of ONNX a model may have.
//!
//! Invariant: messages, `inspect` and the page of operators come from these lists and from those of functions and recipes.

use std::collections::BTreeSet;

use super::{microsoft, ml, recipe};
use crate::functions;

/// ONNX operators that may stand in a model, beside functions of one value. Some forms of them are still unsupported; typing
/// finds those.
const OTHERS: &[&str] = &[
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Clip",
    "Concat",
    "Constant",
    "Conv",
    "Div",
    "Dropout",
    "Einsum",
    "Flatten",
    "Gather",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Identity",
    "If",
    "Loop",
    "MatMul",
    "Max",
    "MaxPool",
    "Min",
    "Mul",
    "Neg",
    "ReduceMax",
    "ReduceMean",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Scan",
    "Shape",
    "Slice",
    "Split",
    "Squeeze",
    "Sub",
    "Sum",
    "Transpose",
    "Unsqueeze",
];

/// All ONNX operators that may stand in a model.
#[must_use]
pub fn operators() -> BTreeSet<&'static str> {
    let of_one_value = functions::operators().iter().map(|o| o.onnx);
    of_one_value
        .chain(OTHERS.iter().copied())
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
