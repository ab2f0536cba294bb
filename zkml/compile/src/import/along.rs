//! Operators that are a matrix along one axis after the other: sums, averages, resizing.
//!
//! Invariant: exact in floats up to the order of additions. A matrix whose rows each take one value, whole, moves values: then
//! nothing is computed.

use zkml::graph::TensorId;

use super::draft::{Draft, Refusal, unsupported};
use super::moved::{Source, moved};
use super::recipe::{Call, Recipe, along_axis, axis};
use super::span::Span;
use super::{resize, whole_sums};
use crate::float::Interval;

pub(super) const RECIPES: &[Recipe] = &[
    // The others have one weight for all places: they are convolutions of the reader's.
    Recipe::new("AveragePool", average).only(|node, _| {
        let ints = |name: &str| {
            node.attribute
                .iter()
                .find(|a| a.name == name)
                .map(|a| &a.ints[..])
        };
        let is = |name: &str| node.attribute.iter().any(|a| a.name == name && a.i != 0);
        let same = node
            .attribute
            .iter()
            .any(|a| a.name == "auto_pad" && a.s.starts_with(b"SAME"));
        let padded = same || ints("pads").is_some_and(|pads| pads.iter().any(|p| *p != 0));
        let many = ints("kernel_shape").is_some_and(|k| k.len() > 2);
        many || is("ceil_mode") || (padded && !is("count_include_pad"))
    }),
    Recipe::new("CumSum", cumulate),
    Recipe::new("Resize", resize::resize),
    Recipe::new("Upsample", resize::upsample),
];

/// A row for each place of the result along an axis: places of the input with their weights, and a constant.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    pub weights: Vec<(usize, f64)>,
    pub bias: f64,
}

/// `x` times the matrix of the rows along the axis.
pub(super) fn rows(
    draft: &mut Draft,
    call: &Call<'_>,
    x: TensorId,
    axis: usize,
    rows: &[Row],
) -> Result<TensorId, Refusal> {
    let shape = draft.shape(x);
    let inputs = shape.get(axis).copied().unwrap_or(1);
    let moves = |row: &Row| matches!(row.weights[..], [] | [(_, 1.0)]);
    if rows.iter().all(moves) {
        let mut made = shape.clone();
        made[axis] = rows.len();
        let behind: usize = shape[axis + 1..].iter().product();
        let before: usize = shape[..axis].iter().product();
        if before.saturating_mul(behind).saturating_mul(rows.len()) > super::MAX_TENSOR_LEN {
            return Err(Refusal::TooLarge);
        }
        let mut sources = Vec::new();
        for b in 0..before {
            for row in rows {
                sources.extend((0..behind).map(|r| match row.weights[..] {
                    [(at, _)] => Source::Of(0, (b * inputs + at) * behind + r),
                    _ => Source::Constant(row.bias),
                }));
            }
        }
        return moved(draft, call.name, &[x], &sources, &made);
    }
    if inputs.saturating_mul(rows.len()) > super::MAX_TENSOR_LEN {
        return Err(Refusal::TooLarge);
    }
    let mut weight = vec![0.0; inputs * rows.len()];
    for (o, row) in rows.iter().enumerate() {
        for &(at, w) in &row.weights {
            weight[o * inputs + at] += w;
        }
    }
    let bias = rows.iter().map(|r| r.bias).collect();
    along_axis(draft, call.name, x, axis, weight, bias)
}

/// A window's average is that of its averages along the axes: how many of its places count is a product of the axes' counts.
fn average(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let mut x = call.computed(0)?;
    let from = draft.shape(x);
    let kernel = super::recipe::sizes(&call.ints("kernel_shape")?.unwrap_or_default())?;
    if from.len() < 3 || call.shape.len() != from.len() {
        return unsupported("an image of that rank");
    }
    let padding_counts = call.int("count_include_pad", 0)? != 0;
    for (d, span) in Span::all(call, &from[2..], &call.shape[2..], &kernel)?
        .into_iter()
        .enumerate()
    {
        let row = |o: usize| {
            let places: Vec<usize> = (0..span.kernel).filter_map(|k| span.place(o, k)).collect();
            let count = if padding_counts {
                span.counted(o)
            } else {
                places.len()
            };
            if count == 0 {
                return unsupported("a window that lies in the padding");
            }
            let weights = places.into_iter().map(|p| (p, 1.0 / count as f64)).collect();
            Ok(Row { weights, bias: 0.0 })
        };
        let made = (0..span.output).map(row).collect::<Result<Vec<_>, _>>()?;
        x = rows(draft, call, x, d + 2, &made)?;
    }
    Ok(x)
}

/// Of whole numbers: as many of them as the axis is long, at most.
pub(super) fn cumulate_whole(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let x = call.computed(0)?;
    let made = cumulate(draft, call)?;
    // No axis is longer than all values are many.
    let terms = Interval::new(0, draft.shape(x).iter().fold(1, |most, &n| most.max(n)) as i64);
    let bound = whole_sums::numbers(draft, x)?.map(|x| x.times(terms));
    let bound = bound.map(whole_sums::small_enough).transpose()?;
    draft.whole_from(made, bound);
    Ok(made)
}

fn cumulate(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let x = call.computed(0)?;
    let from = draft.shape(x);
    let given = call.integers(1)?.and_then(|a| a.first().copied()).unwrap_or(0);
    let along = axis(given, from.len())?;
    let (exclusive, reverse) = (call.int("exclusive", 0)? != 0, call.int("reverse", 0)? != 0);
    let n = from[along];
    let row = |o: usize| {
        let counts = |&k: &usize| match (reverse, exclusive) {
            (false, false) => k <= o,
            (false, true) => k < o,
            (true, false) => k >= o,
            (true, true) => k > o,
        };
        Row {
            weights: (0..n).filter(counts).map(|k| (k, 1.0)).collect(),
            bias: 0.0,
        }
    };
    let made: Vec<Row> = (0..n).map(row).collect();
    rows(draft, call, x, along, &made)
}
