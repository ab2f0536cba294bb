//! Honest provers are believed, lying ones are not.

use std::sync::Arc;

use halo2_proofs::dev::MockProver;
use halo2_proofs::halo2curves::bn256::Fr;
use halo2_proofs::halo2curves::ff::Field;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use zkinfer_crds::Digest;

use super::circuit::DEGREE;
use super::instance::instance;
use super::layout::Layout;
use super::plan::{LinearUnit, Placed};
use super::synthesize::SliceCircuit;
use super::witness::Witness;
use super::*;
use crate::graph::{Activation, IntRange, LinearMap, Requantise, TensorId};
use crate::relations::{Relation, SliceRelations, SliceTensor, bound::accumulator_bound};

const PARAMETERS: SliceParameters = SliceParameters { limb_bits: 4, k: 9 };

fn requantised(inputs: &[(u32, IntRange)], map: LinearMap, requantise: Requantise, output: u32) -> Relation {
    let input_ranges: Vec<_> = inputs.iter().map(|i| i.1).collect();
    Relation::Requantised {
        inputs: inputs.iter().map(|i| TensorId(i.0)).collect(),
        bound: accumulator_bound(&map, &input_ranges).unwrap(),
        input_ranges,
        map,
        requantise,
        output: TensorId(output),
    }
}

/// A convolution with ReLU, a 2×2 maximum, a residual addition with the input's crop, a dense layer: every relation
/// once, several accumulators widths, a skip tensor.
fn slice() -> SliceRelations {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let input = IntRange::signed(6);
    let relu = Requantise {
        shift: 5,
        bits: 8,
        activation: Activation::Relu,
    };
    let linear = Requantise {
        shift: 3,
        bits: 9,
        activation: Activation::Identity,
    };
    let conv = LinearMap::Conv2d {
        input: [1, 4, 4],
        output: [3, 4, 4],
        kernel: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        pad: [1, 1],
        groups: 1,
        weight: (0..27).map(|_| rng.gen_range(-15..16)).collect(),
        bias: vec![40, -30, 7],
    };
    let pooled: Vec<Vec<u32>> = (0..12u32)
        .map(|t| (t / 4, t / 2 % 2, t % 2))
        .map(|(c, y, x)| [0, 1, 4, 5].map(|d| c * 16 + y * 8 + x * 2 + d).to_vec())
        .collect();
    let skip: Vec<u32> = (0..12).map(|i| (i * 5) % 16).collect();
    let add = LinearMap::Affine {
        outer: 1,
        channels: 1,
        inner: 12,
        scale: vec![3, -5],
        bias: vec![2],
    };
    let dense = LinearMap::Dense {
        inputs: 12,
        outputs: 5,
        weight: (0..60).map(|_| rng.gen_range(-9..10)).collect(),
        bias: vec![1, 2, 3, -4, -5],
    };
    let tensor = |id: u32, len, range| SliceTensor {
        id: TensorId(id),
        len,
        range,
    };
    SliceRelations {
        inputs: vec![tensor(0, 16, input)],
        outputs: vec![
            tensor(5, 5, linear.output_range()),
            tensor(2, 12, relu.output_range()),
        ],
        relations: vec![
            Relation::Range {
                tensor: TensorId(0),
                range: input,
            },
            requantised(&[(0, input)], conv, relu, 1),
            Relation::Maximum {
                input: TensorId(1),
                range: relu.output_range(),
                windows: pooled,
                output: TensorId(2),
            },
            Relation::Wired {
                input: TensorId(0),
                source: Some(skip),
                output: TensorId(3),
            },
            requantised(&[(2, relu.output_range()), (3, input)], add, linear, 4),
            requantised(&[(4, linear.output_range())], dense, linear, 5),
        ],
    }
}

fn input() -> Vec<i64> {
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let mut values: Vec<i64> = (0..16).map(|_| rng.gen_range(-32..32)).collect();
    (values[0], values[5]) = (-32, 31);
    values
}

fn statement() -> Digest {
    Digest::of(b"a statement")
}

struct Case {
    relations: SliceRelations,
    layout: Arc<Layout>,
    witness: Witness,
    instance: Vec<Fr>,
}

