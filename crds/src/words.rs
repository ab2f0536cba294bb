//! Newtypes for digests, indices and identities.
//!
//! Text forms are canonical: lower-case hexadecimal, fixed length, one prefix. `parse(print(x)) == x` and no
//! second spelling of `x` parses.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// Why a word did not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// The text lacks the prefix that names its kind.
    #[error("{word}: expected the prefix `{prefix}`, got `{got}`")]
    Prefix {
        /// The kind of word.
        word: &'static str,
        /// The prefix that it must have.
        prefix: &'static str,
        /// What was given, shortened.
        got: String,
    },
    /// The hexadecimal part has the wrong length or alphabet.
    #[error("{word}: expected {bytes} bytes of lower-case hexadecimal, got `{got}`")]
    Hex {
        /// The kind of word.
        word: &'static str,
        /// How many bytes it holds.
        bytes: usize,
        /// What was given, shortened.
        got: String,
    },
    /// The name is not one of a closed list.
    #[error("{word}: `{got}` is not one of {known}")]
    Unknown {
        /// The kind of word.
        word: &'static str,
        /// The names that exist.
        known: String,
        /// What was given, shortened.
        got: String,
    },
}

/// At most 80 characters of hostile text, for error messages.
fn shorten(text: &str) -> String {
    if text.chars().count() <= 80 {
        text.to_owned()
    } else {
        text.chars().take(77).chain("...".chars()).collect()
    }
}

fn decode_hex<const N: usize>(word: &'static str, text: &str) -> Result<[u8; N], WordError> {
    let bad = || WordError::Hex {
        word,
        bytes: N,
        got: shorten(text),
    };
    if text.len() != 2 * N || text.bytes().any(|c| !matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(bad());
    }
    let mut out = [0u8; N];
    hex::decode_to_slice(text, &mut out).map_err(|_| bad())?;
    Ok(out)
}

macro_rules! hex_word {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// Wraps raw bytes.
            #[must_use]
            pub const fn new(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The raw bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }

            /// The hexadecimal part alone, as used in artifact paths.
            #[must_use]
            pub fn hex(&self) -> String {
                hex::encode(self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = WordError;
            fn from_str(text: &str) -> Result<Self, WordError> {
                let hex = text.strip_prefix($prefix).ok_or_else(|| WordError::Prefix {
                    word: stringify!($name),
                    prefix: $prefix,
                    got: shorten(text),
                })?;
                decode_hex(stringify!($name), hex).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                Cow::<str>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": format!("^{}[0-9a-f]{{{}}}$", $prefix, 2 * $bytes) })
            }
        }
    };
}

hex_word!(
    /// A SHA-256 digest, printed `sha256:<64 hex>`.
    Digest, 32, "sha256:"
);
hex_word!(
    /// An ed25519 public key that names a miner, printed `ed25519:<64 hex>`.
    Identity, 32, "ed25519:"
);
hex_word!(
    /// The id of a claim: the right, given to one worker for a limited time, to prove one slice once.
    /// It is also the nonce of the statement.
    ClaimId, 16, ""
);

impl Digest {
    /// SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

/// The uid of a request: a UUID in its canonical text form.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestUid([u8; 16]);

impl RequestUid {
    /// Wraps raw bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The raw bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for RequestUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let h = hex::encode(self.0);
        write!(
            f,
            "{}-{}-{}-{}-{}",
            &h[..8],
            &h[8..12],
            &h[12..16],
            &h[16..20],
            &h[20..]
        )
    }
}

impl fmt::Debug for RequestUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for RequestUid {
    type Err = WordError;
    fn from_str(text: &str) -> Result<Self, WordError> {
        let bad = || WordError::Hex {
            word: "RequestUid",
            bytes: 16,
            got: shorten(text),
        };
        let dashes = [8usize, 13, 18, 23];
        if text.len() != 36 || !text.is_ascii() || dashes.iter().any(|&i| text.as_bytes()[i] != b'-') {
            return Err(bad());
        }
        let hex: String = text
            .char_indices()
            .filter(|(i, _)| !dashes.contains(i))
            .map(|(_, c)| c)
            .collect();
        decode_hex("RequestUid", &hex).map(Self).map_err(|_| bad())
    }
}

impl Serialize for RequestUid {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RequestUid {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(d)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for RequestUid {
    fn schema_name() -> Cow<'static, str> {
        "RequestUid".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$" })
    }
}

/// The place of a slice in its model's manifest, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct SliceIndex(pub u32);

impl fmt::Display for SliceIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A closed list of words: each has one text, in JSON as elsewhere, and no other text is one of them.
macro_rules! closed_word {
    ($(#[$about:meta])* $name:ident { $($(#[$of:meta])* $word:ident = $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
            schemars::JsonSchema,
        )]
        pub enum $name {
            $($(#[$of])* #[serde(rename = $text)] $word,)+
        }

        impl $name {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$word),+];

            /// The text.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$word => $text,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::words::WordError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let known = Self::ALL.iter().find(|word| word.as_str() == text);
                known.copied().ok_or_else(|| {
                    let all = Self::ALL.iter().map(|word| word.as_str());
                    $crate::words::WordError::unknown(stringify!($name), all, text)
                })
            }
        }
    };
}
pub(crate) use closed_word;

