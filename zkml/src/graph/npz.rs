//! NumPy's `.npz` files: a zip archive of `.npy` arrays, each by its name.
//!
//! Invariant: what an archive unpacks to is bounded before anything of it is unpacked, by what the caller allows; each member is
//! what the archive's directory says of it, its checksum included, and none has a name that another has.

use std::collections::BTreeMap;

use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_with_limit};

use super::json::MAX_TENSORS;
use super::npy;
use super::tensor_file::{FloatInput, InputError};

pub(super) const MEMBER: &[u8] = b"PK\x03\x04";
pub(super) const ENTRY: &[u8] = b"PK\x01\x02";
pub(super) const END: &[u8] = b"PK\x05\x06";
/// Bytes of a member's head, of an entry of the directory, and of the end, before what has no fixed length.
const MEMBER_LEN: usize = 30;
const ENTRY_LEN: usize = 46;
const END_LEN: usize = 22;
/// Bytes of an array beside its values.
const MAX_HEAD: usize = npy::MAX_HEADER + 12;
/// What `numpy.savez` calls an array that nobody named.
pub(super) const UNNAMED: &str = "arr_0";

fn malformed(what: impl std::fmt::Display) -> InputError {
    InputError::Malformed(format!("not a readable .npz file: {what}"))
}

/// Whether a file begins as an archive of arrays does.
pub(super) fn is_npz(bytes: &[u8]) -> bool {
    let length = number::<2>(bytes, 26).unwrap_or(0);
    let name = bytes.get(MEMBER_LEN..MEMBER_LEN + length);
    bytes.starts_with(MEMBER) && name.is_some_and(|name| name.ends_with(b".npy"))
}

/// Reads every array, by its name without the ending.
///
/// # Errors
/// Bytes that are no such archive, an array that is none, or more than `max` values together.
pub(super) fn read(bytes: &[u8], max: usize) -> Result<BTreeMap<String, FloatInput>, InputError> {
    let (count, mut at) = directory(bytes).ok_or_else(|| malformed("it has no directory; it is cut off"))?;
    if count > MAX_TENSORS {
        return Err(malformed(format_args!("more than {MAX_TENSORS} arrays")));
    }
    let (mut arrays, mut left) = (BTreeMap::new(), max);
    for _ in 0..count {
        let entry = Entry::read(bytes, at)?;
        at = entry.end;
        let of = |what: &dyn std::fmt::Display| malformed(format_args!("`{}`: {what}", entry.name));
        let Some(name) = entry.name.strip_suffix(".npy") else {
            return Err(of(&"it is no .npy array"));
        };
        if arrays.contains_key(name) {
            return Err(of(&"it stands there twice"));
        }
        // No value has more than eight bytes.
        if entry.len > left.saturating_mul(8).saturating_add(MAX_HEAD) {
            return Err(InputError::TooLarge { max });
        }
        let array = npy::read(&entry.unpacked(bytes).map_err(|what| of(&what))?, left);
        let array = array.map_err(|e| match e {
            InputError::TooLarge { .. } => InputError::TooLarge { max },
            other => of(&other),
        })?;
        left -= array.values.len();
        arrays.insert(name.to_owned(), array);
    }
    if arrays.is_empty() {
        return Err(malformed("it has no array"));
    }
    Ok(arrays)
}

/// A number of so many bytes.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(N)?)?;
    Some(bytes.iter().rev().fold(0usize, |n, &b| n << 8 | usize::from(b)))
}

/// How many entries the directory has, and where it begins: it is said at the file's end, before a comment.
fn directory(bytes: &[u8]) -> Option<(usize, usize)> {
    let last = bytes.len().checked_sub(END_LEN)?;
    let first = last.saturating_sub(usize::from(u16::MAX));
    let is_end = |at: &usize| {
        let comment = number::<2>(bytes, at + 20);
        bytes[*at..].starts_with(END) && comment == Some(last - at)
    };
    let end = (first..=last).rev().find(is_end)?;
    Some((number::<2>(bytes, end + 10)?, number::<4>(bytes, end + 16)?))
}

/// What the directory says of a member.
struct Entry<'a> {
    name: &'a str,
    /// Whether it is packed, by DEFLATE.
    packed: bool,
    checksum: u32,
    /// Bytes in the file, and unpacked.
    size: usize,
    len: usize,
    /// Where the member stands.
    member: usize,
    /// Where the next entry is.
    end: usize,
}

