//! Proofs that were changed after they were made, or are shown for something else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use p3_field::PrimeCharacteristicRing;
use rand::Rng;
use zkinfer_crds::Digest;

use super::slices::*;
use super::{Event, Lie};
use crate::graph::{Activation, IntRange};
use crate::relations::{InstanceError, Relation, SliceRelations};
use crate::sumcheck::commitment::{Commitment, Opening};
use crate::sumcheck::field::{EF, EF_BYTES, F};
use crate::sumcheck::prover::prove_witness;
use crate::sumcheck::witness::Witness;
use crate::sumcheck::*;

pub(super) struct Made {
    pub(super) key: Key,
    pub(super) inputs: Vec<Vec<i64>>,
    pub(super) made: Proved,
    /// What was said.
    events: Vec<Event>,
}

impl Made {
    pub(super) fn new(slice: &SliceRelations, seed: u64) -> Self {
        let key = Key::new(slice, SliceParameters { limb_bits: 8 }).unwrap();
        let inputs = inputs(slice, seed);
        let views: Vec<&[i64]> = inputs.iter().map(Vec::as_slice).collect();
        let made = prove(&key, &statement(), &views).unwrap();
        // Whoever keeps the transcript makes the same proof.
        let witness = Witness::new(&key.inner.plan, slice, &views).unwrap();
        let digest = key.digest();
        let kept = prove_witness(&key.inner, &digest, &statement(), &views, witness, Lie::default());
        let (kept, Lie { events, .. }) = kept.unwrap();
        assert_eq!(made.proof, kept.proof);
        Self {
            key,
            inputs,
            made,
            events,
        }
    }

    pub(super) fn verify_as(&self, key: &Key, statement: &Digest, proof: &[u8]) -> Result<(), VerifyError> {
        let inputs: Vec<&[i64]> = self.inputs.iter().map(Vec::as_slice).collect();
        let outputs: Vec<&[i64]> = self.made.outputs.iter().map(Vec::as_slice).collect();
        verify(key, statement, &inputs, &outputs, proof)
    }

    pub(super) fn verify(&self, proof: &[u8]) -> Result<(), VerifyError> {
        self.verify_as(&self.key, &statement(), proof)
    }

    /// Where the scalars end and root and opening begin.
    pub(super) fn tail(&self) -> usize {
        self.key.inner.plan.scalars * EF_BYTES
    }
}

#[test]
fn rejects_a_proof_for_another_statement() {
    let made = Made::new(&small(), 3);
    assert_eq!(made.verify(&made.made.proof), Ok(()));
    assert!(
        made.verify_as(&made.key, &Digest::of(b"another"), &made.made.proof)
            .is_err()
    );
}

#[test]
fn rejects_a_proof_for_another_slice() {
    let slice = small();
    let made = Made::new(&slice, 3);
    let mut changed = Vec::new();
    for i in 0..slice.relations.len() {
        let mut other = slice.clone();
        match &mut other.relations[i] {
            // A weight that meets a value 0, or a window's order, changes no output: the key alone tells.
            Relation::Requantised {
                map: crate::graph::LinearMap::Affine { bias, .. },
                ..
            } => bias[0] += 1,
            Relation::Maximum { windows, .. } => *windows = change_first(windows, |w| w.swap(0, 1)),
            Relation::Wired { source: Some(s), .. } => s[0] = 1,
            _ => continue,
        }
        changed.push(other);
    }
    assert_eq!(changed.len(), 3);
    for other in &changed {
        let key = Key::new(other, SliceParameters { limb_bits: 8 }).unwrap();
        assert_ne!(key.digest(), made.key.digest());
        assert!(made.verify_as(&key, &statement(), &made.made.proof).is_err());
    }
    let wider = Key::new(&slice, SliceParameters { limb_bits: 9 }).unwrap();
    assert_ne!(wider.digest(), made.key.digest());
    assert!(made.verify_as(&wider, &statement(), &made.made.proof).is_err());
}

