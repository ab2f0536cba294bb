//! Resizing: along each axis every place of the result is a weighted sum of neighbours of its place in the input.
//!
//! Invariant: from ONNX's definition (Resize, 10 to 19, and Upsample): places, neighbours and weights are computed in f64 of
//! constants alone.

use zkml::graph::TensorId;

use super::along::{Row, rows};
use super::draft::{Draft, Refusal, unsupported};
use super::recipe::{Call, axis, sizes};

/// How places are found and weighed.
struct How {
    mode: String,
    coordinates: String,
    nearest: String,
    cubic: f64,
    antialias: bool,
    exclude_outside: bool,
    outside: f64,
}

/// Sizes of an axis, their ratio, and the part of the input that is read.
struct Along {
    input: usize,
    output: usize,
    scale: f64,
    region: (f64, f64),
}

pub(super) fn upsample(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let scales = match call.floats("scales")? {
        Some(scales) => scales,
        None => call.constant(1)?.values,
    };
    before_11(draft, call, &scales)
}

/// Before opset 11 places are at multiples of the input's distance, rounded down.
fn before_11(draft: &mut Draft, call: &Call<'_>, scales: &[f64]) -> Result<TensorId, Refusal> {
    let how = How {
        mode: call.text("mode", "nearest")?,
        coordinates: "asymmetric".into(),
        nearest: "floor".into(),
        cubic: -0.75,
        antialias: false,
        exclude_outside: false,
        outside: 0.0,
    };
    let axes: Vec<usize> = (0..call.shape.len()).collect();
    resized(draft, call, &axes, scales, None, &how)
}

pub(super) fn resize(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    if call.opset < 11 {
        return before_11(draft, call, &call.constant(1)?.values);
    }
    let how = How {
        mode: call.text("mode", "nearest")?,
        coordinates: call.text("coordinate_transformation_mode", "half_pixel")?,
        nearest: call.text("nearest_mode", "round_prefer_floor")?,
        cubic: call.float("cubic_coeff_a", -0.75)?,
        antialias: call.int("antialias", 0)? != 0,
        exclude_outside: call.int("exclude_outside", 0)? != 0,
        outside: call.float("extrapolation_value", 0.0)?,
    };
    let rank = call.shape.len();
    let axes = match call.ints("axes")? {
        Some(list) => list
            .iter()
            .map(|&a| axis(a, rank))
            .collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).collect(),
    };
    let given = |at: usize| match call.has(at) {
        true => call
            .constant(at)
            .map(|c| Some(c.values).filter(|v| !v.is_empty())),
        false => Ok(None),
    };
    let (region, scales) = (given(1)?, given(2)?);
    let scales = match scales {
        Some(scales) => scales,
        None => by_sizes(draft, call, &axes)?,
    };
    resized(draft, call, &axes, &scales, region.as_deref(), &how)
}

/// The scales that sizes mean.
fn by_sizes(draft: &Draft, call: &Call<'_>, axes: &[usize]) -> Result<Vec<f64>, Refusal> {
    let from = draft.shape(call.computed(0)?);
    let wanted = sizes(&call.integers(3)?.unwrap_or_default())?;
    if wanted.len() != axes.len() {
        return unsupported("not one size for each axis");
    }
    let ratios: Vec<f64> = wanted
        .iter()
        .zip(axes)
        .map(|(&w, &d)| w as f64 / from[d] as f64)
        .collect();
    let all = |ratio: f64| Ok(vec![ratio; axes.len()]);
    match call.text("keep_aspect_ratio_policy", "stretch")?.as_str() {
        "stretch" => Ok(ratios),
        "not_larger" => all(ratios.into_iter().fold(f64::INFINITY, f64::min)),
        "not_smaller" => all(ratios.into_iter().fold(0.0, f64::max)),
        other => unsupported(format!("its attribute `keep_aspect_ratio_policy` is `{other}`")),
    }
}

