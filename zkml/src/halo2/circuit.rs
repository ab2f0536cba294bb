//! Columns and gates. Each gate names the claim that it enforces and says why it suffices.
//!
//! | column | phase | holds |
//! |---|---|---|
//! | `limbs[i]` | 1 | limbs; every cell is looked up in the range table under its row's tag, tag 0 = "must be 0" |
//! | `sign` | 1 | whether a quotient is non-negative |
//! | `z` | 1 | the row's value in offset form `v − lo`; a witness position holds a field element |
//! | `x` | 1 | copies of `z` cells |
//! | `multiplicity` | 1 | how often a table row is looked up |
//! | `accumulator` | 2 | unit lane: Horner sums of accumulators, or packed public values |
//! | `image`, `weights`, `sum` | 2 | image lane |
//! | `inverses[j]` | 2 | `Σ 1/(β + f_i)` over up to three lookups |
//! | `reads` | 2 | `1/(β + f)` of a read of an explicit table; only in slices that have one |
//! | `running` | 2 | LogUp's running sum |
//!
//! **Phases.** Every cell that a claim is about is committed in the first phase, before `r`, `θ`, `β` are drawn:
//! a cell chosen after them could be fitted to them. Second-phase columns are functions of the first and of the
//! challenges, each fixed by its gate.
//!
//! **Every gate carries a fixed selector** that is 0 on the blinding rows.

use halo2_proofs::halo2curves::bn256::Fr;
use halo2_proofs::halo2curves::ff::Field;
use halo2_proofs::plonk::{
    Advice, Challenge, Column, ConstraintSystem, Expression, FirstPhase, Fixed, Instance, SecondPhase,
    VirtualCells,
};
use halo2_proofs::poly::Rotation;

use super::instance::power_of_two;
use super::shape::{CircuitShape, Role};
use super::voice::Voice;
use crate::graph::{Activation, Requantise};
use crate::relations::LimbPlan;

/// The columns and challenges of a slice's circuit.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    pub(super) limbs: Vec<Column<Advice>>,
    pub(super) sign: Column<Advice>,
    pub(super) z: Column<Advice>,
    pub(super) x: Column<Advice>,
    pub(super) multiplicity: Column<Advice>,
    pub(super) accumulator: Column<Advice>,
    pub(super) image: Column<Advice>,
    pub(super) weights: Column<Advice>,
    pub(super) sum: Column<Advice>,
    pub(super) inverses: Vec<Column<Advice>>,
    pub(super) reads: Option<Column<Advice>>,
    pub(super) running: Column<Advice>,
    pub(super) instance: Column<Instance>,
    pub(super) fixed: Vec<Column<Fixed>>,
    /// Evaluation point of every linear layer's polynomial identity.
    pub(super) r: Challenge,
    /// Compresses (value, tag, outputs) to one field element.
    pub(super) theta: Challenge,
    /// LogUp's evaluation point.
    pub(super) beta: Challenge,
}

/// Lookups that share one column of inverses: with three, the gate has degree 1 (selector) + 1 + 3 = 5, the degree
/// whose quotient costs no more than degree 4's.
pub(super) const LOOKUPS_PER_INVERSE: usize = 3;

/// The degree of the constraint system. Set explicitly, because the library otherwise lets an environment variable
/// decide, and prover and verifier could disagree.
pub(super) const DEGREE: usize = 5;

struct Gates<'a> {
    shape: &'a CircuitShape,
    columns: &'a Columns,
    /// Whether the circuit has a gate, by its name.
    has_gate: fn(&'static str) -> bool,
}

