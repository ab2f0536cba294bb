//! What is checked on the file itself, before tract computes anything with it.
//!
//! Invariant: of an admitted file, every constant has exactly the data that its shape says, every operator is one of
//! [`operators`], every input has fixed sizes, and folding constants makes nothing larger than the limits.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;
use tract_onnx::pb::type_proto::Value;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use zkml_reference::element_name;

use super::dimensions::{self, Sizes};
use super::folding::{check_attributes, check_constant_operands, check_folding, check_outputs};
use super::narrow::Narrow;
use super::operators::{folds, operators, operators_of_microsoft, operators_of_models, why_unknown};
use super::spliced::Origins;
use super::whole::Given;
use super::{
    ImportError, MAX_CONSTANT_LEN, MAX_NODES, MAX_TENSOR_LEN, UnsupportedNode, control, function, infinite,
    marked, microsoft, ml, names, narrow, opset6, partial, recipe, statics, whole,
};
use crate::functions;

pub(super) const MAX_RANK: usize = 8;
/// Names that all nodes read and make: several for each, since a node of many operands becomes as many typed nodes.
const MAX_LINKS: usize = 4 * MAX_NODES;
const MAX_NAME_LEN: usize = zkml::graph::validate::MAX_NAME_LEN;
pub(super) const MAX_LIST_LEN: usize = 1 << 16;

/// A file that tract may read.
pub(super) struct Admitted {
    /// The model with the batch bound.
    pub proto: ModelProto,
    /// Names of its inputs, without those that have a constant, and which whole numbers they are of.
    pub inputs: Vec<(String, Option<Given>)>,
    /// Names of its outputs.
    pub outputs: Vec<String>,
    /// By output, whether it says that it is of whole numbers, or of yes and no.
    pub exact: Vec<bool>,
    /// `(name or first output, operator)` of its nodes, to name a typed operator after its origin.
    pub origins: Vec<(String, String)>,
}

pub(super) fn unsupported(node: &NodeProto, reason: String) -> ImportError {
    ImportError::Unsupported(vec![UnsupportedNode {
        node: name_of(node).to_owned(),
        op: node.op_type.clone(),
        reason,
    }])
}

fn malformed(reason: impl Into<String>) -> ImportError {
    ImportError::Malformed(reason.into())
}

pub(super) fn limit(place: &str, what: &'static str, got: usize, limit: usize) -> Result<(), ImportError> {
    if got <= limit {
        Ok(())
    } else {
        Err(ImportError::Limit {
            place: place.to_owned(),
            what,
            limit: limit as u64,
        })
    }
}

pub(super) fn admit(mut proto: ModelProto, sizes: Sizes<'_>) -> Result<Admitted, ImportError> {
    // Training graphs, functions and metadata are not part of what is computed.
    proto.training_info.clear();
    proto.functions.clear();
    proto.metadata_props.clear();
    let standard = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    let opset = proto.opset_import.iter().find(|o| standard(&o.domain));
    let opset = opset.map(|o| o.version);
    let has_graphs = proto.graph.iter().flat_map(|g| &g.node).any(names::has_graph);
    check_counts(proto.graph.as_ref())?;
    sized(proto.graph.as_mut(), sizes)?;
    let mut stood_in = Origins::default();
    if has_graphs {
        // Conditions and counts may be made of sizes.
        proto.graph.iter().try_for_each(check_inputs)?;
        stood_in = control::inline(&mut proto, opset)?;
    }
    let graph = proto
        .graph
        .as_mut()
        .ok_or_else(|| malformed("there is no graph"))?;
    graph.value_info.clear();
    graph.quantization_annotation.clear();
    if !graph.sparse_initializer.is_empty() {
        return Err(ImportError::Form("the model has sparse constants".into()));
    }
    if graph.output.is_empty() {
        return Err(ImportError::Form(
            "the model has no output, so that there is nothing to prove".into(),
        ));
    }
    infinite::finite(graph);
    let statics = statics::names(graph);
    check_operators(graph, &statics, opset, &stood_in)?;
    check_forms(graph)?;
    let mut constants = HashMap::new();
    for tensor in &graph.initializer {
        constants.insert(tensor.name.clone(), check_tensor(&tensor.name, tensor)?);
    }
    check_inputs(graph)?;
    check_names(graph)?;
    let origins = graph
        .node
        .iter()
        .map(|n| (name_of(n).to_owned(), n.op_type.clone()))
        .collect();
    // What the reader folds by itself needs no evaluation.
    let not_folded = |n: &NodeProto| statics::is_static(n, &statics) && !folds(&n.op_type);
    let whole = inputs(graph).iter().any(|(_, given)| given.is_some());
    if whole
        || has_graphs
        || narrow::any(graph)
        || graph.node.iter().any(not_folded)
        || recipe::any(graph, &statics)
        || opset6::any(graph, opset)
        || graph.node.iter().any(|n| whole::is_cast(n, &statics))
    {
        check_attributes(graph)?;
        evaluated(&mut proto, opset, &statics, &mut constants, &stood_in)?;
        // Of graphs that stood in nodes, what depends on constants alone is gone.
        check_counts(proto.graph.as_ref())?;
    }
    let graph = proto
        .graph
        .as_mut()
        .ok_or_else(|| malformed("there is no graph"))?;
    let constants = check_folding(graph, constants)?;
    check_constant_operands(graph, &constants)?;
    check_outputs(graph, &constants)?;
    let inputs = inputs(graph);
    let outputs = graph.output.iter().map(|o| o.name.clone()).collect();
    let exact = graph.output.iter().map(whole::is_whole).collect();
    Ok(Admitted {
        proto,
        inputs,
        outputs,
        exact,
        origins,
    })
}

