//! Masks in what makes a tensor, and the tensor without them.
//!
//! Invariant: where every mask leaves a place, the tensor's value there is what is left; elsewhere it is that and the masks' numbers,
//! or the number that stands there instead. What is not exactly so is no mask.

use zkml::graph::{Activation, TensorId};

use super::binary::line;
use super::compare::{YES_OR_NO, step, whole};
use super::draft::{Draft, Refusal};
use super::function::producer;
use super::kept::{ABSORBS, also};
use super::mask::{FAR, lifted};
use super::{moved, wiring};
use crate::float::{FloatMap, FloatOp};
use crate::ops::{Linear, Wiring};

/// Most tensors that are looked at for a mask.
pub(super) const MOST: usize = 24;

/// Where values count.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Keeps {
    /// 1 where they do, else 0.
    Computed(TensorId),
    Constant(Vec<bool>),
}

/// One mask.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub keeps: Keeps,
    /// What it adds elsewhere, below [`FAR`].
    pub far: f64,
    /// Whether that stands there instead.
    pub replaces: bool,
    /// The places of inputs that the model takes nothing but 1 and 0 at, if this is the mask.
    pub asks: Vec<TensorId>,
}

/// What is left of a tensor without its masks; of one that is nothing else, 0.
pub(super) struct Found {
    pub x: Option<TensorId>,
    pub parts: Vec<Part>,
}

/// `left`: how many tensors are still looked at, however many operands each has.
pub(super) fn found(
    draft: &mut Draft,
    name: &str,
    id: TensorId,
    left: &mut usize,
) -> Result<Option<Found>, Refusal> {
    let Some(rest) = left.checked_sub(1) else {
        return Ok(None);
    };
    *left = rest;
    if let Some((values, keeps, far)) = draft.masked(id) {
        let below = found(draft, name, values, left)?;
        return replaced(draft, name, values, below, (Keeps::Computed(keeps), far));
    }
    let Some((op, inputs)) = producer(draft, id) else {
        return Ok(None);
    };
    let inputs = inputs.to_vec();
    match op {
        FloatOp::Wiring(Wiring { source }) => {
            let source = source.clone();
            let Some(below) = found(draft, name, inputs[0], left)? else {
                return Ok(None);
            };
            wired(draft, name, below, source.as_deref(), id).map(Some)
        }
        FloatOp::Linear(Linear {
            map: map @ FloatMap::Affine { .. },
            activation: Activation::Identity,
        }) => {
            let map = map.clone();
            if let Some((below, least)) = lifted(draft, id) {
                return of_lifted(draft, name, below, least, left);
            }
            if let Some(found) = of_line(draft, name, id)? {
                return Ok(Some(found));
            }
            of_sum(draft, name, id, (&map, &inputs), left)
        }
        _ => Ok(None),
    }
}

/// The greater of values and of a number that is below whatever is held: what a mask takes out, however often, is that number.
fn of_lifted(
    draft: &mut Draft,
    name: &str,
    values: TensorId,
    least: f64,
    left: &mut usize,
) -> Result<Option<Found>, Refusal> {
    let Some(Found { x, parts }) = found(draft, name, values, left)? else {
        return Ok(None);
    };
    let asks = parts.iter().flat_map(|part| part.asks.iter().copied()).collect();
    let near = parts.iter().any(|part| part.far > least);
    let mut keeps = parts.into_iter().map(|part| part.keeps);
    let Some(mut all) = keeps.next().filter(|_| !near) else {
        return Ok(None);
    };
    for more in keeps {
        all = both(draft, name, values, &all, &more)?;
    }
    let part = Part {
        keeps: all,
        far: least,
        replaces: x.is_some(),
        asks,
    };
    Ok(Some(Found { x, parts: vec![part] }))
}

