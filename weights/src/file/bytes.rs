//! Reading and writing bytes, within bounds.

use zkinfer_crds::Identity;

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
        got: usize,
        /// How many can be.
        most: usize,
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
    let long = FileError::Many {
        what,
        got: many,
        most,
    };
    if many > most {
        return Err(long);
    }
    out.extend(u32::try_from(many).map_err(|_| long)?.to_be_bytes());
    Ok(())
}

/// Texts are shown to people: none is empty, and none moves their terminal.
fn shows(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}

/// A text with its length before it.
pub(super) fn text(out: &mut Vec<u8>, text: &str, what: &'static str) -> Result<(), FileError> {
    if !shows(text) {
        return Err(FileError::Unknown(what));
    }
    let long = FileError::Many {
        what,
        got: text.len(),
        most: MAX_TEXT,
    };
    if text.len() > MAX_TEXT {
        return Err(long);
    }
    out.extend(u16::try_from(text.len()).map_err(|_| long)?.to_be_bytes());
    out.extend(text.as_bytes());
    Ok(())
}

/// Reads from the front.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn take(&mut self, many: usize, what: &'static str) -> Result<&'a [u8], FileError> {
        let end = self.at.checked_add(many);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or(FileError::Short { at: self.at, what })?;
        self.at += many;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], FileError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8, FileError> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16, FileError> {
        self.array(what).map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, FileError> {
        self.array(what).map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self, what: &'static str) -> Result<u64, FileError> {
        self.array(what).map(u64::from_be_bytes)
    }

    pub(super) fn u128(&mut self, what: &'static str) -> Result<u128, FileError> {
        self.array(what).map(u128::from_be_bytes)
    }

    pub(super) fn text(&mut self, what: &'static str) -> Result<String, FileError> {
        let got = usize::from(self.u16(what)?);
        if got > MAX_TEXT {
            return Err(FileError::Many {
                what,
                got,
                most: MAX_TEXT,
            });
        }
        let text = std::str::from_utf8(self.take(got, what)?).ok();
        text.filter(|text| shows(text))
            .map(str::to_owned)
            .ok_or(FileError::Unknown(what))
    }

    /// The length of a list whose members have at least `each` bytes: what cannot be there is not allocated for.
    pub(super) fn count(&mut self, most: usize, each: usize, what: &'static str) -> Result<usize, FileError> {
        let got = self.u32(what)? as usize;
        let most = most.min((self.bytes.len() - self.at) / each.max(1));
        if got > most {
            return Err(FileError::Many { what, got, most });
        }
        Ok(got)
    }
}
