//! Entries as bytes: texts and 32-byte words once each, in order, and entries that name them by their places.

use std::collections::BTreeMap;
use std::sync::Arc;

use zkinfer_crds::{ClaimId, Digest, Identity, RequestUid, SliceIndex};

use super::bytes::{LedgerError, Reader, put_count, text};
use crate::cause::Cause;
use crate::entry::{End, Entry};

const MODEL: u8 = 1;
const KEY: u8 = 2;
const BYTES: u8 = 4;
const PROOF: u8 = 8;
const COMPARABLE: u8 = 16;
/// Programs of before it was written refuse an entry that has it; one that has it not has the bytes that it always had.
const BENCHMARK: u8 = 32;
const KNOWN: u8 = 63;
/// Claim, request, flags, slice, namespace, pool, miner, attempt, end, work, time and end's time.
const LEAST: usize = 16 + 16 + 1 + 4 + 4 + 4 + 4 + 4 + 1 + 8 + 8 + 8;
/// Bytes of a namespace or a name.
const MAX_TEXT: usize = 253;

/// Values that are written once, and their places.
struct Table<T> {
    places: BTreeMap<T, u32>,
}

impl<T: Ord + Clone> Table<T> {
    fn new(of: impl Iterator<Item = T>) -> Result<Self, LedgerError> {
        let mut places: BTreeMap<T, u32> = of.map(|value| (value, 0)).collect();
        for (place, slot) in places.values_mut().enumerate() {
            *slot = u32::try_from(place).map_err(|_| LedgerError::Long("a table"))?;
        }
        Ok(Self { places })
    }

    fn put<Q: Ord + ?Sized>(&self, out: &mut Vec<u8>, value: &Q) -> Result<(), LedgerError>
    where
        T: std::borrow::Borrow<Q>,
    {
        let place = self.places.get(value).ok_or(LedgerError::Long("a table"))?;
        out.extend(place.to_be_bytes());
        Ok(())
    }
}

/// Writes entries.
pub(super) fn put_entries(out: &mut Vec<u8>, entries: &[Entry]) -> Result<(), LedgerError> {
    let texts = Table::new(entries.iter().flat_map(|e| [&*e.namespace, &*e.pool]))?;
    let words = Table::new(entries.iter().flat_map(|e| {
        let digests = [e.model, e.key].into_iter().flatten();
        digests.map(|d| *d.as_bytes()).chain([*e.miner.as_bytes()])
    }))?;
    put_count(out, texts.places.len(), "texts")?;
    for text in texts.places.keys() {
        if text.len() > MAX_TEXT {
            return Err(LedgerError::Long("a namespace or a pool's name"));
        }
        out.push(text.len() as u8);
        out.extend(text.as_bytes());
    }
    put_count(out, words.places.len(), "words")?;
    words.places.keys().for_each(|word| out.extend(word));
    put_count(out, entries.len(), "entries")?;
    for entry in entries {
        put_entry(out, entry, &texts, &words)?;
    }
    Ok(())
}

fn put_entry(
    out: &mut Vec<u8>,
    entry: &Entry,
    texts: &Table<&str>,
    words: &Table<[u8; 32]>,
) -> Result<(), LedgerError> {
    let Entry {
        claim,
        request,
        model,
        slice,
        key,
        namespace,
        pool,
        miner,
        attempt,
        end,
        comparable,
        benchmark,
        work,
        micros,
        bytes,
        proof,
        at,
    } = entry;
    out.extend(claim.as_bytes());
    out.extend(request.as_bytes());
    let flags = [
        (model.is_some(), MODEL),
        (key.is_some(), KEY),
        (bytes.is_some(), BYTES),
        (proof.is_some(), PROOF),
        (*comparable, COMPARABLE),
        (*benchmark, BENCHMARK),
    ];
    out.push(flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum());
    out.extend(slice.0.to_be_bytes());
    texts.put(out, &**namespace)?;
    texts.put(out, &**pool)?;
    words.put(out, miner.as_bytes())?;
    for digest in [model, key].into_iter().flatten() {
        words.put(out, digest.as_bytes())?;
    }
    out.extend(attempt.to_be_bytes());
    out.push(end.cause().map_or(0, Cause::code));
    out.extend(work.to_be_bytes());
    out.extend(micros.to_be_bytes());
    if let Some(bytes) = bytes {
        out.extend(bytes.to_be_bytes());
    }
    if let Some(proof) = proof {
        out.extend(proof.as_bytes());
    }
    out.extend(at.to_be_bytes());
    Ok(())
}

