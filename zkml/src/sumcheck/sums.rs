//! Sum-checks over products, with and without an equality factor: the rounds that every argument here is made of.
//!
//! The claim of a round is `C = Σ_x w(x) · g(x)` over the coordinates not yet bound, where `w = eq(ρ, ·)` or 1 and `g` is a sum
//! of products of two MLEs. The prover sends `t(0)` and `t(∞)` (the leading coefficient) of `t(X) = Σ_x' w'(x') · g(X, x')`,
//! a quadratic; `w'` leaves out the bound coordinate's own factor. The verifier derives `t(1)` from the claim, so a wrong
//! round polynomial is one that differs from the true `t`, and agrees with it at the challenge with probability ≤ 2/|EF|.
//! The next claim is `t(challenge)`.

use p3_field::{
    Algebra, ExtensionField, Field, PackedFieldExtension, PackedValue, PrimeCharacteristicRing,
    batch_multiplicative_inverse,
};

use super::channel::{Channel, Sender};
use super::error::{Refutation, VerifyError};
use super::field::{EF, F, eq_table};
use super::transcript::{Challenges, Label, Recorder};

/// As many extension elements as the instruction set handles at once.
pub(super) type Packed = <EF as ExtensionField<F>>::ExtensionPacking;

/// How many those are.
pub(super) const WIDTH: usize = <<F as Field>::Packing as PackedValue>::WIDTH;

pub(super) fn pack(elements: &[EF]) -> Vec<Packed> {
    elements.chunks_exact(WIDTH).map(Packed::from_ext_slice).collect()
}

pub(super) fn unpack(packed: &[Packed]) -> Vec<EF> {
    <Packed as PackedFieldExtension<F, EF>>::to_ext_iter(packed.iter().copied()).collect()
}

/// The sum over all lanes.
pub(super) fn total(packed: Packed) -> EF {
    unpack(&[packed]).into_iter().sum()
}

/// `t` at a challenge from `t(0)`, `t(1)` and the leading coefficient.
fn quadratic(at_zero: EF, at_one: EF, leading: EF, challenge: EF) -> EF {
    at_zero + challenge * (at_one - at_zero - leading + challenge * leading)
}

/// The verifier's rounds of `Σ_x g(x) = claim`: the reduced claim and the point.
pub(super) fn verify_sum(
    channel: &mut impl Channel,
    [round, point]: [Label; 2],
    mut claim: EF,
    rounds: usize,
) -> Result<(EF, Vec<EF>), VerifyError> {
    let mut chosen = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let [at_zero, leading] = channel.receive_array(round)?;
        let challenge = channel.draw(point);
        // t(0) + t(1) is the claim.
        claim = channel.compute(|| quadratic(at_zero, claim - at_zero, leading, challenge));
        chosen.push(challenge);
    }
    Ok((claim, chosen))
}

/// The verifier's rounds of `Σ_x eq(rho, x) · g(x) = claim`. The reduced claim is on `g` alone.
pub(super) fn verify_weighted_sum(
    channel: &mut impl Channel,
    [round, point]: [Label; 2],
    mut claim: EF,
    rho: &[EF],
) -> Result<(EF, Vec<EF>), VerifyError> {
    // A coordinate is 0 with probability 2^-192; then nothing is proved.
    if let Some(round) = rho.iter().position(|coordinate| coordinate.is_zero()) {
        return Err(Refutation::Coordinate { round }.into());
    }
    let mut chosen = Vec::with_capacity(rho.len());
    let inverses = channel.compute_all(rho.len(), || batch_multiplicative_inverse(rho));
    for (&coordinate, inverse) in rho.iter().zip(inverses) {
        let [at_zero, leading] = channel.receive_array(round)?;
        let challenge = channel.draw(point);
        // (1 − ρ_i)·t(0) + ρ_i·t(1) is the claim.
        claim = channel.compute(|| {
            let at_one = (claim - (EF::ONE - coordinate) * at_zero) * inverse;
            quadratic(at_zero, at_one, leading, challenge)
        });
        chosen.push(challenge);
    }
    Ok((claim, chosen))
}

