//! No byte, slice, tensor or manifest of a receipt can be changed.

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use zkml::backend::{Circuit, NO_SRS};
use zkml::halo2::CircuitShape;

use super::*;
use crate::tests::Onnx;

in_every_proof_system! {
    rejects_any_changed_removed_or_added_byte,
    rejects_slices_left_out_doubled_swapped_or_from_another_request,
    rejects_forged_tensors_skip_connections_included,
    rejects_another_models_manifest_and_manifests_that_do_not_hang_together,
    a_model_whose_weights_round_to_nothing_is_not_the_genuine_one,
    missing_key_files_are_named,
}

fn rejects_any_changed_removed_or_added_byte(system: Tested) {
    let (model, good) = (model(system), receipt(system).to_bytes());
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    // A proof of SumcheckWhir is checked after its key was derived.
    let flips = if system.id() == ProofSystem::Halo2Kzg {
        500
    } else {
        150
    };
    let step = (good.len() / flips).max(1);
    for at in (0..good.len()).step_by(step) {
        let mut bad = good.clone();
        bad[at] ^= 1u8 << rng.gen_range(0..8);
        assert!(!model.verify(&bad).valid(), "byte {at}");
    }
    for len in (0..good.len()).step_by((good.len() / 4000).max(1)) {
        assert!(!model.verify(&good[..len]).valid(), "{len} bytes");
    }
    for at in (0..good.len()).step_by(good.len() / 60) {
        let (mut more, mut less) = (good.clone(), good.clone());
        more.insert(at, rng.r#gen());
        less.remove(at);
        assert!(
            !model.verify(&more).valid() && !model.verify(&less).valid(),
            "byte {at}"
        );
    }
    assert!(!model.verify(&[good.as_slice(), &[0]].concat()).valid());
    assert!(model.verify(&good).valid());
}

/// The receipt with a change, which must be rejected, and how that is said.
fn rejected(system: Tested, what: &str, change: impl FnOnce(&mut Receipt), expected: &str) {
    let mut bad = receipt(system).clone();
    change(&mut bad);
    let report = model(system).verify(&bad.to_bytes());
    assert!(!report.valid(), "{what} was accepted");
    assert!(said(&report).contains(expected), "{what}: {}", said(&report));
}

fn rejects_slices_left_out_doubled_swapped_or_from_another_request(system: Tested) {
    let slices = receipt(system).slices.len();
    rejected(
        system,
        "a slice left out",
        |r| assert!(r.slices.pop().is_some()),
        "slice proofs, the manifest",
    );
    rejected(
        system,
        "a slice more",
        |r| r.slices.push(r.slices[0].clone()),
        "slice proofs, the manifest",
    );
    rejected(
        system,
        "a slice doubled",
        |r| r.slices[1] = r.slices[0].clone(),
        "the same claim",
    );
    for at in 1..slices {
        rejected(
            system,
            "two slices swapped",
            |r| r.slices.swap(at - 1, at),
            "Slice",
        );
    }
    let other = model(system).run(&model(system).input(1), 2);
    for at in 0..slices {
        rejected(
            system,
            "another request's slice",
            |r| r.slices[at] = other.slices[at].clone(),
            "does not hold",
        );
    }
    rejected(
        system,
        "another request's uid",
        |r| r.request = RequestUid::new([9; 16]),
        "does not hold",
    );
    rejected(
        system,
        "another network",
        |r| r.network.push('x'),
        "does not hold",
    );
    rejected(
        system,
        "another miner's name",
        |r| r.slices[0].identity = Identity::new([99; 32]),
        "Slice 0: the proof does not hold",
    );
    rejected(
        system,
        "another claim",
        |r| r.slices[2].claim = ClaimId::new([99; 16]),
        "Slice 2: the proof does not hold",
    );
}

fn rejects_forged_tensors_skip_connections_included(system: Tested) {
    assert!(receipt(system).inner.len() >= 3);
    let skip = {
        let manifest = &receipt(system).manifest;
        let readers = |id| manifest.slices.iter().filter(|s| s.inputs.contains(&id)).count();
        receipt(system)
            .inner
            .iter()
            .position(|t| readers(t.id) >= 2)
            .expect("a skip tensor crosses slices")
    };
    rejected(
        system,
        "a forged skip tensor",
        |r| r.inner[skip].values[0] ^= 1,
        "does not hold",
    );
    for at in 0..receipt(system).inner.len() {
        rejected(
            system,
            "a forged tensor",
            |r| r.inner[at].values[1] ^= 1,
            "does not hold",
        );
    }
    rejected(
        system,
        "a forged input",
        |r| r.input[0].values[0] ^= 1,
        "does not hold",
    );
    rejected(
        system,
        "a forged output",
        |r| r.output[0].values[0] ^= 1,
        "does not hold",
    );
    rejected(
        system,
        "a value out of range",
        |r| r.inner[0].values[0] = 1 << 40,
        "out of its range",
    );
    rejected(
        system,
        "a value less",
        |r| assert!(r.inner[0].values.pop().is_some()),
        "values, the manifest says",
    );
    rejected(
        system,
        "a tensor less",
        |r| assert!(r.inner.pop().is_some()),
        "not those of its manifest",
    );
    rejected(
        system,
        "a tensor twice",
        |r| r.inner.push(r.inner[0].clone()),
        "not those of its manifest",
    );
    rejected(
        system,
        "two tensors swapped",
        |r| r.inner.swap(0, 1),
        "not those of its manifest",
    );
}

fn rejects_another_models_manifest_and_manifests_that_do_not_hang_together(system: Tested) {
    rejected(
        system,
        "other integers",
        |r| r.manifest.quantisation.shifts[0] ^= 1,
        "is for manifest",
    );
    rejected(
        system,
        "another SRS",
        |r| r.srs = Digest::of(b"srs"),
        "names another SRS",
    );
    rejected(
        system,
        "a slice without nodes",
        |r| r.manifest.slices[0].node_count = 0,
        "not well-formed",
    );
    rejected(
        system,
        "an unmade input",
        |r| r.manifest.slices[0].inputs = r.manifest.outputs.clone(),
        "not well-formed",
    );
    rejected(system, "another version", |r| r.version = 3, "version 3");
    rejected(system, "the version before", |r| r.version = 1, "6acf6bc");
    rejected(
        system,
        "a long network",
        |r| r.network = "x".repeat(65),
        "too long",
    );

    let dense = Onnx::new(&[1, 2, 6, 6]).node("Relu", &["x"], "y", vec![]);
    let other = Model::new(dense.bytes(), 1, system);
    let report = other.verify(&receipt(system).to_bytes());
    assert!(!report.valid() && said(&report).contains("not for yours"));
    let report = verify(&receipt(system).to_bytes(), &other.by_model());
    assert!(!report.valid() && said(&report).contains("does not follow from your model"));
}

fn a_model_whose_weights_round_to_nothing_is_not_the_genuine_one(system: Tested) {
    // The attack: exponents so low that every weight is 0; the receipt would still name the genuine model.
    let mut bad = receipt(system).clone();
    bad.manifest.quantisation.shifts.iter_mut().for_each(|s| *s = 0);
    let report = verify(&bad.to_bytes(), &model(system).by_model());
    assert!(
        !report.valid() && said(&report).contains("lose more than"),
        "{}",
        said(&report)
    );
}

fn missing_key_files_are_named(system: Tested) {
    let model = model(system);
    let none = |_: Digest| None;
    let against = Against::Manifest {
        manifest: &model.compiled.manifest,
        files: &none,
    };
    let verification = Verification {
        allow_development_srs: true,
        systems: known(),
        ..Verification::new(against)
    };
    let report = verify(&receipt(system).to_bytes(), &verification);
    assert!(!report.valid() && said(&report).contains("is not among the files"));
}

#[test]
fn a_proof_of_one_system_is_none_of_the_other() {
    let all = tested();
    let pairs = all.iter().flat_map(|a| all.iter().map(move |b| (*a, *b)));
    for (system, other) in pairs.filter(|(a, b)| a.id() != b.id()) {
        // The same statement's proof in the other system, then the other system's word in the manifest.
        rejected(
            system,
            "another system's proof",
            |r| r.slices[0].proof = receipt(other).slices[0].proof.clone(),
            "Slice 0",
        );
        rejected(
            system,
            "another system's receipt",
            |r| *r = receipt(other).clone(),
            "is for manifest",
        );
        rejected(
            system,
            "another system's name",
            |r| r.manifest.proof_system = other.id(),
            "not well-formed",
        );
    }
}

#[test]
fn where_there_is_no_trusted_setup_a_receipt_names_none() {
    rejected(
        SUMCHECK,
        "an SRS",
        |r| (r.srs, r.manifest.srs) = (Digest::of(b"srs"), Digest::of(b"srs")),
        "has no trusted setup",
    );
    rejected(
        HALO2,
        "no SRS",
        |r| (r.srs, r.manifest.srs) = (NO_SRS, NO_SRS),
        "needs a trusted setup",
    );
}

#[test]
fn a_receipt_cannot_keep_a_verifier_busy_with_a_needlessly_large_circuit() {
    let mut bad = receipt(HALO2).clone();
    let mut shape: CircuitShape = bad.manifest.slices[0].circuit.read().unwrap();
    shape.k = zkml::halo2::MAX_K;
    bad.manifest.slices[0].circuit = Circuit::of(&shape);
    let started = std::time::Instant::now();
    let report = verify(&bad.to_bytes(), &model(HALO2).by_model());
    assert!(
        !report.valid() && said(&report).contains("the size of slice 0's circuit"),
        "{}",
        said(&report)
    );
    // An SRS of that size alone takes over a minute.
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
}