/// A number instead of some values of a tensor that may have masks itself: only one by which no place is told from another is known.
/// Of a tensor that is nothing but masks it is what they add.
fn replaced(
    draft: &mut Draft,
    name: &str,
    values: TensorId,
    below: Option<Found>,
    (keeps, far): (Keeps, f64),
) -> Result<Option<Found>, Refusal> {
    let own = |x: Option<TensorId>, keeps| {
        let part = Part {
            keeps,
            far,
            replaces: x.is_some(),
            asks: Vec::new(),
        };
        Ok(Some(Found { x, parts: vec![part] }))
    };
    let Some(below) = below else {
        return own(Some(values), keeps);
    };
    match &below.parts[..] {
        [] => own(below.x, keeps),
        [inner] if inner.far == far && inner.asks.is_empty() => {
            if !inner.replaces && below.x.is_some() && far > -ABSORBS {
                return Ok(None);
            }
            let both = both(draft, name, values, &inner.keeps, &keeps)?;
            own(below.x, both)
        }
        _ => Ok(None),
    }
}

/// Where both are 1, of tensors in the shape of this one.
fn both(draft: &mut Draft, name: &str, like: TensorId, a: &Keeps, b: &Keeps) -> Result<Keeps, Refusal> {
    let shape = draft.shape(like);
    let len = shape.iter().product();
    match (a, b) {
        (Keeps::Constant(a), Keeps::Constant(b)) => {
            Ok(Keeps::Constant(a.iter().zip(b).map(|(a, b)| *a && *b).collect()))
        }
        (Keeps::Computed(id), Keeps::Constant(counts)) | (Keeps::Constant(counts), Keeps::Computed(id)) => {
            also(draft, name, *id, counts).map(Keeps::Computed)
        }
        (Keeps::Computed(a), Keeps::Computed(b)) => {
            let map = line(len, vec![1.0, 1.0], -1.0)?;
            step(draft, name, map, &[*a, *b], &shape).map(Keeps::Computed)
        }
    }
}

/// The same in other places, those of a tensor that is moved so.
fn wired(
    draft: &mut Draft,
    name: &str,
    below: Found,
    source: Option<&[u32]>,
    like: TensorId,
) -> Result<Found, Refusal> {
    let shape = draft.shape(like);
    let tensor = |draft: &mut Draft, id: TensorId| match source {
        Some(source) => wiring::emit(draft, name, id, &shape, source.to_vec()),
        None => wiring::reshape(draft, name, id, &shape),
    };
    let x = below.x.map(|x| tensor(draft, x)).transpose()?;
    let mut parts = below.parts;
    for part in &mut parts {
        part.keeps = match (&part.keeps, source) {
            (Keeps::Computed(id), _) => Keeps::Computed(tensor(draft, *id)?),
            (Keeps::Constant(counts), Some(source)) => {
                let of = |at: &u32| counts.get(*at as usize).copied().unwrap_or(true);
                Keeps::Constant(source.iter().map(of).collect())
            }
            (Keeps::Constant(counts), None) => Keeps::Constant(counts.clone()),
        };
    }
    Ok(Found { x, parts })
}

/// `a · c + b` of a tensor, value by value, for one of yes and no.
struct Line {
    c: TensorId,
    a: Vec<f64>,
    b: Vec<f64>,
    /// Whether the model has to say that it takes nothing else there.
    asks: bool,
}

impl Line {
    fn of(draft: &Draft, id: TensorId) -> Option<Self> {
        let len = draft.shape(id).iter().product();
        let (mut at, mut a, mut b) = (id, vec![1.0; len], vec![0.0; len]);
        for _ in 0..MOST {
            if draft.numbers(at).is_some_and(|of| YES_OR_NO.has(of)) {
                let asks = false;
                return Some(Self { c: at, a, b, asks });
            }
            // Floats of an input too: by whatever else it had, places would be taken out in part.
            if draft.may_take(at, YES_OR_NO) {
                let asks = true;
                return Some(Self { c: at, a, b, asks });
            }
            match producer(draft, at)? {
                (FloatOp::Wiring(Wiring { source: None }), &[x]) => at = x,
                (FloatOp::Linear(linear), &[x]) if linear.activation == Activation::Identity => {
                    let FloatMap::Affine { scale, bias, .. } = &linear.map else {
                        return None;
                    };
                    for (t, (a, b)) in a.iter_mut().zip(&mut b).enumerate() {
                        let c = linear.map.channel_of(t);
                        (*a, *b) = (*a * scale.get(c)?, *a * bias.get(c)? + *b);
                    }
                    at = x;
                }
                _ => return None,
            }
        }
        None
    }
}

