//! The reader: serde from a slice of canonical CBOR.
//!
//! Invariants: it refuses a second spelling where it meets it (long numbers, indefinite lengths, keys out of order, tags); it
//! copies no byte string; it reads at most [`MAX_ITEMS`] items nested at most [`MAX_DEPTH`] deep, so what it builds is
//! bounded by the bytes given and a constant. A text is legible ([`is_legible`]), since it is shown as it is: no name in a
//! receipt writes a line of its own. It never panics.

use std::fmt;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::{CanonicalError, item};

/// Deepest nesting that is followed.
pub const MAX_DEPTH: usize = 32;
/// Most items (numbers, strings, lists, maps) of one document. Values of tensors stand in one item each.
pub const MAX_ITEMS: usize = 1 << 21;

impl de::Error for CanonicalError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        // What a type says about foreign words is cut: it may quote them.
        Self::Malformed(message.to_string().chars().take(200).collect())
    }
}

fn malformed<T>(what: &str) -> Result<T, CanonicalError> {
    Err(CanonicalError::Malformed(what.to_owned()))
}

/// Whether a text that a stranger wrote can be shown: it has no control character, nor one that turns the direction of what
/// is written behind it (Unicode's bidirectional formatting), nor one that ends a line.
#[must_use]
pub fn is_legible(text: &str) -> bool {
    let controls = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    !text.contains(controls)
}

/// Major types of an item.
const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const SIMPLE: u8 = 7;
/// The one byte of `null`.
const NULL: u8 = 0xf6;

/// Reads one document.
pub(super) struct Reader<'de> {
    rest: &'de [u8],
    depth: usize,
    /// Items that may still be read.
    items: usize,
}

impl<'de> Reader<'de> {
    pub(super) const fn new(bytes: &'de [u8]) -> Self {
        Self {
            rest: bytes,
            depth: 0,
            items: MAX_ITEMS,
        }
    }