impl WordError {
    pub(crate) fn unknown(word: &'static str, known: impl Iterator<Item = &'static str>, got: &str) -> Self {
        Self::Unknown {
            word,
            known: known.collect::<Vec<_>>().join(", "),
            got: shorten(got),
        }
    }
}

closed_word! {
    /// Which proof system a model's slices are proved with.
    #[derive(Default)]
    ProofSystem {
        /// halo2 with KZG commitments over bn254: proofs of a few kilobytes that hide what is inside a slice;
        /// needs a trusted setup.
        Halo2Kzg = "Halo2Kzg",
        /// Sum-checks over a 64-bit field with a hash-based commitment (WHIR): 50 to 300 times less work to prove, no trusted
        /// setup, proofs of 60 to 130 kilobytes. It hides nothing, and whoever verifies needs the weights.
        #[default]
        SumcheckWhir = "SumcheckWhir",
    }
}

closed_word! {
    /// A closed set of parameters of a proof system. A verifier knows every id; a proof never brings parameters.
    ParameterId {
        /// bn254, KZG with SHPLONK opening, Blake2b transcript, gates of degree 5, LogUp in groups of three.
        Halo2KzgBn254V1 = "halo2-kzg-bn254/v1",
        /// Goldilocks with its cubic extension, Blake3, WHIR at rate 1/4 in the Johnson regime, LogUp by fractional GKR.
        SumcheckWhirGoldilocksV1 = "sumcheck-whir-goldilocks/v1",
    }
}

impl ParameterId {
    /// The proof system whose parameters these are.
    #[must_use]
    pub const fn proof_system(self) -> ProofSystem {
        match self {
            Self::Halo2KzgBn254V1 => ProofSystem::Halo2Kzg,
            Self::SumcheckWhirGoldilocksV1 => ProofSystem::SumcheckWhir,
        }
    }
}

closed_word! {
    /// How many bits the integers have.
    Profile {
        /// 8 bits: cheapest, for models that were trained for it.
        P8 = "P8",
        /// 12 bits.
        P12 = "P12",
        /// 16 bits: close enough to the float model for most.
        P16 = "P16",
        /// 20 bits, up to 32 of an input that only linear maps read, 16 of what functions read: for values of unlike sizes.
        P20 = "P20",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_print_and_parse_to_the_same() {
        let d = Digest::of(b"zkinfer");
        assert_eq!(d.to_string().parse(), Ok(d));
        let uid: RequestUid = "6f9619ff-8b86-d011-b42d-00c04fc964ff".parse().unwrap();
        assert_eq!(uid.to_string(), "6f9619ff-8b86-d011-b42d-00c04fc964ff");
        let id = Identity::new([7; 32]);
        assert_eq!(
            serde_json::from_str::<Identity>(&serde_json::to_string(&id).unwrap()).unwrap(),
            id
        );
    }

    #[test]
    fn closed_words_have_one_name_in_text_and_json() {
        fn check<
            T: serde::Serialize + FromStr<Err = WordError> + fmt::Display + PartialEq + Copy + fmt::Debug,
        >(
            all: &[T],
        ) {
            for word in all {
                assert_eq!(word.to_string().parse(), Ok(*word));
                assert_eq!(serde_json::to_string(word).unwrap(), format!("\"{word}\""));
            }
        }
        check(ProofSystem::ALL);
        check(ParameterId::ALL);
        check(Profile::ALL);
        let error = "sumcheckwhir".parse::<ProofSystem>().unwrap_err().to_string();
        assert_eq!(
            error,
            "ProofSystem: `sumcheckwhir` is not one of Halo2Kzg, SumcheckWhir"
        );
    }

    #[test]
    fn rejects_a_second_spelling() {
        let d = Digest::of(b"x").to_string();
        for bad in [
            d.to_uppercase(),
            d.replace("sha256:", ""),
            format!("{d}0"),
            format!(" {d}"),
            String::new(),
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad} parsed");
        }
        for bad in [
            "6f9619ff8b86d011b42d00c04fc964ff",
            "6F9619FF-8B86-D011-B42D-00C04FC964FF",
        ] {
            assert!(bad.parse::<RequestUid>().is_err(), "{bad} parsed");
        }
    }

    #[test]
    fn schema_pattern_states_the_length() {
        let schema = serde_json::to_string(&schemars::schema_for!(Digest)).unwrap();
        assert!(schema.contains("^sha256:[0-9a-f]{64}$"), "{schema}");
    }
}
