//! Changed files: of bytes, and of what bytes mean. A change that a parser refuses at once meets nothing behind it.

use ciborium::Value;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::corpus::{Decoder, packed};
use super::gateway;

mod body;
mod token;

/// Numbers that are at some edge.
const EDGES: [i128; 14] = [
    0,
    1,
    -1,
    23,
    24,
    255,
    1 << 16,
    1 << 22,
    (1 << 22) + 1,
    (1 << 31) - 1,
    1 << 32,
    i64::MAX as i128,
    i64::MIN as i128,
    u64::MAX as i128,
];

fn edge(rng: &mut StdRng) -> i128 {
    EDGES[rng.gen_range(0..EDGES.len())] + i128::from(rng.gen_range(-1i8..=1))
}

/// A changed file of a decoder's.
pub(super) fn mutated(decoder: Decoder, files: &[Vec<u8>], rng: &mut StdRng) -> Vec<u8> {
    let Some(file) = files.choose(rng) else {
        return Vec::new();
    };
    let mut bytes = file.clone();
    if rng.gen_range(0..4) > 0 {
        bytes = match decoder {
            Decoder::Receipt | Decoder::Manifest | Decoder::Graph | Decoder::Envelope => cbor(&bytes, rng),
            Decoder::Onnx => protobuf(&bytes, rng, 0),
            Decoder::Npy => npy(&bytes, rng),
            Decoder::Npz => npz(&bytes, rng),
            Decoder::Json => json(&bytes, rng),
            Decoder::Claim | Decoder::Refusal | Decoder::Report => body::changed(&bytes, rng),
            Decoder::ClaimToken => token::changed(&bytes, files, &gateway::compile_tokens(), rng),
            Decoder::CompileToken => token::changed(&bytes, files, &gateway::claim_tokens(), rng),
        };
    }
    if rng.gen_range(0..4) == 0 {
        for _ in 0..rng.gen_range(1..4) {
            change_bytes(&mut bytes, rng);
        }
    }
    bytes
}

fn change_bytes(bytes: &mut Vec<u8>, rng: &mut StdRng) {
    if bytes.is_empty() {
        return bytes.push(rng.r#gen());
    }
    // Structure stands at the front more often than not.
    let within = if rng.r#gen() {
        bytes.len()
    } else {
        bytes.len().min(200)
    };
    let at = rng.gen_range(0..within);
    match rng.gen_range(0..6) {
        0 => bytes[at] ^= 1 << rng.gen_range(0..8),
        1 => bytes[at] = rng.r#gen(),
        2 => bytes.insert(at, rng.r#gen()),
        3 => {
            bytes.remove(at);
        }
        4 => bytes.truncate(at),
        _ => {
            let len = rng.gen_range(1..64).min(bytes.len() - at);
            let from = rng.gen_range(0..=bytes.len() - len);
            bytes.copy_within(from..from + len, at);
        }
    }
}

/// Changes some items of a document, and writes it in canonical order, or as it comes.
fn cbor(bytes: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let Ok(mut value) = ciborium::from_reader::<Value, _>(bytes) else {
        return bytes.to_vec();
    };
    let all = value.clone();
    for _ in 0..rng.gen_range(1..4) {
        let at = rng.gen_range(0..items(&value));
        let other = item(&mut all.clone(), &mut rng.gen_range(0..items(&all))).cloned();
        if let Some(place) = item(&mut value, &mut at.clone()) {
            change(place, other.unwrap_or(Value::Null), rng);
        }
    }
    if rng.gen_range(0..3) > 0 {
        return zkml::canonical::to_bytes(&value);
    }
    let mut bytes = Vec::new();
    let _ = ciborium::into_writer(&value, &mut bytes);
    bytes
}

/// Number of items in an item, itself included.
fn items(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(items).sum(),
        Value::Map(entries) => entries.iter().map(|(k, v)| items(k) + items(v)).sum(),
        _ => 0,
    }
}

