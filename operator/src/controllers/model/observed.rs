//! Everything that is known of a Model when its plan is made.

use zkinfer_crds::Digest;
use zkinfer_crds::compile_report::CompileOutcome;
use zkinfer_crds::k8s::model::{ModelSpec, ModelStatus};

use super::slo::Objectives;
use crate::fleet::{Evidence, Finding, Kind, Refusal, Whose, diagnose};
use crate::setup::SetupPolicy;
use crate::sources::SourceError;

/// What is known of the ONNX file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceState {
    /// ConfigMap, key or artifact is not there yet.
    NotFound(String),
    /// It cannot be fetched from where it is said to be; trying again will not help.
    NotAllowed(String),
    /// It is larger than the operator allows.
    TooLarge(String),
    /// Reading failed; it will be tried again.
    Unavailable(String),
    /// It is here.
    Found(Digest),
}

impl From<SourceError> for SourceState {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::NotFound(m) => Self::NotFound(m),
            SourceError::NotAllowed(m) | SourceError::Invalid(m) => Self::NotAllowed(m),
            SourceError::TooLarge(m) => Self::TooLarge(m),
            SourceError::Unavailable(m) => Self::Unavailable(m),
        }
    }
}

/// What is known of the compilation.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one of a Model that is looked at"
)]
#[derive(Debug, Clone, PartialEq)]
pub enum CompileState {
    /// Not begun.
    None,
    /// At work; what it last said of its progress.
    Running(String),
    /// At work, as far as is known, and says nothing.
    Silent(String),
    /// Its Job or its pod does not run.
    Blocked(Finding),
    /// Over.
    Done(CompileOutcome),
    /// The compiler ended without a result; it is not started again for the same spec.
    Crashed(String),
}

impl CompileState {
    /// The API server refuses the compiler's Job.
    #[must_use]
    pub fn refused(refusal: &Refusal) -> Self {
        let evidence = Evidence {
            kind: Kind::Refused,
            text: format!("the compiler's Job cannot be made: {}", refusal.words),
        };
        // There is a row for every refusal.
        diagnose(&[evidence], Whose::Compiler)
            .map_or_else(|| Self::Silent(refusal.words.clone()), Self::Blocked)
    }
}

/// Everything that a plan is made from.
#[derive(Debug, Clone)]
pub struct Observed<'a> {
    /// The spec.
    pub spec: &'a ModelSpec,
    /// Its generation.
    pub generation: Option<i64>,
    /// The status as it is.
    pub status: &'a ModelStatus,
    /// The ONNX file.
    pub source: SourceState,
    /// Whether the calibration data is there; what is wrong otherwise.
    pub calibration: Result<(), String>,
    /// The compilation.
    pub compile: CompileState,
    /// The setup; absent where the operator was given none, and an error where the one that it was given is not allowed.
    pub setup: Result<Option<SetupPolicy>, Digest>,
    /// The greatest error of an answer that the operator accepts.
    pub max_error: f64,
    /// What was compiled before is of another version than this operator reads.
    pub old_version: bool,
    /// Memory that the operator has for compiled models.
    pub model_memory: u64,
    /// What is wrong with the list that decides who may serve it.
    pub bad_consent: Option<String>,
    /// Which namespaces of that list the operator does not watch, in a sentence.
    pub unseen: Option<String>,
    /// Which file is another by now than it was when it was compiled, in a sentence.
    pub changed: Option<String>,
    /// Whether its requests are answered as its `slo` says.
    pub objectives: Objectives,
}
