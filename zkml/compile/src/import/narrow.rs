//! Floats of 16 bits, float16 and bfloat16, as floats of 32.
//!
//! Invariant: of a widened file, no constant, input or cast is of 16 bits. Each of their values is a float of 32 bits, so that no
//! constant changes; what a node makes of 16 bits is taken as it is before it is rounded, as everywhere else. Whether an answer
//! hangs on these roundings is found by whoever has the file, which states them.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::type_proto::Value;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto, ValueInfoProto};

use super::whole;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Narrow {
    Float16,
    BFloat16,
}

impl Narrow {
    /// By the number of an element type.
    pub(super) fn of(code: i32) -> Option<Self> {
        match DataType::try_from(code) {
            Ok(DataType::Float16) => Some(Self::Float16),
            Ok(DataType::Bfloat16) => Some(Self::BFloat16),
            _ => None,
        }
    }

    /// The bits of minus infinity, and of a number so far below that it masks.
    pub(super) fn far(self, far: f32) -> (u16, u16) {
        match self {
            // The least number that there is: -65504.
            Self::Float16 => (0xfc00, 0xfbff),
            Self::BFloat16 => (0xff80, (far.to_bits() >> 16) as u16),
        }
    }

    fn is_finite(self, bits: u16) -> bool {
        let exponent = match self {
            Self::Float16 => 0x7c00,
            Self::BFloat16 => 0x7f80,
        };
        bits & exponent != exponent
    }

    pub(super) fn value(self, bits: u16) -> f32 {
        match self {
            Self::Float16 => of_float16(bits),
            Self::BFloat16 => f32::from_bits(u32::from(bits) << 16),
        }
    }
}

/// The value that these bits are, which 32 bits hold exactly.
fn of_float16(bits: u16) -> f32 {
    let (sign, exponent) = (u32::from(bits >> 15) << 31, u32::from(bits >> 10) & 0x1f);
    let fraction = u32::from(bits & 0x3ff);
    let magnitude = match exponent {
        // Multiples of 2^-24.
        0 => (fraction as f32 * f32::from_bits((127 - 24) << 23)).to_bits(),
        0x1f => (0xff << 23) | (fraction << 13),
        _ => ((exponent + 127 - 15) << 23) | (fraction << 13),
    };
    f32::from_bits(sign | magnitude)
}

/// The values of a constant by their bits: they stand in its bytes, or as integers. None where one has more than 16 bits.
pub(super) fn bits(tensor: &TensorProto) -> Option<Vec<u16>> {
    if tensor.raw_data.is_empty() {
        let all = tensor.int32_data.iter().map(|&i| u16::try_from(i).ok());
        return all.collect();
    }
    let pairs = tensor.raw_data.as_chunks().0.iter();
    Some(pairs.map(|pair| u16::from_le_bytes(*pair)).collect())
}

/// Puts these values in the place of a constant's.
pub(super) fn put(tensor: &mut TensorProto, bits: &[u16]) {
    tensor.int32_data.clear();
    tensor.raw_data = bits.iter().flat_map(|b| b.to_le_bytes()).collect();
}

/// Whether every value is a number; none where one has more than 16 bits.
pub(super) fn finite(tensor: &TensorProto, kind: Narrow) -> Option<bool> {
    Some(bits(tensor)?.into_iter().all(|b| kind.is_finite(b)))
}

fn tensors(node: &NodeProto) -> impl Iterator<Item = &TensorProto> {
    node.attribute.iter().flat_map(|a| a.t.iter().chain(&a.tensors))
}

fn is_narrow(tensor: &TensorProto) -> bool {
    Narrow::of(tensor.data_type).is_some()
}

/// The type that a cast is to, as it stands in the node.
fn to(node: &NodeProto) -> Option<Narrow> {
    let attribute = node.attribute.iter().find(|a| a.name == "to");
    let attribute = attribute.filter(|_| node.op_type == "Cast")?;
    i32::try_from(attribute.i).ok().and_then(Narrow::of)
}

fn is_port(port: &ValueInfoProto) -> bool {
    whole::element(port).is_some_and(|kind| Narrow::of(kind as i32).is_some())
}

