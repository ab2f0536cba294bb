//! One element along an axis, and elements along a new one.
//!
//! Invariant: what is read was held against the shape before.

use std::sync::Arc;

use super::{Step, Tensor, each_kind, same_type};
use crate::{
    Values,
    layout::{around, axis},
    limits::volume,
};

/// The element at an index along an axis, which goes.
pub(crate) fn element(tensor: &Tensor, along: usize, index: usize) -> Step<Tensor> {
    let (before, size, behind) = around(tensor.shape(), along);
    if index >= size || along >= tensor.rank() {
        return Err(format!(
            "no element {index} along axis {along} of the shape {:?}",
            tensor.shape()
        ));
    }
    let mut shape = tensor.shape().to_vec();
    shape.remove(along);
    let values = each_kind!(tensor.values(), v => {
        let starts = (0..before).map(|block| (block * size + index) * behind);
        starts.flat_map(|start| v.iter().skip(start).take(behind).copied()).collect()
    });
    Tensor::make(tensor.element(), shape, values)
}

/// All parts along a new axis, in their order; there is one at least.
pub(crate) fn stacked(parts: &[Arc<Tensor>], along: i64) -> Step<Tensor> {
    let first = parts.first().ok_or("there is nothing to put together")?;
    let along = axis(along, first.rank() + 1)?;
    let mut shape = first.shape().to_vec();
    shape.insert(along, parts.len());
    volume(&shape)?;
    for part in parts {
        same_type(first, part)?;
        if part.shape() != first.shape() {
            return Err(format!(
                "parts of the shapes {:?} and {:?} to put together",
                first.shape(),
                part.shape()
            ));
        }
    }
    let (before, _, behind) = around(&shape, along);
    let places = (0..before).flat_map(|block| parts.iter().map(move |part| (part, block * behind)));
    let mut values = match first.values() {
        Values::Float(_) => Values::Float(Vec::new()),
        Values::Int(_) => Values::Int(Vec::new()),
        Values::Bool(_) => Values::Bool(Vec::new()),
    };
    for (part, start) in places {
        let end = start + behind;
        match (&mut values, part.values()) {
            (Values::Float(all), Values::Float(v)) => all.extend_from_slice(&v[start..end]),
            (Values::Int(all), Values::Int(v)) => all.extend_from_slice(&v[start..end]),
            (Values::Bool(all), Values::Bool(v)) => all.extend_from_slice(&v[start..end]),
            _ => return Err("parts of unlike types".into()),
        }
    }
    Tensor::make(first.element(), shape, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_along_an_axis_put_together_are_the_tensor() {
        let values: Vec<f64> = (0..24).map(f64::from).collect();
        let tensor = Tensor::float(vec![2, 3, 4], values).unwrap();
        for along in 0..3 {
            let size = tensor.shape()[along];
            let parts = (0..size).map(|index| element(&tensor, along, index).map(Arc::new));
            let parts: Vec<_> = parts.collect::<Step<_>>().unwrap();
            assert_eq!(stacked(&parts, along as i64).unwrap(), tensor);
            assert_eq!(stacked(&parts, along as i64 - 3).unwrap(), tensor);
            assert!(element(&tensor, along, size).is_err());
        }
        assert!(element(&tensor, 3, 0).is_err());
    }
}
