//! Lies are refused by the relation that they break, and the other proof systems agree with the checkers.

use super::super::*;
use super::*;

const STATEMENT: [u8; 32] = [7; 32];

/// A slice of the residual network, with values of its boundary.
struct Slice {
    relations: SliceRelations,
    inputs: Vec<Vec<i64>>,
    outputs: Vec<Vec<i64>>,
}

impl Slice {
    fn of(relations: SliceRelations) -> Self {
        let model = model(&Clear);
        let tensors = model.plan.graph.evaluate(&[model.input(3)]).unwrap();
        let values = |of: &[zkml::relations::SliceTensor]| -> Vec<Vec<i64>> {
            of.iter()
                .map(|t| tensors[t.id.0 as usize].values.clone())
                .collect()
        };
        Self {
            inputs: values(&relations.inputs),
            outputs: values(&relations.outputs),
            relations,
        }
    }
}

fn views(values: &[Vec<i64>]) -> Vec<&[i64]> {
    values.iter().map(Vec::as_slice).collect()
}

/// All nodes of the network in one slice: the most inner tensors.
fn whole() -> Slice {
    let (graph, options) = (&model(&Clear).plan.graph, SlicingOptions::at_least(1));
    let mut planned = crate::slice::plan(graph, &Clear, options).unwrap();
    assert_eq!(planned.len(), 1);
    Slice::of(planned.remove(0).relations)
}

fn encoded(inner: &[Integers]) -> Vec<u8> {
    [STATEMENT.as_slice(), &canonical::to_bytes(&inner)].concat()
}

#[test]
fn a_changed_value_of_the_witness_is_refused_by_the_relation_that_it_breaks() {
    let slice = whole();
    let key = Key::new(slice.relations.clone()).unwrap();
    let (inputs, outputs) = (views(&slice.inputs), views(&slice.outputs));
    let statement = Digest::new(STATEMENT);
    let proved = Prover::prove(&key, &statement, &inputs, &mut OsRng).unwrap();
    assert_eq!(proved.outputs, slice.outputs);
    let refusal = |proof: &[u8]| {
        let verdict = key.verify(&statement, &inputs, &outputs, proof);
        verdict.map_err(|e| e.to_string())
    };
    assert_eq!(refusal(&proved.proof), Ok(()));
    let inner: Vec<Integers> = canonical::from_bytes(&proved.proof[32..], 1 << 20).unwrap();
    assert!(inner.len() >= 4);
    for (at, tensor) in key.inner().enumerate() {
        for place in [0, tensor.len - 1] {
            let mut lie = inner.clone();
            let value = &mut lie[at].0[place];
            *value = if *value < tensor.range.hi() {
                *value + 1
            } else {
                *value - 1
            };
            let why = refusal(&encoded(&lie)).unwrap_err();
            let relation = name_of(&key.relations, tensor.id);
            let named = format!("{relation} of tensor {}: ", tensor.id.0);
            assert!(why.contains(&named), "{named}: {why}");
        }
        // What no range holds, and a tensor of another length.
        let mut lie = inner.clone();
        lie[at].0[0] = i64::MAX;
        assert!(refusal(&encoded(&lie)).is_err());
        let mut lie = inner.clone();
        lie[at].0.push(0);
        assert!(refusal(&encoded(&lie)).is_err());
    }
}

#[test]
fn rejects_another_statement_and_a_proof_that_is_no_witness() {
    let slice = whole();
    let key = Key::new(slice.relations.clone()).unwrap();
    let (inputs, outputs) = (views(&slice.inputs), views(&slice.outputs));
    let statement = Digest::new(STATEMENT);
    let proof = Prover::prove(&key, &statement, &inputs, &mut OsRng)
        .unwrap()
        .proof;
    let inner: Vec<Integers> = canonical::from_bytes(&proof[32..], 1 << 20).unwrap();
    let holds = |statement: &Digest, proof: &[u8]| key.verify(statement, &inputs, &outputs, proof).is_ok();
    assert!(holds(&statement, &proof));
    assert!(!holds(&Digest::of(b"another"), &proof));
    for bad in [
        Vec::new(),
        proof[..40].to_vec(),
        [proof.as_slice(), &[0]].concat(),
        encoded(&inner[1..]),
        encoded(&[inner.as_slice(), &inner[..1]].concat()),
    ] {
        assert!(!holds(&statement, &bad), "{} bytes", bad.len());
    }
}

/// The oracle: where the checkers accept a slice's boundary, every proof system proves it, with the same outputs; where they
/// do not, every verifier refuses.
#[test]
fn every_proof_system_accepts_what_the_plain_checkers_accept() {
    let planned = &model(&Clear).plan.slices;
    for slice in planned.iter().map(|s| Slice::of(s.relations.clone())) {
        let (inputs, statement) = (views(&slice.inputs), Digest::new(STATEMENT));
        let wrong = slice.outputs.iter().enumerate().flat_map(|(tensor, values)| {
            let ends = [0, values.len() - 1];
            ends.map(|place| (tensor, place))
        });
        let wrong: Vec<(usize, usize)> = wrong.collect();
        for system in tested() {
            let (parameters, _) = system.choose(&slice.relations).unwrap();
            let setup = Setup::new([parameters], Some(&SrsSource::Development)).unwrap();
            let keys = system.keygen(&slice.relations, parameters, &setup).unwrap();
            let mut files = ProvingFiles::default();
            if let Some(made) = &keys.files {
                files.insert(FileRole::ProvingKey, &made.pk);
                files.insert(FileRole::Setup, setup.points(made.k).unwrap().write());
            }
            let prover = system
                .prover(slice.relations.clone(), parameters, &files)
                .unwrap();
            let proved = prover.prove(&statement, &inputs, &mut OsRng).unwrap();
            assert_eq!(proved.outputs, slice.outputs, "{}", system.id());
            let verifier = prover.verifier().unwrap();
            let holds = |outputs: &[Vec<i64>]| {
                let (boundary, outputs) = (slice.relations.boundary(), views(outputs));
                let verdict = verifier.verify(boundary, &statement, &inputs, &outputs, &proved.proof);
                verdict.is_ok()
            };
            assert!(holds(&slice.outputs), "{}", system.id());
            for &(tensor, place) in &wrong {
                let mut outputs = slice.outputs.clone();
                outputs[tensor][place] ^= 1;
                assert!(!holds(&outputs), "{}: {tensor} at {place}", system.id());
            }
        }
    }
}
