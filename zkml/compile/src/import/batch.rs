//! Convolutions of several images by one kernel: the graph's has one image.
//!
//! Invariant: exact, whichever form is taken; of one image the map is the convolution itself. There are two forms of more.
//!
//! - *Groups*: the images are channels, one after the other, and every image has groups of its own. Nothing is moved and no cell
//!   is added, but the weights stand once for each image: a verifier reads them all, and so does whoever makes a key.
//! - *Interleaved*: the weights stand once. Along one axis the images' places take turns, so that place `p` of image `n` is
//!   `p·N + n`: with padding and dilation `N` times as wide, a window of stride 1 stays in its image and meets the padding where
//!   it did. Two wirings bring the values there and back, and cost a verifier 42 steps a value. With a stride along both axes the
//!   windows between are computed and dropped.
//!
//! Weights are fewer than the values that they make in most layers, and are read seven times as fast, so groups are the rule;
//! late layers of image networks and batches of many are the exception. Stacked images with rows of padding between would need
//! these rows as constants, hence a requantisation of all values; a matrix of windows has each value as often as the kernel has
//! taps: both cost more than either form.

use zkml::graph::TensorId;
use zkml::graph::linear::MAX_WINDOW_EXTENT;

use super::draft::{Draft, Refusal, small};
use super::wiring;
use crate::float::FloatMap;

/// Steps of a verifier for one more copy of a weight: the weight, and its share of what is combined of a row of them.
const WEIGHT_STEPS: usize = 6;
/// Steps of a verifier for one value that a wiring moves.
const MOVED_STEPS: usize = 42;
/// Weights that a slice of several maps may have: what has more is a slice of its own at best.
const MOST_WEIGHTS: usize = 1 << 21;

/// A window that slides over an image, with height first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plane {
    pub image: [usize; 2],
    pub output: [usize; 2],
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    pub pad: [usize; 2],
}

/// What a convolution multiplies with.
#[derive(Debug)]
pub(super) struct Kernel {
    pub channels: usize,
    pub maps: usize,
    pub groups: usize,
    /// `[maps, channels / groups, height, width]`.
    pub weight: Vec<f64>,
    pub bias: Vec<f64>,
}

/// What is convolved, and what comes out.
pub(super) struct Images<'a> {
    pub name: &'a str,
    /// In the order `[count, channels, height, width]`.
    pub x: TensorId,
    pub count: usize,
    /// Of the result, which is in the order `[count, maps, height, width]`.
    pub shape: &'a [usize],
}

/// A convolution, image by image.
pub(super) fn convolved(
    draft: &mut Draft,
    images: &Images<'_>,
    plane: &Plane,
    kernel: Kernel,
) -> Result<TensorId, Refusal> {
    let count = images.count;
    if let Some(axis) = interleaved_axis(count, plane, &kernel) {
        return interleaved(draft, images, plane, kernel, axis);
    }
    let most = kernel.weight.len().max(kernel.channels).max(kernel.maps);
    if count.saturating_mul(most) > super::MAX_TENSOR_LEN {
        return Err(Refusal::TooLarge);
    }
    let map = plane.map(Kernel {
        channels: count * kernel.channels,
        maps: count * kernel.maps,
        groups: count * kernel.groups,
        weight: kernel.weight.repeat(count),
        bias: kernel.bias.repeat(count),
    })?;
    draft.linear(images.name, map, &[images.x], images.shape)
}

impl Plane {
    fn map(&self, kernel: Kernel) -> Result<FloatMap, Refusal> {
        let [groups, channels, maps] = small([kernel.groups, kernel.channels, kernel.maps])?;
        let of = |count: u32, [h, w]: [u32; 2]| [count, h, w];
        Ok(FloatMap::Conv2d {
            input: of(channels, small(self.image)?),
            output: of(maps, small(self.output)?),
            kernel: small(self.kernel)?,
            stride: small(self.stride)?,
            dilation: small(self.dilation)?,
            pad: small(self.pad)?,
            groups,
            weight: kernel.weight,
            bias: kernel.bias,
        })
    }

    /// Windows along an axis at stride 1, of which every so-and-so-many-th is one of the convolution's.
    fn at_stride_1(&self, axis: usize) -> usize {
        (self.output[axis] - 1) * self.stride[axis] + 1
    }

