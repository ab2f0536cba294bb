//! Attention: scores of two tensors, their softmax, and its product with a third.
//!
//! Invariant: exact in floats, as ONNX writes it: `softmax(cap(scale · Q · Kᵀ) + bias) · V`. Heads that share a key are rows of one
//! matrix, so that no key is repeated; what a mask takes out counts in no row's sum.

use zkml::graph::TensorId;

use super::binary::scaled;
use super::draft::{Draft, Refusal, unsupported};
use super::held;
use super::kept::{self, Choice};
use super::maps::{each, repeated};
use super::mask::{FAR, Masked};
use super::moved::{Source, affine, moved};
use super::product::{self, Factor};
use super::recipe::{Call, Recipe};
use super::{softmax, wiring};
use crate::float::Hold;
use crate::functions::Function;

pub(super) const RECIPES: &[Recipe] = &[Recipe::several("Attention", |draft, call| {
    attention(draft, call, false)
})];
/// With a mask of yes and no that is computed.
pub(super) const OF_YES_AND_NO: &[Recipe] = &[Recipe::several("Attention", |draft, call| {
    attention(draft, call, true)
})];

/// Of its tensors.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    heads: usize,
    /// Heads of keys and values.
    groups: usize,
    queries: usize,
    keys: usize,
}

impl Sizes {
    fn scores(&self) -> [usize; 4] {
        [self.batch, self.heads, self.queries, self.keys]
    }

    fn rows(&self) -> [usize; 2] {
        [self.batch * self.heads * self.queries, self.keys]
    }
}

/// `asks`: whether its mask says by a computed yes or no which places count.
fn attention(draft: &mut Draft, call: &Call<'_>, asks: bool) -> Result<Vec<Option<TensorId>>, Refusal> {
    let (heads, groups) = (call.int("q_num_heads", 0)?, call.int("kv_num_heads", 0)?);
    let flat = call.shape_of(draft, 0)?.len() == 3;
    let q = by_heads(draft, call, 0, heads)?;
    let k = by_heads(draft, call, 1, groups)?;
    let v = by_heads(draft, call, 2, groups)?;
    let k = with_past(draft, call, 4, k)?;
    let v = with_past(draft, call, 5, v)?;
    let ([batch, heads, queries, size], [_, groups, keys, _]) = (four(draft, q)?, four(draft, k)?);
    let width = four(draft, v)?[3];
    if groups == 0 || !heads.is_multiple_of(groups) {
        return unsupported(format!("{heads} heads with {groups} of keys"));
    }
    let sizes = Sizes {
        batch,
        heads,
        groups,
        queries,
        keys,
    };
    let scale = if call.node.attribute.iter().any(|a| a.name == "scale") {
        call.float("scale", 1.0)?
    } else {
        1.0 / (size as f64).sqrt()
    };
    let cap = call.float("softcap", 0.0)?;
    let mode = call.int("qk_matmul_output_mode", 0)?;
    let wants_scores = call.node.output.get(3).is_some_and(|o| !o.is_empty());

    let raw = grouped(draft, call, ["bgrd", "bgsd", "bgrs"], [q, k], sizes)?;
    let raw = wiring::reshape(draft, call.name, raw, &sizes.scores())?;
    // A factor is one of the differences that the softmax takes: only who asks for the scores themselves has a node for it.
    let (mut scores, mut factor) = (raw, scale);
    if cap > 0.0 {
        let part = scaled(draft, call.name, raw, scale / cap)?;
        scores = held::flat(draft, call.name, part, Function::tanh())?;
        factor = cap;
    }
    let mut said = match mode {
        0 if wants_scores => Some(scaled(draft, call.name, raw, scale)?),
        1 if wants_scores => Some(scaled(draft, call.name, scores, factor)?),
        _ => None,
    };
    let (masked, choice) = biased(draft, call, (scores, factor), sizes, asks)?;
    if mode == 2 && wants_scores {
        if choice.is_some() || !masked.all_count() {
            return unsupported("scores with masked places, which are infinite, as an output");
        }
        said = Some(scaled(draft, call.name, masked.x, masked.factor)?);
    }
    let weights = softmax::of_rows_kept(draft, call.name, &masked, choice.as_ref(), sizes.rows())?;
    if mode == 3 && wants_scores {
        let bound = draft.bound_of(weights);
        let named = wiring::reshape(draft, call.name, weights, &sizes.scores())?;
        if let Some(bound) = bound {
            draft.bound(named, bound);
        }
        said = Some(named);
    }
    let y = grouped(draft, call, ["bgrs", "bgsd", "bgrd"], [weights, v], sizes)?;
    // Rows of few great weights make more of the values than rows of many alike ones, and no sample need have them.
    draft.hold(y, Hold::All);
    let y = wiring::reshape(draft, call.name, y, &[batch, heads, queries, width])?;
    let y = if flat {
        let y = wiring::permute(draft, call.name, y, &[0, 2, 1, 3])?;
        wiring::reshape(draft, call.name, y, &[batch, queries, heads * width])?
    } else {
        y
    };
    Ok(vec![Some(y), Some(k), Some(v), said])
}

