//! The sizes of dimensions that a file leaves free.
//!
//! Invariant: one name is one size in all inputs, and each name that is given a size is one of the file's. Nobody's choice of a
//! size decides an answer: it is the shape of the input that is asked, and of the manifest's own. A batch's axis is the first of
//! every input and nothing else: a name that it has stands at no other place.

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
    /// As `Named`, but that the first dimension of every input, which is free or 1, counts so many inputs.
    Batch(&'a Dimensions, u32),
    /// As `Shaped`, of a manifest of so many inputs at once.
    ShapedBatch(&'a BTreeMap<&'a str, &'a [u32]>, u32),
}

impl Sizes<'_> {
    /// How many inputs there are at once.
    pub(super) fn batch(self) -> Option<u32> {
        match self {
            Self::Named(_) | Self::Shaped(_) => None,
            Self::Batch(_, batch) | Self::ShapedBatch(_, batch) => Some(batch),
        }
    }
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
    // Names of a batch's axis, each with the input whose first dimension has it.
    let mut counted = BTreeMap::new();
    for input in inputs {
        let name = input.name.clone();
        let Some(Value::TensorType(tensor)) = input.r#type.as_mut().and_then(|t| t.value.as_mut()) else {
            continue;
        };
        if let Some(batch) = sizes.batch() {
            let first = tensor.shape.as_mut().and_then(|s| s.dim.first_mut());
            if let Some(known_as) = widen(&name, first, batch)? {
                counted.insert(known_as, name.clone());
            }
        }
        for (axis, dimension) in tensor.shape.iter_mut().flat_map(|s| &mut s.dim).enumerate() {
            let Some(known_as) = name_of(&name, axis, dimension) else {
                continue;
            };
            let size = match sizes {
                Sizes::Named(named) | Sizes::Batch(named, _) => named.get(&known_as).copied(),
                Sizes::Shaped(shapes) | Sizes::ShapedBatch(shapes, _) => shapes
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
    if let Some((name, input)) = counted.iter().find(|(name, _)| used.contains_key(*name)) {
        return Err(ImportError::Dimension {
            name: name.clone(),
            reason: format!(
                "it is the first of input `{input}`, which counts the inputs of a batch, and a dimension of another place has \
                 the same name"
            ),
        });
    }
    let (Sizes::Named(named) | Sizes::Batch(named, _)) = sizes else {
        return Ok(());
    };
    if let Some((name, size)) = named
        .iter()
        .find(|(name, size)| counted.contains_key(*name) && **size != 1)
    {
        return Err(ImportError::Dimension {
            name: name.clone(),
            reason: format!("it counts the inputs of a batch, and cannot be bound to {size} beside"),
        });
    }
    free.extend(counted.into_keys());
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

/// Makes an input's first dimension count the inputs of a batch; returns its name, where the file leaves it free.
fn widen(input: &str, first: Option<&mut Dimension>, batch: u32) -> Result<Option<String>, ImportError> {
    let refuse = |reason: &str| ImportError::Input {
        input: input.to_owned(),
        reason: format!("{reason}, so that it cannot count the {batch} inputs of a batch"),
    };
    let first = first.ok_or_else(|| refuse("it has no first dimension"))?;
    let known_as = name_of(input, 0, first);
    if let Some(Dim::DimValue(fixed)) = &first.value
        && *fixed != 1
    {
        return Err(refuse(&format!("its first dimension is {fixed}, not 1 or free")));
    }
    first.value = Some(Dim::DimValue(batch.into()));
    Ok(known_as)
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
