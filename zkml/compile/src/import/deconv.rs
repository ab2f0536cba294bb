//! Convolutions that are not of one image of two dimensions, and transposed ones.
//!
//! Invariant: exact in floats up to the order of additions. Along axes before the last two each place of the result is an image
//! of a batch, with the values that its window reads there as channels. A transposed convolution is one of two:
//!
//! - of the input with zeros between its values, by the kernel turned round: what is moved is the input, much enlarged;
//! - of the input as it is, with a map of its own for each place within a stride: by windows of stride `s` place `s·u + r` is
//!   `Σ_t x[u − t] · w[s·t + r]`, a convolution whose maps then take turns. What is moved is the result, which is less where
//!   there are fewer maps than channels; but nothing is fused with a convolution whose values are moved.

use zkml::graph::TensorId;

use super::batch::{self, Images, Plane};
use super::draft::{Constant, Draft, Refusal, unsupported};
use super::maps::each;
use super::moved::{Source, moved};
use super::recipe::{Call, Recipe};
use super::span::{Span, numbers};
use super::wiring;

pub(super) const RECIPES: &[Recipe] = &[
    Recipe::new("ConvTranspose", conv_transpose),
    Recipe::new("Conv", conv).only(|node, _| {
        let kernel = node.attribute.iter().find(|a| a.name == "kernel_shape");
        kernel.is_some_and(|k| k.ints.len() > 2)
    }),
];

/// A convolution's coefficients.
struct Kernel {
    groups: usize,
    /// `[maps, channels / groups, …]`.
    shape: Vec<usize>,
    weight: Vec<f64>,
    bias: Vec<f64>,
}

fn bias(call: &Call<'_>, maps: usize) -> Result<Vec<f64>, Refusal> {
    if !call.has(2) {
        return Ok(vec![0.0; maps]);
    }
    let bias = call.constant(2)?.values;
    if bias.len() == maps {
        Ok(bias)
    } else {
        unsupported("a bias that is not one per output channel")
    }
}

fn conv(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let (x, w) = (call.computed(0)?, call.constant(1)?);
    let maps = w.shape.first().copied().unwrap_or(0);
    let bias = bias(call, maps)?;
    convolution(draft, call, x, w, bias)
}

/// A convolution by the node's attributes.
pub(super) fn convolution(
    draft: &mut Draft,
    call: &Call<'_>,
    x: TensorId,
    w: Constant,
    bias: Vec<f64>,
) -> Result<TensorId, Refusal> {
    let from = draft.shape(x);
    let groups = usize::try_from(call.int("group", 1)?).unwrap_or(0);
    let fits = w.shape.len() == from.len() && from.len() > 2 && w.shape.first() == Some(&bias.len());
    if !fits {
        return unsupported("weights of other dimensions than the image");
    }
    let spans = Span::all(call, &from[2..], &call.shape[2..], &w.shape[2..])?;
    let kernel = Kernel {
        groups,
        bias,
        shape: w.shape,
        weight: w.values,
    };
    convolved(draft, call.name, x, &spans, kernel, call.shape)
}

/// A convolution with a result of this shape.
fn convolved(
    draft: &mut Draft,
    name: &str,
    x: TensorId,
    spans: &[Span],
    kernel: Kernel,
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let from = draft.shape(x);
    let (batch, channels) = (from[0], from[1]);
    let (maps, groups) = (kernel.shape[0], kernel.groups);
    if groups == 0 || channels != kernel.shape[1] * groups || !maps.is_multiple_of(groups) {
        return unsupported("groups that do not divide the channels");
    }
    // Axes whose places become images, and the last two of the window; a missing height is 1.
    let (folded, image) = spans.split_at(spans.len().saturating_sub(2));
    let unit = Span {
        input: 1,
        output: 1,
        kernel: 1,
        stride: 1,
        dilation: 1,
        begin: 0,
        end: 0,
    };
    let [rows, columns] = match image {
        [rows, columns] => [*rows, *columns],
        [columns] => [unit, *columns],
        _ => return unsupported("a window of no dimension"),
    };
    let count = |of: fn(&Span) -> usize| folded.iter().map(of).product::<usize>();
    let (places, taps) = (count(|s| s.output), count(|s| s.kernel));
    let of_group = channels / groups;
    let by_place = vec![batch * places, groups, of_group, taps, rows.input, columns.input];
    let (_, sources) = each(by_place.clone(), |at| {
        let (mut place, mut tap, mut coordinates) = (at[0] % places, at[3], Vec::new());
        for span in folded.iter().rev() {
            match span.place(place % span.output, tap % span.kernel) {
                Some(i) => coordinates.push((span.input, i)),
                None => return Ok(Source::Constant(0.0)),
            }
            (place, tap) = (place / span.output, tap / span.kernel);
        }
        let lead = (at[0] / places * groups + at[1]) * of_group + at[2];
        let folded = coordinates.iter().rev().fold(lead, |n, (size, i)| n * size + i);
        Ok(Source::Of(
            0,
            (folded * rows.input + at[4]) * columns.input + at[5],
        ))
    })?;
    let x = moved(draft, name, &[x], &sources, &by_place)?;
    let both = |of: fn(&Span) -> usize| [of(&rows), of(&columns)];
    let plane = Plane {
        image: both(|s| s.input),
        output: both(|s| s.output),
        kernel: both(|s| s.kernel),
        stride: both(|s| s.stride),
        dilation: both(|s| s.dilation),
        pad: both(|s| s.begin),
    };
    let images = Images {
        name,
        x,
        count: batch * places,
        shape: &[batch, places, maps, rows.output, columns.output],
    };
    let kernel = batch::Kernel {
        channels: channels * taps,
        maps,
        groups,
        weight: kernel.weight,
        bias: kernel.bias,
    };
    let y = batch::convolved(draft, &images, &plane, kernel)?;
    let y = wiring::permute(draft, name, y, &[0, 2, 1, 3, 4])?;
    wiring::reshape(draft, name, y, shape)
}

