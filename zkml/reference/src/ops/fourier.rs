//! Discrete Fourier transforms, each value by its definition.

use std::f64::consts::TAU;

use super::{Call, Made, Operator, Step, Tensor, list_of, one, op, size};
use crate::{Values, attribute::int, layout};

pub(super) const OPERATORS: &[Operator] = &[
    op("DFT", 1, 3, dft)
        .since(17)
        .attributes(&[int("axis").before(20), int("inverse"), int("onesided")]),
    op("STFT", 2, 4, stft).since(17).attributes(&[int("onesided")]),
];

/// The transform of sequences: `e^(∓2πi · kt / length)`.
struct Transform {
    length: usize,
    /// How many of its numbers are asked for.
    count: usize,
    inverse: bool,
    /// Cosine and sine of the parts of a turn.
    turn: Vec<(f64, f64)>,
}

impl Transform {
    fn new(call: &Call, length: usize, count: usize, inverse: bool, sequences: usize) -> Step<Self> {
        if length == 0 {
            return Err("a transform of no values".into());
        }
        call.touch(count.saturating_mul(length).saturating_mul(sequences))?;
        let sign = if inverse { 1.0 } else { -1.0 };
        let part = |t: usize| (sign * TAU * t as f64 / length as f64).sin_cos();
        let turn = (0..length).map(|t| (part(t).1, part(t).0)).collect();
        Ok(Self {
            length,
            count,
            inverse,
            turn,
        })
    }

    /// Of values with their imaginary parts, zeros behind them.
    fn of(&self, values: &[(f64, f64)]) -> Vec<(f64, f64)> {
        let scale = if self.inverse {
            1.0 / self.length as f64
        } else {
            1.0
        };
        let number = |k: usize| {
            let (mut re, mut im) = (0.0, 0.0);
            for (t, (a, b)) in values.iter().enumerate().take(self.length) {
                let (cos, sin) = self.turn[k * t % self.length];
                re += a * cos - b * sin;
                im += a * sin + b * cos;
            }
            (re * scale, im * scale)
        };
        (0..self.count).map(number).collect()
    }
}

/// How many numbers of a transform are no others' mirror images.
const fn half(length: usize) -> usize {
    length / 2 + 1
}

/// Both sides of the transform of so many real numbers, from one: the other has the conjugates, and what is its own has no imaginary
/// part.
fn mirrored(mut side: Vec<(f64, f64)>, length: usize) -> Vec<(f64, f64)> {
    side.resize(half(length), (0.0, 0.0));
    let number = |k: usize| {
        let (re, im) = side[k.min(length - k)];
        match (k, 2 * k == length, 2 * k < length) {
            (0, ..) | (_, true, _) => (re, 0.0),
            (_, _, true) => (re, im),
            (..) => (re, -im),
        }
    };
    (0..length).map(number).collect()
}

/// A size that an input of one value states.
fn stated(call: &Call, at: usize) -> Step<Option<usize>> {
    let Some(tensor) = call.optional(at) else {
        return Ok(None);
    };
    match list_of(tensor)?[..] {
        [n] if n > 0 => size(n).map(Some),
        ref other => Err(format!("input {at} is {other:?}, and not one size")),
    }
}

fn dft(call: &Call) -> Made {
    let x = call.input(0)?;
    let rank = x.rank();
    let Some(&parts @ (1 | 2)) = x.shape().last().filter(|_| rank >= 2) else {
        return Err(format!("a signal of shape {:?}", x.shape()));
    };
    let axis = if call.opset() < 20 {
        call.int("axis", 1)
    } else {
        match call.optional(2).map(list_of).transpose()? {
            Some(list) => *list.first().ok_or("an axis of no value")?,
            None => -2,
        }
    };
    let axis = layout::axis(axis, rank)?;
    if axis + 1 == rank {
        return Err("a transform along the parts of numbers".into());
    }
    let n = x.shape()[axis];
    let (inverse, onesided) = (call.flag("inverse", false)?, call.flag("onesided", false)?);
    // One side is read of what was made of real numbers, which come back.
    let real = inverse && onesided;
    if onesided && !inverse && parts == 2 {
        return Err("one side of the transform of complex numbers is not evaluated".into());
    }
    let whole = if real { 2 * n.saturating_sub(1) } else { n };
    let length = stated(call, 1)?.unwrap_or(whole);
    let count = if onesided && !real { half(length) } else { length };
    let given = if real { 1 } else { 2 };
    let mut shape = x.shape().to_vec();
    (shape[axis], shape[rank - 1]) = (count, given);
    let mut made = vec![0.0; call.room(&shape)?];
    let before: usize = x.shape()[..axis].iter().product();
    let behind: usize = x.shape()[axis + 1..rank - 1].iter().product();
    let transform = Transform::new(call, length, count, inverse, before.saturating_mul(behind))?;
    let v = x.floats()?;
    for b in 0..before {
        for r in 0..behind {
            let number = |t: usize| {
                let at = ((b * n + t) * behind + r) * parts;
                (v[at], if parts == 2 { v[at + 1] } else { 0.0 })
            };
            let mut values: Vec<_> = (0..n).map(number).collect();
            if real {
                values = mirrored(values, length);
            }
            for (k, (re, im)) in transform.of(&values).into_iter().enumerate() {
                let at = ((b * count + k) * behind + r) * given;
                made[at] = re;
                if !real {
                    made[at + 1] = im;
                }
            }
        }
    }
    one(Tensor::make(x.element(), shape, Values::Float(made))?)
}

fn stft(call: &Call) -> Made {
    let x = call.input(0)?;
    let (batch, n, parts) = match *x.shape() {
        [batch, n] => (batch, n, 1),
        [batch, n, parts @ (1 | 2)] => (batch, n, parts),
        _ => return Err(format!("a signal of shape {:?}", x.shape())),
    };
    let step = stated(call, 1)?.ok_or("no step between frames")?;
    let window = call.optional(2).map(Tensor::floats).transpose()?;
    let length = match (stated(call, 3)?, window) {
        (Some(length), _) => length,
        (None, Some(window)) => window.len(),
        (None, None) => return Err("neither a window nor the length of a frame".into()),
    };
    if window.is_some_and(|w| w.len() != length) || length > n || length == 0 {
        return Err(format!("frames of {length} of {n} values"));
    }
    let onesided = call.flag("onesided", true)?;
    if onesided && parts == 2 {
        return Err("one side of complex numbers is not evaluated".into());
    }
    let frames = (n - length) / step + 1;
    let count = if onesided { half(length) } else { length };
    let shape = vec![batch, frames, count, 2];
    let mut made = Vec::with_capacity(call.room(&shape)?);
    let transform = Transform::new(call, length, count, false, batch.saturating_mul(frames))?;
    let v = x.floats()?;
    for b in 0..batch {
        for frame in 0..frames {
            let number = |t: usize| {
                let at = (b * n + frame * step + t) * parts;
                let weight = window.map_or(1.0, |w| w[t]);
                (weight * v[at], if parts == 2 { weight * v[at + 1] } else { 0.0 })
            };
            let values: Vec<_> = (0..length).map(number).collect();
            made.extend(transform.of(&values).into_iter().flat_map(|(re, im)| [re, im]));
        }
    }
    one(Tensor::make(x.element(), shape, Values::Float(made))?)
}
