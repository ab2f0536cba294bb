//! Scales while they are chosen: what an operator sees of its tensors, and may change of the one that it makes.

use std::collections::BTreeSet;

use zkml::graph::scale::power_of_two;
use zkml::graph::{Activation, IntRange, Profile, ProfileLimits, TensorId, TensorScale};

use crate::functions;
use crate::hold::Hold;
use crate::interval::Interval;

/// Bits of a quotient and of what is dropped from its accumulator, together.
const MAX_TOGETHER: u8 = 60;

/// Of what a tensor with room holds, what roundings may add.
const ROUNDINGS: f64 = 1.0 / 64.0;

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
    /// By tensor, what it has room for, and its bound; nothing said of one is as calibrated.
    pub(crate) rooms: Vec<(Hold, Option<Interval>)>,
    /// By tensor, how far its values go where that is less than its range.
    spans: Vec<Option<f64>>,
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
            rooms: Vec::new(),
            spans: vec![None; widths.len()],
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

    /// What a tensor has room for.
    pub(super) fn hold(&self, id: TensorId) -> Hold {
        self.rooms
            .get(id.0 as usize)
            .map_or(Hold::Calibrated, |room| room.0)
    }

    /// How far a tensor's values go, whatever the inputs are.
    pub(super) fn span(&self, id: TensorId) -> f64 {
        let at = id.0 as usize;
        let held = || {
            let step = power_of_two(-i32::from(self.tensors[at].exponent));
            self.ranges[at].magnitude() as f64 * step
        };
        self.spans[at].unwrap_or_else(held)
    }

    /// Says so of one.
    pub(super) fn spans(&mut self, id: TensorId, span: f64) {
        self.spans[id.0 as usize] = Some(span);
    }

    /// Gives a tensor the bits that all its quotients need, as far as the profile has them, where it is to have room for them.
    /// `span` is how far its accumulators go.
    pub(super) fn make_room(&mut self, id: TensorId, span: f64, shift: u8, activation: Activation) {
        if !self.hold(id).has_room() || self.is_whole(id) {
            return;
        }
        let at = id.0 as usize;
        let bound = self.rooms[at].1.map(|bound| bound.magnitude() as f64);
        let span = bound.map_or(span, |bound| bound.min(span));
        let TensorScale { bits, exponent } = self.tensors[at];
        // Roundings of what it is made of, each half a step, are below a part of it.
        let reach = span * (1.0 + ROUNDINGS);
        // Of 0 any number; one that is not finite needs more bits than there are.
        let needed = (reach * power_of_two(exponent.into())).log2().floor() + 2.0;
        let most = self.limits.max_bits.min(MAX_TOGETHER - shift.min(MAX_TOGETHER));
        let bits = bits.max((needed.max(0.0) as u8).min(most));
        self.tensors[at].bits = bits;
        self.ranges[at] = activation.range(bits);
        self.spans[at] = Some(reach);
    }

    /// Scale and range of what takes its values from another tensor.
    pub(super) fn inherit(&mut self, input: TensorId, output: TensorId) {
        let (input, output) = (input.0 as usize, output.0 as usize);
        (self.tensors[output], self.ranges[output]) = (self.tensors[input], self.ranges[input]);
        self.spans[output] = self.spans[input];
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
