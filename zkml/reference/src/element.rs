//! ONNX's element types: their numbers in a file, names, widths, and how a value is rounded or wrapped to one.

use std::fmt;

use crate::ElementType;

/// ONNX's names of all its element types, by `TensorProto.DataType`; those that have none here too.
const NAMES: [&str; 24] = [
    "undefined",
    "float",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "int32",
    "int64",
    "string",
    "bool",
    "float16",
    "double",
    "uint32",
    "uint64",
    "complex64",
    "complex128",
    "bfloat16",
    "float8e4m3fn",
    "float8e4m3fnuz",
    "float8e5m2",
    "float8e5m2fnuz",
    "uint4",
    "int4",
    "float4e2m1",
];

/// ONNX's name of an element type by its `TensorProto.DataType`, whether the reference knows it or not.
#[must_use]
pub fn element_name(code: i64) -> String {
    let name = usize::try_from(code).ok().and_then(|code| NAMES.get(code));
    name.map_or_else(|| format!("element type {code}"), |name| (*name).to_owned())
}

/// ONNX's name.
impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = (1..NAMES.len() as i64).find(|&code| Self::from_onnx(code) == Some(*self));
        f.write_str(&name.map_or_else(String::new, element_name))
    }
}

impl ElementType {
    /// The type of a `TensorProto.DataType`; none for those that the reference does not know.
    pub(crate) fn from_onnx(code: i64) -> Option<Self> {
        Some(match code {
            1 => Self::Float32,
            2 => Self::Uint8,
            3 => Self::Int8,
            4 => Self::Uint16,
            5 => Self::Int16,
            6 => Self::Int32,
            7 => Self::Int64,
            9 => Self::Bool,
            10 => Self::Float16,
            11 => Self::Float64,
            12 => Self::Uint32,
            13 => Self::Uint64,
            16 => Self::BFloat16,
            _ => return None,
        })
    }

    /// Bytes of a value in `raw_data`.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::Int8 | Self::Uint8 | Self::Bool => 1,
            Self::Float16 | Self::BFloat16 | Self::Int16 | Self::Uint16 => 2,
            Self::Float32 | Self::Int32 | Self::Uint32 => 4,
            Self::Float64 | Self::Int64 | Self::Uint64 => 8,
        }
    }

    /// Whether values of this type are [`crate::Values::Int`].
    pub(crate) fn is_int(self) -> bool {
        !self.is_float() && self != Self::Bool
    }

    /// The integer modulo two to the width, as the type's own value. Unsigned 64-bit values stay bits.
    pub(crate) fn wrap(self, value: i64) -> i64 {
        match self {
            Self::Int8 => i64::from(value as i8),
            Self::Int16 => i64::from(value as i16),
            Self::Int32 => i64::from(value as i32),
            Self::Uint8 => i64::from(value as u8),
            Self::Uint16 => i64::from(value as u16),
            Self::Uint32 => i64::from(value as u32),
            _ => value,
        }
    }

    /// Least and greatest integer of the type.
    pub(crate) fn range(self) -> (i128, i128) {
        match self {
            Self::Int8 => (i8::MIN.into(), i8::MAX.into()),
            Self::Int16 => (i16::MIN.into(), i16::MAX.into()),
            Self::Int32 => (i32::MIN.into(), i32::MAX.into()),
            Self::Uint8 => (0, u8::MAX.into()),
            Self::Uint16 => (0, u16::MAX.into()),
            Self::Uint32 => (0, u32::MAX.into()),
            Self::Uint64 => (0, u64::MAX.into()),
            _ => (i64::MIN.into(), i64::MAX.into()),
        }
    }

    /// The stored integer as a number.
    pub(crate) fn number(self, stored: i64) -> i128 {
        if self == Self::Uint64 {
            i128::from(stored as u64)
        } else {
            i128::from(stored)
        }
    }

    /// The nearest value of this float type, ties to even.
    #[must_use]
    pub fn round(self, value: f64) -> f64 {
        match self {
            Self::Float32 => f64::from(value as f32),
            Self::Float16 => round_to(value, 11, -14, 65504.0),
            Self::BFloat16 => round_to(value, 8, -126, 3.389_531_389_251_535_5e38),
            _ => value,
        }
    }

    /// A float as an integer of this type: towards zero, then modulo two to the width, as C's conversions in ONNX's
    /// implementations do where the value fits. NaN is 0.
    pub(crate) fn truncate(self, value: f64) -> i64 {
        if self == Self::Uint64 && value >= 0.0 {
            value as u64 as i64
        } else {
            self.wrap(value as i64)
        }
    }

    /// A float as an integer of this type, towards zero; none for one that the type does not hold, of which the
    /// specification leaves open what a cast makes.
    pub(crate) fn whole(self, value: f64) -> Option<i64> {
        let (least, greatest) = self.range();
        // It saturates, and leaves no integer for a NaN.
        let whole = value as i128;
        let fits = !value.is_nan() && (least..=greatest).contains(&whole);
        fits.then_some(whole as i64)
    }
}