/// Gives the inputs' free dimensions their sizes.
pub(super) fn sized(graph: Option<&mut GraphProto>, sizes: Sizes<'_>) -> Result<(), ImportError> {
    let graph = graph.ok_or_else(|| malformed("there is no graph"))?;
    let named: HashSet<&str> = graph.initializer.iter().map(|t| &*t.name).collect();
    let given = |input: &&mut ValueInfoProto| !named.contains(input.name.as_str());
    dimensions::bind(graph.input.iter_mut().filter(given), sizes)
}

fn check_inputs(graph: &GraphProto) -> Result<(), ImportError> {
    let named: HashSet<&str> = graph.initializer.iter().map(|t| &*t.name).collect();
    let mut given = graph.input.iter().filter(|i| !named.contains(i.name.as_str()));
    given.try_for_each(check_input)
}

/// The inputs that no constant is given for.
fn inputs(graph: &GraphProto) -> Vec<(String, Option<Given>)> {
    let named: HashSet<&str> = graph.initializer.iter().map(|t| &*t.name).collect();
    let inputs = graph.input.iter().filter(|i| !named.contains(i.name.as_str()));
    inputs
        .map(|i| (i.name.clone(), whole::element(i).and_then(Given::of)))
        .collect()
}

fn check_counts(graph: Option<&GraphProto>) -> Result<(), ImportError> {
    let graph = graph.ok_or_else(|| malformed("there is no graph"))?;
    limit("model", "nodes", graph.node.len(), MAX_NODES)?;
    limit("model", "constants", graph.initializer.len(), 2 * MAX_NODES)?;
    let links = graph.node.iter().map(|n| n.input.len() + n.output.len()).sum();
    limit("model", "names that nodes read and make", links, MAX_LINKS)?;
    limit(
        "model",
        "inputs and outputs",
        graph.input.len() + graph.output.len(),
        MAX_NODES,
    )
}

/// Puts constants in the places of nodes that are static, today's forms in those of old ones, and our operators in those of
/// nodes with a recipe.
fn evaluated(
    proto: &mut ModelProto,
    opset: Option<i64>,
    statics: &HashSet<String>,
    constants: &mut HashMap<String, usize>,
    stood_in: &Origins,
) -> Result<(), ImportError> {
    let mut shapes = statics::fold(proto, statics)?;
    let Some(graph) = proto.graph.as_mut() else {
        return Ok(());
    };
    partial::guard(graph, &stood_in.branches, &mut shapes)?;
    whole::check(graph, &shapes)?;
    narrow::widen(graph);
    opset6::rewrite(graph, opset, &shapes);
    marked::mark(graph, &shapes);
    constants.clear();
    for tensor in &graph.initializer {
        constants.insert(tensor.name.clone(), check_tensor(&tensor.name, tensor)?);
    }
    Ok(())
}

pub(super) fn name_of(node: &NodeProto) -> &str {
    if node.name.is_empty() {
        node.output.first().map_or("", String::as_str)
    } else {
        &node.name
    }
}