fn conv_transpose(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let x = call.computed(0)?;
    let (from, w) = (draft.shape(x), call.constant(1)?);
    let groups = usize::try_from(call.int("group", 1)?).unwrap_or(0);
    let (&[batch, channels, ref input @ ..], &[depth, of_group, ref window @ ..]) = (&from[..], &w.shape[..])
    else {
        return unsupported("an image of that rank");
    };
    let rank = input.len();
    let output = call.shape.get(2..).unwrap_or_default();
    let empty = [input, window, output].iter().any(|list| list.contains(&0));
    if rank == 0 || empty || window.len() != rank || output.len() != rank || channels != depth || groups == 0
    {
        return unsupported("weights of other dimensions than the image");
    }
    let (strides, dilations) = (
        numbers(call, "strides", rank, 1)?,
        numbers(call, "dilations", rank, 1)?,
    );
    let (pads, mode) = (
        numbers(call, "pads", 2 * rank, 0)?,
        call.text("auto_pad", "NOTSET")?,
    );
    let more = numbers(call, "output_padding", rank, 0)?;
    let maps = of_group * groups;
    let bias = bias(call, maps)?;
    let stated = call.ints("output_shape")?.is_some() || mode.starts_with("SAME");
    let (mut begins, mut spans, mut phased) = (Vec::new(), Vec::new(), Vec::new());
    for d in 0..rank {
        if strides[d] == 0 || dilations[d] == 0 {
            return unsupported("a stride or dilation of 0");
        }
        let extent = (window[d] - 1) * dilations[d];
        let begin = if stated {
            let total = ((input[d] - 1) * strides[d] + extent + 1 + more[d]).saturating_sub(output[d]);
            if mode == "SAME_UPPER" {
                total / 2
            } else {
                total - total / 2
            }
        } else {
            pads[d]
        };
        phased.push(Phased {
            input: input[d],
            output: output[d],
            kernel: window[d],
            stride: strides[d],
            begin,
        });
        begins.push(extent as i64 - begin as i64);
        spans.push(Span {
            input: output[d] + extent,
            output: output[d],
            kernel: window[d],
            stride: 1,
            dilation: dilations[d],
            begin: 0,
            end: 0,
        });
    }
    // The image with zeros between its values and around them, as wide as all windows together.
    let wide: Vec<usize> = [batch, channels]
        .into_iter()
        .chain(spans.iter().map(|s| s.input))
        .collect();
    let enlarged = spans.iter().fold(channels, |n, s| n.saturating_mul(s.input));
    let made = output.iter().fold(maps, |n, &o| n.saturating_mul(o));
    if dilations.iter().all(|&d| d == 1)
        && phased.iter().all(Phased::covered)
        && made.saturating_mul(FEWER) <= enlarged
    {
        let kernel = Kernel {
            groups,
            shape: w.shape,
            weight: w.values,
            bias,
        };
        return by_phases(draft, call, x, &phased, &kernel);
    }
    let (_, sources) = each(wide.clone(), |at| {
        let mut own = at[0] * channels + at[1];
        for d in 0..rank {
            let place = at[d + 2] as i64 - begins[d];
            let stride = strides[d] as i64;
            let (i, rest) = (place.div_euclid(stride), place.rem_euclid(stride));
            match usize::try_from(i) {
                Ok(i) if rest == 0 && i < input[d] => own = own * input[d] + i,
                Ok(_) | Err(_) => return Ok(Source::Constant(0.0)),
            }
        }
        Ok(Source::Of(0, own))
    })?;
    let x = moved(draft, call.name, &[x], &sources, &wide)?;
    let (each_group, taps) = (channels / groups, window.iter().product::<usize>());
    let mut weight = Vec::with_capacity(w.values.len());
    for map in 0..maps {
        for c in 0..each_group {
            let start = ((map / of_group * each_group + c) * of_group + map % of_group) * taps;
            // Backwards along every axis is backwards in the flat order.
            weight.extend(w.values.get(start..start + taps).unwrap_or_default().iter().rev());
        }
    }
    let shape = [maps, each_group]
        .into_iter()
        .chain(window.iter().copied())
        .collect();
    let kernel = Kernel {
        groups,
        shape,
        weight,
        bias,
    };
    convolved(draft, call.name, x, &spans, kernel, call.shape)
}

