//! `Scan`: its body stands in its place once for each element along the axis that it scans.
//!
//! Invariant: the graph computes what it did before. How many elements there are is a shape, the float reference's. Each copy reads one
//! element of each scanned tensor, in the order that its direction says, and the states that the copy before it made. Before opset 9
//! all inputs have a batch, of which each element is scanned by itself.

use tract_onnx::pb::{GraphProto, NodeProto};
use zkml_reference::{Tensor, Values};

use super::ImportError;
use super::admit::{name_of, unsupported};
use super::loops::{body, put_together};
use super::spliced::Spliced;

pub(super) fn is_scan(node: &NodeProto) -> bool {
    node.op_type == "Scan" && (node.domain.is_empty() || node.domain == "ai.onnx")
}

/// Why a `Scan` is still there.
pub(super) fn left(node: &NodeProto) -> Option<String> {
    is_scan(node).then(|| "the sizes of what it scans are made by nodes that are not supported".to_owned())
}

/// How it goes through what it reads and makes.
struct Form {
    states: usize,
    /// By scanned input, and by output that is put together: the axis, and whether it goes from the end.
    inputs: Vec<(i64, bool)>,
    outputs: Vec<(i64, bool)>,
}

fn wrong(node: &NodeProto, reason: String) -> ImportError {
    ImportError::Node {
        node: name_of(node).to_owned(),
        op: node.op_type.clone(),
        reason,
    }
}

fn list(node: &NodeProto, name: &str, len: usize) -> Result<Vec<i64>, ImportError> {
    match node.attribute.iter().find(|a| a.name == name) {
        None => Ok(vec![0; len]),
        Some(list) if list.ints.len() == len => Ok(list.ints.clone()),
        Some(list) => {
            let reason = format!("its {name} has {} values, not {len}", list.ints.len());
            Err(wrong(node, reason))
        }
    }
}

fn directions(node: &NodeProto, name: &str, len: usize) -> Result<Vec<bool>, ImportError> {
    let one = |direction: i64| match direction {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(wrong(node, format!("its {name} has {other}, not 0 or 1"))),
    };
    list(node, name, len)?.into_iter().map(one).collect()
}

fn form(node: &NodeProto, given: usize, of_batch: bool) -> Result<Form, ImportError> {
    let count = node.attribute.iter().find(|a| a.name == "num_scan_inputs");
    let count = count.and_then(|a| usize::try_from(a.i).ok());
    let Some(count) = count.filter(|count| (1..=given).contains(count)) else {
        let reason = format!("its num_scan_inputs is missing, or not from 1 to the {given} inputs");
        return Err(wrong(node, reason));
    };
    let states = given - count;
    let Some(made) = node.output.len().checked_sub(states) else {
        let reason = format!("it has {} outputs, and {states} states", node.output.len());
        return Err(wrong(node, reason));
    };
    let together = |axes: Vec<i64>, from_end: Vec<bool>| axes.into_iter().zip(from_end).collect();
    if of_batch {
        return Ok(Form {
            states,
            inputs: together(vec![0; count], directions(node, "directions", count)?),
            outputs: vec![(0, false); made],
        });
    }
    Ok(Form {
        states,
        inputs: together(
            list(node, "scan_input_axes", count)?,
            directions(node, "scan_input_directions", count)?,
        ),
        outputs: together(
            list(node, "scan_output_axes", made)?,
            directions(node, "scan_output_directions", made)?,
        ),
    })
}

/// Whether each input has a batch.
fn has_batch(opset: i64) -> bool {
    opset < 9
}

/// The inputs whose sizes have to be known.
pub(super) fn asked(node: &NodeProto, opset: i64) -> &[String] {
    node.input
        .get(usize::from(has_batch(opset))..)
        .unwrap_or_default()
}