/// All nodes whose operator is not in [`operators`], at once, and those functions that are not ONNX's: by their attributes, or
/// because the model's version of ONNX has no such operator.
fn check_operators(
    graph: &GraphProto,
    statics: &HashSet<String>,
    opset: Option<i64>,
    stood_in: &Origins,
) -> Result<(), ImportError> {
    let (operators, of_models, mut unsupported) = (operators(), operators_of_models(), Vec::new());
    let of_microsoft = operators_of_microsoft();
    let mut again = HashSet::new();
    let evaluated = zkml_reference::operators();
    let known = |node: &NodeProto| {
        let op = node.op_type.as_str();
        operators.contains(op) || (statics::is_static(node, statics) && evaluated.contains(&op))
    };
    for node in &graph.node {
        limit(
            "model",
            "bytes in a name",
            node.op_type.len().max(node.name.len()),
            MAX_NAME_LEN,
        )?;
        let standard = node.domain.is_empty() || node.domain == "ai.onnx";
        let reason = if node.domain == ml::DOMAIN && of_models.contains(node.op_type.as_str()) {
            match ml::refused(graph, node) {
                Some(reason) => reason,
                None => continue,
            }
        } else if node.domain == microsoft::DOMAIN && of_microsoft.contains(node.op_type.as_str()) {
            continue;
        } else if !standard {
            format!("operators of domain `{}` are not supported", node.domain)
        } else if let Some(reason) = control::left(node, statics) {
            reason
        } else if !known(node) {
            why_unknown(&node.op_type).to_owned()
        } else {
            match functions::read(node) {
                Some(Err(reason)) => reason,
                Some(Ok(_)) => match function::too_new(&node.op_type, opset) {
                    Some(reason) => reason,
                    None => continue,
                },
                None => continue,
            }
        };
        // Of a node that is computed often, once is enough.
        let later = stood_in.later.contains(name_of(node));
        if later && !again.insert((node.op_type.clone(), reason.clone())) {
            continue;
        }
        unsupported.push(UnsupportedNode {
            node: name_of(node).to_owned(),
            op: node.op_type.clone(),
            reason,
        });
    }
    if unsupported.is_empty() {
        Ok(())
    } else {
        Err(ImportError::Unsupported(unsupported))
    }
}

