//! Resizing: along each axis, every value of the output is a weighted sum of neighbours of its place in the input.

use super::{Call, Made, Operator, Step, Tensor, one, op, size};
use crate::{
    Values,
    attribute::{float, floats, int, ints, text},
    layout::{around, axes},
};

pub(super) const OPERATORS: &[Operator] = &[
    op("Resize", 1, 4, resize).since(10).attributes(&[
        int("antialias").from(18),
        ints("axes").from(18),
        text("coordinate_transformation_mode").from(11),
        float("cubic_coeff_a").from(11),
        int("exclude_outside").from(11),
        float("extrapolation_value").from(11),
        text("keep_aspect_ratio_policy").from(18),
        text("mode"),
        text("nearest_mode").from(11),
    ]),
    op("Upsample", 1, 2, upsample)
        .until(10)
        .attributes(&[text("mode"), floats("scales").before(9)]),
];

/// How places are found and weighed.
struct How<'a> {
    mode: &'a str,
    coordinates: &'a str,
    nearest: &'a str,
    cubic: f64,
    antialias: bool,
    exclude_outside: bool,
}

/// One axis: sizes, their ratio, and the part of the input that is read.
struct Along {
    input: usize,
    output: usize,
    scale: f64,
    roi: (f64, f64),
}

/// Places are at multiples of the input's distance, rounded down, before opset 11.
const OLD: How = How {
    mode: "nearest",
    coordinates: "asymmetric",
    nearest: "floor",
    cubic: -0.75,
    antialias: false,
    exclude_outside: false,
};

fn resize(call: &Call) -> Made {
    let x = call.input(0)?;
    let mode = call.text("mode", "nearest");
    if call.opset() < 11 {
        return scaled(call, x, call.input(1)?.floats()?, mode);
    }
    let how = How {
        mode,
        coordinates: call.text("coordinate_transformation_mode", "half_pixel"),
        nearest: call.text("nearest_mode", "round_prefer_floor"),
        cubic: call.float("cubic_coeff_a", -0.75),
        antialias: call.flag("antialias", false)?,
        exclude_outside: call.flag("exclude_outside", false)?,
    };
    let named = match call.ints("axes") {
        Some(list) => axes(list, x.rank())?,
        None => (0..x.rank()).collect(),
    };
    let given = |i: usize| call.optional(i).filter(|t| !t.is_empty());
    let roi = given(1).map(Tensor::floats).transpose()?;
    if roi.is_some_and(|r| r.len() != 2 * named.len()) {
        return Err("the region has not two numbers for each axis".into());
    }
    let crop = how.coordinates == "tf_crop_and_resize";
    if crop && roi.is_none() {
        return Err("there is no region".into());
    }
    let mut walks = Vec::new();
    for (i, (scale, output)) in targets(call, x, &named, given(2), given(3))?
        .into_iter()
        .enumerate()
    {
        let region = |r: &[f64]| (r[i], r[i + named.len()]);
        let input = x.shape()[named[i]];
        let roi = roi.map_or((0.0, 1.0), region);
        walks.push((
            named[i],
            Along {
                input,
                output,
                scale,
                roi,
            },
        ));
    }
    walked(call, x, &walks, &how)
}

/// Scale and size along each named axis, from the scales or the sizes, one of which is given.
fn targets(
    call: &Call,
    x: &Tensor,
    named: &[usize],
    scales: Option<&Tensor>,
    sizes: Option<&Tensor>,
) -> Step<Vec<(f64, usize)>> {
    let inputs = named.iter().map(|&d| x.shape()[d]);
    match (scales, sizes) {
        (Some(scales), None) if scales.len() == named.len() => inputs
            .zip(scales.floats()?)
            .map(|(n, &s)| Ok((s, scaled_size(n, s)?)))
            .collect(),
        (None, Some(sizes)) if sizes.len() == named.len() => {
            let sizes: Vec<usize> = sizes.ints()?.iter().map(|&s| size(s)).collect::<Step<_>>()?;
            let ratios = || inputs.clone().zip(&sizes).map(|(n, &s)| s as f64 / n as f64);
            let kept = match call.text("keep_aspect_ratio_policy", "stretch") {
                "stretch" => return Ok(ratios().zip(sizes.iter().copied()).collect()),
                "not_larger" => ratios().fold(f64::INFINITY, f64::min),
                "not_smaller" => ratios().fold(0.0, f64::max),
                other => return Err(format!("keep_aspect_ratio_policy is `{other}`")),
            };
            let rounded = |n: usize| scaled_size(1, (n as f64 * kept + 0.5).floor());
            inputs.clone().map(|n| Ok((kept, rounded(n)?))).collect()
        }
        _ => Err("not either scales or sizes, one for each axis".into()),
    }
}

fn scaled_size(n: usize, scale: f64) -> Step<usize> {
    let size = (n as f64 * scale).floor();
    if scale > 0.0 && size < 1e9 {
        Ok(size as usize)
    } else {
        Err(format!("a scale of {scale}"))
    }
}

fn upsample(call: &Call) -> Made {
    let scales = match call.operation.attributes.get("scales") {
        Some(crate::attribute::Value::Floats(list)) => list.clone(),
        _ => call.input(1)?.floats()?.to_vec(),
    };
    scaled(call, call.input(0)?, &scales, call.text("mode", "nearest"))
}

/// The resizing of before opset 11.
fn scaled(call: &Call, x: &Tensor, scales: &[f64], mode: &str) -> Made {
    if scales.len() != x.rank() {
        return Err(format!("{} scales of {} dimensions", scales.len(), x.rank()));
    }
    let along = |(d, &scale): (usize, &f64)| {
        let input = x.shape()[d];
        let output = scaled_size(input, scale)?;
        let roi = (0.0, 1.0);
        Ok((
            d,
            Along {
                input,
                output,
                scale,
                roi,
            },
        ))
    };
    let walks: Vec<(usize, Along)> = scales.iter().enumerate().map(along).collect::<Step<_>>()?;
    walked(call, x, &walks, &How { mode, ..OLD })
}

