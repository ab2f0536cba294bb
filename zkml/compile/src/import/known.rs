//! What a file says of its values whatever its inputs are, where it is asked before the file is typed.
//!
//! Invariant: the values are the float reference's, of the nodes that they are made of and with zeros as inputs. Who asks takes only
//! what does not depend on an input's values.

use std::collections::{HashMap, HashSet};

use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension::Value as Dim};
use tract_onnx::pb::type_proto::{Tensor as TensorType, Value};
use tract_onnx::pb::{GraphProto, ModelProto, TensorShapeProto, TypeProto, ValueInfoProto};
use zkml_reference::{EvaluateError, Model, ReadError, Tensor};

use super::names;
use super::reader::zeros;
use super::{ImportError, UnsupportedNode};

/// Multiply-adds of one answer, each value counted as eight.
const WORK: u64 = 1 << 30;

/// Values that nodes of a graph make, by name.
pub(super) struct Known {
    pub values: HashMap<String, Tensor>,
    /// Why there are not all of them.
    pub error: Option<ImportError>,
}

/// An output or an input of a graph; of which type the answer is does not matter.
pub(super) fn port(name: &str, of: DataType) -> ValueInfoProto {
    let tensor = TensorType {
        elem_type: of as i32,
        shape: None,
    };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            value: Some(Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

/// The same of a shape.
pub(super) fn of_shape(mut port: ValueInfoProto, shape: &[i64]) -> ValueInfoProto {
    let sizes = shape.iter().map(|&size| Dimension {
        value: Some(Dim::DimValue(size)),
        ..Dimension::default()
    });
    if let Some(Value::TensorType(tensor)) = port.r#type.as_mut().and_then(|t| t.value.as_mut()) {
        tensor.shape = Some(TensorShapeProto { dim: sizes.collect() });
    }
    port
}

/// The values of these names, of the model with this graph; none where they need nodes that are not evaluated, of which the list of
/// operators knows.
///
/// # Errors
/// A file that contradicts itself.
pub(super) fn values(
    model: &ModelProto,
    mut graph: GraphProto,
    wanted: &HashSet<String>,
) -> Result<Option<Known>, ImportError> {
    graph.output = wanted.iter().map(|name| port(name, DataType::Float)).collect();
    graph.output.sort_by(|a, b| a.name.cmp(&b.name));
    let mut read = wanted.clone();
    // What nodes read stands before them.
    let needed: Vec<bool> = graph
        .node
        .iter()
        .rev()
        .map(|node| {
            let needed = node.output.iter().any(|o| read.contains(o));
            if needed {
                names::reads(node, &mut read);
            }
            needed
        })
        .collect();
    let mut needed = needed.into_iter().rev();
    graph.node.retain(|_| needed.next().unwrap_or(false));
    graph.initializer.retain(|t| read.contains(&t.name));
    let part = ModelProto {
        ir_version: model.ir_version,
        opset_import: model.opset_import.clone(),
        graph: Some(graph),
        ..ModelProto::default()
    };
    let model = match Model::read(&part.encode_to_vec()) {
        Ok(model) => model,
        Err(ReadError::Nodes(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Some(inputs) = zeros(&model) else {
        return Err(ImportError::Form("the inputs have too many values".into()));
    };
    let mut values = HashMap::new();
    let evaluated = model.evaluate_within(WORK, &inputs, &mut |name, tensor| {
        if wanted.contains(name) {
            values.insert(name.to_owned(), tensor.clone());
        }
    });
    let error = match evaluated {
        // Which type an output is said to have does not matter.
        Ok(_) | Err(EvaluateError::Output { .. }) => None,
        Err(EvaluateError::Node { node, op, reason }) => Some(ImportError::Node { node, op, reason }),
        Err(EvaluateError::Work { node, op, most }) => {
            let reason = format!(
                "how often it is computed, or of which size its result is, is not known within {most} multiply-adds"
            );
            Some(ImportError::Unsupported(vec![UnsupportedNode {
                node,
                op,
                reason,
            }]))
        }
        Err(error @ (EvaluateError::Inputs { .. } | EvaluateError::Input { .. })) => {
            Some(ImportError::Form(error.to_string()))
        }
    };
    Ok(Some(Known { values, error }))
}