#[test]
fn rejects_every_changed_public_value() {
    let mut made = Made::new(&small(), 3);
    let proof = made.made.proof.clone();
    for i in 0..made.inputs[0].len() {
        let old = made.inputs[0][i];
        made.inputs[0][i] = if old == 31 { 30 } else { old + 1 };
        assert!(made.verify(&proof).is_err(), "input {i}");
        made.inputs[0][i] = old;
    }
    for t in 0..made.made.outputs.len() {
        for i in 0..made.made.outputs[t].len() {
            made.made.outputs[t][i] ^= 1;
            assert!(made.verify(&proof).is_err(), "output {t} at {i}");
            made.made.outputs[t][i] ^= 1;
        }
    }
    assert_eq!(made.verify(&proof), Ok(()));
}

#[test]
fn rejects_values_of_the_wrong_length_or_range() {
    let mut made = Made::new(&small(), 3);
    let proof = made.made.proof.clone();
    made.inputs[0].push(0);
    assert!(matches!(
        made.verify(&proof),
        Err(VerifyError::Instance(InstanceError::Length { .. }))
    ));
    made.inputs[0].pop();
    made.inputs[0][3] = 32;
    assert!(matches!(
        made.verify(&proof),
        Err(VerifyError::Instance(InstanceError::Range { .. }))
    ));
    made.inputs.push(Vec::new());
    assert!(matches!(
        made.verify(&proof),
        Err(VerifyError::Instance(InstanceError::Count { .. }))
    ));
}

#[test]
fn rejects_values_swapped_between_two_instances() {
    let (mut a, mut b) = (Made::new(&small(), 3), Made::new(&small(), 14));
    assert_ne!(a.made.outputs, b.made.outputs);
    std::mem::swap(&mut a.made.outputs[0], &mut b.made.outputs[0]);
    let proofs = [a.made.proof.clone(), b.made.proof.clone()];
    for proof in &proofs {
        assert!(a.verify(proof).is_err() && b.verify(proof).is_err());
    }
}

#[test]
fn rejects_the_commitment_or_the_scalars_of_another_proof() {
    let (a, b) = (Made::new(&small(), 3), Made::new(&small(), 14));
    let tail = a.tail();
    let mixed = [&a.made.proof[..tail], &b.made.proof[tail..]].concat();
    assert!(a.verify(&mixed).is_err() && b.verify(&mixed).is_err());
    // The root alone: one byte for their number, then the root itself.
    let mut rooted = a.made.proof.clone();
    assert_eq!(rooted[tail], 1);
    rooted[tail + 1..tail + 33].copy_from_slice(&b.made.proof[tail + 1..tail + 33]);
    assert!(a.verify(&rooted).is_err());
}