impl Gates<'_> {
    /// Creates a gate.
    fn gate(
        &self,
        meta: &mut ConstraintSystem<Fr>,
        name: &'static str,
        constraints: impl FnOnce(&mut VirtualCells<'_, Fr>) -> Vec<Expression<Fr>>,
    ) {
        if (self.has_gate)(name) {
            meta.create_gate(name, constraints);
        }
    }

    fn fixed(&self, cells: &mut VirtualCells<'_, Fr>, role: Role) -> Expression<Fr> {
        match self.shape.roles.binary_search(&role) {
            Ok(at) => cells.query_fixed(self.columns.fixed[at], Rotation::cur()),
            Err(_) => Expression::Constant(Fr::ZERO),
        }
    }

    fn has(&self, role: Role) -> bool {
        self.shape.roles.binary_search(&role).is_ok()
    }

    /// `Σ limbs[first + i] · 2^(i · limb_bits)` over `count` limbs. Widths differ only in the last limb, so places are
    /// multiples of the limb width.
    fn limbs(&self, cells: &mut VirtualCells<'_, Fr>, first: usize, count: usize) -> Expression<Fr> {
        (0..count).fold(Expression::Constant(Fr::ZERO), |sum, i| {
            let limb = cells.query_advice(self.columns.limbs[first + i], Rotation::cur());
            sum + limb * power_of_two(i as u32 * u32::from(self.shape.limb_bits))
        })
    }

    /// `r^exponent`, of degree 0.
    fn power(&self, cells: &mut VirtualCells<'_, Fr>, exponent: u32) -> Expression<Fr> {
        let mut power = Expression::Constant(Fr::ONE);
        let mut square = cells.query_challenge(self.columns.r);
        let mut rest = exponent;
        while rest > 0 {
            if rest & 1 == 1 {
                power = power * square.clone();
            }
            square = square.clone() * square;
            rest >>= 1;
        }
        power
    }

    /// `θ^exponent`, of degree 0.
    fn theta(&self, cells: &mut VirtualCells<'_, Fr>, exponent: u32) -> Expression<Fr> {
        let theta = cells.query_challenge(self.columns.theta);
        (1..exponent).fold(theta.clone(), |power, _| power * theta.clone())
    }

    /// What the accumulator of the row above contributes: 0 where a sum starts.
    fn carried(&self, cells: &mut VirtualCells<'_, Fr>) -> Expression<Fr> {
        let above = cells.query_advice(self.columns.accumulator, Rotation::prev());
        let (keep, step) = (self.fixed(cells, Role::Keep), self.fixed(cells, Role::Step));
        above * (keep + step * cells.query_challenge(self.columns.r))
    }
}

/// Builds the constraint system of a shape, with the gates of a voice.
pub(super) fn configure<V: Voice>(meta: &mut ConstraintSystem<Fr>, shape: &CircuitShape) -> Columns {
    let first = |meta: &mut ConstraintSystem<Fr>| meta.advice_column_in(FirstPhase);
    let limbs: Vec<_> = (0..shape.limb_columns).map(|_| first(meta)).collect();
    let (sign, z, x, multiplicity) = (first(meta), first(meta), first(meta), first(meta));
    let second = |meta: &mut ConstraintSystem<Fr>| meta.advice_column_in(SecondPhase);
    let columns = Columns {
        sign,
        z,
        x,
        multiplicity,
        accumulator: second(meta),
        image: second(meta),
        weights: second(meta),
        sum: second(meta),
        inverses: limbs.chunks(LOOKUPS_PER_INVERSE).map(|_| second(meta)).collect(),
        running: second(meta),
        reads: shape.reads_tables().then(|| second(meta)),
        limbs,
        instance: meta.instance_column(),
        fixed: shape.roles.iter().map(|_| meta.fixed_column()).collect(),
        r: meta.challenge_usable_after(FirstPhase),
        theta: meta.challenge_usable_after(FirstPhase),
        beta: meta.challenge_usable_after(FirstPhase),
    };
    for column in [columns.z, columns.x, columns.accumulator, columns.sum] {
        meta.enable_equality(column);
    }
    meta.enable_equality(columns.instance);
    let gates = Gates {
        shape,
        columns: &columns,
        has_gate: V::has_gate,
    };
    range_lookups(meta, &gates);
    table_reads(meta, &gates);
    values(meta, &gates);
    tournaments(meta, &gates);
    linear_identity(meta, &gates);
    meta.set_minimum_degree(DEGREE);
    columns
}