    /// With the places of so many images taking turns along an axis.
    fn interleaved(&self, images: usize, axis: usize) -> Self {
        let mut plane = *self;
        plane.image[axis] *= images;
        plane.output[axis] = self.at_stride_1(axis) * images;
        plane.stride[axis] = 1;
        plane.pad[axis] *= images;
        if plane.kernel[axis] > 1 {
            plane.dilation[axis] *= images;
        } else {
            plane.dilation[axis] = 1;
        }
        plane
    }

    fn places(of: [usize; 2]) -> usize {
        of[0].saturating_mul(of[1])
    }
}

/// Along which axis images take turns, where that is cheaper than weights for each image.
fn interleaved_axis(images: usize, plane: &Plane, kernel: &Kernel) -> Option<usize> {
    if images == 1 {
        return None;
    }
    let axis = usize::from(plane.stride[0] != 1 && plane.stride[1] == 1);
    let other = plane.interleaved(images, axis);
    let extents = [other.dilation[axis], other.pad[axis]];
    if extents.iter().any(|&e| e > MAX_WINDOW_EXTENT as usize) {
        return None;
    }
    let values = |count: usize, of: [usize; 2]| count.saturating_mul(Plane::places(of));
    let made = values(kernel.maps, other.output);
    let moved = values(kernel.channels, other.image).saturating_add(made);
    if moved > super::MAX_TENSOR_LEN {
        return None;
    }
    let weights = kernel.weight.len();
    let repeated = (images - 1).saturating_mul(weights).saturating_mul(WEIGHT_STEPS);
    let cheaper = moved.saturating_mul(MOVED_STEPS) < repeated;
    (cheaper || images.saturating_mul(weights) > MOST_WEIGHTS).then_some(axis)
}

fn interleaved(
    draft: &mut Draft,
    images: &Images<'_>,
    plane: &Plane,
    kernel: Kernel,
    axis: usize,
) -> Result<TensorId, Refusal> {
    let (name, count, maps) = (images.name, images.count, kernel.maps);
    let [h, w] = plane.image;
    let x = wiring::reshape(draft, name, images.x, &[count, kernel.channels, h, w])?;
    let order = if axis == 0 { [1, 2, 0, 3] } else { [1, 2, 3, 0] };
    let x = wiring::permute(draft, name, x, &order)?;
    let other = plane.interleaved(count, axis);
    let [rows, columns] = other.output;
    let y = draft.linear(name, other.map(kernel)?, &[x], &[maps, rows, columns])?;
    // Back to [count, maps, height, width]; along the axis one window for each of the convolution's.
    let mut sources = Vec::with_capacity(count * maps * Plane::places(plane.output));
    for image in 0..count {
        for map in 0..maps {
            for row in 0..plane.output[0] {
                for column in 0..plane.output[1] {
                    let mut at = [row, column];
                    at[axis] = at[axis] * plane.stride[axis] * count + image;
                    sources.push(((map * rows + at[0]) * columns + at[1]) as u32);
                }
            }
        }
    }
    wiring::emit(draft, name, y, images.shape, sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(size: usize, stride: usize) -> Plane {
        Plane {
            image: [size; 2],
            output: [size.div_ceil(stride); 2],
            kernel: [3; 2],
            stride: [stride; 2],
            dilation: [1; 2],
            pad: [1; 2],
        }
    }

    fn kernel(channels: usize, maps: usize) -> Kernel {
        Kernel {
            channels,
            maps,
            groups: 1,
            weight: vec![0.5; channels * maps * 9],
            bias: vec![0.0; maps],
        }
    }

    #[test]
    fn images_take_turns_only_where_weights_outweigh_values() {
        assert_eq!(interleaved_axis(1, &plane(4, 1), &kernel(64, 64)), None);
        assert_eq!(interleaved_axis(4, &plane(32, 1), &kernel(16, 16)), None);
        assert_eq!(interleaved_axis(4, &plane(2, 1), &kernel(64, 64)), Some(0));
        // Whose weights are too many for each image.
        assert_eq!(interleaved_axis(4, &plane(14, 2), &kernel(256, 256)), Some(0));
    }

    #[test]
    fn windows_that_would_reach_too_far_are_not_spread() {
        assert_eq!(interleaved_axis(5000, &plane(1, 1), &kernel(64, 64)), None);
    }
}
