//! Fills the columns: fixed cells and copies always, the first phase from the witness, the second from the first
//! and the challenges.

use std::sync::Arc;

use halo2_proofs::circuit::{Layouter, Region, SimpleFloorPlanner, Value};
use halo2_proofs::halo2curves::bn256::Fr;
use halo2_proofs::halo2curves::ff::{BatchInvert, Field};
use halo2_proofs::plonk::{Advice, Circuit, Column, ConstraintSystem, Error};

use super::circuit::{Columns, LOOKUPS_PER_INVERSE, configure};
use super::layout::{CopyColumn, Layout};
use super::shape::{CircuitShape, Role};
use super::voice::{Honest, Voice};
use super::witness::Witness;

/// A slice's circuit: with a witness for proving, without for keys.
#[derive(Debug, Clone)]
pub(super) struct SliceCircuit<V = Honest> {
    layout: Arc<Layout>,
    witness: Option<Arc<Witness>>,
    voice: V,
}

impl<V: Voice> SliceCircuit<V> {
    pub(super) fn new(layout: Arc<Layout>, witness: Option<Arc<Witness>>, voice: V) -> Self {
        Self {
            layout,
            witness,
            voice,
        }
    }
}

/// Second-phase columns.
pub(super) struct Second {
    pub(super) accumulator: Vec<Fr>,
    pub(super) image: Vec<Fr>,
    pub(super) weights: Vec<Fr>,
    pub(super) sum: Vec<Fr>,
    pub(super) inverses: Vec<Vec<Fr>>,
    /// Empty without a read.
    pub(super) reads: Vec<Fr>,
    pub(super) running: Vec<Fr>,
}

impl<V: Voice> Circuit<Fr> for SliceCircuit<V> {
    type Config = Columns;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = CircuitShape;

    fn without_witnesses(&self) -> Self {
        Self::new(Arc::clone(&self.layout), None, V::default())
    }

    fn params(&self) -> CircuitShape {
        self.layout.shape.clone()
    }

    fn configure_with_params(meta: &mut ConstraintSystem<Fr>, shape: CircuitShape) -> Columns {
        configure::<V>(meta, &shape)
    }

    fn configure(meta: &mut ConstraintSystem<Fr>) -> Columns {
        configure::<V>(meta, &CircuitShape::default())
    }

    fn synthesize(&self, columns: Columns, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
        let public = layouter.assign_region(
            || "slice",
            |mut region| {
                self.fixed(&columns, &mut region);
                self.first_phase(&columns, &mut region);
                region.next_phase();
                self.second_phase(&columns, &mut region);
                Ok(self.copies(&columns, &mut region))
            },
        )?;
        for (cell, row) in public {
            layouter.constrain_instance(cell, columns.instance, row);
        }
        Ok(())
    }
}

type CellAt = halo2_proofs::circuit::Cell;

impl<V: Voice> SliceCircuit<V> {
    fn fixed(&self, columns: &Columns, region: &mut Region<'_, Fr>) {
        for (values, column) in self.layout.fixed.values().zip(&columns.fixed) {
            for (row, value) in values.iter().enumerate().filter(|(_, v)| **v != Fr::ZERO) {
                region.assign_fixed(*column, row, *value);
            }
        }
    }

