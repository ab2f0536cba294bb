//! How much memory decoding takes, from the kernel's own account: the greatest resident size since it was reset.

use std::error::Error;
use std::fs;

use zkinfer_crds::compile_report::CompileOutcome;
use zkinfer_operator::sources::{MAX_FILE_BYTES, MAX_VALUES};
use zkml::canonical::DECODING_MEMORY;
use zkml::graph::{Inputs, IntGraph, Op, Rows};
use zkml::manifest::Manifest;
use zkml::receipt::{MAX_RECEIPT_BYTES, Receipt};

use super::corpus::{Corpus, packed};
use super::gateway;

/// What an allocator and a stack may take beside.
const SLACK: usize = 4 << 20;

/// A measurement that has begun.
pub(super) struct Memory(usize);

impl Memory {
    /// From now on.
    pub(super) fn now() -> Result<Self, Box<dyn Error>> {
        // Forgets the greatest size so far.
        fs::write("/proc/self/clear_refs", "5")?;
        Ok(Self(greatest()?))
    }

    /// Bytes more than when it began, at most.
    pub(super) fn more(&self) -> Result<usize, Box<dyn Error>> {
        Ok(greatest()?.saturating_sub(self.0))
    }
}

/// The greatest resident size, in bytes.
fn greatest() -> Result<usize, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kib = line.and_then(|l| l.trim().strip_suffix(" kB"));
    Ok(kib
        .ok_or("no VmHWM in /proc/self/status")?
        .trim()
        .parse::<usize>()?
        << 10)
}

/// A CBOR head of five bytes.
fn head(major: u8, len: usize) -> Vec<u8> {
    [&[major << 5 | 26][..], &(len as u32).to_be_bytes()].concat()
}

/// An honest file up to the value of a field, and then something else: the reader comes that far, and builds what follows
/// before it misses the rest.
fn cut(file: &[u8], key: &str, value: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let key = [&[0x60 | key.len() as u8], key.as_bytes()].concat();
    let at = file.windows(key.len()).position(|w| w == key);
    let at = at.ok_or("the file has no such field")?;
    Ok([&file[..at + key.len()], value].concat())
}

/// Large files: honest ones, and what is small in a file and large in memory.
pub(super) fn run() -> Result<(), Box<dyn Error>> {
    let corpus = Corpus::new()?;
    let boundary = |values: Vec<u8>| [&b"\xa2\x62id\x00\x66values"[..], &values].concat();
    let zeros = 40 << 20;
    let list = |len: usize, item: &[u8]| [head(4, len), item.repeat(len)].concat();
    let mut honest = Receipt::from_bytes(corpus.receipt())?;
    let values = honest.inner.iter_mut().chain(&mut honest.input).next();
    let values = values.ok_or("the receipt has no tensor")?;
    values.values = (0..1 << 22).collect();
    let mut many = honest.clone();
    many.inner = vec![honest.input[0].clone(); 2];
    // As an embedding of a sentence model: what is read is compared with the bytes without a copy of the list.
    let mut long = IntGraph::from_bytes(corpus.graph(), MAX_RECEIPT_BYTES)?;
    let node = long.nodes.first_mut().ok_or("the graph has no node")?;
    node.op = Op::Rows(Rows {
        table: (0..1 << 24).collect(),
        width: 64,
    });
    let (receipt, manifest, graph) = (corpus.receipt(), corpus.halo2_manifest(), corpus.graph());
    let tables = corpus.graph_with_tables();
    let inner = |items: usize, item: Vec<u8>| cut(receipt, "inner", &list(items, &item));
    let many_values = [head(2, 64 << 20), vec![1; 64 << 20]].concat();
    let empty_table = [&b"\xa3\x64name\x60\x65first\x00\x67columns"[..], &[0x80]].concat();
    let many_rows = [head(2, 32 << 20), vec![1; 32 << 20]].concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a receipt with a tensor of 2^22 values", honest.to_bytes()),
        ("a receipt with 3 of them", many.to_bytes()),
        ("a graph with a list of 2^24 values", long.to_bytes()),
        (
            "zeros where a receipt's values belong",
            inner(1, boundary(list(zeros, &[0])))?,
        ),
        (
            "empty tensors in a receipt",
            inner((40 << 20) / 12, boundary(vec![0x40]))?,
        ),
        ("values in one tensor", inner(1, boundary(many_values))?),
        ("empty proofs", cut(receipt, "slices", &list(1 << 20, &[0xa3]))?),
        ("ids in a manifest", cut(manifest, "inputs", &list(zeros, &[0]))?),
        (
            "roles in a circuit",
            cut(manifest, "roles", &list(zeros / 3, b"\x62On"))?,
        ),
        (
            "requantisations in a circuit",
            cut(manifest, "requantisations", &list(zeros, &[0xa3]))?,
        ),
        (
            "tensors in a graph",
            cut(graph, "tensors", &list(zeros, &[0xa4]))?,
        ),
        (
            "tables in a graph",
            cut(tables, "tables", &list(1 << 20, &empty_table))?,
        ),
        (
            "columns of a table",
            cut(tables, "columns", &list(zeros, &[0x40]))?,
        ),
        (
            "rows of a column",
            cut(tables, "columns", &[&list(1, &[])[..], &many_rows].concat())?,
        ),
        ("dimensions in a graph", cut(graph, "shape", &list(zeros, &[0]))?),
        ("lists in lists", vec![0x81; 8 << 20]),
        (
            "lists that are said to be long",
            [0x9a, 0xff, 0xff, 0xff, 0xff].repeat(8 << 20),
        ),
        (
            "maps that are said to be long",
            [0xba, 0x00, 0xff, 0xff, 0xff].repeat(8 << 20),
        ),
    ];
    type Decode = fn(&[u8]) -> bool;
    let decoders: [(&str, Decode); 3] = [
        ("Receipt", |b| Receipt::from_bytes(b).is_ok()),
        ("Manifest", |b| {
            Manifest::from_bytes(b, zkml::systems::SYSTEMS).is_ok()
        }),
        ("IntGraph", |b| IntGraph::from_bytes(b, MAX_RECEIPT_BYTES).is_ok()),
    ];
    let mut worst = 0;
    for (name, bytes) in &cases {
        for (decoder, decode) in decoders {
            let (read, beside) = decoded(decoder, name, bytes, decode)?;
            worst = worst.max(beside);
            // The honest ones must have been read, or nothing was measured.
            let honest = [("a receipt", "Receipt"), ("a graph", "IntGraph")];
            if honest
                .iter()
                .any(|(of, by)| name.starts_with(of) && decoder == *by)
                && !read
            {
                return Err(format!("{name} was not read").into());
            }
        }
    }
    for (name, honest, bytes) in inputs()? {
        let (read, beside) = decoded("Inputs", name, &bytes, |b| Inputs::read(b, MAX_VALUES).is_ok())?;
        worst = worst.max(beside);
        if read != honest {
            return Err(format!("whether {name} were read: {read}, not {honest}").into());
        }
    }
    for (name, bytes) in gateway::large_reports() {
        let (read, beside) = decoded("Report", name, &bytes, |b| CompileOutcome::read(b).is_ok())?;
        worst = worst.max(beside);
        if !read {
            return Err(format!("the report of many {name} was not read").into());
        }
    }
    println!(
        "at most {:.1} MiB beside the file's own size",
        worst as f64 / f64::from(1 << 20)
    );
    Ok(())
}

