//! A part of a document that stays in its encoding until somebody reads it who knows what it is.
//!
//! Invariant: an item is the canonical encoding of something, and short.

use std::fmt;

use ciborium::Value;
use serde::de::{DeserializeOwned, Error as _, Visitor};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{CanonicalError, from_bytes, to_bytes};

/// The name by which the reader knows an item.
pub(super) const NAME: &str = "zkml::canonical::Item";

/// Most bytes of an item.
pub const MAX_ITEM_BYTES: usize = 64 << 10;

/// See the module.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Item(Vec<u8>);

impl Item {
    /// Keeps a value's encoding.
    #[must_use]
    pub fn of<T: Serialize>(value: &T) -> Self {
        Self(to_bytes(value))
    }

    /// What it is the encoding of.
    ///
    /// # Errors
    /// It is the encoding of something else.
    pub fn read<T: Serialize + DeserializeOwned>(&self) -> Result<T, CanonicalError> {
        from_bytes(&self.0, MAX_ITEM_BYTES)
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match ciborium::from_reader::<Value, _>(self.0.as_slice()) {
            Ok(value) => value.fmt(f),
            Err(_) => f.write_str("Item"),
        }
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let value: Value = ciborium::from_reader(self.0.as_slice()).map_err(S::Error::custom)?;
        value.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Item;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an item of a canonical document")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Item, E> {
                from_bytes::<Value>(bytes, MAX_ITEM_BYTES).map_err(E::custom)?;
                Ok(Item(bytes.to_vec()))
            }
        }
        if from.is_human_readable() {
            return Err(D::Error::custom("an item stands in canonical documents alone"));
        }
        from.deserialize_newtype_struct(NAME, Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        a: Item,
        b: u8,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        x: Vec<u8>,
        y: i64,
    }

    fn outer(x: Vec<u8>) -> Outer {
        Outer {
            a: Item::of(&Inner { x, y: -3 }),
            b: 7,
        }
    }

    #[test]
    fn an_item_is_written_as_what_it_is_and_read_by_whoever_knows_it() {
        let bytes = to_bytes(&outer(vec![1, 2]));
        // {"a": {"x": [1, 2], "y": -3}, "b": 7}
        assert_eq!(hex::encode(&bytes), "a26161a26178820102617922616207");
        let read: Outer = from_bytes(&bytes, 64).unwrap();
        assert_eq!(read, outer(vec![1, 2]));
        assert_eq!(read.a.read(), Ok(Inner { x: vec![1, 2], y: -3 }));
        assert!(read.a.read::<Outer>().is_err());
    }

    #[test]
    fn rejects_a_second_spelling_inside_an_item_and_a_long_one() {
        for second in [
            // Keys out of order, a number longer than it need be, an indefinite length, a tag, an end too soon.
            "a26161a26179226178820102616207",
            "a26161a2617882180102617922616207",
            "a26161a261789f0102ff617922616207",
            "a26161c1a26178820102617922616207",
            "a26161a261788201",
        ] {
            assert!(
                from_bytes::<Outer>(&hex::decode(second).unwrap(), 64).is_err(),
                "{second}"
            );
        }
        let long = to_bytes(&outer(vec![0; MAX_ITEM_BYTES]));
        assert!(from_bytes::<Outer>(&long, long.len()).is_err());
    }
}