fn case() -> Case {
    let relations = slice();
    let layout = Arc::new(Layout::new(&relations, PARAMETERS).unwrap());
    let witness = Witness::new(&layout, &relations, &[&input()]).unwrap();
    let outputs: Vec<&[i64]> = witness.outputs.iter().map(Vec::as_slice).collect();
    let instance = instance(relations.boundary(), &statement(), &[&input()], &outputs).unwrap();
    Case {
        relations,
        layout,
        witness,
        instance,
    }
}

impl Case {
    /// Whether the constraint system accepts; second-phase columns are recomputed from the (tampered) first.
    fn accepted(&self) -> bool {
        let witness = Some(Arc::new(self.witness.clone()));
        let circuit = SliceCircuit {
            layout: Arc::clone(&self.layout),
            witness,
        };
        let prover = MockProver::run(self.layout.k, &circuit, vec![self.instance.clone()]).unwrap();
        prover.verify().is_ok()
    }

    fn linear(&self, output: u32) -> &super::plan::PlacedLinear {
        let found = self.layout.plan.placed.iter().find_map(|p| match p {
            Placed::Linear(l) if l.output == TensorId(output) => Some(l),
            _ => None,
        });
        found.unwrap()
    }

    /// False when a limb has left its table, which no multiplicity can mend.
    fn recount(&mut self) -> bool {
        self.witness.recount(&self.layout)
    }
}

#[test]
fn witness_agrees_with_the_plain_checkers() {
    let case = case();
    let mut values = std::collections::BTreeMap::from([(TensorId(0), input())]);
    for (tensor, v) in case.relations.outputs.iter().zip(&case.witness.outputs) {
        values.insert(tensor.id, v.clone());
    }
    // Recompute inner tensors from the checkers' own message is impossible; instead check the outputs of a slice
    // whose every tensor is an output.
    let mut all = case.relations.clone();
    all.outputs = (1..=5)
        .map(|id| {
            let len = case.layout.plan.cells[&TensorId(id)].len();
            let range = if id == 3 {
                IntRange::signed(6)
            } else if id < 3 {
                IntRange::unsigned(7)
            } else {
                IntRange::signed(9)
            };
            SliceTensor {
                id: TensorId(id),
                len,
                range,
            }
        })
        .collect();
    let layout = Layout::new(&all, SliceParameters { limb_bits: 4, k: 9 }).unwrap();
    let witness = Witness::new(&layout, &all, &[&input()]).unwrap();
    for (tensor, v) in all.outputs.iter().zip(witness.outputs) {
        values.insert(tensor.id, v);
    }
    crate::relations::check(&all, &values).unwrap();
}

#[test]
fn accepts_an_honest_witness() {
    assert!(case().accepted());
}

