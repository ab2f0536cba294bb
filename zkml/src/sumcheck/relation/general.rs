//! Any linear map, one multiplication at a time: needs no axes, so it is the form of maps whose axes do not fit.

use p3_field::PrimeCharacteristicRing;

use super::form::Reading;
use crate::graph::LinearMap;
use crate::sumcheck::field::{EF, signed};

/// `Σ_{t, s} eq(ρ, t) · M[t, s] · eq(r, s)`, over values only.
pub(super) fn coefficient_at(reading: &Reading<'_>, output_point: &[EF], chosen: &[EF]) -> EF {
    let (from, to) = (reading.from.all(), reading.to.all());
    let reads = reading.map.multiplications(reading.to.len()) as usize;
    let (out, x) = (to.equality(output_point, reads), from.equality(chosen, reads));
    let mut sum = EF::ZERO;
    entries(reading, |t, s, w| sum += out.at(t) * x.at(s) * signed(w));
    sum
}

/// `c(s) = Σ_t eq(ρ, t) · M[t, s]` on the input's cube, 0 on padding.
pub(super) fn coefficients(reading: &Reading<'_>, output_point: &[EF]) -> Vec<EF> {
    let out = reading.to.all().eq(output_point);
    let mut values = EF::zero_vec(reading.from.len());
    entries(reading, |t, s, w| values[s] += out[t] * signed(w));
    reading.from.all().spread(&values)
}

/// Calls `visit(output, input, weight)` for every entry of the map's matrix, as the map is defined.
fn entries(reading: &Reading<'_>, mut visit: impl FnMut(usize, usize, i64)) {
    match reading.map {
        LinearMap::Dense { inputs, weight, .. } => {
            let (n, rows) = (*inputs as usize, reading.map.bias().len());
            for b in 0..reading.from.len() / n {
                for (i, &w) in weight.iter().enumerate() {
                    visit(b * rows + i / n, b * n + i % n, w);
                }
            }
        }
        LinearMap::Affine { scale, .. } => {
            let channels = reading.map.bias().len();
            for t in 0..reading.to.len() {
                visit(t, t, scale[reading.index * channels + reading.map.channel_of(t)]);
            }
        }
        LinearMap::Conv2d {
            input: [ic, h, w],
            output: [oc, oh, ow],
            kernel,
            stride,
            dilation,
            pad,
            groups,
            weight,
            ..
        } => {
            let (icg, ocg) = (ic / groups, oc / groups);
            let place = |y: u32, k: u32, axis: usize, extent: u32| {
                let at = (y as usize * stride[axis] as usize + k as usize * dilation[axis] as usize)
                    .checked_sub(pad[axis] as usize)?;
                (at < extent as usize).then_some(at)
            };
            let mut t = 0;
            for o in 0..*oc {
                for (y, z) in (0..*oh).flat_map(|y| (0..*ow).map(move |z| (y, z))) {
                    let mut tap = (o * icg * kernel[0] * kernel[1]) as usize;
                    for c in 0..icg {
                        let image = ((o / ocg) * icg + c) as usize * *h as usize * *w as usize;
                        for (a, b) in (0..kernel[0]).flat_map(|a| (0..kernel[1]).map(move |b| (a, b))) {
                            if let (Some(u), Some(v)) = (place(y, a, 0, *h), place(z, b, 1, *w)) {
                                visit(t, image + u * *w as usize + v, weight[tap]);
                            }
                            tap += 1;
                        }
                    }
                    t += 1;
                }
            }
        }
    }
}
