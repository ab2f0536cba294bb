//! Float graph + plan → integer graph.
//!
//! Invariant: coefficients are exactly `round(w · 2^(e + S − e_k))` and `round(b · 2^(e + S))`, ties away from zero.
//! A multiplication by a power of two is exact in f64 and so is the rounding after it: every machine makes the
//! same integers.

use std::collections::BTreeMap;

use zkml::graph::scale::power_of_two;
use zkml::graph::{
    Activation, GraphError, IntGraph, IntRange, Node, Op, Profile, ProfileLimits, QuantisationPlan,
    Requantise, TensorId, TensorInfo, TensorScale,
};

use crate::float::{FloatGraph, FloatNode, FloatOp};
use crate::functions::{Function, FunctionError, Rows, Tables};

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
    /// A function has no table for the plan's integers.
    #[error("node `{node}`: {source}")]
    Function {
        /// The node.
        node: String,
        /// Why not.
        source: FunctionError,
    },
    /// Rows of a table end at a clamp, and nothing behind it refuses them.
    #[error("node `{node}`: the function leaves the range that the plan gives its values")]
    Clamped {
        /// The node.
        node: String,
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
    let (mut tables, mut places, mut made) = (Vec::new(), BTreeMap::new(), Tables::default());
    for (node, &shift) in graph.nodes.iter().zip(&plan.shifts) {
        within(&node.name, "shift", shift.into(), 0, limits.max_shift.into())?;
        let (op, range) = match &node.op {
            FloatOp::Linear { map, activation } => {
                let inputs = node.inputs.iter().map(|&id| scale_of(plan, id));
                let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
                let scales = (inputs.as_slice(), scale_of(plan, node.output)?);
                quantise_linear(node, map, *activation, shift, scales, plan.profile)?
            }
            FloatOp::Max { windows } => {
                let windows = windows.iter().collect();
                (Op::Max { windows }, inherited(node, shift, plan, &tensors)?)
            }
            FloatOp::Wiring { source } => {
                let source = source.clone();
                (Op::Wiring { source }, inherited(node, shift, plan, &tensors)?)
            }
            FloatOp::Function { function } => {
                let rows = quantise_function(node, function, shift, (graph, plan), &tensors, &mut made)?;
                let table = *places.entry(rows.table.digest()).or_insert_with(|| {
                    tables.push(rows.table);
                    tables.len() as u32 - 1
                });
                (Op::Table { table }, rows.range)
            }
        };
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
        tables,
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

/// The table of a function. A row that ends at the clamp is another function than the model's: it is in a table only where the
/// one node that reads it has fewer bits at the same scale, so that it refuses that row.
fn quantise_function(
    node: &FloatNode,
    function: &Function,
    shift: u8,
    (graph, plan): (&FloatGraph, &QuantisationPlan),
    tensors: &[TensorInfo],
    made: &mut Tables,
) -> Result<Rows, QuantiseError> {
    let name = || node.name.clone();
    linear_alone(node, shift)?;
    let (index, output) = (
        info_of(tensors, first_input(node)?)?,
        scale_of(plan, node.output)?,
    );
    let rows = made
        .rows(
            function,
            index.range,
            index.exponent,
            (output.exponent, output.bits),
        )
        .map_err(|source| QuantiseError::Function { node: name(), source })?;
    let refuses = |reader: &FloatNode| {
        let made = scale_of(plan, reader.output)?;
        let narrower = made.exponent == output.exponent && made.bits < output.bits;
        Ok::<_, QuantiseError>(narrower && reader.op.is_guard())
    };
    let mut refused = !graph.outputs.contains(&node.output);
    for reader in graph.nodes.iter().filter(|n| n.inputs.contains(&node.output)) {
        refused &= refuses(reader)?;
    }
    if rows.clamped && !refused {
        return Err(QuantiseError::Clamped { node: name() });
    }
    Ok(rows)
}

/// The range of what takes its values from another tensor.
fn inherited(
    node: &FloatNode,
    shift: u8,
    plan: &QuantisationPlan,
    tensors: &[TensorInfo],
) -> Result<IntRange, QuantiseError> {
    linear_alone(node, shift)?;
    let (input, output) = (first_input(node)?, node.output);
    if scale_of(plan, input)? != scale_of(plan, output)? {
        let tensor = info_of(tensors, output)?.name.clone();
        return Err(QuantiseError::NotInherited { tensor });
    }
    Ok(info_of(tensors, input)?.range)
}

/// Only a linear node has a shift.
fn linear_alone(node: &FloatNode, shift: u8) -> Result<(), QuantiseError> {
    match shift {
        0 => Ok(()),
        _ => Err(QuantiseError::ShiftOfNonLinear {
            node: node.name.clone(),
        }),
    }
}

fn first_input(node: &FloatNode) -> Result<TensorId, QuantiseError> {
    let absent = QuantiseError::Graph(GraphError::UnknownTensor(node.output));
    node.inputs.first().copied().ok_or(absent)
}

fn scale_of(plan: &QuantisationPlan, id: TensorId) -> Result<TensorScale, QuantiseError> {
    let scale = plan.tensors.get(id.0 as usize).copied();
    scale.ok_or(QuantiseError::Graph(GraphError::UnknownTensor(id)))
}

fn info_of(tensors: &[TensorInfo], id: TensorId) -> Result<&TensorInfo, QuantiseError> {
    let info = tensors.get(id.0 as usize);
    info.ok_or(QuantiseError::Graph(GraphError::UnknownTensor(id)))
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
