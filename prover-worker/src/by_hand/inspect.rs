//! `inspect`: what proving a model would take, with each proof system.

use std::time::Instant;

use serde_json::json;
use zkinfer_crds::ProofSystem;
use zkinfer_crds::compile_report::Accuracy;
use zkml::graph::{Drawing, Missing, TensorId};
use zkml::systems;
use zkml_compile::calibrate::NodeAccuracy;
use zkml_compile::compile::{CompileError, Plan};
use zkml_compile::import::rounded;
use zkml_compile::progress::Listener;
use zkml_compile::slice::{self, SliceError, SlicePlan};

use super::model;
use super::progress::telling;
use crate::args::{Format, InspectArgs};
use crate::exit::{Exit, UsageError};

/// How a model is cut for one proof system, or why not.
type Cut = (ProofSystem, Result<Vec<SlicePlan>, SliceError>);

/// All there are, the one that is taken by default first.
fn all() -> Vec<ProofSystem> {
    let mut all = ProofSystem::ALL.to_vec();
    all.sort_by_key(|system| *system != ProofSystem::default());
    all
}

pub(crate) fn run(args: &InspectArgs, format: Format) -> Result<Exit, UsageError> {
    let systems = args.proof_system.map_or_else(all, |one| vec![one]);
    let began = Instant::now();
    let tell = |what: String| eprintln!("{:7.1} s  {what}", began.elapsed().as_secs_f64());
    let mut refused: Vec<Cut> = Vec::new();
    for (at, &system) in systems.iter().enumerate() {
        tell(format!(
            "reading and calibrating the model, cutting it for {system}"
        ));
        let (onnx, planned) = telling(&tell, |listener| model::load(&args.model, system, listener))?;
        let mut plan = match planned {
            Ok(plan) => plan,
            // Another proof system may have a place for what this one has not.
            Err(CompileError::Slice(e)) if at + 1 < systems.len() => {
                refused.push((system, Err(e)));
                continue;
            }
            Err(e) => {
                let failure = model::failure(&e, &onnx);
                match format {
                    Format::Text => model::print_failure(&failure),
                    Format::Json => println!("{:#}", json!({ "failed": failure })),
                }
                return Ok(Exit::Bad);
            }
        };
        let mut cuts = std::mem::take(&mut refused);
        cuts.push((system, Ok(std::mem::take(&mut plan.slices))));
        let slicing = model::slicing(&args.model);
        let others = systems.iter().skip(at + 1);
        cuts.extend(others.map(|&other| {
            tell(format!("cutting it for {other}"));
            let cut = |listener: Listener<'_>| {
                slice::plan_telling(&plan.graph, systems::of(other), slicing, listener)
            };
            (other, telling(&tell, cut))
        }));
        tell("done".to_owned());
        match format {
            Format::Text => print!("{}", text(&plan, &cuts)),
            Format::Json => println!("{:#}", json(&plan, &cuts)),
        }
        return Ok(Exit::Done);
    }
    Ok(Exit::Bad)
}

fn shape(shape: &[u32]) -> String {
    shape.iter().map(u32::to_string).collect::<Vec<_>>().join("x")
}

fn text(plan: &Plan, cuts: &[Cut]) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    let accuracy = model::accuracy(plan);
    let _ = writeln!(out, "model {}", plan.model);
    let _ = writeln!(
        out,
        "profile {}, greatest error {:.6} of a budget of {:.6} on {} {}samples, top-1 agreement {:.2} %{}",
        accuracy.profile,
        accuracy.max_error_millionths as f64 / 1e6,
        f64::from(accuracy.budget_millionths) / 1e6,
        accuracy.samples,
        if accuracy.synthetic { "made-up " } else { "" },
        f64::from(accuracy.top1_agreement_millionths) / 1e4,
        if accuracy.within_budget {
            ""
        } else {
            ": OVER BUDGET"
        },
    );
    let _ = writeln!(out, "{}", quality(&accuracy));
    for line in model::reasons(&accuracy) {
        let _ = writeln!(out, "  {line}");
    }
    for line in comparisons(plan) {
        let _ = writeln!(out, "  {line}");
    }
    let _ = writeln!(
        out,
        "\n{:>4}  {:<28} {:<8} {:<16} {:>5}  {:<8} {:>9} {:>8}  at the end of its range",
        "node", "name", "op", "output", "bits", "exponent", "error", "SQNR"
    );
    for (i, node) in plan.graph.nodes.iter().enumerate() {
        let Some(t) = plan.graph.tensors.get(node.output.0 as usize) else {
            continue;
        };
        let sign = if t.range.signed { "s" } else { "u" };
        let _ = writeln!(
            out,
            "{i:>4}  {:<28} {:<8} {:<16} {:>4}{sign}  {:<8}{}",
            node.name,
            node.op.name(),
            shape(&t.shape),
            t.range.bits,
            format!("2^-{}", t.exponent),
            plan.accuracy.nodes.get(i).map_or_else(String::new, off)
        );
    }
    for (system, cut) in cuts {
        match cut {
            Ok(slices) => slices_text(&mut out, *system, slices, plan.batch),
            Err(e) => {
                let _ = writeln!(out, "\nwith {system}: {e}");
            }
        }
    }
    out
}