/// Slices that together say every kind of message: the last one draws a point of its own.
fn slices() -> [(&'static str, SliceRelations); 5] {
    let mut b = Builder::new(3);
    let x = b.input(12, IntRange::signed(8));
    let map = b.affine(2, [1, 3, 4]);
    let y = b.linear(&[x, x], map, 0, Activation::Identity);
    b.output(y);
    [
        ("convolutional", small()),
        ("attention", attention_with(false)),
        ("sorting", sorting()),
        ("tables", tables()),
        ("bare", b.slice),
    ]
}

/// Every root, round polynomial, layer, claim, share and factor, one at a time.
#[test]
fn rejects_a_change_of_any_scalar() {
    for (_, slice) in slices() {
        reject_a_change_of_any_scalar(&Made::new(&slice, 3));
    }
}

fn reject_a_change_of_any_scalar(made: &Made) {
    for scalar in 0..made.key.inner.plan.scalars {
        let mut proof = made.made.proof.clone();
        let at = scalar * EF_BYTES + 8 * (scalar % 3);
        // The low bit, so that the coefficient stays canonical.
        proof[at] ^= 1;
        assert!(made.verify(&proof).is_err(), "scalar {scalar}");
    }
}

#[test]
fn rejects_two_messages_in_each_others_place() {
    let mut rng = rng(8);
    let made = slices().map(|(_, slice)| Made::new(&slice, 3));
    for i in 0..400 {
        let made = &made[i % made.len()];
        let mut proof = made.made.proof.clone();
        let [a, b] = [0; 2].map(|_| rng.gen_range(0..made.key.inner.plan.scalars) * EF_BYTES);
        let (x, y) = (proof[a..a + EF_BYTES].to_vec(), proof[b..b + EF_BYTES].to_vec());
        proof[a..a + EF_BYTES].copy_from_slice(&y);
        proof[b..b + EF_BYTES].copy_from_slice(&x);
        assert!(x == y || made.verify(&proof).is_err());
    }
}

#[test]
fn rejects_a_second_spelling_of_a_scalar() {
    let made = Made::new(&small(), 3);
    let p = 0xffff_ffff_0000_0001u64;
    let mut proof = made.made.proof.clone();
    proof[..8].copy_from_slice(&p.to_le_bytes());
    assert_eq!(
        made.verify(&proof),
        Err(VerifyError::Malformed("a field element is not canonical"))
    );
}

/// The opening's own elements, too: an answer as 8 bytes that are not below the modulus.
#[test]
fn rejects_a_second_spelling_inside_the_opening() {
    let made = Made::new(&small(), 3);
    let p = 0xffff_ffff_0000_0001u64;
    let mut refused = 0;
    for at in made.tail() + 33..made.made.proof.len() - 8 {
        let mut proof = made.made.proof.clone();
        let value = u64::from_le_bytes(proof[at..at + 8].try_into().unwrap());
        let Some(second) = value.checked_add(p) else {
            continue;
        };
        proof[at..at + 8].copy_from_slice(&second.to_le_bytes());
        assert!(made.verify(&proof).is_err(), "byte {at}");
        refused += 1;
    }
    assert!(refused > 0);
}

#[test]
fn rejects_long_spellings_and_trailing_bytes() {
    let made = Made::new(&small(), 3);
    let tail = made.tail();
    // The number of roots, 1, as a varint of two bytes.
    let mut long = made.made.proof.clone();
    long.splice(tail..=tail, [0x81, 0x00]);
    assert_eq!(
        made.verify(&long),
        Err(VerifyError::Malformed("the opening is not canonical"))
    );
    for extra in [1, 1000] {
        let mut proof = made.made.proof.clone();
        proof.resize(proof.len() + extra, 0);
        assert!(matches!(made.verify(&proof), Err(VerifyError::Malformed(_))));
    }
    for len in [0, 1, tail - 1, tail, made.made.proof.len() - 1] {
        assert!(matches!(
            made.verify(&made.made.proof[..len]),
            Err(VerifyError::Malformed(_))
        ));
    }
    assert_eq!(
        made.verify(&vec![0; MAX_PROOF_BYTES + 1]),
        Err(VerifyError::Malformed("it is too long"))
    );
}

/// A proof of work that nobody asked for has one spelling, one that was asked for is checked.
#[test]
fn rejects_another_witness_of_any_proof_of_work() {
    let made = Made::new(&digits(), 3);
    let (scalars, tail) = made.made.proof.split_at(made.tail());
    let (root, opening): (Commitment, Opening) = postcard::from_bytes(tail).unwrap();
    let with = |change: &dyn Fn(&mut Opening)| {
        let mut opening = opening.clone();
        change(&mut opening);
        let tail = postcard::to_allocvec(&(&root, opening)).unwrap();
        made.verify(&[scalars, &tail].concat())
    };
    assert_eq!(with(&|_| ()), Ok(()));
    assert!(!opening.rounds.is_empty());
    for round in 0..opening.rounds.len() {
        assert!(with(&|o| o.rounds[round].pow_witness += F::ONE).is_err());
        assert!(with(&|o| o.rounds[round].sumcheck.pow_witnesses.push(F::ZERO)).is_err());
    }
    assert!(with(&|o| o.final_pow_witness += F::ONE).is_err());
    assert!(with(&|o| o.initial_sumcheck.pow_witnesses.push(F::ZERO)).is_err());
    // Lists that are longer or shorter than the configuration says.
    assert!(with(&|o| o.initial_ood_answers.clear()).is_err());
    assert!(with(&|o| o.rounds.clear()).is_err());
    assert!(with(&|o| o.rounds.push(o.rounds[0].clone())).is_err());
    assert!(with(&|o| o.final_poly = None).is_err());
    assert!(with(&|o| o.rounds[0].commitment = None).is_err());
    assert!(with(&|o| o.rounds[0].ood_answers.push(EF::ZERO)).is_err());
    assert!(with(&|o| o.final_openings = o.rounds[0].openings.clone()).is_err());
}

/// The library takes a list of roots and reads the first. A prover who absorbs the whole list could carry anything in it.
#[test]
fn rejects_a_commitment_of_more_than_one_root() {
    let made = Made::new(&digits(), 3);
    let (scalars, tail) = made.made.proof.split_at(made.tail());
    let (root, opening): (Commitment, Opening) = postcard::from_bytes(tail).unwrap();
    let junk = |root: &Commitment, roots: usize| {
        let mut all = root.roots().to_vec();
        all.resize(roots, [7; 32]);
        Commitment::from(all)
    };
    let refused = Err(VerifyError::Malformed("a commitment is not one root"));
    for roots in [2, 4, 1 << 13] {
        let tail = postcard::to_allocvec(&(junk(&root, roots), &opening)).unwrap();
        assert_eq!(made.verify(&[scalars, &tail].concat()), refused);
        for round in 0..opening.rounds.len() {
            let mut opening = opening.clone();
            opening.rounds[round].commitment =
                opening.rounds[round].commitment.as_ref().map(|c| junk(c, roots));
            let tail = postcard::to_allocvec(&(&root, opening)).unwrap();
            assert_eq!(made.verify(&[scalars, &tail].concat()), refused);
        }
    }
    assert_eq!(made.verify(&made.made.proof), Ok(()));
}

/// Bits flipped, bytes changed, inserted, removed, and runs copied from another place.
#[test]
fn accepts_none_of_a_hundred_thousand_mutated_proofs() {
    let count = if cfg!(debug_assertions) { 1_000 } else { 100_000 };
    let made = slices().map(|(_, slice)| Made::new(&slice, 3));
    let mut rng = rng(count as u64);
    let before = std::panic::take_hook();
    // A library's panic would be a refusal for whoever verifies, and is a defect here.
    let panics = Arc::new(AtomicUsize::new(0));
    let (counted, thread) = (panics.clone(), std::thread::current().id());
    std::panic::set_hook(Box::new(move |info| {
        counted.fetch_add(
            usize::from(std::thread::current().id() == thread),
            Ordering::Relaxed,
        );
        before(info);
    }));
    for i in 0..count {
        let made = &made[i % made.len()];
        let mut proof = made.made.proof.clone();
        let at = rng.gen_range(0..proof.len());
        // Half of all changes go to the opening, whose shape is the library's.
        let at = if rng.r#gen() {
            rng.gen_range(made.tail()..proof.len())
        } else {
            at
        };
        match rng.gen_range(0..5) {
            0 => proof[at] ^= 1 << rng.gen_range(0..8),
            1 => proof[at] = rng.r#gen(),
            2 => proof.insert(at, rng.r#gen()),
            3 => {
                proof.remove(at);
            }
            _ => {
                let len = rng.gen_range(1..64).min(proof.len() - at);
                let from = rng.gen_range(0..proof.len() - len);
                proof.copy_within(from..from + len, at);
            }
        }
        assert!(proof == made.made.proof || made.verify(&proof).is_err());
    }
    assert_eq!(panics.load(Ordering::Relaxed), 0);
}

#[test]
fn refuses_rubbish_without_a_panic() {
    let made = Made::new(&small(), 3);
    let mut rng = rng(1);
    for len in [
        0,
        1,
        23,
        24,
        1000,
        made.tail(),
        made.tail() + 1,
        made.made.proof.len(),
        1 << 17,
    ] {
        for _ in 0..20 {
            let bytes: Vec<u8> = (0..len).map(|_| rng.r#gen()).collect();
            assert!(made.verify(&bytes).is_err());
            assert!(made.verify(&vec![0; len]).is_err());
            // An honest opening behind rubbish, and rubbish behind honest scalars.
            let tail = made.tail().min(len);
            assert!(
                made.verify(&[&bytes[..tail], &made.made.proof[made.tail()..]].concat())
                    .is_err()
            );
            assert!(
                made.verify(&[&made.made.proof[..made.tail()], &bytes[tail..]].concat())
                    .is_err()
            );
        }
    }
}

/// What does not decode costs whoever is sent it nearly nothing.
#[test]
fn refuses_rubbish_within_a_millisecond() {
    let made = Made::new(&digits(), 3);
    let mut rng = rng(2);
    let len = made.made.proof.len();
    let rubbish: Vec<u8> = (0..len).map(|_| rng.r#gen()).collect();
    let tail = [&made.made.proof[..made.tail()], &rubbish[made.tail()..]].concat();
    for bytes in [&rubbish, &tail, &vec![0; len], &vec![0xff; MAX_PROOF_BYTES]] {
        // The least of several: other work of this machine is not the verifier's.
        let least = (0..20).map(|_| {
            let began = Instant::now();
            assert!(made.verify(bytes).is_err());
            began.elapsed()
        });
        let least = least.min().unwrap();
        assert!(cfg!(debug_assertions) || least.as_micros() < 1000, "{least:?}");
    }
}

/// A stored file, written again first with ZKINFER_UPDATE=1.
fn stored(name: &str, now: &[u8]) -> Vec<u8> {
    let path = format!("{}/src/sumcheck/testdata/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("ZKINFER_UPDATE").is_some() {
        std::fs::write(&path, now).unwrap();
    }
    std::fs::read(path).unwrap()
}

#[test]
fn says_everything_public_before_the_commitment_and_that_before_any_challenge() {
    let made = Made::new(&small(), 3);
    let events = &made.events;
    use transcript::Label::*;
    let expected = [
        Event::Absorb(Statement, 8),
        Event::Absorb(Key, 8),
        Event::Absorb(Public, 8),
        Event::Absorb(Public, 8),
        Event::Absorb(Public, 8),
        Event::Absorb(Commitment, 0),
        Event::Draw(Alpha),
        Event::Draw(Beta),
        Event::Absorb(Root, 1),
    ];
    assert_eq!(events[..expected.len()], expected);
    assert_eq!(events.last(), Some(&Event::Absorb(Opening, 0)));
    let absorbed: usize = events[8..]
        .iter()
        .map(|e| if let Event::Absorb(_, n) = e { *n } else { 0 })
        .sum();
    assert_eq!(
        absorbed, made.key.inner.plan.scalars,
        "every scalar is absorbed once"
    );
}

/// What is said, in which order. A change of it is another proof system, and needs another version.
#[test]
fn the_transcripts_order_is_the_stored_one() {
    let mut lists = String::new();
    for (name, slice) in slices() {
        lists += &format!("{name}\n");
        let mut events = Made::new(&slice, 3).events.into_iter().peekable();
        while let Some(event) = events.next() {
            let mut times = 1;
            while events.next_if_eq(&event).is_some() {
                times += 1;
            }
            lists += &format!("{times} {event:?}\n");
        }
        lists.push('\n');
    }
    let stored = stored("events.txt", lists.as_bytes());
    assert_eq!(String::from_utf8(stored).unwrap(), lists);
}

#[test]
fn stored_proofs_still_verify() {
    for (name, slice) in slices() {
        let made = Made::new(&slice, 3);
        let vk = stored(&format!("{name}.vk"), made.key.vk_bytes());
        assert_eq!(vk, made.key.vk_bytes());
        let proof = stored(&format!("{name}.proof"), &made.made.proof);
        assert_eq!(made.verify(&proof), Ok(()));
    }
}
