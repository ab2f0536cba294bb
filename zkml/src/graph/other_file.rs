//! What a file is that is not what it was given as: people give a Git LFS pointer, a web page or a checkpoint for a model.
//!
//! Invariant: looked at only once the bytes have been refused as what they were given as, so that nothing which can be
//! read is ever called something else. Only beginnings are looked at, and nothing is unpacked.

use std::fmt;

/// Bytes of a file that are looked at.
const LOOKED_AT: usize = 4096;
/// Characters of a text that are shown.
const SHOWN: usize = 40;

/// A file of a known kind, and what to do with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherFile {
    what: String,
    way_out: &'static str,
}

impl fmt::Display for OtherFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match self.way_out {
            "" => Ok(()),
            way_out => write!(f, ": {way_out}"),
        }
    }
}

/// By what a file begins with: what it is, and the way from there to an ONNX model or a tensor.
const MAGIC: &[(&[u8], &str, &str)] = &[
    (
        b"\x1f\x8b",
        "compressed with gzip",
        "give the unpacked file (gunzip; tar xf where it is a .tar.gz)",
    ),
    (b"BZh", "compressed with bzip2", "give the unpacked file"),
    (b"\xfd7zXZ\0", "compressed with xz", "give the unpacked file"),
    (
        b"\x28\xb5\x2f\xfd",
        "compressed with zstd",
        "give the unpacked file",
    ),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "give the file in it"),
    (b"Rar!\x1a\x07", "a RAR archive", "give the file in it"),
    (
        b"\x89HDF\r\n\x1a\n",
        "an HDF5 file (Keras weights?)",
        "export the model to ONNX, for example with tf2onnx",
    ),
    (b"GGUF", "a GGUF file", "export the model to ONNX"),
    (
        b"\x93NUMPY",
        "a NumPy array (.npy)",
        "give it as input or calibration data",
    ),
    (b"\x89PNG\r\n\x1a\n", "a PNG image", IMAGE),
    (b"\xff\xd8\xff", "a JPEG image", IMAGE),
    (b"GIF8", "a GIF image", IMAGE),
    (b"%PDF-", "a PDF document", ""),
    (b"\x7fELF", "a program", ""),
    (b"PAR1", "a Parquet table", NUMBERS),
];

const IMAGE: &str =
    "an input is numbers, as the model was trained on them: save them with numpy.save or as JSON";
const NUMBERS: &str = "save its numbers with numpy.save or as JSON";
const EXPORT: &str = "export the model to ONNX, for example with torch.onnx.export";

/// What the bytes are, where that can be told.
#[must_use]
pub fn recognise(bytes: &[u8]) -> Option<OtherFile> {
    let head = bytes.get(..LOOKED_AT).unwrap_or(bytes);
    let known = |what: &str, way_out: &'static str| {
        Some(OtherFile {
            what: what.to_owned(),
            way_out,
        })
    };
    let has = |at: usize, what: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(what));
    if bytes.is_empty() {
        return known("an empty file", "");
    }
    if head.starts_with(b"PK\x03\x04") {
        return Some(zip(head));
    }
    if let Some((_, what, way_out)) = MAGIC.iter().find(|(magic, ..)| head.starts_with(magic)) {
        return known(what, way_out);
    }
    if has(257, b"ustar") {
        return known("a tar archive", "give the file in it (tar xf)");
    }
    if has(4, b"TFL3") {
        return known(
            "a TensorFlow Lite model",
            "export the model to ONNX, for example with tf2onnx",
        );
    }
    if has(4, b"ORTM") {
        return known(
            "a model in onnxruntime's own format (.ort)",
            "give the .onnx file that it was made from",
        );
    }
    if is_safetensors(bytes) {
        return known("weights without a model (safetensors)", EXPORT);
    }
    // A pickle of protocol 2 to 5 begins with its number and ends with a full stop.
    if matches!(head, [0x80, 2..=5, ..]) && bytes.ends_with(b".") {
        return known("a Python pickle (a PyTorch checkpoint?)", EXPORT);
    }
    text(bytes, head)
}

/// A zip archive, by the name of the first file in it.
fn zip(head: &[u8]) -> OtherFile {
    let length = head.get(26..28).map_or(0, |b| {
        b.iter().rev().fold(0usize, |n, &b| n << 8 | usize::from(b))
    });
    let name = head.get(30..30 + length).unwrap_or_default();
    let name = String::from_utf8_lossy(name);
    let (what, way_out) = if name.ends_with(".npy") {
        (
            "a NumPy archive of arrays (.npz)",
            "give it as input or calibration data",
        )
    } else if name.ends_with("data.pkl") || name.ends_with("/version") || name.contains("/code/") {
        ("a PyTorch checkpoint", EXPORT)
    } else if name.ends_with("metadata.json") {
        (
            "a Keras model",
            "export the model to ONNX, for example with tf2onnx",
        )
    } else {
        ("a zip archive", "give the file in it (unzip)")
    };
    OtherFile {
        what: what.to_owned(),
        way_out,
    }
}

