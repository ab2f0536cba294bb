//! Linear maps the other way: from how something changes with a map's values to how it changes with what the map reads.
//!
//! Invariant: of tensors that fit the map, as [`FloatMap::output_len`] says; then no index is out of bounds.

use super::linear::FloatMap;

/// By tensor read, `Σ_t of[t] · ∂z[t]/∂x`.
pub(super) fn transposed(map: &FloatMap, x: &[&[f64]], of: &[f64]) -> Vec<Vec<f64>> {
    match map {
        FloatMap::Affine {
            channels,
            inner,
            scale,
            ..
        } => {
            let (channels, inner) = (*channels as usize, *inner as usize);
            let changed = |k: usize| {
                let change = |(i, change): (usize, &f64)| scale[k * channels + i / inner % channels] * change;
                of.iter().enumerate().map(change).collect()
            };
            (0..x.len()).map(changed).collect()
        }
        FloatMap::Dense {
            inputs,
            outputs,
            weight,
            ..
        } => {
            let (inputs, outputs) = (*inputs as usize, *outputs as usize);
            let mut read = super::nothing(x);
            for (read, of) in read[0].chunks_exact_mut(inputs).zip(of.chunks_exact(outputs)) {
                for (weights, change) in weight.chunks_exact(inputs).zip(of) {
                    read.iter_mut()
                        .zip(weights)
                        .for_each(|(sum, w)| *sum += w * change);
                }
            }
            read
        }
        FloatMap::Conv2d { .. } => vec![convolved(map, of)],
    }
}

fn convolved(map: &FloatMap, of: &[f64]) -> Vec<f64> {
    let FloatMap::Conv2d {
        input,
        output,
        kernel,
        stride,
        dilation,
        pad,
        groups,
        weight,
        ..
    } = map
    else {
        return Vec::new();
    };
    let ([ic, h, w], [oc, oh, ow]) = (input.map(|d| d as usize), output.map(|d| d as usize));
    let [kh, kw] = kernel.map(|d| d as usize);
    let (icg, ocg) = (ic / *groups as usize, oc / *groups as usize);
    // Where a tap meets the image, along one axis; None in the padding.
    let met = |axis: usize, result: usize, tap: usize, extent: usize| {
        let [stride, dilation, pad] = [stride[axis], dilation[axis], pad[axis]].map(|d| d as usize);
        let place = (result * stride + tap * dilation).checked_sub(pad);
        place.filter(|place| *place < extent)
    };
    let columns: Vec<Vec<(usize, usize)>> = (0..kw)
        .map(|b| (0..ow).filter_map(|x| Some((x, met(1, x, b, w)?))).collect())
        .collect();
    let mut read = vec![0.0; ic * h * w];
    for (o, plane) in of.chunks_exact(oh * ow).enumerate() {
        for c in 0..icg {
            let channel = o / ocg * icg + c;
            let image = &mut read[channel * h * w..(channel + 1) * h * w];
            for a in 0..kh {
                let weights = &weight[((o * icg + c) * kh + a) * kw..][..kw];
                for (y, changes) in plane.chunks_exact(ow).enumerate() {
                    let Some(row) = met(0, y, a, h) else { continue };
                    let row = &mut image[row * w..(row + 1) * w];
                    for (weight, columns) in weights.iter().zip(&columns) {
                        columns.iter().for_each(|&(x, at)| row[at] += weight * changes[x]);
                    }
                }
            }
        }
    }
    read
}
