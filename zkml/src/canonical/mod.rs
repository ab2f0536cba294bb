//! The one encoding of everything that is hashed or travels: deterministic CBOR (RFC 8949 §4.2.1).
//!
//! Invariants: a value has exactly one encoding, and a decoder accepts nothing else. So a digest names a value, and a
//! changed, removed or added byte is never silently ignored. Decoding takes at most as much memory as there are bytes, and
//! [`DECODING_MEMORY`] beside: no tree of items is built, and long lists of integers are byte strings.
//!
//! A struct that is decoded declares its fields in the order of their encodings: shorter names first, then by the alphabet.

pub mod integers;
mod item;
mod read;

use std::io;

use ciborium::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zkinfer_crds::Digest;

pub use integers::Integers;
pub use item::{Item, MAX_ITEM_BYTES};
pub use read::{MAX_DEPTH, MAX_ITEMS, is_legible};

/// Most memory that decoding takes beside as much as there are bytes.
pub const DECODING_MEMORY: usize = 64 << 20;

/// Why bytes are not the encoding of a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// More bytes than the caller reads.
    #[error("{got} bytes, at most {max} are read")]
    TooLarge {
        /// The caller's limit.
        max: usize,
        /// What was given.
        got: usize,
    },
    /// More items than anybody needs.
    #[error("more than {MAX_ITEMS} items")]
    Items,
    /// A version that this program does not read.
    #[error("it is of version {got}, {}; this program reads version {reads}", readers(*got))]
    Version {
        /// The version that it says it has.
        got: u64,
        /// The one that is read.
        reads: u32,
    },
    /// Not CBOR, or CBOR of something else.
    #[error("not the expected CBOR: {0}")]
    Malformed(String),
    /// A second spelling: trailing bytes, unsorted or doubled keys, a number that is longer than it need be.
    #[error("not the canonical encoding of what it says")]
    NotCanonical,
}

/// Who reads a version.
#[must_use]
pub const fn readers(version: u64) -> &'static str {
    match version {
        1 => "which zkinfer wrote and read until November 2026 (the last commit to read it is 6acf6bc)",
        _ => "which this program does not know",
    }
}

/// Encodes a value. Map keys are sorted by their encoded bytes.
///
/// # Panics
/// Never for types of ours. Nothing stands in for a value that does not serialise: two of them would have one digest.
#[must_use]
#[allow(
    clippy::expect_used,
    reason = "plain data structures serialise, and a vector takes every write"
)]
pub fn to_bytes<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut value = Value::serialized(value).expect("data of ours has CBOR");
    sort(&mut value);
    ciborium::into_writer(&value, &mut bytes).expect("a vector takes every write");
    bytes
}

/// SHA-256 of a value's encoding.
#[must_use]
pub fn digest<T: Serialize>(value: &T) -> Digest {
    Digest::of(&to_bytes(value))
}

/// Decodes what [`to_bytes`] gave, and nothing else.
///
/// # Errors
/// Too many bytes, other data, or a second spelling.
pub fn from_bytes<T: Serialize + DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, CanonicalError> {
    if bytes.len() > max {
        return Err(CanonicalError::TooLarge {
            max,
            got: bytes.len(),
        });
    }
    let mut reader = read::Reader::new(bytes);
    let value = T::deserialize(&mut reader)?;
    reader.end()?;
    // What the reader cannot know: an optional field that is absent, a text where bytes are written.
    let mut same = Same(bytes);
    match ciborium::into_writer(&value, &mut same) {
        Ok(()) if same.0.is_empty() => Ok(value),
        _ => Err(CanonicalError::NotCanonical),
    }
}

/// As [`from_bytes`], for a map that says its version: another one is refused by its name.
///
/// # Errors
/// As [`from_bytes`], and another version.
pub fn from_bytes_of_version<T: Serialize + DeserializeOwned>(
    bytes: &[u8],
    max: usize,
    reads: u32,
) -> Result<T, CanonicalError> {
    match read::version(bytes) {
        Some(got) if got != u64::from(reads) => Err(CanonicalError::Version { got, reads }),
        _ => from_bytes(bytes, max),
    }
}

/// A writer that accepts exactly these bytes.
struct Same<'a>(&'a [u8]);

