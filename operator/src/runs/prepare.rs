//! Why a request's input is not run.
//!
//! Invariant: whoever gave the input is told what is wrong by name; what is nobody's fault but the operator's is tried again.

use zkinfer_crds::k8s::inference_request::reason;
use zkml::graph::evaluate::EvaluateError;
use zkml::graph::tensor_file::InputError;
use zkml::manifest::MAX_BATCH;
use zkml::receipt::BuildError;

use super::judge::of_row;
use crate::artifacts::ArtifactError;

/// Why a request cannot be run; before anything is queued.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The names of the inputs are not the model's.
    #[error("the model has the inputs {expected}; the request gives {got}")]
    Names {
        /// The model's.
        expected: String,
        /// The request's.
        got: String,
    },
    /// A tensor is not what its input takes.
    #[error("input `{name}`: {source}")]
    Input {
        /// The input.
        name: String,
        /// Why.
        source: InputError,
    },
    /// A tensor has more or fewer values than its shape says.
    #[error("input `{name}`: its shape says {expected} values, it has {got}")]
    Inconsistent {
        /// The input.
        name: String,
        /// By shape.
        expected: u64,
        /// In data.
        got: usize,
    },
    /// The tensors are not so many inputs.
    #[error(transparent)]
    Rows(InputError),
    /// More inputs than any manifest answers at once.
    #[error(
        "{inputs} inputs were given at once, and {}: make several requests, or a Model whose batchSizes hold as many (at most \
         {MAX_BATCH})",
        holds(sizes)
    )]
    TooMany {
        /// How many.
        inputs: usize,
        /// How many each manifest of the Model answers.
        sizes: Vec<u32>,
    },
    /// One of several inputs.
    #[error("{}", of_row(*row, *rows, &source.to_string()))]
    Row {
        /// Which.
        row: usize,
        /// Of how many.
        rows: usize,
        /// What is wrong with it.
        source: Box<PrepareError>,
    },
    /// What an input is answered hangs on those beside it.
    #[error(
        "row {row} of the answer, output `{output}`, is another where its input stands alone: the model mixes the inputs of a \
         batch; make a request for each, of a Model whose batchSizes are [1]"
    )]
    Mixed {
        /// Which input.
        row: usize,
        /// The output.
        output: String,
    },
    /// The Model names classes that its first output does not score.
    #[error(
        "the Model names {names} classes, and its first output `{output}` of shape {shape:?} has no score for each of them: \
         leave `classes` out, or name as many"
    )]
    Classes {
        /// How many it names.
        names: usize,
        /// The output.
        output: String,
        /// Its shape.
        shape: Vec<u32>,
    },
    /// The graph refuses the input.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The evaluation stopped.
    #[error("the evaluation of the model stopped")]
    Stopped,
    /// The receipt cannot be begun.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The store cannot take the slices' inputs.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
}

impl PrepareError {
    /// The request's reason for it.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Evaluate(EvaluateError::OutOfCalibratedRange { .. })
            | Self::Input {
                source: InputError::OutOfCalibratedRange { .. },
                ..
            } => reason::OUT_OF_CALIBRATED_RANGE,
            Self::Row { source, .. } => source.reason(),
            Self::Names { .. }
            | Self::Input { .. }
            | Self::Rows(_)
            | Self::TooMany { .. }
            | Self::Inconsistent { .. }
            | Self::Evaluate(_) => reason::INVALID_INPUT,
            Self::Classes { .. } | Self::Mixed { .. } => reason::MODEL_FAILED,
            Self::Stopped | Self::Build(_) | Self::Artifact(_) => reason::INTERNAL_ERROR,
        }
    }
}

/// `the Model answers 1, 4 or 16 at once`.
fn holds(sizes: &[u32]) -> String {
    let words: Vec<String> = sizes.iter().map(ToString::to_string).collect();
    match words.split_last() {
        Some((last, [])) => format!("the Model answers at most {last} at once (batchSizes)"),
        Some((last, others)) => format!(
            "the Model answers {} or {last} at once, no more (batchSizes)",
            others.join(", ")
        ),
        None => "the Model answers none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_inputs_than_the_largest_batch_are_refused_with_all_sizes() {
        let refused = |inputs, sizes: &[u32]| PrepareError::TooMany {
            inputs,
            sizes: sizes.to_vec(),
        };
        let error = refused(65, &[1, 4, 64]);
        assert_eq!(error.reason(), "InvalidInput");
        assert_eq!(
            error.to_string(),
            "65 inputs were given at once, and the Model answers 1, 4 or 64 at once, no more (batchSizes): make several requests, \
             or a Model whose batchSizes hold as many (at most 64)"
        );
        let one = refused(17, &[16]).to_string();
        assert!(
            one.contains("the Model answers at most 16 at once (batchSizes)"),
            "{one}"
        );
    }

    #[test]
    fn what_is_wrong_with_one_of_several_inputs_has_its_reason_and_its_row() {
        let range = PrepareError::Input {
            name: "x".to_owned(),
            source: InputError::OutOfCalibratedRange {
                index: 3,
                value: 9.0,
                lo: -1.0,
                hi: 1.0,
            },
        };
        let row = PrepareError::Row {
            row: 1,
            rows: 3,
            source: Box::new(range),
        };
        assert_eq!(row.reason(), "OutOfCalibratedRange");
        let said = row.to_string();
        assert!(
            said.starts_with("row 1 of the 3 inputs, from 0: input `x`: the value 9 at 3"),
            "{said}"
        );
    }
}
