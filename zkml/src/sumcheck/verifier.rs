//! Verifies one slice proof against one statement.
//!
//! Invariants: it never panics; it takes nothing but bytes from the prover, and every count and size from the key; exactly
//! one byte string is the encoding of a proof; it calls no prover code.

use std::panic::catch_unwind;

use zkinfer_crds::Digest;

use super::channel::{Receiver, encode};
use super::commitment::{Commitment, Opening};
use super::disclosed::{self, Derived};
use super::error::{Refutation, VerifyError};
use super::field::EF_BYTES;
use super::instance::absorb;
use super::key::{Inner, Key};
use super::transcript::{Challenges, Label, Silent, Transcript};
use super::walk::walk;
use crate::relations::check_values;

/// No proof is longer; an envelope holds no more.
pub const MAX_PROOF_BYTES: usize = 512 << 10;

/// Accepts `proof` for `statement` and the public values, or says why not.
///
/// # Errors
/// Public values of the wrong length or range, malformed bytes, or a proof that does not hold.
pub fn verify(
    key: &Key,
    statement: &Digest,
    inputs: &[&[i64]],
    outputs: &[&[i64]],
    proof: &[u8],
) -> Result<(), VerifyError> {
    let inner = &*key.inner;
    if proof.len() > MAX_PROOF_BYTES {
        return Err(VerifyError::Malformed("it is too long"));
    }
    let Some(scheme) = &inner.scheme else {
        return verify_disclosed(key, statement, [inputs, outputs], proof);
    };
    let (scalars, root, opening) = decode(inner, proof)?;
    check_boundary(inner, [inputs, outputs])?;

    // Everything that is public, then the commitment: no challenge is known before.
    let mut transcript = Transcript::new(Silent);
    absorb(&mut transcript, statement, &key.digest(), inputs, outputs);
    scheme.observe(&root, transcript.delegate(Label::Commitment));

    // Every claim of the relations, down to claims on committed columns …
    let receiver = Receiver::new(transcript, scalars);
    let public = [inputs, outputs];
    let (receiver, opened) = walk(
        &inner.plan,
        &inner.relations,
        receiver,
        public,
        &Derived::default(),
    )?;
    let mut transcript = receiver.finish()?;
    // … which the opening shows.
    let opened = opened.into_iter().flatten().collect();
    scheme.verify(&root, opening, opened, transcript.delegate(Label::Opening))
}

/// The same of a slice whose accumulators stand in the proof: see [`disclosed`].
fn verify_disclosed(
    key: &Key,
    statement: &Digest,
    public: [&[&[i64]]; 2],
    proof: &[u8],
) -> Result<(), VerifyError> {
    let inner = &*key.inner;
    let layout = &inner.plan.layout;
    let short = VerifyError::Malformed("it is too short");
    let (proof, seal) = proof.split_last_chunk::<EF_BYTES>().ok_or(short.clone())?;
    let (named, scalars) = proof.split_at_checked(disclosed::bytes(layout)).ok_or(short)?;
    let named = disclosed::decode(layout, named)?;
    check_boundary(inner, public)?;

    // Everything that a challenge could be chosen for stands before the first one.
    let mut transcript = Transcript::new(Silent);
    absorb(&mut transcript, statement, &key.digest(), public[0], public[1]);
    disclosed::absorb(&mut transcript, layout, &named);
    // What follows of public and named values, and then that what is named is what it is said to be. Nothing is left open.
    let derived = disclosed::derive(layout, &inner.relations, public, named)?;
    let receiver = Receiver::new(transcript, scalars);
    let (receiver, _) = walk(&inner.plan, &inner.relations, receiver, public, &derived)?;
    let mut transcript = receiver.finish()?;
    match encode(&transcript.draw(Label::Seal)) == *seal {
        true => Ok(()),
        false => Err(Refutation::Seal.into()),
    }
}

/// Public values are as many as the slice has, each in its range.
fn check_boundary(inner: &Inner, [inputs, outputs]: [&[&[i64]]; 2]) -> Result<(), VerifyError> {
    check_values("input", &inner.relations.inputs, inputs)?;
    check_values("output", &inner.relations.outputs, outputs)?;
    Ok(())
}

/// Splits a proof into its scalars, root and opening. Nothing is hashed for bytes that are no proof.
fn decode<'p>(key: &Inner, proof: &'p [u8]) -> Result<(&'p [u8], Commitment, Opening), VerifyError> {
    let (scalars, tail) = proof
        .split_at_checked(key.plan.scalars * EF_BYTES)
        .ok_or(VerifyError::Malformed("it is too short"))?;
    // Lengths in the bytes allocate nothing that the bytes do not fill; should a decoder panic, they are refused.
    let (root, opening) = catch_unwind(|| postcard::from_bytes::<(Commitment, Opening)>(tail))
        .ok()
        .and_then(Result::ok)
        .ok_or(VerifyError::Malformed("the opening does not decode"))?;
    // The library reads a list of roots and looks at the first: the others would be room for anything.
    let rounds = opening.rounds.iter().filter_map(|r| r.commitment.as_ref());
    if rounds.chain([&root]).any(|c| c.num_roots() != 1) {
        return Err(VerifyError::Malformed("a commitment is not one root"));
    }
    // The library's decoder accepts long spellings of a number, and trailing bytes.
    let again = postcard::to_allocvec(&(&root, &opening)).ok();
    if again.as_deref() == Some(tail) {
        Ok((scalars, root, opening))
    } else {
        Err(VerifyError::Malformed("the opening is not canonical"))
    }
}
