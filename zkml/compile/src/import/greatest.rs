//! Where the greatest value of a row stands: ArgMax, ArgMin, Hardmax, and the labels of classifiers.
//!
//! Invariant: exact, in floats and in integers, whatever stands in the row. The places whose value is not below the greatest get
//! a rank, each another, and the rank of the others is 0; the greatest rank says which place it is.

use zkml::graph::TensorId;

use super::binary::{combination, line, scaled};
use super::compare::{YES_OR_NO, step, whole};
use super::draft::{Draft, Refusal, small, unsupported};
use super::moved::affine;
use super::recipe::{Call, Recipe, axis};
use super::wiring;
use crate::float::{FloatMap, FloatOp, Interval};
use crate::ops::Max;

pub(super) const RECIPES: &[Recipe] = &[
    Recipe::new("ArgMax", |draft, call| place(draft, call, 1.0)).whole(),
    Recipe::new("ArgMin", |draft, call| place(draft, call, -1.0)).whole(),
    Recipe::new("Hardmax", hardmax),
];

/// Most places of a row: ranks are coefficients.
const MOST: usize = 1 << 20;
/// Most entries of a list that is read at a computed place, but one: each is a comparison.
pub(super) const MOST_ENTRIES: usize = 4096;
/// The greatest whole number that is made of a constant: with its sign it has the bits that every profile allows.
pub(super) const MOST_NAME: f64 = 4_194_304.0;

fn place(draft: &mut Draft, call: &Call<'_>, sign: f64) -> Result<TensorId, Refusal> {
    let mut x = call.computed(0)?;
    if sign < 0.0 {
        let of = x;
        x = scaled(draft, call.name, of, sign)?;
        if draft.is_whole(of) {
            let bound = draft.numbers(of).map(Interval::negated);
            draft.whole_within(x, bound);
        }
    }
    let shape = draft.shape(x);
    let along = axis(call.int("axis", 0)?, shape.len())?;
    let order: Vec<usize> = (0..shape.len()).filter(|&d| d != along).chain([along]).collect();
    let x = wiring::permute(draft, call.name, x, &order)?;
    let sizes = [
        shape.iter().product::<usize>() / shape[along].max(1),
        shape[along],
    ];
    let last = call.int("select_last_index", 0)? != 0;
    let ranks = Ranks::new(draft, call.name, x, sizes, last)?;
    let (scale, bias) = if last {
        (1.0, -1.0)
    } else {
        (-1.0, sizes[1] as f64)
    };
    let map = line(sizes[0], vec![scale], bias)?;
    let places = Interval::new(0, i64::from(bound(sizes[1])?) - 1);
    whole(draft, call.name, map, &[ranks.greatest], call.shape, places)
}

/// 1 at the first of the greatest values, else 0: along an axis, or before opset 13 of all from that axis on.
fn hardmax(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let x = call.computed(0)?;
    let shape = draft.shape(x);
    let old = call.opset < 13;
    let along = axis(call.int("axis", if old { 1 } else { -1 })?, shape.len())?;
    let order: Vec<usize> = if old {
        (0..shape.len()).collect()
    } else {
        (0..shape.len()).filter(|&d| d != along).chain([along]).collect()
    };
    let places: usize = if old {
        shape[along..].iter().product()
    } else {
        shape[along]
    };
    let sizes = [shape.iter().product::<usize>() / places.max(1), places];
    let x = wiring::permute(draft, call.name, x, &order)?;
    let below = Ranks::new(draft, call.name, x, sizes, false)?.below_greatest(draft, call.name)?;
    let map = line(sizes[0] * places, vec![-1.0], 1.0)?;
    let made = whole(draft, call.name, map, &[below], &sizes, YES_OR_NO)?;
    let moved: Vec<usize> = order.iter().map(|&d| shape[d]).collect();
    let made = wiring::reshape(draft, call.name, made, &moved)?;
    let place = |d: usize| order.iter().position(|&o| o == d).unwrap_or(d);
    let back: Vec<usize> = (0..shape.len()).map(place).collect();
    wiring::permute(draft, call.name, made, &back)
}

/// The names of the classes with the greatest scores, the first of equal ones: one for each row.
pub(super) fn label(
    draft: &mut Draft,
    name: &str,
    scores: TensorId,
    [rows, classes]: [usize; 2],
    names: &[i64],
) -> Result<TensorId, Refusal> {
    let ranks = Ranks::new(draft, name, scores, [rows, classes], false)?;
    // 1 where the greatest rank is above a place's own: everywhere but at the place.
    let below = ranks.below_greatest(draft, name)?;
    let names = labels(names)?;
    let [inputs] = small([classes])?;
    let map = FloatMap::Dense {
        inputs,
        outputs: 1,
        weight: names.iter().map(|n| -n).collect(),
        bias: vec![names.iter().sum()],
    };
    whole(draft, name, map, &[below], &[rows], greatest(&names))
}