fn resized(
    draft: &mut Draft,
    call: &Call<'_>,
    axes: &[usize],
    scales: &[f64],
    region: Option<&[f64]>,
    how: &How,
) -> Result<TensorId, Refusal> {
    let mut x = call.computed(0)?;
    let from = draft.shape(x);
    let regions = region.is_none_or(|r| r.len() == 2 * axes.len());
    if scales.len() != axes.len() || from.len() != call.shape.len() || !regions {
        return unsupported("not one scale, and one region, for each axis");
    }
    for (i, &d) in axes.iter().enumerate() {
        let along = Along {
            input: from[d],
            output: call.shape[d],
            scale: scales[i],
            region: region.map_or((0.0, 1.0), |r| (r[i], r[i + axes.len()])),
        };
        if along.scale == 1.0 && how.coordinates != "tf_crop_and_resize" {
            continue;
        }
        let made = (0..along.output)
            .map(|o| row(&along, o, how))
            .collect::<Result<Vec<_>, _>>()?;
        x = rows(draft, call, x, d, &made)?;
    }
    Ok(x)
}

/// The place in the input of a place of the result; none outside of a region.
fn coordinate(along: &Along, o: usize, how: &How) -> Result<Option<f64>, Refusal> {
    let (input, o, length) = (along.input as f64, o as f64, along.output as f64);
    let scaled = along.scale * input;
    let half = (o + 0.5) / along.scale - 0.5;
    Ok(Some(match how.coordinates.as_str() {
        "half_pixel" => half,
        "half_pixel_symmetric" => input / 2.0 * (1.0 - length / scaled) + half,
        "pytorch_half_pixel" => {
            if scaled == 1.0 {
                -0.5
            } else {
                half
            }
        }
        "asymmetric" => o / along.scale,
        "align_corners" => {
            if scaled == 1.0 {
                0.0
            } else {
                o * (input - 1.0) / (scaled - 1.0)
            }
        }
        "tf_crop_and_resize" => {
            let (from, to) = along.region;
            let within = if scaled == 1.0 {
                (to - from) * (input - 1.0) / 2.0
            } else {
                o * (to - from) * (input - 1.0) / (scaled - 1.0)
            };
            let at = from * (input - 1.0) + within;
            return Ok((0.0..=input - 1.0).contains(&at).then_some(at));
        }
        other => {
            return unsupported(format!(
                "its attribute `coordinate_transformation_mode` is `{other}`"
            ));
        }
    }))
}

/// Neighbours with their weights; places outside stand for the nearest inside.
fn row(along: &Along, o: usize, how: &How) -> Result<Row, Refusal> {
    let Some(at) = coordinate(along, o, how)? else {
        return Ok(Row {
            weights: Vec::new(),
            bias: how.outside,
        });
    };
    if !at.is_finite() || at.abs() > (1 << 22) as f64 {
        return unsupported("a scale with which places are no numbers");
    }
    let last = along.input as f64 - 1.0;
    let inside = |place: f64| place.clamp(0.0, last) as usize;
    // The neighbour before the place is never the place itself.
    let before = at.ceil() - 1.0;
    let ratio = at - before;
    let shrink = if how.antialias { along.scale.min(1.0) } else { 1.0 };
    let radius = match how.mode.as_str() {
        "nearest" => {
            let next = match how.nearest.as_str() {
                "round_prefer_floor" => ratio > 0.5,
                "round_prefer_ceil" => ratio >= 0.5,
                "floor" => ratio == 1.0,
                "ceil" => true,
                other => return unsupported(format!("its attribute `nearest_mode` is `{other}`")),
            };
            let place = if next { before + 1.0 } else { before };
            return Ok(Row {
                weights: vec![(inside(place), 1.0)],
                bias: 0.0,
            });
        }
        "linear" | "bilinear" | "trilinear" => 1.0,
        "cubic" => 2.0,
        other => return unsupported(format!("its attribute `mode` is `{other}`")),
    };
    let first = (-radius / shrink).floor() + 1.0;
    if first < -4096.0 {
        return unsupported("a scale below a thousandth");
    }
    let mut weights = Vec::new();
    let mut step = first;
    while step < 2.0 - first {
        let place = before + step;
        let distance = ((step - ratio) * shrink).abs();
        let weight = if radius == 1.0 {
            (1.0 - distance).max(0.0)
        } else {
            cubic(distance, how.cubic)
        };
        let counts = !how.exclude_outside || (0.0..=last).contains(&place);
        weights.push((inside(place), if counts { weight } else { 0.0 }));
        step += 1.0;
    }
    if how.antialias || how.exclude_outside {
        let sum: f64 = weights.iter().map(|(_, w)| w).sum();
        weights.iter_mut().for_each(|(_, w)| *w /= sum);
    }
    Ok(Row { weights, bias: 0.0 })
}

/// Keys' kernel.
fn cubic(x: f64, a: f64) -> f64 {
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}