impl<'a> Entry<'a> {
    fn read(bytes: &'a [u8], at: usize) -> Result<Self, InputError> {
        let cut = || malformed("its directory is cut off or damaged");
        let entry = bytes
            .get(at..)
            .filter(|entry| entry.starts_with(ENTRY))
            .ok_or_else(cut)?;
        let short = |at: usize| number::<2>(entry, at).ok_or_else(cut);
        let long = |at: usize| number::<4>(entry, at).ok_or_else(cut);
        let length = short(28)?;
        let name = entry.get(ENTRY_LEN..ENTRY_LEN + length).ok_or_else(cut)?;
        let name = std::str::from_utf8(name).map_err(|_| malformed("a name in it is not text"))?;
        let of = |what: &dyn std::fmt::Display| malformed(format_args!("`{name}`: {what}"));
        if short(8)? & 1 != 0 {
            return Err(of(&"it is encrypted"));
        }
        let packed = match short(10)? {
            0 => false,
            8 => true,
            other => {
                return Err(of(&format_args!(
                    "it is packed by method {other}; numpy packs by none or 8"
                )));
            }
        };
        let (size, len, member) = (long(20)?, long(24)?, long(42)?);
        // The sizes of larger ones stand elsewhere.
        if [size, len, member].contains(&(u32::MAX as usize)) {
            return Err(of(&"it has 4 GiB or more"));
        }
        Ok(Self {
            name,
            packed,
            checksum: long(16)? as u32,
            size,
            len,
            member,
            end: at + ENTRY_LEN + length + short(30)? + short(32)?,
        })
    }

    /// The member's bytes.
    fn unpacked(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let cut = || "it is cut off".to_owned();
        let member = bytes
            .get(self.member..)
            .filter(|m| m.starts_with(MEMBER))
            .ok_or_else(cut)?;
        let lengths = number::<2>(member, 26).zip(number::<2>(member, 28));
        let (name, extra) = lengths.ok_or_else(cut)?;
        if member.get(MEMBER_LEN..MEMBER_LEN + name) != Some(self.name.as_bytes()) {
            return Err("it has another name where it stands".to_owned());
        }
        let start = MEMBER_LEN + name + extra;
        let data = member.get(start..start + self.size).ok_or_else(cut)?;
        let made = match self.packed {
            true => inflate(data, self.len)?,
            false if data.len() == self.len => data.to_vec(),
            false => return Err("its two sizes differ, though it is not packed".to_owned()),
        };
        match checksum(&made) == self.checksum {
            true => Ok(made),
            false => Err("it is damaged: its checksum is another".to_owned()),
        }
    }
}

/// Unpacks a member to exactly `len` bytes; never to more.
fn inflate(data: &[u8], len: usize) -> Result<Vec<u8>, String> {
    match decompress_to_vec_with_limit(data, len) {
        Ok(made) if made.len() == len => Ok(made),
        Ok(made) => Err(format!("it unpacks to {} bytes, and says {len}", made.len())),
        Err(e) if e.status == TINFLStatus::HasMoreOutput => {
            Err(format!("it unpacks to more than the {len} bytes that it says"))
        }
        Err(_) => Err("its packed bytes are damaged".to_owned()),
    }
}