/// Rounds to `precision` significant bits with the exponent at least `least`; beyond `greatest` is infinite.
fn round_to(value: f64, precision: i32, least: i32, greatest: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let exponent = ((value.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    let quantum = 2f64.powi(exponent.max(least) - (precision - 1));
    let rounded = (value / quantum).round_ties_even() * quantum;
    if rounded.abs() > greatest {
        f64::INFINITY.copysign(value)
    } else {
        rounded
    }
}

/// The value of 16-bit float bits.
pub(crate) fn float16(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff);
    let magnitude = match (bits >> 10) & 0x1f {
        0 => fraction * 2f64.powi(-24),
        31 if bits & 0x3ff == 0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (fraction + 1024.0) * 2f64.powi(i32::from(exponent) - 25),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

/// The value of bfloat16 bits.
pub(crate) fn bfloat16(bits: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(bits) << 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_float16_and_bfloat16_rounds_to_itself() {
        for bits in 0..=u16::MAX {
            for (element, value) in [
                (ElementType::Float16, float16(bits)),
                (ElementType::BFloat16, bfloat16(bits)),
            ] {
                assert!(
                    value.is_nan() || element.round(value) == value,
                    "{element:?} {bits:#x}"
                );
            }
        }
    }

    #[test]
    fn ties_go_to_even_and_too_large_is_infinite() {
        assert_eq!(ElementType::Float16.round(2049.0), 2048.0);
        assert_eq!(ElementType::Float16.round(2051.0), 2052.0);
        assert_eq!(ElementType::Float16.round(65519.9), 65504.0);
        assert_eq!(ElementType::Float16.round(-65520.0), f64::NEG_INFINITY);
        assert_eq!(ElementType::Float16.round(2f64.powi(-25)), 0.0);
        assert_eq!(ElementType::BFloat16.round(1.0 + 2f64.powi(-8)), 1.0);
    }

    #[test]
    fn integers_wrap_at_their_width() {
        assert_eq!(ElementType::Int8.wrap(128), -128);
        assert_eq!(ElementType::Uint8.truncate(-1.5), 255);
        assert_eq!(ElementType::Uint64.number(-1), i128::from(u64::MAX));
    }

    #[test]
    fn a_float_that_an_integer_type_does_not_hold_is_none_of_its_values() {
        let int8 = |value| ElementType::Int8.whole(value);
        assert_eq!((int8(-128.9), int8(127.9)), (Some(-128), Some(127)));
        assert_eq!((int8(-129.0), int8(128.0), int8(1e300)), (None, None, None));
        assert_eq!((int8(f64::NAN), int8(f64::NEG_INFINITY)), (None, None));
        let uint8 = |value| ElementType::Uint8.whole(value);
        assert_eq!((uint8(-0.5), uint8(-1.5)), (Some(0), None));
        assert_eq!(ElementType::Int64.whole(2f64.powi(63)), None);
        assert_eq!(ElementType::Int64.whole(-2f64.powi(63)), Some(i64::MIN));
        assert_eq!(ElementType::Uint64.whole(2f64.powi(63)), Some(i64::MIN));
        assert_eq!(ElementType::Uint64.whole(2f64.powi(64)), None);
    }
}
