//! Lists of integers as byte strings: little-endian, each in the width of its type.
//!
//! A list in memory is then exactly as long as in a file, whatever stands in it, and is one item for the reader. A width that
//! followed from the values would make files shorter, and a file of bytes a list of eight times its size.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Most bytes of one list: 2^26 values of 8 bytes, which is what all constants of a graph may have. Memory is bounded by the bytes
/// that hold it; how many values a tensor may have is its reader's to say.
pub const MAX_LIST_BYTES: usize = 512 << 20;

/// An integer that has one little-endian form.
pub trait Integer: Copy {
    /// The byte string of a list. Where the machine has integers as files have them it is the list itself: a reader compares what it
    /// has read with the bytes, and a copy for that would be as large as the list.
    fn bytes_of(values: &[Self]) -> Cow<'_, [u8]>;
    /// All of a byte string; `None` when its length is no multiple of the width.
    fn read_all(bytes: &[u8]) -> Option<Vec<Self>>;
}

macro_rules! integer {
    ($($type:ty),*) => {$(
        impl Integer for $type {
            #[cfg(target_endian = "little")]
            fn bytes_of(values: &[Self]) -> Cow<'_, [u8]> {
                Cow::Borrowed(zerocopy::IntoBytes::as_bytes(values))
            }

            #[cfg(not(target_endian = "little"))]
            fn bytes_of(values: &[Self]) -> Cow<'_, [u8]> {
                values.iter().flat_map(|v| v.to_le_bytes()).collect()
            }

            fn read_all(bytes: &[u8]) -> Option<Vec<Self>> {
                let (values, rest) = bytes.as_chunks();
                rest.is_empty().then(|| values.iter().map(|b| Self::from_le_bytes(*b)).collect())
            }
        }
    )*};
}
integer!(i64, u32);

/// For `#[serde(with = …)]`.
pub fn serialize<T: Integer, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(&T::bytes_of(values))
}

/// For `#[serde(with = …)]`.
pub fn deserialize<'de, T: Integer, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct List<T>(PhantomData<T>);

    impl<T: Integer> Visitor<'_> for List<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a byte string of little-endian integers")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<T>, E> {
            if bytes.len() > MAX_LIST_BYTES {
                return Err(E::custom("a list of integers is too long"));
            }
            T::read_all(bytes).ok_or_else(|| E::invalid_length(bytes.len(), &self))
        }
    }

    deserializer.deserialize_bytes(List(PhantomData))
}

/// The values of one tensor, as they travel alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Integers(#[serde(with = "super::integers")] pub Vec<i64>);

/// The same of a list that is somewhere else.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Borrowed<'a>(#[serde(with = "super::integers")] pub &'a [i64]);