/// Every limb lies in its table (LogUp).
fn range_lookups(meta: &mut ConstraintSystem<Fr>, gates: &Gates<'_>) {
    let columns = gates.columns;
    // β + value + θ·tag of limb i of this row.
    let looked_up = |cells: &mut VirtualCells<'_, Fr>, i: usize| {
        let value = cells.query_advice(columns.limbs[i], Rotation::cur());
        let tag = gates.fixed(cells, Role::Tag(i as u8));
        cells.query_challenge(columns.beta) + value + cells.query_challenge(columns.theta) * tag
    };
    let groups: Vec<Vec<usize>> = (0..columns.limbs.len())
        .collect::<Vec<_>>()
        .chunks(LOOKUPS_PER_INVERSE)
        .map(<[usize]>::to_vec)
        .collect();
    for (group, &inverse) in groups.iter().zip(&columns.inverses) {
        // The inverse column is Σ 1/(β + f_i): multiplied out, h·Π(β + f_i) = Σ_i Π_{j≠i}(β + f_j). It holds on every
        // row of the running sum, so no inverse is free. β + f_i = 0 has probability ≤ rows/p over β.
        gates.gate(meta, "inverses are those of the looked-up limbs", |cells| {
            let on = gates.fixed(cells, Role::On);
            let h = cells.query_advice(inverse, Rotation::cur());
            let f: Vec<_> = group.iter().map(|&i| looked_up(cells, i)).collect();
            let product = f
                .iter()
                .cloned()
                .fold(Expression::Constant(Fr::ONE), |a, b| a * b);
            let sum = (0..f.len()).fold(Expression::Constant(Fr::ZERO), |sum, i| {
                let others = f.iter().enumerate().filter(|(j, _)| *j != i);
                sum + others.fold(Expression::Constant(Fr::ONE), |a, (_, b)| a * b.clone())
            });
            vec![on * (h * product - sum)]
        });
    }
    // s' = s + Σ h − m/(β + t) on every row of the table's column, and s is 0 at both ends: so
    // Σ 1/(β + f) = Σ m/(β + t) as rational functions of β (up to soundness error rows·columns/p), hence every f is
    // some t (Haböck, eprint 2022/1530, lemma 5; the number of lookups is far below p). Rows of explicit tables stand in
    // the same column: as polynomials in θ, of degree ≤ 3, (value, tag, out 0, out 1) are equal only part by part, so a
    // limb equals rows of its own width's tag alone, and a read rows of its own table's.
    gates.gate(meta, "the running sum takes in this row", |cells| {
        let on = gates.fixed(cells, Role::On);
        let (here, next) = (
            cells.query_advice(columns.running, Rotation::cur()),
            cells.query_advice(columns.running, Rotation::next()),
        );
        let h = columns
            .inverses
            .iter()
            .fold(Expression::Constant(Fr::ZERO), |sum, &inverse| {
                sum + cells.query_advice(inverse, Rotation::cur())
            });
        let h = columns
            .reads
            .into_iter()
            .fold(h, |sum, read| sum + cells.query_advice(read, Rotation::cur()));
        let table = cells.query_challenge(columns.beta)
            + gates.fixed(cells, Role::TableValue)
            + cells.query_challenge(columns.theta) * gates.fixed(cells, Role::TableTag);
        let outs = [0, 1].into_iter().filter(|&c| gates.has(Role::TableOut(c)));
        let outs: Vec<_> = outs.collect();
        let table = outs.into_iter().fold(table, |sum, c| {
            sum + gates.theta(cells, 2 + u32::from(c)) * gates.fixed(cells, Role::TableOut(c))
        });
        let multiplicity = cells.query_advice(columns.multiplicity, Rotation::cur());
        vec![on * ((next - here - h) * table + multiplicity)]
    });
    gates.gate(meta, "the running sum starts and ends at 0", |cells| {
        vec![gates.fixed(cells, Role::Edge) * cells.query_advice(columns.running, Rotation::cur())]
    });
}

/// What is read of an explicit table is one of its rows: one more look-up of the running sum.
fn table_reads(meta: &mut ConstraintSystem<Fr>, gates: &Gates<'_>) {
    let columns = gates.columns;
    let Some(inverse) = columns.reads else { return };
    // On a row that reads, h = 1/(β + x + θ·tag + θ²·z + θ³·z'), elsewhere 0: so the running sum counts each read, and
    // nothing else. x, z and z' are of the first phase and tag is fixed, so none of them was chosen after θ and β, and by
    // the running sum they are the number, tag and outputs of a row. x is a copy of the index's cell `v − first`, since the
    // index has exactly the table's range; rows with a tag have different numbers; and z is the output's own cell
    // `v − lo`. So each output is the table's entry at its index, as integers. Without `two` the row below, another
    // value's, would be looked up as a second output.
    gates.gate(meta, "a read's inverse is that of the row it looks up", |cells| {
        let on = gates.fixed(cells, Role::On);
        let h = cells.query_advice(inverse, Rotation::cur());
        let x = cells.query_advice(columns.x, Rotation::cur());
        let z = cells.query_advice(columns.z, Rotation::cur());
        let mut f = cells.query_challenge(columns.beta)
            + x
            + gates.theta(cells, 1) * gates.fixed(cells, Role::ReadTag)
            + gates.theta(cells, 2) * z;
        if gates.has(Role::ReadTwo) {
            let below = cells.query_advice(columns.z, Rotation::next());
            f = f + gates.theta(cells, 3) * gates.fixed(cells, Role::ReadTwo) * below;
        }
        vec![on * (h * f - gates.fixed(cells, Role::Read))]
    });
}