/// The body once for each element; the shapes are those of the inputs that were asked for.
pub(super) fn unroll(
    spliced: &mut Spliced<'_>,
    node: &NodeProto,
    opset: i64,
    shapes: &[&Tensor],
) -> Result<(), ImportError> {
    let of_batch = has_batch(opset);
    if of_batch && node.input.first().is_some_and(|lengths| !lengths.is_empty()) {
        let reason = "its input sequence_lens: only sequences of one length are supported";
        return Err(unsupported(node, reason.to_owned()));
    }
    let given = asked(node, opset);
    let form = form(node, given.len(), of_batch)?;
    let mut body = body(node, 0)?;
    if body.input.len() != given.len() {
        let reason = format!("its body has {} inputs, not {}", body.input.len(), given.len());
        return Err(wrong(node, reason));
    }
    let shapes: Vec<&[i64]> = shapes
        .iter()
        .map(|shape| match shape.values() {
            Values::Int(sizes) => &sizes[..],
            Values::Float(_) | Values::Bool(_) => &[],
        })
        .collect();
    let batch = if of_batch {
        Some(batch(node, &shapes)?)
    } else {
        None
    };
    let steps = steps(node, &form, &shapes, of_batch)?;
    spliced.gone(node);
    spliced.hoist(&mut body);
    spliced.room(node, &body, steps.saturating_mul(batch.unwrap_or(1)))?;
    let Some(batch) = batch else {
        let made = scan(spliced, node, &form, &body, steps, given)?;
        for (made, name) in made.iter().zip(&node.output) {
            spliced.identity(made, name);
        }
        return Ok(());
    };
    let mut parts = vec![Vec::with_capacity(batch); node.output.len()];
    for index in 0..batch {
        let of_one: Vec<String> = given
            .iter()
            .map(|name| spliced.element(name, name, 0, index))
            .collect();
        let made = scan(spliced, node, &form, &body, steps, &of_one)?;
        for (part, made) in parts.iter_mut().zip(made) {
            part.push(made);
        }
        spliced.later_trip();
    }
    for (parts, name) in parts.iter().zip(&node.output) {
        put_together(spliced, node, parts, 0, name)?;
    }
    Ok(())
}

/// What the body makes of these inputs, by output of the node; of an output that it does not name, whatever.
fn scan(
    spliced: &mut Spliced<'_>,
    node: &NodeProto,
    form: &Form,
    body: &GraphProto,
    steps: usize,
    given: &[String],
) -> Result<Vec<String>, ImportError> {
    let (states, inputs) = given.split_at(form.states);
    let mut states = states.to_vec();
    let mut parts = vec![Vec::with_capacity(steps); form.outputs.len()];
    for step in 0..steps {
        if step == 1 {
            spliced.later_trip();
        }
        let mut bound = states;
        for (name, (axis, from_end)) in inputs.iter().zip(&form.inputs) {
            let index = if *from_end { steps - 1 - step } else { step };
            bound.push(spliced.element(name, name, *axis, index));
        }
        let mut made = spliced.graph(body.clone(), &bound).into_iter();
        states = made.by_ref().take(form.states).collect();
        for (part, made) in parts.iter_mut().zip(made) {
            part.push(made);
        }
    }
    let names = node.output.iter().skip(form.states);
    for ((mut parts, (axis, from_end)), name) in parts.into_iter().zip(&form.outputs).zip(names) {
        if *from_end {
            parts.reverse();
        }
        let made = if name.is_empty() {
            String::new()
        } else {
            spliced.fresh(name)
        };
        put_together(spliced, node, &parts, *axis, &made)?;
        states.push(made);
    }
    Ok(states)
}

/// How many elements are scanned: as many of every input.
fn steps(node: &NodeProto, form: &Form, shapes: &[&[i64]], of_batch: bool) -> Result<usize, ImportError> {
    let mut steps: Option<i64> = None;
    for (shape, (axis, _)) in shapes.iter().skip(form.states).zip(&form.inputs) {
        let shape = shape.get(usize::from(of_batch)..).unwrap_or_default();
        let axis = if *axis < 0 {
            axis.saturating_add(shape.len() as i64)
        } else {
            *axis
        };
        let size = usize::try_from(axis)
            .ok()
            .and_then(|axis| shape.get(axis).copied());
        let Some(size) = size else {
            let reason = format!("it scans along axis {axis} of {} dimensions", shape.len());
            return Err(wrong(node, reason));
        };
        if let Some(steps) = steps.filter(|steps| *steps != size) {
            let reason = format!("it scans {steps} and {size} elements together");
            return Err(wrong(node, reason));
        }
        steps = Some(size);
    }
    Ok(steps.and_then(|steps| usize::try_from(steps).ok()).unwrap_or(0))
}

fn batch(node: &NodeProto, shapes: &[&[i64]]) -> Result<usize, ImportError> {
    let first = shapes.first().and_then(|shape| shape.first().copied());
    let same = shapes.iter().all(|shape| shape.first().copied() == first);
    match first.and_then(|size| usize::try_from(size).ok()) {
        Some(size) if size > 0 && same => Ok(size),
        _ => Err(wrong(
            node,
            "its inputs have no batch, or not the same".to_owned(),
        )),
    }
}