    /// Nothing stands after what was read.
    pub(super) fn end(&self) -> Result<(), CanonicalError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(CanonicalError::NotCanonical)
        }
    }

    fn take(&mut self, len: u64) -> Result<&'de [u8], CanonicalError> {
        let taken = usize::try_from(len)
            .ok()
            .and_then(|len| self.rest.split_at_checked(len));
        let Some((taken, rest)) = taken else {
            return malformed("it ends too soon");
        };
        self.rest = rest;
        Ok(taken)
    }

    /// Major type and argument of the next item.
    fn head(&mut self) -> Result<(u8, u64), CanonicalError> {
        self.items = self.items.checked_sub(1).ok_or(CanonicalError::Items)?;
        let first = self.take(1)?[0];
        let (major, low) = (first >> 5, first & 31);
        match low {
            0..=23 => Ok((major, u64::from(low))),
            24..=27 if major != SIMPLE => {
                let bytes = self.take(1 << (low - 24))?;
                let value = bytes.iter().fold(0u64, |v, &b| v << 8 | u64::from(b));
                let least = [24, 1 << 8, 1 << 16, 1 << 32][usize::from(low - 24)];
                if value < least {
                    return Err(CanonicalError::NotCanonical);
                }
                Ok((major, value))
            }
            31 if matches!(major, BYTES | TEXT | ARRAY | MAP) => Err(CanonicalError::NotCanonical),
            _ => malformed("a kind of item that is not used"),
        }
    }

    fn text(&mut self, len: u64) -> Result<&'de str, CanonicalError> {
        let bytes = self.take(len)?;
        match std::str::from_utf8(bytes) {
            Ok(text) if is_legible(text) => Ok(text),
            Ok(_) => malformed("a text has a character that controls a terminal or the direction of writing"),
            Err(_) => malformed("a text is not UTF-8"),
        }
    }

    fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, CanonicalError>,
    ) -> Result<T, CanonicalError> {
        if self.depth == MAX_DEPTH {
            return malformed("it is nested too deep");
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    /// The items of an array or the entries of a map.
    fn list<T>(
        &mut self,
        len: u64,
        read: impl FnOnce(&mut List<'_, 'de>) -> Result<T, CanonicalError>,
    ) -> Result<T, CanonicalError> {
        self.nested(|reader| {
            let mut list = List {
                reader,
                left: len,
                last_key: None,
            };
            let value = read(&mut list)?;
            if list.left == 0 {
                Ok(value)
            } else {
                malformed("a list is longer than it may be")
            }
        })
    }
}

impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = CanonicalError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CanonicalError> {
        let (major, value) = self.head()?;
        match major {
            UNSIGNED => visitor.visit_u64(value),
            NEGATIVE => match i64::try_from(value) {
                Ok(value) => visitor.visit_i64(-1 - value),
                Err(_) => malformed("a number is below -2^63"),
            },
            BYTES => visitor.visit_borrowed_bytes(self.take(value)?),
            TEXT => visitor.visit_borrowed_str(self.text(value)?),
            ARRAY => self.list(value, |list| visitor.visit_seq(list)),
            MAP => self.list(value, |list| visitor.visit_map(list)),
            SIMPLE => match value {
                20 => visitor.visit_bool(false),
                21 => visitor.visit_bool(true),
                22 => visitor.visit_unit(),
                _ => malformed("a kind of item that is not used"),
            },
            _ => malformed("tags are not used"),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CanonicalError> {
        if self.rest.first() == Some(&NULL) {
            self.head()?;
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, CanonicalError> {
        if name != item::NAME {
            return visitor.visit_newtype_struct(self);
        }
        let before = self.rest;
        self.skip()?;
        visitor.visit_borrowed_bytes(&before[..before.len() - self.rest.len()])
    }

    /// A text is a variant without fields, a map of one entry a variant with some.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CanonicalError> {
        match self.head()? {
            (TEXT, len) => visitor.visit_enum(BorrowedStrDeserializer::new(self.text(len)?)),
            (MAP, 1) => self.nested(|reader| visitor.visit_enum(Variant(reader))),
            _ => malformed("neither of the forms of a choice"),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, CanonicalError> {
        malformed("a field that is not known")
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier
    }
}

/// The rest of an array or map.
struct List<'a, 'de> {
    reader: &'a mut Reader<'de>,
    left: u64,
    /// The encoding of the key before.
    last_key: Option<&'de [u8]>,
}

impl List<'_, '_> {
    /// Never more than the bytes that are left could hold.
    fn hint(&self) -> Option<usize> {
        usize::try_from(self.left)
            .ok()
            .map(|n| n.min(self.reader.rest.len()))
    }
}

impl<'de> SeqAccess<'de> for &mut List<'_, 'de> {
    type Error = CanonicalError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, CanonicalError> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                seed.deserialize(&mut *self.reader).map(Some)
            }
            None => Ok(None),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> MapAccess<'de> for &mut List<'_, 'de> {
    type Error = CanonicalError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, CanonicalError> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        let before = self.reader.rest;
        let key = seed.deserialize(&mut *self.reader)?;
        let bytes = before.get(..before.len() - self.reader.rest.len());
        if self.last_key.is_some() && self.last_key >= bytes {
            return Err(CanonicalError::NotCanonical);
        }
        self.last_key = bytes;
        Ok(Some(key))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, CanonicalError> {
        seed.deserialize(&mut *self.reader)
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

/// A choice with fields: its name, then they.
struct Variant<'a, 'de>(&'a mut Reader<'de>);

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = CanonicalError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), CanonicalError> {
        let name = seed.deserialize(&mut *self.0)?;
        Ok((name, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = CanonicalError;

    fn unit_variant(self) -> Result<(), CanonicalError> {
        Err(CanonicalError::NotCanonical)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, CanonicalError> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, CanonicalError> {
        de::Deserializer::deserialize_any(self.0, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CanonicalError> {
        de::Deserializer::deserialize_any(self.0, visitor)
    }
}

/// The number under `version` in a map, if there is one: told without building anything, so that another version is refused
/// by its name and not for whatever of it is read first.
pub(super) fn version(bytes: &[u8]) -> Option<u64> {
    // Passing over items builds nothing, and version 1 had one for every value.
    let mut reader = Reader {
        items: usize::MAX,
        ..Reader::new(bytes)
    };
    let (MAP, len) = reader.head().ok()? else {
        return None;
    };
    for _ in 0..len {
        let (TEXT, key) = reader.head().ok()? else {
            return None;
        };
        if reader.text(key).ok()? == "version" {
            return match reader.head().ok()? {
                (UNSIGNED, version) => Some(version),
                _ => None,
            };
        }
        reader.skip().ok()?;
    }
    None
}

impl Reader<'_> {
    /// Passes over one item with all that is in it.
    fn skip(&mut self) -> Result<(), CanonicalError> {
        let (major, value) = self.head()?;
        let inner = match major {
            UNSIGNED | NEGATIVE | SIMPLE => 0,
            BYTES | TEXT => {
                self.take(value)?;
                0
            }
            ARRAY => value,
            MAP => value.saturating_mul(2),
            _ => return malformed("tags are not used"),
        };
        self.nested(|reader| (0..inner).try_for_each(|_| reader.skip()))
    }
}
