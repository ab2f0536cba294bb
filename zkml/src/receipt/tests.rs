//! A receipt convinces; whatever is done to it does not.

use std::sync::OnceLock;

use rand::rngs::OsRng;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

use zkinfer_crds::ProofSystem;

use super::*;
use crate::backend::{self, Circuit, Setup};
use crate::compile::{CompileOptions, Compiled, Plan, compile, plan};
use crate::graph::tests::{Onnx, network};
use crate::graph::{FloatInput, IntTensor, dequantise, synthetic_samples};
use crate::halo2::SrsSource;
use crate::slice::SlicingOptions;

/// A compiled model with the files that its manifest names.
struct Model {
    onnx: Vec<u8>,
    plan: Plan,
    compiled: Compiled,
    setup: Setup,
}

impl Model {
    fn new(onnx: Vec<u8>, parallelism: u32, proof_system: ProofSystem) -> Self {
        let options = CompileOptions {
            profile: None,
            error_budget_millionths: 200_000,
            output_scale: None,
            compare_top1: true,
            proof_system,
            slicing: SlicingOptions {
                parallelism,
                memory_per_worker: None,
            },
        };
        let plan = plan(&onnx, None, &options).unwrap();
        let setup = plan.setup(Some(&SrsSource::Development)).unwrap();
        let compiled = compile(&plan, &setup, &|_| ()).unwrap();
        Self {
            onnx,
            plan,
            compiled,
            setup,
        }
    }

    /// Proves an answer; returns its receipt.
    fn run(&self, input: &IntTensor, request: u8) -> Receipt {
        let manifest = &self.compiled.manifest;
        let tensors = self.plan.graph.evaluate(std::slice::from_ref(input)).unwrap();
        let request = RequestUid::new([request; 16]);
        let mut builder = ReceiptBuilder::new(manifest, "test", request, &tensors).unwrap();
        for index in 0..manifest.slices.len() {
            let slice = SliceIndex(index as u32);
            let prover = self
                .compiled
                .prover(&self.plan.graph, &self.setup, slice)
                .unwrap();
            let claim = ClaimId::new(OsRng.r#gen());
            let identity = Identity::new([index as u8; 32]);
            let inputs: Vec<Vec<i64>> = builder
                .boundary(slice)
                .unwrap()
                .0
                .iter()
                .map(|v| v.to_vec())
                .collect();
            let statement = builder.statement(slice, claim, identity);
            let (envelope, _) = prover.prove(&statement, &inputs, OsRng).unwrap();
            builder.add(slice, claim, identity, &envelope).unwrap();
        }
        builder.finish().unwrap()
    }

    fn input(&self, seed: u64) -> IntTensor {
        let sample = synthetic_samples(&self.plan.float, 1, seed).remove(0).remove(0);
        let info = &self.plan.graph.tensors[self.plan.graph.inputs[0].0 as usize];
        let shape = info.shape.iter().map(|&d| d as usize).collect();
        // Half the size of the calibration samples: surely in range.
        let values = sample.iter().map(|v| v / 2.0).collect();
        crate::graph::quantise_input(info, &FloatInput { shape, values }).unwrap()
    }

    /// Depth (a), with the development SRS allowed.
    fn verify(&self, bytes: &[u8]) -> Report {
        let files = |digest: Digest| self.compiled.file(digest);
        let against = Against::Manifest {
            manifest: &self.compiled.manifest,
            files: &files,
        };
        verify(
            bytes,
            &Verification {
                against,
                srs: &[],
                allow_development_srs: true,
                input: None,
            },
        )
    }
}

/// The residual network in at least four slices: a skip tensor crosses them.
fn model(system: ProofSystem) -> &'static Model {
    static MODELS: [OnceLock<Model>; 2] = [OnceLock::new(), OnceLock::new()];
    MODELS[system as usize].get_or_init(|| Model::new(network().bytes(), 5, system))
}

fn receipt(system: ProofSystem) -> &'static Receipt {
    static RECEIPTS: [OnceLock<Receipt>; 2] = [OnceLock::new(), OnceLock::new()];
    let model = model(system);
    RECEIPTS[system as usize].get_or_init(|| model.run(&model.input(1), 1))
}