/// The names of the first of the greatest values of rows: each place of each row has one.
pub(super) fn names(
    draft: &mut Draft,
    name: &str,
    x: TensorId,
    sizes: [usize; 2],
    names: Vec<f64>,
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let most = greatest(&names);
    if names.iter().any(|n| n.abs() > MOST_NAME) {
        return unsupported("a place beyond 2^22");
    }
    let below = Ranks::new(draft, name, x, sizes, false)?.below_greatest(draft, name)?;
    // A name where it is not below the greatest, and 0 elsewhere; of each row all but one are 0.
    let map = affine(vec![names.iter().map(|n| -n).collect(), names])?;
    let own = whole(draft, name, map, &[below], &sizes, most)?;
    let [inputs] = small([sizes[1]])?;
    let map = FloatMap::Dense {
        inputs,
        outputs: 1,
        weight: vec![1.0; sizes[1]],
        bias: vec![0.0],
    };
    whole(draft, name, map, &[own], shape, most)
}

/// The name of the second class where a score of it is above a bound, else of the first.
pub(super) fn label_of_two(
    draft: &mut Draft,
    name: &str,
    second: TensorId,
    bound: f64,
    names: &[i64],
) -> Result<TensorId, Refusal> {
    let names = labels(names)?;
    let &[first, other] = &names[..] else {
        return unsupported("a label of two classes without two names");
    };
    let rows = draft.shape(second).iter().product::<usize>();
    let line = |scale: f64, constant: f64| line(rows, vec![scale], constant);
    let above = step(draft, name, line(1.0, -bound)?, &[second], &[rows])?;
    whole(
        draft,
        name,
        line(other - first, first)?,
        &[above],
        &[rows],
        greatest(&names),
    )
}

/// The entries of a list at computed places, which are whole numbers: each as the first entry, and the steps from one to the
/// next that the place is behind.
pub(super) fn entries(
    draft: &mut Draft,
    name: &str,
    list: &[f64],
    places: TensorId,
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let there = Interval::new(0, list.len() as i64 - 1);
    let reaches = draft.numbers(places).is_some_and(|of| there.has(of));
    if list.is_empty() || !reaches {
        return unsupported(format!("computed places in a list of {} entries", list.len()));
    }
    rows(draft, name, list, 1, places, shape)
}

/// Rows of a table at computed places: each as the first row, and the steps from one to the next that the place is behind.
pub(super) fn rows(
    draft: &mut Draft,
    name: &str,
    table: &[f64],
    width: usize,
    places: TensorId,
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let count = draft.shape(places).iter().product::<usize>();
    let all = table.len() / width.max(1);
    let steps = all.saturating_sub(1);
    if all == 0 || steps > MOST_ENTRIES {
        return unsupported(format!(
            "computed places in a table of {all} rows: 1 to {} are supported",
            MOST_ENTRIES + 1
        ));
    }
    if steps == 0 {
        return only(draft, name, table, places, shape);
    }
    if count.saturating_mul(steps.max(width)) > super::MAX_TENSOR_LEN {
        return Err(Refusal::TooLarge);
    }
    let spread: Vec<u32> = (0..count)
        .flat_map(|at| std::iter::repeat_n(at as u32, steps))
        .collect();
    let spread = wiring::emit(draft, name, places, &[count, steps], spread)?;
    let [outer, channels] = small([count, steps])?;
    let map = FloatMap::Affine {
        outer,
        channels,
        inner: 1,
        scale: vec![1.0; steps],
        bias: (0..steps).map(|at| -(at as f64)).collect(),
    };
    let behind = step(draft, name, map, &[spread], &[count, steps])?;
    let [outputs] = small([width])?;
    let between = |column: usize| {
        (0..steps).map(move |row| table[(row + 1) * width + column] - table[row * width + column])
    };
    let map = FloatMap::Dense {
        inputs: channels,
        outputs,
        weight: (0..width).flat_map(between).collect(),
        bias: table[..width].to_vec(),
    };
    let made = if table.iter().all(|v| v.fract() == 0.0 && v.abs() <= MOST_NAME) {
        whole(draft, name, map, &[behind], &[count, width], greatest(table))?
    } else {
        // Whichever entries calibration sees.
        let made = draft.linear(name, map, &[behind], &[count, width])?;
        let most = table.iter().fold(0f64, |m, v| m.max(v.abs())).ceil();
        if most < MOST_NAME {
            draft.bound(made, most as u32);
        }
        made
    };
    wiring::reshape(draft, name, made, shape)
}

