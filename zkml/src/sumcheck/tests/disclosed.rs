//! Slices whose accumulators stand in the proof: what a prover could say there that is not so, and who refuses it.

use proptest::prelude::*;

use super::lying::Case;
use super::slices::*;
use crate::graph::TensorId;
use crate::relations::{Relation, SliceRelations};
use crate::sumcheck::columns::{Columns, Values};
use crate::sumcheck::disclosed::{MAX_BYTES, NO_LIMBS, bytes, decode, encode};
use crate::sumcheck::field::EF_BYTES;
use crate::sumcheck::layout::{Layout, Named};
use crate::sumcheck::relation::Argue;
use crate::sumcheck::transcript::Label;
use crate::sumcheck::witness::Witness;
use crate::sumcheck::*;

fn slices() -> Vec<SliceRelations> {
    vec![
        small(),
        attention_with(false),
        attention_with(true),
        heads(),
        sorting(),
        tables(),
        blind(2, crate::graph::Activation::Relu),
    ]
}

fn views(values: &[Vec<i64>]) -> Vec<&[i64]> {
    values.iter().map(Vec::as_slice).collect()
}

/// Some named numbers are others, and everything after them follows from that.
fn lie(case: &mut Case, slice: &SliceRelations, tensor: TensorId, others: &[(usize, i64)]) {
    let key = case.key.clone();
    let plan = &key.inner.plan;
    let mut columns = Columns::new(&plan.layout);
    let mut values = Values::new();
    for (tensor, input) in slice.inputs.iter().zip(&case.inputs) {
        values.insert(tensor.id, input.clone());
    }
    for (step, relation) in plan.steps.iter().zip(&slice.relations) {
        let Some((output, mut made)) = step.fill(relation, &mut columns, &values).unwrap() else {
            continue;
        };
        if output == tensor {
            let mut named = case.witness.named[&output].clone();
            others.iter().for_each(|&(at, by)| named[at] += by);
            columns.name(output, &named);
            let (_, followed) = relation.follow(&values, Some(&named)).unwrap().unwrap();
            made = followed.into_iter().collect::<Option<_>>().unwrap();
        }
        values.insert(output, made);
    }
    let (groups, named) = columns.finish();
    case.witness = Witness {
        values,
        groups,
        named,
    };
}

