//! The evaluation: nodes in the file's order, values dropped after their last reader.

use std::{collections::HashMap, sync::Arc};

use crate::{
    Dimension, EvaluateError, Model, Port, Precision, Step, Tensor,
    limits::{Budget, MAX_LIVE, volume},
    ops::Call,
};

pub(crate) fn evaluate(
    model: &Model,
    inputs: &[Tensor],
    work: u64,
    precision: Precision,
    see: &mut dyn FnMut(&str, &Tensor),
) -> Result<Vec<Tensor>, EvaluateError> {
    check_inputs(&model.inputs, inputs)?;
    let mut values: Vec<Option<Arc<Tensor>>> = vec![None; model.values];
    let mut live = 0usize;
    for (&value, tensor) in model.input_values.iter().zip(inputs) {
        live += tensor.len();
        values[value] = Some(Arc::new(tensor.clone()));
    }
    for (value, tensor) in &model.constants {
        live += tensor.len();
        values[*value] = Some(Arc::clone(tensor));
    }
    let budget = Budget::new(work);
    for ((node, operation), dying) in model.nodes.iter().zip(&model.operations).zip(&model.dying) {
        let wrong = |reason: String| EvaluateError::Node {
            node: node.name.clone(),
            op: node.op.clone(),
            reason,
        };
        let given = operation
            .inputs
            .iter()
            .map(|&v| v.and_then(|v| values[v].clone()));
        let call = Call {
            operation,
            inputs: &given.collect::<Vec<_>>(),
            budget: &budget,
        };
        let made = call.run().map_err(|reason| match budget.is_spent() {
            true => EvaluateError::Work {
                node: node.name.clone(),
                op: node.op.clone(),
                most: work,
            },
            false => wrong(reason),
        })?;
        for ((value, name), tensor) in operation.outputs.iter().zip(&node.outputs).zip(made) {
            let Some(value) = *value else { continue };
            let tensor = match precision {
                Precision::Double => tensor,
                Precision::Declared => tensor.rounded(),
            };
            see(name, &tensor);
            live += tensor.len();
            values[value] = Some(Arc::new(tensor));
        }
        if live > MAX_LIVE {
            return Err(wrong(format!("more than {MAX_LIVE} values are alive")));
        }
        for &value in dying {
            live -= values[value].take().map_or(0, |tensor| tensor.len());
        }
    }
    let all = model.outputs.iter().zip(&model.output_values);
    all.map(|(port, &value)| {
        let wrong = |reason: String| EvaluateError::Output {
            name: port.name.clone(),
            reason,
        };
        let tensor = values[value]
            .as_deref()
            .ok_or_else(|| wrong("nothing made it".into()))?;
        if tensor.element() == port.element {
            Ok(tensor.clone())
        } else {
            let reason = format!(
                "it is {}, not {} as the file says",
                tensor.element(),
                port.element
            );
            Err(wrong(reason))
        }
    })
    .collect()
}

fn check_inputs(ports: &[Port], inputs: &[Tensor]) -> Result<(), EvaluateError> {
    if ports.len() != inputs.len() {
        return Err(EvaluateError::Inputs {
            wanted: ports.len(),
            got: inputs.len(),
        });
    }
    let mut sizes = HashMap::new();
    for (port, tensor) in ports.iter().zip(inputs) {
        check_input(port, tensor, &mut sizes).map_err(|reason| EvaluateError::Input {
            name: port.name.clone(),
            reason,
        })?;
    }
    Ok(())
}

/// A free dimension takes the size of the first tensor that has it; the same name is the same size.
fn check_input<'a>(port: &'a Port, tensor: &Tensor, sizes: &mut HashMap<&'a str, usize>) -> Step<()> {
    if tensor.element() != port.element {
        return Err(format!("it is {}, not {}", tensor.element(), port.element));
    }
    volume(tensor.shape())?;
    let Some(shape) = &port.shape else { return Ok(()) };
    let got = tensor.shape();
    if shape.len() != got.len() {
        return Err(format!("it has {} dimensions, not {}", got.len(), shape.len()));
    }
    for (i, (dimension, &size)) in shape.iter().zip(got).enumerate() {
        let wanted = match dimension {
            Dimension::Fixed(wanted) => *wanted,
            Dimension::Free(name) if name.is_empty() => size,
            Dimension::Free(name) => *sizes.entry(name).or_insert(size),
        };
        if wanted != size {
            return Err(format!("its dimension {i} is {size}, not {wanted}"));
        }
    }
    Ok(())
}
