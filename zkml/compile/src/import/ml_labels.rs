//! Numbers in the places of others, by lists; and numbers as rows of 0 with a 1.
//!
//! Invariant: exact, in floats and in integers: a number is a key where it is neither above nor below it. A key stands in its list
//! once; implementations differ on which of two counts.

use zkml::graph::TensorId;

use super::compare::{YES_OR_NO, step, whole};
use super::draft::{Draft, Refusal, small, unsupported};
use super::greatest::{MOST_ENTRIES, MOST_NAME};
use super::recipe::{Call, Recipe};
use super::{ml, wiring};
use crate::float::{FloatMap, Interval};

pub(super) const RECIPES: &[Recipe] = &[
    Recipe::new("LabelEncoder", encode),
    Recipe::new("OneHotEncoder", one_hot),
    Recipe::new("ZipMap", zipped),
];

/// Scores with the names of their classes: the scores, in the order of the names. Names are the Model's to tell, and the proof's
/// answer is a tensor.
fn zipped(_: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    call.computed(0)
}

/// Refuses lists of texts.
fn no_texts(call: &Call<'_>, names: &[&str]) -> Result<(), Refusal> {
    for name in names {
        if !call.texts(name)?.unwrap_or_default().is_empty() {
            return unsupported(format!(
                "its attribute `{name}` is of texts: numbers are supported"
            ));
        }
    }
    Ok(())
}

/// A list under one of its three names.
fn list(call: &Call<'_>, what: &str) -> Result<Vec<f64>, Refusal> {
    let whole = call.ints(&format!("{what}_int64s"))?;
    if let Some(whole) = whole.filter(|list| !list.is_empty()) {
        if whole.iter().any(|v| v.unsigned_abs() > MOST_NAME as u64) {
            return unsupported(format!("one of its {what} is beyond 2^22"));
        }
        return Ok(whole.iter().map(|&v| v as f64).collect());
    }
    match call.floats(&format!("{what}_floats"))? {
        Some(floats) if !floats.is_empty() => Ok(floats),
        _ => {
            let list = ml::tensor(call, &format!("{what}_tensor"))?;
            if list.is_empty() {
                return unsupported(format!("it has no {what} that are numbers"));
            }
            Ok(list)
        }
    }
}

/// Above which keys a number is, and below which: `[numbers, 2 · keys]` of 1 and 0.
fn beside(draft: &mut Draft, name: &str, x: TensorId, keys: &[f64]) -> Result<TensorId, Refusal> {
    let mut sorted = keys.to_vec();
    sorted.sort_by(f64::total_cmp);
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return unsupported(format!("the key {} twice", pair[0]));
    }
    let (rows, columns) = (draft.shape(x).iter().product::<usize>(), 2 * keys.len());
    if keys.len() > MOST_ENTRIES {
        return unsupported(format!("{} keys: up to {MOST_ENTRIES} are supported", keys.len()));
    }
    if rows.saturating_mul(columns) > super::MAX_TENSOR_LEN {
        return Err(Refusal::TooLarge);
    }
    let spread = (0..rows).flat_map(|at| std::iter::repeat_n(at as u32, columns));
    let spread = wiring::emit(draft, name, x, &[rows, columns], spread.collect())?;
    let [outer, channels] = small([rows, columns])?;
    let sides = |of: fn(f64) -> [f64; 2]| {
        let above = keys.iter().map(move |&key| of(key)[0]);
        above.chain(keys.iter().map(move |&key| of(key)[1]))
    };
    let map = FloatMap::Affine {
        outer,
        channels,
        inner: 1,
        scale: sides(|_| [1.0, -1.0]).collect(),
        bias: sides(|key| [-key, key]).collect(),
    };
    step(draft, name, map, &[spread], &[rows, columns])
}

fn encode(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    no_texts(call, &["classes_strings", "keys_strings", "values_strings"])?;
    let x = call.computed(0)?;
    let (keys, values) = (list(call, "keys")?, list(call, "values")?);
    if keys.len() != values.len() {
        return unsupported(format!("{} values for {} keys", values.len(), keys.len()));
    }
    let floats = call.floats("values_floats")?.is_some_and(|list| !list.is_empty());
    let other = match ml::tensor(call, "default_tensor")?[..] {
        [one] => one,
        [] if floats => call.float("default_float", -0.0)?,
        [] => call.int("default_int64", -1)? as f64,
        _ => return unsupported("its `default_tensor` is not one number"),
    };
    let beside = beside(draft, call.name, x, &keys)?;
    let rows = draft.shape(x).iter().product::<usize>();
    let [inputs] = small([2 * keys.len()])?;
    // The default, and for each key what it has more, unless the number is above or below it.
    let more = || values.iter().map(|value| value - other);
    let map = FloatMap::Dense {
        inputs,
        outputs: 1,
        weight: more().chain(more()).map(|more| -more).collect(),
        bias: vec![other + more().sum::<f64>()],
    };
    let of = Interval::of(values.iter().copied().chain([other]));
    let made = match of.filter(|of| of.magnitude() <= MOST_NAME as u64) {
        Some(of) => whole(draft, call.name, map, &[beside], &[rows, 1], of)?,
        None => {
            let made = draft.linear(call.name, map, &[beside], &[rows, 1])?;
            let most = values.iter().fold(other.abs(), |m, v| m.max(v.abs())).ceil();
            // Whichever keys calibration sees.
            if most < MOST_NAME {
                draft.bound(made, most as u32);
            }
            made
        }
    };
    wiring::reshape(draft, call.name, made, call.shape)
}

fn one_hot(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    no_texts(call, &["cats_strings"])?;
    let x = call.computed(0)?;
    if !draft.is_whole(x) {
        return unsupported("computed categories that are not known to be whole");
    }
    if call.int("zeros", 1)? == 0 {
        return unsupported("its `zeros` is 0: a number that is no category would be an error");
    }
    let categories = list(call, "cats")?;
    let beside = beside(draft, call.name, x, &categories)?;
    let (rows, count) = (draft.shape(x).iter().product::<usize>(), categories.len());
    let side = |first: usize| {
        let row = move |r: usize| (0..count).map(move |at| (2 * r * count + first + at) as u32);
        (0..rows).flat_map(row).collect()
    };
    let above = wiring::emit(draft, call.name, beside, &[rows, count], side(0))?;
    let below = wiring::emit(draft, call.name, beside, &[rows, count], side(count))?;
    let map = super::binary::line(rows * count, vec![-1.0, -1.0], 1.0)?;
    let made = whole(draft, call.name, map, &[above, below], &[rows, count], YES_OR_NO)?;
    wiring::reshape(draft, call.name, made, call.shape)
}
