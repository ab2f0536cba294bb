//! Products that have no key, and what those that have one cost a verifier.

use super::slices::*;
use crate::graph::{Activation, IntRange, Product, Requantise};
use crate::relations::{Relation, SliceRelations};
use crate::sumcheck::disclosed::NO_LIMBS;
use crate::sumcheck::work::evaluation;
use crate::sumcheck::*;

/// The product of two inputs of these lengths and ranges, whatever its accumulators are.
fn unbounded(product: Product, lens: [usize; 2], range: IntRange) -> SliceRelations {
    let mut b = Builder::new(1);
    let factors = lens.map(|len| b.input(len, range));
    let requantise = Requantise {
        shift: 30,
        bits: 32,
        activation: Activation::Identity,
    };
    b.slice.relations.push(Relation::Product {
        factors: factors.map(Builder::id),
        ranges: [range; 2],
        product,
        requantise,
        output: Builder::id(2),
    });
    b.tensors.push((
        product.output_len(lens[0], lens[1]).unwrap(),
        requantise.output_range(),
    ));
    b.output(2);
    b.slice
}

/// Modulo p they would be another integer; 2^32 · 2^32 · inner does not even fit into 64 bits.
#[test]
fn refuses_products_whose_accumulators_could_wrap() {
    let matrix = |inner| Product::Matrix {
        rows: 1,
        batch: 1,
        inner,
        columns: 1,
    };
    for limb_bits in [NO_LIMBS, 8] {
        let made =
            |product, lens, range| Key::new(&unbounded(product, lens, range), SliceParameters { limb_bits });
        for range in [IntRange::signed(32), IntRange::unsigned(32)] {
            for (product, len) in [(Product::Elements, 3), (matrix(1 << 12), 1 << 12)] {
                let refused = made(product, [len; 2], range).map(|_| ());
                assert_eq!(
                    refused,
                    Err(LayoutError::Wide { output: 2, bits: 63 }),
                    "{product:?}"
                );
            }
        }
        // One term too many.
        let range = IntRange::signed(30);
        assert!(made(matrix(8), [8; 2], range).is_ok());
        let refused = made(matrix(16), [16; 2], range).map(|_| ());
        assert_eq!(refused, Err(LayoutError::Wide { output: 2, bits: 63 }));
    }
}

/// A claim on a public tensor costs its length, each time: nothing of it is shared between products.
#[test]
fn each_product_of_a_public_tensor_is_charged_for_all_its_claims() {
    let len = 1 << 14;
    let slice = |products: usize, elements: bool| {
        let mut b = Builder::new(1);
        let x = b.input(len, IntRange::signed(4));
        let y = b.input(len, IntRange::signed(4));
        let matrix = Product::Matrix {
            rows: 1 << 7,
            batch: 1,
            inner: 1 << 7,
            columns: 1 << 7,
        };
        let product = if elements { Product::Elements } else { matrix };
        for _ in 0..products {
            let z = b.product([x, y], product, 0, Activation::Identity);
            b.output(z);
        }
        b.slice
    };
    for elements in [true, false] {
        for limb_bits in [NO_LIMBS, 8] {
            let steps = |products| {
                cost(&slice(products, elements), SliceParameters { limb_bits }).map(|c| c.verifier_steps)
            };
            let (Ok(one), Ok(two)) = (steps(1), steps(2)) else {
                // Too many accumulators for a proof to name.
                assert!(limb_bits == NO_LIMBS && !elements);
                continue;
            };
            // Of both factors; where a verifier follows the products itself, it reads them.
            let least = if limb_bits == NO_LIMBS {
                3 * len as u64
            } else {
                2 * evaluation(len)
            };
            assert!(
                two - one >= least,
                "{elements}, limbs of {limb_bits}: {one}, {two}"
            );
            if limb_bits != NO_LIMBS {
                let refused = steps(400);
                let what = "steps of a verifier";
                let large = |e: &LayoutError| matches!(e, LayoutError::Large { what: of, .. } if *of == what);
                assert!(refused.as_ref().is_err_and(large), "{refused:?}");
            }
        }
    }
}
