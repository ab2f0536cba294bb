//! Public values: a verifier evaluates each, so a slice has no more than that takes it milliseconds.

use super::*;
use crate::halo2::forms::MAX_PUBLIC;
use crate::halo2::instance::values_per_element;
use crate::halo2::plan::LayoutError;

#[test]
fn more_public_values_than_a_verifier_should_evaluate_are_refused_at_every_size() {
    for range in [IntRange::unsigned(1), IntRange::signed(16), IntRange::signed(32)] {
        let refusal = |elements: usize| {
            let tensor = SliceTensor {
                id: TensorId(0),
                len: elements * values_per_element(range),
                range,
            };
            let claimed = Relation::Range {
                tensor: TensorId(0),
                range,
            };
            let relations = SliceRelations {
                inputs: vec![tensor],
                outputs: Vec::new(),
                relations: vec![claimed],
            };
            [
                Layout::new(&relations, PARAMETERS).err(),
                choose_parameters(&relations).err(),
            ]
        };
        let beyond = Some(LayoutError::Public {
            elements: MAX_PUBLIC + 1,
            limit: MAX_PUBLIC,
        });
        assert_eq!(refusal(MAX_PUBLIC + 1), [beyond.clone(), beyond]);
        // At the limit it is only a matter of rows.
        for refused in refusal(MAX_PUBLIC) {
            assert!(
                !matches!(refused, Some(LayoutError::Public { .. })),
                "{refused:?}"
            );
        }
    }
}