/// Whether a file has any.
pub(super) fn any(graph: &GraphProto) -> bool {
    let in_nodes = |node: &NodeProto| to(node).is_some() || tensors(node).any(is_narrow);
    graph.initializer.iter().any(is_narrow)
        || graph.input.iter().any(is_port)
        || graph.node.iter().any(in_nodes)
}

/// Makes all of them floats of 32 bits. What depends on no input has been evaluated before: a cast of a constant rounds it.
pub(super) fn widen(graph: &mut GraphProto) {
    graph.initializer.iter_mut().for_each(constant);
    for node in &mut graph.node {
        let cast = to(node).is_some();
        for attribute in &mut node.attribute {
            if cast && attribute.name == "to" {
                attribute.i = DataType::Float as i64;
            }
            let held = attribute.t.iter_mut().chain(&mut attribute.tensors);
            held.for_each(constant);
        }
    }
    for port in graph.input.iter_mut().filter(|port| is_port(port)) {
        let kind = port.r#type.as_mut().and_then(|t| t.value.as_mut());
        if let Some(Value::TensorType(tensor)) = kind {
            tensor.elem_type = DataType::Float as i32;
        }
    }
}

/// A constant that was checked: none of its values has more than 16 bits.
fn constant(tensor: &mut TensorProto) {
    let Some((kind, bits)) = Narrow::of(tensor.data_type).zip(bits(tensor)) else {
        return;
    };
    let bytes = |&bits: &u16| kind.value(bits).to_le_bytes();
    tensor.data_type = DataType::Float as i32;
    tensor.int32_data.clear();
    tensor.raw_data = bits.iter().flat_map(bytes).collect();
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use zkml_reference::{Tensor, Values};

    use super::*;

    fn all(kind: DataType) -> TensorProto {
        TensorProto {
            name: "c".into(),
            dims: vec![1 << 16],
            data_type: kind as i32,
            int32_data: (0..1 << 16).collect(),
            ..TensorProto::default()
        }
    }

    #[test]
    fn every_value_of_16_bits_is_the_references() {
        for kind in [DataType::Float16, DataType::Bfloat16] {
            let narrow = all(kind);
            let Values::Float(expected) = Tensor::from_onnx(&narrow.encode_to_vec())
                .unwrap()
                .values()
                .clone()
            else {
                panic!("no floats")
            };
            let mut widened = narrow;
            constant(&mut widened);
            assert_eq!(widened.data_type, DataType::Float as i32);
            let values = widened.raw_data.as_chunks().0.iter();
            let values = values.map(|b| f64::from(f32::from_le_bytes(*b)));
            for (bits, (got, expected)) in values.zip(expected).enumerate() {
                assert!(got == expected || got.is_nan() && expected.is_nan(), "{bits:#x}");
            }
        }
    }

    #[test]
    fn values_stand_in_bytes_or_integers_and_more_than_16_bits_are_none() {
        let mut integers = all(DataType::Float16);
        integers.int32_data = vec![0x3c00, 0xc000];
        let mut bytes = integers.clone();
        put(&mut bytes, &[0x3c00, 0xc000]);
        assert_eq!(bits(&integers), bits(&bytes));
        constant(&mut bytes);
        let expected: Vec<u8> = [1f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(bytes.raw_data, expected);
        integers.int32_data.push(1 << 16);
        assert_eq!(
            (bits(&integers), finite(&integers, Narrow::Float16)),
            (None, None)
        );
    }

    #[test]
    fn infinities_and_nans_are_no_numbers() {
        for (kind, narrow) in [
            (DataType::Float16, Narrow::Float16),
            (DataType::Bfloat16, Narrow::BFloat16),
        ] {
            for bits in 0..=u16::MAX {
                assert_eq!(
                    narrow.is_finite(bits),
                    narrow.value(bits).is_finite(),
                    "{kind:?} {bits:#x}"
                );
            }
            let (infinite, far) = narrow.far(-1e30);
            assert_eq!(narrow.value(infinite), f32::NEG_INFINITY);
            assert!(narrow.value(far).is_finite() && narrow.value(far) <= -65504.0);
        }
    }
}