/// What a file is, whether it is read, its bytes.
type Handed = (&'static str, bool, Vec<u8>);

/// Files of an input, as large as a requester may hand in.
fn inputs() -> Result<Vec<Handed>, Box<dyn Error>> {
    let size = MAX_FILE_BYTES as usize;
    let repeated = |first: &str, part: &str| {
        let parts = part.repeat((size - first.len()) / part.len());
        [first, &parts].concat().into_bytes()
    };
    let by_name = |tensor: &str| {
        let mut text = String::from("{");
        for at in 0usize.. {
            let part = format!("\"{at:x}\":{tensor},");
            if text.len() + part.len() > size {
                break;
            }
            text.push_str(&part);
        }
        text.into_bytes()
    };
    let npy = |descr: &str, count: usize, each: usize| {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({count},), }}");
        let length = (header.len() as u16).to_le_bytes();
        [
            &b"\x93NUMPY\x01\x00"[..],
            &length,
            header.as_bytes(),
            &vec![0; count * each],
        ]
        .concat()
    };
    let most = |item: &str| format!("[{}]", vec![item; MAX_VALUES].join(",")).into_bytes();
    let many = MAX_VALUES + 1;
    Ok(vec![
        ("as many numbers in JSON as are read", true, most("0.25")),
        ("as many lists of one number", true, most("[1]")),
        ("numbers in JSON", false, repeated("[", "0,")),
        ("lists of one number", false, repeated("[", "[0],")),
        ("empty lists in JSON", false, repeated("[[0],", "[],")),
        ("lists in lists in JSON", false, repeated("", "[")),
        ("objects in JSON", false, repeated("[", "{},")),
        ("tensors by name in JSON", false, by_name("[0]")),
        ("a long name in JSON", false, repeated("{\"", "n")),
        ("a long text in JSON", false, repeated("[\"", "n")),
        (
            "as many bytes in .npy as are read",
            true,
            npy("|u1", MAX_VALUES, 1),
        ),
        ("bytes in .npy", false, npy("|u1", size - 128, 1)),
        (
            "as many floats in packed .npz as are read",
            true,
            packed("x", &npy("<f8", MAX_VALUES, 8)),
        ),
        (
            "bytes in packed .npz",
            false,
            packed("x", &npy("|u1", 8 * MAX_VALUES, 1)),
        ),
        ("floats in packed .npz", false, packed("x", &npy("<f8", many, 8))),
    ])
}

/// Whether a file was read, and the memory that this took beside its size; an error beyond the limit.
fn decoded(
    decoder: &str,
    name: &str,
    bytes: &[u8],
    decode: fn(&[u8]) -> bool,
) -> Result<(bool, usize), Box<dyn Error>> {
    let memory = Memory::now()?;
    let read = decode(bytes);
    let taken = memory.more()?;
    let limit = bytes.len() + DECODING_MEMORY + SLACK;
    println!(
        "{decoder:<8} {:>6.1} MiB more for {:>6.1} MiB of {name}{}",
        taken as f64 / f64::from(1 << 20),
        bytes.len() as f64 / f64::from(1 << 20),
        if read { ": read" } else { "" }
    );
    if taken > limit {
        return Err(format!("{decoder}, {name}: {taken} bytes of memory, at most {limit}").into());
    }
    Ok((read, taken.saturating_sub(bytes.len())))
}
