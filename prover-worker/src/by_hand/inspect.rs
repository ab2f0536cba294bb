//! `inspect`: what proving a model would take.

use serde_json::json;
use zkml::compile::Plan;
use zkml::graph::Op;

use super::model;
use crate::args::{Format, InspectArgs};
use crate::exit::{Exit, UsageError};

pub(crate) fn run(args: &InspectArgs, format: Format) -> Result<Exit, UsageError> {
    let (_, planned) = model::load(&args.model)?;
    match (planned, format) {
        (Ok(plan), Format::Text) => print!("{}", text(&plan)),
        (Ok(plan), Format::Json) => println!("{:#}", json(&plan)),
        (Err(e), Format::Text) => {
            model::print_failure(&model::failure(&e));
            return Ok(Exit::Bad);
        }
        (Err(e), Format::Json) => {
            println!("{:#}", json!({ "failed": model::failure(&e) }));
            return Ok(Exit::Bad);
        }
    }
    Ok(Exit::Done)
}

fn shape(shape: &[u32]) -> String {
    shape.iter().map(u32::to_string).collect::<Vec<_>>().join("x")
}

fn op(op: &Op) -> &'static str {
    match op {
        Op::Linear {
            map: zkml::graph::LinearMap::Dense { .. },
            ..
        } => "Dense",
        Op::Linear {
            map: zkml::graph::LinearMap::Conv2d { .. },
            ..
        } => "Conv2d",
        Op::Linear {
            map: zkml::graph::LinearMap::Affine { .. },
            ..
        } => "Affine",
        Op::Max { .. } => "Max",
        Op::Wiring { .. } => "Wiring",
    }
}

fn text(plan: &Plan) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    let accuracy = model::accuracy(plan);
    let _ = writeln!(out, "model {}", plan.model);
    let _ = writeln!(
        out,
        "profile {}, greatest error {:.6} of a budget of {:.6} on {} {}samples, top-1 agreement {:.2} %",
        accuracy.profile,
        accuracy.max_error_millionths as f64 / 1e6,
        f64::from(accuracy.budget_millionths) / 1e6,
        accuracy.samples,
        if accuracy.synthetic { "made-up " } else { "" },
        f64::from(accuracy.top1_agreement_millionths) / 1e4,
    );
    let _ = writeln!(
        out,
        "\n{:>4}  {:<28} {:<8} {:<16} {:>5}  exponent",
        "node", "name", "op", "output", "bits"
    );
    for (i, node) in plan.graph.nodes.iter().enumerate() {
        let Some(t) = plan.graph.tensors.get(node.output.0 as usize) else {
            continue;
        };
        let sign = if t.range.signed { "s" } else { "u" };
        let _ = writeln!(
            out,
            "{i:>4}  {:<28} {:<8} {:<16} {:>4}{sign}  2^-{}",
            node.name,
            op(&node.op),
            shape(&t.shape),
            t.range.bits,
            t.exponent
        );
    }
    let _ = writeln!(
        out,
        "\n{:>5}  {:<9} {:>3} {:>8} {:>6} {:>8} {:>9} {:>8} {:>9}",
        "slice", "nodes", "k", "rows", "limb", "CPU ms", "memory", "proof", "pk"
    );
    for (i, s) in plan.slices.iter().enumerate() {
        let _ = writeln!(
            out,
            "{i:>5}  {:<9} {:>3} {:>8} {:>6} {:>8} {:>5} MiB {:>6} B {:>5} KiB",
            format!("{}..{}", s.nodes.start, s.nodes.end - 1),
            s.parameters.k,
            s.cost.rows,
            s.parameters.limb_bits,
            s.cost.cpu_ms,
            s.cost.memory_bytes >> 20,
            s.cost.proof_bytes,
            s.cost.pk_bytes >> 10,
        );
    }
    let total: u64 = plan.slices.iter().map(|s| u64::from(s.cost.cpu_ms)).sum();
    let _ = writeln!(
        out,
        "\npredicted: {:.2} CPU seconds in all, on one core of the reference machine",
        total as f64 / 1e3
    );
    out
}

fn json(plan: &Plan) -> serde_json::Value {
    let nodes: Vec<_> = plan
        .graph
        .nodes
        .iter()
        .filter_map(|n| plan.graph.tensors.get(n.output.0 as usize).map(|t| (n, t)))
        .map(|(n, t)| json!({ "name": n.name, "op": op(&n.op), "shape": t.shape, "bits": t.range.bits, "signed": t.range.signed, "exponent": t.exponent }))
        .collect();
    let slices: Vec<_> = plan
        .slices
        .iter()
        .enumerate()
        .map(|(i, s)| {
            json!({
                "nodes": model::node_names(plan, i), "k": s.parameters.k, "rows": s.cost.rows, "limbBits": s.parameters.limb_bits,
                "predictedMillis": s.cost.cpu_ms, "predictedMemoryBytes": s.cost.memory_bytes,
                "predictedProofBytes": s.cost.proof_bytes, "predictedProvingKeyBytes": s.cost.pk_bytes,
            })
        })
        .collect();
    json!({ "model": plan.model, "accuracy": model::accuracy(plan), "nodes": nodes, "slices": slices })
}
