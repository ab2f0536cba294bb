//! The tensors in a receipt, held against the manifest's description.

use std::collections::BTreeMap;

use super::super::report::Report;
use crate::graph::{IntTensor, TensorId, TensorInfo};
use crate::receipt::{BoundaryValues, Receipt};
use crate::relations::SliceTensor;

/// The receipt's boundary tensors with the manifest's shapes, lengths and ranges checked.
pub(super) struct Tensors<'a> {
    values: BTreeMap<TensorId, &'a [i64]>,
    /// The request's inputs.
    pub(super) input: Vec<IntTensor>,
    /// The request's outputs.
    pub(super) output: Vec<IntTensor>,
}

impl<'a> Tensors<'a> {
    pub(super) fn new(receipt: &'a Receipt, report: &mut Report) -> Option<Self> {
        let manifest = &receipt.manifest;
        let inner: Vec<_> = manifest.inner().map(|t| t.id).collect();
        let sides = [
            (&receipt.input, &manifest.inputs),
            (&receipt.inner, &inner),
            (&receipt.output, &manifest.outputs),
        ];
        for (values, ids) in sides {
            if !values.iter().map(|v| &v.id).eq(ids.iter()) {
                report.fails(
                    "The receipt's boundary tensors are not those of its manifest, each once, in order.",
                );
                return None;
            }
            for v in values {
                if let Err(why) = fits(v, manifest.tensor(v.id)) {
                    report.fails(why);
                    return None;
                }
            }
        }
        report.holds(format!(
            "All {} boundary tensors have the manifest's shapes and ranges; each stands in the receipt once, so every \
             consumer sees its producer's values.",
            manifest.boundary.len()
        ));
        let with_shape = |values: &[BoundaryValues]| -> Vec<IntTensor> {
            let shape =
                |v: &BoundaryValues| manifest.tensor(v.id).map(|i| i.shape.clone()).unwrap_or_default();
            values
                .iter()
                .map(|v| IntTensor {
                    shape: shape(v),
                    values: v.values.clone(),
                })
                .collect()
        };
        Some(Self {
            values: receipt.values(),
            input: with_shape(&receipt.input),
            output: with_shape(&receipt.output),
        })
    }

    /// Values of a slice's tensors.
    pub(super) fn values(&self, slice_tensors: &[SliceTensor]) -> Vec<&[i64]> {
        slice_tensors
            .iter()
            .filter_map(|t| self.values.get(&t.id).copied())
            .collect()
    }
}

fn fits(values: &BoundaryValues, info: Option<&TensorInfo>) -> Result<(), String> {
    let info = info.ok_or("A boundary tensor is not described in the manifest.")?;
    let (name, len) = (&info.name, values.values.len());
    if info.len() != len {
        return Err(format!(
            "Tensor `{name}` has {len} values, the manifest says {}.",
            info.len()
        ));
    }
    if let Some(at) = values.values.iter().position(|v| !info.range.contains(*v)) {
        return Err(format!("Tensor `{name}` has a value out of its range at {at}."));
    }
    // A range is a power of two wide, and there may be fewer ranks.
    let ranked = |(at, rank): (usize, &i64)| info.ranks.as_ref().is_none_or(|of| *rank <= of.most(at));
    match values.values.iter().enumerate().position(|value| !ranked(value)) {
        Some(at) => Err(format!("Input `{name}` has a rank at {at} that no value has.")),
        None => Ok(()),
    }
}
