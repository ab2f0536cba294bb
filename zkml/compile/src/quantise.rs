//! Float graph + plan → integer graph.
//!
//! Invariant: coefficients are exactly `round(w · 2^(e + S − e_k))` and `round(b · 2^(e + S))`, ties away from zero.
//! A multiplication by a power of two is exact in f64 and so is the rounding after it: every machine makes the
//! same integers. An input of whole numbers is held in steps of 1, in the range that its type and what reads it say; so are ranks, in the
//! range that the model's thresholds say. What is beyond a clamp's end has the constant that the plan's range of the clamp says.

use zkml::graph::scale::power_of_two;
use zkml::graph::{
    GraphError, IntGraph, IntRange, Node, ProfileLimits, QuantisationPlan, TensorId, TensorInfo, TensorScale,
};

use crate::float::{FloatGraph, FloatNode, FloatTensor, Hold};
pub use crate::ops::QuantiseError;
use crate::ops::{Place, TableList, scale_of, whole_range, whole_scale};

/// The integer graph of a float graph under a plan.
///
/// # Errors
/// A plan that does not fit the graph or its profile, or that gives no valid integer graph.
pub fn apply(graph: &FloatGraph, plan: &QuantisationPlan) -> Result<IntGraph, QuantiseError> {
    let length = |what, expected: usize, got: usize| {
        if expected == got {
            Ok(())
        } else {
            Err(QuantiseError::PlanLength { what, expected, got })
        }
    };
    length("tensors", graph.tensors.len(), plan.tensors.len())?;
    length("shifts", graph.nodes.len(), plan.shifts.len())?;
    let limits = ProfileLimits::of(plan.profile);
    let mut tensors = Vec::with_capacity(graph.tensors.len());
    for (tensor, scale) in graph.tensors.iter().zip(&plan.tensors) {
        let check = |what, got: i64, min: i64, max: i64| within(&tensor.name, what, got, min, max);
        let (min, max) = (limits.min_exponent.into(), limits.max_exponent.into());
        check("exponent", scale.exponent.into(), min, max)?;
        check(
            "bits",
            scale.bits.into(),
            limits.min_bits.into(),
            limits.max_bits.into(),
        )?;
        tensors.push(TensorInfo {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            range: IntRange::signed(scale.bits),
            exponent: scale.exponent,
            whole: false,
            ranks: None,
        });
    }
    for id in &graph.inputs {
        let (at, unknown) = (id.0 as usize, GraphError::UnknownTensor(*id));
        let (Some(tensor), Some(scale)) = (graph.tensors.get(at), plan.tensors.get(at)) else {
            return Err(unknown.into());
        };
        if !tensor.whole {
            continue;
        }
        check_whole(tensor, *scale)?;
        let unsigned = tensor.bound.is_some_and(|bound| bound.least() >= 0);
        tensors[at].range = whole_range(*scale, unsigned);
        (tensors[at].whole, tensors[at].ranks) = (tensor.takes_whole(), tensor.ranks.clone());
    }
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    let mut tables = TableList::default();
    for (node, &shift) in graph.nodes.iter().zip(&plan.shifts) {
        within(&node.name, "shift", shift.into(), 0, limits.max_shift.into())?;
        let place = Place {
            name: &node.name,
            inputs: &node.inputs,
            output: node.output,
            shift,
            plan,
            tensors: &tensors,
            refused: &|| refused(graph, plan, node.output),
            hold: graph
                .tensors
                .get(node.output.0 as usize)
                .map_or(Hold::Calibrated, |t| t.hold),
            end: &|| end(graph, plan, node.output),
        };
        let made = node.output.0 as usize;
        let whole = graph.tensors.get(made).filter(|t| t.whole && node.op.planned());
        if let (Some(tensor), Some(scale)) = (whole, plan.tensors.get(made)) {
            check_whole(tensor, *scale)?;
        }
        let (op, range) = node.op.quantise(&place, &mut tables)?;
        let output = tensors
            .get_mut(node.output.0 as usize)
            .ok_or(GraphError::UnknownTensor(node.output))?;
        output.range = range;
        nodes.push(Node {
            name: node.name.clone(),
            op,
            inputs: node.inputs.clone(),
            output: node.output,
        });
    }
    let graph = IntGraph {
        tensors,
        nodes,
        inputs: graph.inputs.clone(),
        tables: tables.into_tables(),
        outputs: graph.outputs.clone(),
    };
    graph.validate()?;
    Ok(graph)
}

/// What the model says of whole numbers is no choice of the plan's: a range that ends where it says refuses what it does not have.
fn check_whole(tensor: &FloatTensor, scale: TensorScale) -> Result<(), QuantiseError> {
    let stated = tensor.bound.map(whole_scale);
    if scale.exponent == 0 && stated.is_none_or(|stated| stated == scale) {
        return Ok(());
    }
    let tensor = tensor.name.clone();
    Err(QuantiseError::Whole { tensor })
}

fn within(place: &str, what: &'static str, got: i64, min: i64, max: i64) -> Result<(), QuantiseError> {
    if (min..=max).contains(&got) {
        return Ok(());
    }
    Err(QuantiseError::Limit {
        place: place.to_owned(),
        what,
        got,
        min,
        max,
    })
}

/// Of what is beyond a clamp: where that one ends, in the steps that both have. All of its range, but no more than the model says.
fn end(graph: &FloatGraph, plan: &QuantisationPlan, made: TensorId) -> Result<Option<i64>, QuantiseError> {
    let hold = |id: TensorId| graph.tensors.get(id.0 as usize).map(|tensor| tensor.hold);
    if hold(made) != Some(Hold::Beyond) {
        return Ok(None);
    }
    let clamp =
        |node: &&FloatNode| node.inputs.contains(&made) && matches!(hold(node.output), Some(Hold::Within(_)));
    let clamp = graph.nodes.iter().find(clamp).map(|node| node.output);
    let (Some(clamp), Some(Hold::Within(most))) = (clamp, clamp.and_then(hold)) else {
        return Ok(None);
    };
    let (scale, beyond) = (scale_of(plan, clamp)?, scale_of(plan, made)?);
    if scale.exponent != beyond.exponent {
        let tensor = graph.tensors[made.0 as usize].name.clone();
        return Err(QuantiseError::NotInherited { tensor });
    }
    let most = (f64::from(most) * power_of_two(scale.exponent.into())).floor() as i64;
    Ok(Some(IntRange::signed(scale.bits).hi().min(most)))
}

/// Whether every reader of a node's output has fewer bits at the same scale, so that it refuses what needs the highest bit.
fn refused(graph: &FloatGraph, plan: &QuantisationPlan, made: TensorId) -> Result<bool, QuantiseError> {
    let output = scale_of(plan, made)?;
    let mut refused = !graph.outputs.contains(&made);
    for reader in graph.nodes.iter().filter(|n| n.inputs.contains(&made)) {
        let behind = scale_of(plan, reader.output)?;
        let narrower = behind.exponent == output.exponent && behind.bits < output.bits;
        refused &= narrower && reader.op.is_guard();
    }
    Ok(refused)
}