fn walked(call: &Call, x: &Tensor, walks: &[(usize, Along)], how: &How) -> Made {
    let outside = call.float("extrapolation_value", 0.0);
    let mut shape = x.shape().to_vec();
    // Integers are resized as numbers; only nearest neighbours are then certain to be integers again.
    if !x.element().is_float() && how.mode != "nearest" {
        return Err("integers are resized to nearest neighbours only".into());
    }
    if x.element().is_int() && x.ints()?.iter().any(|v| v.unsigned_abs() > 1 << 53) {
        return Err("integers beyond 53 bits are not resized".into());
    }
    let mut values = x.to_f64();
    for (d, along) in walks {
        if along.scale == 1.0 && how.coordinates != "tf_crop_and_resize" {
            continue;
        }
        let (before, n, behind) = around(&shape, *d);
        shape[*d] = along.output;
        let len = call.room(&shape)?;
        if n == 0 {
            return Err("there is nothing to resize".into());
        }
        let mut made = vec![outside; len];
        for o in 0..along.output {
            let Some(weights) = weights(along, o, how)? else {
                continue;
            };
            call.touch(before.saturating_mul(behind).saturating_mul(weights.len()))?;
            for b in 0..before {
                let out = &mut made[(b * along.output + o) * behind..][..behind];
                out.fill(0.0);
                for &(at, weight) in &weights {
                    let row = &values[(b * n + at) * behind..][..behind];
                    out.iter_mut().zip(row).for_each(|(o, v)| *o += weight * v);
                }
            }
        }
        values = made;
    }
    let values = match x.values() {
        Values::Float(_) => Values::Float(values),
        Values::Int(_) => Values::Int(values.iter().map(|&v| x.element().truncate(v)).collect()),
        Values::Bool(_) => Values::Bool(values.iter().map(|&v| v != 0.0).collect()),
    };
    one(Tensor::make(x.element(), shape, values)?)
}

/// The place in the input of a place of the output; none outside of a cropped input.
fn coordinate(along: &Along, o: usize, coordinates: &str) -> Step<Option<f64>> {
    let (input, o) = (along.input as f64, o as f64);
    let output = along.scale * input;
    let half = (o + 0.5) / along.scale - 0.5;
    Ok(Some(match coordinates {
        "half_pixel" => half,
        "half_pixel_symmetric" => input / 2.0 * (1.0 - along.output as f64 / output) + half,
        "pytorch_half_pixel" if output == 1.0 => -0.5,
        "pytorch_half_pixel" => half,
        "asymmetric" => o / along.scale,
        "align_corners" if output == 1.0 => 0.0,
        "align_corners" => o * (input - 1.0) / (output - 1.0),
        "tf_crop_and_resize" => {
            let (from, to) = along.roi;
            let at = if output == 1.0 {
                (to - from) * (input - 1.0) / 2.0
            } else {
                o * (to - from) * (input - 1.0) / (output - 1.0)
            };
            let at = at + from * (input - 1.0);
            return Ok((0.0..=input - 1.0).contains(&at).then_some(at));
        }
        other => return Err(format!("coordinate_transformation_mode is `{other}`")),
    }))
}

/// Neighbours with their weights; places outside stand for the nearest inside.
fn weights(along: &Along, o: usize, how: &How) -> Step<Option<Vec<(usize, f64)>>> {
    let Some(at) = coordinate(along, o, how.coordinates)? else {
        return Ok(None);
    };
    if !at.is_finite() {
        return Err("a place that is no number".into());
    }
    // The neighbour to the left is never the place itself.
    let left = at.ceil() - 1.0;
    let ratio = at - left;
    let scale = if how.antialias { along.scale.min(1.0) } else { 1.0 };
    let reach = |radius: f64| (-radius / scale).floor() as i64 + 1;
    let (first, kernel): (i64, Box<dyn Fn(f64) -> f64>) = match how.mode {
        "nearest" => {
            let right = match how.nearest {
                "round_prefer_floor" => ratio > 0.5,
                "round_prefer_ceil" => ratio >= 0.5,
                "floor" => ratio == 1.0,
                "ceil" => true,
                other => return Err(format!("nearest_mode is `{other}`")),
            };
            let at = left + f64::from(u8::from(right));
            return Ok(Some(vec![(
                at.clamp(0.0, along.input as f64 - 1.0) as usize,
                1.0,
            )]));
        }
        "linear" | "bilinear" | "trilinear" => (reach(1.0), Box::new(|x: f64| (1.0 - x.abs()).max(0.0))),
        "cubic" => (reach(2.0), Box::new(|x: f64| cubic(x.abs(), how.cubic))),
        other => return Err(format!("mode is `{other}`")),
    };
    if first < -(1 << 20) {
        return Err(format!("a scale of {scale}"));
    }
    let mut found = Vec::new();
    for i in first..2 - first {
        let place = left + i as f64;
        let inside = place >= 0.0 && place < along.input as f64;
        let weight = if inside || !how.exclude_outside {
            kernel((i as f64 - ratio) * scale)
        } else {
            0.0
        };
        found.push((place.clamp(0.0, along.input as f64 - 1.0) as usize, weight));
    }
    if how.antialias || how.exclude_outside {
        let sum: f64 = found.iter().map(|(_, w)| w).sum();
        found.iter_mut().for_each(|(_, w)| *w /= sum);
    }
    Ok(Some(found))
}

fn cubic(x: f64, a: f64) -> f64 {
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}