fn four(draft: &Draft, x: TensorId) -> Result<[usize; 4], Refusal> {
    let shape = draft.shape(x);
    shape
        .try_into()
        .map_err(|s| Refusal::Unsupported(format!("a tensor of shape {s:?}")))
}

/// `[batch, heads, sequence, size]` of an input that may have its heads side by side.
fn by_heads(draft: &mut Draft, call: &Call<'_>, at: usize, heads: i64) -> Result<TensorId, Refusal> {
    let x = call.computed(at)?;
    let shape = draft.shape(x);
    let [batch, sequence, all] = shape[..] else {
        four(draft, x)?;
        return Ok(x);
    };
    let heads = usize::try_from(heads).unwrap_or(0);
    if heads == 0 || !all.is_multiple_of(heads) {
        return unsupported(format!("{all} values in {heads} heads"));
    }
    let x = wiring::reshape(draft, call.name, x, &[batch, sequence, heads, all / heads])?;
    wiring::permute(draft, call.name, x, &[0, 2, 1, 3])
}

/// The past, then what is new, along the sequence.
fn with_past(draft: &mut Draft, call: &Call<'_>, at: usize, new: TensorId) -> Result<TensorId, Refusal> {
    if !call.has(at) {
        return Ok(new);
    }
    let (past, [batch, heads, sequence, size]) = (call.shape_of(draft, at)?, four(draft, new)?);
    let [b, h, before, s] = past[..] else {
        return unsupported(format!("a past of shape {past:?}"));
    };
    if [b, h, s] != [batch, heads, size] {
        return unsupported(format!("a past of shape {past:?} before {:?}", draft.shape(new)));
    }
    let computed = call.is_computed(at);
    let constant = if computed {
        Vec::new()
    } else {
        call.constant(at)?.values
    };
    let operands = if computed {
        vec![call.computed(at)?, new]
    } else {
        vec![new]
    };
    let shape = vec![batch, heads, before + sequence, size];
    let (_, sources) = each(shape.clone(), |place| {
        let &[b, h, t, d] = place else {
            return unsupported("a place of another rank");
        };
        let of = |t: usize, length: usize| ((b * heads + h) * length + t) * size + d;
        if t >= before {
            return Ok(Source::Of(operands.len() - 1, of(t - before, sequence)));
        }
        if computed {
            return Ok(Source::Of(0, of(t, before)));
        }
        let value = constant.get(of(t, before)).copied();
        Ok(Source::Constant(value.unwrap_or(0.0)))
    })?;
    moved(draft, call.name, &operands, &sources, &shape)
}

/// A product for each head of keys, of all the rows of the heads that share it.
fn grouped(
    draft: &mut Draft,
    call: &Call<'_>,
    letters: [&str; 3],
    [left, right]: [TensorId; 2],
    sizes: Sizes,
) -> Result<TensorId, Refusal> {
    let [l, r, out] = letters.map(|axes| axes.chars().collect::<Vec<char>>());
    let rows = sizes.heads / sizes.groups * sizes.queries;
    let all = draft.shape(left).iter().product::<usize>();
    let inner = all / (sizes.batch * sizes.groups * rows).max(1);
    let left = wiring::reshape(draft, call.name, left, &[sizes.batch, sizes.groups, rows, inner])?;
    let last = match r.iter().position(|c| out.last() == Some(c)) {
        Some(at) => four(draft, right)?[at],
        None => return unsupported("a product without columns"),
    };
    let factor = |axes, tensor| Factor { axes, tensor };
    let shape = [sizes.batch, sizes.groups, rows, last];
    let (left, right) = (factor(&l[..], left), factor(&r[..], right));
    product::einsum(draft, call.name, &left, &right, &out, &shape)
}

