//! ONNX's protobuf messages, as far as the reference reads them (onnx.proto, IR version 13). Fields that are left out
//! are skipped by the decoder.
//!
//! Invariant: a file is decoded only after [`admit`] counted its records, since a record of two bytes takes hundreds when it is
//! decoded, and looked at its names: they are shown as they are, so none may write to a terminal more than a name.

use prost::{
    Message,
    bytes::{Buf, Bytes},
};

use crate::limits::{MAX_FILE, MAX_RECORDS};

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ModelProto {
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetIdProto>,
    #[prost(message, repeated, tag = "25")]
    pub functions: Vec<FunctionProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct OperatorSetIdProto {
    #[prost(string, tag = "1")]
    pub domain: String,
    #[prost(int64, tag = "2")]
    pub version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct FunctionProto {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "10")]
    pub domain: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
    #[prost(bytes = "bytes", repeated, tag = "15")]
    pub sparse_initializer: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
    #[prost(string, tag = "7")]
    pub domain: String,
    #[prost(string, tag = "8")]
    pub overload: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AttributeProto {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(float, tag = "2")]
    pub f: f32,
    #[prost(int64, tag = "3")]
    pub i: i64,
    #[prost(bytes = "bytes", tag = "4")]
    pub s: Bytes,
    #[prost(message, optional, tag = "5")]
    pub t: Option<TensorProto>,
    #[prost(message, optional, boxed, tag = "6")]
    pub g: Option<Box<GraphProto>>,
    #[prost(float, repeated, tag = "7")]
    pub floats: Vec<f32>,
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    #[prost(bytes = "bytes", repeated, tag = "9")]
    pub strings: Vec<Bytes>,
    #[prost(int32, tag = "20")]
    pub r#type: i32,
    #[prost(string, tag = "21")]
    pub ref_attr_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub segment: Option<Bytes>,
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    #[prost(int32, repeated, tag = "5")]
    pub int32_data: Vec<i32>,
    #[prost(int64, repeated, tag = "7")]
    pub int64_data: Vec<i64>,
    #[prost(string, tag = "8")]
    pub name: String,
    #[prost(bytes = "bytes", optional, tag = "9")]
    pub raw_data: Option<Bytes>,
    #[prost(double, repeated, tag = "10")]
    pub double_data: Vec<f64>,
    #[prost(uint64, repeated, tag = "11")]
    pub uint64_data: Vec<u64>,
    #[prost(bytes = "bytes", repeated, tag = "13")]
    pub external_data: Vec<Bytes>,
    #[prost(int32, tag = "14")]
    pub data_location: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ValueInfoProto {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<TypeProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TypeProto {
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorType {
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShape>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TensorShape {
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<DimensionProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DimensionProto {
    #[prost(int64, optional, tag = "1")]
    pub dim_value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub dim_param: Option<String>,
}

/// Which message a field holds, for counting: fields that hold none of these are one record or are skipped.
#[derive(Clone, Copy)]
enum Record {
    Model,
    Graph,
    Node,
    Attribute,
    Port,
    Type,
    TensorType,
    Shape,
    Dimension,
    Tensor,
    Opset,
    Leaf,
}

impl Record {
    /// Whether a field is a name, or an attribute's text.
    fn is_text(self, tag: u64) -> bool {
        match self {
            Self::Node => matches!(tag, 1..=4 | 7 | 8),
            Self::Attribute => matches!(tag, 1 | 4 | 9 | 21),
            Self::Tensor => tag == 8,
            Self::Dimension => tag == 2,
            Self::Port | Self::Opset => tag == 1,
            Self::Model | Self::Graph | Self::Type | Self::TensorType | Self::Shape | Self::Leaf => false,
        }
    }

    fn field(self, tag: u64) -> Option<Self> {
        Some(match (self, tag) {
            (Self::Model, 7) => Self::Graph,
            (Self::Model, 8) => Self::Opset,
            (Self::Graph, 5) | (Self::Attribute, 5) => Self::Tensor,
            (Self::Shape, 1) => Self::Dimension,
            (Self::Model, 25) | (Self::Graph, 15) | (Self::Node, 1 | 2) | (Self::Attribute, 9) => Self::Leaf,
            (Self::Graph, 1) => Self::Node,
            (Self::Attribute, 6) => Self::Graph,
            (Self::Graph, 11 | 12) => Self::Port,
            (Self::Node, 5) => Self::Attribute,
            (Self::Port, 2) => Self::Type,
            (Self::Type, 1) => Self::TensorType,
            (Self::TensorType, 2) => Self::Shape,
            _ => return None,
        })
    }
}

/// Decodes a model whose records are few enough.
pub(crate) fn model(bytes: &[u8]) -> Result<ModelProto, String> {
    if bytes.len() > MAX_FILE {
        return Err(format!("{} bytes; at most {MAX_FILE} are read", bytes.len()));
    }
    admit(bytes)?;
    ModelProto::decode(bytes).map_err(|e| damaged(&e.to_string()))
}

/// What a decoder says, by the innermost message and field that it names: `TensorProto.dims`.
fn damaged(said: &str) -> String {
    let is_field = |part: &&str| {
        let field = part.split_once('.');
        field.is_some_and(|(message, field)| {
            message.ends_with("Proto") && field.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        })
    };
    match said.split(": ").filter(is_field).last() {
        Some(field) => format!("its field {field} is damaged"),
        None => "it is no protobuf message, or a damaged one".into(),
    }
}

/// Refuses a text with a character that controls a terminal, ends a line, or turns the direction of what is written behind it
/// (Unicode's bidirectional formatting). What is no text, as an attribute may be, is never shown.
fn legible(text: &[u8]) -> Result<(), String> {
    let controls = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    match std::str::from_utf8(text) {
        Ok(text) if text.contains(controls) => {
            let cut: String = text.chars().take(64).collect();
            Err(format!(
                "a name or text in it has a character that controls a terminal: \"{}\"",
                cut.escape_debug()
            ))
        }
        _ => Ok(()),
    }
}

/// Counts the records that decoding would allocate, and looks at every name.
pub(crate) fn admit(bytes: &[u8]) -> Result<(), String> {
    let mut records = 0usize;
    let mut open = vec![(Record::Model, bytes)];
    // A record is opened only where the schema has one, and counted, however deep graphs stand in each other.
    while let Some((record, mut rest)) = open.pop() {
        while rest.has_remaining() {
            let key = varint(&mut rest)?;
            match key & 7 {
                0 => drop(varint(&mut rest)?),
                1 => drop(take(&mut rest, 8)?),
                5 => drop(take(&mut rest, 4)?),
                2 => {
                    let len = varint(&mut rest)?;
                    let inner = take(&mut rest, len)?;
                    if record.is_text(key >> 3) {
                        legible(inner)?;
                    }
                    if let Some(kind) = record.field(key >> 3) {
                        records += 1;
                        if records > MAX_RECORDS {
                            return Err(format!("more than {MAX_RECORDS} records"));
                        }
                        if !matches!(kind, Record::Leaf) {
                            open.push((kind, inner));
                        }
                    }
                }
                _ => return Err("it is no protobuf message, or a damaged one".into()),
            }
        }
    }
    Ok(())
}

fn take<'a>(rest: &mut &'a [u8], len: u64) -> Result<&'a [u8], String> {
    let split = usize::try_from(len)
        .ok()
        .and_then(|len| rest.split_at_checked(len));
    let (inner, after) = split.ok_or("it is cut off or damaged: a part of it is longer than the whole")?;
    *rest = after;
    Ok(inner)
}

fn varint(rest: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest
            .split_first()
            .ok_or("it is cut off or damaged: it ends within a number")?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("it is damaged: it has a number of more than 64 bits".into())
}
