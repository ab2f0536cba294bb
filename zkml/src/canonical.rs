//! The one encoding of everything that is hashed or travels: deterministic CBOR (RFC 8949 §4.2.1).
//!
//! Invariant: a value has exactly one encoding, and a decoder accepts nothing else. So a digest names a value, and a
//! changed, removed or added byte is never silently ignored.

use ciborium::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zkinfer_crds::Digest;

/// Deepest nesting that a decoder follows.
const MAX_DEPTH: usize = 32;

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
    /// Not CBOR, or CBOR of something else.
    #[error("not the expected CBOR: {0}")]
    Malformed(String),
    /// A second spelling: trailing bytes, unsorted or doubled keys, a number that is longer than it need be.
    #[error("not the canonical encoding of what it says")]
    NotCanonical,
}

/// Encodes a value. Map keys are sorted by their encoded bytes.
#[must_use]
pub fn to_bytes<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Plain data structures serialise, and a vector takes every write.
    if let Ok(mut value) = Value::serialized(value) {
        sort(&mut value);
        let _ = ciborium::into_writer(&value, &mut bytes);
    }
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
    let value: T = ciborium::de::from_reader_with_recursion_limit(bytes, MAX_DEPTH)
        .map_err(|e| CanonicalError::Malformed(e.to_string()))?;
    if to_bytes(&value) == bytes {
        Ok(value)
    } else {
        Err(CanonicalError::NotCanonical)
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
        long_name: u32,
        b: Vec<i64>,
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