/// The scores with the mask's values added, and which places it and the order of time leave, by constants or by what is computed.
fn biased(
    draft: &mut Draft,
    call: &Call<'_>,
    (scores, factor): (TensorId, f64),
    sizes: Sizes,
    asks: bool,
) -> Result<(Masked, Option<Choice>), Refusal> {
    let shape = sizes.scores();
    let past = if call.has(4) {
        call.shape_of(draft, 4)?.get(2).copied().unwrap_or(0)
    } else {
        0
    };
    let causal = call.int("is_causal", 0)? != 0;
    let lengths = call.integers(6)?;
    let mask = if call.has(3) {
        call.shape_of(draft, 3)?
    } else {
        vec![1]
    };
    if mask.len() > shape.len() {
        return unsupported(format!("a mask of shape {mask:?}"));
    }
    let len = mask.last().copied().unwrap_or(1);
    // Only what is shorter than the keys ends; one place is for all.
    let ends = if call.has(3) && len != 1 { len } else { sizes.keys };
    let mut counts = Vec::new();
    let (_, places) = each(shape.to_vec(), |place| {
        let &[b, _, i, j] = place else {
            return unsupported("a place of another rank");
        };
        let length = lengths.as_ref().and_then(|l| l.get(b));
        let padded = length.is_some_and(|l| j as i64 >= *l);
        counts.push(j < ends && !(causal && j > i + past) && !padded);
        let at = [place[0], place[1], i, j.min(ends.saturating_sub(1))];
        Ok(Source::Of(0, repeated(&mask, &at)))
    })?;
    let mut choice = None;
    let (x, factor) = if asks {
        let keeps = moved(draft, call.name, &[call.computed(3)?], &places, &shape)?;
        let keeps = kept::also(draft, call.name, keeps, &counts)?;
        let keeps = wiring::reshape(draft, call.name, keeps, &sizes.rows())?;
        choice = Some(Choice::of_rows_with_some(draft, call.name, keeps, sizes.rows())?);
        counts.fill(true);
        (scores, factor)
    } else if call.is_computed(3) {
        let bias = moved(draft, call.name, &[call.computed(3)?], &places, &shape)?;
        let len = places.len();
        let map = affine(vec![vec![factor; len], vec![1.0; len], vec![0.0; len]])?;
        let sum = draft.linear(call.name, map, &[scores, bias], &shape)?;
        let all = counts.iter().all(|c| *c);
        match if all {
            kept::of(draft, call.name, sum)?
        } else {
            None
        } {
            Some(found) => {
                let rows = sizes.rows();
                let tensor = |draft: &mut Draft, id| wiring::reshape(draft, call.name, id, &rows);
                let x = found.x;
                let found = found.placed(draft, tensor, <[bool]>::to_vec)?;
                choice = Some(found.choice(draft, call.name, rows)?);
                (x, 1.0)
            }
            None => (sum, 1.0),
        }
    } else if call.has(3) {
        let (constant, says) = (call.constant(3)?.values, call.is_bool(3));
        let value = |source: &Source| match source {
            Source::Of(_, place) => constant.get(*place).copied().unwrap_or(0.0),
            Source::Constant(c) => *c,
        };
        let mut added = Vec::with_capacity(places.len());
        for (count, place) in counts.iter_mut().zip(&places) {
            let value = value(place);
            *count &= if says { value != 0.0 } else { value > FAR };
            added.push(if says || !*count { 0.0 } else { value });
        }
        if added.iter().all(|b| *b == 0.0) {
            (scores, factor)
        } else {
            let map = affine(vec![vec![factor; added.len()], added])?;
            (draft.linear(call.name, map, &[scores], &shape)?, 1.0)
        }
    } else {
        (scores, factor)
    };
    if factor.is_normal() && factor > 0.0 {
        return Ok((Masked { x, factor, counts }, choice));
    }
    let x = scaled(draft, call.name, x, factor)?;
    let masked = Masked {
        x,
        factor: 1.0,
        counts,
    };
    Ok((masked, choice))
}
