//! A `.tar.gz` of texts: ustar records, one gzip member.
//!
//! Invariant: the same files are the same bytes: names in order, no times, no owners.

use std::collections::BTreeMap;

use miniz_oxide::deflate::compress_to_vec;

/// A record of ustar.
const BLOCK: usize = 512;
/// The longest part of a name before its last slash.
const PREFIX: usize = 155;
/// The longest part after it.
const NAME: usize = 100;
/// What deflate is asked for: the same bytes in a moment, not the fewest.
const LEVEL: u8 = 6;

/// The files as one archive.
///
/// # Errors
/// A name that is too long for a tar's header.
pub(super) fn tar_gz(files: &BTreeMap<String, String>) -> Result<Vec<u8>, String> {
    let mut tar = Vec::new();
    for (name, text) in files {
        tar.extend(header(name, text.len())?);
        tar.extend(text.as_bytes());
        tar.resize(tar.len().next_multiple_of(BLOCK), 0);
    }
    // Two empty records end it.
    tar.resize(tar.len() + 2 * BLOCK, 0);
    // Magic, deflate, no flags, no time, no word on speed, of no system.
    let mut all = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    all.extend(compress_to_vec(&tar, LEVEL));
    all.extend(crc32(&tar).to_le_bytes());
    // Modulo 2^32, as gzip says.
    all.extend((tar.len() as u32).to_le_bytes());
    Ok(all)
}

fn header(name: &str, size: usize) -> Result<[u8; BLOCK], String> {
    let (folder, file) = match name.len() {
        0..=NAME => ("", name),
        _ => name.rsplit_once('/').unwrap_or(("", name)),
    };
    if folder.len() > PREFIX || file.len() > NAME {
        return Err(format!("`{name}` is too long for a name in an archive"));
    }
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, file.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    // The sum is of a header whose own place is blank.
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    put(345, folder.as_bytes());
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}

/// The check of gzip, a bit at a time: a report has a few megabytes.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            let mask = (crc & 1).wrapping_neg();
            (crc >> 1) ^ (0xedb8_8320 & mask)
        })
    };
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_is_that_of_gzip() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn the_archive_is_what_tar_and_gzip_read() {
        let long = format!("{}/{}", "a".repeat(120), "b".repeat(90));
        let files = BTreeMap::from([
            ("r/one.txt".to_owned(), "hello\n".to_owned()),
            ("r/two.txt".to_owned(), String::new()),
            (long.clone(), "x".repeat(BLOCK + 1)),
        ]);
        let bytes = tar_gz(&files).unwrap();
        assert_eq!(bytes, tar_gz(&files).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar.gz");
        std::fs::write(&path, bytes).unwrap();
        let tar = std::process::Command::new("tar")
            .arg("-xzf")
            .arg(&path)
            .arg("-C")
            .arg(folder.path())
            .output()
            .unwrap();
        assert!(tar.status.success(), "{}", String::from_utf8_lossy(&tar.stderr));
        for (name, text) in files {
            assert_eq!(std::fs::read_to_string(folder.path().join(name)).unwrap(), text);
        }
    }

    #[test]
    fn a_name_that_fits_no_header_is_an_error() {
        let files = BTreeMap::from([("a".repeat(NAME + 1), String::new())]);
        assert!(tar_gz(&files).unwrap_err().contains("too long"));
    }
}
