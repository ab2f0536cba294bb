//! What a softmax need not read: a factor and an offset of all values, and places that a constant takes out, one far below all
//! others that is added to them, or stands there instead of them.
//!
//! Invariant: the softmax is that of what is left times the factor, of the places that count. A place is out where the constant
//! is [`FAR`] or further below 0, and every row keeps a place that is not. The weight of such a place is `e^-FAR` times what the
//! spread of the other values may make of it: for it to be more than 0 in any step of a table, values would have to differ by
//! thousands, of which a tensor of 16 bits has steps of an eighth at the finest, and no softmax is within its budget.

use zkml::graph::{Activation, TensorId};

use super::draft::{Draft, Refusal, unsupported};
use super::function::{producer, step};
use super::{moved, wiring};
use crate::float::{FloatMap, FloatOp};
use crate::ops::{Linear, Wiring};

/// Exporters have −10000, the least number of 16 or 32 bits, or 10^9.
pub(super) const FAR: f64 = -5000.0;
/// No tensor holds values so far below 0: they have at most 32 bits, in steps of 2^24 at the greatest.
const NEVER: f64 = -1e30;
/// Most tensors that are looked at for a mask, and factors and reshapes for a factor.
const MOST: usize = 12;

/// A tensor times a factor above 0, and by its values whether each counts.
pub(super) struct Masked {
    pub x: TensorId,
    pub factor: f64,
    pub counts: Vec<bool>,
}

impl Masked {
    /// Without the constants that mask places, as far as they are found in what makes the tensor.
    pub(super) fn of(draft: &mut Draft, name: &str, x: TensorId) -> Result<Self, Refusal> {
        let masked = stripped(draft, name, x, &mut { MOST })?;
        Ok(Self {
            counts: masked.counts,
            ..Self::all(draft, masked.x)
        })
    }

    /// All places count. Without the factor, which may then be one of differences, in a node that there is anyway.
    pub(super) fn all(draft: &Draft, x: TensorId) -> Self {
        let len = draft.shape(x).iter().product::<usize>();
        let (mut x, mut factor) = (x, 1.0);
        for _ in 0..MOST {
            let reshaped = match producer(draft, x) {
                Some((FloatOp::Wiring(Wiring { source: None }), &[y])) => Some((y, 1.0)),
                _ => step(draft, x).map(|(y, by, _)| (y, by)),
            };
            let Some((y, by)) = reshaped.filter(|(_, by)| by.is_normal() && *by > 0.0) else {
                break;
            };
            (x, factor) = (y, factor * by);
        }
        Self {
            x,
            factor,
            counts: vec![true; len],
        }
    }

    pub(super) fn all_count(&self) -> bool {
        self.counts.iter().all(|c| *c)
    }

    /// Every run of so many values must have one that counts.
    pub(super) fn check_rows(&self, n: usize) -> Result<(), Refusal> {
        if self.counts.chunks(n.max(1)).all(|row| row.contains(&true)) {
            return Ok(());
        }
        unsupported("a row in which every place is masked")
    }
}

/// The tensor and the number of a tensor that is the greater of the two, `max(x − c, 0) + c`, where that is below whatever is held.
pub(super) fn lifted(draft: &Draft, id: TensorId) -> Option<(TensorId, f64)> {
    let ends = |id: TensorId, activation: Activation| {
        let (op, inputs) = producer(draft, id)?;
        let (FloatOp::Linear(linear), &[x]) = (op, inputs) else {
            return None;
        };
        let FloatMap::Affine { scale, bias, .. } = &linear.map else {
            return None;
        };
        let (&first, of_one) = (bias.first()?, linear.activation == activation);
        let same = scale.iter().all(|s| *s == 1.0) && bias.iter().all(|b| *b == first);
        (of_one && same).then_some((x, first))
    };
    let (over, least) = ends(id, Activation::Identity).filter(|(_, least)| *least <= NEVER)?;
    let (x, added) = ends(over, Activation::Relu)?;
    (added == -least).then_some((x, least))
}

/// `left`: how many tensors are still looked at, however many operands each has.
fn stripped(draft: &mut Draft, name: &str, x: TensorId, left: &mut usize) -> Result<Masked, Refusal> {
    let shape = draft.shape(x);
    let len = shape.iter().product::<usize>();
    let whole = |x| Masked {
        x,
        factor: 1.0,
        counts: vec![true; len],
    };
    let may = left.checked_sub(1);
    *left = may.unwrap_or(0);
    // Nothing that counts is below the number.
    if let Some((below, _)) = lifted(draft, x).filter(|_| may.is_some()) {
        return stripped(draft, name, below, left);
    }
    let Some((op, inputs)) = producer(draft, x).filter(|_| may.is_some()) else {
        return Ok(whole(x));
    };
    let inputs = inputs.to_vec();
    match op {
        FloatOp::Wiring(Wiring { source: None }) => {
            let below = stripped(draft, name, inputs[0], left)?;
            if below.all_count() {
                return Ok(whole(x));
            }
            let x = wiring::reshape(draft, name, below.x, &shape)?;
            Ok(Masked { x, ..below })
        }
        FloatOp::Linear(Linear {
            map: map @ FloatMap::Affine { scale, bias, .. },
            activation: Activation::Identity,
        }) => {
            let count = bias.len().max(1);
            let channel: Vec<usize> = (0..len).map(|t| map.channel_of(t)).collect();
            let added: Vec<f64> = channel.iter().map(|&c| bias[c]).collect();
            let mut factors: Vec<Vec<f64>> = scale
                .chunks(count)
                .map(|of| channel.iter().map(|&c| of[c]).collect())
                .collect();
            let mut counts: Vec<bool> = added.iter().map(|b| *b > FAR).collect();
            let own = counts.contains(&false);
            let mut tensors = inputs;
            // What masks an operand masks the sum, where the operand is whole in it.
            for (tensor, factors) in tensors.iter_mut().zip(&factors) {
                let below = stripped(draft, name, *tensor, left)?;
                let mut out = below.counts.iter().zip(factors).filter(|(c, _)| !**c);
                if below.all_count() || out.any(|(_, f)| *f != 1.0) {
                    continue;
                }
                *tensor = below.x;
                counts.iter_mut().zip(below.counts).for_each(|(c, b)| *c &= b);
            }
            if !own && counts.iter().all(|c| *c) {
                return Ok(whole(x));
            }
            let added: Vec<f64> = added.iter().map(|b| if *b > FAR { *b } else { 0.0 }).collect();
            // Where a constant stood instead of a value, any will do.
            if let [factors] = &mut factors[..] {
                let of_mask = factors.iter_mut().zip(&counts).filter(|(_, c)| !**c);
                of_mask.for_each(|(f, _)| *f = 1.0);
            }
            let same = matches!(&factors[..], [f] if f.iter().all(|f| *f == 1.0));
            if let ([only], true) = (&tensors[..], same && added.iter().all(|b| *b == 0.0)) {
                return Ok(Masked {
                    x: *only,
                    factor: 1.0,
                    counts,
                });
            }
            factors.push(added);
            let x = draft.linear(name, moved::affine(factors)?, &tensors, &shape)?;
            Ok(Masked {
                x,
                factor: 1.0,
                counts,
            })
        }
        _ => Ok(whole(x)),
    }
}
