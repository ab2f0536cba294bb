//! Makes one file of an ONNX model that keeps tensors in other files, as exporters do above 2 GiB and some always.
//!
//! Invariants: nothing but these tensors is another than in the model's file, byte by byte, so that what a reader refuses it
//! still refuses; no file is read that does not lie in the model's folder, also by way of a link; and what is read is bounded
//! before it is read.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};
use serde_json::json;

use crate::args::{Format, JoinArgs};
use crate::exit::{self, Exit, UsageError};
use crate::files;

/// Largest model that is made, in bytes: protobuf's own limit.
const MAX_MODEL_BYTES: u64 = i32::MAX as u64;
/// Most messages that stand in each other.
const MAX_DEPTH: usize = 64;

/// Reads a model with the files beside it and writes one file.
pub(crate) fn run(args: &JoinArgs, format: Format) -> Result<Exit, UsageError> {
    let model = files::read(&args.model)?;
    let mut beside = Beside::of(&args.model)?;
    let joined = match message(Kind::Model, &model, &mut beside, 0) {
        Ok(joined) => joined,
        Err(reason) => {
            exit::say(
                &UsageError::new(format!("{}: {reason}", args.model.display())),
                format,
            );
            return Ok(Exit::Bad);
        }
    };
    files::write(&args.out, &joined)?;
    let (bytes, tensors, others) = (joined.len(), beside.tensors, beside.open.len());
    match format {
        Format::Text => println!(
            "{}: {bytes} bytes, {tensors} tensors from {others} other files",
            args.out.display()
        ),
        Format::Json => println!(
            "{}",
            json!({ "bytes": bytes, "tensors": tensors, "files": others })
        ),
    }
    Ok(Exit::Done)
}

/// The messages of onnx.proto that hold tensors.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Function,
    Sparse,
    Tensor,
}

impl Kind {
    /// What a field holds, if something in it may be a tensor.
    fn field(self, number: u32) -> Option<Self> {
        Some(match (self, number) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) => Self::Graph,
            (Self::Model, 25) => Self::Function,
            (Self::Graph, 1) | (Self::Function, 7) => Self::Node,
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Self::Sparse,
            (Self::Node, 5) => Self::Attribute,
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::Sparse, 1 | 2) => Self::Tensor,
            _ => return None,
        })
    }
}

/// Fields of a TensorProto.
const NAME: u32 = 8;
const RAW_DATA: u32 = 9;
const EXTERNAL_DATA: u32 = 13;
const DATA_LOCATION: u32 = 14;
/// The value of `data_location` for another file.
const EXTERNAL: u64 = 1;

/// A message with the tensors of other files in it.
fn message(kind: Kind, bytes: &[u8], beside: &mut Beside, depth: usize) -> Result<Vec<u8>, String> {
    if depth > MAX_DEPTH {
        return Err(format!("more than {MAX_DEPTH} messages stand in each other"));
    }
    if kind == Kind::Tensor {
        return tensor(bytes, beside);
    }
    let mut joined = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(field) = Field::next(&mut rest)? {
        match (field.inner, kind.field(field.number)) {
            (Some(inner), Some(kind)) => {
                let inner = message(kind, inner, beside, depth + 1)?;
                push_bytes(&mut joined, field.number, &inner);
            }
            _ => joined.extend_from_slice(field.whole),
        }
    }
    Ok(joined)
}

/// A tensor; one of another file gets its bytes as `raw_data`.
fn tensor(bytes: &[u8], beside: &mut Beside) -> Result<Vec<u8>, String> {
    let (mut kept, mut name, mut outside) = (Vec::new(), String::new(), false);
    let mut entries = BTreeMap::new();
    let mut rest = bytes;
    while let Some(field) = Field::next(&mut rest)? {
        match (field.number, field.inner) {
            (EXTERNAL_DATA, Some(entry)) => {
                let (key, value) = pair(entry)?;
                entries.insert(key, value);
                continue;
            }
            (DATA_LOCATION, None) => {
                outside = field.value == EXTERNAL;
                continue;
            }
            (RAW_DATA, Some(_)) => {}
            (NAME, Some(text)) => name = String::from_utf8_lossy(text).escape_debug().to_string(),
            _ => {}
        }
        kept.push(field);
    }
    if !outside {
        return Ok(bytes.to_vec());
    }
    let data = beside
        .read(&entries)
        .map_err(|e| format!("tensor `{name}`: {e}"))?;
    let mut joined = Vec::with_capacity(data.len() + bytes.len());
    for field in kept.iter().filter(|f| f.number != RAW_DATA) {
        joined.extend_from_slice(field.whole);
    }
    push_bytes(&mut joined, RAW_DATA, &data);
    Ok(joined)
}