fn srs(system: ProofSystem) -> Option<&'static SrsSource> {
    backend::needs_srs(system).then_some(&SrsSource::Development)
}

/// Each of these must hold of both proof systems.
macro_rules! in_both_proof_systems {
    ($($name:ident,)*) => {
        mod halo2_kzg {
            $(#[test] fn $name() { super::$name(zkinfer_crds::ProofSystem::Halo2Kzg); })*
        }
        mod sumcheck_whir {
            $(#[test] fn $name() { super::$name(zkinfer_crds::ProofSystem::SumcheckWhir); })*
        }
    };
}

in_both_proof_systems! {
    an_honest_receipt_is_valid_at_every_depth,
    rejects_any_changed_removed_or_added_byte,
    rejects_slices_left_out_doubled_swapped_or_from_another_request,
    rejects_forged_tensors_skip_connections_included,
    rejects_another_models_manifest_and_manifests_that_do_not_hang_together,
    a_model_whose_weights_round_to_nothing_is_not_the_genuine_one,
    missing_key_files_are_named,
    keys_and_manifest_do_not_depend_on_the_number_of_threads,
}

fn said(report: &Report) -> String {
    report
        .sentences
        .iter()
        .map(|s| format!("{:?}: {}\n", s.outcome, s.text))
        .collect()
}

fn an_honest_receipt_is_valid_at_every_depth(system: ProofSystem) {
    let (model, bytes) = (model(system), receipt(system).to_bytes());
    assert!(model.compiled.manifest.slices.len() >= 4);
    let report = model.verify(&bytes);
    assert!(report.valid(), "{}", said(&report));
    assert_eq!(
        said(&report).contains("FORGEABLE BY ANYONE"),
        system == ProofSystem::Halo2Kzg
    );
    assert!(said(&report).contains(&format!("The proofs are of {system}")));
    assert!(said(&report).contains("NotChecked: The input was not checked"));

    let own: Vec<FloatInput> = {
        let info = &model.plan.graph.tensors[0];
        let values = dequantise(info, &receipt(system).input[0].values);
        vec![FloatInput {
            shape: info.shape.iter().map(|&d| d as usize).collect(),
            values,
        }]
    };
    let against = Against::Model {
        onnx: &model.onnx,
        srs: srs(system),
        manifest: None,
    };
    let with_model = Verification {
        against,
        srs: &[],
        allow_development_srs: true,
        input: Some(&own),
    };
    let report = verify(&bytes, &with_model);
    assert!(report.valid(), "{}", said(&report));
    assert!(report.error_vs_float.is_some_and(|e| e < 0.2));
    assert!(report.sentences.iter().all(|s| s.outcome == Outcome::Holds));

    let mut other = own.clone();
    other[0].values[0] += 0.5;
    let report = verify(
        &bytes,
        &Verification {
            input: Some(&other),
            ..with_model
        },
    );
    assert!(!report.valid() && said(&report).contains("is not your input"));
}

#[test]
fn the_development_srs_is_refused_unless_it_is_allowed() {
    let model = model(ProofSystem::Halo2Kzg);
    let files = |digest: Digest| model.compiled.file(digest);
    let against = Against::Manifest {
        manifest: &model.compiled.manifest,
        files: &files,
    };
    let report = verify(
        &receipt(ProofSystem::Halo2Kzg).to_bytes(),
        &Verification {
            against,
            srs: &[],
            allow_development_srs: false,
            input: None,
        },
    );
    assert!(!report.valid() && said(&report).contains("FORGEABLE BY ANYONE"));
}

fn rejects_any_changed_removed_or_added_byte(system: ProofSystem) {
    let (model, good) = (model(system), receipt(system).to_bytes());
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    // A proof of SumcheckWhir is checked after its key was derived.
    let flips = if system == ProofSystem::Halo2Kzg { 500 } else { 150 };
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
fn rejected(system: ProofSystem, what: &str, change: impl FnOnce(&mut Receipt), expected: &str) {
    let mut bad = receipt(system).clone();
    change(&mut bad);
    let report = model(system).verify(&bad.to_bytes());
    assert!(!report.valid(), "{what} was accepted");
    assert!(said(&report).contains(expected), "{what}: {}", said(&report));
}

fn rejects_slices_left_out_doubled_swapped_or_from_another_request(system: ProofSystem) {
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

fn rejects_forged_tensors_skip_connections_included(system: ProofSystem) {
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

fn rejects_another_models_manifest_and_manifests_that_do_not_hang_together(system: ProofSystem) {
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
    rejected(system, "another version", |r| r.version = 2, "version 2");
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
    let against = Against::Model {
        onnx: &other.onnx,
        srs: srs(system),
        manifest: None,
    };
    let report = verify(
        &receipt(system).to_bytes(),
        &Verification {
            against,
            srs: &[],
            allow_development_srs: true,
            input: None,
        },
    );
    assert!(!report.valid() && said(&report).contains("does not follow from your model"));
}

fn a_model_whose_weights_round_to_nothing_is_not_the_genuine_one(system: ProofSystem) {
    // The attack: exponents so low that every weight is 0; the receipt would still name the genuine model.
    let mut bad = receipt(system).clone();
    bad.manifest.quantisation.shifts.iter_mut().for_each(|s| *s = 0);
    let against = Against::Model {
        onnx: &model(system).onnx,
        srs: srs(system),
        manifest: None,
    };
    let verification = Verification {
        against,
        srs: &[],
        allow_development_srs: true,
        input: None,
    };
    let report = verify(&bad.to_bytes(), &verification);
    assert!(
        !report.valid() && said(&report).contains("lose more than"),
        "{}",
        said(&report)
    );
}

fn missing_key_files_are_named(system: ProofSystem) {
    let model = model(system);
    let none = |_: Digest| None;
    let against = Against::Manifest {
        manifest: &model.compiled.manifest,
        files: &none,
    };
    let report = verify(
        &receipt(system).to_bytes(),
        &Verification {
            against,
            srs: &[],
            allow_development_srs: true,
            input: None,
        },
    );
    assert!(!report.valid() && said(&report).contains("is not among the files"));
}

fn keys_and_manifest_do_not_depend_on_the_number_of_threads(system: ProofSystem) {
    let digest = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            Model::new(network().bytes(), 2, system)
                .compiled
                .manifest
                .digest()
        })
    };
    assert_eq!(digest(1), digest(2));
}

#[test]
fn a_proof_of_one_system_is_none_of_the_other() {
    let systems = [ProofSystem::Halo2Kzg, ProofSystem::SumcheckWhir];
    for (system, other) in [(systems[0], systems[1]), (systems[1], systems[0])] {
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
            |r| r.manifest.proof_system = other,
            "not well-formed",
        );
    }
}

#[test]
fn where_there_is_no_trusted_setup_a_receipt_names_none() {
    rejected(
        ProofSystem::SumcheckWhir,
        "an SRS",
        |r| (r.srs, r.manifest.srs) = (Digest::of(b"srs"), Digest::of(b"srs")),
        "has no trusted setup",
    );
    rejected(
        ProofSystem::Halo2Kzg,
        "no SRS",
        |r| (r.srs, r.manifest.srs) = (backend::NO_SRS, backend::NO_SRS),
        "needs a trusted setup",
    );
}

#[test]
fn a_receipt_cannot_keep_a_verifier_busy_with_a_needlessly_large_circuit() {
    let mut bad = receipt(ProofSystem::Halo2Kzg).clone();
    let Circuit::Halo2Kzg(shape) = &mut bad.manifest.slices[0].circuit else {
        panic!("a halo2 circuit");
    };
    shape.k = crate::halo2::MAX_K;
    let against = Against::Model {
        onnx: &model(ProofSystem::Halo2Kzg).onnx,
        srs: Some(&SrsSource::Development),
        manifest: None,
    };
    let verification = Verification {
        against,
        srs: &[],
        allow_development_srs: true,
        input: None,
    };
    let started = std::time::Instant::now();
    let report = verify(&bad.to_bytes(), &verification);
    assert!(
        !report.valid() && said(&report).contains("the size of slice 0's circuit"),
        "{}",
        said(&report)
    );
    // An SRS of that size alone takes over a minute.
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
}
