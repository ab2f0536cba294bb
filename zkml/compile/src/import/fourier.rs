//! Discrete Fourier transforms: constant matrices over the values of a sequence and their imaginary parts.
//!
//! Invariant: exact in floats up to the order of additions. Lengths, steps and axes are constants; a window may be computed.

use std::f64::consts::TAU;

use zkml::graph::TensorId;

use super::draft::{Draft, Refusal, small, unsupported};
use super::moved::{Source, moved};
use super::recipe::{Call, Recipe, axis};
use super::{product, wiring};
use crate::float::FloatMap;

pub(super) const RECIPES: &[Recipe] = &[Recipe::new("DFT", dft), Recipe::new("STFT", stft)];

/// A transform of so many numbers, each of one part or of two.
struct Transform<'a> {
    /// Numbers that are read.
    read: usize,
    parts: usize,
    length: usize,
    /// Numbers that are made.
    count: usize,
    inverse: bool,
    /// Whether what is read is one side of the transform of real numbers, which are made.
    real: bool,
    window: Option<&'a [f64]>,
}

impl Transform<'_> {
    /// Parts of a number that is made.
    const fn made(&self) -> usize {
        if self.real { 1 } else { 2 }
    }

    /// Numbers that count, and how often one does: what is behind the transform's length is left out, and of the other side of real
    /// numbers each is a number's mirror image.
    fn counted(&self) -> (usize, impl Fn(usize) -> f64) {
        let (length, real) = (self.length, self.real);
        let most = if real { half(length) } else { length };
        let often = move |t: usize| {
            if !real || t == 0 || 2 * t == length {
                1.0
            } else {
                2.0
            }
        };
        (self.read.min(most), often)
    }

    /// `x` of `[rows, read · parts]` as `[rows, count · made]`.
    fn of(&self, draft: &mut Draft, name: &str, x: TensorId, rows: usize) -> Result<TensorId, Refusal> {
        let (inputs, outputs) = (self.read * self.parts, self.count * self.made());
        if inputs.saturating_mul(outputs) > super::MAX_TENSOR_LEN {
            return Err(Refusal::TooLarge);
        }
        let (sign, scale) = if self.inverse {
            (1.0, 1.0 / self.length as f64)
        } else {
            (-1.0, 1.0)
        };
        let mut weight = vec![0.0; inputs * outputs];
        let (count, often) = self.counted();
        for k in 0..self.count {
            for t in 0..count {
                let angle = sign * TAU * (k * t % self.length) as f64 / self.length as f64;
                let factor = scale * often(t) * self.window.map_or(1.0, |w| w[t]);
                let (sin, cos) = (factor * angle.sin(), factor * angle.cos());
                // What a number is made of, and what its imaginary part is.
                let parts = [[cos, -sin], [sin, cos]];
                for (row, factors) in parts.iter().take(self.made()).enumerate() {
                    let from = (k * self.made() + row) * inputs + t * self.parts;
                    weight[from..from + self.parts].copy_from_slice(&factors[..self.parts]);
                }
            }
        }
        let [inputs, outputs_small] = small([inputs, outputs])?;
        let map = FloatMap::Dense {
            inputs,
            outputs: outputs_small,
            weight,
            bias: vec![0.0; outputs],
        };
        draft.linear(name, map, &[x], &[rows, outputs])
    }
}

/// A size that an input states.
fn stated(call: &Call<'_>, at: usize) -> Result<Option<usize>, Refusal> {
    match call.integers(at)?.as_deref() {
        None => Ok(None),
        Some(&[n]) if n > 0 => Ok(usize::try_from(n).ok()),
        Some(other) => unsupported(format!(
            "its input {at} of {other:?}: one size is supported there"
        )),
    }
}

const fn half(length: usize) -> usize {
    length / 2 + 1
}

