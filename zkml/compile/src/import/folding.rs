//! What is constant in a file: what folding it could make, where a constant is asked for, and what is no output.
//!
//! Invariant: of an admitted file, folding constants makes nothing larger than the limits, nothing computed stands where only
//! a constant is supported, and some output is computed.

use std::collections::HashMap;

use tract_onnx::pb::{GraphProto, NodeProto, ValueInfoProto};

use super::admit::{MAX_LIST_LEN, MAX_RANK, check_tensor, limit, name_of, unsupported};
use super::{ImportError, MAX_TENSOR_LEN, UnsupportedNode, operators};

/// Checks every attribute.
pub(super) fn check_attributes(graph: &GraphProto) -> Result<(), ImportError> {
    graph
        .node
        .iter()
        .try_for_each(|node| check_attributes_of(node).map(|_| ()))
}

/// The length of the longest list or tensor among a node's attributes.
fn check_attributes_of(node: &NodeProto) -> Result<usize, ImportError> {
    let mut longest = 1;
    for attribute in &node.attribute {
        let lists = [
            attribute.ints.len(),
            attribute.floats.len(),
            attribute.strings.len(),
            attribute.s.len(),
        ];
        let lists = lists.into_iter().max().unwrap_or(0);
        limit(name_of(node), "values in an attribute", lists, MAX_LIST_LEN)?;
        longest = longest.max(lists);
        let graphs = attribute.g.is_some() || !attribute.graphs.is_empty();
        if graphs || attribute.sparse_tensor.is_some() || !attribute.sparse_tensors.is_empty() {
            let what = if graphs { "a graph" } else { "a sparse tensor" };
            return Err(unsupported(
                node,
                format!("its attribute `{}` is {what}", attribute.name),
            ));
        }
        for tensor in attribute.t.iter().chain(&attribute.tensors) {
            longest = longest.max(check_tensor(name_of(node), tensor)?);
        }
        // What stands for a missing value, in an Imputer.
        let missing = attribute.name == "replaced_value_float";
        let mut floats = attribute.floats.iter().chain([&attribute.f]);
        if !missing && !floats.all(|v| v.is_finite()) {
            return Err(ImportError::NonFinite {
                node: name_of(node).to_owned(),
            });
        }
    }
    Ok(longest)
}

/// Bounds what folding constants could make: tract folds while it types.
///
/// Returns the lengths of all constants by name, those that nodes make of others among them.
pub(super) fn check_folding(
    graph: &GraphProto,
    mut constants: HashMap<String, usize>,
) -> Result<HashMap<String, usize>, ImportError> {
    for node in &graph.node {
        let attribute_len = check_attributes_of(node)?;
        let known: Option<Vec<usize>> = node
            .input
            .iter()
            .filter(|i| !i.is_empty())
            .map(|i| constants.get(i).copied())
            .collect();
        let len = match (node.op_type.as_str(), known) {
            // The shape of anything is a short constant, even when the thing is not constant.
            ("Shape", _) => MAX_RANK,
            (_, None) => continue,
            ("Constant", Some(_)) => attribute_len,
            ("Concat", Some(known)) => known.iter().sum(),
            ("Reshape" | "Squeeze" | "Unsqueeze" | "Slice" | "Transpose", Some(known)) => {
                known.first().copied().unwrap_or(0)
            }
            (_, Some(known)) => known
                .iter()
                .try_fold(1usize, |n, &k| n.checked_mul(k))
                .unwrap_or(usize::MAX),
        };
        if !operators::folds(&node.op_type) {
            return Err(unsupported(
                node,
                "it computes a constant; fold it before the export".into(),
            ));
        }
        limit(name_of(node), "constant values", len, MAX_TENSOR_LEN)?;
        constants.extend(node.output.iter().map(|o| (o.clone(), len)));
    }
    Ok(constants)
}

/// All nodes that read a computed tensor where only a constant is supported, at once.
pub(super) fn check_constant_operands(
    graph: &GraphProto,
    constants: &HashMap<String, usize>,
) -> Result<(), ImportError> {
    let is_constant = |name: &str| constants.contains_key(name);
    let computed = graph
        .node
        .iter()
        .filter_map(|node| computed_operand(node, is_constant));
    let noted: Vec<_> = computed.collect();
    if noted.is_empty() {
        Ok(())
    } else {
        Err(ImportError::Unsupported(noted))
    }
}

/// A node that reads a computed tensor where only a constant is supported.
pub(super) fn computed_operand(
    node: &NodeProto,
    is_constant: impl Fn(&str) -> bool,
) -> Option<UnsupportedNode> {
    let mut operands = operators::constants(&node.op_type).iter();
    let (what, name) = operands.find_map(|(at, what)| {
        let name = node.input.get(*at).filter(|name| !name.is_empty())?;
        (!is_constant(name)).then_some((what, name))
    })?;
    Some(UnsupportedNode {
        node: name_of(node).to_owned(),
        op: node.op_type.clone(),
        reason: format!("its `{what}` is `{name}`, which is computed: only a constant is supported there"),
    })
}

/// Some output is computed from an input: constants beside it are taken along.
pub(super) fn check_outputs(
    graph: &GraphProto,
    constants: &HashMap<String, usize>,
) -> Result<(), ImportError> {
    let is_constant = |output: &&ValueInfoProto| constants.contains_key(&output.name);
    match graph
        .output
        .first()
        .filter(|_| graph.output.iter().all(|o| is_constant(&o)))
    {
        Some(output) => Err(constant_output(&output.name)),
        None => Ok(()),
    }
}

/// An output that is the same for every input.
pub(super) fn constant_output(name: &str) -> ImportError {
    ImportError::Output {
        output: name.to_owned(),
        reason: "it is a constant, whatever the inputs are; take it out of the outputs",
    }
}