/// A StringStringEntryProto.
fn pair(entry: &[u8]) -> Result<(String, String), String> {
    let (mut key, mut value) = (String::new(), String::new());
    let mut rest = entry;
    while let Some(field) = Field::next(&mut rest)? {
        let text = field.inner.map(|t| String::from_utf8_lossy(t).into_owned());
        match (field.number, text) {
            (1, Some(text)) => key = text,
            (2, Some(text)) => value = text,
            _ => {}
        }
    }
    Ok((key, value))
}

/// The files in the model's folder that tensors are read from.
struct Beside {
    folder: PathBuf,
    open: BTreeMap<PathBuf, File>,
    tensors: usize,
    /// Bytes that may still be read.
    left: u64,
}

impl Beside {
    fn of(model: &Path) -> Result<Self, UsageError> {
        let folder = match model.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let folder = folder
            .canonicalize()
            .map_err(|e| UsageError::new(format!("cannot read {}: {e}", folder.display())))?;
        Ok(Self {
            folder,
            open: BTreeMap::new(),
            tensors: 0,
            left: MAX_MODEL_BYTES,
        })
    }

    /// A tensor's bytes, by the entries of its `external_data`.
    fn read(&mut self, entries: &BTreeMap<String, String>) -> Result<Vec<u8>, String> {
        let location = entries.get("location").ok_or("it names no file")?;
        let number = |key: &str| match entries.get(key) {
            None => Ok(None),
            Some(text) => text
                .parse::<u64>()
                .map(Some)
                .map_err(|_| format!("its {key} `{}` is no number", text.escape_debug())),
        };
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        let path = self.path(location)?;
        let named = |e: std::io::Error| format!("`{}`: {e}", location.escape_debug());
        let file = match self.open.entry(path) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => {
                let file = File::open(place.key()).map_err(named)?;
                if !file.metadata().map_err(named)?.is_file() {
                    return Err(format!("`{}` is no file", location.escape_debug()));
                }
                place.insert(file)
            }
        };
        let size = file.metadata().map_err(named)?.len();
        let length = length.unwrap_or(size.saturating_sub(offset));
        if offset.checked_add(length).is_none_or(|end| end > size) {
            return Err(format!(
                "`{}` has {size} bytes, and {length} from {offset} on are asked for",
                location.escape_debug()
            ));
        }
        self.left = self.left.checked_sub(length).ok_or_else(|| {
            format!("with it the model is larger than {MAX_MODEL_BYTES} bytes, protobuf's own limit")
        })?;
        file.seek(SeekFrom::Start(offset)).map_err(named)?;
        let mut data = Vec::with_capacity(length as usize);
        file.take(length).read_to_end(&mut data).map_err(named)?;
        if data.len() as u64 != length {
            return Err(format!(
                "`{}` became shorter while it was read",
                location.escape_debug()
            ));
        }
        self.tensors += 1;
        Ok(data)
    }

    /// Where a location lies: below the model's folder, whatever links say.
    fn path(&self, location: &str) -> Result<PathBuf, String> {
        let shown = location.escape_debug();
        let below = |path: &Path| {
            path.components()
                .all(|c| matches!(c, Component::Normal(_) | Component::CurDir))
        };
        if location.is_empty() || !below(Path::new(location)) {
            return Err(format!("`{shown}` does not lie in the model's folder"));
        }
        let path = self.folder.join(location);
        let path = path.canonicalize().map_err(|e| format!("`{shown}`: {e}"))?;
        if path.starts_with(&self.folder) {
            Ok(path)
        } else {
            Err(format!(
                "`{shown}` is a link out of the model's folder: copy the file there"
            ))
        }
    }
}

/// A field as it stands.
struct Field<'a> {
    number: u32,
    /// Of a number.
    value: u64,
    /// Of bytes, a text or a message.
    inner: Option<&'a [u8]>,
    whole: &'a [u8],
}

impl<'a> Field<'a> {
    fn next(rest: &mut &'a [u8]) -> Result<Option<Self>, String> {
        let before = *rest;
        if before.is_empty() {
            return Ok(None);
        }
        let damaged = |_| DAMAGED.to_owned();
        let (number, wire) = decode_key(rest).map_err(damaged)?;
        let (mut value, mut inner) = (0, None);
        match wire {
            WireType::Varint => value = decode_varint(rest).map_err(damaged)?,
            WireType::SixtyFourBit => drop(take(rest, 8)?),
            WireType::ThirtyTwoBit => drop(take(rest, 4)?),
            WireType::LengthDelimited => {
                let length = decode_varint(rest).map_err(damaged)?;
                inner = Some(take(rest, length)?);
            }
            WireType::StartGroup | WireType::EndGroup => return Err(DAMAGED.into()),
        }
        Ok(Some(Self {
            number,
            value,
            inner,
            whole: &before[..before.len() - rest.len()],
        }))
    }
}

