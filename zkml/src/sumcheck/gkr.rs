//! A sum of fractions by GKR: `Σ_i n_i / d_i = 0` over a cube, reduced to one claim on the MLEs of `n` and one on `d`.
//!
//! Fractions are added pairwise, the lower half of a layer to the upper: `n = n0·d1 + n1·d0`, `d = d0·d1`. From the root
//! down, a claim on a layer at a point becomes a claim on the layer below: a sum-check of
//! `Σ_x eq(r, x) · ((n0 + λ·d0)(x) · d1(x) + n1(x) · d0(x))`, then the four values at its end, then a challenge for the half.
//!
//! Why it suffices: the root's numerator is 0 because the verifier puts 0 there, and its denominator, the product of all
//! denominators, is checked not to be 0, so every fraction is defined and their sum is 0. Soundness error per layer of k
//! rounds: at most (2k + 2)/|EF|.

use p3_field::{Algebra, PrimeCharacteristicRing};

use super::channel::{Channel, Sender};
use super::error::{Refutation, VerifyError};
use super::field::{EF, eq_table};
use super::sums::{Packed, WIDTH, bind, drop_coordinate, pack, total, unpack, verify_weighted_sum};
use super::transcript::{Challenges, Label, Recorder};

/// What is left to check: the MLEs of numerators and denominators of the leaves at a point.
pub(super) struct Leaves {
    pub(super) point: Vec<EF>,
    pub(super) numerator: EF,
    pub(super) denominator: EF,
}

/// The verifier's side.
pub(super) fn verify(channel: &mut impl Channel, layers: usize) -> Result<Leaves, VerifyError> {
    let [root] = channel.receive_array(Label::Root)?;
    // Without this a zero denominator would make 0/0 of a sum that is not 0.
    channel.check(Refutation::Denominator, || root != EF::ZERO)?;
    let mut claim = Leaves {
        point: Vec::new(),
        // The sum of all fractions is 0: this is what the lookup argument claims.
        numerator: EF::ZERO,
        denominator: root,
    };
    for layer in 0..layers {
        // λ joins the two claims into one: a wrong one survives with probability 1/|EF|.
        let lambda = channel.draw(Label::Lambda);
        let labels = [Label::FractionRound, Label::FractionPoint];
        let joined = claim.numerator + lambda * claim.denominator;
        let (end, mut point) = verify_weighted_sum(channel, labels, joined, &claim.point)?;
        let [n0, n1, d0, d1] = channel.receive_array(Label::Layer)?;
        // The four values are consistent with the end of the sum-check: they are the layer below at (0, x) and (1, x).
        channel.check(Refutation::Layer { layer }, || {
            (n0 + lambda * d0) * d1 + n1 * d0 == end
        })?;
        // One point of the line through both halves: each of the four is wrong with probability 1/|EF| only.
        let branch = channel.draw(Label::Branch);
        claim.numerator = n0 + branch * (n1 - n0);
        claim.denominator = d0 + branch * (d1 - d0);
        point.insert(0, branch);
        claim.point = point;
    }
    Ok(claim)
}

/// A layer as the prover keeps it: packed while it is wide enough.
enum Layer {
    Packed([Vec<Packed>; 2]),
    Scalar([Vec<EF>; 2]),
}

/// Numerators and denominators of the layer above: halves added as fractions.
fn add_halves<T: Algebra<EF> + Copy>([n, d]: &[Vec<T>; 2]) -> [Vec<T>; 2] {
    let half = n.len() / 2;
    let ((n0, n1), (d0, d1)) = (n.split_at(half), d.split_at(half));
    [
        (0..half).map(|i| n0[i] * d1[i] + n1[i] * d0[i]).collect(),
        (0..half).map(|i| d0[i] * d1[i]).collect(),
    ]
}

/// All layers, leaves first; the last is the root alone.
fn tree(leaves: [Vec<Packed>; 2]) -> Vec<Layer> {
    let mut layers = Vec::new();
    let mut packed = leaves;
    while packed[0].len() > 1 {
        let above = add_halves(&packed);
        layers.push(Layer::Packed(packed));
        packed = above;
    }
    layers.extend(scalar_tree(packed.map(|side| unpack(&side))));
    layers
}

