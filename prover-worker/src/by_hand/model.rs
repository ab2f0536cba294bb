//! From the model arguments to a plan, for `inspect` and `compile`.

use std::cmp::Reverse;

use zkinfer_crds::ProofSystem;
use zkinfer_crds::compile_report::{
    Accuracy, CompileFailure, FailureKind, NodeAccuracy, Outcome, Tried, UnsupportedOp,
};
use zkinfer_crds::dimensions::dimensions;
use zkinfer_crds::outlook::MAX_NODES;
use zkml::systems;
use zkml_compile::calibrate::{self, CalibrateError};
use zkml_compile::compile::{CompileError, CompileOptions, Plan, plan_telling};
use zkml_compile::import::ImportError;
use zkml_compile::outlook;
use zkml_compile::progress::Listener;
use zkml_compile::slice::{SliceError, SlicePlan, SlicingOptions};

use crate::args::ModelArgs;
use crate::exit::UsageError;
use crate::files;

/// Reads the model and its calibration data and plans; the inner result is about the model. `listener` hears how far it is.
pub(super) fn load(
    args: &ModelArgs,
    proof_system: ProofSystem,
    listener: Listener<'_>,
) -> Result<(Vec<u8>, Result<Plan, CompileError>), UsageError> {
    let onnx = files::read(&args.model)?;
    let calibration = args.calibration.as_deref().map(files::inputs).transpose()?;
    let options = CompileOptions {
        profile: args.profile,
        error_budget_millionths: args.error_budget,
        output_scale: (!args.output_scale.is_empty()).then(|| args.output_scale.clone()),
        compare_top1: !args.no_top1,
        dimensions: dimensions(&args.bind).map_err(UsageError::new)?,
        batch: args.batch,
        system: systems::proving(proof_system),
        slicing: slicing(args),
    };
    let planned = plan_telling(&onnx, calibration.as_ref(), &options, listener);
    Ok((onnx, planned))
}

/// How the arguments ask to cut.
pub(super) fn slicing(args: &ModelArgs) -> SlicingOptions {
    SlicingOptions {
        parallelism: args.parallelism,
        memory_per_worker: args.memory_mib.map(|mib| mib << 20),
    }
}

/// The error as a report; with the outline of the file, where nodes of it are at fault.
pub(super) fn failure(error: &CompileError, onnx: &[u8]) -> CompileFailure {
    let unsupported = match error {
        CompileError::Import(ImportError::Unsupported(nodes)) => nodes
            .iter()
            .map(|n| UnsupportedOp {
                node: n.node.clone(),
                op: n.op.clone(),
                reason: n.reason.clone(),
            })
            .collect(),
        _ => Vec::new(),
    };
    let kind = match error {
        CompileError::Import(ImportError::Unsupported(_)) => FailureKind::UnsupportedNodes,
        CompileError::Import(
            ImportError::Malformed(_) | ImportError::OtherFile(_) | ImportError::Node { .. },
        ) => FailureKind::InvalidModel,
        CompileError::Import(_) | CompileError::Batch(_) => FailureKind::UnsupportedModel,
        CompileError::Calibrate(CalibrateError::Differs(_)) | CompileError::FloatModel(_) => {
            FailureKind::Other
        }
        CompileError::Calibrate(_) => FailureKind::InvalidCalibration,
        CompileError::Slice(
            SliceError::Memory { .. } | SliceError::Rows { .. } | SliceError::Layout { .. },
        ) => FailureKind::SliceTooLarge,
        _ => FailureKind::Other,
    };
    CompileFailure {
        kind,
        message: error.to_string(),
        outline: (kind == FailureKind::UnsupportedNodes)
            .then(|| outlook::outline(onnx))
            .flatten(),
        unsupported,
    }
}

/// A failure for people: every unsupported node on a line of its own.
pub(super) fn print_failure(failure: &CompileFailure) {
    eprintln!("error: {}", failure.message);
    for n in &failure.unsupported {
        eprintln!("  {:<24} {:<16} {}", n.node, n.op, n.reason);
    }
}

