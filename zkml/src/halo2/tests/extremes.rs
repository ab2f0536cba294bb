//! Ten thousand random and extreme inputs of each relation that this system proves, of the slices that the other one is tried with:
//! the witness says what the checker says. Some are satisfied, and one of each relation is proved.

use super::*;
use crate::relations::check;
use crate::sumcheck::tests::slices;

/// The largest circuit that is tried: tables of 2^16 rows stand in the other system's.
const MAX_K: u8 = 11;
/// Inputs of each relation.
const INPUTS: usize = if cfg!(debug_assertions) { 300 } else { 10_000 };

/// The slices of a relation that have a small layout.
fn with_layout(slices: Vec<SliceRelations>) -> Vec<(SliceRelations, SliceParameters, Arc<Layout>)> {
    let placed = slices.into_iter().filter_map(|slice| {
        let parameters = choose_parameters(&slice).ok().filter(|p| p.k <= MAX_K)?;
        let layout = Arc::new(Layout::new(&slice, parameters).unwrap());
        Some((slice, parameters, layout))
    });
    placed.collect()
}

fn views(values: &[Vec<i64>]) -> Vec<&[i64]> {
    values.iter().map(Vec::as_slice).collect()
}

#[test]
fn ten_thousand_inputs_of_each_relation_have_the_checkers_outputs() {
    let mut proved = Vec::new();
    for (name, slices) in slices::of_each_relation() {
        let placed = with_layout(slices);
        if placed.is_empty() {
            continue;
        }
        proved.push((name, placed.len()));
        let each = INPUTS.div_ceil(placed.len());
        for (at, (relations, _, layout)) in placed.iter().enumerate() {
            let inputs: Vec<_> = (0..each)
                .map(|n| slices::pattern(relations, (n + each * at) as u64))
                .collect();
            let expected = slices::all_values(relations, &inputs);
            for (n, (inputs, expected)) in inputs.iter().zip(expected).enumerate() {
                assert_eq!(
                    check(relations, &expected),
                    Ok(()),
                    "{name}: {relations:?} {inputs:?}"
                );
                let views = views(inputs);
                let witness = Witness::new(layout, relations, &views).unwrap();
                let right = relations.outputs.iter().map(|t| &expected[&t.id]);
                assert!(
                    witness.outputs.iter().eq(right),
                    "{name}: {relations:?} {inputs:?}"
                );
                if at % 12 == 0 && n == at % 7 {
                    let outputs: Vec<&[i64]> = witness.outputs.iter().map(Vec::as_slice).collect();
                    let instance = instance(relations.boundary(), &statement(), &views, &outputs).unwrap();
                    let case = Case {
                        relations: relations.clone(),
                        layout: Arc::clone(layout),
                        witness,
                        instance,
                        lie: None,
                    };
                    assert!(case.accepted(), "{name}: {relations:?} {inputs:?}");
                }
            }
        }
    }
    println!("relations with slices of k up to {MAX_K}: {proved:?}");
    let names: Vec<&str> = proved.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["range", "map", "maximum", "wired", "table"]);
    assert!(proved.iter().all(|(_, slices)| *slices > 20), "{proved:?}");
}

#[test]
fn a_proof_of_extreme_inputs_of_each_relation_verifies() {
    for (name, slices) in slices::of_each_relation() {
        let placed = with_layout(slices);
        let Some((relations, parameters, _)) = placed.get(placed.len() / 2) else {
            continue;
        };
        let srs = Srs::development(u32::from(parameters.k));
        let pk = keygen(relations, *parameters, &srs).unwrap();
        let inputs = slices::pattern(relations, 6);
        let views = views(&inputs);
        let made = prove(&pk, relations, &srs, &statement(), &views, rand::rngs::OsRng).unwrap();
        let outputs: Vec<&[i64]> = made.outputs.iter().map(Vec::as_slice).collect();
        let verdict = verify(
            &pk.verifying_key(),
            &srs.verifier(),
            relations.boundary(),
            &statement(),
            &views,
            &outputs,
            &made.proof,
        );
        assert_eq!(verdict, Ok(()), "{name}");
    }
}
