//! ONNX bytes → [`FloatGraph`].
//!
//! Invariant: any bytes give a graph or an error, in bounded time and memory. The file is admitted first (sizes,
//! operators, constants; `admit`), then typed by tract (shapes and constant folding; none of its rewriting), then every
//! typed operator is translated (`translate`), then fused (`fuse`). All operators without an integer form are named
//! in one error. Coefficients are taken from the file's constants and recomputed in scalar f64.

mod admit;
mod along;
mod attention;
mod batch;
mod binary;
mod branches;
mod cells;
mod compare;
mod concat;
mod control;
mod conv;
mod deconv;
mod dimensions;
mod draft;
mod dynamic;
mod einsum;
mod einsum_batch;
mod folding;
mod fourier;
mod function;
mod fuse;
mod greatest;
mod held;
mod infinite;
mod kept;
mod known;
mod loops;
mod lp;
mod maps;
mod marked;
mod mask;
mod microsoft;
mod ml;
mod ml_forest;
mod ml_labels;
mod ml_linear;
mod ml_scaling;
mod ml_svm;
mod ml_trees;
mod modulo;
mod moved;
mod names;
mod narrow;
mod norms;
mod operators;
mod opset6;
mod partial;
mod places;
mod pool;
mod power;
mod product;
mod quantised;
mod ranked;
mod ranked_steps;
mod ranks;
mod reader;
mod recipe;
mod recurrent;
mod reduce;
mod refusals;
mod resize;
mod rotary;
mod scans;
mod scatter;
mod simple;
mod softmax;
mod span;
mod spliced;
mod statics;
mod sums;
mod table;
mod translate;
mod unmasked;
mod whole;
mod whole_sums;
mod windows;
mod wiring;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, ValueInfoProto};
use tract_onnx::prelude::{
    DatumType, Framework, InferenceModel, InferenceModelExt, OutletId, TractResult, TypedFact, TypedModel,
};
use tract_onnx::tract_core::optim::Optimizer;
use zkinfer_crds::dimensions::Dimensions;
use zkml::graph::validate::{MAX_MULTIPLICATIONS, MAX_TOTAL_LEN};
use zkml::manifest::Manifest;

use self::reader::Fault;
use crate::float::FloatGraph;

pub use dimensions::Sizes;
pub use operators::{operators, operators_of_microsoft, operators_of_models};
pub use ranked::{Rounded, rounded};

/// The largest file that is read, in bytes: weights of 32 bits for twice as many coefficients as an integer graph may have, since
/// not all of them become some. Memory goes with the file, up to about ten times its bytes: as they came, decoded, as the
/// reader's constants, and as floats of 64 bits for the graph and for the reference.
pub const MAX_BYTES: usize = 512 << 20;
/// The most nodes of a model, as written in the file and after typing.
pub const MAX_NODES: usize = zkml::graph::validate::MAX_NODES;
/// The most values of one tensor.
pub const MAX_TENSOR_LEN: usize = zkml::graph::linear::MAX_TENSOR_LEN;
/// The most values of one constant: a language model's embedding has more than any tensor that is proved.
pub const MAX_CONSTANT_LEN: usize = zkml::graph::validate::MAX_COEFFICIENTS;

/// An operator without an integer form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsupportedNode {
    /// The node's name in the model.
    pub node: String,
    /// Its operator.
    pub op: String,
    /// What about it is not supported.
    pub reason: String,
}