/// Whether a lie about a remainder alone, from which the same output follows, or one about the quotient.
#[test]
fn rejects_accumulators_that_are_not_those_of_the_map_or_the_product() {
    let (mut tried, mut same) = (0, 0);
    for slice in &slices() {
        let plan = Case::new(slice, NO_LIMBS, 3).key.inner.plan.clone();
        for named in &plan.layout.named {
            let relation = slice.relations.iter().find(|r| r.output() == Some(named.tensor));
            let claim = match relation {
                Some(Relation::Requantised { .. }) => Claim::Map,
                Some(Relation::Product { .. }) => Claim::Product,
                _ => continue,
            };
            for places in [0..1, named.len - 1..named.len, 0..named.len] {
                for by in [1, 1 << (named.width / 2)] {
                    let mut case = Case::new(slice, NO_LIMBS, 3);
                    let honest = case.witness.values.clone();
                    let other = |at: usize| {
                        let number = case.witness.named[&named.tensor][at] + named.offset;
                        (at, if number + by < 1 << named.width { by } else { -by })
                    };
                    let others: Vec<_> = places.clone().map(other).collect();
                    lie(&mut case, slice, named.tensor, &others);
                    same += usize::from(case.witness.values == honest);
                    let tensor = named.tensor;
                    assert_eq!(case.refusal(), Refutation::Relation { tensor, claim });
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 20 && same > 5, "{tried} lies, of {same} the same follows");
}

#[test]
fn rejects_named_values_that_are_no_permutation_or_do_not_ascend() {
    let slice = sorting();
    let case = Case::new(&slice, NO_LIMBS, 3);
    let inputs = case.inputs.clone();
    let made = prove(&case.key, &statement(), &views(&inputs)).unwrap();
    let layout = case.layout();
    let (head, scalars) = made.proof.split_at(bytes(layout));
    let honest = decode(layout, head).unwrap();
    let verdict = |named: &Values| {
        let proof = [&encode(layout, named)[..], scalars].concat();
        verify(
            &case.key,
            &statement(),
            &views(&inputs),
            &views(&made.outputs),
            &proof,
        )
    };
    assert_eq!(verdict(&honest), Ok(()));
    let refused = |tensor| {
        let claim = Claim::Derived;
        Err(VerifyError::Refuted(Refutation::Relation { tensor, claim }))
    };
    let permuted = slice.relations.iter().filter_map(|r| match r {
        Relation::Permutation { output, .. } => Some(*output),
        _ => None,
    });
    let permuted: Vec<_> = permuted.collect();
    assert_eq!(permuted.len(), 2);
    for tensor in permuted {
        let mut other = honest.clone();
        let list = other.get_mut(&tensor).unwrap();
        list[0] = list[list.len() - 1];
        assert_eq!(verdict(&other), refused(tensor));
    }
    // In another order its differences are negative; they are a tensor's whose range is claimed.
    let mut turned = honest.clone();
    turned.values_mut().next().unwrap().reverse();
    assert!(matches!(
        verdict(&turned),
        Err(VerifyError::Refuted(Refutation::Relation {
            claim: Claim::Derived,
            ..
        }))
    ));
}

/// Said before the first challenge, and argued from there on: nothing but what the verifier derives itself is against it.
#[test]
fn rejects_an_output_that_a_prover_states_and_argues_from() {
    for slice in &slices() {
        for output in &slice.outputs {
            for at in [0, output.len - 1] {
                let mut case = Case::new(slice, NO_LIMBS, 3);
                let value = &mut case.witness.values.get_mut(&output.id).unwrap()[at];
                *value += if *value == output.range.hi() { -1 } else { 1 };
                let (tensor, claim) = (output.id, Claim::Derived);
                assert_eq!(case.refusal(), Refutation::Relation { tensor, claim }, "at {at}");
            }
        }
    }
}

#[test]
fn rejects_outputs_that_do_not_follow() {
    for slice in &slices() {
        let case = Case::new(slice, NO_LIMBS, 4);
        let made = prove(&case.key, &statement(), &views(&case.inputs)).unwrap();
        for (t, tensor) in slice.outputs.iter().enumerate() {
            let mut outputs = made.outputs.clone();
            let old = outputs[t][0];
            outputs[t][0] = if tensor.range.contains(old + 1) {
                old + 1
            } else {
                old - 1
            };
            let verdict = verify(
                &case.key,
                &statement(),
                &views(&case.inputs),
                &views(&outputs),
                &made.proof,
            );
            assert!(matches!(verdict, Err(VerifyError::Refuted(_))), "{verdict:?}");
        }
    }
}

/// Every bit, every byte more or less, and every statement.
#[test]
fn rejects_every_other_byte_string() {
    let slice = small();
    let case = Case::new(&slice, NO_LIMBS, 3);
    let made = prove(&case.key, &statement(), &views(&case.inputs)).unwrap();
    let verdict = |proof: &[u8]| {
        let outputs = views(&made.outputs);
        verify(&case.key, &statement(), &views(&case.inputs), &outputs, proof)
    };
    assert_eq!(verdict(&made.proof), Ok(()));
    assert_eq!(
        made.proof.len(),
        bytes(case.layout()) + (case.key.inner.plan.scalars + 1) * EF_BYTES
    );
    let mut proof = made.proof.clone();
    for bit in 0..8 * proof.len() {
        proof[bit / 8] ^= 1 << (bit % 8);
        assert!(verdict(&proof).is_err(), "bit {bit}");
        proof[bit / 8] ^= 1 << (bit % 8);
    }
    for at in (0..=proof.len()).step_by(7) {
        let (head, tail) = made.proof.split_at(at);
        assert!(verdict(&[head, &[0], tail].concat()).is_err());
        assert!(verdict(head).is_err() || at == proof.len());
    }
}

/// Also where nothing is named and no challenge is drawn: a slice of tables and moved values.
#[test]
fn rejects_a_proof_for_another_statement() {
    let mut b = Builder::new(1);
    let x = b.input(5, crate::graph::IntRange::signed(4));
    let y = b.table(x, |v| v * v);
    let z = b.wired(y, Some(vec![3, 1]));
    b.output(z);
    for slice in [small(), b.slice] {
        let case = Case::new(&slice, NO_LIMBS, 3);
        let made = prove(&case.key, &statement(), &views(&case.inputs)).unwrap();
        let verdict = |of: &zkinfer_crds::Digest| {
            let outputs = views(&made.outputs);
            verify(&case.key, of, &views(&case.inputs), &outputs, &made.proof)
        };
        assert_eq!(verdict(&statement()), Ok(()));
        let other = zkinfer_crds::Digest::of(b"another");
        assert!(
            matches!(verdict(&other), Err(VerifyError::Refuted(_))),
            "{:?}",
            slice.relations
        );
    }
}

#[test]
fn rejects_named_values_that_were_not_said_before_the_first_challenge() {
    for label in [Label::Statement, Label::Key, Label::Public, Label::Named] {
        let mut case = Case::new(&attention(), NO_LIMBS, 2);
        case.say_nothing_of(label);
        assert!(!case.accepted(), "{label:?}");
    }
}

#[test]
fn a_slice_with_too_many_accumulators_has_limbs() {
    let wide = |outputs: usize| {
        let mut b = Builder::new(5);
        let x = b.input(8, crate::graph::IntRange::signed(8));
        let map = b.dense(x, outputs, 1);
        let y = b.linear(&[x], map, 3, crate::graph::Activation::Relu);
        b.output(y);
        b.slice
    };
    let few = wide(100);
    assert_eq!(choose_parameters(&few).unwrap().0.limb_bits, NO_LIMBS);
    let key = Key::new(&few, SliceParameters { limb_bits: NO_LIMBS }).unwrap();
    assert!(security(&key).bits > 120.0);
    let many = wide(100_000);
    assert!(LIMB_BITS.contains(&choose_parameters(&many).unwrap().0.limb_bits));
    let refused = Key::new(&many, SliceParameters { limb_bits: NO_LIMBS }).unwrap_err();
    assert!(matches!(refused, LayoutError::Large { got, limit: MAX_BYTES, .. } if got > MAX_BYTES));
}

proptest! {
    #[test]
    fn what_is_named_has_one_spelling(
        width in 1u32..=62,
        values in proptest::collection::vec(any::<u64>(), 0..20),
        offset in -(1i64 << 61)..1 << 61,
    ) {
        let numbers: Vec<i64> = values.iter().map(|v| (v & ((1 << width) - 1)) as i64 - offset).collect();
        let named = |id| Named { tensor: TensorId(id), len: numbers.len(), width, offset };
        let layout = Layout { named: vec![named(1), named(2)], ..Layout::default() };
        let all: Values = [1, 2].map(|id| (TensorId(id), numbers.clone())).into();
        let spelled = encode(&layout, &all);
        prop_assert_eq!(spelled.len(), bytes(&layout));
        prop_assert_eq!(decode(&layout, &spelled), Ok(all));
        let behind = 8 * layout.named[0].bytes() - numbers.len() * width as usize;
        for bit in 1..=behind {
            let mut other = spelled.clone();
            let last = layout.named[0].bytes() - 1;
            other[last] |= 1 << (8 - bit);
            prop_assert!(decode(&layout, &other).is_err());
        }
    }
}
