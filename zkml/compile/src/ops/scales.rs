//! Scales while they are chosen: what an operator sees of its tensors, and may change of the one that it makes.

use std::collections::BTreeSet;

use zkml::graph::scale::power_of_two;
use zkml::graph::{IntRange, Profile, ProfileLimits, TensorId, TensorScale};

use crate::functions;
use crate::interval::Interval;

/// The scales of all tensors, as far as they are chosen.
pub(crate) struct Scales {
    /// Of the profile.
    pub(super) limits: ProfileLimits,
    /// By tensor.
    pub(crate) tensors: Vec<TensorScale>,
    /// By tensor, the range that its node gives it.
    pub(super) ranges: Vec<IntRange>,
    /// Tensors of whole numbers.
    wholes: BTreeSet<TensorId>,
    /// Tensors with one bit more than what reads them.
    guarded: BTreeSet<TensorId>,
    /// Whether values of the function that was scaled last are so small that the finest table holds too little of them.
    pub(crate) too_small: bool,
    /// Whether shifts are as short as they can be: whose remainder fits one limb as far as weights keep enough bits, and without the
    /// bits that are 0 in every coefficient.
    pub(crate) short_shifts: bool,
    /// The rows that were made already.
    pub(super) made: functions::Tables,
}

impl Scales {
    /// One scale per tensor from how far it must reach.
    pub(crate) fn new(reaches: &[f64], widths: &[u8], profile: Profile) -> Self {
        let limits = ProfileLimits::of(profile);
        let scale = |(&reach, bits): (&f64, u8)| {
            // A tensor of zeros takes any scale; steps as those of values up to 1 are not too large for a function that reads it.
            let reach = if reach == 0.0 { 2.0 } else { reach };
            let exponent = exponent_below(reach, i32::from(bits) - 1);
            TensorScale {
                exponent: exponent.clamp(limits.min_exponent.into(), limits.max_exponent.into()) as i16,
                bits,
            }
        };
        let tensors: Vec<TensorScale> = reaches.iter().zip(widths.iter().copied()).map(scale).collect();
        Self {
            ranges: tensors.iter().map(|t| IntRange::signed(t.bits)).collect(),
            tensors,
            limits,
            wholes: BTreeSet::new(),
            guarded: BTreeSet::new(),
            too_small: false,
            short_shifts: false,
            made: functions::Tables::default(),
        }
    }

    /// Holds a tensor of whole numbers in steps of 1; of an input those below 0 only where it has some.
    pub(crate) fn whole(&mut self, id: TensorId, of: Interval, input: bool) {
        self.wholes.insert(id);
        let at = id.0 as usize;
        let scale = whole_scale(of);
        (self.tensors[at], self.ranges[at]) = (scale, whole_range(scale, input && of.least() >= 0));
    }

    /// Whether that was done.
    pub(super) fn is_whole(&self, id: TensorId) -> bool {
        self.wholes.contains(&id)
    }

    /// Gives a tensor one bit more than the one behind it has, which refuses what needs it.
    pub(super) fn guard(&mut self, id: TensorId) {
        self.guarded.insert(id);
        self.tensors[id.0 as usize].bits += 1;
    }

    /// Whether that was done.
    pub(super) fn is_guarded(&self, id: TensorId) -> bool {
        self.guarded.contains(&id)
    }

    /// Scale and range of what takes its values from another tensor.
    pub(super) fn inherit(&mut self, input: TensorId, output: TensorId) {
        let (input, output) = (input.0 as usize, output.0 as usize);
        (self.tensors[output], self.ranges[output]) = (self.tensors[input], self.ranges[input]);
    }
}

/// Of whole numbers: the fewest bits that hold all, with a sign.
pub(crate) fn whole_scale(of: Interval) -> TensorScale {
    // No more than 64.
    let bits = of.bits() as u8;
    TensorScale { exponent: 0, bits }
}

/// The range of an input of whole numbers.
pub(crate) fn whole_range(scale: TensorScale, unsigned: bool) -> IntRange {
    if unsigned {
        IntRange::unsigned(scale.bits - 1)
    } else {
        IntRange::signed(scale.bits)
    }
}

/// The greatest exponent at which `magnitude` stays below `2^bits`.
pub(super) fn exponent_below(magnitude: f64, bits: i32) -> i32 {
    // 2^(e + log2) < 2^bits; the loop ends the doubt that rounding of the logarithm leaves.
    let mut exponent = bits - magnitude.log2().floor() as i32;
    while exponent > -200 && magnitude * power_of_two(exponent) >= power_of_two(bits) {
        exponent -= 1;
    }
    exponent
}

/// The greatest exponent at which values up to `reach` round to a signed number of so many bits.
pub(super) fn exponent_of_rows(reach: f64, bits: u8) -> i16 {
    if reach == 0.0 {
        return 0;
    }
    let width = i32::from(bits) - 1;
    let most = power_of_two(width) - 1.0;
    let exponent = exponent_below(reach, width);
    let fits = (reach * power_of_two(exponent)).round() <= most;
    // At most 248 in absolute value.
    (exponent - i32::from(!fits)) as i16
}
