//! The words of proof systems in manifests and envelopes.
//!
//! Invariant: a word is one of [`MAX_LEN`] characters at most, of letters, digits, `-`, `.` and `/`. Whether there is such a
//! proof system is a question for the list of them ([`Systems`](super::Systems)): these words are open, those of the wire and
//! of objects (`zkinfer_crds`) are not.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zkinfer_crds::{ParameterId, ProofSystem, WordError};

/// Most characters of a word.
pub const MAX_LEN: usize = 40;

/// What was given for a word is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a word has 1 to {MAX_LEN} letters, digits, `-`, `.` and `/`")]
pub struct NoWord;

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Word {
    /// Zero after the word's end.
    bytes: [u8; MAX_LEN],
    len: u8,
}

impl Word {
    const fn read(text: &str) -> Result<Self, NoWord> {
        let from = text.as_bytes();
        if from.is_empty() || from.len() > MAX_LEN {
            return Err(NoWord);
        }
        let mut bytes = [0; MAX_LEN];
        let mut at = 0;
        while at < from.len() {
            let c = from[at];
            if !(c.is_ascii_alphanumeric() || c == b'-' || c == b'.' || c == b'/') {
                return Err(NoWord);
            }
            bytes[at] = c;
            at += 1;
        }
        Ok(Self {
            bytes,
            len: from.len() as u8,
        })
    }

    /// Of a text that stands in the source.
    const fn fixed(text: &'static str) -> Self {
        match Self::read(text) {
            Ok(word) => word,
            // A static that says otherwise does not compile.
            Err(NoWord) => Self {
                bytes: [0; MAX_LEN],
                len: 0,
            },
        }
    }

    fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

macro_rules! word {
    ($(#[$about:meta])* $name:ident, $closed:ident) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Word);

        impl $name {
            /// A word that stands in the source; empty, which no document can say, where the text is none.
            #[must_use]
            pub const fn new(text: &'static str) -> Self {
                Self(Word::fixed(text))
            }

            /// A closed word.
            #[must_use]
            pub const fn of(word: $closed) -> Self {
                Self::new(word.as_str())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = NoWord;
            fn from_str(text: &str) -> Result<Self, NoWord> {
                Word::read(text).map(Self)
            }
        }

        impl From<$closed> for $name {
            fn from(word: $closed) -> Self {
                Self::of(word)
            }
        }

        impl TryFrom<$name> for $closed {
            type Error = WordError;
            fn try_from(word: $name) -> Result<Self, WordError> {
                word.as_str().parse()
            }
        }

        impl PartialEq<$closed> for $name {
            fn eq(&self, other: &$closed) -> bool {
                self.as_str() == other.as_str()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Cow::<str>::deserialize(from)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

word!(
    /// The name of a proof system.
    SystemId, ProofSystem
);
word!(
    /// The name of a proof system's parameters: field, curve, hash, rate.
    ParametersId, ParameterId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_closed_word_is_a_word_and_is_found_again() {
        for &word in ProofSystem::ALL {
            assert!(SystemId::of(word) == word);
            assert_eq!(ProofSystem::try_from(SystemId::of(word)), Ok(word));
        }
        for &word in ParameterId::ALL {
            assert_eq!(ParametersId::of(word).to_string(), word.to_string());
            assert_eq!(ParameterId::try_from(ParametersId::of(word)), Ok(word));
        }
    }

    #[test]
    fn rejects_what_is_no_word() {
        for bad in ["", "a b", "ä", "a\0", &"x".repeat(MAX_LEN + 1)] {
            assert_eq!(bad.parse::<SystemId>(), Err(NoWord), "{bad}");
        }
        assert!("x".repeat(MAX_LEN).parse::<SystemId>().is_ok());
        assert!(ProofSystem::try_from("Other".parse::<SystemId>().unwrap()).is_err());
    }
}