#[test]
fn proves_and_verifies_for_one_statement_only() {
    let case = case();
    let srs = Srs::development(9);
    let pk = keygen(&case.relations, PARAMETERS, &srs).unwrap();
    assert_eq!(pk.pk.get_vk().cs().degree(), DEGREE);
    assert_eq!(
        pk.pk.get_vk().cs().blinding_factors() + 2,
        super::plan::RESERVED_ROWS
    );
    let made = prove(
        &pk,
        &case.relations,
        &srs,
        &statement(),
        &[&input()],
        rand::rngs::OsRng,
    )
    .unwrap();
    let vk = VerifyingKey::from_bytes(&pk.verifying_key().to_bytes(), pk.shape()).unwrap();
    let verifier = srs.verifier();
    let outputs: Vec<&[i64]> = made.outputs.iter().map(Vec::as_slice).collect();
    let verify_as = |statement: &Digest, input: &[i64], outputs: &[&[i64]], proof: &[u8]| {
        verify(
            &vk,
            &verifier,
            case.relations.boundary(),
            statement,
            &[input],
            outputs,
            proof,
        )
    };
    verify_as(&statement(), &input(), &outputs, &made.proof).unwrap();
    println!(
        "k = {}, {} rows, proof {} bytes, {} fixed columns",
        PARAMETERS.k,
        case.layout.plan.rows,
        made.proof.len(),
        case.layout.shape.roles.len()
    );
    assert!(made.proof.len() <= cost(&case.relations, PARAMETERS).unwrap().proof_bytes as usize + 96);

    assert_eq!(
        verify_as(&Digest::of(b"another"), &input(), &outputs, &made.proof),
        Err(VerifyError::Invalid)
    );
    let mut other = input();
    other[3] ^= 1;
    assert_eq!(
        verify_as(&statement(), &other, &outputs, &made.proof),
        Err(VerifyError::Invalid)
    );
    let mut wrong = made.outputs.clone();
    wrong[0][2] += 1;
    let wrong: Vec<&[i64]> = wrong.iter().map(Vec::as_slice).collect();
    assert_eq!(
        verify_as(&statement(), &input(), &wrong, &made.proof),
        Err(VerifyError::Invalid)
    );
    let mut out_of_range = input();
    out_of_range[0] = 32;
    assert!(matches!(
        verify_as(&statement(), &out_of_range, &outputs, &made.proof),
        Err(VerifyError::Instance(InstanceError::Range {
            tensor: 0,
            index: 0,
            value: 32
        }))
    ));

    // Bytes: every truncation to a word, trailing bytes, and a flip in every 32-byte word's first and last byte.
    for len in (0..made.proof.len()).step_by(31) {
        assert!(verify_as(&statement(), &input(), &outputs, &made.proof[..len]).is_err());
    }
    let long = [made.proof.as_slice(), &[0]].concat();
    assert_eq!(
        verify_as(&statement(), &input(), &outputs, &long),
        Err(VerifyError::Malformed("bytes after the proof"))
    );
    for at in (0..made.proof.len()).filter(|i| i % 32 == 0 || i % 32 == 31) {
        for bit in [1, 0x80] {
            let mut flipped = made.proof.clone();
            flipped[at] ^= bit;
            assert!(
                verify_as(&statement(), &input(), &outputs, &flipped).is_err(),
                "byte {at} ^ {bit}"
            );
        }
    }
    assert!(verify_as(&statement(), &input(), &outputs, &[0xff; 4000]).is_err());

    // A key that was stored proves as well; two proofs of one statement share no point.
    let stored = ProvingKey::from_bytes(&pk.to_bytes(), &case.relations, PARAMETERS).unwrap();
    let again = prove(
        &stored,
        &case.relations,
        &srs,
        &statement(),
        &[&input()],
        rand::rngs::OsRng,
    )
    .unwrap();
    verify_as(&statement(), &input(), &outputs, &again.proof).unwrap();
    let words = |p: &[u8]| {
        p.chunks(32)
            .map(<[u8]>::to_vec)
            .collect::<std::collections::BTreeSet<_>>()
    };
    assert!(words(&made.proof).is_disjoint(&words(&again.proof)));
}

#[test]
fn keys_do_not_depend_on_the_number_of_threads() {
    let (relations, srs) = (slice(), Srs::development(9));
    let digest = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            keygen(&relations, PARAMETERS, &srs)
                .unwrap()
                .verifying_key()
                .digest()
        })
    };
    assert_eq!(digest(1), digest(2));
    // Pinned: a change of layout, gates or library version must be a decision.
    assert_eq!(digest(2).to_string(), include_str!("testdata/slice.vk").trim());
}

#[test]
fn rejects_a_damaged_key() {
    let relations = slice();
    let pk = keygen(&relations, PARAMETERS, &Srs::development(9)).unwrap();
    let vk = pk.verifying_key().to_bytes();
    let read = |bytes: &[u8]| VerifyingKey::from_bytes(bytes, pk.shape()).map(|_| ());
    assert_eq!(read(&vk[..vk.len() - 1]), Err(KeyError::Format("verifying")));
    assert_eq!(
        read(&[vk.as_slice(), &[0]].concat()),
        Err(KeyError::Format("verifying"))
    );
    let mut huge = vk.clone();
    huge[6..10].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(read(&huge), Err(KeyError::Format("verifying")));
    assert!(ProvingKey::from_bytes(&vk, &relations, PARAMETERS).is_err());
}