/// `z` of inputs and of requantised outputs.
fn values(meta: &mut ConstraintSystem<Fr>, gates: &Gates<'_>) {
    let columns = gates.columns;
    if gates.has(Role::Input) {
        // Limbs of exact width make z − lo range over exactly [0, 2^bits): nothing else packs to the same instance.
        gates.gate(meta, "an input is the sum of its limbs", |cells| {
            let z = cells.query_advice(columns.z, Rotation::cur());
            let limbs = gates.limbs(cells, 0, columns.limbs.len());
            vec![gates.fixed(cells, Role::Input) * (z - limbs)]
        });
    }
    if gates.has(Role::Pack) {
        // Joined by a copy to its instance row where an element is complete; values are < 2^w each by their own
        // range checks, elements < 2^252, so the packing is unique.
        gates.gate(meta, "the accumulator packs public values", |cells| {
            let pack = gates.fixed(cells, Role::Pack);
            let here = cells.query_advice(columns.accumulator, Rotation::cur());
            let z = cells.query_advice(columns.z, Rotation::cur());
            vec![pack * (here - gates.carried(cells) - gates.fixed(cells, Role::Factor) * z)]
        });
    }
    for (i, requantise) in gates.shape.requantisations.iter().enumerate() {
        requantisation(meta, gates, Role::Requantise(i as u8), *requantise);
    }
}

fn requantisation(meta: &mut ConstraintSystem<Fr>, gates: &Gates<'_>, role: Role, requantise: Requantise) {
    let columns = gates.columns;
    let plan = LimbPlan::new(requantise, u32::from(gates.shape.limb_bits));
    let (low, high) = (plan.remainder.len(), plan.magnitude.len());
    gates.gate(meta, "the sign is 0 or 1", |cells| {
        let sign = cells.query_advice(columns.sign, Rotation::cur());
        vec![gates.fixed(cells, role) * sign.clone() * (sign - Expression::Constant(Fr::ONE))]
    });
    // With sign ∈ {0, 1}, magnitude ∈ [0, 2^(bits−1)) and remainder ∈ [0, 2^S) the decomposition of the accumulator
    // is unique, so sign and magnitude are those of the specified quotient (relations::LimbPlan).
    gates.gate(meta, "z is the activation of the quotient", |cells| {
        let sign = cells.query_advice(columns.sign, Rotation::cur());
        let magnitude = gates.limbs(cells, low, high);
        let z = cells.query_advice(columns.z, Rotation::cur());
        let expected = match requantise.activation {
            // q ≥ 0 exactly when sign = 1, and then q = magnitude.
            Activation::Relu => sign * magnitude,
            // Offset form: q + 2^(bits−1).
            Activation::Identity => magnitude + sign * power_of_two(plan.bits - 1),
        };
        vec![gates.fixed(cells, role) * (z - expected)]
    });
    // The accumulator is not a cell: it is this combination of range-checked limbs, |acc| < B/2 by the packing's choice
    // of B. The fixed constant takes off offset and bias.
    gates.gate(
        meta,
        "the sum takes in factor · (accumulator − bias)",
        |cells| {
            let sign = cells.query_advice(columns.sign, Rotation::cur());
            let value = gates.limbs(cells, 0, low)
                + gates.limbs(cells, low, high) * power_of_two(plan.shift)
                + sign * power_of_two(plan.bits - 1 + plan.shift)
                + gates.fixed(cells, Role::Constant);
            let here = cells.query_advice(columns.accumulator, Rotation::cur());
            vec![
                gates.fixed(cells, role)
                    * (here - gates.carried(cells) - gates.fixed(cells, Role::Factor) * value),
            ]
        },
    );
}

