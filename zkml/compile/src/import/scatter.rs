//! Values put to places that constant indices name, over what was there or together with it.
//!
//! Invariant: exact in floats up to the order of additions. Of several updates of one place the last counts where they replace,
//! and all of them where they are reduced.

use zkml::graph::TensorId;

use super::binary::scaled;
use super::draft::{Draft, Refusal, unsupported};
use super::maps::{Map, each, flat, place, same, slices};
use super::moved::Source;
use super::recipe::{Call, IsConstant, Recipe, axis, sizes, wired};
use super::span::numbers;
use super::sums::Sums;
use crate::float::FloatOp;
use crate::ops::Max;

/// Of the other forms the index maps are.
pub(super) const RECIPES: &[Recipe] = &[
    Recipe::new("ScatterElements", reduced_elements).only(reduces),
    Recipe::new("ScatterND", reduced_nd).only(reduces),
];

fn reduces(node: &tract_onnx::pb::NodeProto, _: IsConstant<'_>) -> bool {
    node.attribute
        .iter()
        .any(|a| a.name == "reduction" && a.s != b"none")
}

/// The shapes of data and indices, and for each place of the indices the place in the data that it names.
type Elements = (Vec<usize>, Vec<usize>, Vec<usize>);

/// Each index names its own place in the data, but along the axis.
pub(super) fn element_places(call: &Call<'_>, draft: &Draft) -> Result<Elements, Refusal> {
    let (from, of) = (call.shape_of(draft, 0)?, call.shape_of(draft, 1)?);
    let along = axis(call.int("axis", 0)?, from.len())?;
    let indices = call.integers(1)?.unwrap_or_default();
    let fits = (0..from.len()).all(|d| d == along || of.get(d).is_some_and(|&n| n <= from[d]));
    if of.len() != from.len() || !fits {
        return unsupported("indices that reach beyond the data");
    }
    let (_, places) = each(of.clone(), |at| {
        let mut own = at.to_vec();
        own[along] = place(indices[flat(&of, at)], from[along])?;
        Ok(Source::Of(0, flat(&from, &own)))
    })?;
    Ok((from, of, places.iter().map(place_in).collect()))
}

fn place_in(source: &Source) -> usize {
    match source {
        Source::Of(_, place) => *place,
        Source::Constant(_) => 0,
    }
}

/// The data's shape, and the place in it of each update.
type Updates = (Vec<usize>, Vec<usize>);

fn updated_elements(call: &Call<'_>, draft: &Draft) -> Result<Updates, Refusal> {
    let (from, of, places) = element_places(call, draft)?;
    if call.shape_of(draft, 2)? != of {
        return unsupported("updates of another shape than the indices'");
    }
    Ok((from, places))
}

fn updated_slices(call: &Call<'_>, draft: &Draft) -> Result<Updates, Refusal> {
    let (from, of) = (call.shape_of(draft, 0)?, call.shape_of(draft, 1)?);
    if of.is_empty() {
        return unsupported("indices that are one number");
    }
    let places = slices((&from, 0), &call.integers(1)?.unwrap_or_default(), &of)?;
    if call.shape_of(draft, 2)?.iter().product::<usize>() != places.len() {
        return unsupported("updates that are not as many as the places");
    }
    Ok((from, places))
}

/// The data with the updates, which are operand `of`, put to their places, the later ones over the earlier.
fn scattered((from, places): Updates, of: usize) -> Result<Map, Refusal> {
    let (shape, mut sources) = same(from)?;
    for (update, &at) in places.iter().enumerate() {
        match sources.get_mut(at) {
            Some(source) => *source = Source::Of(of, update),
            None => return unsupported("an index outside the data"),
        }
    }
    Ok((shape, sources))
}

pub(super) fn elements(call: &Call<'_>, draft: &Draft) -> Result<Map, Refusal> {
    scattered(updated_elements(call, draft)?, 2)
}

pub(super) fn nd(call: &Call<'_>, draft: &Draft) -> Result<Map, Refusal> {
    scattered(updated_slices(call, draft)?, 2)
}

/// A cache with an update's slices along an axis, from an index of each sample's own.
pub(super) fn tensor(call: &Call<'_>, draft: &Draft) -> Result<Map, Refusal> {
    let (from, of) = (call.shape_of(draft, 0)?, call.shape_of(draft, 1)?);
    let along = axis(call.int("axis", -2)?, from.len())?;
    let begins = call.integers(2)?;
    let circular = call.text("mode", "linear")? == "circular";
    if of.len() != from.len() {
        return unsupported("an update of another rank than the cache");
    }
    let (_, places) = each(of, |at| {
        let begin = match &begins {
            Some(list) => list.get(at[0]).copied().unwrap_or(-1),
            None => 0,
        };
        let index = begin.saturating_add(at[along] as i64);
        let mut own = at.to_vec();
        own[along] = match usize::try_from(index) {
            Ok(index) if circular => index % from[along].max(1),
            Ok(index) if index < from[along] => index,
            Ok(_) | Err(_) => return unsupported(format!("index {index} of a cache of {}", from[along])),
        };
        Ok(Source::Of(0, flat(&from, &own)))
    })?;
    scattered((from, places.iter().map(place_in).collect()), 1)
}

