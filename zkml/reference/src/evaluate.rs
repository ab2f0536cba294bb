//! The evaluation: nodes in the file's order, values dropped after their last reader; of an `If` the branch that it takes, where
//! it stands; what is computed again and again in [`repeat`](crate::repeat).

use std::{collections::HashMap, sync::Arc};

use crate::{
    Dimension, EvaluateError, Model, Node, Port, Precision, Step, Tensor,
    limits::{Budget, MAX_LIVE, volume},
    ops::{Body, Call, Graphs, Operation, branch},
};

pub(crate) fn evaluate(
    model: &Model,
    inputs: &[Tensor],
    work: u64,
    precision: Precision,
    see: &mut dyn FnMut(&str, &Tensor),
) -> Result<Vec<Tensor>, EvaluateError> {
    check_inputs(&model.inputs, inputs)?;
    let mut run = Run {
        values: vec![None; model.values],
        live: 0,
        budget: Budget::new(work),
        work,
        precision,
    };
    for (&value, tensor) in model.input_values.iter().zip(inputs) {
        run.keep(value, Arc::new(tensor.clone()));
    }
    let made = run.body(&model.body, see)?;
    let all = model.outputs.iter().zip(&made);
    all.map(|(port, made)| {
        let wrong = |reason: String| EvaluateError::Output {
            name: port.name.clone(),
            reason,
        };
        let tensor = made.as_deref().ok_or_else(|| wrong("nothing made it".into()))?;
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

/// Values as far as they are made.
pub(crate) struct Run {
    pub(crate) values: Vec<Option<Arc<Tensor>>>,
    /// Numbers in all of them.
    pub(crate) live: usize,
    pub(crate) budget: Budget,
    work: u64,
    precision: Precision,
}

impl Run {
    pub(crate) fn keep(&mut self, value: usize, tensor: Arc<Tensor>) {
        self.live += tensor.len();
        self.values[value] = Some(tensor);
    }

    fn drop(&mut self, value: usize) {
        self.live -= self.values[value].take().map_or(0, |tensor| tensor.len());
    }

    /// The outputs of a graph, of which nothing else stays.
    pub(crate) fn body(
        &mut self,
        body: &Body,
        see: &mut dyn FnMut(&str, &Tensor),
    ) -> Result<Vec<Option<Arc<Tensor>>>, EvaluateError> {
        for (value, tensor) in &body.constants {
            self.keep(*value, Arc::clone(tensor));
        }
        for ((node, operation), dying) in body.nodes.iter().zip(&body.operations).zip(&body.dying) {
            for (value, tensor) in operation.outputs.iter().zip(self.node(node, operation)?) {
                let Some(value) = *value else { continue };
                self.keep(value, tensor);
            }
            for (value, name) in operation.outputs.iter().zip(&node.outputs) {
                let made = value.and_then(|value| self.values[value].as_deref());
                made.into_iter().for_each(|tensor| see(name, tensor));
            }
            if self.live > MAX_LIVE {
                let reason = format!("more than {MAX_LIVE} values are alive");
                return Err(wrong(node, reason));
            }
            dying.iter().for_each(|&value| self.drop(value));
        }
        let made = body.outputs.iter().map(|&value| self.values[value].clone());
        let made = made.collect();
        body.own.clone().for_each(|value| self.drop(value));
        Ok(made)
    }

    /// What a node makes.
    fn node(&mut self, node: &Node, operation: &Operation) -> Result<Vec<Arc<Tensor>>, EvaluateError> {
        let given = operation.inputs.iter();
        let given = given.map(|&v| v.and_then(|v| self.values[v].clone()));
        let inputs: Vec<_> = given.collect();
        if let Some(body) = branch(operation, &inputs).map_err(|reason| wrong(node, reason))? {
            // Of nodes within nodes nothing is shown: two graphs may have the same names.
            let made = self.body(body, &mut |_, _| ())?;
            let made: Option<Vec<_>> = made.into_iter().collect();
            return made.ok_or_else(|| wrong(node, "nothing made an output of its branch".into()));
        }
        if let Some(Graphs::Repeated(body)) = operation.graphs.as_deref() {
            let body = body.as_ref().map_err(|reason| wrong(node, reason.clone()))?;
            return self.repeated(node, operation, body, &inputs);
        }
        let call = Call {
            operation,
            inputs: &inputs,
            budget: &self.budget,
        };
        let made = call.run().map_err(|reason| self.refused(node, reason))?;
        let held = |tensor: Tensor| match self.precision {
            Precision::Double => tensor,
            Precision::Declared => tensor.rounded(),
        };
        Ok(made.into_iter().map(held).map(Arc::new).collect())
    }

    /// Why a node makes nothing: it is wrong, or nothing is left for it.
    pub(crate) fn refused(&self, node: &Node, reason: String) -> EvaluateError {
        match self.budget.is_spent() {
            true => EvaluateError::Work {
                node: node.name.clone(),
                op: node.op.clone(),
                most: self.work,
            },
            false => wrong(node, reason),
        }
    }
}

pub(crate) fn wrong(node: &Node, reason: String) -> EvaluateError {
    EvaluateError::Node {
        node: node.name.clone(),
        op: node.op.clone(),
        reason,
    }
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
