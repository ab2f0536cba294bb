//! Static bounds: how large an accumulator can get over all inputs in their exact ranges.

use super::linear::LinearMap;
use super::tensor::IntRange;

/// Every value, accumulator and product of a relation stays below this in absolute value.
pub const LIMIT: i64 = 1 << 62;

/// Greatest |accumulator| of a linear map; `None` when it could reach [`LIMIT`] or the lengths do not fit.
#[must_use]
pub fn accumulator_bound(map: &LinearMap, inputs: &[IntRange]) -> Option<i64> {
    let sum = |weights: &mut dyn Iterator<Item = (i64, i64)>, bias: i64| {
        let mut total = i128::from(bias.unsigned_abs());
        for (weight, magnitude) in weights {
            total = total.checked_add(i128::from(weight.unsigned_abs()) * i128::from(magnitude))?;
        }
        Some(total)
    };
    let magnitudes: Vec<i64> = inputs.iter().map(|r| r.magnitude()).collect();
    let worst = match map {
        LinearMap::Dense { weight, bias, .. } | LinearMap::Conv2d { weight, bias, .. } => {
            let magnitude = *magnitudes.first()?;
            let per_output = weight.len().checked_div(bias.len())?;
            let mut worst = 0;
            for (o, &bias) in bias.iter().enumerate() {
                let row = weight.get(o * per_output..(o + 1) * per_output)?;
                worst = worst.max(sum(&mut row.iter().map(|&w| (w, magnitude)), bias)?);
            }
            worst
        }
        LinearMap::Affine {
            channels,
            scale,
            bias,
            ..
        } => {
            let channels = *channels as usize;
            let mut worst = 0;
            for (c, &bias) in bias.iter().enumerate() {
                let row = magnitudes
                    .iter()
                    .enumerate()
                    .map(|(k, &m)| Some((*scale.get(k * channels + c)?, m)));
                let row = row.collect::<Option<Vec<_>>>()?;
                worst = worst.max(sum(&mut row.into_iter(), bias)?);
            }
            worst
        }
    };
    i64::try_from(worst).ok().filter(|w| *w < LIMIT)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::graph::Product;

    /// Row by row the matrix of a map, read off its values at unit vectors: all inputs one after the other.
    fn dense(map: &LinearMap, lens: &[usize]) -> (Vec<Vec<i64>>, Vec<i64>) {
        let total: usize = lens.iter().sum();
        let at = |unit: Option<usize>| {
            let flat: Vec<i64> = (0..total).map(|i| i64::from(Some(i) == unit)).collect();
            let mut rest = &flat[..];
            let cut = |len: &usize| {
                let (own, behind) = rest.split_at(*len);
                rest = behind;
                own
            };
            map.accumulate(&lens.iter().map(cut).collect::<Vec<_>>())
        };
        let bias = at(None);
        let columns: Vec<Vec<i64>> = (0..total).map(|i| at(Some(i))).collect();
        let row = |t: usize| columns.iter().map(|c| c[t] - bias[t]).collect();
        ((0..bias.len()).map(row).collect(), bias)
    }

    /// The greatest |accumulator| over all inputs whose values lie at the ends of their ranges, every choice of ends tried.
    fn greatest(map: &LinearMap, lens: &[usize], ranges: &[IntRange]) -> i64 {
        let (rows, bias) = dense(map, lens);
        let ends = lens.iter().zip(ranges);
        let ends: Vec<[i64; 2]> = ends.flat_map(|(len, r)| vec![[r.lo(), r.hi()]; *len]).collect();
        let mut worst = 0;
        for choice in 0..1u32 << ends.len() {
            let x: Vec<i64> = ends
                .iter()
                .enumerate()
                .map(|(i, e)| e[((choice >> i) & 1) as usize])
                .collect();
            for (row, bias) in rows.iter().zip(&bias) {
                let sum: i64 = row.iter().zip(&x).map(|(w, x)| w * x).sum();
                worst = worst.max((sum + bias).abs());
            }
        }
        worst
    }

    fn range() -> impl Strategy<Value = IntRange> {
        (any::<bool>(), 1u8..6).prop_map(|(signed, bits)| match signed {
            true => IntRange::signed(bits),
            false => IntRange::unsigned(bits),
        })
    }

    /// A map, and the lengths of what it reads.
    fn map() -> impl Strategy<Value = (LinearMap, Vec<usize>)> {
        let numbers = |len| proptest::collection::vec(-40i64..=40, len);
        let dense = (1u32..4, 1u32..4, 1usize..3).prop_flat_map(move |(inputs, outputs, batch)| {
            let of = (numbers((inputs * outputs) as usize), numbers(outputs as usize));
            of.prop_map(move |(weight, bias)| {
                let map = LinearMap::Dense {
                    inputs,
                    outputs,
                    weight: weight.into(),
                    bias: bias.into(),
                };
                (map, vec![batch * inputs as usize])
            })
        });
        let affine = (1usize..4, 1u32..3, 1u32..3).prop_flat_map(move |(inputs, channels, inner)| {
            let of = (numbers(inputs * channels as usize), numbers(channels as usize));
            of.prop_map(move |(scale, bias)| {
                let map = LinearMap::Affine {
                    outer: 1,
                    channels,
                    inner,
                    scale: scale.into(),
                    bias: bias.into(),
                };
                (map, vec![(channels * inner) as usize; inputs])
            })
        });
        let conv = (1u32..3, 1u32..4, 1u32..4, 0u32..2).prop_flat_map(move |(groups, width, taps, pad)| {
            let taps = taps.min(width);
            let of = (
                numbers((groups * 2 * taps) as usize),
                numbers(2 * groups as usize),
            );
            of.prop_map(move |(weight, bias)| {
                let map = LinearMap::Conv2d {
                    input: [groups, 1, width],
                    output: [2 * groups, 1, width + 2 * pad - taps + 1],
                    kernel: [1, taps],
                    stride: [1, 1],
                    dilation: [1, 1],
                    pad: [0, pad],
                    groups,
                    weight: weight.into(),
                    bias: bias.into(),
                };
                (map, vec![(groups * width) as usize])
            })
        });
        prop_oneof![dense, affine, conv]
    }

    proptest! {
        /// Against every choice of ends, and against the sum of each dense row: it is the greatest row's, but for rows of a
        /// convolution whose taps all lie outside.
        #[test]
        fn a_bound_is_that_of_the_maps_dense_rows_and_no_input_exceeds_it((map, lens) in map(), all in proptest::collection::vec(range(), 3)) {
            let ranges = &all[..lens.len()];
            let bound = accumulator_bound(&map, ranges).unwrap();
            prop_assert!(greatest(&map, &lens, ranges) <= bound);
            let (rows, bias) = dense(&map, &lens);
            let magnitudes: Vec<i64> = lens.iter().zip(ranges).flat_map(|(len, r)| vec![r.magnitude(); *len]).collect();
            let sum = |(row, bias): (&Vec<i64>, &i64)| row.iter().zip(&magnitudes).map(|(w, m)| w.abs() * m).sum::<i64>() + bias.abs();
            let dense = rows.iter().zip(&bias).map(sum).max().unwrap();
            prop_assert!(dense <= bound);
            if !matches!(map, LinearMap::Conv2d { .. }) {
                prop_assert_eq!(dense, bound);
            }
        }

        #[test]
        fn no_factors_exceed_the_bound_of_their_product(ranges in [range(), range()], rows in 1u32..3, inner in 1u32..4, ends in any::<u64>()) {
            let matrix = Product::Matrix { rows, batch: 1, inner, columns: 2 };
            let lens = [rows * inner, inner * 2].map(|l| l as usize);
            for (product, lens) in [(Product::Elements, [3, 3]), (matrix, lens)] {
                let bound = product.bound(ranges).unwrap();
                let at = |side: usize, i: usize| [ranges[side].lo(), ranges[side].hi()][((ends >> (side * 20 + i)) & 1) as usize];
                let [x, y] = [0, 1].map(|side| (0..lens[side]).map(|i| at(side, i)).collect::<Vec<_>>());
                prop_assert!(product.accumulate(&x, &y).iter().all(|acc| acc.abs() <= bound));
                // Where all values have their greatest magnitude the bound is reached.
                let most = |side: usize| [ranges[side].lo(), ranges[side].hi()].into_iter().max_by_key(|v| v.abs()).unwrap();
                let [x, y] = [0, 1].map(|side| vec![most(side); lens[side]]);
                prop_assert_eq!(product.accumulate(&x, &y)[0].abs(), bound);
            }
        }
    }

    #[test]
    fn what_could_reach_the_limit_has_no_bound() {
        let dense = |weight: i64, bias: i64| LinearMap::Dense {
            inputs: 2,
            outputs: 1,
            weight: vec![weight, weight].into(),
            bias: vec![bias].into(),
        };
        let wide = [IntRange::signed(32)];
        assert_eq!(accumulator_bound(&dense(1 << 30, -1), &wide), None);
        assert_eq!(
            accumulator_bound(&dense((1 << 30) - 1, 0), &wide),
            Some(LIMIT - (1 << 32))
        );
        for extreme in [i64::MIN, i64::MAX] {
            assert_eq!(accumulator_bound(&dense(extreme, 0), &wide), None);
            assert_eq!(accumulator_bound(&dense(0, extreme), &wide), None);
        }
    }

    #[test]
    fn factors_whose_product_could_reach_the_limit_have_no_bound() {
        let matrix = |inner| Product::Matrix {
            rows: 1,
            batch: 1,
            inner,
            columns: 1,
        };
        let (signed, unsigned) = ([IntRange::signed(32); 2], [IntRange::unsigned(32); 2]);
        assert_eq!(Product::Elements.bound(signed), None);
        assert_eq!(Product::Elements.bound(unsigned), None);
        assert_eq!(matrix(u32::MAX).bound(unsigned), None);
        assert_eq!(matrix(u32::MAX).bound([IntRange::signed(17); 2]), None);
        let just = [IntRange::signed(32), IntRange::signed(31)];
        assert_eq!(Product::Elements.bound(just), Some(LIMIT / 2));
        assert_eq!(
            (matrix(1).bound(just), matrix(2).bound(just)),
            (Some(LIMIT / 2), None)
        );
    }
}