/// Forms that typing would not come through, or not soon.
fn check_forms(graph: &GraphProto) -> Result<(), ImportError> {
    for node in &graph.node {
        let attribute = |name: &str| node.attribute.iter().find(|a| a.name == name);
        match node.op_type.as_str() {
            // With an axis twice tract never ends, and takes all memory.
            "Transpose" => {
                let perm = attribute("perm").map_or(&[][..], |a| &a.ints);
                let axes: HashSet<i64> = perm.iter().copied().collect();
                let all = (0..perm.len() as i64).all(|axis| axes.contains(&axis));
                if !all {
                    return Err(ImportError::Node {
                        node: name_of(node).to_owned(),
                        op: node.op_type.clone(),
                        reason: format!("its perm {perm:?} is no permutation of axes"),
                    });
                }
            }
            // tract passes over the attribute; outputs beyond the first are those of training.
            "BatchNormalization" if attribute("training_mode").is_some_and(|a| a.i != 0) => {
                return Err(unsupported(
                    node,
                    "normalisation by the batch, as in training".into(),
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Every name that is read exists, and no name is made twice.
fn check_names(graph: &GraphProto) -> Result<(), ImportError> {
    let sources = graph.input.iter().map(|i| &i.name);
    let mut known: HashSet<&str> = graph
        .initializer
        .iter()
        .map(|t| &t.name)
        .chain(sources)
        .map(|n| &**n)
        .collect();
    for node in &graph.node {
        for output in node.output.iter().filter(|o| !o.is_empty()) {
            limit("model", "bytes in a name", output.len(), MAX_NAME_LEN)?;
            if !known.insert(output) {
                return Err(malformed(format!("`{output}` is made twice")));
            }
        }
    }
    let read = graph
        .node
        .iter()
        .flat_map(|n| &n.input)
        .chain(graph.output.iter().map(|o| &o.name));
    match read
        .filter(|n| !n.is_empty())
        .find(|n| !known.contains(n.as_str()))
    {
        Some(name) => Err(malformed(format!("`{name}` is read and never made"))),
        None => Ok(()),
    }
}

/// The constant's length; its data must be in the file, finite, and as long as its shape says.
pub(super) fn check_tensor(place: &str, tensor: &TensorProto) -> Result<usize, ImportError> {
    if !tensor.external_data.is_empty() || tensor.data_location == Some(DataLocation::External as i32) {
        return Err(ImportError::ExternalData(place.to_owned()));
    }
    limit(place, "dimensions", tensor.dims.len(), MAX_RANK)?;
    let len = tensor
        .dims
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(usize::try_from(d).ok()?));
    let len = len.unwrap_or(usize::MAX);
    limit(place, "values", len, MAX_CONSTANT_LEN)?;
    let kind = DataType::try_from(tensor.data_type).unwrap_or(DataType::Undefined);
    let (bytes, typed) = match kind {
        DataType::Float => (4, tensor.float_data.len()),
        DataType::Double => (8, tensor.double_data.len()),
        DataType::Int64 => (8, tensor.int64_data.len()),
        DataType::Int32 => (4, tensor.int32_data.len()),
        DataType::Bool | DataType::Int8 | DataType::Uint8 => (1, tensor.int32_data.len()),
        DataType::Int16 | DataType::Uint16 | DataType::Float16 | DataType::Bfloat16 => {
            (2, tensor.int32_data.len())
        }
        _ => {
            return Err(constant_type(place, element_name(tensor.data_type.into())));
        }
    };
    let fits = if tensor.raw_data.is_empty() {
        typed == len
    } else {
        tensor.raw_data.len() == len * bytes
    };
    if !fits {
        return Err(malformed(format!(
            "constant `{place}` has more or less data than its shape says"
        )));
    }
    let raw = &tensor.raw_data;
    let finite = match kind {
        DataType::Float => {
            tensor.float_data.iter().all(|v| v.is_finite())
                && raw
                    .as_chunks()
                    .0
                    .iter()
                    .all(|b| f32::from_le_bytes(*b).is_finite())
        }
        DataType::Double => {
            tensor.double_data.iter().all(|v| v.is_finite())
                && raw
                    .as_chunks()
                    .0
                    .iter()
                    .all(|b| f64::from_le_bytes(*b).is_finite())
        }
        _ => match Narrow::of(tensor.data_type) {
            Some(narrow) => narrow::finite(tensor, narrow)
                .ok_or_else(|| malformed(format!("constant `{place}` has a value of more than 16 bits")))?,
            None => true,
        },
    };
    if finite {
        Ok(len)
    } else {
        Err(ImportError::NonFinite {
            node: place.to_owned(),
        })
    }
}

/// Of a constant whose type is not supported.
pub(super) fn constant_type(constant: &str, kind: impl std::fmt::Display) -> ImportError {
    ImportError::Constant {
        constant: constant.to_owned(),
        reason: format!(
            "its type is {kind}; those of float, double, float16, bfloat16, bool, int8 to int64, uint8 and uint16 are \
             supported yet: convert the model to float"
        ),
    }
}

/// An input is a tensor of floats, and every dimension of it has a size.
fn check_input(input: &ValueInfoProto) -> Result<(), ImportError> {
    let name = input.name.clone();
    limit("model", "bytes in a name", name.len(), MAX_NAME_LEN)?;
    let refuse = |reason: String| ImportError::Input {
        input: name.clone(),
        reason,
    };
    let Some(Value::TensorType(tensor)) = input.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
        return Err(refuse("it is not a tensor".into()));
    };
    let kind = DataType::try_from(tensor.elem_type).unwrap_or(DataType::Undefined);
    let float = [DataType::Float, DataType::Double].contains(&kind) || Narrow::of(kind as i32).is_some();
    if !float && Given::of(kind).is_none() {
        return Err(refuse(format!(
            "its type is {}; inputs of float, double, float16, bfloat16, int64, int32, int8, uint8 and bool are supported. \
             Convert the model, or cut it behind the nodes that read this input and give what they make",
            element_name(tensor.elem_type.into())
        )));
    }
    let shape = tensor
        .shape
        .as_ref()
        .ok_or_else(|| refuse("the file states no shape for it; export the model with one".into()))?;
    limit(&name, "dimensions", shape.dim.len(), MAX_RANK)?;
    let mut len = 1usize;
    for (axis, dimension) in shape.dim.iter().enumerate() {
        let size = match dimension.value {
            Some(Dim::DimValue(v)) if v > 0 => v,
            Some(Dim::DimValue(0)) => {
                return Err(refuse(format!(
                    "its dimension {axis} is 0, so that it has no values"
                )));
            }
            Some(Dim::DimValue(v)) => {
                return Err(refuse(format!(
                    "its dimension {axis} is {v}; give a size, or a name: ONNX leaves sizes free by names"
                )));
            }
            Some(Dim::DimParam(_)) | None => {
                return Err(ImportError::DynamicDimension {
                    input: name.clone(),
                    name: dimensions::name_of(&name, axis, dimension).unwrap_or_default(),
                    axis,
                });
            }
        };
        len = usize::try_from(size)
            .ok()
            .and_then(|d| len.checked_mul(d))
            .unwrap_or(usize::MAX);
        limit(&name, "values", len, MAX_TENSOR_LEN)?;
    }
    Ok(())
}

/// The name and operator of the file behind a part of a node: typing splits nodes and appends to their names.
pub(super) fn origin<'a>(
    origins: impl Iterator<Item = (&'a str, &'a str)>,
    part: &str,
) -> Option<(&'a str, &'a str)> {
    let is_part = |name: &str| {
        let rest = part.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '_', '-', '/']))
    };
    origins
        .filter(|(name, _)| is_part(name))
        .max_by_key(|(name, _)| name.len())
}
