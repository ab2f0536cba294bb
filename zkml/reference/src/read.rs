//! From bytes to a model: names become numbers, and whatever the file alone can tell to be wrong is refused here.
//!
//! Invariant: in a model that was read, every node reads only constants, inputs and what earlier nodes made, every value
//! is made once, and every operator is one of the reference's, with attributes and numbers of inputs that it has.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    Dimension, ElementType, Model, Node, Port, ReadError, Step, Tensor, UnsupportedNode, attribute, constant,
    element::element_name,
    limits::{MAX_LIVE, MAX_NODES, MAX_RANK},
    ops::{self, Operation},
    proto::{self, GraphProto, ModelProto, NodeProto, ValueInfoProto},
};

/// Opsets whose operators are evaluated; of those before 7 not every operator.
const OPSETS: std::ops::RangeInclusive<i64> = 1..=27;
/// The same of the domain ai.onnx.ml.
const OF_MODELS: std::ops::RangeInclusive<i64> = 1..=5;

fn malformed(reason: impl Into<String>) -> ReadError {
    ReadError::Malformed(reason.into())
}

pub(crate) fn model(onnx: &[u8]) -> Result<Model, ReadError> {
    let proto = proto::model(onnx).map_err(ReadError::Malformed)?;
    let opsets = Opsets {
        standard: opset(&proto, standard, OPSETS)?,
        of_models: opset(&proto, |domain| domain == ops::ml::DOMAIN, OF_MODELS)?,
    };
    if let Some(f) = proto.functions.iter().find(|f| standard(&f.domain)) {
        let reason = format!("it redefines the operator `{}` as a function", f.name);
        return Err(ReadError::Unsupported(reason));
    }
    let graph = proto.graph.ok_or_else(|| malformed("there is no graph"))?;
    if graph.node.len() > MAX_NODES {
        let reason = format!("{} nodes; at most {MAX_NODES} are evaluated", graph.node.len());
        return Err(ReadError::Unsupported(reason));
    }
    if !graph.sparse_initializer.is_empty() {
        return Err(ReadError::Unsupported("it has sparse constants".into()));
    }
    if graph.output.is_empty() {
        return Err(ReadError::Unsupported("it has no output".into()));
    }
    let operations = operators(&graph, opsets)?;
    let mut names = Names::default();
    let constants = constants(&graph, &mut names)?;
    let constant: HashSet<usize> = constants.iter().map(|&(value, _)| value).collect();
    let (mut inputs, mut input_values, mut ports) = (Vec::new(), Vec::new(), HashSet::new());
    for info in &graph.input {
        if !ports.insert(&info.name) {
            return Err(malformed(format!("input `{}` is stated twice", info.name)));
        }
        // Old files state their constants as inputs too.
        if names.0.get(&info.name).is_none_or(|v| !constant.contains(v)) {
            inputs.push(port("input", info)?);
            input_values.push(names.make(&info.name)?);
        }
    }
    let mut linked = Vec::new();
    let mut computed: HashSet<usize> = input_values.iter().copied().collect();
    for (node, mut operation) in graph.node.iter().zip(operations) {
        for (i, name) in node.input.iter().enumerate() {
            let value = match names.0.get(name) {
                _ if name.is_empty() => None,
                Some(&value) => Some(value),
                None => {
                    let reason = format!("reads `{name}`, which nothing before it makes");
                    return Err(malformed(format!(
                        "node `{}` {reason} (input {i})",
                        name_of(node)
                    )));
                }
            };
            operation.inputs.push(value);
        }
        operation.computed = operation.inputs.iter().flatten().any(|v| computed.contains(v));
        for name in &node.output {
            let value = if name.is_empty() {
                None
            } else {
                Some(names.make(name)?)
            };
            operation.outputs.push(value);
            computed.extend(value.filter(|_| operation.computed));
        }
        linked.push(operation);
    }
    let (mut outputs, mut output_values) = (Vec::new(), Vec::new());
    for info in &graph.output {
        let value = names.0.get(&info.name);
        let value = value.ok_or_else(|| malformed(format!("nothing makes the output `{}`", info.name)))?;
        outputs.push(port("output", info)?);
        output_values.push(*value);
    }
    leave_out_unread(&mut linked, names.0.len(), &output_values);
    let dying = dying(&linked, names.0.len(), &output_values);
    Ok(Model {
        inputs,
        outputs,
        nodes: graph.node.iter().map(described).collect(),
        operations: linked,
        values: names.0.len(),
        input_values,
        output_values,
        constants,
        dying,
    })
}