/// The length of a JSON header, then that header.
fn is_safetensors(bytes: &[u8]) -> bool {
    let length = bytes.first_chunk::<8>().map(|b| u64::from_le_bytes(*b));
    let fits = length.is_some_and(|n| n >= 2 && n <= bytes.len() as u64 - 8);
    fits && bytes.get(8) == Some(&b'{')
}

/// A text of a known kind, or any text.
fn text(bytes: &[u8], head: &[u8]) -> Option<OtherFile> {
    let head = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The last character may be cut off.
        Err(e) if bytes.len() > head.len() && e.valid_up_to() + 4 > head.len() => {
            std::str::from_utf8(head.get(..e.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    let text = head.trim_start_matches('\u{feff}').trim_start();
    if text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
        return None;
    }
    let lower = text
        .get(..64.min(text.len()))
        .unwrap_or(text)
        .to_ascii_lowercase();
    let known = |what: &str, way_out: &'static str| {
        Some(OtherFile {
            what: what.to_owned(),
            way_out,
        })
    };
    if text.starts_with("version https://git-lfs.github.com/spec/") {
        let size = text.lines().find_map(|l| l.strip_prefix("size "));
        let size = size.and_then(|s| s.trim().parse::<u64>().ok());
        let of = size.map_or_else(String::new, |size| format!(" to a file of {size} bytes"));
        return Some(OtherFile {
            what: format!("a Git LFS pointer{of}, not that file"),
            way_out: "fetch it with `git lfs pull` in its repository (`git lfs install` first, once)",
        });
    }
    if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
        return known(
            "a web page (HTML)",
            "the address gives a page, not the file; use the link of the download itself",
        );
    }
    if lower.starts_with('<') {
        return known("an XML file", "");
    }
    if text.starts_with(['{', '[']) {
        return known("a JSON file", "");
    }
    // Base64 of ONNX or anything else, as it stands in a ConfigMap's binaryData.
    let base64 = |c: char| c.is_ascii_alphanumeric() || "+/=\r\n".contains(c);
    if text.len() >= 64 && text.chars().all(base64) {
        return known(
            "a text in base64",
            "decode it; in a ConfigMap it belongs under binaryData, not under data",
        );
    }
    let begins: String = text
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(SHOWN)
        .collect();
    known(&format!("a text that begins with `{}`", begins.trim_end()), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bytes: &[u8]) -> String {
        recognise(bytes).map_or_else(|| "nothing".to_owned(), |kind| kind.to_string())
    }

    #[test]
    fn files_are_named_for_what_they_are_with_the_way_out() {
        let zip = |name: &str| {
            let mut bytes = b"PK\x03\x04".to_vec();
            bytes.extend([0; 22]);
            bytes.extend((name.len() as u16).to_le_bytes());
            bytes.extend([0; 2]);
            bytes.extend(name.as_bytes());
            bytes
        };
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let safetensors = [&2u64.to_le_bytes()[..], b"{}"].concat();
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123\n";
        let cases: &[(&[u8], &[&str])] = &[
            (
                pointer,
                &["Git LFS pointer to a file of 123 bytes", "`git lfs pull`"],
            ),
            (b"\n<!DOCTYPE html><html>", &["web page"]),
            (b"<?xml version='1.0'?>", &["XML"]),
            (b" {\"a\": [1]}", &["JSON"]),
            (&zip("x/data.pkl"), &["PyTorch checkpoint", "torch.onnx.export"]),
            (&zip("arr_0.npy"), &[".npz", "input or calibration"]),
            (&zip("metadata.json"), &["Keras"]),
            (&zip("model.onnx"), &["zip archive"]),
            (b"\x1f\x8b\x08\x00", &["gzip", "gunzip"]),
            (&tar, &["tar archive"]),
            (&safetensors, &["safetensors"]),
            (b"\x80\x02}q\x00.", &["pickle"]),
            (b"\x89HDF\r\n\x1a\n", &["HDF5"]),
            (b"\x1c\0\0\0TFL3", &["TensorFlow Lite"]),
            (b"\x89PNG\r\n\x1a\n", &["PNG", "numpy.save"]),
            (b"\x93NUMPY\x01\x00", &[".npy"]),
            (&[b'A'; 80], &["base64", "binaryData"]),
            (
                b"this is not ONNX",
                &["a text that begins with `this is not ONNX`"],
            ),
            (b"", &["an empty file"]),
            (b"\x08\x07\x12\x07pytorch", &["nothing"]),
            (&[0xff; 9], &["nothing"]),
        ];
        for (bytes, words) in cases {
            let said = said(bytes);
            assert!(words.iter().all(|w| said.contains(w)), "{said}: no {words:?}");
        }
    }

    #[test]
    fn any_beginning_is_looked_at_in_peace() {
        for first in 0..=255u8 {
            for len in [1, 7, 8, 9, 30, 300] {
                let _ = recognise(&vec![first; len]);
            }
        }
        let long = format!("{}ä{}", "x".repeat(LOOKED_AT - 1), "y".repeat(9));
        assert!(
            said(long.as_bytes()).contains("a text"),
            "{}",
            said(long.as_bytes())
        );
    }
}
