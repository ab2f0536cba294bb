//! The argument for a sum of fractions, by itself.

use p3_field::PrimeCharacteristicRing;

use crate::sumcheck::channel::{Receiver, Sender, encode};
use crate::sumcheck::error::{Refutation, VerifyError};
use crate::sumcheck::field::{EF, dot, eq_table};
use crate::sumcheck::gkr::{Leaves, prove, verify};
use crate::sumcheck::tally::Tally;
use crate::sumcheck::transcript::{Silent, Transcript};

/// Numerators and denominators whose fractions cancel in pairs, but for `surplus`.
fn leaves(layers: usize, surplus: EF) -> [Vec<EF>; 2] {
    let element = |i: usize| EF::from_u64(i as u64 * 7919 + 3);
    let count = 1 << layers;
    let sign = |i: usize| if i.is_multiple_of(2) { EF::ONE } else { -EF::ONE };
    let mut numerators: Vec<EF> = (0..count).map(|i| sign(i) * element(i / 2)).collect();
    if layers == 0 {
        numerators[0] = EF::ZERO;
    }
    numerators[0] += surplus;
    [numerators, (0..count).map(|i| element(i / 2 + 5)).collect()]
}

fn argue(leaves: [Vec<EF>; 2], layers: usize) -> Result<(Leaves, Vec<EF>), VerifyError> {
    let mut sender = Sender::new(Transcript::new(Silent));
    let point = prove(&mut sender, leaves);
    let mut tally = Tally::default();
    verify(&mut tally, layers)?;
    assert_eq!(sender.scalars.len(), tally.scalars);
    let bytes: Vec<u8> = sender.scalars.iter().flat_map(encode).collect();
    let mut receiver = Receiver::new(Transcript::new(Silent), &bytes);
    let claim = verify(&mut receiver, layers)?;
    receiver.finish()?;
    Ok((claim, point))
}

#[test]
fn ends_in_the_values_of_the_leaves_exactly_when_the_sum_is_zero() {
    for layers in 0..9 {
        let honest = leaves(layers, EF::ZERO);
        let (claim, point) = argue(honest.clone(), layers).unwrap();
        assert_eq!(claim.point, point);
        let eq = eq_table(&point);
        assert_eq!(claim.numerator, dot(&eq, &honest[0]));
        assert_eq!(claim.denominator, dot(&eq, &honest[1]));
        // A sum that is not 0: either a layer does not add up, or the end is not the leaves'.
        let lie = leaves(layers, EF::ONE);
        if let Ok((claim, point)) = argue(lie.clone(), layers) {
            let eq = eq_table(&point);
            let ends = [dot(&eq, &lie[0]), dot(&eq, &lie[1])];
            assert_ne!([claim.numerator, claim.denominator], ends);
        }
    }
}

#[test]
fn rejects_a_denominator_of_zero() {
    let mut zero = leaves(5, EF::ZERO);
    zero[1][9] = EF::ZERO;
    let refused = VerifyError::from(Refutation::Denominator);
    assert_eq!(argue(zero, 5).err(), Some(refused));
}
