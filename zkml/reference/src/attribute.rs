//! The attributes of a node: of the names and kinds that its operator declares at the model's opset, each once.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::{Step, Tensor, constant, proto::AttributeProto};

/// The attribute with which operators before opset 6 named inputs that they may write over: it changes no result.
pub(crate) const CONSUMED: &str = "consumed_inputs";

/// What an attribute holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Float,
    Int,
    Text,
    Tensor,
    Floats,
    Ints,
    Texts,
    Graph,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Float => "a float",
            Self::Int => "an integer",
            Self::Text => "a text",
            Self::Tensor => "a tensor",
            Self::Floats => "a list of floats",
            Self::Ints => "a list of integers",
            Self::Texts => "a list of texts",
            Self::Graph => "a graph",
        })
    }
}

/// An attribute that an operator has in some opsets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Declared {
    pub name: &'static str,
    pub kind: Kind,
    /// The first opset that has it.
    pub from: i64,
    /// The first that has it no longer.
    pub before: i64,
}

macro_rules! kinds {
    ($($function:ident $kind:ident),*) => {
        $(pub(crate) const fn $function(name: &'static str) -> Declared {
            Declared { name, kind: Kind::$kind, from: 0, before: i64::MAX }
        })*
    };
}
kinds!(float Float, int Int, text Text, tensor Tensor, floats Floats, ints Ints, texts Texts, graph Graph);

impl Declared {
    pub(crate) const fn from(mut self, opset: i64) -> Self {
        self.from = opset;
        self
    }

    pub(crate) const fn before(mut self, opset: i64) -> Self {
        self.before = opset;
        self
    }
}

/// A value of an attribute.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Float(f64),
    Int(i64),
    Text(String),
    Tensor(Arc<Tensor>),
    Floats(Vec<f64>),
    Ints(Vec<i64>),
    Texts(Vec<String>),
    /// What stands in it is read where the node's names are ([`link`](crate::link)).
    Graph,
}

/// The attributes of a node by name.
pub(crate) type Attributes = BTreeMap<&'static str, Value>;

/// Reads a node's attributes against its operator's.
pub(crate) fn read(declared: &[Declared], opset: i64, protos: &[AttributeProto]) -> Step<Attributes> {
    let mut attributes = Attributes::new();
    for proto in protos {
        let name = &proto.name;
        if opset < 6 && name == CONSUMED {
            continue;
        }
        let has = |d: &&Declared| d.name == name && d.from <= opset && opset < d.before;
        let Some(declared) = declared.iter().find(has) else {
            return Err(format!(
                "no attribute `{name}` of the operator is supported in opset {opset}"
            ));
        };
        if !proto.ref_attr_name.is_empty() {
            return Err(format!("attribute `{name}` refers to one of a function"));
        }
        let value = value(proto).map_err(|reason| format!("attribute `{name}`: {reason}"))?;
        if kind(&value) != declared.kind {
            return Err(format!("attribute `{name}` is not {}", declared.kind));
        }
        if attributes.insert(declared.name, value).is_some() {
            return Err(format!("attribute `{name}` is stated twice"));
        }
    }
    Ok(attributes)
}

fn kind(value: &Value) -> Kind {
    match value {
        Value::Float(_) => Kind::Float,
        Value::Int(_) => Kind::Int,
        Value::Text(_) => Kind::Text,
        Value::Tensor(_) => Kind::Tensor,
        Value::Floats(_) => Kind::Floats,
        Value::Ints(_) => Kind::Ints,
        Value::Texts(_) => Kind::Texts,
        Value::Graph => Kind::Graph,
    }
}

fn value(proto: &AttributeProto) -> Step<Value> {
    let utf8 = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err("is not UTF-8".to_owned()),
    };
    Ok(match proto.r#type {
        1 => Value::Float(proto.f.into()),
        2 => Value::Int(proto.i),
        3 => Value::Text(utf8(&proto.s)?),
        4 => Value::Tensor(constant::read(proto.t.as_ref().ok_or("there is no tensor")?)?),
        6 => Value::Floats(proto.floats.iter().map(|&f| f.into()).collect()),
        7 => Value::Ints(proto.ints.clone()),
        8 => Value::Texts(proto.strings.iter().map(|s| utf8(s)).collect::<Step<_>>()?),
        5 if proto.g.is_some() => Value::Graph,
        5 | 10 => return Err("lists of graphs are not evaluated".into()),
        11 | 12 => return Err("sparse tensors are not evaluated".into()),
        other => return Err(format!("ONNX has no attributes of type {other}")),
    })
}