/// By how much fewer values the second form has to move: what it is not fused with costs too.
const FEWER: usize = 4;

/// An axis of a transposed convolution without dilation.
#[derive(Clone, Copy)]
struct Phased {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    /// Places that are cut off before the result.
    begin: usize,
}

impl Phased {
    /// Taps of the convolution for one place within a stride.
    fn taps(&self) -> usize {
        self.kernel.div_ceil(self.stride)
    }

    /// Places of its result.
    fn places(&self) -> usize {
        self.input + self.taps() - 1
    }

    /// Whether every place of the transposed convolution is a place of those.
    fn covered(&self) -> bool {
        self.begin + self.output <= self.stride * self.places()
    }
}

/// `kernel` is the node's own: `[channels, maps / groups, …]`.
fn by_phases(
    draft: &mut Draft,
    call: &Call<'_>,
    x: TensorId,
    axes: &[Phased],
    kernel: &Kernel,
) -> Result<TensorId, Refusal> {
    let (batch, maps) = (call.shape[0], call.shape[1]);
    let (channels, of_group) = (kernel.shape[0], kernel.shape[1]);
    let each_group = channels / kernel.groups;
    let sizes = |of: fn(&Phased) -> usize| axes.iter().map(of).collect::<Vec<usize>>();
    let (strides, taps, window) = (sizes(|a| a.stride), sizes(Phased::taps), sizes(|a| a.kernel));
    let phases: usize = strides.iter().product();
    let mut weight = Vec::new();
    for (map, phase) in (0..maps).flat_map(|map| (0..phases).map(move |phase| (map, phase))) {
        let within = coordinates(phase, &strides);
        for c in 0..each_group {
            let start = (map / of_group * each_group + c) * of_group + map % of_group;
            for tap in 0..taps.iter().product() {
                // The first tap of a window reads the value that is furthest before.
                let turned = coordinates(tap, &taps);
                let own = (0..axes.len()).map(|d| strides[d] * (taps[d] - 1 - turned[d]) + within[d]);
                let inside = own.clone().zip(&window).all(|(j, k)| j < *k);
                let at = own.zip(&window).fold(start, |at, (j, k)| at * k + j);
                weight.push(if inside {
                    kernel.weight.get(at).copied().unwrap_or_default()
                } else {
                    0.0
                });
            }
        }
    }
    let spans: Vec<Span> = axes
        .iter()
        .map(|axis| Span {
            input: axis.input,
            output: axis.places(),
            kernel: axis.taps(),
            stride: 1,
            dilation: 1,
            begin: axis.taps() - 1,
            end: axis.taps() - 1,
        })
        .collect();
    let lead =
        |first: [usize; 2], of: &[usize]| first.into_iter().chain(of.iter().copied()).collect::<Vec<_>>();
    let by_phase = lead([batch, maps * phases], &sizes(Phased::places));
    let kernel = Kernel {
        groups: kernel.groups,
        shape: lead([maps * phases, each_group], &taps),
        weight,
        bias: kernel
            .bias
            .iter()
            .flat_map(|b| std::iter::repeat_n(*b, phases))
            .collect(),
    };
    let y = convolved(draft, call.name, x, &spans, kernel, &by_phase)?;
    let (_, sources) = each(call.shape.to_vec(), |at| {
        let places = axes.iter().zip(&at[2..]).map(|(axis, o)| (axis, o + axis.begin));
        let phase = places
            .clone()
            .fold(0, |n, (axis, q)| n * axis.stride + q % axis.stride);
        let map = (at[0] * maps + at[1]) * phases + phase;
        let own = places.fold(map, |n, (axis, q)| n * axis.places() + q / axis.stride);
        Ok(Source::Of(0, own))
    })?;
    moved(draft, call.name, &[y], &sources, call.shape)
}

/// Of a place in lists of these sizes, the last the fastest.
fn coordinates(mut at: usize, sizes: &[usize]) -> Vec<usize> {
    let mut own: Vec<usize> = sizes
        .iter()
        .rev()
        .map(|&size| (at % size, at /= size).0)
        .collect();
    own.reverse();
    own
}