fn dft(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let x = call.computed(0)?;
    let shape = draft.shape(x);
    let rank = shape.len();
    let Some(&parts @ (1 | 2)) = shape.last().filter(|_| rank >= 2) else {
        return unsupported(format!("a signal of shape {shape:?}"));
    };
    let given = if call.opset < 20 {
        call.int("axis", 1)?
    } else {
        call.integers(2)?
            .and_then(|list| list.first().copied())
            .unwrap_or(-2)
    };
    let along = axis(given, rank)?;
    if along + 1 == rank {
        return unsupported("a transform along the parts of numbers");
    }
    let read = shape[along];
    let (inverse, onesided) = (call.int("inverse", 0)? != 0, call.int("onesided", 0)? != 0);
    let real = inverse && onesided;
    if onesided && !inverse && parts == 2 {
        return unsupported("its attribute `onesided` for complex numbers");
    }
    let whole = if real { 2 * read.saturating_sub(1) } else { read };
    let length = stated(call, 1)?.unwrap_or(whole);
    if length == 0 {
        return unsupported("a transform of no numbers");
    }
    let transform = Transform {
        read,
        parts,
        length,
        count: if onesided && !real { half(length) } else { length },
        inverse,
        real,
        window: None,
    };
    let others: Vec<usize> = (0..rank - 1).filter(|d| *d != along).collect();
    let order: Vec<usize> = others.iter().copied().chain([along, rank - 1]).collect();
    let x = wiring::permute(draft, call.name, x, &order)?;
    let rows: usize = others.iter().map(|d| shape[*d]).product();
    let x = wiring::reshape(draft, call.name, x, &[rows, read * parts])?;
    let y = transform.of(draft, call.name, x, rows)?;
    let made: Vec<usize> = others
        .iter()
        .map(|d| shape[*d])
        .chain([transform.count, transform.made()])
        .collect();
    let y = wiring::reshape(draft, call.name, y, &made)?;
    let back: Option<Vec<usize>> = (0..rank).map(|d| order.iter().position(|o| *o == d)).collect();
    wiring::permute(draft, call.name, y, &back.unwrap_or_default())
}

fn stft(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let x = call.computed(0)?;
    let (batch, n, parts) = match draft.shape(x)[..] {
        [batch, n] => (batch, n, 1),
        [batch, n, parts @ (1 | 2)] => (batch, n, parts),
        ref other => return unsupported(format!("a signal of shape {other:?}")),
    };
    let Some(step) = stated(call, 1)? else {
        return unsupported("no step between frames");
    };
    let of_window = if call.has(2) {
        Some(call.shape_of(draft, 2)?.iter().product::<usize>())
    } else {
        None
    };
    let Some(length) = stated(call, 3)?.or(of_window) else {
        return unsupported("neither a window nor the length of a frame");
    };
    let onesided = call.int("onesided", 1)? != 0;
    if of_window.is_some_and(|w| w != length) || length == 0 || length > n || (onesided && parts == 2) {
        return unsupported(format!("frames of {length} of {n} numbers of {parts} parts"));
    }
    let rows = batch * ((n - length) / step + 1);
    let frame = length * parts;
    if rows.saturating_mul(frame) > super::MAX_TENSOR_LEN {
        return Err(Refusal::TooLarge);
    }
    let of_row = |row: usize| {
        let frames = rows / batch.max(1);
        let from = (row / frames * n + row % frames * step) * parts;
        (from..from + frame).map(|at| Source::Of(0, at))
    };
    let sources: Vec<Source> = (0..rows).flat_map(of_row).collect();
    let mut x = moved(draft, call.name, &[x], &sources, &[rows, frame])?;
    let mut window = None;
    if call.has(2) {
        if call.is_computed(2) {
            let places: Vec<Source> = (0..rows * frame)
                .map(|at| Source::Of(0, at % frame / parts))
                .collect();
            let weights = moved(draft, call.name, &[call.computed(2)?], &places, &[rows, frame])?;
            x = product::elements(draft, call.name, [x, weights], &[rows, frame])?;
        } else {
            window = Some(call.constant(2)?.values);
        }
    }
    let transform = Transform {
        read: length,
        parts,
        length,
        count: if onesided { half(length) } else { length },
        inverse: false,
        real: false,
        window: window.as_deref(),
    };
    let y = transform.of(draft, call.name, x, rows)?;
    wiring::reshape(draft, call.name, y, call.shape)
}
