//! Index maps: operators whose every value is a value of an input, or a constant.
//!
//! Invariant: a map is a function of shapes, attributes and constants alone, and has one source for each place of its result, in
//! row-major order. What moves values is elsewhere (`moved.rs`).

use super::draft::{Draft, Refusal, unsupported};
use super::moved::Source;
use super::recipe::{Call, axis, sizes};
use super::scatter;

/// A result's shape, and where each of its values is from.
pub(super) type Map = (Vec<usize>, Vec<Source>);
pub(super) type Rule = fn(&Call<'_>, &Draft) -> Result<Map, Refusal>;

/// Every index map, by its operator's name.
pub(super) const MAPS: &[(&str, Rule)] = &[
    ("CastLike", cast_like),
    ("CenterCropPad", center_crop_pad),
    ("Compress", compress),
    ("DepthToSpace", depth_to_space),
    ("Expand", expand),
    ("GatherElements", gather_elements),
    ("GatherND", gather_nd),
    ("MaxUnpool", scatter::max_unpool),
    ("Pad", pad),
    ("ReverseSequence", reverse_sequence),
    ("Scatter", scatter::elements),
    ("ScatterElements", scatter::elements),
    ("ScatterND", scatter::nd),
    ("SpaceToDepth", space_to_depth),
    ("TensorScatter", scatter::tensor),
    ("Tile", tile),
    ("Trilu", trilu),
    ("Where", choose),
];

pub(super) fn find(operator: &str) -> Option<Rule> {
    MAPS.iter()
        .find(|(name, _)| *name == operator)
        .map(|(_, map)| *map)
}

/// The map whose value at each place is at `source` of the place's coordinates.
pub(super) fn each(
    shape: Vec<usize>,
    mut source: impl FnMut(&[usize]) -> Result<Source, Refusal>,
) -> Result<Map, Refusal> {
    let len = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let Some(len) = len.filter(|n| *n <= super::MAX_TENSOR_LEN) else {
        return Err(Refusal::TooLarge);
    };
    let mut at = vec![0usize; shape.len()];
    let mut sources = Vec::with_capacity(len);
    for _ in 0..len {
        sources.push(source(&at)?);
        for d in (0..shape.len()).rev() {
            at[d] += 1;
            if at[d] < shape[d] {
                break;
            }
            at[d] = 0;
        }
    }
    Ok((shape, sources))
}

/// The flat place of coordinates.
pub(super) fn flat(shape: &[usize], at: &[usize]) -> usize {
    shape.iter().zip(at).fold(0, |n, (d, i)| n * d + i)
}

/// An index along an axis of a size, negative ones from the end.
pub(super) fn place(index: i64, size: usize) -> Result<usize, Refusal> {
    let at = if index < 0 {
        index.saturating_add(size as i64)
    } else {
        index
    };
    match usize::try_from(at) {
        Ok(at) if at < size => Ok(at),
        Ok(_) | Err(_) => unsupported(format!("index {index} along an axis of {size}")),
    }
}

fn cast_like(call: &Call<'_>, draft: &Draft) -> Result<Map, Refusal> {
    same(call.shape_of(draft, 0)?)
}

pub(super) fn same(shape: Vec<usize>) -> Result<Map, Refusal> {
    let of = shape.clone();
    each(shape, |at| Ok(Source::Of(0, flat(&of, at))))
}

/// Broadcasting as ONNX defines it: axes are counted from the end, those of size 1 repeat.
pub(super) fn broadcast(shapes: &[Vec<usize>]) -> Result<Vec<usize>, Refusal> {
    let rank = shapes.iter().map(Vec::len).max().unwrap_or(0);
    let mut made = vec![1usize; rank];
    for shape in shapes {
        for (d, &size) in shape.iter().enumerate() {
            let at = &mut made[rank - shape.len() + d];
            if size != 1 && *at != 1 && *at != size {
                return unsupported("operands whose shapes do not broadcast");
            }
            *at = if size == 1 { *at } else { size };
        }
    }
    Ok(made)
}

/// The flat place in a tensor that is broadcast, of coordinates of the result.
pub(super) fn repeated(shape: &[usize], at: &[usize]) -> usize {
    let own = &at[at.len() - shape.len()..];
    shape
        .iter()
        .zip(own)
        .fold(0, |n, (&d, &i)| n * d + if d == 1 { 0 } else { i })
}

fn expand(call: &Call<'_>, draft: &Draft) -> Result<Map, Refusal> {
    let from = call.shape_of(draft, 0)?;
    let wanted = sizes(&call.integers(1)?.unwrap_or_default())?;
    each(broadcast(&[from.clone(), wanted])?, |at| {
        Ok(Source::Of(0, repeated(&from, at)))
    })
}

fn tile(call: &Call<'_>, draft: &Draft) -> Result<Map, Refusal> {
    let from = call.shape_of(draft, 0)?;
    let repeats = sizes(&call.integers(1)?.unwrap_or_default())?;
    if repeats.len() != from.len() {
        return unsupported("not one number of repeats for each axis");
    }
    let shape = from
        .iter()
        .zip(&repeats)
        .map(|(n, r)| n.saturating_mul(*r))
        .collect();
    each(shape, |at| {
        let own: Vec<usize> = at.iter().zip(&from).map(|(i, n)| i % n).collect();
        Ok(Source::Of(0, flat(&from, &own)))
    })
}

/// Where a value behind an end is from, along an axis of `n`; none for the constant.
type Beyond = fn(i64, i64) -> Option<i64>;

fn pad(call: &Call<'_>, draft: &Draft) -> Result<Map, Refusal> {
    let from = call.shape_of(draft, 0)?;
    if from.contains(&0) {
        return unsupported("a tensor without values");
    }
    // Attributes before opset 11, inputs since.
    let (pads, fill) = match call.ints("pads")? {
        Some(pads) => (pads, Source::Constant(call.float("value", 0.0)?)),
        None => {
            let fill = if call.has(2) {
                Source::Of(2, 0)
            } else {
                Source::Constant(0.0)
            };
            (call.integers(1)?.unwrap_or_default(), fill)
        }
    };
    let axes = match call.integers(3)? {
        Some(list) => list
            .into_iter()
            .map(|a| axis(a, from.len()))
            .collect::<Result<Vec<_>, _>>()?,
        None => (0..from.len()).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return unsupported(format!("{} pads of {} axes", pads.len(), axes.len()));
    }
    let beyond: Beyond = match call.text("mode", "constant")?.as_str() {
        "constant" => |at, n| (0..n).contains(&at).then_some(at),
        "edge" => |at, n| Some(at.clamp(0, n - 1)),
        "wrap" => |at, n| Some(at.rem_euclid(n)),
        // There and back again, the values at the ends once.
        "reflect" => |at, n| {
            let at = at.rem_euclid((2 * (n - 1)).max(1));
            Some(if at < n { at } else { 2 * (n - 1) - at })
        },
        other => return unsupported(format!("its attribute `mode` is `{other}`")),
    };
    let (mut shape, mut begin) = (from.clone(), vec![0i64; from.len()]);
    for (i, &d) in axes.iter().enumerate() {
        let (before, after) = (pads[i], pads[i + axes.len()]);
        let most = super::MAX_TENSOR_LEN as i64;
        if ![before, after].iter().all(|p| (-most..=most).contains(p)) {
            return Err(Refusal::TooLarge);
        }
        begin[d] = before;
        shape[d] = usize::try_from(from[d] as i64 + before + after).unwrap_or(0);
    }
    each(shape, |at| {
        let mut own = 0;
        for (d, &n) in from.iter().enumerate() {
            match beyond(at[d] as i64 - begin[d], n as i64) {
                Some(i) => own = own * n + i as usize,
                None => return Ok(fill),
            }
        }
        Ok(Source::Of(0, own))
    })
}

/// Zeros around the middle, or the middle alone: of an odd number of places the smaller half is before.
fn center_crop_pad(call: &Call<'_>, draft: &Draft) -> Result<Map, Refusal> {
    let from = call.shape_of(draft, 0)?;
    if from.len() != call.shape.len() {
        return unsupported("a result of another rank");
    }
    // What an axis has too much is left out before its first place, what it lacks is zeros there.
    let halves = |d: usize| {
        let (had, wanted) = (from[d], call.shape[d]);
        (had.saturating_sub(wanted) / 2, wanted.saturating_sub(had) / 2)
    };
    let halves: Vec<(usize, usize)> = (0..from.len()).map(halves).collect();
    each(call.shape.to_vec(), |at| {
        let mut own = 0;
        for (d, &(cut, zeros)) in halves.iter().enumerate() {
            match (at[d] + cut).checked_sub(zeros) {
                Some(i) if i < from[d] => own = own * from[d] + i,
                Some(_) | None => return Ok(Source::Constant(0.0)),
            }
        }
        Ok(Source::Of(0, own))
    })
}

/// `[N, C, H, W]` and the size of the blocks.
fn blocks(call: &Call<'_>, draft: &Draft) -> Result<([usize; 4], usize), Refusal> {
    let block = usize::try_from(call.int("blocksize", 0)?).unwrap_or(0);
    match call.shape_of(draft, 0)?[..] {
        [n, c, h, w] if (1..1 << 16).contains(&block) => Ok(([n, c, h, w], block)),
        _ => unsupported("blocks of an image that has not four dimensions, or of no size"),
    }
}

fn depth_to_space(call: &Call<'_>, draft: &Draft) -> Result<Map, Refusal> {
    let ([n, c, h, w], b) = blocks(call, draft)?;
    let rest = c / (b * b);
    let columns = match call.text("mode", "DCR")?.as_str() {
        "DCR" => false,
        "CRD" => true,
        other => return unsupported(format!("its attribute `mode` is `{other}`")),
    };
    each(vec![n, rest, h * b, w * b], |at| {
        let inside = (at[2] % b) * b + at[3] % b;
        let channel = if columns {
            at[1] * b * b + inside
        } else {
            inside * rest + at[1]
        };
        Ok(Source::Of(
            0,
            flat(&[n, c, h, w], &[at[0], channel, at[2] / b, at[3] / b]),
        ))
    })
}

fn space_to_depth(call: &Call<'_>, draft: &Draft) -> Result<Map, Refusal> {
    let ([n, c, h, w], b) = blocks(call, draft)?;
    each(vec![n, c * b * b, h / b, w / b], |at| {
        let (inside, channel) = (at[1] / c, at[1] % c);
        let own = [at[0], channel, at[2] * b + inside / b, at[3] * b + inside % b];
        Ok(Source::Of(0, flat(&[n, c, h, w], &own)))
    })
}

fn trilu(call: &Call<'_>, draft: &Draft) -> Result<Map, Refusal> {
    let from = call.shape_of(draft, 0)?;
    let upper = call.int("upper", 1)? != 0;
    let k = call.integers(1)?.and_then(|k| k.first().copied()).unwrap_or(0);
    each(from.clone(), |at| {
        let [.., row, column] = at else {
            return unsupported("a triangle of less than two dimensions");
        };
        let over = (*column as i64).saturating_sub(*row as i64).saturating_sub(k);
        let kept = if upper { over >= 0 } else { over <= 0 };
        Ok(if kept {
            Source::Of(0, flat(&from, at))
        } else {
            Source::Constant(0.0)
        })
    })
}

fn reverse_sequence(call: &Call<'_>, draft: &Draft) -> Result<Map, Refusal> {
    let from = call.shape_of(draft, 0)?;
    let (batch, time) = (call.int("batch_axis", 1)?, call.int("time_axis", 0)?);
    let (batch, time) = (axis(batch, from.len())?, axis(time, from.len())?);
    let lengths = sizes(&call.integers(1)?.unwrap_or_default())?;
    each(from.clone(), |at| {
        let mut own = at.to_vec();
        match lengths.get(at[batch]) {
            Some(&len) if len <= from[time] => {
                if at[time] < len {
                    own[time] = len - 1 - at[time];
                }
                Ok(Source::Of(0, flat(&from, &own)))
            }
            _ => unsupported("sequences longer than the tensor, or not one length for each"),
        }
    })
}

fn compress(call: &Call<'_>, draft: &Draft) -> Result<Map, Refusal> {
    let from = call.shape_of(draft, 0)?;
    let chosen = call.constant(1)?.values.into_iter().enumerate();
    let chosen: Vec<usize> = chosen.filter(|(_, v)| *v != 0.0).map(|(i, _)| i).collect();
    // Without an axis, of all values.
    let whole = vec![from.iter().product()];
    let (from, along) = match call.int("axis", i64::MAX)? {
        i64::MAX => (whole, 0),
        given => (from.clone(), axis(given, from.len())?),
    };
    let mut shape = from.clone();
    shape[along] = chosen.len();
    each(shape, |at| {
        let mut own = at.to_vec();
        own[along] = chosen[at[along]];
        if own[along] >= from[along] {
            return unsupported("a condition longer than the axis");
        }
        Ok(Source::Of(0, flat(&from, &own)))
    })
}

/// `X` where the condition, a constant, is true, else `Y`.
fn choose(call: &Call<'_>, draft: &Draft) -> Result<Map, Refusal> {
    let condition = call.constant(0)?;
    let shapes = [
        condition.shape,
        call.shape_of(draft, 1)?,
        call.shape_of(draft, 2)?,
    ];
    each(broadcast(&shapes)?, |at| {
        let holds = condition
            .values
            .get(repeated(&shapes[0], at))
            .is_some_and(|v| *v != 0.0);
        let of = if holds { 1 } else { 2 };
        Ok(Source::Of(of, repeated(&shapes[of], at)))
    })
}

fn gather_elements(call: &Call<'_>, draft: &Draft) -> Result<Map, Refusal> {
    let (_, shape, places) = scatter::element_places(call, draft)?;
    Ok((shape, places.into_iter().map(|p| Source::Of(0, p)).collect()))
}

/// The places of the slices of `shape[from..]` that the index tuples name, those of one batch after those before.
pub(super) fn slices(
    (shape, from): (&[usize], usize),
    indices: &[i64],
    of: &[usize],
) -> Result<Vec<usize>, Refusal> {
    let width = of.last().copied().unwrap_or(0);
    let (Some(named), Some(rest)) = (shape.get(from..from + width), shape.get(from + width..)) else {
        return unsupported("index tuples longer than the data has axes");
    };
    let (slice, each): (usize, usize) = (rest.iter().product(), shape[from..].iter().product());
    let tuples: usize = of[..of.len() - 1].iter().product();
    let per_batch = tuples / of[..from].iter().product::<usize>().max(1);
    if tuples.saturating_mul(slice) > super::MAX_TENSOR_LEN || width == 0 {
        return Err(Refusal::TooLarge);
    }
    let mut places = Vec::new();
    for (t, tuple) in indices.chunks(width).enumerate() {
        let mut at = 0;
        for (&index, &size) in tuple.iter().zip(named) {
            at = at * size + place(index, size)?;
        }
        let start = t / per_batch.max(1) * each + at * slice;
        places.extend(start..start + slice);
    }
    Ok(places)
}

fn gather_nd(call: &Call<'_>, draft: &Draft) -> Result<Map, Refusal> {
    let (from, of) = (call.shape_of(draft, 0)?, call.shape_of(draft, 1)?);
    let batches = usize::try_from(call.int("batch_dims", 0)?).unwrap_or(usize::MAX);
    if batches >= of.len() || of.get(..batches) != from.get(..batches) {
        return unsupported("indices of other batches than the data's");
    }
    let places = slices((&from, batches), &call.integers(1)?.unwrap_or_default(), &of)?;
    let width = of.last().copied().unwrap_or(0);
    let shape = of[..of.len() - 1]
        .iter()
        .chain(&from[batches + width..])
        .copied()
        .collect();
    Ok((shape, places.into_iter().map(|p| Source::Of(0, p)).collect()))
}
