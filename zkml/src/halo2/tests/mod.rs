//! Honest provers are believed, lying ones are not: [`lying`] tampers with the first phase and recomputes what follows
//! honestly, [`gates`] shows for each gate a lie that it alone refuses, [`table_lies`] is both for reads of tables.

mod extremes;
mod gates;
mod lying;
mod public;
mod table_lies;
mod tables;

use std::sync::Arc;

use halo2_proofs::dev::MockProver;
use halo2_proofs::halo2curves::bn256::Fr;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use zkinfer_crds::Digest;

use self::gates::Lying;
use super::circuit::DEGREE;
use super::instance::instance;
use super::layout::Layout;
use super::plan::{LinearUnit, Placed};
use super::synthesize::SliceCircuit;
use super::witness::{Witness, multiplicities};
use super::*;
use crate::graph::bound::accumulator_bound;
use crate::graph::{Activation, IntRange, LinearMap, Requantise, TensorId};
use crate::relations::{InstanceError, Relation, SliceRelations, SliceTensor};
use crate::setup::Srs;

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
        bias: vec![40, -30, 7].into(),
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
        scale: vec![3, -5].into(),
        bias: vec![2].into(),
    };
    let dense = LinearMap::Dense {
        inputs: 12,
        outputs: 5,
        weight: (0..60).map(|_| rng.gen_range(-9..10)).collect(),
        bias: vec![1, 2, 3, -4, -5].into(),
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
                windows: pooled.iter().collect(),
                output: TensorId(2),
            },
            Relation::Wired {
                input: TensorId(0),
                source: Some(skip.into()),
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
    lie: Option<gates::SecondLie>,
}

fn case() -> Case {
    case_of(slice(), &[&input()])
}

fn case_of(relations: SliceRelations, inputs: &[&[i64]]) -> Case {
    let layout = Arc::new(Layout::new(&relations, PARAMETERS).unwrap());
    let witness = Witness::new(&layout, &relations, inputs).unwrap();
    let outputs: Vec<&[i64]> = witness.outputs.iter().map(Vec::as_slice).collect();
    let instance = instance(relations.boundary(), &statement(), inputs, &outputs).unwrap();
    Case {
        relations,
        layout,
        witness,
        instance,
        lie: None,
    }
}

impl Case {
    /// Whether the constraint system accepts. Second-phase columns are recomputed from the (tampered) first, then lied about.
    fn accepted(&self) -> bool {
        let witness = Some(Arc::new(self.witness.clone()));
        let circuit = SliceCircuit::new(Arc::clone(&self.layout), witness, Lying(self.lie.clone()));
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
        let Witness { limbs, x, z, .. } = &self.witness;
        let Some(multiplicity) = multiplicities(&self.layout, limbs, x, z) else {
            return false;
        };
        self.witness.multiplicity = multiplicity;
        true
    }
}