/// CRC-32, as zip has it.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let table: [u32; 256] = std::array::from_fn(|i| {
        let step = |c: u32, _| {
            if c & 1 == 1 {
                0xedb8_8320 ^ (c >> 1)
            } else {
                c >> 1
            }
        };
        (0..8).fold(i as u32, step)
    });
    let step = |c: u32, b: &u8| table[usize::from(c as u8 ^ b)] ^ (c >> 8);
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(shape: &str, values: &[f64]) -> Vec<u8> {
        let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        values.iter().for_each(|v| bytes.extend(v.to_le_bytes()));
        bytes
    }

    /// A member as the test writes it: name, method, data in the file, unpacked length, checksum.
    struct Made<'a>(&'a str, u16, Vec<u8>, u32, u32);

    fn plain<'a>(name: &'a str, data: &[u8]) -> Made<'a> {
        Made(name, 0, data.to_vec(), data.len() as u32, checksum(data))
    }

    fn zip(members: &[Made<'_>]) -> Vec<u8> {
        let (mut bytes, mut entries) = (Vec::new(), Vec::new());
        for Made(name, method, data, len, sum) in members {
            let at = bytes.len() as u32;
            let sizes = [
                sum.to_le_bytes(),
                (data.len() as u32).to_le_bytes(),
                len.to_le_bytes(),
            ]
            .concat();
            let name_len = (name.len() as u16).to_le_bytes();
            bytes.extend(MEMBER);
            bytes.extend([20, 0, 0, 0]);
            bytes.extend(method.to_le_bytes());
            bytes.extend([0; 4]);
            bytes.extend(&sizes);
            bytes.extend(name_len);
            // What stands between head and data, as numpy's sizes of 64 bits do.
            bytes.extend([3, 0]);
            bytes.extend(name.as_bytes());
            bytes.extend([9; 3]);
            bytes.extend(data);
            entries.extend(ENTRY);
            entries.extend([20, 0, 20, 0, 0, 0]);
            entries.extend(method.to_le_bytes());
            entries.extend([0; 4]);
            entries.extend(&sizes);
            entries.extend(name_len);
            entries.extend([0; 12]);
            entries.extend(at.to_le_bytes());
            entries.extend(name.as_bytes());
        }
        let start = bytes.len() as u32;
        let count = (members.len() as u16).to_le_bytes();
        let size = (entries.len() as u32).to_le_bytes();
        bytes.extend(entries);
        bytes.extend(END);
        bytes.extend([0; 4]);
        bytes.extend(count);
        bytes.extend(count);
        bytes.extend(size);
        bytes.extend(start.to_le_bytes());
        bytes.extend([2, 0]);
        bytes.extend(b"ok");
        bytes
    }

    fn said(bytes: &[u8]) -> String {
        read(bytes, 100).unwrap_err().to_string()
    }

    #[test]
    fn arrays_are_read_by_their_names() {
        let (a, b) = (npy("(2, 1)", &[1.0, 2.0]), npy("()", &[3.0]));
        // Stored blocks are DEFLATE too.
        let len = b.len() as u16;
        let packed = [&[1][..], &len.to_le_bytes(), &(!len).to_le_bytes(), &b].concat();
        let archive = zip(&[
            plain("a.npy", &a),
            Made("b/c.npy", 8, packed, len.into(), checksum(&b)),
        ]);
        assert!(is_npz(&archive));
        let arrays = read(&archive, 3).unwrap();
        assert_eq!(arrays["a"], FloatInput::new(vec![2, 1], vec![1.0, 2.0]).unwrap());
        assert_eq!(arrays["b/c"], FloatInput::new(vec![], vec![3.0]).unwrap());
        assert_eq!(arrays.len(), 2);
        assert_eq!(read(&archive, 2), Err(InputError::TooLarge { max: 2 }));
    }

    /// `numpy.savez_compressed` of `x = [[0.5, -1.5]]` in 32 bits, by NumPy 2.
    #[test]
    fn reads_what_numpy_writes() {
        let archive = hex::decode(
            concat!(
                "504b03042d000000080000002100aa6a0d12ffffffffffffffff05001400782e6e70790100100088000000000000004e",
                "000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a06e9366a2aea3a09e965f54529498179f5f94920a",
                "12774bcc294e058a17672416a402f91a863a0a469a3a0ab50a64032e0606067b068603fb01504b01022d032d00000008",
                "0000002100aa6a0d124e00000088000000050000000000000000000000800100000000782e6e7079504b050600000000",
                "0100010033000000850000000000"
            ),
        )
        .unwrap();
        let arrays = read(&archive, 9).unwrap();
        assert_eq!(arrays["x"], FloatInput::new(vec![1, 2], vec![0.5, -1.5]).unwrap());
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let data = npy("(1,)", &[1.0]);
        let claims = Made("x.npy", 8, data.clone(), u32::MAX - 1, 0);
        assert_eq!(read(&zip(&[claims]), 100), Err(InputError::TooLarge { max: 100 }));
        // It says little, and unpacks to 300 zeros.
        let zeros = hex::decode("63601805c40200").unwrap();
        assert!(said(&zip(&[Made("x.npy", 8, zeros, 299, 0)])).contains("`x.npy`: it unpacks to more"));
        let many: Vec<Made<'_>> = (0..=MAX_TENSORS).map(|_| plain("x.npy", &[])).collect();
        assert!(said(&zip(&many)).contains("more than 1024 arrays"));
        // Members that share their bytes share the limit, too.
        let both = zip(&[
            plain("a.npy", &npy("(60,)", &[0.0; 60])),
            plain("b.npy", &npy("(60,)", &[0.0; 60])),
        ]);
        assert_eq!(read(&both, 100), Err(InputError::TooLarge { max: 100 }));
        assert!(read(&both, 120).is_ok());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let x = npy("(1,)", &[1.0]);
        let twice = zip(&[plain("x.npy", &x), plain("x.npy", &x)]);
        assert!(said(&twice).contains("`x.npy`: it stands there twice"));
        assert!(said(&zip(&[plain("x.txt", b"1")])).contains("`x.txt`: it is no .npy array"));
        assert!(said(&zip(&[Made("x.npy", 0, x.clone(), x.len() as u32, 7)])).contains("checksum"));
        assert!(said(&zip(&[Made("x.npy", 12, x.clone(), x.len() as u32, 7)])).contains("method 12"));
        assert!(said(&zip(&[Made("x.npy", 0, x.clone(), 9, 7)])).contains("two sizes differ"));
        assert!(
            said(&zip(&[plain("x.npy", b"\x93NUMPY\x01\x00")])).contains("`x.npy`: not a readable .npy file")
        );
        assert!(said(&zip(&[])).contains("it has no array"));
        let good = zip(&[plain("x.npy", &x)]);
        for len in 0..good.len() {
            assert!(read(&good[..len], 100).is_err(), "{len}");
        }
        for at in 0..good.len() {
            let mut other = good.clone();
            other[at] ^= 0x55;
            let _ = read(&other, 100);
        }
    }
}