const DAMAGED: &str = "it is no ONNX model, or a damaged one";

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Result<&'a [u8], String> {
    let split = usize::try_from(length)
        .ok()
        .and_then(|n| rest.split_at_checked(n));
    let (taken, after) = split.ok_or(DAMAGED)?;
    *rest = after;
    Ok(taken)
}

fn push_bytes(to: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    encode_key(number, WireType::LengthDelimited, to);
    encode_varint(bytes.len() as u64, to);
    to.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model of one tensor `w`, of `length` bytes from `offset` on in a file.
    fn model(location: &str, offset: u64, length: u64) -> Vec<u8> {
        let pair = |key: &str, value: &str| {
            let mut entry = Vec::new();
            push_bytes(&mut entry, 1, key.as_bytes());
            push_bytes(&mut entry, 2, value.as_bytes());
            entry
        };
        let (mut tensor, mut graph, mut model) = (Vec::new(), Vec::new(), Vec::new());
        push_bytes(&mut tensor, NAME, b"w");
        push_bytes(&mut tensor, EXTERNAL_DATA, &pair("location", location));
        push_bytes(&mut tensor, EXTERNAL_DATA, &pair("offset", &offset.to_string()));
        push_bytes(&mut tensor, EXTERNAL_DATA, &pair("length", &length.to_string()));
        encode_key(DATA_LOCATION, WireType::Varint, &mut tensor);
        encode_varint(EXTERNAL, &mut tensor);
        push_bytes(&mut graph, 5, &tensor);
        push_bytes(&mut model, 7, &graph);
        push_bytes(&mut model, 2, b"an exporter");
        model
    }

    fn joined(folder: &Path, model: &[u8]) -> Result<Vec<u8>, String> {
        let mut beside = Beside::of(&folder.join("m.onnx")).unwrap();
        message(Kind::Model, model, &mut beside, 0)
    }

    #[test]
    fn a_tensor_of_another_file_stands_in_the_model_and_all_else_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("weights"), [9, 8, 7, 6]).unwrap();
        let (mut tensor, mut graph, mut expected) = (Vec::new(), Vec::new(), Vec::new());
        push_bytes(&mut tensor, NAME, b"w");
        push_bytes(&mut tensor, RAW_DATA, &[8, 7]);
        push_bytes(&mut graph, 5, &tensor);
        push_bytes(&mut expected, 7, &graph);
        push_bytes(&mut expected, 2, b"an exporter");
        assert_eq!(
            joined(folder.path(), &model("weights", 1, 2)),
            Ok(expected.clone())
        );
        assert_eq!(joined(folder.path(), &expected), Ok(expected));
    }

    #[test]
    fn what_does_not_lie_in_the_models_folder_is_not_read() {
        let (outside, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let secret = outside.path().join("secret");
        std::fs::write(&secret, [1; 8]).unwrap();
        std::os::unix::fs::symlink(&secret, folder.path().join("link")).unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        let said = |location: &str| joined(folder.path(), &model(location, 0, 4)).unwrap_err();
        for location in ["../secret", "sub/../../secret", secret.to_str().unwrap(), ""] {
            assert!(
                said(location).contains("does not lie in the model's folder"),
                "{}",
                said(location)
            );
        }
        assert!(
            said("link").contains("a link out of the model's folder"),
            "{}",
            said("link")
        );
        assert!(said("sub").contains("`sub` is no file"), "{}", said("sub"));
        assert!(
            said("absent").starts_with("tensor `w`: `absent`: "),
            "{}",
            said("absent")
        );
    }

    #[test]
    fn more_than_a_file_has_is_refused_before_room_is_made_for_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("weights"), [9, 8, 7, 6]).unwrap();
        for (offset, length) in [(0, 5), (4, 1), (u64::MAX, 2), (1, u64::MAX)] {
            let said = joined(folder.path(), &model("weights", offset, length)).unwrap_err();
            assert!(said.contains("`weights` has 4 bytes"), "{said}");
        }
    }

    #[test]
    fn a_damaged_model_is_named_and_ends_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("weights"), [9, 8, 7, 6]).unwrap();
        let whole = model("weights", 0, 4);
        for length in 0..whole.len() {
            // A model that is cut between two of its fields is one without the latter.
            if let Err(said) = joined(folder.path(), &whole[..length]) {
                assert!(said.contains(DAMAGED), "{said}");
            }
        }
        let mut deep = Vec::new();
        for _ in 0..MAX_DEPTH {
            let (mut attribute, mut node, mut graph) = (Vec::new(), Vec::new(), Vec::new());
            push_bytes(&mut attribute, 6, &deep);
            push_bytes(&mut node, 5, &attribute);
            push_bytes(&mut graph, 1, &node);
            deep = graph;
        }
        let mut model = Vec::new();
        push_bytes(&mut model, 7, &deep);
        assert!(
            joined(folder.path(), &model)
                .unwrap_err()
                .contains("stand in each other")
        );
    }
}
