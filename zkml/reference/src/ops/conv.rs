//! Convolution: the windows as columns of a matrix, times the weights.

use super::{
    Call, Made, Operator, Step, Tensor,
    matmul::{Matrix, product},
    one, op, same_type, size,
    window::{Axis, WINDOWS, axes, kernel},
};
use crate::{Values, limits::volume};

pub(super) const OPERATORS: &[Operator] = &[op("Conv", 2, 3, conv).since(1).attributes(WINDOWS)];

/// Values of a block of columns: what stays in the cache while it is multiplied.
const BLOCK: usize = 1 << 16;
/// Columns of a block at least: the weights are packed anew for each block.
const COLUMNS: usize = 256;

fn conv(call: &Call) -> Made {
    let (x, w) = (call.input(0)?, call.input(1)?);
    same_type(x, w)?;
    let bias = call.optional(2);
    if let Some(b) = bias {
        same_type(x, b)?;
    }
    let (shape, mut made) = convolve(call, (x.floats()?, x.shape()), (w.floats()?, w.shape()))?;
    if let Some(b) = bias {
        add_bias(&mut made, &shape, b)?;
    }
    one(Tensor::make(x.element(), shape, Values::Float(made))?)
}

/// Adds one value per channel, the second dimension.
pub(super) fn add_bias(values: &mut [f64], shape: &[usize], bias: &Tensor) -> Step<()> {
    let channels = shape.get(1).copied().unwrap_or(0);
    let bias_values = bias.floats()?;
    if bias.shape() != [channels] {
        return Err(format!(
            "a bias of shape {:?} for {channels} channels",
            bias.shape()
        ));
    }
    let inner: usize = shape.iter().skip(2).product();
    if inner > 0 {
        for (plane, b) in values.chunks_mut(inner).zip(bias_values.iter().cycle()) {
            plane.iter_mut().for_each(|v| *v += b);
        }
    }
    Ok(())
}

/// The convolution of inputs `[N, C, …]` with weights `[M, C / group, …]`, without a bias.
pub(super) fn convolve(
    call: &Call,
    (x, x_shape): (&[f64], &[usize]),
    (w, w_shape): (&[f64], &[usize]),
) -> Step<(Vec<usize>, Vec<f64>)> {
    let (&[batch, channels, ref input @ ..], &[maps, depth, ref window @ ..]) = (x_shape, w_shape) else {
        return Err(format!(
            "an input of shape {x_shape:?} with weights of shape {w_shape:?}"
        ));
    };
    let kernel = kernel(call, Some(window))?;
    let axes = axes(call, input, &kernel)?;
    let groups = size(call.int("group", 1))?;
    if groups == 0 || maps % groups != 0 || depth.checked_mul(groups) != Some(channels) {
        return Err(format!(
            "{channels} channels and {maps} maps of {depth} channels in {groups} groups"
        ));
    }
    let mut shape = vec![batch, maps];
    shape.extend(axes.iter().map(|a| a.output));
    let len = call.room(&shape)?;
    let mut made = vec![0.0; len];
    if len == 0 {
        return Ok((shape, made));
    }
    let (plane, maps_each) = (volume(input)?, maps / groups);
    let taps = volume(&kernel)?;
    let positions: usize = axes.iter().map(|a| a.output).product();
    let terms = depth.checked_mul(taps).ok_or("too many weights")?;
    if depth == 0 || plane == 0 {
        return Ok((shape, made));
    }
    let conv = Windows::new(call, &axes, (plane, taps, positions))?;
    let inputs = x.chunks_exact(depth * plane);
    let outputs = made.chunks_exact_mut(maps_each * positions);
    let weights = w.chunks_exact(maps_each * terms).cycle();
    for ((input, out), w) in inputs.zip(outputs).zip(weights) {
        if maps_each < 4 {
            conv.direct(call, input, w, out)?;
        } else {
            conv.by_columns(call, input, w, maps_each, out)?;
        }
    }
    Ok((shape, made))
}

/// The windows of a convolution over planes of the input.
pub(super) struct Windows<'a> {
    axes: &'a [Axis],
    /// Values of a plane of the input, taps of a window, number of windows.
    plane: usize,
    taps: usize,
    positions: usize,
    /// Which windows of a row read the input, by tap: see [`Axis::windows`].
    across: Vec<(usize, usize, usize)>,
    /// Where a row of windows (all axes but the last) reads, by tap, then row; none in the padding. A plane has fewer
    /// than 2^32 values.
    starts: Vec<Option<u32>>,
}

impl<'a> Windows<'a> {
    /// Values of a plane of the input, taps of a window and number of windows are stated; there is an axis at least.
    pub(super) fn new(
        call: &Call,
        axes: &'a [Axis],
        (plane, taps, positions): (usize, usize, usize),
    ) -> Step<Self> {
        let (last, leading) = axes.split_last().ok_or("a window of no dimensions")?;
        let rows: usize = leading.iter().map(|a| a.output).product();
        let mut starts = Vec::with_capacity(call.room(&[taps, rows])?);
        let mut across = Vec::with_capacity(taps);
        for tap in 0..taps {
            across.push(last.windows(tap % last.kernel));
            let outer_tap = tap / last.kernel;
            starts.extend((0..rows).map(|row| start(leading, last.input, outer_tap, row)));
        }
        Ok(Self {
            axes,
            plane,
            taps,
            positions,
            across,
            starts,
        })
    }

    /// The places where the rows of windows read for a tap.
    fn rows(&self, tap: usize) -> &[Option<u32>] {
        let rows = self.starts.len() / self.taps;
        &self.starts[tap * rows..(tap + 1) * rows]
    }

    fn last(&self) -> &Axis {
        // Windows have an axis at least.
        &self.axes[self.axes.len() - 1]
    }

