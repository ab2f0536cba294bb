//! A receipt convinces; whatever is done to it does not, and nothing that a forger may choose makes a wrong answer right.

mod attention;
mod batch;
mod batched;
mod clear;
mod forged;
mod honest;
mod sized;
mod tampered;
mod trees;
mod whole;

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};

use rand::Rng;
use rand::rngs::OsRng;
use zkinfer_crds::{ClaimId, Digest, Identity, ProofSystem, RequestUid, SliceIndex};
use zkml::backend::{Proving, Setup, System, SystemId, Systems};
use zkml::graph::TensorId;
use zkml::graph::{FloatInput, Inputs, IntTensor, Profile, quantise_input};
use zkml::manifest::Manifest;
use zkml::receipt::{
    Against, DEFAULT_RULE, Derivation, Expected, Outcome, Receipt, ReceiptBuilder, Report, Verification,
    judge_outputs, verify,
};
use zkml::setup::SrsSource;
use zkml::systems;

use super::follow;
use crate::calibrate::synthetic_samples;
use crate::compile::{CompileOptions, Compiled, Plan, Sample, compile, plan};
use crate::slice::SlicingOptions;
use crate::tests::{example, network};

/// A proof system of the tests' list.
type Tested = &'static dyn Proving;

const HALO2: Tested = systems::proving(ProofSystem::Halo2Kzg);
const SUMCHECK: Tested = systems::proving(ProofSystem::SumcheckWhir);

/// The tests' list: the proof systems that are shipped, and those that are not. Handed to another macro after what that was
/// given.
macro_rules! proof_systems {
    ($then:ident $given:tt) => {
        $then! { $given
            halo2_kzg: crate::verify::tests::HALO2,
            sumcheck_whir: crate::verify::tests::SUMCHECK,
            clear: &crate::verify::tests::clear::Clear,
        }
    };
}

macro_rules! list_of {
    ({} $($module:ident: $system:expr,)*) => { vec![$($system),*] };
}

macro_rules! tests_of {
    ($names:tt $($module:ident: $system:expr,)*) => { $(tests_in! { $module $system, $names })* };
}

macro_rules! tests_in {
    ($module:ident $system:expr, { $($name:ident,)* }) => {
        mod $module {
            $(#[test] fn $name() { super::$name($system); })*
        }
    };
}

/// Each of these must hold of every proof system of the list.
macro_rules! in_every_proof_system {
    ($($name:ident,)*) => { proof_systems! { tests_of { $($name,)* } } };
}
pub(crate) use {in_every_proof_system, proof_systems, tests_in, tests_of};

/// The list, for whoever proves.
fn tested() -> Vec<Tested> {
    proof_systems! { list_of {} }
}

/// The list, for whoever verifies.
fn known() -> Systems<'static, dyn System> {
    static ALL: OnceLock<Vec<&'static dyn System>> = OnceLock::new();
    let upcast = || tested().into_iter().map(|s| s as &'static dyn System).collect();
    Systems::new(ALL.get_or_init(upcast))
}

/// A compiled model with the files that its manifest names.
pub(crate) struct Model {
    pub(crate) onnx: Vec<u8>,
    pub(crate) plan: Plan,
    pub(crate) compiled: Compiled,
    setup: Setup,
}

/// A plan of a model: of synthetic samples unless it has its own.
fn planned(
    onnx: &[u8],
    samples: Option<&[Sample]>,
    profile: Option<Profile>,
    parallelism: u32,
    system: Tested,
) -> Plan {
    let options = CompileOptions {
        profile,
        slicing: SlicingOptions::at_least(parallelism),
        system,
        ..CompileOptions::new(ProofSystem::SumcheckWhir)
    };
    plan(onnx, samples, &options).unwrap()
}

impl zkml::receipt::Model for Model {
    fn derive(
        &self,
        manifest: &Manifest,
        systems: Systems<'_, dyn System>,
    ) -> Result<Box<dyn Derivation + '_>, String> {
        follow(&self.onnx, manifest, srs(self.plan.system), systems)
    }
}

impl Model {
    pub(crate) fn new(onnx: Vec<u8>, parallelism: u32, system: Tested) -> Self {
        let plan = planned(&onnx, None, None, parallelism, system);
        Self::of(onnx, plan)
    }

    /// Compiles whatever the plan says.
    fn of(onnx: Vec<u8>, plan: Plan) -> Self {
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
        self.run_all(std::slice::from_ref(input), request)
    }