/// The item of a number.
fn item<'v>(value: &'v mut Value, at: &mut usize) -> Option<&'v mut Value> {
    if *at == 0 {
        return Some(value);
    }
    *at -= 1;
    match value {
        Value::Array(list) => list.iter_mut().find_map(|v| item(v, at)),
        Value::Map(entries) => {
            for (k, v) in entries {
                if let Some(found) = item(k, at) {
                    return Some(found);
                }
                if let Some(found) = item(v, at) {
                    return Some(found);
                }
            }
            None
        }
        _ => None,
    }
}

fn change(place: &mut Value, other: Value, rng: &mut StdRng) {
    let edge = edge(rng);
    match (rng.gen_range(0..8), &mut *place) {
        (0, _) => *place = other,
        (1, _) => *place = Value::Array(vec![place.clone(); rng.gen_range(0..4)]),
        (2, _) => *place = Value::Tag(rng.gen_range(0..70), Box::new(place.clone())),
        (3, _) => {
            *place = [
                Value::Null,
                Value::Bool(true),
                Value::Float(0.5),
                Value::Text(String::new()),
            ][rng.gen_range(0..4)]
            .clone();
        }
        (_, Value::Integer(n)) => {
            *n = ciborium::value::Integer::try_from(edge).unwrap_or(*n);
        }
        (_, Value::Bytes(bytes)) => match rng.gen_range(0..4) {
            0 => bytes.clear(),
            1 => bytes.resize(rng.gen_range(0..1 << 12), 0xff),
            2 => bytes.extend_from_within(..),
            _ => change_bytes(bytes, rng),
        },
        (_, Value::Text(text)) => match rng.gen_range(0..3) {
            0 => text.clear(),
            1 => *text = "x".repeat(rng.gen_range(0..2000)),
            _ => text.push('é'),
        },
        (n, Value::Array(list)) if !list.is_empty() => {
            let at = rng.gen_range(0..list.len());
            match n {
                4 => {
                    list.remove(at);
                }
                5 => list.insert(at, list[at].clone()),
                6 => list.insert(at, other),
                _ => {
                    let to = rng.gen_range(0..list.len());
                    list.swap(at, to);
                }
            }
        }
        (n, Value::Map(entries)) if !entries.is_empty() => {
            let at = rng.gen_range(0..entries.len());
            match n {
                4 => {
                    entries.remove(at);
                }
                5 => entries.insert(at, entries[at].clone()),
                6 => entries[at].1 = other,
                _ => entries.push((Value::Text("more".to_owned()), other)),
            }
        }
        _ => {}
    }
}

/// One field of a message of protocol buffers.
struct Field {
    key: u64,
    payload: Vec<u8>,
}

fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for (i, &b) in bytes.iter().take(10).enumerate() {
        value |= u64::from(b & 127).checked_shl(7 * i as u32)?;
        if b < 128 {
            return Some((value, i + 1));
        }
    }
    None
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value > 127 {
        bytes.push(value as u8 | 128);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// The fields, if the bytes are a message.
fn fields(mut bytes: &[u8]) -> Option<Vec<Field>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (key, n) = varint(bytes)?;
        bytes = &bytes[n..];
        let (skip, len) = match key & 7 {
            0 => (0, varint(bytes)?.1),
            1 => (0, 8),
            2 => {
                let (len, n) = varint(bytes)?;
                (n, usize::try_from(len).ok()?)
            }
            5 => (0, 4),
            _ => return None,
        };
        let payload = bytes.get(skip..skip.checked_add(len)?)?;
        all.push(Field {
            key,
            payload: payload.to_vec(),
        });
        bytes = &bytes[skip + len..];
    }
    Some(all)
}