    fn first_phase(&self, columns: &Columns, region: &mut Region<'_, Fr>) {
        let Some(witness) = &self.witness else { return };
        let small = |region: &mut Region<'_, Fr>, column, values: &[u64]| {
            for (row, &v) in values.iter().enumerate().filter(|(_, v)| **v != 0) {
                region.assign_advice(column, row, Value::known(Fr::from(v)));
            }
        };
        for (column, values) in columns.limbs.iter().zip(&witness.limbs) {
            small(region, *column, values);
        }
        small(region, columns.multiplicity, &witness.multiplicity);
        for (column, values) in [
            (columns.sign, &witness.sign),
            (columns.z, &witness.z),
            (columns.x, &witness.x),
        ] {
            assign(region, column, values);
        }
    }

    fn second_phase(&self, columns: &Columns, region: &mut Region<'_, Fr>) {
        let Some(witness) = &self.witness else { return };
        let mut challenges = [Fr::ZERO; 3];
        let mut known = true;
        for (slot, challenge) in challenges
            .iter_mut()
            .zip([columns.r, columns.theta, columns.beta])
        {
            // A mock prover's first pass has no challenges yet.
            let mut value = None;
            region.get_challenge(challenge).map(|c| value = Some(c));
            match value {
                Some(c) => *slot = c,
                None => known = false,
            }
        }
        if !known {
            return;
        }
        let second = Second::new(&self.layout, witness, challenges);
        let second = self.voice.second(&self.layout, challenges, second);
        assign(region, columns.accumulator, &second.accumulator);
        assign(region, columns.image, &second.image);
        assign(region, columns.weights, &second.weights);
        assign(region, columns.sum, &second.sum);
        for (column, values) in columns.inverses.iter().zip(&second.inverses) {
            assign(region, *column, values);
        }
        if let Some(column) = columns.reads {
            assign(region, column, &second.reads);
        }
        assign(region, columns.running, &second.running);
    }

    /// Joins copied cells; returns the cells that are joined to instance rows.
    fn copies(&self, columns: &Columns, region: &mut Region<'_, Fr>) -> Vec<(CellAt, usize)> {
        let cell = |(column, row): (CopyColumn, usize)| {
            let column = match column {
                CopyColumn::Z => columns.z,
                CopyColumn::X => columns.x,
                CopyColumn::Accumulator => columns.accumulator,
                CopyColumn::Sum => columns.sum,
            };
            CellAt {
                row_offset: row,
                column: column.into(),
            }
        };
        for &(a, b) in &self.layout.copies {
            region.constrain_equal(cell(a), cell(b));
        }
        self.layout
            .public
            .iter()
            .map(|&(row, instance)| (cell((CopyColumn::Accumulator, row)), instance))
            .collect()
    }
}

fn assign(region: &mut Region<'_, Fr>, column: Column<Advice>, values: &[Fr]) {
    for (row, value) in values.iter().enumerate().filter(|(_, v)| **v != Fr::ZERO) {
        region.assign_advice(column, row, Value::known(*value));
    }
}

impl Second {
    /// Follows the gates row by row.
    pub(super) fn new(layout: &Layout, witness: &Witness, [r, theta, beta]: [Fr; 3]) -> Self {
        let rows = layout.on_rows;
        let at = |role: Role, row: usize| layout.fixed.get(&role).map_or(Fr::ZERO, |column| column[row]);
        let powered = |wanted: fn(&Role) -> Option<u32>| -> Vec<(&Vec<Fr>, Fr)> {
            let columns = layout
                .fixed
                .iter()
                .filter_map(|(role, column)| wanted(role).map(|e| (column, e)));
            columns
                .map(|(column, e)| (column, r.pow_vartime([u64::from(e)])))
                .collect()
        };
        let steps = powered(|role| {
            if let Role::ImageStep(e) = role {
                Some(*e)
            } else {
                None
            }
        });
        let packed = powered(|role| {
            if let Role::Weight(e) = role {
                Some(*e)
            } else {
                None
            }
        });
        let [mut accumulator, mut image, mut weights, mut sum] =
            std::array::from_fn(|_| vec![Fr::ZERO; rows]);
        let above = |column: &[Fr], row: usize| if row == 0 { Fr::ZERO } else { column[row - 1] };
        for row in 0..rows {
            let carried = above(&accumulator, row) * (at(Role::Keep, row) + at(Role::Step, row) * r);
            accumulator[row] = carried + unit_value(layout, witness, row);
            let factor: Fr = steps.iter().map(|(column, power)| column[row] * power).sum();
            image[row] = above(&image, row) * factor + witness.x[row];
            let taken: Fr = packed.iter().map(|(column, power)| column[row] * power).sum();
            weights[row] = above(&weights, row) * at(Role::WeightStep, row) * r + taken;
            sum[row] =
                above(&sum, row) * at(Role::SumKeep, row) + image[row] * weights[row] * at(Role::SumAdd, row);
        }
        let inverses = limb_inverses(layout, witness, theta, beta);
        let reads = read_inverses(layout, witness, theta, beta);
        let running = running_sum(layout, witness, [theta, beta], &inverses, &reads);
        Self {
            accumulator,
            image,
            weights,
            sum,
            inverses,
            reads,
            running,
        }
    }
}