/// Reads entries, at most so many.
pub(super) fn read_entries(from: &mut Reader<'_>, most: usize) -> Result<Vec<Entry>, LedgerError> {
    let many = from.count(2 * most, 1, "texts")?;
    let mut texts: Vec<Arc<str>> = Vec::with_capacity(many);
    for _ in 0..many {
        let length = from.u8("a text's length")?;
        let bytes = from.take(usize::from(length), "a text")?;
        let text = text(bytes, from.at())?;
        // In order and once each, as they are written: a short list of bytes holds no long list of texts.
        if texts.last().is_some_and(|last| **last >= *text) {
            return Err(LedgerError::Canonical);
        }
        texts.push(text.into());
    }
    let many = from.count(3 * most, 32, "words")?;
    let mut words = Vec::with_capacity(many);
    for _ in 0..many {
        words.push(from.array::<32>("a word")?);
    }
    let many = from.count(most, LEAST, "entries")?;
    let mut entries = Vec::with_capacity(many);
    for _ in 0..many {
        entries.push(read_entry(from, &texts, &words)?);
    }
    Ok(entries)
}

fn place<T: Clone>(from: &mut Reader<'_>, table: &[T], what: &'static str) -> Result<T, LedgerError> {
    let place = from.u32(what)?;
    let value = table.get(place as usize).cloned();
    value.ok_or(LedgerError::Unknown {
        what,
        got: place.into(),
    })
}

fn read_entry(from: &mut Reader<'_>, texts: &[Arc<str>], words: &[[u8; 32]]) -> Result<Entry, LedgerError> {
    let claim = ClaimId::new(from.array("a claim")?);
    let request = RequestUid::new(from.array("a request")?);
    let flags = from.u8("flags")?;
    if flags & !KNOWN != 0 {
        return Err(LedgerError::Unknown {
            what: "flags",
            got: flags.into(),
        });
    }
    let has = |flag: u8| flags & flag != 0;
    let slice = SliceIndex(from.u32("a slice")?);
    let namespace = place(from, texts, "a namespace's place")?;
    let pool = place(from, texts, "a pool's place")?;
    let miner = Identity::new(place(from, words, "a miner's place")?);
    let digest = |from: &mut Reader<'_>, flag: u8, what| {
        let word = has(flag).then(|| place(from, words, what)).transpose();
        word.map(|word| word.map(Digest::new))
    };
    let model = digest(from, MODEL, "a model's place")?;
    let key = digest(from, KEY, "a key's place")?;
    let attempt = from.u32("an attempt")?;
    let end = match from.u8("an end")? {
        0 => End::Verified,
        code => End::Ended(Cause::of_code(code).ok_or(LedgerError::Unknown {
            what: "a cause",
            got: code.into(),
        })?),
    };
    let work = from.u64("work")?;
    let micros = from.u64("a time")?;
    let bytes = has(BYTES).then(|| from.u64("a size")).transpose()?;
    let proof = has(PROOF).then(|| from.array("a proof's digest")).transpose()?;
    let at = from.u64("the time of an end")?;
    Ok(Entry {
        claim,
        request,
        model,
        slice,
        key,
        namespace,
        pool,
        miner,
        attempt,
        end,
        comparable: has(COMPARABLE),
        benchmark: has(BENCHMARK),
        work,
        micros,
        bytes,
        proof: proof.map(Digest::new),
        at,
    })
}