#[test]
fn witness_agrees_with_the_plain_checkers() {
    let case = case();
    let mut values = std::collections::BTreeMap::from([(TensorId(0), input())]);
    for (tensor, v) in case.relations.outputs.iter().zip(&case.witness.outputs) {
        values.insert(tensor.id, v.clone());
    }
    // Inner tensors of a slice are not in its witness's outputs: look at one whose every tensor is an output.
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

/// A convolution of `[5, 1, 1]` whose taps lie two rows apart, read at every third row: both beside the one row there is.
fn reads_only_padding() -> LinearMap {
    LinearMap::Conv2d {
        input: [5, 1, 1],
        output: [5, 1, 1],
        kernel: [2, 1],
        stride: [3, 1],
        dilation: [2, 1],
        pad: [1, 0],
        groups: 5,
        weight: (1..11).collect(),
        bias: vec![5, -6, 7, -8, 9].into(),
    }
}

#[test]
fn a_convolution_that_reads_only_padding_is_its_bias_and_nothing_else() {
    let range = IntRange::signed(6);
    let keep = Requantise {
        shift: 0,
        bits: 6,
        activation: Activation::Identity,
    };
    let scaled = LinearMap::Affine {
        outer: 1,
        channels: 5,
        inner: 1,
        scale: vec![1, -2, 1, 1, 2].into(),
        bias: vec![0; 5].into(),
    };
    let tensor = |id| SliceTensor {
        id: TensorId(id),
        len: 5,
        range,
    };
    let claim = Relation::Range {
        tensor: TensorId(0),
        range,
    };
    // First in the circuit, and after another map, whose sum is none of its business.
    let alone = vec![requantised(&[(0, range)], reads_only_padding(), keep, 2)];
    let after = vec![
        requantised(&[(0, range)], scaled, keep, 1),
        requantised(&[(1, range)], reads_only_padding(), keep, 2),
    ];
    for relations in [alone, after] {
        let relations = SliceRelations {
            inputs: vec![tensor(0)],
            outputs: vec![tensor(2)],
            relations: [vec![claim.clone()], relations].concat(),
        };
        let layout = Arc::new(Layout::new(&relations, PARAMETERS).unwrap());
        let x = [3i64, -4, 5, 6, -7];
        let witness = Witness::new(&layout, &relations, &[&x]).unwrap();
        assert_eq!(witness.outputs, [vec![5, -6, 7, -8, 9]]);
        let case = |y: &[i64]| Case {
            instance: instance(relations.boundary(), &statement(), &[&x], &[y]).unwrap(),
            relations: relations.clone(),
            layout: Arc::clone(&layout),
            witness: witness.clone(),
            lie: None,
        };
        assert!(case(&[5, -6, 7, -8, 9]).accepted());
        // Another answer than the bias, and its limbs with all that follows from them.
        assert!(!case(&[5, -6, 7, -8, 10]).accepted());
        let mut lying = case(&[5, -6, 7, -8, 9]);
        let linear = lying.linear(2);
        let output = |(unit, _): (LinearUnit, bool)| matches!(unit, LinearUnit::Output { .. });
        let row = linear.unit_row + linear.units().position(output).unwrap();
        lying.witness.limbs[0][row] ^= 1;
        assert!(lying.recount(), "the limb is still one of the table's");
        assert!(!lying.accepted());
    }
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
    assert_eq!(
        super::layout::roles(&case.layout.plan, &case.relations)
            .into_iter()
            .collect::<Vec<_>>(),
        case.layout.shape.roles
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
    assert_eq!(digest(2).to_string(), include_str!("../testdata/slice.vk").trim());
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

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(16))]
    /// The slices and values that the other backend is tested with: both accept what the plain checkers accept.
    #[test]
    fn agrees_with_the_plain_checkers_on_random_slices(seed in proptest::prelude::any::<u64>(), values in proptest::prelude::any::<u64>()) {
        use crate::sumcheck::tests::slices;
        let relations = slices::random(seed);
        let inputs = slices::inputs(&relations, values);
        let expected = slices::values(&relations, &inputs);
        crate::relations::check(&relations, &expected).unwrap();
        // Accumulators of 30 bits and more have no layout at every width here.
        let Ok(parameters) = choose_parameters(&relations) else {
            return Err(proptest::prelude::TestCaseError::reject("no layout"));
        };
        let layout = Arc::new(Layout::new(&relations, parameters).unwrap());
        // What is predicted without a layout: a column more where every cell that it could have is 0.
        let predicted = super::layout::roles(&layout.plan, &relations);
        let had = layout.fixed.keys().copied().collect();
        proptest::prop_assert!(predicted.is_superset(&had), "{predicted:?} {had:?}");
        let more = predicted.difference(&had).filter(|r| !matches!(r, super::shape::Role::Weight(_) | super::shape::Role::Constant));
        proptest::prop_assert_eq!(more.count(), 0, "{:?} {:?}", predicted, had);
        let views: Vec<&[i64]> = inputs.iter().map(Vec::as_slice).collect();
        let witness = Witness::new(&layout, &relations, &views).unwrap();
        for (tensor, got) in relations.outputs.iter().zip(&witness.outputs) {
            proptest::prop_assert_eq!(got, &expected[&tensor.id]);
        }
        let outputs: Vec<&[i64]> = witness.outputs.iter().map(Vec::as_slice).collect();
        let instance = instance(relations.boundary(), &statement(), &views, &outputs).unwrap();
        let case = Case { relations, layout, witness, instance, lie: None };
        proptest::prop_assert!(case.accepted());
    }
}