fn protobuf(bytes: &[u8], rng: &mut StdRng, depth: usize) -> Vec<u8> {
    let Some(mut all) = fields(bytes).filter(|f| !f.is_empty()) else {
        let mut bytes = bytes.to_vec();
        change_bytes(&mut bytes, rng);
        return bytes;
    };
    let at = rng.gen_range(0..all.len());
    let nested = all[at].key & 7 == 2;
    match rng.gen_range(0..8) {
        0 => {
            all.remove(at);
        }
        1 => {
            let Field { key, payload } = &all[at];
            let again = Field {
                key: *key,
                payload: payload.clone(),
            };
            all.push(again);
        }
        2 => {
            let to = rng.gen_range(0..all.len());
            all.swap(at, to);
        }
        3 => {
            let from = all[rng.gen_range(0..all.len())].payload.clone();
            all[at].payload = from;
        }
        4 if !nested => {
            all[at].payload.clear();
            let value = edge(rng) as u64;
            put_varint(&mut all[at].payload, value);
            all[at].key &= !7;
        }
        _ if nested && depth < 8 => all[at].payload = protobuf(&all[at].payload, rng, depth + 1),
        _ => change_bytes(&mut all[at].payload, rng),
    }
    let mut bytes = Vec::new();
    for Field { key, payload } in all {
        put_varint(&mut bytes, key);
        if key & 7 == 2 {
            put_varint(&mut bytes, payload.len() as u64);
        }
        bytes.extend(payload);
    }
    bytes
}

/// Another header before the values.
fn npy(bytes: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let types = ["<f4", "<f8", "<i8", ">f4", "|u1", "<f2", "<c8", "O"];
    let dims: Vec<String> = (0..rng.gen_range(0..5)).map(|_| edge(rng).to_string()).collect();
    let order = ["True", "False", "0"][rng.gen_range(0..3)];
    let header = format!(
        "{{'descr': '{}', 'fortran_order': {order}, 'shape': ({},), }}",
        types[rng.gen_range(0..types.len())],
        dims.join(", ")
    );
    let version = [1, 2, 3, 9][rng.gen_range(0..4)];
    let mut file = [&b"\x93NUMPY"[..], &[version, 0]].concat();
    let len = if rng.gen_range(0..4) == 0 {
        edge(rng) as usize
    } else {
        header.len()
    };
    match version {
        1 => file.extend((len as u16).to_le_bytes()),
        _ => file.extend((len as u32).to_le_bytes()),
    }
    file.extend(header.as_bytes());
    file.extend(bytes.iter().skip(128).take(rng.gen_range(0..4096)));
    file
}

/// A changed array that is packed as it should be, or other numbers in the archive's heads.
fn npz(bytes: &[u8], rng: &mut StdRng) -> Vec<u8> {
    if rng.r#gen() {
        return packed(["x", "arr_0", ""][rng.gen_range(0..3)], &npy(bytes, rng));
    }
    let mut file = bytes.to_vec();
    let heads = file.windows(4).enumerate().filter(|(_, head)| {
        [b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"]
            .iter()
            .any(|of| of == head)
    });
    let heads: Vec<usize> = heads.map(|(at, _)| at).collect();
    for _ in 0..rng.gen_range(1..4) {
        let at = heads.choose(rng).copied().unwrap_or_default() + 2 * rng.gen_range(2..23);
        let (number, len) = ((edge(rng) as u32).to_le_bytes(), [2, 4][rng.gen_range(0..2)]);
        if let Some(place) = file.get_mut(at..at + len) {
            place.copy_from_slice(&number[..len]);
        }
    }
    file
}

/// Other numbers, other nesting, other keys.
fn json(bytes: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let numbers = [
        "1e999",
        "-0",
        "NaN",
        "null",
        "\"1\"",
        "9223372036854775808",
        "0.1e-400",
        "[]",
        "{}",
        "[1,2]",
    ];
    let mut parts: Vec<String> = text
        .split_inclusive([',', '[', ']', '{', '}', ':'])
        .map(str::to_owned)
        .collect();
    for _ in 0..rng.gen_range(1..4) {
        let at = rng
            .gen_range(0..parts.len().max(1))
            .min(parts.len().saturating_sub(1));
        match rng.gen_range(0..5) {
            0 => parts[at] = format!("{},", numbers[rng.gen_range(0..numbers.len())]),
            1 => {
                parts.remove(at);
            }
            2 => parts.insert(at, parts[at].clone()),
            3 => parts.insert(at, "[".repeat(rng.gen_range(1..3000))),
            _ => parts[at] = format!("{}]", numbers[rng.gen_range(0..numbers.len())]),
        }
        if parts.is_empty() {
            parts.push("[".to_owned());
        }
    }
    parts.concat().into_bytes()
}
