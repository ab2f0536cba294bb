//! Padding: more values around a tensor, or fewer.

use super::{Call, Made, Operator, Step, Tensor, each_kind, list_of, one, op, size, unlike};
use crate::{
    Values,
    attribute::{float, ints, text},
    layout::{around, axes},
    limits::MAX_ELEMENTS,
};

pub(super) const OPERATORS: &[Operator] = &[
    op("CenterCropPad", 2, 2, center_crop_pad)
        .since(18)
        .attributes(&[ints("axes")]),
    op("Pad", 1, 4, pad).since(2).attributes(&[
        text("mode"),
        ints("pads").before(11),
        float("value").before(11),
    ]),
];

/// Zeros around a tensor, or less of it, so that its middle stays the middle: of an odd number the smaller half is before.
fn center_crop_pad(call: &Call) -> Made {
    let x = call.input(0)?;
    let wanted = list_of(call.input(1)?)?;
    let along = match call.ints("axes") {
        Some(list) => axes(list, x.rank())?,
        None => (0..x.rank()).collect(),
    };
    if wanted.len() != along.len() {
        return Err(format!("{} sizes for {} axes", wanted.len(), along.len()));
    }
    let mut made = x.clone();
    for (&d, &wanted) in along.iter().zip(&wanted) {
        let wanted = size(wanted)?.min(MAX_ELEMENTS + 1) as i64;
        let more = wanted - x.shape()[d] as i64;
        let before = more / 2;
        if more != 0 {
            made = along_axis(call, &made, d, (before, more - before))?;
        }
    }
    one(made)
}

fn pad(call: &Call) -> Made {
    let x = call.input(0)?;
    let pads = call.list("pads", 1)?.ok_or("there are no pads")?;
    let named = call.optional(3).map(list_of).transpose()?;
    let along = match &named {
        Some(list) => axes(list, x.rank())?,
        None => (0..x.rank()).collect(),
    };
    if pads.len() != 2 * along.len() {
        return Err(format!("{} pads of {} axes", pads.len(), along.len()));
    }
    let mut made = x.clone();
    for (i, &d) in along.iter().enumerate() {
        let (begin, end) = (pads[i], pads[i + along.len()]);
        if (begin, end) != (0, 0) {
            made = along_axis(call, &made, d, (begin, end))?;
        }
    }
    one(made)
}

/// Where the value at a place comes from; none for the constant.
type Source = fn(i64, i64) -> Option<i64>;

fn along_axis(call: &Call, x: &Tensor, d: usize, (begin, end): (i64, i64)) -> Step<Tensor> {
    let (before, n, behind) = around(x.shape(), d);
    if begin.unsigned_abs().max(end.unsigned_abs()) > MAX_ELEMENTS as u64 {
        return Err(format!("{n} values padded by {begin} and {end}"));
    }
    let size = (n as i64).checked_add(begin).and_then(|s| s.checked_add(end));
    let size = size.and_then(|s| usize::try_from(s).ok());
    let size = size.ok_or_else(|| format!("{n} values padded by {begin} and {end}"))?;
    let source: Source = match call.text("mode", "constant") {
        "constant" => |at, n| (0..n).contains(&at).then_some(at),
        "edge" => |at, n| (n > 0).then(|| at.clamp(0, n - 1)),
        "wrap" => |at, n| at.checked_rem_euclid(n),
        // There and back again; the values at the ends are not repeated.
        "reflect" => |at, n| {
            let period = (2 * (n - 1)).max(1);
            let at = at.rem_euclid(period);
            (n > 0).then(|| if at < n { at } else { period - at })
        },
        other => return Err(format!("mode is `{other}`")),
    };
    let constant = call.text("mode", "constant") == "constant";
    let mut shape = x.shape().to_vec();
    shape[d] = size;
    let len = call.room(&shape)?;
    let places: Vec<Option<i64>> = (0..size as i64).map(|i| source(i - begin, n as i64)).collect();
    if !constant && places.iter().any(Option::is_none) {
        return Err("there is no value to pad with".into());
    }
    fn padded<T: Copy>(
        v: &[T],
        (before, n, behind): (usize, usize, usize),
        places: &[Option<i64>],
        fill: T,
    ) -> Vec<T> {
        let mut made = Vec::new();
        for b in 0..before {
            for place in places {
                match place {
                    Some(at) => {
                        let at = (b * n + *at as usize) * behind;
                        made.extend_from_slice(&v[at..at + behind]);
                    }
                    None => made.extend(std::iter::repeat_n(fill, behind)),
                }
            }
        }
        made
    }
    let blocks = (before, n, behind);
    if len == 0 {
        return Tensor::make(x.element(), shape, each_kind!(x.values(), v => v[..0].to_vec()));
    }
    let fill = call.optional(2);
    if let Some(fill) = fill
        && fill.element() != x.element()
    {
        return Err(unlike(x, fill));
    }
    let values = match x.values() {
        Values::Float(v) => {
            let fill = fill.map_or(Ok(call.float("value", 0.0)), Tensor::one_number)?;
            Values::Float(padded(v, blocks, &places, fill))
        }
        Values::Int(v) => Values::Int(padded(v, blocks, &places, fill.map_or(Ok(0), Tensor::one_int)?)),
        Values::Bool(v) => {
            let fill = fill.map_or(Ok(0.0), Tensor::one_number)? != 0.0;
            Values::Bool(padded(v, blocks, &places, fill))
        }
    };
    Tensor::make(x.element(), shape, values)
}