/// Maximum by a tournament of pairs: `m − a ≥ 0`, `m − b ≥ 0`, `(m − a)(m − b) = 0`.
fn tournaments(meta: &mut ConstraintSystem<Fr>, gates: &Gates<'_>) {
    let columns = gates.columns;
    if gates.has(Role::TournamentStart) {
        gates.gate(meta, "a tournament starts with its first entry", |cells| {
            let z = cells.query_advice(columns.z, Rotation::cur());
            let x = cells.query_advice(columns.x, Rotation::cur());
            vec![gates.fixed(cells, Role::TournamentStart) * (z - x)]
        });
    }
    if gates.has(Role::TournamentStep) {
        // Differences of two values of one range are below 2^bits in absolute value, far below p/2: a limb sum in
        // [0, 2^bits) proves ≥ 0, and a zero product that m is one of the two. So m = max(a, b), and only that.
        gates.gate(meta, "z is the greater of the entry above and x", |cells| {
            let step = gates.fixed(cells, Role::TournamentStep);
            let above = cells.query_advice(columns.z, Rotation::prev());
            let z = cells.query_advice(columns.z, Rotation::cur());
            let x = cells.query_advice(columns.x, Rotation::cur());
            let count = usize::from(gates.shape.max_limbs);
            let (over_above, over_x) = (gates.limbs(cells, 0, count), gates.limbs(cells, count, count));
            vec![
                step.clone() * (z.clone() - above - over_above.clone()),
                step.clone() * (z - x - over_x.clone()),
                step * over_above * over_x,
            ]
        });
    }
}

/// `Σ_p Σ_g r^(p·groups + g) Y_{p,g} = Σ_channels x(S) · w(S)` with `S = r^groups`: both sides as polynomials in r, committed before
/// r is drawn, so they agree in every coefficient up to probability degree/p (Schwartz–Zippel).
fn linear_identity(meta: &mut ConstraintSystem<Fr>, gates: &Gates<'_>) {
    let columns = gates.columns;
    if gates.has(Role::Witness) {
        // A position of the full grid that is no output: any field element, fixed by the identity, read by nobody.
        gates.gate(meta, "the sum takes in a witness position", |cells| {
            let here = cells.query_advice(columns.accumulator, Rotation::cur());
            let z = cells.query_advice(columns.z, Rotation::cur());
            vec![gates.fixed(cells, Role::Witness) * (here - gates.carried(cells) - z)]
        });
    }
    gates.gate(meta, "the image polynomial by Horner's rule", |cells| {
        let here = cells.query_advice(columns.image, Rotation::cur());
        let above = cells.query_advice(columns.image, Rotation::prev());
        let x = cells.query_advice(columns.x, Rotation::cur());
        let steps: Vec<_> = gates
            .shape
            .roles
            .iter()
            .filter(|r| matches!(r, Role::ImageStep(_)))
            .collect();
        let factor = steps
            .into_iter()
            .fold(Expression::Constant(Fr::ZERO), |sum, role| {
                let Role::ImageStep(exponent) = *role else {
                    return sum;
                };
                sum + gates.fixed(cells, *role) * gates.power(cells, exponent)
            });
        vec![gates.fixed(cells, Role::On) * (here - above * factor - x)]
    });
    gates.gate(meta, "the packed weights' polynomial by Horner's rule", |cells| {
        let here = cells.query_advice(columns.weights, Rotation::cur());
        let above = cells.query_advice(columns.weights, Rotation::prev());
        let weights: Vec<_> = gates
            .shape
            .roles
            .iter()
            .filter(|r| matches!(r, Role::Weight(_)))
            .collect();
        let packed = weights
            .into_iter()
            .fold(Expression::Constant(Fr::ZERO), |sum, role| {
                let Role::Weight(exponent) = *role else { return sum };
                sum + gates.fixed(cells, *role) * gates.power(cells, exponent)
            });
        let factor = gates.fixed(cells, Role::WeightStep) * cells.query_challenge(columns.r);
        vec![gates.fixed(cells, Role::On) * (here - above * factor - packed)]
    });
    // The last row of a map's image lane is copied to the last row of its unit lane: the two sides are equal.
    gates.gate(meta, "the sum takes in image · weights", |cells| {
        let here = cells.query_advice(columns.sum, Rotation::cur());
        let above = cells.query_advice(columns.sum, Rotation::prev());
        let image = cells.query_advice(columns.image, Rotation::cur());
        let weights = cells.query_advice(columns.weights, Rotation::cur());
        let (keep, add) = (
            gates.fixed(cells, Role::SumKeep),
            gates.fixed(cells, Role::SumAdd),
        );
        vec![gates.fixed(cells, Role::On) * (here - above * keep - image * weights * add)]
    });
}
