//! Why a file is not there, each with its sentence.

use crate::artifacts::ArtifactError;

/// Why something is not there.
#[derive(Debug)]
pub enum SourceError {
    /// It may come later.
    NotFound(String),
    /// It cannot be fetched from there.
    NotAllowed(String),
    /// It is too large.
    TooLarge(String),
    /// It is there and is not what it should be.
    Invalid(String),
    /// The store failed.
    Unavailable(String),
}

impl SourceError {
    /// The sentence.
    #[must_use]
    pub fn into_text(self) -> String {
        match self {
            Self::NotFound(m)
            | Self::NotAllowed(m)
            | Self::TooLarge(m)
            | Self::Invalid(m)
            | Self::Unavailable(m) => m,
        }
    }
}

impl From<ArtifactError> for SourceError {
    fn from(error: ArtifactError) -> Self {
        match error {
            ArtifactError::NotFound(_) => Self::NotFound(error.to_string()),
            ArtifactError::TooLarge { .. } => Self::TooLarge(error.to_string()),
            ArtifactError::Damaged { .. } | ArtifactError::BrokenOff(_) | ArtifactError::Store(_) => {
                Self::Unavailable(error.to_string())
            }
        }
    }
}
