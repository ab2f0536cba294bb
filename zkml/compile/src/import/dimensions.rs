//! The sizes of dimensions that a file leaves free.
//!
//! Invariant: one name is one size in all inputs, and each name that is given a size is one of the file's. Nobody's choice of a
//! size decides an answer: it is the shape of the input that is asked, and of the manifest's own.

use std::collections::BTreeMap;

use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension::Value as Dim};
use tract_onnx::pb::{ValueInfoProto, type_proto::Value};
use zkinfer_crds::dimensions::Dimensions;

use super::{ImportError, MAX_TENSOR_LEN};

/// Where the sizes come from.
#[derive(Debug, Clone, Copy)]
pub enum Sizes<'a> {
    /// Somebody states them. A first dimension that nobody states is a batch of 1.
    Named(&'a Dimensions),
    /// The shapes of all inputs are there already, by name: a manifest's.
    Shaped(&'a BTreeMap<&'a str, &'a [u32]>),
}

/// Gives the inputs' free dimensions their sizes, as far as these are known.
///
/// # Errors
/// A name that no free dimension has, a size that is none, or shapes that give one name two sizes.
pub(super) fn bind<'i>(
    inputs: impl Iterator<Item = &'i mut ValueInfoProto>,
    sizes: Sizes<'_>,
) -> Result<(), ImportError> {
    let (mut used, mut free) = (Dimensions::new(), Vec::new());
    for input in inputs {
        let name = input.name.clone();
        let Some(Value::TensorType(tensor)) = input.r#type.as_mut().and_then(|t| t.value.as_mut()) else {
            continue;
        };
        for (axis, dimension) in tensor.shape.iter_mut().flat_map(|s| &mut s.dim).enumerate() {
            let Some(known_as) = name_of(&name, axis, dimension) else {
                continue;
            };
            let size = match sizes {
                Sizes::Named(named) => named.get(&known_as).copied(),
                Sizes::Shaped(shapes) => shapes
                    .get(name.as_str())
                    .and_then(|shape| shape.get(axis))
                    .copied(),
            };
            let size = size.or((axis == 0).then_some(1));
            free.push(known_as.clone());
            let Some(size) = size else { continue };
            let other = used.insert(known_as.clone(), size).filter(|other| *other != size);
            if let Some(other) = other {
                return Err(ImportError::Dimension {
                    name: known_as,
                    reason: format!("it is {other} and {size}"),
                });
            }
            if size == 0 || size as usize > MAX_TENSOR_LEN {
                return Err(ImportError::Dimension {
                    name: known_as,
                    reason: format!("{size} is no size of a dimension"),
                });
            }
            dimension.value = Some(Dim::DimValue(size.into()));
        }
    }
    let Sizes::Named(named) = sizes else { return Ok(()) };
    match named.keys().find(|name| !free.contains(name)) {
        None => Ok(()),
        Some(name) => {
            free.sort_unstable();
            free.dedup();
            let reason = match &free[..] {
                [] => "no input has a dimension of that name: the file fixes all sizes".to_owned(),
                names => format!(
                    "no input has a dimension of that name; those left free are {}",
                    names.join(", ")
                ),
            };
            let name = name.clone();
            Err(ImportError::Dimension { name, reason })
        }
    }
}

/// How a free dimension is called; `None` for one that the file fixes.
pub(super) fn name_of(input: &str, axis: usize, dimension: &Dimension) -> Option<String> {
    match &dimension.value {
        Some(Dim::DimValue(_)) => None,
        Some(Dim::DimParam(name)) if !name.is_empty() => Some(name.clone()),
        Some(Dim::DimParam(_)) | None => Some(format!("{input}.{axis}")),
    }
}

/// The shape of an input that is admitted.
pub(super) fn fixed_shape(input: &ValueInfoProto) -> Option<Vec<usize>> {
    let Some(Value::TensorType(tensor)) = input.r#type.as_ref()?.value.as_ref() else {
        return None;
    };
    let fixed = |d: &Dimension| match d.value {
        Some(Dim::DimValue(v)) => usize::try_from(v).ok(),
        Some(Dim::DimParam(_)) | None => None,
    };
    tensor.shape.as_ref()?.dim.iter().map(fixed).collect()
}