/// What the row adds to the accumulator.
fn unit_value(layout: &Layout, witness: &Witness, row: usize) -> Fr {
    let at = |role: Role| layout.fixed.get(&role).map_or(Fr::ZERO, |column| column[row]);
    if at(Role::Witness) == Fr::ONE {
        return witness.z[row];
    }
    if at(Role::Pack) == Fr::ONE {
        return at(Role::Factor) * witness.z[row];
    }
    for (i, requantise) in layout.shape.requantisations.iter().enumerate() {
        if at(Role::Requantise(i as u8)) == Fr::ONE {
            let plan = crate::relations::LimbPlan::new(*requantise, u32::from(layout.shape.limb_bits));
            let mut place = 0;
            let mut value = at(Role::Constant);
            for (column, width) in witness.limbs.iter().zip(plan.widths()) {
                value += Fr::from(column[row]) * super::instance::power_of_two(place);
                place += width;
            }
            value += witness.sign[row] * super::instance::power_of_two(plan.bits - 1 + plan.shift);
            return at(Role::Factor) * value;
        }
    }
    Fr::ZERO
}

/// Inverse columns of the range lookups.
fn limb_inverses(layout: &Layout, witness: &Witness, theta: Fr, beta: Fr) -> Vec<Vec<Fr>> {
    let rows = layout.on_rows;
    let mut inverses = Vec::new();
    for (group, limbs) in witness.limbs.chunks(LOOKUPS_PER_INVERSE).enumerate() {
        let mut total = vec![Fr::ZERO; rows];
        for (i, limb) in limbs.iter().enumerate() {
            let tags = layout
                .fixed
                .get(&Role::Tag((group * LOOKUPS_PER_INVERSE + i) as u8));
            let mut f: Vec<Fr> = (0..rows)
                .map(|row| beta + Fr::from(limb[row]) + tags.map_or(Fr::ZERO, |t| theta * t[row]))
                .collect();
            f.iter_mut().batch_invert();
            total.iter_mut().zip(f).for_each(|(t, f)| *t += f);
        }
        inverses.push(total);
    }
    inverses
}

/// `1/(β + x + θ·tag + θ²·z + θ³·z')` on rows that read a table, 0 elsewhere.
fn read_inverses(layout: &Layout, witness: &Witness, theta: Fr, beta: Fr) -> Vec<Fr> {
    let column = |role: Role| layout.fixed.get(&role);
    let Some(reads) = column(Role::Read) else {
        return Vec::new();
    };
    let (tags, two) = (column(Role::ReadTag), column(Role::ReadTwo));
    let below = |row: usize| witness.z.get(row + 1).copied().unwrap_or(Fr::ZERO);
    let looked_up = |row: usize| {
        let outs = witness.z[row] + two.map_or(Fr::ZERO, |t| theta * t[row] * below(row));
        beta + witness.x[row] + theta * (tags.map_or(Fr::ZERO, |t| t[row]) + theta * outs)
    };
    // The library leaves 0 as it is.
    let mut f: Vec<Fr> = (0..layout.on_rows)
        .map(|row| reads[row] * looked_up(row))
        .collect();
    f.iter_mut().batch_invert();
    f
}

fn running_sum(
    layout: &Layout,
    witness: &Witness,
    [theta, beta]: [Fr; 2],
    inverses: &[Vec<Fr>],
    reads: &[Fr],
) -> Vec<Fr> {
    let rows = layout.on_rows;
    // The table's columns by the power of θ that they stand at.
    let columns: Vec<(&Vec<Fr>, Fr)> = [
        Role::TableValue,
        Role::TableTag,
        Role::TableOut(0),
        Role::TableOut(1),
    ]
    .iter()
    .zip([Fr::ONE, theta, theta.square(), theta.square() * theta])
    .filter_map(|(role, power)| layout.fixed.get(role).map(|column| (column, power)))
    .collect();
    let mut table: Vec<Fr> = (0..rows)
        .map(|row| {
            columns
                .iter()
                .fold(beta, |sum, (column, power)| sum + column[row] * power)
        })
        .collect();
    table.iter_mut().batch_invert();
    let mut running = vec![Fr::ZERO; rows + 1];
    for row in 0..rows {
        let limbs: Fr = inverses.iter().map(|column| column[row]).sum();
        let h = limbs + reads.get(row).copied().unwrap_or(Fr::ZERO);
        running[row + 1] = running[row] + h - Fr::from(witness.multiplicity[row]) * table[row];
    }
    running
}