// ---- lying provers: first-phase cells are tampered, everything downstream is recomputed honestly ----

#[test]
fn rejects_an_input_that_is_not_the_public_one() {
    let mut case = case();
    // v + 1 in one cell, v' − 1 … in the next: the packed element changes, so the instance copy must fail.
    case.witness.z[3] += Fr::ONE;
    case.witness.limbs[0][3] += 1;
    case.recount();
    assert!(!case.accepted());
}

#[test]
fn rejects_another_unpacking_of_the_same_element() {
    // x0 + 2^w and x1 − 1 pack to the same element: only the exact range check refuses it.
    let mut case = case();
    case.witness.z[0] += Fr::from(64);
    case.witness.z[1] -= Fr::ONE;
    let low = case.witness.limbs[0][1];
    assert!(low > 0);
    case.witness.limbs[0][1] -= 1;
    case.witness.limbs[1][0] += 4; // 64 = 4 · 16: the second limb leaves its 2-bit table
    case.recount();
    assert!(!case.accepted());
}

#[test]
fn rejects_a_wrong_output() {
    for output in [1, 4, 5] {
        let mut case = case();
        let row = case.linear(output).unit_row;
        let at = case
            .linear(output)
            .units()
            .position(|(u, _)| matches!(u, LinearUnit::Output { .. }))
            .unwrap();
        case.witness.z[row + at] += Fr::ONE;
        assert!(!case.accepted(), "tensor {output}");
    }
}

#[test]
fn rejects_limbs_of_another_accumulator() {
    // Sign, magnitude and remainder stay consistent with each other; only the linear identity is false.
    let mut case = case();
    let linear = case.linear(5);
    let at = linear
        .units()
        .position(|(u, _)| matches!(u, LinearUnit::Output { .. }))
        .unwrap();
    let row = linear.unit_row + at;
    case.witness.limbs[0][row] ^= 1; // remainder's lowest bit: z does not change
    case.recount();
    assert!(!case.accepted());
}

#[test]
fn rejects_outputs_traded_inside_one_packed_element() {
    // y0 + B and y1 − 1 have the same packed sum: the limbs cannot hold y0 + B.
    let mut case = case();
    let linear = case.linear(5);
    let base = linear.packing.base_bits;
    let widths: u32 = linear.limbs.widths().sum::<u32>() + 1;
    assert!(
        base > widths,
        "2^{base} must exceed every accumulator that {widths} bits of limbs can hold"
    );
    let row = linear.unit_row;
    let next = row + 1;
    case.witness.limbs[0][next] ^= 1;
    case.witness.z[row] += Fr::ONE;
    case.recount();
    assert!(!case.accepted());
}

#[test]
fn rejects_a_limb_outside_its_table() {
    let mut case = case();
    let row = case.linear(5).unit_row;
    // 16 more in limb 0, one less in limb 1: the same accumulator, but limb 0 is no 4-bit value.
    let at = (row..row + 5).find(|r| case.witness.limbs[1][*r] > 0);
    // The remainder has one limb of 3 bits here; use two limbs of the magnitude.
    let at = at.unwrap_or(row);
    case.witness.limbs[1][at] += 16;
    case.witness.limbs[2][at] = case.witness.limbs[2][at].wrapping_sub(1);
    if case.witness.limbs[2][at] == u64::MAX {
        case.witness.limbs[2][at] = 0;
    }
    assert!(!case.accepted());
}

#[test]
fn rejects_a_wrong_multiplicity() {
    let mut case = case();
    case.witness.multiplicity[3] += 1;
    assert!(!case.accepted());
    case.witness.multiplicity[3] -= 1;
    assert!(case.accepted());
    case.witness.multiplicity[2] = 1_000_000;
    assert!(!case.accepted());
}

#[test]
fn rejects_a_limb_where_none_is_used() {
    let mut case = case();
    let row = case.layout.plan.rows - 1; // a packed output: no limbs
    case.witness.limbs[0][row] = 1;
    case.recount();
    assert!(!case.accepted());
}

