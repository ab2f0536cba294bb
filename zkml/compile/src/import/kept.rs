//! What computed yes and no take out of a softmax: numbers far below all others that are added to scores by them, or stand there
//! instead of scores.
//!
//! Invariant: the softmax is that of what is left, of the places that count, also in a row in which every place is masked. A place
//! has a level: how many masks leave it, one that is far greater than another weighing more than all such together. Only the
//! places of a row's best level count. Where masks add to scores what floats hold beside them, such places keep their differences;
//! where they do not ([`ABSORBS`]), or the number stands there instead, places that some mask takes out are all alike.

use zkml::graph::TensorId;

use super::binary::line;
use super::compare::{YES_OR_NO, step, whole};
use super::draft::{Draft, Refusal};
use super::function::function;
use super::greatest::{repeated, row_maximum};
use super::moved;
use super::unmasked::{Found, Keeps, MOST, Part, found};
use crate::float::Interval;
use crate::functions::Function;

/// From here on floats, those of 64 bits too, have no room for scores beside it.
pub(super) const ABSORBS: f64 = 1e30;
/// Up to here those of 64 bits keep what a softmax needs of them.
const ADDS: f64 = 1e10;

/// A tensor without its masks, some of which are computed.
pub(super) struct Kept {
    pub x: TensorId,
    parts: Vec<Part>,
    /// How many levels each is.
    weights: Vec<f64>,
    /// Whether in a row without a place that all masks leave, those that count are alike.
    even: bool,
}

/// Which places of rows count.
pub(super) struct Choice {
    /// 1 where they do.
    pub keeps: TensorId,
    /// 1 in rows in which some place counts; all have one where it is left out.
    pub any: Option<TensorId>,
    /// 1 in rows whose places differ by their values, and 0 where all that count are alike; the first where it is left out.
    pub differ: Option<TensorId>,
}

/// Without the masks that are found in what makes the tensor; none where none of them is computed, or where what they make of a row
/// that they take out as a whole is not known exactly.
pub(super) fn of(draft: &mut Draft, name: &str, x: TensorId) -> Result<Option<Kept>, Refusal> {
    let Some(Found { x: Some(x), parts }) = found(draft, name, x, &mut { MOST })? else {
        return Ok(None);
    };
    let computed = |part: &Part| matches!(part.keeps, Keeps::Computed(_));
    let Some((weights, even)) = levels(&parts).filter(|_| parts.iter().any(computed)) else {
        return Ok(None);
    };
    let mut asked = parts.iter().flat_map(|part| part.asks.iter().copied());
    if !asked.all(|id| draft.takes(id, YES_OR_NO)) {
        return Ok(None);
    }
    Ok(Some(Kept {
        x,
        parts,
        weights,
        even,
    }))
}

/// How many levels each mask is, and whether places that some take out are alike.
fn levels(parts: &[Part]) -> Option<(Vec<f64>, bool)> {
    let all = |holds: fn(&Part) -> bool| parts.iter().all(holds);
    let even = match parts {
        _ if all(|part| part.far <= -ABSORBS) => true,
        [part] if part.far >= -ADDS => part.replaces,
        _ if all(|part| part.far >= -ADDS && !part.replaces) => false,
        _ => return None,
    };
    let mut fars: Vec<f64> = parts.iter().map(|part| part.far).collect();
    fars.sort_by(|a, b| b.total_cmp(a));
    fars.dedup();
    // One that is far greater than all of the others together is worth more levels than these.
    let apart = parts.len() as f64 + 1.0;
    if fars.windows(2).any(|pair| pair[1] > apart * pair[0]) {
        return None;
    }
    let (mut of_far, mut before) = (Vec::new(), 0.0);
    for far in fars {
        let weight = before + 1.0;
        before += weight * parts.iter().filter(|part| part.far == far).count() as f64;
        of_far.push((far, weight));
    }
    let weight = |part: &Part| of_far.iter().find(|(far, _)| *far == part.far).map(|(_, w)| *w);
    let weights: Option<Vec<f64>> = parts.iter().map(weight).collect();
    Some((weights?, even))
}