/// The prover's side of a sum of products `Σ_x w(x) · Σ_k a_k(x) · b_k(x)`.
pub(super) struct Products<T> {
    pub(super) pairs: Vec<[Vec<T>; 2]>,
    /// `w` over the coordinates after the one that is bound next; `None` for 1.
    pub(super) weights: Option<Vec<T>>,
}

impl<T: Algebra<EF> + Copy> Products<T> {
    /// `t(0)` and the leading coefficient, lane by lane.
    fn round(&self) -> [T; 2] {
        let mut sums = [T::ZERO; 2];
        for [a, b] in &self.pairs {
            let half = a.len() / 2;
            let ((a0, a1), (b0, b1)) = (a.split_at(half), b.split_at(half));
            for x in 0..half {
                let low = a0[x] * b0[x];
                let high = (a1[x] - a0[x]) * (b1[x] - b0[x]);
                match &self.weights {
                    Some(w) => {
                        sums[0] += w[x] * low;
                        sums[1] += w[x] * high;
                    }
                    None => {
                        sums[0] += low;
                        sums[1] += high;
                    }
                }
            }
        }
        sums
    }

    fn bind(&mut self, challenge: EF) {
        for side in self.pairs.iter_mut().flatten() {
            bind(side, challenge);
        }
        if let Some(weights) = &mut self.weights {
            drop_coordinate(weights);
        }
    }

    /// Number of elements of each factor.
    fn len(&self) -> usize {
        self.pairs.first().map_or(1, |p| p[0].len())
    }
}

/// Binds the first coordinate.
pub(super) fn bind<T: Algebra<EF> + Copy>(values: &mut Vec<T>, challenge: EF) {
    let half = values.len() / 2;
    let (low, high) = values.split_at_mut(half);
    for (l, h) in low.iter_mut().zip(high) {
        *l += (*h - *l) * challenge;
    }
    values.truncate(half);
}

/// Equality weights without their first coordinate: `eq(ρ, 0) + eq(ρ, 1) = 1` for it.
pub(super) fn drop_coordinate<T: Algebra<EF> + Copy>(weights: &mut Vec<T>) {
    let half = weights.len() / 2;
    if half > 0 {
        let (low, high) = weights.split_at_mut(half);
        for (l, h) in low.iter_mut().zip(high) {
            *l += *h;
        }
        weights.truncate(half);
    }
}

/// The prover's rounds; with `rho`, weighted by `eq(rho, ·)`. The point.
pub(super) fn prove_sum<R: Recorder>(
    sender: &mut Sender<R>,
    [round, point]: [Label; 2],
    pairs: Vec<[Vec<EF>; 2]>,
    rho: Option<&[EF]>,
) -> Vec<EF> {
    let weights = rho.map(|rho| eq_table(rho.get(1..).unwrap_or_default()));
    let mut scalar = Products { pairs, weights };
    let mut chosen = Vec::new();
    let mut step = |sender: &mut Sender<R>, sums: [EF; 2]| {
        sender.send(round, &sums);
        let challenge = sender.draw(point);
        chosen.push(challenge);
        challenge
    };
    if scalar.len() >= 4 * WIDTH {
        let mut packed = Products {
            pairs: scalar.pairs.iter().map(|p| [pack(&p[0]), pack(&p[1])]).collect(),
            weights: scalar.weights.as_deref().map(pack),
        };
        // The weights have half the length of the factors, so factors of two elements are the last with whole weights.
        while packed.len() > 2 {
            let sums = packed.round().map(total);
            let challenge = step(sender, sums);
            packed.bind(challenge);
        }
        scalar = Products {
            pairs: packed
                .pairs
                .iter()
                .map(|p| [unpack(&p[0]), unpack(&p[1])])
                .collect(),
            weights: packed.weights.as_deref().map(unpack),
        };
    }
    while scalar.len() > 1 {
        let challenge = step(sender, scalar.round());
        scalar.bind(challenge);
    }
    chosen
}
