//! Transposed convolutions in both forms: they compute what the reference does, and the form that moves fewer values is taken.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::onnx::{Onnx, int, ints};
use super::recipes::agrees_with_the_reference;
use crate::float::FloatOp;
use crate::import::import;
use crate::ops::{FloatMap, Linear};

/// `[batch, channels, sizes…]` by `maps` per group.
fn transposed(
    channels: i64,
    (groups, maps): (i64, i64),
    axes: &[[i64; 3]],
    pads: &[i64],
    more: &[i64],
) -> Onnx {
    let lead = |first: [i64; 2], at: usize| {
        let sizes = axes.iter().map(|axis| axis[at]);
        first.into_iter().chain(sizes).collect::<Vec<_>>()
    };
    let strides: Vec<i64> = axes.iter().map(|axis| axis[2]).collect();
    Onnx::new(&lead([1, channels], 0))
        .random("w", &lead([channels, maps], 1))
        .random("b", &[maps * groups])
        .node(
            "ConvTranspose",
            &["x", "w", "b"],
            "y",
            vec![
                int("group", groups),
                ints("strides", &strides),
                ints("pads", pads),
                ints("output_padding", more),
            ],
        )
}

/// The most values of a tensor of its graph.
fn largest(onnx: &Onnx) -> usize {
    let graph = import(&onnx.bytes()).unwrap();
    graph.tensors.iter().map(|t| t.len()).max().unwrap()
}

#[test]
fn both_forms_compute_what_the_reference_does() {
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    for case in 0..60 {
        let rank = rng.gen_range(1..=3);
        let (groups, of_group) = (rng.gen_range(1..=2), rng.gen_range(1..=8));
        let maps = rng.gen_range(1..=2);
        let axes: Vec<[i64; 3]> = (0..rank)
            .map(|_| [rng.gen_range(1..=4), rng.gen_range(1..=5), rng.gen_range(1..=3)])
            .collect();
        // What is cut off leaves a place at least.
        let cut = |rng: &mut ChaCha20Rng, [input, kernel, stride]: [i64; 3]| {
            let whole = (input - 1) * stride + kernel;
            rng.gen_range(0..=((whole - 1) / 2).min(2))
        };
        let pads: Vec<i64> = axes
            .iter()
            .chain(&axes)
            .map(|axis| cut(&mut rng, *axis))
            .collect();
        let more: Vec<i64> = axes.iter().map(|axis| rng.gen_range(0..axis[2])).collect();
        let onnx = transposed(groups * of_group, (groups, maps), &axes, &pads, &more);
        let name = format!("{case}: {axes:?}, {pads:?}, {more:?}, {groups} x {of_group} to {maps}");
        agrees_with_the_reference(&name, &onnx.bytes());
    }
}

#[test]
fn an_image_of_many_channels_is_not_enlarged_for_one_map() {
    // As the last layer of a text detector: 24 channels, windows that do not overlap.
    let few = transposed(24, (1, 1), &[[10, 2, 2], [12, 2, 2]], &[0; 4], &[0; 2]);
    assert_eq!(largest(&few), 24 * 10 * 12);
    let graph = import(&few.bytes()).unwrap();
    let windows = graph.nodes.iter().filter_map(|node| match &node.op {
        FloatOp::Linear(Linear {
            map: FloatMap::Conv2d { kernel, output, .. },
            ..
        }) => Some((*kernel, *output)),
        _ => None,
    });
    assert_eq!(windows.collect::<Vec<_>>(), [([1, 1], [4, 10, 12])]);
    // As many maps as channels: the other form, with which what follows is one node.
    let many = transposed(4, (1, 4), &[[10, 2, 2], [12, 2, 2]], &[0; 4], &[0; 2]);
    assert_eq!(largest(&many), 4 * 21 * 25);
}