/// The only row of a table, wherever a place names it.
fn only(
    draft: &mut Draft,
    name: &str,
    row: &[f64],
    places: TensorId,
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let count = draft.shape(places).iter().product::<usize>();
    if count.saturating_mul(row.len()) > super::MAX_TENSOR_LEN {
        return Err(Refusal::TooLarge);
    }
    let [outputs] = small([row.len()])?;
    let map = FloatMap::Dense {
        inputs: 1,
        outputs,
        weight: vec![0.0; row.len()],
        bias: row.to_vec(),
    };
    let made = match Interval::of(row.iter().copied()).filter(|of| of.magnitude() <= MOST_NAME as u64) {
        Some(of) => whole(draft, name, map, &[places], &[count, row.len()], of)?,
        None => draft.linear(name, map, &[places], &[count, row.len()])?,
    };
    wiring::reshape(draft, name, made, shape)
}

/// Names of classes as floats.
fn labels(names: &[i64]) -> Result<Vec<f64>, Refusal> {
    let names: Vec<f64> = names.iter().map(|&n| n as f64).collect();
    if names.iter().any(|n| n.abs() > MOST_NAME) {
        return unsupported("a label beyond 2^22");
    }
    Ok(names)
}

fn greatest(values: &[f64]) -> u32 {
    // Whole, and not beyond `MOST_NAME`.
    values.iter().fold(0f64, |m, v| m.max(v.abs())) as u32
}

fn bound(places: usize) -> Result<u32, Refusal> {
    match u32::try_from(places) {
        Ok(n) if places <= MOST => Ok(n),
        Ok(_) | Err(_) => unsupported(format!("a row of {places} places: {MOST} are supported")),
    }
}

/// Of rows: each place's rank, and the greatest of each row.
struct Ranks {
    each: TensorId,
    greatest: TensorId,
    sizes: [usize; 2],
}

impl Ranks {
    /// The place that counts has the greatest rank among those of the greatest value.
    fn new(
        draft: &mut Draft,
        name: &str,
        x: TensorId,
        sizes: [usize; 2],
        last: bool,
    ) -> Result<Self, Refusal> {
        let [rows, places] = sizes;
        let most = bound(places)?;
        let top = row_maximum(draft, name, x, sizes)?;
        let top = repeated(draft, name, top, sizes)?;
        // 1 where the row's greatest value is above this one.
        let map = combination(rows * places, vec![1.0, -1.0])?;
        let below = step(draft, name, map, &[top, x], &[rows, places])?;
        let rank = |at: usize| (if last { at + 1 } else { places - at }) as f64;
        let [outer, channels] = small([rows, places])?;
        let map = FloatMap::Affine {
            outer,
            channels,
            inner: 1,
            scale: (0..places).map(|at| -rank(at)).collect(),
            bias: (0..places).map(rank).collect(),
        };
        let each = whole(draft, name, map, &[below], &[rows, places], most)?;
        let greatest = row_maximum(draft, name, each, sizes)?;
        draft.whole(greatest, most);
        Ok(Self {
            each,
            greatest,
            sizes,
        })
    }

    fn below_greatest(&self, draft: &mut Draft, name: &str) -> Result<TensorId, Refusal> {
        let greatest = repeated(draft, name, self.greatest, self.sizes)?;
        let [rows, places] = self.sizes;
        let map = combination(rows * places, vec![1.0, -1.0])?;
        step(draft, name, map, &[greatest, self.each], &[rows, places])
    }
}

/// The greatest of each row.
pub(super) fn row_maximum(
    draft: &mut Draft,
    name: &str,
    x: TensorId,
    [rows, places]: [usize; 2],
) -> Result<TensorId, Refusal> {
    let window = |row: usize| (row * places..(row + 1) * places).map(|i| i as u32).collect();
    let windows = (0..rows).map(window).collect();
    draft.node(name, FloatOp::Max(Max { windows }), &[x], &[rows])
}

/// A value for each row, at all its places.
pub(super) fn repeated(
    draft: &mut Draft,
    name: &str,
    of_rows: TensorId,
    [rows, places]: [usize; 2],
) -> Result<TensorId, Refusal> {
    let column = wiring::reshape(draft, name, of_rows, &[rows, 1])?;
    wiring::broadcast(draft, name, column, &[rows, places])
}
