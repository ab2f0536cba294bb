//! The files and the measures of a slice, each named by what it is. Which of them a slice has is its proof system's matter: no
//! contract has a field for one system.
//!
//! Invariants: a slice has at most one file of a role, and files stand in the order of the roles; a measure has one number, which
//! a Kubernetes API server takes.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::wire::BlobRef;
use crate::words::{Digest, closed_word};

closed_word! {
    /// What a file of a slice is.
    FileRole {
        /// What proofs are verified with.
        VerifyingKey = "verifyingKey",
        /// What the slice is proved with.
        ProvingKey = "provingKey",
        /// The prover's part of the trusted setup, in the slice's size.
        Setup = "setup",
    }
}

impl FileRole {
    /// Whether a prover takes it; a verifier takes the others.
    #[must_use]
    pub const fn is_for_provers(self) -> bool {
        match self {
            Self::VerifyingKey => false,
            Self::ProvingKey | Self::Setup => true,
        }
    }
}

/// A file of a slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SliceFile {
    /// What it is.
    pub role: FileRole,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// Number of bytes.
    pub size: u64,
}

impl SliceFile {
    /// A blob in its role.
    #[must_use]
    pub const fn new(role: FileRole, blob: &BlobRef) -> Self {
        Self {
            role,
            digest: blob.digest,
            size: blob.size,
        }
    }

    /// The file without its role.
    #[must_use]
    pub const fn blob(&self) -> BlobRef {
        BlobRef {
            digest: self.digest,
            size: self.size,
        }
    }
}

/// Why a list of files is not a slice's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilesError {
    /// There are too many.
    #[error("{0} files: a slice has at most {most}", most = FileRole::ALL.len())]
    TooMany(usize),
    /// Two have one role.
    #[error("two files are its {0}")]
    Twice(FileRole),
}

/// The files of a slice. Empty where its keys are derived from the integer graph.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<SliceFile>", into = "Vec<SliceFile>")]
pub struct SliceFiles(Vec<SliceFile>);

impl SliceFiles {
    /// Takes files in any order.
    ///
    /// # Errors
    /// Two files of one role.
    pub fn new(mut files: Vec<SliceFile>) -> Result<Self, FilesError> {
        if files.len() > FileRole::ALL.len() {
            return Err(FilesError::TooMany(files.len()));
        }
        files.sort_by_key(|file| file.role);
        match files.windows(2).find(|w| w[0].role == w[1].role) {
            Some(twice) => Err(FilesError::Twice(twice[0].role)),
            None => Ok(Self(files)),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the order of their roles.
    pub fn iter(&self) -> impl Iterator<Item = &SliceFile> {
        self.0.iter()
    }

    /// The file of a role.
    #[must_use]
    pub fn get(&self, role: FileRole) -> Option<&SliceFile> {
        self.0.iter().find(|file| file.role == role)
    }

    /// Those that a prover takes.
    #[must_use]
    pub fn for_provers(&self) -> Self {
        let of_provers = self.0.iter().filter(|file| file.role.is_for_provers());
        Self(of_provers.cloned().collect())
    }
}

impl TryFrom<Vec<SliceFile>> for SliceFiles {
    type Error = FilesError;
    fn try_from(files: Vec<SliceFile>) -> Result<Self, FilesError> {
        Self::new(files)
    }
}

impl From<SliceFiles> for Vec<SliceFile> {
    fn from(files: SliceFiles) -> Self {
        files.0
    }
}

impl JsonSchema for SliceFiles {
    fn schema_name() -> Cow<'static, str> {
        "SliceFiles".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array",
            "items": generator.subschema_for::<SliceFile>(),
            "maxItems": FileRole::ALL.len(),
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["role"],
        })
    }
}

closed_word! {
    /// What is counted of a slice to say how large it is.
    Measure {
        /// log2 of a circuit's rows.
        K = "k",
        /// Rows of a circuit that are used.
        Rows = "rows",
        /// Values that are committed to.
        Cells = "cells",
    }
}

impl Measure {
    const COUNT: usize = Self::ALL.len();

    const fn about(self) -> &'static str {
        match self {
            Self::K => "The slice's circuit has `2^k` rows.",
            Self::Rows => "How many rows of the circuit are used.",
            Self::Cells => "How many values are committed to.",
        }
    }
}

/// How large a slice is, in its proof system's own measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measures([Option<u64>; Measure::COUNT]);

/// The greatest number of a measure: that of an API server's integers.
const MAX_MEASURE: u64 = i64::MAX as u64;

impl Measures {
    /// With this number for a measure, too.
    #[must_use]
    pub fn with(mut self, measure: Measure, number: u64) -> Self {
        for (place, _) in self
            .0
            .iter_mut()
            .zip(Measure::ALL)
            .filter(|(_, m)| **m == measure)
        {
            *place = Some(number.min(MAX_MEASURE));
        }
        self
    }

