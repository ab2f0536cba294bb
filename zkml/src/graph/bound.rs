//! Static bounds: how large an accumulator can get over all inputs in their exact ranges.

use super::linear::LinearMap;
use super::tensor::IntRange;

/// Every value, accumulator and product of a relation stays below this in absolute value.
pub const LIMIT: i64 = 1 << 62;

/// Greatest |accumulator| of a linear map; `None` when it could reach [`LIMIT`] or the lengths do not fit.
#[must_use]
pub fn accumulator_bound(map: &LinearMap, inputs: &[IntRange]) -> Option<i64> {
    let sum = |weights: &mut dyn Iterator<Item = (i64, i64)>, bias: i64| {
        let mut total = i128::from(bias.unsigned_abs());
        for (weight, magnitude) in weights {
            total = total.checked_add(i128::from(weight.unsigned_abs()) * i128::from(magnitude))?;
        }
        Some(total)
    };
    let magnitudes: Vec<i64> = inputs.iter().map(|r| r.magnitude()).collect();
    let worst = match map {
        LinearMap::Dense { weight, bias, .. } | LinearMap::Conv2d { weight, bias, .. } => {
            let magnitude = *magnitudes.first()?;
            let per_output = weight.len().checked_div(bias.len())?;
            let mut worst = 0;
            for (o, &bias) in bias.iter().enumerate() {
                let row = weight.get(o * per_output..(o + 1) * per_output)?;
                worst = worst.max(sum(&mut row.iter().map(|&w| (w, magnitude)), bias)?);
            }
            worst
        }
        LinearMap::Affine {
            channels,
            scale,
            bias,
            ..
        } => {
            let channels = *channels as usize;
            let mut worst = 0;
            for (c, &bias) in bias.iter().enumerate() {
                let row = magnitudes
                    .iter()
                    .enumerate()
                    .map(|(k, &m)| Some((*scale.get(k * channels + c)?, m)));
                let row = row.collect::<Option<Vec<_>>>()?;
                worst = worst.max(sum(&mut row.into_iter(), bias)?);
            }
            worst
        }
    };
    i64::try_from(worst).ok().filter(|w| *w < LIMIT)
}
