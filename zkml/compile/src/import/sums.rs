//! Sums of few weighted values for each place.
//!
//! Invariant: exact in floats up to the order of additions. Each tensor is brought to the result's places once for each of its
//! terms there (where a place has fewer terms, it repeats another value and weighs it 0), and all of them are added at once;
//! what constants contribute is the bias.

use zkml::graph::TensorId;

use super::draft::{Draft, Refusal, unsupported};
use super::maps::{each, flat};
use super::moved::{self, Source};
use super::recipe::{Call, Recipe, axis, sizes};
use super::span::{Span, numbers};
use super::{quantised, wiring};

pub(super) const RECIPES: &[Recipe] = &[
    Recipe::new("AffineGrid", affine_grid),
    Recipe::new("Col2Im", col2im),
    Recipe::new("DequantizeLinear", dequantise),
];

/// A weighted value: operand, place in it, weight.
type Term = (usize, usize, f64);

/// The terms of each place of a result.
pub(super) struct Sums {
    terms: Vec<Vec<Term>>,
    count: usize,
}

/// One term of each place: the places in a tensor, and their weights.
struct Slot {
    places: Vec<u32>,
    weights: Vec<f64>,
}

impl Sums {
    pub(super) fn new(len: usize) -> Self {
        Self {
            terms: vec![Vec::new(); len],
            count: 0,
        }
    }

    /// Adds a value of an operand, weighted, to a place.
    pub(super) fn add(
        &mut self,
        t: usize,
        (operand, place): (usize, usize),
        weight: f64,
    ) -> Result<(), Refusal> {
        self.count += 1;
        if self.count > 2 * super::MAX_TENSOR_LEN {
            return Err(Refusal::TooLarge);
        }
        match self.terms.get_mut(t) {
            Some(terms) => terms.push((operand, place, weight)),
            None => return unsupported("a place outside of the result"),
        }
        Ok(())
    }

    /// The sums, as the call's result.
    pub(super) fn made(self, draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
        let len = self.terms.len();
        if len != call.shape.iter().product::<usize>() {
            return unsupported("a result of another shape");
        }
        let (mut tensors, mut rows, mut bias) = (Vec::new(), Vec::new(), vec![0.0; len]);
        for operand in 0..call.len() {
            let own = |t: &Term| t.0 == operand;
            if !self.terms.iter().flatten().any(own) {
                continue;
            }
            if !call.is_computed(operand) {
                let values = call.constant(operand)?.values;
                for (t, terms) in self.terms.iter().enumerate() {
                    for &(_, place, weight) in terms.iter().filter(|t| own(t)) {
                        let Some(value) = values.get(place) else {
                            return unsupported("a place outside a constant");
                        };
                        bias[t] += weight * value;
                    }
                }
                continue;
            }
            let x = call.computed(operand)?;
            let extent = draft.shape(x).iter().product::<usize>();
            for slot in self.slots(operand, extent)? {
                tensors.push(wiring::emit(draft, call.name, x, call.shape, slot.places)?);
                rows.push(slot.weights);
            }
        }
        if tensors.is_empty() {
            return moved::constant(draft, call.name, &bias, call.shape);
        }
        if let ([only], [weights]) = (&tensors[..], &rows[..])
            && weights.iter().all(|w| *w == 1.0)
            && bias.iter().all(|b| *b == 0.0)
        {
            return Ok(*only);
        }
        rows.push(bias);
        draft.linear(call.name, moved::affine(rows)?, &tensors, call.shape)
    }

    /// The terms of one operand: as many slots as the place with most of them has.
    fn slots(&self, operand: usize, extent: usize) -> Result<Vec<Slot>, Refusal> {
        let len = self.terms.len();
        let mut slots: Vec<Slot> = Vec::new();
        for (t, terms) in self.terms.iter().enumerate() {
            for (at, &(_, place, weight)) in terms.iter().filter(|t| t.0 == operand).enumerate() {
                if place >= extent {
                    return unsupported("a place outside the tensor");
                }
                if at == slots.len() {
                    if (at + 1).saturating_mul(len) > super::MAX_TENSOR_LEN {
                        return Err(Refusal::TooLarge);
                    }
                    slots.push(Slot {
                        places: Vec::with_capacity(len),
                        weights: vec![0.0; len],
                    });
                }
                let slot = &mut slots[at];
                slot.weights[t] = weight;
                // Places without this term, up to here: they repeat the one before, or this one.
                let repeated = slot.places.last().copied().unwrap_or(place as u32);
                slot.places.resize(t, repeated);
                slot.places.push(place as u32);
            }
        }
        for slot in &mut slots {
            let repeated = slot.places.last().copied().unwrap_or(0);
            slot.places.resize(len, repeated);
        }
        Ok(slots)
    }
}

