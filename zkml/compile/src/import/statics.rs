//! What of a file does not depend on its inputs' values: constants, shapes, and whatever is made of these.
//!
//! Invariant: such a node may have any operator that the float reference has, whatever is proved of it: the reference evaluates
//! it, its values become a constant of the file, and the node goes. The evaluation is of the file with zeros as inputs, or with ones
//! where zeros have no value at some node, so that shapes are known too; nothing that depends on an input's values is taken from it.

use std::collections::{BTreeMap, HashMap, HashSet};

use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};
use tract_onnx::prelude::DatumType;
use zkml::graph::validate::MAX_COEFFICIENTS;
use zkml_reference::{ElementType, EvaluateError, Model, Tensor, Values};

use super::admit::{check_tensor, limit, name_of};
use super::folding::computed_operand;
use super::names::has_graph;
use super::reader::{filled, zeros};
use super::{ImportError, MAX_CONSTANT_LEN};

/// Operators whose result depends on the shape of what they read alone.
const OF_SHAPES: &[&str] = &["EyeLike", "Shape", "Size"];

/// Multiply-adds of the evaluation, each value counted as eight: of the largest image networks, some ten seconds.
const WORK: u64 = 1 << 35;

/// Names of values that do not depend on the inputs' values.
pub(super) fn names(graph: &GraphProto) -> HashSet<String> {
    let constants = graph.initializer.iter().map(|t| t.name.clone());
    follow(&graph.node, constants.collect())
}

/// The same of nodes around which these are known.
pub(super) fn follow(nodes: &[NodeProto], mut known: HashSet<String>) -> HashSet<String> {
    for node in nodes {
        // What stands in a node may read anything.
        if has_graph(node) {
            continue;
        }
        let of_known = || node.input.iter().all(|i| i.is_empty() || known.contains(i));
        if OF_SHAPES.contains(&node.op_type.as_str()) || of_known() {
            known.extend(node.output.iter().filter(|o| !o.is_empty()).cloned());
        }
    }
    known
}

/// Whether all that a node makes is among these.
pub(super) fn is_static(node: &NodeProto, names: &HashSet<String>) -> bool {
    let mut made = node.output.iter().filter(|o| !o.is_empty()).peekable();
    made.peek().is_some() && made.all(|o| names.contains(o))
}

/// Shape and element type of every value that depends on the inputs' values.
pub(super) type Shapes = HashMap<String, (Vec<usize>, DatumType)>;

/// Puts constants in the places of all nodes that do not depend on the inputs' values.
pub(super) fn fold(proto: &mut ModelProto, names: &HashSet<String>) -> Result<Shapes, ImportError> {
    let model = Model::read(&proto.encode_to_vec())?;
    let Some(inputs) = zeros(&model) else {
        return Err(ImportError::Form("the inputs have too many values".into()));
    };
    let read = read_of(proto, names);
    let mut given = Shapes::new();
    for (port, tensor) in model.inputs().iter().zip(&inputs) {
        let kind = kind(tensor.element());
        if !kind.is_float() {
            given.insert(port.name.clone(), (tensor.shape().to_vec(), kind));
        }
    }
    let evaluate = |inputs: &[Tensor]| {
        let (mut shapes, mut made) = (given.clone(), Made::within(MAX_COEFFICIENTS));
        let evaluated = model.evaluate_within(WORK, inputs, &mut |name, tensor| {
            if names.contains(name) {
                // What only other constants are made of is not kept.
                if read.contains(name) {
                    made.keep(name, tensor);
                }
            } else {
                shapes.insert(name.to_owned(), (tensor.shape().to_vec(), kind(tensor.element())));
            }
        });
        (evaluated, shapes, made)
    };
    let (mut evaluated, mut shapes, mut made) = evaluate(&inputs);
    // A shape that is computed may not fit where every input is 0.
    let of_shape = |node: &str| {
        let mut nodes = proto.graph.iter().flat_map(|g| &g.node);
        let at_fault = nodes.find(|n| name_of(n) == node);
        at_fault.and_then(|n| computed_operand(n, |name| names.contains(name)))
    };
    // Zeros have no range, and what is divided by one has no value.
    if matches!(&evaluated, Err(EvaluateError::Node { node, .. }) if of_shape(node).is_none())
        && let Some(ones) = filled(&model, true)
    {
        let again = evaluate(&ones);
        if !matches!(again.0, Err(EvaluateError::Node { .. })) {
            (evaluated, shapes, made) = again;
        }
    }
    match evaluated {
        // Which type the file says that an output has does not matter.
        Ok(_) | Err(EvaluateError::Output { .. }) => {}
        Err(EvaluateError::Node { node, op, reason }) => {
            return Err(match of_shape(&node) {
                Some(computed) => ImportError::Unsupported(vec![computed]),
                None => ImportError::Node { node, op, reason },
            });
        }
        Err(
            error @ (EvaluateError::Work { .. } | EvaluateError::Inputs { .. } | EvaluateError::Input { .. }),
        ) => {
            return Err(ImportError::Form(error.to_string()));
        }
    }
    let made = made.all()?;
    let Some(graph) = proto.graph.as_mut() else {
        return Ok(shapes);
    };
    graph.node.retain(|node| !is_static(node, names));
    graph.initializer.retain(|t| read.contains(&t.name));
    for (name, tensor) in made {
        let proto = stored(&name, &tensor);
        check_tensor(&name, &proto)?;
        graph.initializer.push(proto);
    }
    Ok(shapes)
}

