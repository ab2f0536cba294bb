//! Why something was not done. What a proof system itself says is a [`Cause`]: nobody here knows its kinds.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use zkinfer_crds::slice_files::FileRole;

use super::{SetupError, SystemId};
use crate::canonical::CanonicalError;

/// What a proof system says. Two are equal where they say the same.
#[derive(Clone)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

impl Cause {
    /// An error of a proof system's.
    #[must_use]
    pub fn of(error: impl Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(error))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq for Cause {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Cause {}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// A proof system that is not in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no proof system that this program knows")]
pub struct UnknownSystem(pub SystemId);

/// Why a slice's parameters in a manifest are none of a proof system's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CircuitError {
    /// They have other fields.
    #[error(transparent)]
    Form(#[from] CanonicalError),
    /// A number is outside its limits.
    #[error("a number is outside its limits")]
    Limits,
}

/// Why a slice cannot be proved in a proof system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// It has more rows than a circuit may have.
    #[error("{why}")]
    Rows {
        /// Rows needed.
        rows: usize,
        /// Rows of a circuit.
        most: usize,
        /// What the proof system says.
        why: Cause,
    },
    /// Anything else.
    #[error(transparent)]
    Other(Cause),
    /// The parameters are another proof system's.
    #[error("the parameters are another proof system's")]
    Parameters,
}

/// Why keys could not be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The slice cannot be proved.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// There is no setup.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The manifest's parameters.
    #[error("the slice's parameters: {0}")]
    Circuit(#[from] CircuitError),
    /// A file that the prover needs is not there.
    #[error("the slice's {0} is not among its files")]
    NoSuchFile(FileRole),
    /// A file where the key is derived.
    #[error("keys of this proof system are derived from the integer graph, not read from files")]
    NoFile,
    /// What the proof system says.
    #[error(transparent)]
    Other(Cause),
}

/// Why no proof was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct ProveError(pub Cause);

/// Why a proof was not accepted. Either way it is not; the two tell who is to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The proof does not hold, or its bytes are none: whoever made it.
    #[error(transparent)]
    Refused(Cause),
    /// No bytes of a proof bring this about: the public values are not the slice's, or this program is at fault. The proof
    /// was not judged.
    #[error(transparent)]
    Fault(Cause),
}

impl ProveError {
    /// An error of a proof system's.
    #[must_use]
    pub fn of(error: impl Error + Send + Sync + 'static) -> Self {
        Self(Cause::of(error))
    }
}

impl VerifyError {
    /// What a proof system says of a proof.
    #[must_use]
    pub fn refused(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Refused(Cause::of(error))
    }

    /// What a proof system says where no proof can be why.
    #[must_use]
    pub fn fault(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Fault(Cause::of(error))
    }
}

impl KeyError {
    /// An error of a proof system's.
    #[must_use]
    pub fn of(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Other(Cause::of(error))
    }
}
