//! Grids of places in an image, moved by matrices.

use super::{Call, Made, Operator, Step, Tensor, list_of, one, op, size};
use crate::{Values, attribute::int};

pub(super) const OPERATORS: &[Operator] = &[op("AffineGrid", 2, 2, affine_grid)
    .since(20)
    .attributes(&[int("align_corners")])];

/// The places of the pixels along an axis, from -1 to 1: of the outer pixels' middles, or of their outer edges.
fn along(n: usize, corners: bool) -> Step<Vec<f64>> {
    match (n, corners) {
        (0, _) => Err("an image without pixels".into()),
        (1, true) => Err("one pixel cannot be at -1 and at 1".into()),
        (_, true) => Ok((0..n).map(|i| 2.0 * i as f64 / (n - 1) as f64 - 1.0).collect()),
        (_, false) => Ok((0..n).map(|i| (2 * i + 1) as f64 / n as f64 - 1.0).collect()),
    }
}

/// For each pixel of `[N, C, (D,) H, W]` the matrix of its sample times `(x, y, (z,) 1)`.
fn affine_grid(call: &Call) -> Made {
    let theta = call.input(0)?;
    let wanted = list_of(call.input(1)?)?.into_iter().map(size);
    let wanted = wanted.collect::<Step<Vec<_>>>()?;
    let corners = call.flag("align_corners", false)?;
    let [batch, _, image @ ..] = &wanted[..] else {
        return Err(format!("a size of {} numbers", wanted.len()));
    };
    let rank = image.len();
    if !(2..=3).contains(&rank) || theta.shape() != [*batch, rank, rank + 1] {
        return Err(format!(
            "matrices of shape {:?} for the size {wanted:?}",
            theta.shape()
        ));
    }
    let mut shape = vec![*batch];
    shape.extend(image);
    shape.push(rank);
    call.touch(call.room(&shape)?.saturating_mul(rank))?;
    let places = image
        .iter()
        .map(|&n| along(n, corners))
        .collect::<Step<Vec<_>>>()?;
    let pixels: usize = image.iter().product();
    let mut made = Vec::new();
    for matrix in theta.floats()?.chunks(rank * (rank + 1)) {
        for pixel in 0..pixels {
            // The last axis is x.
            let (mut rest, mut at) = (pixel, vec![0.0; rank]);
            for (k, d) in (0..rank).rev().enumerate() {
                at[k] = places[d][rest % image[d]];
                rest /= image[d];
            }
            for row in matrix.chunks(rank + 1) {
                let moved: f64 = row.iter().zip(&at).map(|(a, x)| a * x).sum();
                made.push(moved + row[rank]);
            }
        }
    }
    one(Tensor::make(theta.element(), shape, Values::Float(made))?)
}
