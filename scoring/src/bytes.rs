//! Reading bytes that anybody may have written: from the front, within bounds.
//!
//! Invariant: nothing beyond the end is read, and no list is allocated for whose members cannot be there.

use std::marker::PhantomData;

/// What a format says where its bytes are none of it.
pub trait Fault {
    /// The bytes end at `at`, where `what` is expected.
    fn short(at: usize, what: &'static str) -> Self;
    /// `got` of them are said to be there, and `most` can be.
    fn many(what: &'static str, got: u64, most: u64) -> Self;
}

/// Reads big-endian numbers and bytes, one after the other.
pub struct Reader<'a, E> {
    bytes: &'a [u8],
    at: usize,
    fault: PhantomData<E>,
}

/// Whether a text can be shown to people: none is written that moves their terminal.
#[must_use]
pub fn shows(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

impl<'a, E: Fault> Reader<'a, E> {
    /// At the front.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            fault: PhantomData,
        }
    }

    /// How many bytes were read.
    #[must_use]
    pub const fn at(&self) -> usize {
        self.at
    }

    /// The next so many bytes.
    ///
    /// # Errors
    /// There are fewer; so with all that follow.
    pub fn take(&mut self, many: usize, what: &'static str) -> Result<&'a [u8], E> {
        let end = self.at.checked_add(many);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| E::short(self.at, what))?;
        self.at += many;
        Ok(taken)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], E> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    /// The next byte.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn u8(&mut self, what: &'static str) -> Result<u8, E> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    /// A number of two bytes.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn u16(&mut self, what: &'static str) -> Result<u16, E> {
        self.array(what).map(u16::from_be_bytes)
    }

    /// A number of four bytes.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn u32(&mut self, what: &'static str) -> Result<u32, E> {
        self.array(what).map(u32::from_be_bytes)
    }

    /// A number of eight bytes.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn u64(&mut self, what: &'static str) -> Result<u64, E> {
        self.array(what).map(u64::from_be_bytes)
    }

    /// A number of sixteen bytes.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn u128(&mut self, what: &'static str) -> Result<u128, E> {
        self.array(what).map(u128::from_be_bytes)
    }

    /// The length of a list whose members have at least `each` bytes: what cannot be there is not allocated for.
    ///
    /// # Errors
    /// As [`Self::take`], or more than `most` or than there is room for.
    pub fn count(&mut self, most: usize, each: usize, what: &'static str) -> Result<usize, E> {
        let got = self.u32(what)? as usize;
        let most = most.min((self.bytes.len() - self.at) / each.max(1));
        if got > most {
            return Err(E::many(what, got as u64, most as u64));
        }
        Ok(got)
    }
}
