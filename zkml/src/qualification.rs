//! The file in which a verifier keeps what it found of a manifest.

use serde::{Deserialize, Serialize};
use zkinfer_crds::Digest;

use crate::accuracy::Rule;

/// The version that this code writes and reads.
pub const VERSION: u32 = 1;
/// The largest file that is read, in bytes.
const MAX_BYTES: usize = 16 << 20;

/// Why bytes are no qualification.
#[derive(Debug, thiserror::Error)]
pub enum QualificationError {
    /// Not the JSON of a qualification.
    #[error("not a qualification: {0}")]
    Encoding(String),
    /// A version that this code does not know.
    #[error("a qualification of version {0}; this program knows version {VERSION}")]
    Version(u32),
}

/// What a verifier's own data said of a manifest. Errors are those of [`crate::accuracy::output_error`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Qualification {
    /// [`VERSION`].
    pub version: u32,
    /// The manifest.
    pub manifest: Digest,
    /// The ONNX file that it follows from.
    pub model: Digest,
    /// Whether the rule that it was made by accepts it.
    pub qualified: bool,
    /// The greatest error that this rule accepted.
    pub max_error: f64,
    /// Whether it asked for the float model's class.
    pub compare_top1: bool,
    /// Number of samples.
    pub samples: u32,
    /// Samples that the integer graph refuses, as it would refuse such a request.
    pub out_of_range: u32,
    /// Which was the first, and why.
    pub first_out_of_range: Option<String>,
    /// Greatest error of any output of any sample.
    #[serde(with = "finite_or_null")]
    pub greatest_error: f64,
    /// The sample of the greatest error.
    pub worst_sample: u32,
    /// Mean over the samples of their greatest error.
    #[serde(with = "finite_or_null")]
    pub mean_error: f64,
    /// Samples with the float model's class at every output that names one; none where no output does.
    pub same_class: Option<u32>,
    /// By output: the natural magnitude by which errors were measured.
    pub output_scale: Vec<f64>,
    /// By input.
    pub inputs: Vec<InputRange>,
    /// By tensor: inputs, then in the nodes' order.
    pub tensors: Vec<TensorRow>,
}

/// What an input was over the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InputRange {
    /// Its name.
    pub name: String,
    /// Its greatest magnitude.
    pub magnitude: f64,
}

/// What a tensor was over the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TensorRow {
    /// The tensor.
    pub tensor: String,
    /// The node that makes it; of an input none.
    pub node: Option<String>,
    /// Value `v` stands for `v · 2^-exponent`.
    pub exponent: i16,
    /// Greatest magnitude of the float tensor.
    #[serde(with = "finite_or_null")]
    pub magnitude: f64,
    /// That magnitude as a share of the integers' range.
    #[serde(with = "finite_or_null")]
    pub range: f64,
    /// Greatest difference from the floats, as a share of `magnitude`.
    #[serde(with = "finite_or_null")]
    pub greatest_error: f64,
    /// Mean over the samples of their greatest difference, as a share of `magnitude`.
    #[serde(with = "finite_or_null")]
    pub mean_error: f64,
}

/// JSON has no infinity: it stands as null.
mod finite_or_null {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        value.is_finite().then_some(*value).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(from)?.unwrap_or(f64::INFINITY))
    }
}

impl Qualification {
    /// Reads a file.
    ///
    /// # Errors
    /// Bytes that are no qualification of a known version.
    pub fn from_json(bytes: &[u8]) -> Result<Self, QualificationError> {
        if bytes.len() > MAX_BYTES {
            return Err(QualificationError::Encoding(format!(
                "more than {MAX_BYTES} bytes"
            )));
        }
        let read: Self =
            serde_json::from_slice(bytes).map_err(|e| QualificationError::Encoding(e.to_string()))?;
        if read.version != VERSION {
            return Err(QualificationError::Version(read.version));
        }
        match read.impossible() {
            Some(what) => Err(QualificationError::Encoding(format!("{what} is impossible"))),
            None => Ok(read),
        }
    }

    /// What nothing that was measured can be: the file was not written by `qualify`.
    fn impossible(&self) -> Option<&'static str> {
        let size = |v: f64| v >= 0.0;
        let finite = |v: f64| v >= 0.0 && v.is_finite();
        let rows = || self.tensors.iter();
        let possible = [
            ("`maxError`", size(self.max_error)),
            ("`outOfRange`", self.out_of_range <= self.samples),
            (
                "`sameClass`",
                self.same_class.is_none_or(|same| same <= self.accepted_samples()),
            ),
            ("`greatestError`", size(self.greatest_error)),
            ("`meanError`", size(self.mean_error)),
            ("`outputScale`", self.output_scale.iter().all(|&s| finite(s))),
            ("`inputs`", self.inputs.iter().all(|i| finite(i.magnitude))),
            (
                "`tensors`",
                rows().all(|t| size(t.magnitude) && size(t.greatest_error) && size(t.mean_error)),
            ),
        ];
        possible
            .iter()
            .find(|(_, possible)| !possible)
            .map(|(what, _)| *what)
    }

    /// Samples that the integer graph answers.
    #[must_use]
    pub fn accepted_samples(&self) -> u32 {
        self.samples.saturating_sub(self.out_of_range)
    }

    /// Greatest magnitude of an input over the data.
    #[must_use]
    pub fn input_magnitude(&self, name: &str) -> Option<f64> {
        let found = self.inputs.iter().find(|input| input.name == name);
        found.map(|input| input.magnitude)
    }

    /// Why it is none under a rule, which may be stricter than the one that it was made by.
    #[must_use]
    pub fn refusal(&self, rule: &Rule) -> Option<String> {
        let (answered, worst) = (self.accepted_samples(), self.worst_sample);
        if answered == 0 {
            return Some(format!(
                "none of the {} samples is within its range",
                self.samples
            ));
        }
        // An error was measured beside the scale that stands here: beside a smaller one it is greater, and nobody has measured it.
        let mut scales = rule.output_scale.iter().zip(&self.output_scale).enumerate();
        if let Some((at, (own, by))) = scales.find(|(_, (own, by))| own < by) {
            return Some(format!(
                "its errors of output {at} were measured beside a magnitude of {by}, yours is {own}; run `qualify` with yours"
            ));
        }
        if self.greatest_error > rule.max_error {
            return Some(format!(
                "its greatest error, of sample {worst}, is {:.2e}, you accept {:.2e}",
                self.greatest_error, rule.max_error
            ));
        }
        match self.same_class {
            Some(same) if rule.compare_top1 && same < answered => {
                let others = answered - same;
                Some(format!("{others} of {answered} samples have another class"))
            }
            _ => None,
        }
    }
}
