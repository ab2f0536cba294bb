//! Windows along axes, from a node's attributes.
//!
//! Invariant: an axis has as many windows as the node's result has places there; what lies outside of the input is padding.

use super::draft::{Refusal, unsupported};
use super::recipe::{Call, sizes};

/// Windows along one axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub input: usize,
    pub output: usize,
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    /// Padding before and behind.
    pub begin: usize,
    pub end: usize,
}

/// Greatest number in an attribute.
const MOST: usize = 1 << 20;

/// Numbers of an attribute, one for each axis.
pub(super) fn numbers(
    call: &Call<'_>,
    name: &str,
    len: usize,
    default: usize,
) -> Result<Vec<usize>, Refusal> {
    let given = call.ints(name)?.map(|list| sizes(&list)).transpose()?;
    let list = given.unwrap_or_else(|| vec![default; len]);
    if list.len() != len || list.iter().any(|n| *n > MOST) {
        return unsupported(format!(
            "its attribute `{name}` has not {len} numbers of a window"
        ));
    }
    Ok(list)
}

impl Span {
    /// Of a convolution's or pool's axes: sizes of the input, of the result, and of the window.
    pub(super) fn all(
        call: &Call<'_>,
        input: &[usize],
        output: &[usize],
        kernel: &[usize],
    ) -> Result<Vec<Self>, Refusal> {
        let rank = input.len();
        let (strides, dilations) = (
            numbers(call, "strides", rank, 1)?,
            numbers(call, "dilations", rank, 1)?,
        );
        let pads = numbers(call, "pads", 2 * rank, 0)?;
        let mode = call.text("auto_pad", "NOTSET")?;
        let apart = [&strides, &dilations]
            .iter()
            .all(|list| list.iter().all(|n| *n > 0));
        if output.len() != rank
            || kernel.len() != rank
            || !apart
            || kernel.iter().any(|k| !(1..MOST).contains(k))
        {
            return unsupported("windows of other dimensions than the tensor's");
        }
        let one = |i: usize| {
            let mut span = Self {
                input: input[i],
                output: output[i],
                kernel: kernel[i],
                stride: strides[i],
                dilation: dilations[i],
                begin: pads[i],
                end: pads[i + rank],
            };
            let reach = (span.output - 1) * span.stride + (span.kernel - 1) * span.dilation + 1;
            let total = reach.saturating_sub(span.input);
            match mode.as_str() {
                "SAME_UPPER" => (span.begin, span.end) = (total / 2, total - total / 2),
                "SAME_LOWER" => (span.begin, span.end) = (total - total / 2, total / 2),
                _ => {}
            }
            span
        };
        Ok((0..rank).map(one).collect())
    }

    /// Where tap `k` of window `o` reads; none in the padding.
    pub(super) fn place(&self, o: usize, k: usize) -> Option<usize> {
        let at = (o * self.stride + k * self.dilation).checked_sub(self.begin)?;
        (at < self.input).then_some(at)
    }

    /// Taps of window `o` that lie in the input or its padding; none counts beyond.
    pub(super) fn counted(&self, o: usize) -> usize {
        let whole = self.begin + self.input + self.end;
        (0..self.kernel)
            .filter(|k| o * self.stride + k * self.dilation < whole)
            .count()
    }
}
