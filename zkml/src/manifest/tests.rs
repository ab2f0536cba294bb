//! Encodings that must not change by accident, and manifests that are of no proof system.

use zkinfer_crds::{Digest, ProofSystem};

use super::*;
use crate::backend::{Circuit, NO_SRS};
use crate::graph::{IntRange, Profile, QuantisationPlan, TensorId, TensorInfo};
use crate::halo2::{CircuitShape, Role};
use crate::sumcheck::SumcheckShape;
use crate::systems::{self, SYSTEMS};

/// One slice of one node, from tensor 0 to tensor 1.
fn manifest(system: ProofSystem) -> Manifest {
    let tensor = |id: u32| BoundaryTensor {
        id: TensorId(id),
        info: TensorInfo {
            name: format!("t{id}"),
            shape: vec![1, 2],
            range: IntRange::signed(8),
            exponent: 4,
            whole: false,
            ranks: None,
        },
    };
    let (srs, circuit) = match system {
        ProofSystem::Halo2Kzg => (
            Digest::of(b"srs"),
            Circuit::of(&CircuitShape {
                k: 9,
                limb_bits: 8,
                limb_columns: 2,
                max_limbs: 0,
                requantisations: Vec::new(),
                roles: vec![Role::On, Role::Tag(1)],
            }),
        ),
        ProofSystem::SumcheckWhir => (NO_SRS, Circuit::of(&SumcheckShape { limb_bits: 8 })),
    };
    Manifest {
        version: VERSION,
        batch: 1,
        model: Digest::of(b"model"),
        quantisation: QuantisationPlan {
            profile: Profile::P8,
            tensors: Vec::new(),
            shifts: Vec::new(),
        },
        graph: Digest::of(b"graph"),
        node_count: 1,
        error_budget_millionths: 20_000,
        proof_system: system.into(),
        parameter_id: systems::of(system).parameter_id(),
        srs,
        inputs: vec![TensorId(0)],
        outputs: vec![TensorId(1)],
        boundary: vec![tensor(0), tensor(1)],
        slices: vec![ManifestSlice {
            first_node: 0,
            node_count: 1,
            inputs: vec![TensorId(0)],
            outputs: vec![TensorId(1)],
            circuit,
            vk: Digest::of(b"vk"),
        }],
    }
}

const BOTH: [ProofSystem; 2] = [ProofSystem::Halo2Kzg, ProofSystem::SumcheckWhir];

#[test]
fn a_slices_parameters_match_the_golden_vectors_and_are_told_by_their_fields() {
    let encoded = |system: ProofSystem| {
        let bytes = canonical::to_bytes(&manifest(system).slices[0].circuit);
        let text: String = bytes
            .iter()
            .map(|b| {
                if b.is_ascii_graphic() {
                    char::from(*b).to_string()
                } else {
                    format!("<{b:02x}>")
                }
            })
            .collect();
        text
    };
    // {"k": 9, "roles": ["On", {"Tag": 1}], "limb_bits": 8, "max_limbs": 0, "limb_columns": 2, "requantisations": []}
    assert_eq!(
        encoded(ProofSystem::Halo2Kzg),
        "<a6>ak<09>eroles<82>bOn<a1>cTag<01>ilimb_bits<08>imax_limbs<00>llimb_columns<02>orequantisations<80>"
    );
    // {"limb_bits": 8}
    assert_eq!(encoded(ProofSystem::SumcheckWhir), "<a1>ilimb_bits<08>");
}

#[test]
fn decodes_what_it_encodes_in_both_proof_systems() {
    for system in BOTH {
        let manifest = manifest(system);
        assert_eq!(Manifest::from_bytes(&manifest.to_bytes(), SYSTEMS), Ok(manifest));
    }
}

#[test]
fn names_the_files_that_a_verifier_needs() {
    let files = |system| manifest(system).files(systems::of(system)).collect::<Vec<_>>();
    let (vk, graph) = (Digest::of(b"vk"), Digest::of(b"graph"));
    assert_eq!(files(ProofSystem::Halo2Kzg), [vk, graph]);
    assert_eq!(files(ProofSystem::SumcheckWhir), [graph]);
}

#[test]
fn an_srs_is_named_exactly_where_the_proof_system_rests_on_one() {
    for (system, srs) in [
        (ProofSystem::Halo2Kzg, NO_SRS),
        (ProofSystem::SumcheckWhir, Digest::of(b"srs")),
    ] {
        let mut bad = manifest(system);
        bad.srs = srs;
        assert!(
            matches!(bad.check(SYSTEMS), Err(ManifestError::Srs { proof_system, .. }) if proof_system == system)
        );
        assert!(Manifest::from_bytes(&bad.to_bytes(), SYSTEMS).is_err());
    }
}

