//! The integers that turn a float graph into the integer graph. All of it stands in the manifest.

use serde::{Deserialize, Serialize};
use zkinfer_crds::Profile;

use super::tensor::IntRange;

/// What a profile lets a plan say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProfileLimits {
    /// Least exponent of a tensor.
    pub min_exponent: i16,
    /// Greatest exponent of a tensor.
    pub max_exponent: i16,
    /// Least width of a value before its activation.
    pub min_bits: u8,
    /// Greatest width of a value before its activation.
    pub max_bits: u8,
    /// Greatest shift of a node.
    pub max_shift: u8,
    /// Weight-resolution floor: for each tensor that a linear node reads, the rounding errors of the node's
    /// coefficients for it, added up, must not exceed `2^-resolution` of the coefficients, added up (both absolute).
    /// A plan with exponents so low that weights round to zero is refused by this rule, whatever the weights are.
    pub resolution: u8,
    /// Width that the greatest coefficient of a linear map is given, sign included.
    pub weight_bits: u8,
    /// As `weight_bits`, for a map that scales channels one by one, so that the least coefficient has `weight_bits` too.
    pub channel_bits: u8,
    /// Width of activations, headroom included, that calibration gives them.
    pub activation_bits: u8,
    /// Greatest width that calibration gives an input of the model which only linear maps read: whoever verifies sees it, so
    /// that nothing proves its range.
    pub input_bits: u8,
}

impl ProfileLimits {
    /// What a plan of this profile may say.
    #[must_use]
    pub const fn of(profile: Profile) -> Self {
        let widest = IntRange::MAX_BITS;
        let (resolution, activation_bits, channel_bits, input_bits, max_bits) = match profile {
            Profile::P8 => (5, 8, 8, 8, 24),
            Profile::P12 => (6, 12, 12, 12, 24),
            Profile::P16 => (7, 16, 16, 16, 24),
            Profile::P20 => (8, 20, 31, widest, widest),
        };
        Self {
            min_exponent: -24,
            max_exponent: 48,
            min_bits: 2,
            max_bits,
            max_shift: 40,
            resolution,
            weight_bits: activation_bits,
            channel_bits,
            activation_bits,
            input_bits,
        }
    }
}

/// The scale of one tensor of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorScale {
    /// Width of the signed value before an activation, headroom included.
    pub bits: u8,
    /// Value `v` stands for `v · 2^-exponent`.
    pub exponent: i16,
}

/// With the ONNX bytes, this fixes the integer graph: one scale per tensor, one shift per node.
///
/// A linear node with input exponents `e_k`, output exponent `e` and shift `S` has integer coefficients
/// `round(w · 2^(e + S − e_k))` and biases `round(b · 2^(e + S))`, ties away from zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuantisationPlan {
    /// By node; 0 for nodes that are not linear.
    pub shifts: Vec<u8>,
    /// Whose limits the integers obey.
    pub profile: Profile,
    /// By tensor id.
    pub tensors: Vec<TensorScale>,
}

/// `2^exponent`, exactly; the exponent is clamped to the normal numbers of f64.
#[must_use]
pub fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((1023 + exponent.clamp(-1022, 1023)) as u64) << 52)
}