/// A tensor that is a mask and nothing else: far below 0 for one of yes and no.
fn of_line(draft: &mut Draft, name: &str, id: TensorId) -> Result<Option<Found>, Refusal> {
    let Some(line) = Line::of(draft, id) else {
        return Ok(None);
    };
    let (mut fars, mut keeps) = (Vec::new(), [Vec::new(), Vec::new()]);
    let mut rest = [Vec::new(), Vec::new()];
    for (a, b) in line.a.iter().zip(&line.b) {
        let [no, yes] = [*b, a + b].map(|v| if v <= FAR { Some(v) } else { None });
        fars.extend([no, yes].into_iter().flatten());
        let (of_mask, of_rest) = match (no, yes) {
            (None, None) => ([0.0, 1.0], [*a, *b]),
            (Some(_), None) => ([1.0, 0.0], [0.0, a + b]),
            (None, Some(_)) => ([-1.0, 1.0], [0.0, *b]),
            (Some(_), Some(_)) => ([0.0, 0.0], [0.0, 0.0]),
        };
        (0..2).for_each(|at| keeps[at].push(of_mask[at]));
        (0..2).for_each(|at| rest[at].push(of_rest[at]));
    }
    // An input of floats is a mask where it alone takes places out, and says nothing anywhere: scores to which a constant mask is
    // added are none.
    if line.asks && (keeps[0].iter().all(|a| *a == 0.0) || rest.concat().iter().any(|v| *v != 0.0)) {
        return Ok(None);
    }
    let Some(far) = common(&fars) else {
        return Ok(None);
    };
    let shape = draft.shape(id);
    let c = wiring::reshape(draft, name, line.c, &shape)?;
    let x = if rest.concat().iter().all(|v| *v == 0.0) {
        None
    } else {
        let map = moved::affine(rest.into())?;
        Some(draft.linear(name, map, &[c], &shape)?)
    };
    let same = keeps[0].iter().all(|a| *a == 1.0);
    let keeps = if keeps[0].iter().all(|a| *a == 0.0) {
        Keeps::Constant(keeps[1].iter().map(|b| *b == 1.0).collect())
    } else if same {
        Keeps::Computed(c)
    } else {
        let map = moved::affine(keeps.into())?;
        Keeps::Computed(whole(draft, name, map, &[c], &shape, YES_OR_NO)?)
    };
    let part = Part {
        keeps,
        far,
        replaces: false,
        asks: if line.asks { vec![line.c] } else { Vec::new() },
    };
    Ok(Some(Found { x, parts: vec![part] }))
}

/// What all of them are.
fn common(fars: &[f64]) -> Option<f64> {
    let first = *fars.first()?;
    fars.iter().all(|far| *far == first).then_some(first)
}

