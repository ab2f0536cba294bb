//! From an ONNX file to a manifest and keys, and back: deriving a manifest's functions again from the ONNX bytes.
//!
//! Invariant: what [`compile()`] puts into a manifest, [`derive()`] finds again from the ONNX bytes and the manifest's
//! integers alone, on any machine.

use std::borrow::Cow;

use rayon::prelude::*;
use zkinfer_crds::dimensions::Dimensions;
use zkinfer_crds::slice_files::FileRole;
use zkinfer_crds::wire::DEFAULT_ERROR_BUDGET_MILLIONTHS;
use zkinfer_crds::{Digest, ProofSystem, SliceIndex};
use zkml::backend::{
    KeyError, LayoutError, Parameters, Proving, ProvingFiles, Setup, SetupError, SliceKeys, System, Systems,
    UnknownSystem,
};
use zkml::graph::{Inputs, IntGraph, Profile, QuantisationPlan, TensorId};
use zkml::manifest::{self, MAX_BATCH, Manifest, ManifestError, ManifestSlice};
use zkml::proof::{SliceProver, SliceProverError, SliceVerifier, SliceVerifyError};
use zkml::relations::{self, LowerError, SliceRelations};
use zkml::setup::SrsSource;
use zkml::systems;

use crate::batch::{self, BatchError};
use crate::calibrate::{AccuracyReport, CalibrateError, CalibrationOptions, SampleRows, calibrate_rows};
use crate::float::FloatGraph;
use crate::float_model::{FloatModel, FloatModelError};
use crate::import::{ImportError, Sizes, import_as, import_sized};
use crate::progress::{self, Counter, Listener, Stage};
use crate::quantise::{self, QuantiseError};
use crate::samples;
use crate::slice::{self, SliceError, SlicePlan, SlicingOptions};

/// What a model's owner chooses.
#[derive(Debug, Clone)]
pub struct CompileOptions {
    /// Absent: the cheapest profile that keeps the error budget.
    pub profile: Option<Profile>,
    /// The greatest error of any output, in millionths ([`accuracy::output_error`](zkml::accuracy::output_error)).
    pub error_budget_millionths: u32,
    /// By output: its natural magnitude. Absent: the greatest of the float model's values over the samples.
    pub output_scale: Option<Vec<f64>>,
    /// Whether an output of classes must have its greatest value where the float model has it.
    pub compare_top1: bool,
    /// The sizes of dimensions that the file leaves free.
    pub dimensions: Dimensions,
    /// How many inputs are answered at once.
    pub batch: u32,
    /// What the slices are proved with.
    pub system: &'static dyn Proving,
    /// How to cut.
    pub slicing: SlicingOptions,
}

impl CompileOptions {
    /// What a model is compiled with whose owner chooses nothing but the proof system.
    #[must_use]
    pub const fn new(proof_system: ProofSystem) -> Self {
        Self {
            profile: None,
            error_budget_millionths: DEFAULT_ERROR_BUDGET_MILLIONTHS,
            output_scale: None,
            compare_top1: true,
            dimensions: Dimensions::new(),
            batch: 1,
            system: systems::proving(proof_system),
            slicing: SlicingOptions::at_least(1),
        }
    }
}