/// A pool's maxima at the places that its indices name, and zeros elsewhere; what a larger result has more lies behind.
pub(super) fn max_unpool(call: &Call<'_>, draft: &Draft) -> Result<Map, Refusal> {
    let from = call.shape_of(draft, 0)?;
    let rank = from.len().saturating_sub(2);
    let kernel = sizes(&call.ints("kernel_shape")?.unwrap_or_default())?;
    let (strides, pads) = (
        numbers(call, "strides", rank, 1)?,
        numbers(call, "pads", 2 * rank, 0)?,
    );
    if kernel.len() != rank || call.shape.len() != from.len() {
        return unsupported("a window of other dimensions than the tensor's");
    }
    let mut pooled = from.clone();
    for d in 0..rank {
        let reach = (from[d + 2].saturating_sub(1))
            .saturating_mul(strides[d])
            .saturating_add(kernel[d]);
        pooled[d + 2] = reach.saturating_sub(pads[d] + pads[rank + d]);
    }
    let len = pooled.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let Some(len) = len.filter(|n| *n <= super::MAX_TENSOR_LEN) else {
        return Err(Refusal::TooLarge);
    };
    let mut found = vec![Source::Constant(0.0); len];
    for (value, at) in call.integers(1)?.unwrap_or_default().into_iter().enumerate() {
        found[place(at, len)?] = Source::Of(0, value);
    }
    each(call.shape.to_vec(), |at| {
        let inside = at.iter().zip(&pooled).all(|(i, n)| i < n);
        Ok(match inside {
            true => found[flat(&pooled, at)],
            false => Source::Constant(0.0),
        })
    })
}

fn reduced_elements(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let updates = updated_elements(call, draft)?;
    reduced(draft, call, updates)
}

fn reduced_nd(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let updates = updated_slices(call, draft)?;
    reduced(draft, call, updates)
}

/// The data's value and all updates of a place together.
fn reduced(draft: &mut Draft, call: &Call<'_>, (from, places): Updates) -> Result<TensorId, Refusal> {
    let len: usize = from.iter().product();
    let mut updates = vec![Vec::new(); len];
    for (update, &at) in places.iter().enumerate() {
        match updates.get_mut(at) {
            Some(list) => list.push(update),
            None => return unsupported("an index outside the data"),
        }
    }
    match call.text("reduction", "none")?.as_str() {
        "add" => {
            let mut sums = Sums::new(len);
            for (t, list) in updates.iter().enumerate() {
                sums.add(t, (0, t), 1.0)?;
                for &update in list {
                    sums.add(t, (2, update), 1.0)?;
                }
            }
            sums.made(draft, call)
        }
        "mul" => multiplied(draft, call, &updates),
        "max" => greatest(draft, call, &updates, 1.0),
        "min" => greatest(draft, call, &updates, -1.0),
        other => unsupported(format!("its attribute `reduction` is `{other}`")),
    }
}

/// Products of which one factor at most is computed.
fn multiplied(draft: &mut Draft, call: &Call<'_>, updates: &[Vec<usize>]) -> Result<TensorId, Refusal> {
    let mut sums = Sums::new(updates.len());
    if call.is_computed(2) {
        if call.is_computed(0) || updates.iter().any(|list| list.len() > 1) {
            return unsupported(
                "its attribute `reduction` is `mul`, of several computed values for one place",
            );
        }
        let data = call.constant(0)?.values;
        for (t, list) in updates.iter().enumerate() {
            match list[..] {
                [update] => sums.add(t, (2, update), data.get(t).copied().unwrap_or(0.0))?,
                _ => sums.add(t, (0, t), 1.0)?,
            }
        }
    } else {
        let factors = call.constant(2)?.values;
        for (t, list) in updates.iter().enumerate() {
            let factor = list.iter().filter_map(|&u| factors.get(u)).product();
            sums.add(t, (0, t), factor)?;
        }
    }
    sums.made(draft, call)
}

/// The greatest of each place's values times a sign, times the sign.
fn greatest(
    draft: &mut Draft,
    call: &Call<'_>,
    updates: &[Vec<usize>],
    sign: f64,
) -> Result<TensorId, Refusal> {
    let len = updates.len();
    let count: usize = updates.iter().map(Vec::len).sum();
    let more: usize = call.shape_of(draft, 2)?.iter().product();
    if more != count || len.saturating_add(more) > super::MAX_TENSOR_LEN {
        return Err(Refusal::TooLarge);
    }
    let data = (0..len).map(|t| Source::Of(0, t));
    let both = data.chain((0..more).map(|u| Source::Of(2, u)));
    let mut x = wired(draft, call, both.collect(), &[len + more])?;
    if sign != 1.0 {
        x = scaled(draft, call.name, x, sign)?;
    }
    let window = |(t, list): (usize, &Vec<usize>)| {
        let values = std::iter::once(t).chain(list.iter().map(|u| len + u));
        values.map(|i| i as u32).collect()
    };
    let windows = updates.iter().enumerate().map(window).collect();
    let y = draft.node(call.name, FloatOp::Max(Max { windows }), &[x], call.shape)?;
    if sign == 1.0 {
        return Ok(y);
    }
    scaled(draft, call.name, y, sign)
}