impl io::Write for Same<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.strip_prefix(bytes).ok_or(io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn sort(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(sort),
        Value::Map(entries) => {
            entries.iter_mut().for_each(|(_, v)| sort(v));
            entries.sort_by_cached_key(|(key, _)| {
                let mut bytes = Vec::new();
                let _ = ciborium::into_writer(key, &mut bytes);
                bytes
            });
        }
        Value::Tag(_, inner) => sort(inner),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Pair {
        b: Vec<i64>,
        long_name: u32,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Several {
        list: Integers,
        none: Option<u8>,
        choice: Choice,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Choice {
        Plain,
        Tuple(u8, bool),
        Fields { a: i64 },
    }

    fn bytes_of(hex: &str) -> Vec<u8> {
        hex::decode(hex.replace(' ', "")).unwrap()
    }

    #[test]
    fn no_text_writes_to_a_terminal_more_than_a_text() {
        for text in ["a\u{1b}[2J", "a\nholds", "\u{202e}dilav", "\u{85}", "a\u{2028}b"] {
            let bytes = to_bytes(&text.to_owned());
            let read = from_bytes::<String>(&bytes, 1 << 10);
            assert!(
                matches!(read, Err(CanonicalError::Malformed(why)) if why.contains("terminal")),
                "{text:?}"
            );
        }
        for text in ["층/Gemm;β", "👩‍🔬 \"`'"] {
            assert_eq!(
                from_bytes(&to_bytes(&text.to_owned()), 1 << 10),
                Ok(text.to_owned())
            );
        }
    }

    #[test]
    fn every_kind_of_item_has_one_spelling() {
        let several = |choice| Several {
            list: Integers(vec![-2, 1]),
            none: None,
            choice,
        };
        let list = "646c697374 50 feffffffffffffff 0100000000000000";
        let none = "646e6f6e65 f6";
        let choices = [
            (Choice::Plain, "65506c61696e"),
            (Choice::Tuple(7, true), "a1655475706c65 82 07 f5"),
            (Choice::Fields { a: -1 }, "a1664669656c6473 a1 6161 20"),
        ];
        for (choice, encoded) in choices {
            let value = several(choice);
            let bytes = bytes_of(&format!("a3 {list} {none} 6663686f696365 {encoded}"));
            assert_eq!(hex::encode(to_bytes(&value)), hex::encode(&bytes));
            assert_eq!(from_bytes(&bytes, 1 << 10), Ok(value));
        }
        let plain = "6663686f696365 65506c61696e";
        for second in [
            // An absent field that may be null; a variant without fields as a map; a list of numbers; a broken value.
            format!("a2 {list} {plain}"),
            format!("a3 {list} {none} 6663686f696365 a1 65506c61696e f6"),
            format!("a3 646c697374 82 21 01 {none} {plain}"),
            format!("a3 646c697374 49 feffffffffffffff 01 {none} {plain}"),
            // Indefinite lengths, a tag, a key twice, a field that is not known, a float.
            format!("bf {list} {none} {plain} ff"),
            format!("c1 a3 {list} {none} {plain}"),
            format!("a3 {list} {list} {plain}"),
            format!("a4 {list} {none} {plain} 69756e6b6e6f776e2020 00"),
            format!("a3 {list} 646e6f6e65 f93c00 {plain}"),
        ] {
            let refused = from_bytes::<Several>(&bytes_of(&second), 1 << 10);
            assert!(
                matches!(
                    refused,
                    Err(CanonicalError::NotCanonical | CanonicalError::Malformed(_))
                ),
                "{second}: {refused:?}"
            );
        }
    }

    #[test]
    fn depth_and_number_of_items_are_bounded() {
        let deep = [vec![0x81; MAX_DEPTH + 1], vec![0]].concat();
        let refused = from_bytes::<Value>(&deep, deep.len());
        assert!(
            matches!(&refused, Err(CanonicalError::Malformed(why)) if why.contains("deep")),
            "{refused:?}"
        );
        assert!(from_bytes::<Value>(&deep[1..], deep.len()).is_ok());
        let many = vec![0u8; MAX_ITEMS];
        let many = to_bytes(&many);
        assert_eq!(
            from_bytes::<Vec<u8>>(&many, many.len()),
            Err(CanonicalError::Items)
        );
        // A length that no bytes follow allocates nothing.
        let long = bytes_of("9bffffffffffffffff");
        assert!(from_bytes::<Vec<u64>>(&long, 9).is_err());
        assert!(from_bytes::<Integers>(&bytes_of("5bffffffffffffffff"), 9).is_err());
    }

    #[test]
    fn another_version_is_refused_by_its_name() {
        let one = bytes_of("a2 6161 83010203 6776657273696f6e 01");
        let refused = from_bytes_of_version::<Pair>(&one, 64, 2).unwrap_err();
        assert_eq!(refused, CanonicalError::Version { got: 1, reads: 2 });
        assert!(refused.to_string().contains("6acf6bc"), "{refused}");
    }

    #[test]
    fn one_value_has_one_encoding() {
        let pair = Pair {
            long_name: 24,
            b: vec![-1, 300],
        };
        let bytes = to_bytes(&pair);
        // {"b": [-1, 300], "long_name": 24}: shorter keys first, shortest numbers.
        assert_eq!(
            hex::encode(&bytes),
            "a2616282201901 2c696c6f6e675f6e616d651818".replace(' ', "")
        );
        assert_eq!(from_bytes::<Pair>(&bytes, 64), Ok(pair));
        for second in [
            "a2696c6f6e675f6e616d651818616282201901 2c",
            "a2616282201901 2c696c6f6e675f6e616d65190018",
            "a2616282201901 2c696c6f6e675f6e616d65181800",
        ] {
            let bytes = hex::decode(second.replace(' ', "")).unwrap();
            assert_eq!(
                from_bytes::<Pair>(&bytes, 64),
                Err(CanonicalError::NotCanonical),
                "{second}"
            );
        }
        assert!(matches!(
            from_bytes::<Pair>(&bytes, 3),
            Err(CanonicalError::TooLarge { max: 3, .. })
        ));
        for len in 0..bytes.len() {
            assert!(from_bytes::<Pair>(&bytes[..len], 64).is_err());
        }
    }
}
