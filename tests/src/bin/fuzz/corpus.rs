//! The decoders, and honest files that they read.

use std::error::Error;

use clap::ValueEnum;
use rand::rngs::OsRng;
use zkinfer_crds::compile_report::CompileOutcome;
use zkinfer_crds::wire::{ClaimRequest, Refusal};
use zkinfer_crds::{ClaimId, Identity, ProofSystem, RequestUid, SliceIndex};
use zkinfer_tests::local::{model_file, repository};
use zkml::backend::{Circuit, NO_SRS};
use zkml::envelope::Envelope;
use zkml::graph::{FloatInput, Inputs, IntGraph, IntTensor, Profile, TensorId, array_file, tensor_file};
use zkml::halo2::{CircuitShape, Role};
use zkml::manifest::Manifest;
use zkml::receipt::{Receipt, ReceiptBuilder};
use zkml::systems::{self, SYSTEMS};
use zkml_compile::calibrate::{CalibrationOptions, calibrate, synthetic_samples};
use zkml_compile::compile::{CompileOptions, compile, plan};
use zkml_compile::import::{import, operators, operators_of_microsoft, operators_of_models};
use zkml_compile::progress::silent;
use zkml_compile::quantise;
use zkml_compile::slice::SlicingOptions;

use super::gateway;

/// A decoder of foreign bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Decoder {
    /// A receipt, and the check of its manifest.
    Receipt,
    /// A manifest, with its check.
    Manifest,
    /// An integer graph, with its check.
    Graph,
    /// A proof's envelope.
    Envelope,
    /// An ONNX file.
    Onnx,
    /// A tensor in NumPy's format.
    Npy,
    /// Tensors in an archive of NumPy's.
    Npz,
    /// A tensor in JSON.
    Json,
    /// A worker's request for a claim.
    Claim,
    /// A claim that is handed back.
    Refusal,
    /// A compiler's report.
    Report,
    /// A claim's token.
    ClaimToken,
    /// A compiler's token.
    CompileToken,
}

/// No decoder is given more values than these.
const MOST_VALUES: usize = 1 << 16;

impl Decoder {
    /// Memory that it may take beside a few times its input.
    pub(super) const fn memory(self) -> usize {
        match self {
            // The library that types a model keeps a copy of every constant for each of its passes.
            Self::Onnx => 256 << 20,
            _ => 64 << 20,
        }
    }

    /// Whether it reads the bytes; an error if it reads what it does not write.
    pub(super) fn read(self, bytes: &[u8]) -> Result<bool, String> {
        let same = |again: Vec<u8>| {
            if again == bytes {
                Ok(true)
            } else {
                Err("a second spelling was read".to_owned())
            }
        };
        match self {
            Self::Receipt => Receipt::from_bytes(bytes).map_or(Ok(false), |r| {
                let _ = (r.manifest.check(SYSTEMS), r.values().len());
                same(r.to_bytes())
            }),
            Self::Manifest => Manifest::from_bytes(bytes, SYSTEMS).map_or(Ok(false), |m| same(m.to_bytes())),
            Self::Graph => IntGraph::from_bytes(bytes, 1 << 28).map_or(Ok(false), |g| {
                let _ = g.validate();
                same(g.to_bytes())
            }),
            Self::Envelope => Envelope::from_bytes(bytes).map_or(Ok(false), |e| same(e.to_bytes())),
            Self::Onnx => Ok(import(bytes).is_ok()),
            Self::Npy => Ok(tensor_file::read_npy(bytes, MOST_VALUES).is_ok()),
            Self::Npz | Self::Json => Ok(Inputs::read(bytes, MOST_VALUES).is_ok()),
            Self::Claim => gateway::body(bytes, ClaimRequest::read),
            Self::Refusal => gateway::body(bytes, Refusal::read),
            Self::Report => gateway::body(bytes, CompileOutcome::read),
            Self::ClaimToken => gateway::claim_token(bytes),
            Self::CompileToken => gateway::compile_token(bytes),
        }
    }
}

/// Honest files.
pub(super) struct Corpus(Vec<(Decoder, Vec<Vec<u8>>)>);