/// How comparisons with constants are held: which inputs are ranked, and what is compared that is rounded.
fn comparisons(plan: &Plan) -> Vec<String> {
    let tensor = |id: &TensorId| plan.graph.tensors.get(id.0 as usize);
    let ranked = plan.graph.inputs.iter().filter_map(|id| {
        let info = tensor(id)?;
        let ranks = info.ranks.as_ref()?;
        let missing = match ranks.places.iter().any(|place| place.missing == Missing::Refused) {
            true => "a missing value is refused",
            false => "a missing value goes where the model says",
        };
        Some(format!(
            "input `{}` is held by its place among the {} thresholds that it is compared with, so that no comparison is rounded; \
             {missing}",
            info.name,
            ranks.bounds() * info.len() / ranks.places.len().max(1),
        ))
    });
    let rounded = rounded(&plan.float).into_iter().filter_map(|one| {
        let info = tensor(&one.tensor)?;
        Some(format!(
            "`{}` compares `{}`, which is rounded to steps of {:.3e}: a value within half a step of a threshold may go to its \
             other side",
            one.node,
            info.name,
            info.step()
        ))
    });
    ranked.chain(rounded).collect()
}

/// How the outputs are, beside their greatest error.
fn quality(accuracy: &Accuracy) -> String {
    let sqnr = accuracy.sqnr_millibels.map_or_else(
        || "no error at all".to_owned(),
        |of| format!("SQNR {:.1} dB", of as f64 / 100.0),
    );
    let margin = accuracy.top_margin_millionths.map_or_else(String::new, |of| {
        format!(
            ", the greatest output at least {:.6} above the next",
            of as f64 / 1e6
        )
    });
    format!(
        "mean error {:.6}, {sqnr}{margin}, {} value(s) at the end of their range",
        accuracy.mean_error_millionths as f64 / 1e6,
        accuracy.saturations
    )
}

/// How far a node's tensor is off.
fn off(of: &NodeAccuracy) -> String {
    let sqnr = of
        .sqnr
        .map_or_else(|| "exact".to_owned(), |sqnr| format!("{sqnr:.1} dB"));
    format!(" {:>9.6} {sqnr:>8}  {}", of.max_error, of.saturations)
}

fn slices_text(out: &mut String, system: ProofSystem, slices: &[SlicePlan], batch: u32) {
    use std::fmt::Write;
    let _ = writeln!(
        out,
        "\n{:>5}  {:<9} {:>22} {:>6} {:>8} {:>9} {:>9}  proving key",
        "slice", "nodes", "size", "limb", "CPU ms", "memory", "proof"
    );
    for (i, s) in slices.iter().enumerate() {
        let size = s.cost.measures.to_string();
        let key = match s.cost.key_bytes {
            0 => "none".to_owned(),
            bytes => format!("{} KiB", bytes >> 10),
        };
        let _ = writeln!(
            out,
            "{i:>5}  {:<9} {size:>22} {:>6} {:>8.1} {:>5} MiB {:>5.1} KiB  {key}",
            format!("{}..{}", s.nodes.start, s.nodes.end - 1),
            s.parameters.limb_bits,
            s.cost.cpu_us as f64 / 1e3,
            s.cost.memory_bytes >> 20,
            s.cost.proof_bytes as f64 / 1024.0,
        );
    }
    let total: u64 = slices.iter().map(|s| s.cost.cpu_us).sum();
    let _ = writeln!(
        out,
        "predicted with {system}: {:.3} CPU seconds in all, on one core of the reference machine",
        total as f64 / 1e6
    );
    if batch > 1 {
        let _ = writeln!(
            out,
            "for {batch} inputs at once: {:.4} of them for each",
            total as f64 / 1e6 / f64::from(batch)
        );
    }
}

fn json(plan: &Plan, cuts: &[Cut]) -> serde_json::Value {
    let nodes: Vec<_> = plan
        .graph
        .nodes
        .iter()
        .filter_map(|n| plan.graph.tensors.get(n.output.0 as usize).map(|t| (n, t)))
        .map(|(n, t)| json!({ "name": n.name, "op": n.op.name(), "shape": t.shape, "bits": t.range.bits, "signed": t.range.signed, "exponent": t.exponent }))
        .collect();
    let systems: serde_json::Map<_, _> = cuts
        .iter()
        .map(|(system, cut)| {
            let of_system = match cut {
                Ok(slices) => json!({
                    "slices": slices.iter().map(|s| slice_json(plan, s)).collect::<Vec<_>>(),
                    "predictedMicros": slices.iter().map(|s| s.cost.cpu_us).sum::<u64>(),
                }),
                Err(e) => json!({ "failed": e.to_string() }),
            };
            (system.to_string(), of_system)
        })
        .collect();
    // Slices are those of the first system that cuts it: the drawing is one, and the list above has all.
    let cut = cuts.iter().find_map(|(_, cut)| cut.as_ref().ok());
    let ranges = cut.into_iter().flatten().map(|s| s.nodes.clone());
    let graph = match Drawing::of(&plan.graph, ranges) {
        Ok(drawing) => json!(drawing),
        Err(e) => json!({ "failed": e.to_string() }),
    };
    let mut said = json!({
        "model": plan.model, "accuracy": model::accuracy(plan), "nodes": nodes, "proofSystems": systems,
        "graph": graph, "comparisons": comparisons(plan),
    });
    if plan.batch > 1 {
        said["batch"] = json!(plan.batch);
    }
    said
}

fn slice_json(plan: &Plan, s: &SlicePlan) -> serde_json::Value {
    json!({
        "nodes": model::node_names(plan, s), "limbBits": s.parameters.limb_bits,
        "predictedMicros": s.cost.cpu_us, "predictedMemoryBytes": s.cost.memory_bytes,
        "predictedProofBytes": s.cost.proof_bytes, "predictedProvingKeyBytes": s.cost.key_bytes,
        "measures": s.cost.measures,
    })
}
