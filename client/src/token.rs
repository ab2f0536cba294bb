//! The token that goes with calls. Invariant: one that stands in a file is read for every call, because such are renewed.

use std::path::PathBuf;

/// A bearer token.
pub enum Token {
    /// As it is.
    Fixed(String),
    /// In a file.
    File(PathBuf),
}

/// A token's file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the token file {}: {source}", path.display())]
pub struct TokenError {
    path: PathBuf,
    source: std::io::Error,
}

impl Token {
    /// The token now.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn now(&self) -> Result<String, TokenError> {
        match self {
            Self::Fixed(token) => Ok(token.trim().to_owned()),
            Self::File(path) => match std::fs::read_to_string(path) {
                Ok(token) => Ok(token.trim().to_owned()),
                Err(source) => Err(TokenError {
                    path: path.clone(),
                    source,
                }),
            },
        }
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fixed(_) => f.write_str("Fixed"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}
