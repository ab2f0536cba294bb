//! Slices whose accumulators stand in the proof: nothing is committed, nothing is looked up, nothing is opened.
//!
//! An opening has tens of kilobytes whatever is in it. Where the accumulators of a slice are not many more, a proof names them
//! instead ([`NO_LIMBS`]): per map with weights and per product of matrices its accumulators, per permutation its values. They
//! are absorbed before any challenge. Everything else a verifier derives, relation by relation, from public values and what is
//! named, by the relations' own definitions ([`Relation::follow`]): quotients, activations, maxima, tables, wirings, sums and
//! products element by element. So it knows every tensor, and computes every claim on one.
//!
//! **Why it suffices.** What follows from a relation's definition needs no argument. What is named is `acc + offset` in exactly
//! `bits + S` bits, so the quotient lies in its range whatever is named, and floor division has one quotient. What remains is
//! that the accumulators are the map's, or the product's, of the tensors that the verifier knows: both sides are fixed when
//! the point is drawn, their difference is a multilinear polynomial with coefficients below 2^63 < p in absolute value, and one
//! that is not 0 vanishes at the point with probability at most arity/|EF|. The sum-check there is that of a slice with
//! limbs, and ends in values that the verifier computes.
//!
//! A proof ends in its **seal**, a challenge that is drawn after everything else. A slice without maps and products has no other part
//! that depends on the statement: with the seal a proof is of one request, slice, claim and miner, as every other is.

use super::columns::Values;
use super::error::{Claim, Fault, VerifyError};
use super::field::EF_BYTES;
use super::layout::{Home, Layout, Named};
use super::transcript::{Label, Recorder, Transcript};
use crate::graph::{Requantise, TensorId};
use crate::relations::{CheckError, Named as Needs, Relation, SliceRelations};

/// In place of a limb's width: nothing is cut into limbs.
pub(super) const NO_LIMBS: u8 = 0;
/// Most bytes that a proof names. With its scalars it is no longer than the longest of a slice with limbs.
pub(super) const MAX_BYTES: u64 = 144 << 10;

/// What a verifier knows beside the statement's values.
#[derive(Debug, Default)]
pub(super) struct Derived {
    /// The values of every tensor.
    pub(super) values: Values,
    /// What the proof has named: accumulators, and values of permutations, by the tensor that is made of them.
    pub(super) named: Values,
}

/// What is added to accumulators so that exactly the numbers of `bits + shift` bits have a quotient in its range: the same
/// as where they are cut into limbs.
pub(super) fn offset(requantise: Requantise) -> i64 {
    let rounding = match requantise.shift {
        0 => 0,
        shift => 1 << (shift - 1),
    };
    (1 << (requantise.bits - 1) << requantise.shift) + rounding
}

/// What has to be named of a relation whose tensor is placed.
pub(super) fn named(relation: &Relation, output: TensorId, layout: &Layout) -> Option<Named> {
    let tensor = layout.tensor(output)?;
    let (width, offset) = match relation.named()? {
        Needs::Accumulators(requantise) => (
            u32::from(requantise.bits) + u32::from(requantise.shift),
            offset(requantise),
        ),
        Needs::Values => (u32::from(tensor.range.bits), -tensor.range.lo()),
    };
    Some(Named {
        tensor: output,
        len: tensor.axes.len(),
        width,
        offset,
    })
}

/// Bytes of all that a proof names.
pub(super) fn bytes(layout: &Layout) -> usize {
    layout.named.iter().map(Named::bytes).sum()
}

/// Bytes of a proof: what it names, its scalars, its seal.
pub(super) fn proof_bytes(layout: &Layout, scalars: usize) -> usize {
    bytes(layout) + (scalars + 1) * EF_BYTES
}

/// What is named, as it stands in a proof: each number's bits from the lowest, one number after the other.
pub(super) fn encode(layout: &Layout, values: &Values) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(self::bytes(layout));
    for named in &layout.named {
        let (mut held, mut bits, mask) = (0u128, 0, (1 << named.width) - 1);
        for value in values.get(&named.tensor).into_iter().flatten() {
            held |= u128::from((value + named.offset) as u64 & mask) << bits;
            bits += named.width;
            while bits >= 8 {
                bytes.push(held as u8);
                held >>= 8;
                bits -= 8;
            }
        }
        if bits > 0 {
            bytes.push(held as u8);
        }
    }
    bytes
}

/// What a proof names, from exactly its bytes.
///
/// # Errors
/// A bit behind a list: it would be a second spelling.
pub(super) fn decode(layout: &Layout, mut bytes: &[u8]) -> Result<Values, VerifyError> {
    let short = VerifyError::Malformed("it is too short");
    let mut values = Values::new();
    for named in &layout.named {
        let (own, rest) = bytes.split_at_checked(named.bytes()).ok_or(short.clone())?;
        bytes = rest;
        let (mut held, mut bits, mut own) = (0u128, 0, own.iter());
        let mut list = Vec::with_capacity(named.len);
        for _ in 0..named.len {
            while bits < named.width {
                let &byte = own.next().ok_or(short.clone())?;
                held |= u128::from(byte) << bits;
                bits += 8;
            }
            let value = held & ((1 << named.width) - 1);
            list.push(value as i64 - named.offset);
            held >>= named.width;
            bits -= named.width;
        }
        if held != 0 {
            return Err(VerifyError::Malformed("bits behind named values are not 0"));
        }
        values.insert(named.tensor, list);
    }
    Ok(values)
}

/// Absorbs all that is named.
pub(super) fn absorb<R: Recorder>(transcript: &mut Transcript<R>, layout: &Layout, values: &Values) {
    for named in &layout.named {
        let list = values.get(&named.tensor).map(Vec::as_slice).unwrap_or_default();
        transcript.values(Label::Named, list);
    }
}

/// The values of every tensor: those of the statement, then of each relation what follows. Public outputs are what the
/// statement says, or nothing follows.
///
/// # Errors
/// A value outside its range or table, named values that are no permutation, outputs that are not the statement's.
pub(super) fn derive(
    layout: &Layout,
    relations: &SliceRelations,
    [inputs, outputs]: [&[&[i64]]; 2],
    named: Values,
) -> Result<Derived, VerifyError> {
    let mut values = Values::new();
    for (tensor, input) in relations.inputs.iter().zip(inputs) {
        values.insert(tensor.id, input.to_vec());
    }
    for relation in &relations.relations {
        let own = relation.output().and_then(|output| named.get(&output));
        let followed = relation
            .follow(&values, own.map(Vec::as_slice))
            .map_err(|e| refused(&e))?;
        let Some((output, made)) = followed else {
            continue;
        };
        let refuted = || Claim::Derived.refuted(output);
        let made: Vec<i64> = made.into_iter().collect::<Option<_>>().ok_or_else(refuted)?;
        let tensor = layout.tensor(output).ok_or(Fault::NoTensor(output))?;
        if made.len() != tensor.axes.len() {
            return Err(Fault::NoTensor(output).into());
        }
        if let Home::Output(index) = tensor.home
            && outputs.get(index).is_none_or(|said| *said != made)
        {
            return Err(refuted());
        }
        values.insert(output, made);
    }
    Ok(Derived { values, named })
}

fn refused(error: &CheckError) -> VerifyError {
    match *error {
        CheckError::Tensor(tensor) | CheckError::Range { tensor, .. } | CheckError::Output { tensor, .. } => {
            Claim::Derived.refuted(tensor)
        }
    }
}