#[test]
fn parameters_of_another_proof_system_are_refused() {
    for (system, other) in [(BOTH[0], BOTH[1]), (BOTH[1], BOTH[0])] {
        let mut bad = manifest(system);
        bad.slices[0].circuit = manifest(other).slices[0].circuit.clone();
        assert_eq!(
            bad.check(SYSTEMS),
            Err(ManifestError::Circuit {
                slice: 0,
                proof_system: system.into(),
                got: other.into()
            })
        );
        let mut bad = manifest(system);
        bad.parameter_id = systems::of(other).parameter_id();
        assert!(matches!(
            bad.check(SYSTEMS),
            Err(ManifestError::Parameters { .. })
        ));
    }
    let mut wide = manifest(ProofSystem::SumcheckWhir);
    wide.slices[0].circuit = Circuit::of(&SumcheckShape { limb_bits: 64 });
    assert_eq!(
        wide.check(SYSTEMS),
        Err(ManifestError::Limit("a slice's circuit"))
    );
}

#[test]
fn a_manifest_is_of_a_proof_system_in_the_list_that_its_reader_was_given() {
    let only: [&dyn System; 1] = [systems::of(ProofSystem::Halo2Kzg)];
    let only = Systems::new(&only);
    assert_eq!(manifest(ProofSystem::Halo2Kzg).check(only), Ok(()));
    let other = manifest(ProofSystem::SumcheckWhir);
    let unknown = ManifestError::System(UnknownSystem(ProofSystem::SumcheckWhir.into()));
    assert_eq!(other.check(only), Err(unknown));
    let mut of_none = manifest(ProofSystem::SumcheckWhir);
    of_none.slices[0].circuit = Circuit::of(&[7]);
    assert_eq!(
        of_none.check(SYSTEMS),
        Err(ManifestError::NoCircuit {
            slice: 0,
            proof_system: ProofSystem::SumcheckWhir.into()
        })
    );
}

#[test]
fn a_manifest_of_one_input_at_a_time_says_nothing_of_a_batch() {
    let alone = manifest(ProofSystem::SumcheckWhir);
    let bytes = alone.to_bytes();
    assert!(!bytes.windows(5).any(|w| w == b"batch"));
    // One that says so has another encoding, and that is none.
    let mut said = bytes.clone();
    let at = said.windows(6).position(|w| w == b"\x65graph").unwrap();
    said.splice(at..at, *b"\x65batch\x01");
    said[0] += 1;
    assert!(Manifest::from_bytes(&said, SYSTEMS).is_err());
}

#[test]
fn a_batch_has_a_row_for_each_input_in_every_tensor_of_the_request() {
    let batch = |batch: u32, input: u32, output: u32| {
        let mut made = manifest(ProofSystem::SumcheckWhir);
        made.batch = batch;
        made.boundary[0].info.shape = vec![input, 2];
        made.boundary[1].info.shape = vec![output, 2];
        made
    };
    for good in [batch(4, 4, 4), batch(4, 4, 12)] {
        assert_eq!(Manifest::from_bytes(&good.to_bytes(), SYSTEMS), Ok(good));
    }
    for (bad, tensor) in [
        (batch(4, 1, 4), 0),
        (batch(4, 8, 4), 0),
        (batch(4, 4, 1), 1),
        (batch(4, 4, 6), 1),
    ] {
        let what = "it has no row for each input of the batch";
        assert_eq!(bad.check(SYSTEMS), Err(ManifestError::Wiring { tensor, what }));
    }
    for size in [0, MAX_BATCH + 1] {
        let refused = batch(size, size.max(1), size.max(1)).check(SYSTEMS);
        assert_eq!(refused, Err(ManifestError::Limit("the size of the batch")));
    }
}

/// The work of whoever reads a manifest follows these counts: each is refused before anything is looked up in them.
#[test]
fn a_manifest_of_more_tensors_or_reads_than_anybody_needs_is_refused() {
    for system in BOTH {
        let refused = |change: &dyn Fn(&mut Manifest)| {
            let mut manifest = manifest(system);
            change(&mut manifest);
            match manifest.check(SYSTEMS) {
                Err(ManifestError::Limit(what)) => what,
                other => panic!("{other:?}"),
            }
        };
        let many = |count: usize| vec![TensorId(0); count + 1];
        let tensors = refused(&|m| {
            let one = m.boundary[0].clone();
            m.boundary.resize(MAX_BOUNDARY + 1, one);
        });
        assert_eq!(tensors, "the number of boundary tensors");
        let counts: [&dyn Fn(&mut Manifest); 4] = [
            &|m| m.slices[0].inputs = many(MAX_READS),
            &|m| m.slices[0].outputs = many(MAX_BOUNDARY),
            &|m| m.inputs = many(MAX_BOUNDARY),
            &|m| m.outputs = many(MAX_BOUNDARY),
        ];
        for count in counts {
            assert_eq!(refused(count), "the number of tensors that slices read or make");
        }
    }
}
