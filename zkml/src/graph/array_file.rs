//! Writes arrays as NumPy reads them: one as `.npy`, several by name as `.npz`.
//!
//! Invariant: what is written is read again as the same shape and the same 64-bit floats, by this program and by NumPy.

use super::npz::{END, ENTRY, MEMBER, checksum};
use super::{FloatInput, npy};

/// Where an array's values begin is a multiple of it (NumPy's format).
const ALIGNED: usize = 64;
/// That a name is UTF-8, of a member of an archive.
const UTF8: u16 = 1 << 11;
/// The version of the archive's format: 2.0.
const VERSION: u16 = 20;
/// 1 January 1980, the first day that an archive can name: the same arrays are the same bytes.
const NO_DAY: u16 = 1 << 5 | 1;

/// An array as an `.npy` file of 64-bit floats.
#[must_use]
pub fn npy(array: &FloatInput) -> Vec<u8> {
    let sizes: String = array.shape.iter().map(|size| format!("{size},")).collect();
    let mut header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({sizes}), }}");
    let start = npy::MAGIC.len() + 4;
    let padded = (start + header.len() + 1).next_multiple_of(ALIGNED) - start;
    header = format!("{header:<width$}\n", width = padded - 1);
    let mut bytes = npy::MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(array.values.iter().flat_map(|v| v.to_le_bytes()));
    bytes
}

/// Arrays by name as an `.npz` file, unpacked: of together less than 4 GiB, and fewer than 2^16.
#[must_use]
pub fn npz<'a>(arrays: impl IntoIterator<Item = (&'a str, &'a FloatInput)>) -> Vec<u8> {
    let (mut bytes, mut directory, mut count) = (Vec::new(), Vec::new(), 0u16);
    for (name, array) in arrays {
        let (name, data, at) = (format!("{name}.npy"), npy(array), bytes.len() as u32);
        // What member and entry have in common: version, flags, no packing, no time, sizes.
        let shorts = |of: &[u16]| of.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let longs = |of: &[u32]| of.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let len = data.len() as u32;
        let common = [
            shorts(&[VERSION, UTF8, 0, 0, NO_DAY]),
            longs(&[checksum(&data), len, len]),
            shorts(&[name.len() as u16, 0]),
        ]
        .concat();
        bytes.extend([MEMBER, &common, name.as_bytes(), &data].concat());
        directory.extend(
            [
                ENTRY,
                &shorts(&[VERSION]),
                &common,
                &[0; 10],
                &longs(&[at]),
                name.as_bytes(),
            ]
            .concat(),
        );
        count += 1;
    }
    let (start, size) = (bytes.len() as u32, directory.len() as u32);
    bytes.extend(directory);
    bytes.extend(END);
    bytes.extend([0; 4]);
    bytes.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    bytes.extend([size.to_le_bytes(), start.to_le_bytes()].concat());
    bytes.extend([0; 2]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::{npy as npy_reader, npz as npz_reader};
    use super::*;

    fn arrays() -> [FloatInput; 3] {
        let array =
            |shape: &[usize], values: &[f64]| FloatInput::new(shape.to_vec(), values.to_vec()).unwrap();
        [
            array(&[], &[-0.1]),
            array(&[3], &[1.0, 2.5e-300, -3.0]),
            array(&[1, 2, 2], &[0.0, f64::MAX, 7.0, 1e-9]),
        ]
    }

    #[test]
    fn an_array_is_read_again_as_it_was() {
        for array in arrays() {
            let bytes = npy(&array);
            assert_eq!(npy_reader::read(&bytes, 10).unwrap(), array);
            assert_eq!((bytes.len() - 8 * array.values.len()) % ALIGNED, 0);
        }
    }

    #[test]
    fn arrays_by_name_are_read_again_and_are_the_same_bytes_each_time() {
        let [a, b, c] = arrays();
        let written = || npz([("scores", &a), ("größe/1", &b), ("c", &c)]);
        let read = npz_reader::read(&written(), 100).unwrap();
        assert_eq!(read.len(), 3);
        assert_eq!((&read["scores"], &read["größe/1"], &read["c"]), (&a, &b, &c));
        assert_eq!(written(), written());
        assert!(npz_reader::is_npz(&written()));
    }
}
