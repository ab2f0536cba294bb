//! Reading and writing bytes, within bounds.

use zkinfer_crds::Identity;
use zkinfer_scoring::bytes::{Fault, shows};

use crate::vector::VectorError;

/// Bytes of a text.
const MAX_TEXT: usize = 253;

/// Why bytes are no weights file, or weights have none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// The bytes end too early.
    #[error("the bytes end at {at}, where {what} is expected")]
    Short {
        /// Where.
        at: usize,
        /// What is missing.
        what: &'static str,
    },
    /// It is something else.
    #[error("these are not bytes of a weights file, or of another version of it")]
    Magic,
    /// There are too many.
    #[error("{what}: {got} are more than the {most} that fit")]
    Many {
        /// What.
        what: &'static str,
        /// How many there are.
        got: u64,
        /// How many can be.
        most: u64,
    },
    /// A text that is none, or a place that there is not.
    #[error("{0} is none")]
    Unknown(&'static str),
    /// The value has other bytes.
    #[error("the bytes are not those that this content is written as")]
    Canonical,
    /// The signature is not the validator's.
    #[error("the signature is not one of {0}")]
    Signature(Identity),
    /// Another validator than expected.
    #[error("the file is of validator {got}, and {expected} is expected")]
    Validator {
        /// Whose it has to be.
        expected: Identity,
        /// Whose it is.
        got: Identity,
    },
    /// The rows make no vector.
    #[error(transparent)]
    Vector(#[from] VectorError),
    /// A uid is one hotkey's.
    #[error("uid {0} has two hotkeys")]
    TwoHotkeys(u16),
    /// Nobody has signed these weights: the rows make others.
    #[error("the vector is not the one that the rows' weights make")]
    OtherVector,
}

/// A count, as it is written.
pub(super) fn count(
    out: &mut Vec<u8>,
    many: usize,
    most: usize,
    what: &'static str,
) -> Result<(), FileError> {
    let long = FileError::many(what, many as u64, most as u64);
    if many > most {
        return Err(long);
    }
    out.extend(u32::try_from(many).map_err(|_| long)?.to_be_bytes());
    Ok(())
}

/// Texts are shown to people, and none is empty.
fn is_text(text: &str) -> bool {
    !text.is_empty() && shows(text)
}

/// A text with its length before it.
pub(super) fn text(out: &mut Vec<u8>, text: &str, what: &'static str) -> Result<(), FileError> {
    if !is_text(text) {
        return Err(FileError::Unknown(what));
    }
    let long = FileError::many(what, text.len() as u64, MAX_TEXT as u64);
    if text.len() > MAX_TEXT {
        return Err(long);
    }
    out.extend(u16::try_from(text.len()).map_err(|_| long)?.to_be_bytes());
    out.extend(text.as_bytes());
    Ok(())
}

/// Reads a weights file's bytes.
pub(super) type Reader<'a> = zkinfer_scoring::bytes::Reader<'a, FileError>;

impl Fault for FileError {
    fn short(at: usize, what: &'static str) -> Self {
        Self::Short { at, what }
    }

    fn many(what: &'static str, got: u64, most: u64) -> Self {
        Self::Many { what, got, most }
    }
}

/// A text with its length before it.
pub(super) fn read_text(from: &mut Reader<'_>, what: &'static str) -> Result<String, FileError> {
    let got = usize::from(from.u16(what)?);
    if got > MAX_TEXT {
        return Err(FileError::many(what, got as u64, MAX_TEXT as u64));
    }
    let text = std::str::from_utf8(from.take(got, what)?).ok();
    text.filter(|text| is_text(text))
        .map(str::to_owned)
        .ok_or(FileError::Unknown(what))
}