impl Corpus {
    /// Compiles and proves two models.
    pub(super) fn new() -> Result<Self, Box<dyn Error>> {
        let (mut receipts, mut manifests, mut graphs, mut envelopes) = (vec![], vec![], vec![], vec![]);
        for (model, parallelism) in [("wine.onnx", 1), ("digits-residual.onnx", 3)] {
            let onnx = std::fs::read(model_file(model))?;
            let options = CompileOptions {
                error_budget_millionths: 1_000_000,
                slicing: SlicingOptions::at_least(parallelism),
                ..CompileOptions::new(ProofSystem::SumcheckWhir)
            };
            let plan = plan(&onnx, None, &options)?;
            let setup = plan.setup(None)?;
            let compiled = compile(&plan, &setup, &|_| ())?;
            let inputs: Vec<IntTensor> = plan
                .graph
                .inputs
                .iter()
                .map(|id| zeros(&plan.graph, id.0))
                .collect();
            let tensors = plan.graph.evaluate(&inputs)?;
            let manifest = &compiled.manifest;
            let mut builder = ReceiptBuilder::new(manifest, "fuzz", RequestUid::new([1; 16]), &tensors)?;
            for slice in (0..manifest.slices.len() as u32).map(SliceIndex) {
                let (claim, miner) = (ClaimId::new([slice.0 as u8; 16]), Identity::new([2; 32]));
                let statement = builder.statement(slice, claim, miner);
                let own: Vec<Vec<i64>> = builder
                    .boundary(slice)?
                    .0
                    .into_iter()
                    .map(<[i64]>::to_vec)
                    .collect();
                let prover = compiled.prover(&plan.graph, &setup, slice)?;
                let (envelope, _) = prover.prove(&statement, &own, OsRng)?;
                builder.add(slice, claim, miner, &envelope)?;
                envelopes.push(envelope);
            }
            receipts.push(builder.finish()?.to_bytes());
            manifests.push(manifest.to_bytes());
            manifests.push(as_of_halo2(manifest).to_bytes());
            graphs.push(compiled.graph);
        }
        graphs.push(with_tables()?);
        let read = |name: &str| std::fs::read(model_file(name));
        let mut models = seeds()?;
        for name in ["wine.onnx", "digits.onnx", "digits-residual.onnx"] {
            models.push(read(name)?);
        }
        let json = [
            "[[0.5,-1,2e3],[1,2,3]]",
            r#"{"x":[[0.25,1],[2,3]],"y":[1]}"#,
            r#"{"shape":[2,2],"data":[1,2,3,4]}"#,
        ];
        let mut jsons: Vec<Vec<u8>> = json.iter().map(|j| j.as_bytes().to_vec()).collect();
        jsons.push(read("data/digit-7.json")?);
        let npy = read("data/wine-test.npy")?;
        Ok(Self(vec![
            (Decoder::Receipt, receipts),
            (Decoder::Manifest, manifests),
            (Decoder::Graph, graphs),
            (Decoder::Envelope, envelopes),
            (Decoder::Onnx, models),
            (Decoder::Npy, vec![npy]),
            (Decoder::Npz, archives()?),
            (Decoder::Json, jsons),
            (Decoder::Claim, gateway::claims()),
            (Decoder::Refusal, gateway::refusals()),
            (Decoder::Report, gateway::reports()),
            (Decoder::ClaimToken, gateway::claim_tokens()),
            (Decoder::CompileToken, gateway::compile_tokens()),
        ]))
    }

    /// Every honest file is read: else what is made of it is refused at once, and nothing behind that is met.
    pub(super) fn is_read(&self) -> Result<(), String> {
        for (decoder, files) in &self.0 {
            for (at, file) in files.iter().enumerate() {
                if !decoder.read(file)? {
                    return Err(format!("{decoder:?}: its honest file {at} is not read"));
                }
            }
        }
        Ok(())
    }

    /// Those of a decoder, at least one.
    pub(super) fn files(&self, decoder: Decoder) -> &[Vec<u8>] {
        self.0
            .iter()
            .find(|(d, _)| *d == decoder)
            .map_or(&[], |(_, files)| files)
    }

    /// A receipt.
    pub(super) fn receipt(&self) -> &[u8] {
        &self.files(Decoder::Receipt)[0]
    }

    /// A manifest with circuits of Halo2Kzg.
    pub(super) fn halo2_manifest(&self) -> &[u8] {
        &self.files(Decoder::Manifest)[1]
    }

    /// An integer graph with tables.
    pub(super) fn graph_with_tables(&self) -> &[u8] {
        self.files(Decoder::Graph).last().map_or(&[], Vec::as_slice)
    }

    /// An integer graph.
    pub(super) fn graph(&self) -> &[u8] {
        &self.files(Decoder::Graph)[0]
    }
}