/// For each pixel the matrix of its sample times `(x, y, (z,) 1)`, where axes reach from -1 to 1.
fn affine_grid(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let size = sizes(&call.integers(1)?.unwrap_or_default())?;
    let corners = call.int("align_corners", 0)? != 0;
    let rank = size.len().saturating_sub(2);
    if call.shape.len() != rank + 2 || call.shape[rank + 1] != rank {
        return unsupported("a grid of that rank");
    }
    let mut sums = Sums::new(call.shape.iter().product());
    each(call.shape.to_vec(), |at| {
        let (t, row) = (flat(call.shape, at), at[0] * rank + at[rank + 1]);
        for k in 0..rank {
            // The last axis of the image is the first of the matrix.
            let (n, i) = (call.shape[rank - k] as f64, at[rank - k] as f64);
            let place = if corners {
                2.0 * i / (n - 1.0) - 1.0
            } else {
                (2.0 * i + 1.0) / n - 1.0
            };
            sums.add(t, (0, row * (rank + 1) + k), place)?;
        }
        sums.add(t, (0, row * (rank + 1) + rank), 1.0)?;
        Ok(Source::Constant(0.0))
    })?;
    sums.made(draft, call)
}

/// Columns of blocks put back into an image, added where blocks lie over each other.
fn col2im(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let (image, block) = (
        sizes(&call.integers(1)?.unwrap_or_default())?,
        sizes(&call.integers(2)?.unwrap_or_default())?,
    );
    let rank = image.len();
    let from = call.shape_of(draft, 0)?;
    let (pads, strides) = (
        numbers(call, "pads", 2 * rank, 0)?,
        numbers(call, "strides", rank, 1)?,
    );
    let dilations = numbers(call, "dilations", rank, 1)?;
    if block.len() != rank || from.len() != 3 || call.shape.len() != rank + 2 {
        return unsupported("blocks of other dimensions than the image's");
    }
    let counts = (0..rank).map(|d| {
        let padded = image[d].saturating_add(pads[d]).saturating_add(pads[rank + d]);
        let reach = block[d]
            .saturating_sub(1)
            .saturating_mul(dilations[d])
            .saturating_add(1);
        padded.checked_sub(reach).map(|room| room / strides[d].max(1) + 1)
    });
    let Some(counts) = counts.collect::<Option<Vec<_>>>() else {
        return unsupported("blocks that are larger than the image");
    };
    let spans = Span::all(call, &image, &counts, &block)?;
    let channels = call.shape[1];
    // The columns' own axes: sample, channel, places in a block, blocks.
    let mut columns = vec![from[0], channels];
    columns.extend(block.iter().chain(&counts));
    if columns.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) != Some(from.iter().product()) {
        return unsupported("columns of other sizes than the blocks'");
    }
    let mut sums = Sums::new(call.shape.iter().product());
    each(columns.clone(), |at| {
        let place = |(d, span): (usize, &Span)| span.place(at[2 + rank + d], at[2 + d]);
        if let Some(inside) = spans.iter().enumerate().map(place).collect::<Option<Vec<_>>>() {
            let t = [&at[..2], &inside[..]].concat();
            sums.add(flat(call.shape, &t), (0, flat(&columns, at)), 1.0)?;
        }
        Ok(Source::Constant(0.0))
    })?;
    sums.made(draft, call)
}

/// Integers times scales: those of 8 bits that are computed, or constant ones times scales that are computed: `(x - zero) · scale`, scales for all, along an axis, or by blocks.
fn dequantise(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    if call.is_computed(0) {
        return quantised::dequantise(draft, call);
    }
    let x = call.constant(0)?;
    let scales = call.shape_of(draft, 1)?;
    let zeros = if call.has(2) {
        call.constant(2)?.values
    } else {
        Vec::new()
    };
    let block = usize::try_from(call.int("block_size", 0)?).unwrap_or(0);
    let along = match scales.len() {
        0 => None,
        1 if scales[0] == 1 && x.shape.len() != 1 => None,
        _ => Some(axis(call.int("axis", 1)?, x.shape.len())?),
    };
    let mut sums = Sums::new(call.shape.iter().product());
    each(x.shape.clone(), |at| {
        let of = match along {
            None => 0,
            Some(along) if block == 0 => at[along],
            Some(along) => {
                let mut own = at.to_vec();
                own[along] /= block;
                flat(&scales, &own)
            }
        };
        let t = flat(&x.shape, at);
        let zero = zeros.get(of).copied().unwrap_or(0.0);
        sums.add(t, (1, of), x.values[t] - zero)?;
        Ok(Source::Constant(0.0))
    })?;
    sums.made(draft, call)
}
