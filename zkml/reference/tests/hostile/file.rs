//! The messages that these tests write, by the tags of onnx.proto, and the files that they make of them.

use prost::Message;

#[derive(Clone, PartialEq, prost::Message)]
pub struct Model {
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    pub opset: Vec<Opset>,
}
#[derive(Clone, PartialEq, prost::Message)]
pub struct Opset {
    #[prost(int64, tag = "2")]
    pub version: i64,
}
#[derive(Clone, PartialEq, prost::Message)]
pub struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<Node>,
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<Port>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<Port>,
}
#[derive(Clone, PartialEq, prost::Message)]
pub struct Node {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub op: String,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
}
#[derive(Clone, PartialEq, prost::Message)]
pub struct Attribute {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(float, tag = "2")]
    pub f: f32,
    #[prost(int64, tag = "3")]
    pub i: i64,
    #[prost(string, tag = "4")]
    pub s: String,
    #[prost(message, optional, boxed, tag = "6")]
    pub g: Option<Box<Graph>>,
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    #[prost(int32, tag = "20")]
    pub kind: i32,
}
#[derive(Clone, PartialEq, prost::Message)]
pub struct Tensor {
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub element: i32,
    #[prost(int64, repeated, tag = "7")]
    pub int64: Vec<i64>,
    #[prost(string, tag = "8")]
    pub name: String,
    #[prost(bytes, tag = "9")]
    pub raw: Vec<u8>,
    #[prost(int32, tag = "14")]
    pub location: i32,
}
#[derive(Clone, PartialEq, prost::Message)]
pub struct Port {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub kind: Option<Type>,
}
#[derive(Clone, PartialEq, prost::Message)]
pub struct Type {
    #[prost(message, optional, tag = "1")]
    pub tensor: Option<TensorType>,
}
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorType {
    #[prost(int32, tag = "1")]
    pub element: i32,
}

pub fn port(name: &str) -> Port {
    let tensor = Some(TensorType { element: 1 });
    Port {
        name: name.into(),
        kind: Some(Type { tensor }),
    }
}

pub fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> Node {
    let list = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect();
    Node {
        input: list(inputs),
        output: list(outputs),
        op: op.into(),
        ..Default::default()
    }
}

pub fn list(name: &str, dims: &[i64], values: &[i64]) -> Tensor {
    Tensor {
        dims: dims.to_vec(),
        element: 7,
        int64: values.to_vec(),
        name: name.into(),
        ..Default::default()
    }
}

/// A file with the input `x` and the output `y`.
pub fn file(nodes: Vec<Node>, constants: Vec<Tensor>) -> Vec<u8> {
    let graph = Graph {
        node: nodes,
        initializer: constants,
        input: vec![port("x")],
        output: vec![port("y")],
    };
    Model {
        graph: Some(graph),
        opset: vec![Opset { version: 21 }],
    }
    .encode_to_vec()
}

pub fn ints(name: &str, values: &[i64]) -> Attribute {
    Attribute {
        name: name.into(),
        ints: values.to_vec(),
        kind: 7,
        ..Default::default()
    }
}

pub fn int(name: &str, value: i64) -> Attribute {
    Attribute {
        name: name.into(),
        i: value,
        kind: 2,
        ..Default::default()
    }
}

pub fn text(name: &str, text: &str) -> Attribute {
    Attribute {
        name: name.into(),
        s: text.into(),
        kind: 3,
        ..Default::default()
    }
}

pub fn graph(name: &str, graph: Graph) -> Attribute {
    Attribute {
        name: name.into(),
        g: Some(Box::new(graph)),
        kind: 5,
        ..Default::default()
    }
}