#[test]
fn rejects_a_relu_that_keeps_a_negative_or_drops_a_positive() {
    let base = case();
    let linear = base.linear(1);
    let rows: Vec<_> = linear
        .units()
        .enumerate()
        .filter(|(_, (u, _))| matches!(u, LinearUnit::Output { .. }))
        .map(|(i, _)| linear.unit_row + i)
        .collect();
    let negative = *rows.iter().find(|r| base.witness.sign[**r] == 0).unwrap();
    let positive = *rows
        .iter()
        .find(|r| base.witness.sign[**r] == 1 && base.witness.z[**r] != Fr::ZERO)
        .unwrap();
    for (row, sign) in [(negative, 1), (positive, 0), (negative, 2)] {
        let mut case = case();
        case.witness.sign[row] = sign;
        assert!(!case.accepted(), "row {row}, sign {sign}");
    }
    let mut case = case();
    case.witness.z[positive] = Fr::ZERO;
    assert!(!case.accepted());
}

#[test]
fn rejects_a_maximum_that_is_none_of_the_entries_or_not_the_greatest() {
    let base = case();
    let (row, window) = base
        .layout
        .plan
        .placed
        .iter()
        .find_map(|p| match p {
            Placed::Maximum { row, windows, .. } => Some((*row, windows[0].len())),
            _ => None,
        })
        .unwrap();
    // Greater than every entry: differences stay in range, the product is not 0.
    let mut greater = case();
    let last = row + window - 1;
    greater.witness.z[last] += Fr::ONE;
    greater.witness.limbs[0][last] += 1;
    greater.witness.limbs[greater.layout.plan.max_limbs][last] += 1;
    greater.recount();
    assert!(!greater.accepted());
    // One entry replaced by another value than its copy.
    let mut copied = case();
    copied.witness.x[last] += Fr::ONE;
    assert!(!copied.accepted());
}

#[test]
fn rejects_an_image_that_is_not_a_copy() {
    for output in [1, 4, 5] {
        let mut case = case();
        let linear = case.linear(output);
        let row = linear.image_row + linear.image_rows - 1;
        case.witness.x[row] += Fr::ONE;
        assert!(!case.accepted(), "tensor {output}");
    }
}

#[test]
fn rejects_a_tampered_witness_position() {
    let mut case = case();
    let linear = case.linear(1);
    let at = linear
        .units()
        .position(|(u, _)| matches!(u, LinearUnit::Witness { .. }))
        .unwrap();
    let row = linear.unit_row + at;
    case.witness.z[row] += Fr::ONE;
    assert!(!case.accepted());
}

#[test]
fn every_first_phase_cell_of_the_slice_is_constrained() {
    // One more in each cell that any row type uses; nothing may survive but cells that no claim reads.
    let base = case();
    let rows = base.layout.plan.rows;
    let mut survivors = Vec::new();
    let typed = |role: Role, row: usize| base.layout.fixed.get(&role).is_some_and(|c| c[row] != Fr::ZERO);
    let requantised = |row: usize| {
        (0..base.layout.shape.requantisations.len()).any(|i| typed(Role::Requantise(i as u8), row))
    };
    for row in (0..rows).step_by(3) {
        for column in 0..usize::from(base.layout.shape.limb_columns) {
            let mut case = case();
            case.witness.limbs[column][row] += 1;
            if case.recount() && case.accepted() {
                survivors.push(format!("limb {column} row {row}"));
            }
        }
        let value = typed(Role::Input, row)
            || typed(Role::Pack, row)
            || typed(Role::Witness, row)
            || requantised(row)
            || typed(Role::TournamentStart, row)
            || typed(Role::TournamentStep, row);
        if value {
            let mut case = case();
            case.witness.z[row] += Fr::ONE;
            if case.accepted() {
                survivors.push(format!("z row {row}"));
            }
        }
        if requantised(row) {
            let mut case = case();
            case.witness.sign[row] ^= 1;
            if case.accepted() {
                survivors.push(format!("sign row {row}"));
            }
        }
    }
    assert!(survivors.is_empty(), "unconstrained: {survivors:?}");
}