    /// Few maps: every tap adds a multiple of a row of the input.
    fn direct(&self, call: &Call, input: &[f64], w: &[f64], out: &mut [f64]) -> Step<()> {
        call.touch(w.len().saturating_mul(self.positions) / 4)?;
        let last = self.last();
        let terms = input.len() / self.plane * self.taps;
        for (out, w) in out.chunks_exact_mut(self.positions).zip(w.chunks_exact(terms)) {
            for (plane, w) in input.chunks_exact(self.plane).zip(w.chunks_exact(self.taps)) {
                for (tap, &w) in w.iter().enumerate() {
                    let (from, to, place) = self.across[tap];
                    for (start, row) in self.rows(tap).iter().zip(out.chunks_exact_mut(last.output)) {
                        let Some(start) = start.map(|s| s as usize) else {
                            continue;
                        };
                        let read = &plane[start..start + last.input];
                        let (row, read) = (&mut row[from..to], &read[place.min(last.input)..]);
                        if last.stride == 1 {
                            row.iter_mut().zip(read).for_each(|(o, x)| *o += w * x);
                        } else {
                            let taken = read.iter().step_by(last.stride);
                            row.iter_mut().zip(taken).for_each(|(o, x)| *o += w * x);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// A block of windows at a time: its columns, then one product with the weights of all maps.
    fn by_columns(&self, call: &Call, input: &[f64], w: &[f64], maps: usize, out: &mut [f64]) -> Step<()> {
        let terms = input.len() / self.plane * self.taps;
        let weights = Matrix::new(w, maps, terms);
        if self.is_pointwise() {
            let x = Matrix::new(input, terms, self.positions);
            return product(call, 1.0, weights, x, 0.0, out, self.positions);
        }
        let width = self.last().output;
        let (across, rows_each) = match (BLOCK / terms).max(COLUMNS) {
            columns if columns >= width => (width, columns / width),
            columns => (columns, 1),
        };
        let rows = self.positions / width;
        call.touch(self.positions.saturating_mul(terms) / 8)?;
        let mut columns = vec![0.0; volume(&[terms, across, rows_each.min(rows)])?];
        for first in (0..rows).step_by(rows_each) {
            let count = rows_each.min(rows - first);
            for from in (0..width).step_by(across) {
                let to = (from + across).min(width);
                let block = count * (to - from);
                let columns = &mut columns[..terms * block];
                self.fill(input, (first, count), (from, to), columns);
                let at = first * width + from;
                let x = Matrix::new(columns, terms, block);
                product(call, 1.0, weights, x, 0.0, &mut out[at..], self.positions)?;
            }
        }
        Ok(())
    }

    /// Whether the columns are the input itself.
    fn is_pointwise(&self) -> bool {
        let one = |a: &Axis| a.kernel == 1 && a.stride == 1 && a.begin == 0 && a.end == 0;
        self.axes.iter().all(one)
    }

    /// The columns of the windows `from..to` of `count` rows of windows.
    fn fill(
        &self,
        input: &[f64],
        (first, count): (usize, usize),
        (from, to): (usize, usize),
        columns: &mut [f64],
    ) {
        let last = self.last();
        let mut rows = columns.chunks_exact_mut(to - from);
        for plane in input.chunks_exact(self.plane) {
            for tap in 0..self.taps {
                let (begin, end, place) = self.across[tap];
                // The windows of this block that read the input.
                let (low, high) = (begin.max(from), end.min(to));
                for start in &self.rows(tap)[first..first + count] {
                    let Some(row) = rows.next() else { return };
                    let Some(start) = start.map(|s| s as usize).filter(|_| low < high) else {
                        row.fill(0.0);
                        continue;
                    };
                    row[..low - from].fill(0.0);
                    row[high - from..].fill(0.0);
                    let at = start + place + (low - begin) * last.stride;
                    let (row, read) = (&mut row[low - from..high - from], &input_from(plane, at));
                    if last.stride == 1 {
                        row.copy_from_slice(&read[..high - low]);
                    } else {
                        row.iter_mut()
                            .zip(read.iter().step_by(last.stride))
                            .for_each(|(c, x)| *c = *x);
                    }
                }
            }
        }
    }
}

impl Windows<'_> {
    /// The reverse of columns: adds every value of a row per plane and tap to the place that its window's tap reads.
    pub(super) fn add(&self, columns: &[f64], planes: &mut [f64]) {
        let last = self.last();
        let mut rows = columns.chunks_exact(self.positions);
        for plane in planes.chunks_exact_mut(self.plane) {
            for tap in 0..self.taps {
                let Some(row) = rows.next() else { return };
                let (from, to, place) = self.across[tap];
                for (start, row) in self.rows(tap).iter().zip(row.chunks_exact(last.output)) {
                    let Some(start) = start.map(|s| s as usize) else {
                        continue;
                    };
                    let places = plane[start..start + last.input]
                        .iter_mut()
                        .skip(place)
                        .step_by(last.stride);
                    places.zip(&row[from..to]).for_each(|(p, c)| *p += c);
                }
            }
        }
    }
}

/// Where a row of windows reads for a tap, both counted over all axes but the last, which has so many values.
fn start(leading: &[Axis], values: usize, mut tap: usize, mut row: usize) -> Option<u32> {
    let (mut start, mut stride) = (0, values);
    for axis in leading.iter().rev() {
        start += axis.place(row % axis.output, tap % axis.kernel)? * stride;
        (row, tap) = (row / axis.output, tap / axis.kernel);
        stride *= axis.input;
    }
    u32::try_from(start).ok()
}

fn input_from(plane: &[f64], at: usize) -> &[f64] {
    &plane[at.min(plane.len())..]
}