/// Tensors with or without masks times factors, added, and constants that may mask.
fn of_sum(
    draft: &mut Draft,
    name: &str,
    id: TensorId,
    (map, inputs): (&FloatMap, &[TensorId]),
    left: &mut usize,
) -> Result<Option<Found>, Refusal> {
    let shape = draft.shape(id);
    let len: usize = shape.iter().product();
    let count = map.bias().len().max(1);
    let channel: Vec<usize> = (0..len).map(|t| map.channel_of(t)).collect();
    let mut added: Vec<f64> = channel.iter().map(|&c| map.bias()[c]).collect();
    let mut factors: Vec<Vec<f64>> = map
        .weight()
        .chunks(count)
        .map(|of| channel.iter().map(|&c| of[c]).collect())
        .collect();
    let counts: Vec<bool> = added.iter().map(|b| *b > FAR).collect();
    let fars: Vec<f64> = added.iter().copied().filter(|b| *b <= FAR).collect();
    let own = if fars.is_empty() {
        None
    } else {
        let Some(far) = common(&fars) else {
            return Ok(None);
        };
        let stand = |f: &Vec<f64>| {
            f.iter()
                .zip(&counts)
                .filter(|(_, c)| !**c)
                .all(|(f, _)| *f == 0.0)
        };
        let replaces = factors.iter().all(stand);
        // Where the constant stands instead of a value, any will do.
        if let ([factors], true) = (&mut factors[..], replaces) {
            let usual = factors.iter().zip(&counts).find(|(_, c)| **c);
            let usual = usual.map_or(1.0, |(f, _)| *f);
            let masked = factors.iter_mut().zip(&counts).filter(|(_, c)| !**c);
            masked.for_each(|(f, _)| *f = usual);
        }
        added.iter_mut().filter(|b| **b <= FAR).for_each(|b| *b = 0.0);
        Some((Keeps::Constant(counts), far, replaces))
    };
    let (mut tensors, mut rows, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    for (tensor, factors) in inputs.iter().zip(factors) {
        let factor = common(&factors).filter(|f| f.is_normal() && *f > 0.0);
        let below = match factor {
            Some(factor) => found(draft, name, *tensor, left)?.map(|found| (found, factor)),
            None => None,
        };
        let Some((below, factor)) = below else {
            tensors.push(*tensor);
            rows.push(factors);
            continue;
        };
        let far = |part: Part| Part {
            far: part.far * factor,
            ..part
        };
        parts.extend(below.parts.into_iter().map(far));
        if let Some(x) = below.x {
            tensors.push(x);
            rows.push(factors);
        }
    }
    // What is added to numbers that stand instead of values tells them apart, where they have room for it.
    let level = common(&added).filter(|_| inputs.len() == 1);
    let alike = level.is_some_and(|added| added == 0.0 || own.is_none());
    if !alike && parts.iter().any(|part| part.replaces && part.far > -ABSORBS) {
        return Ok(None);
    }
    // A factor below 1 may bring one near.
    if parts.iter().any(|part| part.far > FAR) || (parts.is_empty() && own.is_none()) {
        return Ok(None);
    }
    let x = summed(draft, name, &shape, &tensors, rows, added)?;
    let Some((keeps, far, replaces)) = own else {
        return Ok(Some(Found { x, parts }));
    };
    if replaces {
        let below = Found { x, parts };
        return replaced(draft, name, id, Some(below), (keeps, far));
    }
    parts.push(Part {
        keeps,
        far,
        replaces,
        asks: Vec::new(),
    });
    Ok(Some(Found { x, parts }))
}

/// `Σ factor · x + constant`; nothing where that is 0 everywhere.
fn summed(
    draft: &mut Draft,
    name: &str,
    shape: &[usize],
    tensors: &[TensorId],
    mut rows: Vec<Vec<f64>>,
    added: Vec<f64>,
) -> Result<Option<TensorId>, Refusal> {
    let nothing = added.iter().all(|b| *b == 0.0);
    if tensors.is_empty() {
        if nothing {
            return Ok(None);
        }
        return moved::constant(draft, name, &added, shape).map(Some);
    }
    if let ([only], [factors], true) = (tensors, &rows[..], nothing)
        && factors.iter().all(|f| *f == 1.0)
    {
        return Ok(Some(*only));
    }
    rows.push(added);
    let made = draft.linear(name, moved::affine(rows)?, tensors, shape)?;
    Ok(Some(made))
}
