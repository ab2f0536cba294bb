//! Operators of the domain ai.onnx.ml: tree ensembles, linear models, scaling.
//!
//! Invariant: exact in floats up to the order of additions, and a comparison decides as the reference's does, wherever a value is
//! not rounded. A classifier's label is made where something reads it.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto};
use zkml::graph::TensorId;

use super::draft::{Draft, Refusal, small, unsupported};
use super::mask::Masked;
use super::recipe::{Call, Recipe};
use super::{ml_labels, ml_linear, ml_scaling, ml_svm, ml_trees, softmax};
use crate::float::FloatMap;
use crate::functions::Function;

/// The domain.
pub(super) const DOMAIN: &str = "ai.onnx.ml";

/// Its operators.
pub(super) fn recipes() -> impl Iterator<Item = &'static Recipe> {
    let all = [
        ml_trees::RECIPES,
        ml_labels::RECIPES,
        ml_linear::RECIPES,
        ml_scaling::RECIPES,
        ml_svm::RECIPES,
    ];
    all.into_iter().flatten()
}

/// Whether a node's first output is a label, beside scores.
pub(super) fn has_label(node: &NodeProto) -> bool {
    node.domain == DOMAIN && node.op_type.ends_with("Classifier")
}

/// Why a classifier of the graph cannot be taken: something reads its label, and that is a text.
pub(super) fn refused(graph: &GraphProto, node: &NodeProto) -> Option<String> {
    let label = node
        .output
        .first()
        .filter(|name| has_label(node) && !name.is_empty())?;
    let is_text = |a: &AttributeProto| a.name == "classlabels_strings" && !a.strings.is_empty();
    if !node.attribute.iter().any(is_text) {
        return None;
    }
    let mut read = graph.node.iter().flat_map(|n| &n.input);
    let is_read = read.any(|name| name == label) || graph.output.iter().any(|o| o.name == *label);
    is_read.then(|| {
        format!(
            "its output `{label}`, the label, is a text, which is not supported yet; take it out of the model's outputs, and \
             keep the scores, its second output"
        )
    })
}

/// Rows and features of the tensor that the node reads, which has one or two dimensions.
pub(super) fn table(draft: &Draft, x: TensorId) -> Result<[usize; 2], Refusal> {
    match draft.shape(x)[..] {
        [features] => Ok([1, features]),
        [rows, features] => Ok([rows, features]),
        ref shape => unsupported(format!(
            "an input of shape {shape:?}: rows of features are supported"
        )),
    }
}

/// What follows a score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Post {
    Nothing,
    Logistic,
    Softmax,
}

impl Post {
    pub(super) fn of(call: &Call<'_>) -> Result<Self, Refusal> {
        match call.text("post_transform", "NONE")?.as_str() {
            "NONE" => Ok(Self::Nothing),
            "LOGISTIC" => Ok(Self::Logistic),
            "SOFTMAX" => Ok(Self::Softmax),
            other => unsupported(format!(
                "its `post_transform` is `{other}`: NONE, LOGISTIC and SOFTMAX are supported"
            )),
        }
    }

    pub(super) fn apply(self, draft: &mut Draft, name: &str, x: TensorId) -> Result<TensorId, Refusal> {
        match self {
            Self::Nothing => Ok(x),
            Self::Logistic => super::function::function(draft, name, x, Function::sigmoid()),
            Self::Softmax => {
                let sizes = table(draft, x)?;
                let rows = Masked::of(draft, name, x)?;
                softmax::of_rows(draft, name, &rows, sizes)
            }
        }
    }
}

/// What a classifier makes: its label, where something reads it, and its scores.
pub(super) fn classified(
    draft: &mut Draft,
    call: &Call<'_>,
    scores: TensorId,
    label: impl FnOnce(&mut Draft) -> Result<TensorId, Refusal>,
) -> Result<Vec<Option<TensorId>>, Refusal> {
    let read = call.shapes.first().is_some_and(Option::is_some);
    let label = if read { Some(label(draft)?) } else { None };
    Ok(vec![label, Some(scores)])
}

/// How many labels a classifier has.
pub(super) fn labels(call: &Call<'_>, integers: &str) -> Result<usize, Refusal> {
    let ints = call.ints(integers)?.unwrap_or_default().len();
    match (ints, call.texts("classlabels_strings")?.unwrap_or_default().len()) {
        (0, 0) => unsupported("it has no labels"),
        (n, 0) | (0, n) => Ok(n),
        _ => unsupported("it has two lists of labels"),
    }
}

/// The scores of two classes from the second's: what the first has is what is missing to 1, or the second's negative.
pub(super) fn both(
    draft: &mut Draft,
    call: &Call<'_>,
    second: TensorId,
    post: Post,
    probability: bool,
) -> Result<TensorId, Refusal> {
    if post == Post::Softmax {
        return unsupported("SOFTMAX of one score for two classes");
    }
    let rows = draft.shape(second).iter().product::<usize>();
    let twice = (0..rows).flat_map(|row| [row as u32; 2]).collect();
    let shape = [rows, 2];
    let twice = super::wiring::emit(draft, call.name, second, &shape, twice)?;
    let complement = f64::from(u8::from(probability && post == Post::Nothing));
    let [outer] = small([rows])?;
    let map = FloatMap::Affine {
        outer,
        channels: 2,
        inner: 1,
        scale: vec![-1.0, 1.0],
        bias: vec![complement, 0.0],
    };
    let scores = draft.linear(call.name, map, &[twice], &shape)?;
    post.apply(draft, call.name, scores)
}

/// A list of floats, or of floats or doubles in a tensor under the longer name.
pub(super) fn numbers(call: &Call<'_>, name: &str) -> Result<Vec<f64>, Refusal> {
    match call.floats(name)? {
        Some(list) => Ok(list),
        None => tensor(call, &format!("{name}_as_tensor")),
    }
}

/// The values of an attribute that is a tensor; none where it is left out.
pub(super) fn tensor(call: &Call<'_>, name: &str) -> Result<Vec<f64>, Refusal> {
    let Some(tensor) = call.tensor(name)? else {
        return Ok(Vec::new());
    };
    let kind = DataType::try_from(tensor.data_type).unwrap_or(DataType::Undefined);
    let raw = &tensor.raw_data;
    // That there are as many as the shape says was checked on the file.
    Ok(match kind {
        DataType::Float if raw.is_empty() => tensor.float_data.iter().map(|&v| v.into()).collect(),
        DataType::Float => raw
            .as_chunks()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b).into())
            .collect(),
        DataType::Double if raw.is_empty() => tensor.double_data.clone(),
        DataType::Double => raw.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
        DataType::Uint8 if raw.is_empty() => tensor.int32_data.iter().map(|&v| v.into()).collect(),
        DataType::Uint8 => raw.iter().map(|&v| v.into()).collect(),
        _ => return unsupported(format!("its attribute `{name}` holds numbers of another type")),
    })
}