    /// The number of a measure.
    #[must_use]
    pub fn get(&self, measure: Measure) -> Option<u64> {
        self.iter().find(|(m, _)| *m == measure).map(|(_, number)| number)
    }

    /// In the order of [`Measure::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Measure, u64)> {
        let all = Measure::ALL.iter().zip(self.0);
        all.filter_map(|(measure, number)| number.map(|n| (*measure, n)))
    }

    /// Whether nothing was measured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

/// For people: `k = 10, rows = 931`.
impl fmt::Display for Measures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (measure, number)) in self.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{measure} = {number}")?;
        }
        Ok(())
    }
}

impl Serialize for Measures {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.iter().count()))?;
        for (measure, number) in self.iter() {
            map.serialize_entry(&measure, &number)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Measures {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Numbers;
        impl<'de> Visitor<'de> for Numbers {
            type Value = Measures;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("numbers by name")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Measures, A::Error> {
                let mut read = Measures::default();
                while let Some((measure, number)) = map.next_entry::<Measure, u64>()? {
                    if read.get(measure).is_some() {
                        return Err(de::Error::custom(format_args!("{measure} is there twice")));
                    }
                    if number > MAX_MEASURE {
                        return Err(de::Error::custom(format_args!(
                            "{measure} is above {MAX_MEASURE}"
                        )));
                    }
                    read = read.with(measure, number);
                }
                Ok(read)
            }
        }
        from.deserialize_map(Numbers)
    }
}

impl JsonSchema for Measures {
    fn schema_name() -> Cow<'static, str> {
        "Measures".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let number = |measure: &Measure| {
            let schema = json!({
                "description": measure.about(), "type": "integer", "format": "uint64", "minimum": 0,
            });
            (measure.to_string(), schema)
        };
        let numbers: Map<String, Value> = Measure::ALL.iter().map(number).collect();
        json_schema!({ "type": "object", "properties": numbers, "additionalProperties": false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(role: FileRole, tag: u8) -> SliceFile {
        SliceFile {
            role,
            digest: Digest::new([tag; 32]),
            size: u64::from(tag),
        }
    }

    #[test]
    fn files_are_listed_by_role_digest_and_size() {
        let files = SliceFiles::new(vec![file(FileRole::Setup, 2), file(FileRole::ProvingKey, 1)]).unwrap();
        let json = serde_json::to_value(&files).unwrap();
        let digest = |tag: u8| Digest::new([tag; 32]);
        let expected = json!([
            { "role": "provingKey", "digest": digest(1), "size": 1 },
            { "role": "setup", "digest": digest(2), "size": 2 },
        ]);
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_value::<SliceFiles>(json).unwrap(), files);
        assert_eq!(files.get(FileRole::Setup).unwrap().blob().size, 2);
        assert_eq!(files.get(FileRole::VerifyingKey), None);
    }

    #[test]
    fn rejects_a_role_twice_one_that_does_not_exist_and_too_many_files() {
        let key = file(FileRole::ProvingKey, 1);
        let twice = SliceFiles::new(vec![key.clone(), key.clone()]);
        assert_eq!(twice, Err(FilesError::Twice(FileRole::ProvingKey)));
        let many = SliceFiles::new(vec![key.clone(); 4]);
        assert_eq!(many, Err(FilesError::TooMany(4)));
        let other = serde_json::to_string(&[key])
            .unwrap()
            .replace("provingKey", "key");
        assert!(serde_json::from_str::<SliceFiles>(&other).is_err());
    }

    #[test]
    fn a_prover_is_given_all_but_the_verifying_key() {
        let all = FileRole::ALL.iter().map(|role| file(*role, 1)).collect();
        let given = SliceFiles::new(all).unwrap().for_provers();
        let roles: Vec<_> = given.iter().map(|f| f.role).collect();
        assert_eq!(roles, [FileRole::ProvingKey, FileRole::Setup]);
    }

    #[test]
    fn measures_are_numbers_by_name() {
        let measures = Measures::default().with(Measure::Rows, 931).with(Measure::K, 10);
        let json = r#"{"k":10,"rows":931}"#;
        assert_eq!(serde_json::to_string(&measures).unwrap(), json);
        assert_eq!(serde_json::from_str::<Measures>(json).unwrap(), measures);
        assert_eq!(measures.to_string(), "k = 10, rows = 931");
        assert_eq!(measures.get(Measure::Cells), None);
        assert!(!measures.is_empty() && Measures::default().is_empty());
    }

    #[test]
    fn rejects_a_measure_twice_one_that_does_not_exist_and_one_that_no_api_server_takes() {
        for bad in [
            r#"{"k":10,"k":10}"#,
            r#"{"columns":3}"#,
            r#"{"rows":9223372036854775808}"#,
            r#"{"rows":-1}"#,
            "[10]",
        ] {
            assert!(serde_json::from_str::<Measures>(bad).is_err(), "{bad} was read");
        }
    }
}