fn scalar_tree(mut scalar: [Vec<EF>; 2]) -> Vec<Layer> {
    let mut layers = Vec::new();
    while scalar[0].len() > 1 {
        let above = add_halves(&scalar);
        layers.push(Layer::Scalar(scalar));
        scalar = above;
    }
    layers.push(Layer::Scalar(scalar));
    layers
}

/// The prover's factors of one layer: `m0 = n0 + λ·d0`, `n1`, `d0`, `d1`, and the equality weights.
struct Halves<T> {
    sides: [Vec<T>; 4],
    weights: Vec<T>,
}

impl<T: Algebra<EF> + Copy> Halves<T> {
    fn new([n, d]: [Vec<T>; 2], lambda: EF, weights: Vec<T>) -> Self {
        let half = n.len() / 2;
        let (mut m0, mut d0) = (n, d);
        let (n1, d1) = (m0.split_off(half), d0.split_off(half));
        for (m, &d) in m0.iter_mut().zip(&d0) {
            *m += d * lambda;
        }
        Self {
            sides: [m0, n1, d0, d1],
            weights,
        }
    }

    /// `t(0)` and the leading coefficient.
    fn round(&self) -> [T; 2] {
        let half = self.sides[0].len() / 2;
        let [m0, n1, d0, d1] = self.sides.each_ref().map(|side| side.split_at(half));
        let mut sums = [T::ZERO; 2];
        for (x, &w) in self.weights.iter().enumerate().take(half) {
            let low = m0.0[x] * d1.0[x] + n1.0[x] * d0.0[x];
            let (m, n) = (m0.1[x] - m0.0[x], n1.1[x] - n1.0[x]);
            let (d, e) = (d0.1[x] - d0.0[x], d1.1[x] - d1.0[x]);
            sums[0] += w * low;
            sums[1] += w * (m * e + n * d);
        }
        sums
    }

    fn bind(&mut self, challenge: EF) {
        for side in &mut self.sides {
            bind(side, challenge);
        }
        drop_coordinate(&mut self.weights);
    }
}

/// The prover's side: the point. Leaves are numerators and denominators.
pub(super) fn prove<R: Recorder>(sender: &mut Sender<R>, leaves: [Vec<EF>; 2]) -> Vec<EF> {
    let mut layers = if leaves[0].len() >= WIDTH {
        tree(leaves.map(|side| pack(&side)))
    } else {
        scalar_tree(leaves)
    };
    if let Some(Layer::Scalar([_, root])) = layers.pop() {
        sender.send(Label::Root, &root[..1]);
    }
    let mut rho: Vec<EF> = Vec::new();
    while let Some(layer) = layers.pop() {
        let lambda = sender.draw(Label::Lambda);
        let weights = eq_table(rho.get(1..).unwrap_or_default());
        let (mut point, [m0, n1, d0, d1]) = prove_layer(sender, layer, lambda, weights);
        let n0 = m0 - lambda * d0;
        sender.send(Label::Layer, &[n0, n1, d0, d1]);
        let branch = sender.draw(Label::Branch);
        point.insert(0, branch);
        rho = point;
    }
    rho
}

fn prove_layer<R: Recorder>(
    sender: &mut Sender<R>,
    layer: Layer,
    lambda: EF,
    weights: Vec<EF>,
) -> (Vec<EF>, [EF; 4]) {
    let mut point = Vec::new();
    let mut step = |sender: &mut Sender<R>, sums: [EF; 2]| {
        sender.send(Label::FractionRound, &sums);
        let challenge = sender.draw(Label::FractionPoint);
        point.push(challenge);
        challenge
    };
    let mut scalar = match layer {
        Layer::Scalar(sides) => Halves::new(sides, lambda, weights),
        Layer::Packed(sides) if weights.len() < WIDTH => {
            Halves::new(sides.map(|side| unpack(&side)), lambda, weights)
        }
        Layer::Packed(sides) => {
            let mut packed = Halves::new(sides, lambda, pack(&weights));
            while packed.sides[0].len() > 2 {
                let challenge = step(sender, packed.round().map(total));
                packed.bind(challenge);
            }
            Halves {
                sides: packed.sides.map(|side| unpack(&side)),
                weights: unpack(&packed.weights),
            }
        }
    };
    while scalar.sides[0].len() > 1 {
        let challenge = step(sender, scalar.round());
        scalar.bind(challenge);
    }
    (point, scalar.sides.map(|side| side[0]))
}