/// Constants that were made, as many of them as there is room for.
struct Made {
    most: usize,
    /// Values of all of them, those for which there was no room included.
    len: usize,
    constants: BTreeMap<String, Tensor>,
    too_long: Option<(String, usize)>,
}

impl Made {
    fn within(most: usize) -> Self {
        Self {
            most,
            len: 0,
            constants: BTreeMap::new(),
            too_long: None,
        }
    }

    fn keep(&mut self, name: &str, tensor: &Tensor) {
        self.len = self.len.saturating_add(tensor.len());
        if tensor.len() > MAX_CONSTANT_LEN {
            self.too_long = Some((name.to_owned(), tensor.len()));
        } else if self.len <= self.most {
            self.constants.insert(name.to_owned(), tensor.clone());
        }
    }

    fn all(self) -> Result<BTreeMap<String, Tensor>, ImportError> {
        if let Some((name, len)) = self.too_long {
            limit(&name, "values", len, MAX_CONSTANT_LEN)?;
        }
        let what = "values in constants that are made of constants";
        limit("model", what, self.len, self.most)?;
        Ok(self.constants)
    }
}

/// What the nodes that stay read, and what the model gives.
fn read_of(proto: &ModelProto, names: &HashSet<String>) -> HashSet<String> {
    let graph = proto.graph.iter();
    let read = graph.flat_map(|graph| {
        let stay = graph.node.iter().filter(move |node| !is_static(node, names));
        stay.flat_map(|n| &n.input)
            .chain(graph.output.iter().map(|o| &o.name))
    });
    read.cloned().collect()
}

fn kind(element: ElementType) -> DatumType {
    match element {
        // Those of 16 bits are widened.
        ElementType::Float32 | ElementType::Float16 | ElementType::BFloat16 => DatumType::F32,
        ElementType::Float64 => DatumType::F64,
        ElementType::Bool => DatumType::Bool,
        ElementType::Int8 => DatumType::I8,
        ElementType::Int16 => DatumType::I16,
        ElementType::Int32 => DatumType::I32,
        ElementType::Int64 => DatumType::I64,
        ElementType::Uint8 => DatumType::U8,
        ElementType::Uint16 => DatumType::U16,
        ElementType::Uint32 => DatumType::U32,
        ElementType::Uint64 => DatumType::U64,
    }
}

/// The tensor as a file has it.
fn stored(name: &str, tensor: &Tensor) -> TensorProto {
    let (kind, raw_data) = match (tensor.values(), tensor.element()) {
        (Values::Float(v), ElementType::Float64) => {
            (DataType::Double, v.iter().flat_map(|v| v.to_le_bytes()).collect())
        }
        (Values::Float(v), _) => (
            DataType::Float,
            v.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect(),
        ),
        // Integers of every width are lists, axes and places here.
        (Values::Int(v), _) => (
            DataType::Int64,
            v.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>(),
        ),
        (Values::Bool(v), _) => (DataType::Bool, v.iter().map(|&b| u8::from(b)).collect()),
    };
    TensorProto {
        name: name.to_owned(),
        dims: tensor.shape().iter().map(|&d| d as i64).collect(),
        data_type: kind as i32,
        raw_data,
        ..TensorProto::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constant(len: usize) -> Tensor {
        Tensor::new(ElementType::Float32, vec![len], Values::Float(vec![0.0; len])).unwrap()
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let mut made = Made::within(10);
        made.keep("a", &constant(4));
        made.keep("b", &constant(6));
        assert_eq!(made.constants.len(), 2);
        made.keep("c", &constant(1));
        assert_eq!(made.constants.len(), 2);
        let refused = made.all().unwrap_err().to_string();
        assert!(
            refused.contains("values in constants that are made of constants"),
            "{refused}"
        );
        let mut made = Made::within(10);
        made.keep("a", &constant(4));
        assert_eq!(made.all().unwrap().len(), 1);
    }

    #[test]
    fn what_is_made_for_other_constants_alone_is_not_kept() {
        let node = |op: &str, inputs: &[&str], output: &str| NodeProto {
            op_type: op.into(),
            input: inputs.iter().map(|&i| i.to_owned()).collect(),
            output: vec![output.to_owned()],
            ..NodeProto::default()
        };
        let graph = GraphProto {
            node: vec![
                node("Abs", &["c"], "large"),
                node("Sum", &["large"], "w"),
                node("Mul", &["x", "w"], "y"),
            ],
            ..GraphProto::default()
        };
        let names = HashSet::from(["c", "large", "w"].map(str::to_owned));
        let proto = ModelProto {
            graph: Some(graph),
            ..ModelProto::default()
        };
        assert_eq!(
            read_of(&proto, &names),
            HashSet::from(["x", "w"].map(str::to_owned))
        );
    }
}