/// Why a model was not compiled, or a manifest not found again.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The ONNX file.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Several inputs at once.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The float model.
    #[error("the float model: {0}")]
    FloatModel(#[from] FloatModelError),
    /// Calibration.
    #[error(transparent)]
    Calibrate(#[from] CalibrateError),
    /// The quantisation plan.
    #[error(transparent)]
    Quantise(#[from] QuantiseError),
    /// The cut.
    #[error(transparent)]
    Slice(#[from] SliceError),
    /// A manifest's cut.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// Keys.
    #[error("slice {slice}: {source}")]
    Key {
        /// The slice.
        slice: usize,
        /// Why.
        source: KeyError,
    },
    /// A verifying key that is not the manifest's.
    #[error("slice {slice}: {source}")]
    Verifier {
        /// The slice.
        slice: usize,
        /// Why.
        source: SliceVerifyError,
    },
    /// The proof system.
    #[error(transparent)]
    System(#[from] UnknownSystem),
    /// The trusted setup.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The ONNX file is not the one that the manifest names.
    #[error("the model is {got}, the manifest is of {expected}")]
    OtherModel {
        /// The manifest's.
        expected: Digest,
        /// The file's.
        got: Digest,
    },
    /// Something that follows from model and integers is not what the manifest says.
    #[error("the manifest does not follow from the model and its integers: {what} differs")]
    Underived {
        /// What differs.
        what: String,
    },
}

/// A model before it has keys: what `inspect` shows.
#[derive(Debug, Clone)]
pub struct Plan {
    /// SHA-256 of the ONNX file.
    pub model: Digest,
    /// The model in floats.
    pub float: FloatGraph,
    /// The integers.
    pub quantisation: QuantisationPlan,
    /// The function that is proved.
    pub graph: IntGraph,
    /// Against the float model, on the calibration samples.
    pub accuracy: AccuracyReport,
    /// Whether the samples were made up.
    pub synthetic: bool,
    /// What the slices are proved with.
    pub system: &'static dyn Proving,
    /// The cut.
    pub slices: Vec<SlicePlan>,
    /// The budget that the manifest will state.
    pub error_budget_millionths: u32,
    /// How many inputs it answers at once.
    pub batch: u32,
}

/// One input of the model, per input tensor row-major values.
pub type Sample = Vec<Vec<f64>>;

/// Imports, calibrates, quantises and cuts. Without samples, standard-normal inputs are made up.
///
/// # Errors
/// Everything about the model that cannot be proved, each naming its node.
pub fn plan(onnx: &[u8], samples: Option<&[Sample]>, options: &CompileOptions) -> Result<Plan, CompileError> {
    let given = |_: &FloatGraph| Ok(samples.map(Cow::Borrowed));
    planned(onnx, given, options, &progress::silent)
}

/// As [`plan`], from calibration data as a person gives it, whose first axis counts samples; `listener` hears how far it has come.
///
/// # Errors
/// As [`plan`].
pub fn plan_telling(
    onnx: &[u8],
    calibration: Option<&Inputs>,
    options: &CompileOptions,
    listener: Listener<'_>,
) -> Result<Plan, CompileError> {
    let given = |float: &FloatGraph| {
        let samples = calibration.map(|data| samples::of(float, data));
        Ok(samples.transpose()?.map(Cow::Owned))
    };
    planned(onnx, given, options, listener)
}

/// Samples that are evaluated in the file's own types too: a model whose numbers go beyond them does so on most inputs.
const OVERFLOWING: usize = 4;

fn planned<'a>(
    onnx: &[u8],
    given: impl FnOnce(&FloatGraph) -> Result<Option<Cow<'a, [Sample]>>, CalibrateError>,
    options: &CompileOptions,
    listener: Listener<'_>,
) -> Result<Plan, CompileError> {
    let batch = options.batch;
    if !(1..=MAX_BATCH).contains(&batch) {
        return Err(BatchError::Size(batch).into());
    }
    let float = import_sized(onnx, Sizes::Named(&options.dimensions))?;
    let model = FloatModel::read(onnx).map_err(of_file)?;
    let given = given(&float)?;
    let synthetic = given.is_none();
    let mut samples = match given {
        Some(samples) => {
            samples::check(&float, &samples)?;
            samples.into_owned()
        }
        None => samples::made_up(&float)?,
    };
    samples.iter_mut().for_each(|sample| model.round(&float, sample));
    let samples = &samples[..];
    let calibration = CalibrationOptions {
        profile: options.profile,
        deciding: options.system.deciding(),
        error_budget: f64::from(options.error_budget_millionths) / 1e6,
        output_scale: options.output_scale.clone(),
        compare_top1: options.compare_top1,
    };
    let counter = Counter::new(Stage::Answering, samples.len() as u64, listener);
    let answer = |sample: &Sample| {
        let answer = model.outputs_of(&float, sample);
        counter.add(1);
        answer
    };
    let expected: Vec<Sample> = samples.par_iter().map(answer).collect::<Result<_, _>>()?;
    for (index, sample) in samples.iter().enumerate().take(OVERFLOWING) {
        if let Some(output) = model.overflow(&float, sample)? {
            return Err(CalibrateError::Overflow { index, output }.into());
        }
    }
    let calibrated = |float: &FloatGraph, samples: &[Sample], expected: &[Sample], rows: SampleRows| {
        let calibrated = calibrate_rows(float, samples, expected, rows, &calibration, listener);
        calibrated.map_err(|e| named(e, float, &model, samples))
    };
    let rows = SampleRows {
        batch,
        count: samples.len(),
        made_up: synthetic,
    };
    let (float, (quantisation, accuracy)) = if batch == 1 {
        let made = calibrated(&float, samples, &expected, rows)?;
        (float, made)
    } else {
        // The file answers one input at a time, and these are the answers that a batch must give.
        let wide = batch::import(onnx, &options.dimensions, batch, &float, samples)?;
        let (samples, expected) = (batch::join(samples, batch), batch::join(&expected, batch));
        let made = calibrated(&wide, &samples, &expected, rows)?;
        (wide, made)
    };
    let graph = quantise::apply(&float, &quantisation)?;
    let slices = slice::plan_telling(&graph, options.system, options.slicing, listener)?;
    Ok(Plan {
        model: Digest::of(onnx),
        float,
        quantisation,
        graph,
        accuracy,
        synthetic,
        system: options.system,
        slices,
        error_budget_millionths: options.error_budget_millionths,
        batch,
    })
}

/// A file that the float model does not support is refused as one that the importer does not.
fn of_file(error: FloatModelError) -> CompileError {
    match error {
        FloatModelError::Read(error) => CompileError::Import(error.into()),
        other => other.into(),
    }
}

/// A graph that differs from its file, by the first node that does.
pub(crate) fn named(
    why: CalibrateError,
    float: &FloatGraph,
    model: &FloatModel,
    samples: &[Sample],
) -> CalibrateError {
    let CalibrateError::Differs(mut differs) = why else {
        return why;
    };
    if let Some(node) = samples.first().and_then(|s| model.first_difference(float, s)) {
        differs.node = node;
    }
    CalibrateError::Differs(differs)
}

impl Plan {
    /// The setup that its keys are made with. A source is without effect where the proof system needs none.
    ///
    /// # Errors
    /// No source where one is needed, or one with too few points.
    pub fn setup(&self, source: Option<&SrsSource>) -> Result<Setup, SetupError> {
        Setup::new(self.slices.iter().map(|s| s.parameters), source)
    }
}

/// A compiled model: its manifest and the files that it names.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// What the slices are proved with.
    pub system: &'static dyn Proving,
    /// The manifest.
    pub manifest: Manifest,
    /// The integer graph's canonical encoding.
    pub graph: Vec<u8>,
    /// By slice.
    pub keys: Vec<SliceKeys>,
}

/// Makes keys for every slice, side by side. `done` hears of each slice that has its keys.
///
/// # Errors
/// An SRS that is too small, or a failing key generation.
pub fn compile(plan: &Plan, setup: &Setup, done: &(dyn Fn(usize) + Sync)) -> Result<Compiled, CompileError> {
    let made: Vec<(ManifestSlice, SliceKeys)> = plan
        .slices
        .par_iter()
        .enumerate()
        .map(|(index, s)| {
            let keys = plan
                .system
                .keygen(&s.relations, s.parameters, setup)
                .map_err(|source| CompileError::Key { slice: index, source })?;
            let slice = ManifestSlice {
                first_node: s.nodes.start as u32,
                node_count: s.nodes.len() as u32,
                inputs: ids(&s.relations.inputs),
                outputs: ids(&s.relations.outputs),
                circuit: keys.circuit.clone(),
                vk: keys.vk,
            };
            done(index);
            Ok((slice, keys))
        })
        .collect::<Result<_, CompileError>>()?;
    let (slices, keys): (Vec<_>, Vec<_>) = made.into_iter().unzip();
    let graph = plan.graph.to_bytes();
    let manifest = Manifest {
        version: manifest::VERSION,
        batch: plan.batch,
        model: plan.model,
        quantisation: plan.quantisation.clone(),
        graph: Digest::of(&graph),
        node_count: plan.graph.nodes.len() as u32,
        error_budget_millionths: plan.error_budget_millionths,
        proof_system: plan.system.id(),
        parameter_id: plan.system.parameter_id(),
        srs: setup.digest(),
        inputs: plan.graph.inputs.clone(),
        outputs: plan.graph.outputs.clone(),
        boundary: manifest::boundary(&plan.graph, &slices),
        slices,
    };
    let own: &dyn System = plan.system;
    manifest.check(Systems::new(&[own]))?;
    Ok(Compiled {
        system: plan.system,
        manifest,
        graph,
        keys,
    })
}

fn ids(tensors: &[relations::SliceTensor]) -> Vec<TensorId> {
    tensors.iter().map(|t| t.id).collect()
}

impl Compiled {
    /// The prover of a slice, from what was compiled. `setup` is the one that the keys were made with.
    ///
    /// # Errors
    /// A slice that does not exist, or another setup.
    pub fn prover(
        &self,
        graph: &IntGraph,
        setup: &Setup,
        slice: SliceIndex,
    ) -> Result<SliceProver, SliceProverError> {
        let mut files = ProvingFiles::default();
        if let Some(keys) = self.keys.get(slice.0 as usize).and_then(|k| k.files.as_ref()) {
            files.insert(FileRole::ProvingKey, &keys.pk);
            if let Some(points) = setup.points(keys.k) {
                files.insert(FileRole::Setup, points.write());
            }
        }
        SliceProver::new(Systems::new(&[self.system]), &self.manifest, graph, slice, &files)
    }

    /// A file that the manifest names, by its digest.
    #[must_use]
    pub fn file(&self, digest: Digest) -> Option<Vec<u8>> {
        if digest == self.manifest.graph {
            return Some(self.graph.clone());
        }
        let named = self.keys.iter().filter(|k| k.vk == digest);
        named
            .filter_map(|k| k.files.as_ref())
            .map(|f| f.vk.clone())
            .next()
    }
}

/// What follows from ONNX bytes and a manifest's integers.
#[derive(Debug, Clone)]
pub struct Derived {
    /// The model in floats.
    pub float: FloatGraph,
    /// The function that is proved.
    pub graph: IntGraph,
    /// By slice.
    pub verifiers: Vec<SliceVerifier>,
}

/// Derives integer graph, boundary, circuits and verifying keys again and compares each with the manifest, which is of one of
/// these proof systems.
///
/// # Errors
/// Another model, integers outside the profile's limits, or anything that differs; it is named.
pub fn derive(
    onnx: &[u8],
    manifest: &Manifest,
    srs: Option<&SrsSource>,
    systems: Systems<'_, dyn System>,
) -> Result<Derived, CompileError> {
    manifest.check(systems)?;
    let system = systems.find(manifest.proof_system)?;
    let got = Digest::of(onnx);
    if got != manifest.model {
        return Err(CompileError::OtherModel {
            expected: manifest.model,
            got,
        });
    }
    let differs = |what: String| CompileError::Underived { what };
    let float = import_as(onnx, manifest)?;
    let graph = quantise::apply(&float, &manifest.quantisation)?;
    if graph.digest() != manifest.graph {
        return Err(differs("the integer graph".to_owned()));
    }
    if !manifest.describes(&graph) {
        return Err(differs("the description of the boundary".to_owned()));
    }
    let rests_on = system.needs_srs().then_some(manifest.srs);
    if srs.map(SrsSource::digest).filter(|_| rests_on.is_some()) != rests_on {
        return Err(differs("the SRS".to_owned()));
    }
    // What costs nothing comes first: the manifest may be a stranger's, who would like a verifier to be busy.
    let lowered = manifest.slices.iter().enumerate().map(|(index, s)| {
        let nodes = s.nodes();
        if slice::boundary(&graph, &nodes) != (s.inputs.clone(), s.outputs.clone()) {
            return Err(differs(format!("the boundary of slice {index}")));
        }
        let relations = relations::lower(&graph, nodes, &s.inputs, &s.outputs)?;
        let key = |source: KeyError| CompileError::Key { slice: index, source };
        let parameters = system.parameters(&s.circuit).map_err(|e| key(e.into()))?;
        let least = system.is_least(&relations, parameters);
        if !least.map_err(|e: LayoutError| key(e.into()))? {
            return Err(differs(format!("the size of slice {index}'s circuit")));
        }
        Ok((relations, parameters))
    });
    let lowered: Vec<(SliceRelations, Parameters)> = lowered.collect::<Result<_, _>>()?;
    let setup = Setup::new(lowered.iter().map(|(_, parameters)| *parameters), srs)?;
    let verifiers = (&manifest.slices, &lowered).into_par_iter().enumerate().map(
        |(index, (s, (relations, parameters)))| {
            let derived = system.derive_verifier(Cow::Borrowed(relations), *parameters, &setup);
            let (verifier, circuit) = derived.map_err(|source| CompileError::Key { slice: index, source })?;
            if circuit != s.circuit {
                return Err(differs(format!("the circuit of slice {index}")));
            }
            if verifier.vk_digest() != s.vk {
                return Err(differs(format!("the verifying key of slice {index}")));
            }
            SliceVerifier::of(manifest, SliceIndex(index as u32), verifier)
                .map_err(|source| CompileError::Verifier { slice: index, source })
        },
    );
    let verifiers = verifiers.collect::<Result<_, _>>()?;
    Ok(Derived {
        float,
        graph,
        verifiers,
    })
}
