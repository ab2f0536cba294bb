//! From bytes to a model: names become numbers, and whatever the file alone can tell to be wrong is refused here.
//!
//! Invariant: in a model that was read, its operators are of one version of each domain that is evaluated, its inputs and outputs
//! are tensors, and its nodes are linked ([`link`](crate::link)).

use std::collections::HashSet;

use crate::{
    Dimension, ElementType, Model, Port, ReadError,
    element::element_name,
    limits::MAX_RANK,
    link::{Opsets, Scope, malformed, standard},
    ops,
    proto::{self, ModelProto, NodeProto, ValueInfoProto},
};

/// Opsets whose operators are evaluated; of those before 7 not every operator.
const OPSETS: std::ops::RangeInclusive<i64> = 1..=27;
/// The same of the domain ai.onnx.ml.
const OF_MODELS: std::ops::RangeInclusive<i64> = 1..=5;
/// The same of the domain com.microsoft, which has one version.
const OF_MICROSOFT: std::ops::RangeInclusive<i64> = 1..=1;

pub(crate) fn model(onnx: &[u8]) -> Result<Model, ReadError> {
    let proto = proto::model(onnx).map_err(ReadError::Malformed)?;
    let opsets = Opsets {
        standard: opset(&proto, standard, OPSETS)?,
        of_models: opset(&proto, |domain| domain == ops::ml::DOMAIN, OF_MODELS)?,
        of_microsoft: opset(&proto, |domain| domain == ops::microsoft::DOMAIN, OF_MICROSOFT)?,
    };
    if let Some(f) = proto.functions.iter().find(|f| standard(&f.domain)) {
        let reason = format!("it redefines the operator `{}` as a function", f.name);
        return Err(ReadError::Unsupported(reason));
    }
    let graph = proto.graph.ok_or_else(|| malformed("there is no graph"))?;
    if !graph.sparse_initializer.is_empty() {
        return Err(ReadError::Unsupported("it has sparse constants".into()));
    }
    if graph.output.is_empty() {
        return Err(ReadError::Unsupported("it has no output".into()));
    }
    let mut scope = Scope::new(opsets);
    let constants = scope.constants(&graph.initializer)?;
    let constant: HashSet<usize> = constants.iter().map(|&(value, _)| value).collect();
    let (mut inputs, mut input_values, mut ports) = (Vec::new(), Vec::new(), HashSet::new());
    for info in &graph.input {
        if !ports.insert(&info.name) {
            return Err(malformed(format!("input `{}` is stated twice", info.name)));
        }
        // Old files state their constants as inputs too.
        if scope.names.get(&info.name).is_none_or(|v| !constant.contains(v)) {
            inputs.push(port("input", info)?);
            input_values.push(scope.make(&info.name)?);
        }
    }
    scope.computed.extend(&input_values);
    let body = scope.body(&graph, constants, Vec::new(), 0)?;
    // The one operator whose output is no tensor in ONNX, and one here.
    let zips = |node: &NodeProto| node.op_type == "ZipMap" && node.domain == ops::ml::DOMAIN;
    let zipped: HashSet<&String> = graph
        .node
        .iter()
        .filter(|n| zips(n))
        .flat_map(|n| &n.output)
        .collect();
    let outputs = graph.output.iter().map(|info| {
        if zipped.contains(&info.name) {
            return Ok(Port {
                name: info.name.clone(),
                element: ElementType::Float32,
                shape: None,
            });
        }
        port("output", info)
    });
    Ok(Model {
        inputs,
        outputs: outputs.collect::<Result<_, _>>()?,
        values: scope.values,
        input_values,
        body,
    })
}

/// None where the file names none.
fn opset(
    proto: &ModelProto,
    domain: impl Fn(&str) -> bool,
    opsets: std::ops::RangeInclusive<i64>,
) -> Result<Option<i64>, ReadError> {
    let mut found = None;
    for import in proto.opset_import.iter().filter(|o| domain(&o.domain)) {
        // Some exporters say the same twice.
        if found
            .replace(import.version)
            .is_some_and(|before| before != import.version)
        {
            let reason = "it states two versions of ONNX's operators";
            return Err(ReadError::Unsupported(reason.into()));
        }
    }
    match found {
        Some(version) if !opsets.contains(&version) => Err(ReadError::Unsupported(format!(
            "its operators are those of opset {version}; {} to {} are evaluated",
            opsets.start(),
            opsets.end()
        ))),
        stated => Ok(stated),
    }
}

fn port(what: &str, info: &ValueInfoProto) -> Result<Port, ReadError> {
    let name = &info.name;
    let about = |reason: String| ReadError::Unsupported(format!("{what} `{name}`: {reason}"));
    let tensor = info.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let tensor = tensor.ok_or_else(|| about("it is not stated to be a tensor".into()))?;
    let code = tensor.elem_type;
    let element = ElementType::from_onnx(code.into()).ok_or_else(|| {
        about(format!(
            "its type is {}, which is not evaluated",
            element_name(code.into())
        ))
    })?;
    let Some(shape) = &tensor.shape else {
        return Ok(Port {
            name: name.clone(),
            element,
            shape: None,
        });
    };
    if shape.dim.len() > MAX_RANK {
        let reason = format!("{} dimensions; at most {MAX_RANK} are evaluated", shape.dim.len());
        return Err(about(reason));
    }
    let dims = shape.dim.iter().map(|d| match d.dim_value {
        Some(size) => usize::try_from(size)
            .map(Dimension::Fixed)
            .map_err(|_| about(format!("it has a dimension of {size}"))),
        None => Ok(Dimension::Free(d.dim_param.clone().unwrap_or_default())),
    });
    Ok(Port {
        name: name.clone(),
        element,
        shape: Some(dims.collect::<Result<_, _>>()?),
    })
}