impl std::fmt::Display for UnsupportedNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` ({}): {}", self.node, self.op, self.reason)
    }
}

/// Why an ONNX file has no float graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The bytes are not an ONNX model, or the model contradicts itself.
    #[error("not a valid ONNX model: {0}")]
    Malformed(String),
    /// The bytes are a file of another kind.
    #[error("not an ONNX model but {0}")]
    OtherFile(String),
    /// A node that no implementation of ONNX can compute: its operands do not fit.
    #[error("node `{node}` ({op}) cannot be computed: {reason}")]
    Node {
        /// Its name.
        node: String,
        /// Its operator.
        op: String,
        /// Why not.
        reason: String,
    },
    /// A valid model of a form that is not supported.
    #[error("not supported yet: {0}")]
    Form(String),
    /// A constant of a type that is not supported.
    #[error("constant `{constant}`: {reason}")]
    Constant {
        /// Its name.
        constant: String,
        /// What is not supported.
        reason: String,
    },
    /// An output that is not computed.
    #[error("output `{output}`: {reason}")]
    Output {
        /// Its name.
        output: String,
        /// What it is.
        reason: &'static str,
    },
    /// The model is larger than the engine accepts.
    #[error("{place}: more than {limit} {what}")]
    Limit {
        /// Where, by the model's names.
        place: String,
        /// What there is too much of.
        what: &'static str,
        /// The most that is accepted.
        limit: u64,
    },
    /// A tensor's data is in another file.
    #[error(
        "tensor `{0}` keeps its data in another file; make one file of them: prover-worker join FILE --out OTHER (or export it \
         so: torch.onnx.export(…, external_data=False))"
    )]
    ExternalData(String),
    /// A dimension that is neither fixed nor the batch.
    #[error(
        "input `{input}`: dimension {axis} is left free: say how large it is (--bind {name}=SIZE; of a Model: spec.dimensions)"
    )]
    DynamicDimension {
        /// The input.
        input: String,
        /// How it is called in [`Dimensions`].
        name: String,
        /// The dimension, outermost 0.
        axis: usize,
    },
    /// A size of a dimension that cannot be.
    #[error("dimension `{name}`: {reason}")]
    Dimension {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An input that is not float, or not a tensor of known rank.
    #[error("input `{input}`: {reason}")]
    Input {
        /// The input.
        input: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A constant is NaN or infinite.
    #[error("`{node}`: a constant is not finite: it is NaN or infinite, or divided by 0")]
    NonFinite {
        /// The node that uses the constant, or the constant's name.
        node: String,
    },
    /// Operators without an integer form: all of them.
    #[error("{} unsupported node(s): {}", .0.len(), list(.0))]
    Unsupported(Vec<UnsupportedNode>),
}

fn list(nodes: &[UnsupportedNode]) -> String {
    nodes
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// [`import_sized`] of a model whose sizes the file fixes, but for a batch of 1.
///
/// # Errors
/// As [`import_sized`].
pub fn import(onnx: &[u8]) -> Result<FloatGraph, ImportError> {
    import_sized(onnx, Sizes::Named(&Dimensions::new()))
}

/// The float graph of an ONNX model, fused and 1:1 with its later integer graph. Dimensions of inputs that the file leaves free
/// have these sizes; a first one that nobody states is the batch, which is 1.
///
/// # Errors
/// See [`ImportError`]; never a panic.
pub fn import_sized(onnx: &[u8], sizes: Sizes<'_>) -> Result<FloatGraph, ImportError> {
    match read(onnx, sizes) {
        Err(ImportError::Unsupported(first)) => {
            // What is left has sizes of its own.
            let fixed = Dimensions::new();
            let refused = |rest: &[u8]| match read(rest, Sizes::Named(&fixed)) {
                Err(ImportError::Unsupported(nodes)) => nodes,
                Ok(_) | Err(_) => Vec::new(),
            };
            Err(ImportError::Unsupported(refusals::all(
                onnx, sizes, first, refused,
            )))
        }
        read => read,
    }
}

/// The same, of which the error names those nodes that a stage refuses, and not those of the stages behind it.
fn read(onnx: &[u8], sizes: Sizes<'_>) -> Result<FloatGraph, ImportError> {
    if onnx.len() > MAX_BYTES {
        return Err(ImportError::Limit {
            place: "file".into(),
            what: "bytes",
            limit: MAX_BYTES as u64,
        });
    }
    // tract and its protobuf decoder are made for files that one trusts: some malformed ones make them panic.
    let at_work = AtWork::begin();
    let guarded = catch_unwind(AssertUnwindSafe(|| -> Result<FloatGraph, Fault> {
        zkml_reference::Model::admit(onnx).map_err(ImportError::from)?;
        let proto = ModelProto::decode(onnx).map_err(|e| Fault::reader(&e))?;
        let kinds = ranked::kinds(&proto);
        let admitted = admit::admit(proto, sizes)?;
        let model = type_model(&admitted.proto).map_err(|e| Fault::reader(&e))?;
        let draft = translate::translate(&model, &admitted)?;
        let graph = fuse::fuse(draft, &admitted.outputs, &kinds)?;
        check_totals(&graph)?;
        Ok(graph)
    }));
    let read = guarded.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(Fault::Reader(text.unwrap_or_default().to_owned()))
    });
    // Of a batch the question is what the file is with so many inputs.
    let widened = match &read {
        Err(Fault::Reader(_)) => catch_unwind(AssertUnwindSafe(|| widened(onnx, sizes))),
        _ => Ok(None),
    };
    drop(at_work);
    let widened = widened.ok().flatten();
    read.map_err(|fault| fault.told(widened.as_deref().unwrap_or(onnx)))
}

/// The file with a batch's sizes in it; `None` where there is no batch.
fn widened(onnx: &[u8], sizes: Sizes<'_>) -> Option<Vec<u8>> {
    sizes.batch()?;
    let mut proto = ModelProto::decode(onnx).ok()?;
    admit::sized(proto.graph.as_mut(), sizes).ok()?;
    Some(proto.encode_to_vec())
}

/// The float graph of a model whose free dimensions have the sizes that a manifest's inputs have.
///
/// # Errors
/// See [`ImportError`].
pub fn import_as(onnx: &[u8], manifest: &Manifest) -> Result<FloatGraph, ImportError> {
    let infos = manifest.inputs.iter().filter_map(|id| manifest.tensor(*id));
    let shapes = infos
        .map(|info| (info.name.as_str(), info.shape.as_slice()))
        .collect();
    let sizes = match manifest.batch {
        1 => Sizes::Shaped(&shapes),
        batch => Sizes::ShapedBatch(&shapes, batch),
    };
    import_sized(onnx, sizes)
}

thread_local! {
    static AT_WORK: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is in the reader, where a panic is caught and becomes an error: a program's panic hook has nothing
/// to tell a person of it.
#[must_use]
pub fn reader_at_work() -> bool {
    AT_WORK.get()
}

struct AtWork;

impl AtWork {
    fn begin() -> Self {
        AT_WORK.set(true);
        Self
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        AT_WORK.set(false);
    }
}

/// What the integer graph may have in all, before anything is evaluated.
fn check_totals(graph: &FloatGraph) -> Result<(), ImportError> {
    let limit = |what: &'static str, got: u64, limit: u64| {
        let place = "model".to_owned();
        if got <= limit {
            Ok(())
        } else {
            Err(ImportError::Limit { place, what, limit })
        }
    };
    let values = graph.tensors.iter().map(|t| t.len() as u64).sum();
    limit("values in all tensors", values, MAX_TOTAL_LEN as u64)?;
    let of_node = |node: &super::float::FloatNode| {
        let output = graph.tensors.get(node.output.0 as usize);
        node.op.multiplications(output.map_or(0, |t| t.len()))
    };
    let multiplications = graph
        .nodes
        .iter()
        .fold(0u64, |n, node| n.saturating_add(of_node(node)));
    limit("multiplications", multiplications, MAX_MULTIPLICATIONS)
}

/// Shapes and constants by tract. Output types and `value_info` in the file are claims that nothing needs.
///
/// Constants are folded and nothing else: tract's other rewriting ("declutter") is for speed, and one that is wrong
/// changes the function that is proved (0.23.9 makes `c − Conv(x)` a `c + Conv(x)`).
fn type_model(proto: &ModelProto) -> TractResult<TypedModel> {
    let mut onnx = tract_onnx::onnx();
    function::register(&mut onnx.op_register);
    marked::register(&mut onnx.op_register);
    let mut read = onnx
        .with_ignore_output_shapes(true)
        .with_ignore_output_types(true)
        .with_ignore_value_info(true)
        .model_for_proto_model(proto)?;
    state_inputs_again(&mut read, proto)?;
    let mut model = read.into_typed()?;
    Optimizer::prop_consts().optimize(&mut model)?;
    Ok(model)
}

/// What the file says of an input that is an output too: tract takes the output's type instead, which is ignored.
fn state_inputs_again(model: &mut InferenceModel, proto: &ModelProto) -> TractResult<()> {
    let Some(graph) = &proto.graph else {
        return Ok(());
    };
    let is_output = |port: &&ValueInfoProto| graph.output.iter().any(|output| output.name == port.name);
    for port in graph.input.iter().filter(is_output) {
        if let Some(shape) = dimensions::fixed_shape(port) {
            let input = OutletId::new(model.node_id_by_name(&port.name)?, 0);
            let kind = match whole::element(port) {
                Some(DataType::Int64) => DatumType::I64,
                Some(DataType::Int32) => DatumType::I32,
                Some(DataType::Int8) => DatumType::I8,
                Some(DataType::Uint8) => DatumType::U8,
                Some(DataType::Bool) => DatumType::Bool,
                _ => DatumType::F32,
            };
            model.set_outlet_fact(input, TypedFact::dt_shape(kind, shape).into())?;
        }
    }
    Ok(())
}