/// The accuracy of a plan.
pub(super) fn accuracy(plan: &Plan) -> Accuracy {
    let a = &plan.accuracy;
    let mut nodes: Vec<NodeAccuracy> = a.nodes.iter().map(node).collect();
    if nodes.len() > MAX_NODES {
        // Of as many as there may be the furthest off, in the graph's order.
        let mut errors: Vec<u64> = nodes.iter().map(|n| n.max_error_millionths).collect();
        errors.sort_unstable_by_key(|error| Reverse(*error));
        let least = errors.get(MAX_NODES - 1).copied().unwrap_or(0);
        nodes.retain(|n| n.max_error_millionths >= least);
        nodes.truncate(MAX_NODES);
    }
    Accuracy {
        profile: plan.quantisation.profile,
        samples: a.samples as u32,
        synthetic: plan.synthetic,
        max_error_millionths: millionths(a.max_error),
        mean_error_millionths: millionths(a.mean_error),
        top1_agreement_millionths: (a.top1_agreement * 1e6).round() as u32,
        exact_agreement_millionths: (a.exact_agreement * 1e6).round() as u32,
        top_margin_millionths: a
            .top_margin
            .map(|margin| (margin * 1e6).floor().clamp(0.0, 1e15) as u64),
        sqnr_millibels: a.sqnr.map(millibels),
        saturations: a.saturations,
        widened: a.widened as u32,
        tried: a.tried.iter().map(tried).collect(),
        nodes,
        output_scale: a.output_scale.clone(),
        budget_millionths: plan.error_budget_millionths,
        within_budget: a.within_budget,
    }
}

/// Rounded up: no error is told as less than it is.
fn millionths(v: f64) -> u64 {
    (v * 1e6).ceil().clamp(0.0, 1e15) as u64
}

/// Rounded down.
fn millibels(decibels: f64) -> i64 {
    // A ratio of two finite numbers, or of a finite and an infinite one.
    (decibels * 100.0).floor().clamp(-1e6, 1e6) as i64
}

fn tried(of: &calibrate::Tried) -> Tried {
    Tried {
        profile: of.profile,
        widened: of.widened as u32,
        headroom_millionths: (of.headroom * 1e6).round() as u32,
        short_shifts: of.short,
        max_error_millionths: of.max_error.map(millionths),
        outcome: of.outcome,
        refused: of.refused.clone(),
    }
}

fn node(of: &calibrate::NodeAccuracy) -> NodeAccuracy {
    NodeAccuracy {
        node: of.node.clone(),
        bits: of.bits,
        max_error_millionths: millionths(of.max_error),
        mean_error_millionths: millionths(of.mean_error),
        sqnr_millibels: of.sqnr.map(millibels),
        saturations: of.saturations,
    }
}

/// What the integers were chosen by, a line for each way that was tried.
pub(super) fn reasons(accuracy: &Accuracy) -> Vec<String> {
    let line = |of: &Tried| {
        let widths = match of.widened {
            0 => of.profile.to_string(),
            widened => format!("{} with more bits for {widened} tensor(s)", of.profile),
        };
        let headroom = f64::from(of.headroom_millionths) / 1e6;
        let error = of.max_error_millionths.map_or_else(String::new, |error| {
            format!("greatest error {:.6}: ", error as f64 / 1e6)
        });
        let outcome = match of.outcome {
            Outcome::Chosen => "chosen",
            Outcome::Kept => "keeps the budget, and what was chosen costs less",
            Outcome::NoRoom => "too near the budget for inputs that are not among the samples",
            Outcome::OverBudget => {
                "over the budget, or of another class or whole number than the float model"
            }
            Outcome::Refused => of.refused.as_deref().unwrap_or("refused"),
        };
        let weights = match of.short_shifts {
            true => "short shifts",
            false => "all bits of weights",
        };
        format!("tried {widths}, headroom {headroom}, {weights}: {error}{outcome}")
    };
    accuracy.tried.iter().map(line).collect()
}

/// Names of a slice's nodes.
pub(super) fn node_names(plan: &Plan, slice: &SlicePlan) -> Vec<String> {
    let nodes = plan.graph.nodes.get(slice.nodes.clone());
    nodes.unwrap_or_default().iter().map(|n| n.name.clone()).collect()
}
