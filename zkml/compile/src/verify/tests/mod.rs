//! A receipt convinces; whatever is done to it does not, and nothing that a forger may choose makes a wrong answer right.

mod forged;
mod honest;
mod tampered;

use std::sync::OnceLock;

use rand::Rng;
use rand::rngs::OsRng;
use zkinfer_crds::ProofSystem;
use zkinfer_crds::{ClaimId, Digest, Identity, RequestUid, SliceIndex};
use zkml::backend::{self, Setup};
use zkml::graph::TensorId;
use zkml::graph::{FloatInput, Inputs, IntTensor, Profile, quantise_input};
use zkml::manifest::Manifest;
use zkml::receipt::{
    Against, DEFAULT_RULE, Derivation, Expected, Outcome, Receipt, ReceiptBuilder, Report, Verification,
    judge_outputs, verify,
};
use zkml::setup::SrsSource;

use super::follow;
use crate::calibrate::synthetic_samples;
use crate::compile::{CompileOptions, Compiled, Plan, Sample, compile, plan};
use crate::slice::SlicingOptions;
use crate::tests::{example, network};

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
pub(crate) use in_both_proof_systems;

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
    proof_system: ProofSystem,
) -> Plan {
    let options = CompileOptions {
        profile,
        slicing: SlicingOptions::at_least(parallelism),
        ..CompileOptions::new(proof_system)
    };
    plan(onnx, samples, &options).unwrap()
}

impl zkml::receipt::Model for Model {
    fn derive(&self, manifest: &Manifest) -> Result<Box<dyn Derivation + '_>, String> {
        follow(&self.onnx, manifest, srs(self.plan.proof_system))
    }
}

impl Model {
    pub(crate) fn new(onnx: Vec<u8>, parallelism: u32, proof_system: ProofSystem) -> Self {
        let plan = planned(&onnx, None, None, parallelism, proof_system);
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
        builder.finish().unwrap()
    }

    /// An input that is surely in range: half the size of the calibration samples.
    fn floats(&self, seed: u64) -> Vec<FloatInput> {
        let sample = synthetic_samples(&self.plan.float, 1, seed).remove(0);
        let tensors = self.plan.graph.inputs.iter().zip(sample);
        let one = |(id, values): (&TensorId, Vec<f64>)| FloatInput {
            shape: self.info(*id).shape.iter().map(|&d| d as usize).collect(),
            values: values.iter().map(|v| v / 2.0).collect(),
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

fn said(report: &Report) -> String {
    report
        .sentences
        .iter()
        .map(|s| format!("{:?}: {}\n", s.outcome, s.text))
        .collect()
}