impl Kept {
    /// Its masks in other places: of tensors, and of lists.
    pub(super) fn placed(
        mut self,
        draft: &mut Draft,
        tensor: impl Fn(&mut Draft, TensorId) -> Result<TensorId, Refusal>,
        list: impl Fn(&[bool]) -> Vec<bool>,
    ) -> Result<Self, Refusal> {
        for part in &mut self.parts {
            part.keeps = match &part.keeps {
                Keeps::Computed(id) => Keeps::Computed(tensor(draft, *id)?),
                Keeps::Constant(counts) => Keeps::Constant(list(counts)),
            };
        }
        Ok(self)
    }

    /// Which places of so many rows of so many values count.
    pub(super) fn choice(
        &self,
        draft: &mut Draft,
        name: &str,
        [rows, n]: [usize; 2],
    ) -> Result<Choice, Refusal> {
        let (shape, len) = ([rows, n], rows * n);
        if let [only] = &self.parts[..]
            && let Keeps::Computed(keeps) = only.keeps
        {
            let any = best(draft, name, keeps, shape, 1)?;
            if self.even {
                return Ok(Choice {
                    keeps,
                    any: Some(any),
                    differ: None,
                });
            }
            // Where no place is left, all are.
            let map = line(len, vec![1.0, -1.0], 1.0)?;
            return Ok(Choice {
                keeps: whole(draft, name, map, &[keeps, any], &shape, YES_OR_NO)?,
                any: None,
                differ: None,
            });
        }
        let (mut tensors, mut scale, mut bias) = (Vec::new(), Vec::new(), vec![0.0; len]);
        for (part, weight) in self.parts.iter().zip(&self.weights) {
            match &part.keeps {
                Keeps::Computed(id) => {
                    tensors.push(*id);
                    scale.push(vec![*weight; len]);
                }
                Keeps::Constant(counts) => {
                    let of = bias.iter_mut().zip(counts).filter(|(_, counts)| **counts);
                    of.for_each(|(b, _)| *b += weight);
                }
            }
        }
        scale.push(bias);
        // No more than a mask for each tensor that was looked at, each of which doubles it at most.
        let most = self.weights.iter().sum::<f64>() as u32;
        let map = moved::affine(scale)?;
        let level = whole(draft, name, map, &tensors, &shape, Interval::new(0, most.into()))?;
        let best = best(draft, name, level, shape, most)?;
        let below = step(
            draft,
            name,
            line(len, vec![1.0, -1.0], 0.0)?,
            &[best, level],
            &shape,
        )?;
        let keeps = whole(
            draft,
            name,
            line(len, vec![-1.0], 1.0)?,
            &[below],
            &shape,
            YES_OR_NO,
        )?;
        let differ = if self.even {
            let full = line(len, vec![1.0], 1.0 - f64::from(most))?;
            Some(step(draft, name, full, &[best], &shape)?)
        } else {
            None
        };
        Ok(Choice {
            keeps,
            any: None,
            differ,
        })
    }
}

impl Choice {
    /// By a tensor of yes and no, where minus infinity stands instead: a row in which no place counts has no values, and no proof.
    pub(super) fn of_rows_with_some(
        draft: &mut Draft,
        name: &str,
        keeps: TensorId,
        sizes: [usize; 2],
    ) -> Result<Self, Refusal> {
        let greatest = row_maximum(draft, name, keeps, sizes)?;
        draft.whole(greatest, YES_OR_NO);
        // 1 by 1 is 1, and 1 by 0 is refused.
        let any = function(draft, name, greatest, Function::reciprocal())?;
        Ok(Self {
            keeps,
            any: Some(repeated(draft, name, any, sizes)?),
            differ: None,
        })
    }
}

/// A tensor of yes and no, no where a constant says so.
pub(super) fn also(
    draft: &mut Draft,
    name: &str,
    keeps: TensorId,
    counts: &[bool],
) -> Result<TensorId, Refusal> {
    if counts.iter().all(|c| *c) {
        return Ok(keeps);
    }
    let shape = draft.shape(keeps);
    let each = counts.iter().map(|c| f64::from(u8::from(*c))).collect();
    let map = moved::affine(vec![each, vec![0.0; counts.len()]])?;
    whole(draft, name, map, &[keeps], &shape, YES_OR_NO)
}

/// The greatest of each row, at all its places, of whole numbers from 0 on.
fn best(
    draft: &mut Draft,
    name: &str,
    of: TensorId,
    sizes: [usize; 2],
    most: u32,
) -> Result<TensorId, Refusal> {
    let greatest = row_maximum(draft, name, of, sizes)?;
    draft.whole(greatest, Interval::new(0, most.into()));
    repeated(draft, name, greatest, sizes)
}
