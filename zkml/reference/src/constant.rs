//! A tensor in the file: exactly the values that its bytes say, or an error naming it.

use std::sync::Arc;

use crate::{
    ElementType, Step, Tensor, Values,
    element::{bfloat16, element_name, float16},
    limits::volume,
    proto::TensorProto,
};

/// Reads a tensor.
pub(crate) fn read(proto: &TensorProto) -> Step<Arc<Tensor>> {
    let code = proto.data_type;
    let element = ElementType::from_onnx(code.into()).ok_or_else(|| {
        format!(
            "its type is {}, which is not evaluated",
            element_name(code.into())
        )
    })?;
    if proto.data_location != 0 || !proto.external_data.is_empty() {
        return Err("its data is in another file, which is not read".into());
    }
    if proto.segment.is_some() {
        return Err("it is stored in segments, which are not read".into());
    }
    let sizes = proto.dims.iter().map(|&d| usize::try_from(d));
    let shape: Vec<usize> = sizes
        .collect::<Result<_, _>>()
        .map_err(|_| format!("its shape {:?} has a negative size", proto.dims))?;
    let len = volume(&shape)?;
    let values = match &proto.raw_data {
        Some(raw) if !raw.is_empty() || !has_typed(proto) => raw_values(element, raw, len)?,
        _ => typed_values(element, proto)?,
    };
    let tensor = Tensor::new(element, shape, values).map_err(|e| e.to_string())?;
    Ok(Arc::new(tensor))
}

fn has_typed(p: &TensorProto) -> bool {
    !(p.float_data.is_empty()
        && p.int32_data.is_empty()
        && p.int64_data.is_empty()
        && p.double_data.is_empty()
        && p.uint64_data.is_empty())
}

/// Little-endian values.
fn raw_values(element: ElementType, raw: &[u8], len: usize) -> Step<Values> {
    fn each<const N: usize, T>(raw: &[u8], f: impl Fn([u8; N]) -> T) -> Vec<T> {
        raw.as_chunks::<N>().0.iter().map(|&bytes| f(bytes)).collect()
    }
    if len.checked_mul(element.width()) != Some(raw.len()) {
        return Err(format!(
            "{} bytes of data for {len} values of {element}",
            raw.len()
        ));
    }
    Ok(match element {
        ElementType::Float32 => Values::Float(each(raw, |b| f64::from(f32::from_le_bytes(b)))),
        ElementType::Float64 => Values::Float(each(raw, f64::from_le_bytes)),
        ElementType::Float16 => Values::Float(each(raw, |b| float16(u16::from_le_bytes(b)))),
        ElementType::BFloat16 => Values::Float(each(raw, |b| bfloat16(u16::from_le_bytes(b)))),
        ElementType::Int8 => Values::Int(each(raw, |b| i8::from_le_bytes(b).into())),
        ElementType::Uint8 => Values::Int(each(raw, |b| u8::from_le_bytes(b).into())),
        ElementType::Int16 => Values::Int(each(raw, |b| i16::from_le_bytes(b).into())),
        ElementType::Uint16 => Values::Int(each(raw, |b| u16::from_le_bytes(b).into())),
        ElementType::Int32 => Values::Int(each(raw, |b| i32::from_le_bytes(b).into())),
        ElementType::Uint32 => Values::Int(each(raw, |b| u32::from_le_bytes(b).into())),
        ElementType::Int64 | ElementType::Uint64 => Values::Int(each(raw, i64::from_le_bytes)),
        ElementType::Bool => Values::Bool(each(raw, |[b]| b != 0)),
    })
}

/// Values in the field of their type; the shape's length is held against theirs afterwards.
fn typed_values(element: ElementType, p: &TensorProto) -> Step<Values> {
    let narrow = || p.int32_data.iter().map(|&i| i64::from(i));
    // A 16-bit float stands as its bits in an integer.
    let bits = || {
        let all = p.int32_data.iter().map(|&i| u16::try_from(i));
        all.collect::<Result<Vec<_>, _>>()
            .map_err(|_| "a value is no 16-bit float")
    };
    let integers: Vec<i64> = match element {
        ElementType::Float32 => {
            return Ok(Values::Float(
                p.float_data.iter().map(|&f| f64::from(f)).collect(),
            ));
        }
        ElementType::Float64 => return Ok(Values::Float(p.double_data.clone())),
        ElementType::Float16 => return Ok(Values::Float(bits()?.into_iter().map(float16).collect())),
        ElementType::BFloat16 => return Ok(Values::Float(bits()?.into_iter().map(bfloat16).collect())),
        ElementType::Bool => return Ok(Values::Bool(narrow().map(|i| i != 0).collect())),
        ElementType::Int64 => p.int64_data.clone(),
        ElementType::Uint64 | ElementType::Uint32 => p.uint64_data.iter().map(|&u| u as i64).collect(),
        _ => narrow().collect(),
    };
    match integers.iter().find(|&&i| element.wrap(i) != i) {
        Some(value) => Err(format!("{value} is no value of {element}")),
        None => Ok(Values::Int(integers)),
    }
}