    fn run_all(&self, inputs: &[IntTensor], request: u8) -> Receipt {
        let manifest = &self.compiled.manifest;
        let tensors = self.plan.graph.evaluate(inputs).unwrap();
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
        let bytes = builder.to_bytes().unwrap();
        let receipt = builder.finish().unwrap();
        assert_eq!(receipt.to_bytes(), bytes);
        receipt
    }

    /// An input that is surely in range: half the size of the calibration samples.
    fn floats(&self, seed: u64) -> Vec<FloatInput> {
        let sample = synthetic_samples(&self.plan.float, 1, seed).remove(0);
        let tensors = self.plan.graph.inputs.iter().zip(sample);
        let one = |(id, values): (&TensorId, Vec<f64>)| FloatInput {
            shape: self.info(*id).shape.iter().map(|&d| d as usize).collect(),
            values: values
                .iter()
                .map(|v| if self.info(*id).whole { *v } else { v / 2.0 })
                .collect(),
        };
        tensors.map(one).collect()
    }

    fn input(&self, seed: u64) -> IntTensor {
        self.quantised(&self.floats(seed)).remove(0)
    }

    fn quantised(&self, input: &[FloatInput]) -> Vec<IntTensor> {
        let tensors = self.plan.graph.inputs.iter().zip(input);
        tensors
            .map(|(id, floats)| quantise_input(self.info(*id), floats).unwrap())
            .collect()
    }

    fn info(&self, id: TensorId) -> &zkml::graph::TensorInfo {
        &self.plan.graph.tensors[id.0 as usize]
    }

    /// Depth (b), with the development SRS allowed.
    fn by_model(&self) -> Verification<'_> {
        let against = Against::Model {
            model: self,
            manifest: None,
        };
        Verification {
            allow_development_srs: true,
            systems: known(),
            ..Verification::new(against)
        }
    }

    /// Depth (a), with the development SRS allowed.
    fn verify(&self, bytes: &[u8]) -> Report {
        self.by_manifest(|v| verify(bytes, &v))
    }

    /// Verifies by the manifest, the development SRS allowed, with whatever else the verifier brings.
    fn by_manifest(&self, verified: impl FnOnce(Verification<'_>) -> Report) -> Report {
        let files = |digest: Digest| self.compiled.file(digest);
        let against = Against::Manifest {
            manifest: &self.compiled.manifest,
            files: &files,
        };
        verified(Verification {
            allow_development_srs: true,
            systems: known(),
            ..Verification::new(against)
        })
    }
}

/// The input of a model with one, as a person gives it.
fn given(input: &[FloatInput]) -> Inputs {
    Inputs::One(input[0].clone())
}

/// The samples of a file of the example models, in the order of one input.
fn samples(file: &str) -> Vec<Vec<FloatInput>> {
    let data = Inputs::read(&example(file), 1 << 20).unwrap();
    data.samples(&["the input"]).unwrap()
}

/// The samples as calibration takes them.
fn flat(samples: &[Vec<FloatInput>]) -> Vec<Sample> {
    samples
        .iter()
        .map(|s| s.iter().map(|t| t.values.clone()).collect())
        .collect()
}

/// One of each proof system, made when it is first asked for.
struct Once<T: 'static>(Mutex<BTreeMap<SystemId, &'static OnceLock<T>>>);

impl<T> Once<T> {
    const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    fn of(&self, system: Tested, make: impl FnOnce() -> T) -> &'static T {
        let mut all = self.0.lock().unwrap();
        let cell = *all
            .entry(system.id())
            .or_insert_with(|| Box::leak(Box::new(OnceLock::new())));
        // Nobody else waits while this one is made.
        drop(all);
        cell.get_or_init(make)
    }
}

/// The residual network in at least four slices: a skip tensor crosses them.
fn model(system: Tested) -> &'static Model {
    static MODELS: Once<Model> = Once::new();
    MODELS.of(system, || Model::new(network().bytes(), 5, system))
}

fn receipt(system: Tested) -> &'static Receipt {
    static RECEIPTS: Once<Receipt> = Once::new();
    let model = model(system);
    RECEIPTS.of(system, || model.run(&model.input(1), 1))
}

fn srs(system: Tested) -> Option<&'static SrsSource> {
    system.needs_srs().then_some(&SrsSource::Development)
}

fn said(report: &Report) -> String {
    report
        .sentences
        .iter()
        .map(|s| format!("{:?}: {}\n", s.outcome, s.text))
        .collect()
}