fn standard(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

/// The versions of the domains, where the file names one.
#[derive(Clone, Copy)]
struct Opsets {
    standard: Option<i64>,
    of_models: Option<i64>,
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

fn name_of(node: &NodeProto) -> &str {
    if node.name.is_empty() {
        node.output.first().map_or("", String::as_str)
    } else {
        &node.name
    }
}

fn described(node: &NodeProto) -> Node {
    Node {
        name: name_of(node).to_owned(),
        op: node.op_type.clone(),
        inputs: node.input.clone(),
        outputs: node.output.clone(),
    }
}

/// The numbers of values by name.
#[derive(Default)]
struct Names(HashMap<String, usize>);

impl Names {
    fn make(&mut self, name: &str) -> Result<usize, ReadError> {
        if name.is_empty() {
            return Err(malformed("an input or a constant has no name"));
        }
        let value = self.0.len();
        match self.0.insert(name.to_owned(), value) {
            None => Ok(value),
            Some(_) => Err(malformed(format!("the value `{name}` is made twice"))),
        }
    }
}

/// The operators of all nodes with their attributes, or all nodes that have none.
fn operators(graph: &GraphProto, opset: Opsets) -> Result<Vec<Operation>, ReadError> {
    let (mut found, mut unsupported) = (Vec::new(), Vec::new());
    for node in &graph.node {
        match operator(node, opset) {
            Ok(operation) => found.push(operation),
            Err(reason) => unsupported.push(UnsupportedNode {
                node: name_of(node).to_owned(),
                op: node.op_type.clone(),
                reason,
            }),
        }
    }
    if unsupported.is_empty() {
        Ok(found)
    } else {
        Err(ReadError::Nodes(unsupported))
    }
}

fn operator(node: &NodeProto, opsets: Opsets) -> Step<Operation> {
    let of_models = node.domain == ops::ml::DOMAIN;
    let opset = if of_models {
        opsets.of_models
    } else {
        opsets.standard
    };
    if !standard(&node.domain) && !of_models {
        return Err(format!("operators of domain `{}` are not evaluated", node.domain));
    }
    let opset = opset.ok_or("the file states no version of ONNX's operators")?;
    if !node.overload.is_empty() {
        return Err("it calls a function".into());
    }
    let operator = ops::find(&node.domain, &node.op_type, opset)?;
    let (least, most) = operator.inputs;
    if !(least..=most).contains(&node.input.len()) {
        return Err(format!(
            "{} inputs, the operator has {least} to {most}",
            node.input.len()
        ));
    }
    if node.output.is_empty() {
        return Err("it has no output".into());
    }
    Ok(Operation {
        operator,
        opset,
        attributes: attribute::read(operator.attributes, opset, &node.attribute)?,
        inputs: Vec::new(),
        outputs: Vec::new(),
        computed: false,
    })
}

fn constants(graph: &GraphProto, names: &mut Names) -> Result<Vec<(usize, Arc<Tensor>)>, ReadError> {
    let (mut found, mut total) = (Vec::new(), 0usize);
    for proto in &graph.initializer {
        let tensor = constant::read(proto)
            .map_err(|reason| ReadError::Unsupported(format!("constant `{}`: {reason}", proto.name)))?;
        total += tensor.len();
        if total > MAX_LIVE {
            let reason = format!("its constants have more than {MAX_LIVE} values");
            return Err(ReadError::Unsupported(reason));
        }
        found.push((names.make(&proto.name)?, tensor));
    }
    Ok(found)
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

/// Leaves out labels that nothing reads: they may be texts, which no tensor holds here.
fn leave_out_unread(operations: &mut [Operation], values: usize, outputs: &[usize]) {
    let mut read = vec![false; values];
    outputs.iter().for_each(|&v| read[v] = true);
    for operation in operations.iter() {
        operation.inputs.iter().flatten().for_each(|&v| read[v] = true);
    }
    for operation in operations.iter_mut().filter(|o| ops::ml::has_label(o.operator)) {
        if let Some(label) = operation.outputs.first_mut() {
            *label = label.filter(|&v| read[v]);
        }
    }
}

/// For each node, the values that neither a later node nor an output reads.
fn dying(operations: &[Operation], values: usize, outputs: &[usize]) -> Vec<Vec<usize>> {
    let mut needed = vec![false; values];
    outputs.iter().for_each(|&v| needed[v] = true);
    let mut dying = vec![Vec::new(); operations.len()];
    for (operation, dead) in operations.iter().zip(&mut dying).rev() {
        for &value in operation.outputs.iter().chain(&operation.inputs).flatten() {
            if !needed[value] {
                needed[value] = true;
                dead.push(value);
            }
        }
    }
    dying
}