/// Archives of arrays: as this program writes them, and packed.
fn archives() -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let array = |shape: &[usize]| {
        let values = (0..shape.iter().product::<usize>()).map(|at| at as f64 / 4.0);
        FloatInput::new(shape.to_vec(), values.collect())
    };
    let (x, y) = (array(&[2, 3])?, array(&[40])?);
    let plain = array_file::npz([("x", &x), ("y", &y)]);
    Ok(vec![
        plain,
        packed("x", &array_file::npy(&x)),
        packed("arr_0", &array_file::npy(&y)),
    ])
}

/// An array's file as the only member of an archive, packed by DEFLATE as `numpy.savez_compressed` does.
pub(super) fn packed(name: &str, npy: &[u8]) -> Vec<u8> {
    let (data, name) = (
        miniz_oxide::deflate::compress_to_vec(npy, 6),
        format!("{name}.npy"),
    );
    let longs = |of: &[u32]| of.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let sizes = longs(&[crc32(npy), data.len() as u32, npy.len() as u32]);
    // Version, flags, method, no time; checksum and sizes; lengths of the name and of what follows it.
    let common = [
        &[20, 0, 0, 0, 8, 0, 0, 0, 0, 0][..],
        &sizes,
        &[name.len() as u8, 0, 0, 0],
    ]
    .concat();
    let member = [&b"PK\x03\x04"[..], common.as_slice(), name.as_bytes(), &data].concat();
    let entry = [&b"PK\x01\x02\x14\x00"[..], &common, &[0; 14], name.as_bytes()].concat();
    let end = longs(&[entry.len() as u32, member.len() as u32]);
    [
        member.as_slice(),
        &entry,
        &b"PK\x05\x06\x00\x00\x00\x00\x01\x00\x01\x00"[..],
        &end,
        &[0, 0],
    ]
    .concat()
}

/// CRC-32, as zip has it.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 * (sum & 1))
        })
    })
}

/// The models of `tests/seeds/onnx`, which together have every operator that is read.
fn seeds() -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let mut files = std::fs::read_dir(repository().join("tests/seeds/onnx"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>, std::io::Error>>()?;
    // An input is a function of its number, on every machine.
    files.sort();
    let models = files.iter().map(std::fs::read).collect::<Result<Vec<_>, _>>()?;
    let of_domains = operators_of_models().into_iter().chain(operators_of_microsoft());
    for operator in operators().into_iter().chain(of_domains) {
        // A node's field 4, as protocol buffers write it.
        let field = [&[0x22, operator.len() as u8][..], operator.as_bytes()].concat();
        if !models.iter().any(|m| m.windows(field.len()).any(|w| w == field)) {
            return Err(format!("no seed in tests/seeds/onnx has the operator {operator}").into());
        }
    }
    Ok(models)
}

/// A graph with a table for every function.
fn with_tables() -> Result<Vec<u8>, Box<dyn Error>> {
    let float = import(&std::fs::read(
        repository().join("tests/seeds/onnx/functions-24.onnx"),
    )?)?;
    let samples = synthetic_samples(&float, 4, 1);
    let mut answers = Vec::new();
    for sample in &samples {
        let values = float.evaluate(sample)?;
        let output = |id: &TensorId| values.get(id.0 as usize).cloned().unwrap_or_default();
        answers.push(float.outputs.iter().map(output).collect::<Vec<_>>());
    }
    let options = CalibrationOptions {
        profile: Some(Profile::P8),
        deciding: Profile::P12,
        error_budget: 1.0,
        output_scale: None,
        compare_top1: false,
    };
    let (plan, _) = calibrate(&float, &samples, &answers, &options, &silent)?;
    Ok(quantise::apply(&float, &plan)?.to_bytes())
}

fn zeros(graph: &IntGraph, id: u32) -> IntTensor {
    let info = &graph.tensors[id as usize];
    IntTensor {
        shape: info.shape.clone(),
        values: vec![0; info.len()],
    }
}

/// The manifest with the fields that the other proof system has.
fn as_of_halo2(manifest: &Manifest) -> Manifest {
    let mut manifest = manifest.clone();
    manifest.proof_system = ProofSystem::Halo2Kzg.into();
    manifest.parameter_id = systems::of(ProofSystem::Halo2Kzg).parameter_id();
    manifest.srs = manifest.graph;
    debug_assert!(manifest.srs != NO_SRS);
    for slice in &mut manifest.slices {
        slice.circuit = Circuit::of(&CircuitShape {
            k: 9,
            limb_bits: 8,
            limb_columns: 2,
            max_limbs: 0,
            requantisations: Vec::new(),
            roles: vec![Role::On, Role::Tag(1), Role::Weight(7)],
        });
    }
    manifest
}
