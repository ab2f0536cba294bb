//! Float graph + plan → integer graph.
//!
//! Invariant: coefficients are exactly `round(w · 2^(e + S − e_k))` and `round(b · 2^(e + S))`, ties away from zero.
//! A multiplication by a power of two is exact in f64 and so is the rounding after it: every machine makes the
//! same integers.

use zkml::graph::scale::power_of_two;
use zkml::graph::{
    Activation, GraphError, IntGraph, IntRange, Node, Op, Profile, ProfileLimits, QuantisationPlan,
    Requantise, TensorId, TensorInfo, TensorScale,
};

use crate::float::{FloatGraph, FloatNode, FloatOp};

/// The greatest absolute coefficient of a linear map. Biases are at the accumulator's scale and may be larger.
pub const MAX_COEFFICIENT: i64 = 1 << 31;

/// Why a plan does not turn a float graph into an integer graph.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum QuantiseError {
    /// The plan is for another graph.
    #[error("the plan has {got} {what}, the model has {expected}")]
    PlanLength {
        /// `tensors` or `shifts`.
        what: &'static str,
        /// The model's.
        expected: usize,
        /// The plan's.
        got: usize,
    },
    /// A number of the plan is outside the profile's limits.
    #[error("{place}: {what} is {got}, the profile allows {min} to {max}")]
    Limit {
        /// The tensor or node.
        place: String,
        /// Which number.
        what: &'static str,
        /// Its value.
        got: i64,
        /// Least accepted value.
        min: i64,
        /// Greatest accepted value.
        max: i64,
    },
    /// The output of a node that is not linear has another scale than its input.
    #[error("tensor `{tensor}` must have the scale of the tensor that it is taken from")]
    NotInherited {
        /// The tensor.
        tensor: String,
    },
    /// A node that is not linear has a shift.
    #[error("node `{node}` is not linear: its shift must be 0")]
    ShiftOfNonLinear {
        /// The node.
        node: String,
    },
    /// A coefficient is not finite, or beyond ±2^31 (a bias: ±2^62) at the plan's scale.
    #[error("node `{node}`: coefficient {value} is too large at the plan's scale")]
    Coefficient {
        /// The node.
        node: String,
        /// The scaled coefficient before rounding.
        value: f64,
    },
    /// The plan's exponents leave too little of a node's weights.
    #[error("node `{node}`: weights lose more than 2^-{resolution} of their sum by rounding")]
    Resolution {
        /// The node.
        node: String,
        /// The profile's floor.
        resolution: u8,
    },
    /// The integer graph breaks an invariant, e.g. an accumulator could reach 2^62.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

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
        });
    }
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for (node, &shift) in graph.nodes.iter().zip(&plan.shifts) {
        within(&node.name, "shift", shift.into(), 0, limits.max_shift.into())?;
        let (op, range) = quantise_node(node, shift, plan, &tensors)?;
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
        outputs: graph.outputs.clone(),
    };
    graph.validate()?;
    Ok(graph)
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

/// The integer operator and the range of its output.
fn quantise_node(
    node: &FloatNode,
    shift: u8,
    plan: &QuantisationPlan,
    tensors: &[TensorInfo],
) -> Result<(Op, IntRange), QuantiseError> {
    let scale = |id: TensorId| {
        plan.tensors
            .get(id.0 as usize)
            .copied()
            .ok_or(QuantiseError::Graph(GraphError::UnknownTensor(id)))
    };
    let output = scale(node.output)?;
    let op = match &node.op {
        FloatOp::Linear { map, activation } => {
            let inputs = node
                .inputs
                .iter()
                .map(|&id| scale(id))
                .collect::<Result<Vec<_>, _>>()?;
            return quantise_linear(node, map, *activation, shift, (&inputs, output), plan.profile);
        }
        FloatOp::Max { windows } => Op::Max {
            windows: windows.iter().collect(),
        },
        FloatOp::Wiring { source } => Op::Wiring {
            source: source.clone(),
        },
    };
    if shift != 0 {
        return Err(QuantiseError::ShiftOfNonLinear {
            node: node.name.clone(),
        });
    }
    let absent = || QuantiseError::Graph(GraphError::UnknownTensor(node.output));
    let input = *node.inputs.first().ok_or_else(absent)?;
    if scale(input)? != output {
        let tensor = tensors
            .get(node.output.0 as usize)
            .ok_or_else(absent)?
            .name
            .clone();
        return Err(QuantiseError::NotInherited { tensor });
    }
    Ok((op, tensors.get(input.0 as usize).ok_or_else(absent)?.range))
}

fn quantise_linear(
    node: &FloatNode,
    map: &super::float::FloatMap,
    activation: Activation,
    shift: u8,
    (inputs, output): (&[TensorScale], TensorScale),
    profile: Profile,
) -> Result<(Op, IntRange), QuantiseError> {
    let accumulator = i32::from(output.exponent) + i32::from(shift);
    // Per tensor read: rounding errors and coefficients, added up.
    let mut sums = vec![(0f64, 0f64); inputs.len()];
    let absent = || GraphError::Node {
        node: node.name.clone(),
        reason: "coefficients and inputs differ in number",
    };
    let map = map.try_map(
        |k, &w| {
            let exponent = accumulator - i32::from(inputs.get(k).ok_or_else(absent)?.exponent);
            let (rounded, scaled) = round(node, w, exponent, MAX_COEFFICIENT)?;
            let sum = sums.get_mut(k).ok_or_else(absent)?;
            *sum = (sum.0 + (scaled - rounded as f64).abs(), sum.1 + scaled.abs());
            Ok::<_, QuantiseError>(rounded)
        },
        |_, &b| Ok(round(node, b, accumulator, zkml::relations::bound::LIMIT)?.0),
    )?;
    let resolution = ProfileLimits::of(profile).resolution;
    if sums
        .iter()
        .any(|(error, total)| *error > total * power_of_two(-i32::from(resolution)))
    {
        return Err(QuantiseError::Resolution {
            node: node.name.clone(),
            resolution,
        });
    }
    let requantise = Requantise {
        shift,
        bits: output.bits,
        activation,
    };
    Ok((Op::Linear { map, requantise }, requantise.output_range()))
}

/// `(round(value · 2^exponent), value · 2^exponent)`.
fn round(node: &FloatNode, value: f64, exponent: i32, max: i64) -> Result<(i64, f64), QuantiseError> {
    let scaled = value * power_of_two(exponent);
    let rounded = scaled.round();
    if rounded.is_nan() || rounded.abs() > max as f64 {
        return Err(QuantiseError::Coefficient {
            node: node.name.clone(),
            value: scaled,
        });
    }
    Ok((rounded as i64, scaled))
}
