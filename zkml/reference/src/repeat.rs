//! `Loop` and `Scan`: a graph that is evaluated again and again, each time on what the time before made.
//!
//! Invariant: no step begins before its work was taken from the evaluation's, whatever the graph does; what steps make to be put
//! together counts as alive.

use std::sync::Arc;

use crate::{
    ElementType, EvaluateError, Node, Step, Tensor, Values,
    evaluate::{Run, wrong},
    layout,
    limits::{MAX_LIVE, NODE, STEP},
    ops::{Body, Operation, Scanned, Stated, condition, element, scanned, stacked},
};

type Given = [Option<Arc<Tensor>>];

/// What the steps make to be put together, by output.
struct Parts(Vec<Vec<Arc<Tensor>>>);

impl Run {
    /// What a node makes whose graph is evaluated again and again.
    pub(crate) fn repeated(
        &mut self,
        node: &Node,
        operation: &Operation,
        body: &Body,
        inputs: &Given,
    ) -> Result<Vec<Arc<Tensor>>, EvaluateError> {
        match (operation.operator.name, operation.opset) {
            ("Loop", _) => self.looped(node, body, inputs),
            (_, 8) => self.scanned_of_batch(node, operation, body, inputs),
            _ => {
                let given = all(inputs).map_err(|reason| wrong(node, reason))?;
                let made = node.outputs.len();
                let scan = scanned(operation, given.len(), made).map_err(|reason| wrong(node, reason))?;
                self.scanned(node, body, &scan, &given)
            }
        }
    }

    /// What a graph makes of its inputs.
    fn step(
        &mut self,
        node: &Node,
        body: &Body,
        given: &[Arc<Tensor>],
    ) -> Result<Vec<Arc<Tensor>>, EvaluateError> {
        if body.inputs.len() != given.len() {
            let reason = format!("its body has {} inputs, not {}", body.inputs.len(), given.len());
            return Err(wrong(node, reason));
        }
        let work = body.weight().saturating_mul(NODE);
        self.budget
            .spend(work)
            .map_err(|reason| self.refused(node, reason))?;
        for (&value, tensor) in body.inputs.iter().zip(given) {
            self.keep(value, Arc::clone(tensor));
        }
        let made = self.body(body, &mut |_, _| ())?;
        let made: Option<Vec<_>> = made.into_iter().collect();
        made.ok_or_else(|| wrong(node, "nothing made an output of its body".into()))
    }

    fn looped(
        &mut self,
        node: &Node,
        body: &Body,
        inputs: &Given,
    ) -> Result<Vec<Arc<Tensor>>, EvaluateError> {
        let at = |reason: String| wrong(node, reason);
        let optional = |i: usize| inputs.get(i).cloned().flatten();
        let trips = optional(0).map(|t| t.one_int()).transpose().map_err(at)?;
        let mut goes_on = match optional(1) {
            Some(value) => condition(&value).map_err(at)?,
            None => true,
        };
        let mut states = all(inputs.get(2..).unwrap_or_default()).map_err(at)?;
        let count = states.len();
        if body.outputs.len() < 1 + count {
            let reason = format!("its body has {} outputs for {count} states", body.outputs.len());
            return Err(at(reason));
        }
        let mut parts = Parts(vec![Vec::new(); body.outputs.len() - 1 - count]);
        let mut trip = 0i64;
        while goes_on && trips.is_none_or(|trips| trip < trips) {
            let number = Tensor::int64(vec![], vec![trip]).map_err(at)?;
            let yes = Tensor::bool(vec![], vec![true]).map_err(at)?;
            let mut given = vec![Arc::new(number), Arc::new(yes)];
            given.append(&mut states);
            let mut made = self.step(node, body, &given)?.into_iter();
            let next = made
                .next()
                .ok_or_else(|| at("nothing made its condition".into()))?;
            goes_on = condition(&next).map_err(at)?;
            states = made.by_ref().take(count).collect();
            self.put(node, &mut parts, made)?;
            trip += 1;
        }
        let axes = vec![(0, false); parts.0.len()];
        let stated = body.stated.get(1 + count..).unwrap_or_default();
        states.extend(self.together(node, parts, &axes, stated)?);
        Ok(states)
    }

    fn scanned(
        &mut self,
        node: &Node,
        body: &Body,
        scan: &Scanned,
        given: &[Arc<Tensor>],
    ) -> Result<Vec<Arc<Tensor>>, EvaluateError> {
        let at = |reason: String| wrong(node, reason);
        let (states, inputs) = given.split_at(scan.states);
        let mut states = states.to_vec();
        let (axes, steps) = scan.steps(inputs).map_err(at)?;
        let outputs = scan.output_axes.len();
        if body.outputs.len() != scan.states + outputs {
            let reason = format!(
                "its body has {} outputs, the node {}",
                body.outputs.len(),
                scan.states + outputs
            );
            return Err(at(reason));
        }
        let mut parts = Parts(vec![Vec::new(); outputs]);
        for step in 0..steps {
            let mut given = states;
            for ((tensor, axis), (_, backward)) in inputs.iter().zip(&axes).zip(&scan.input_axes) {
                let index = if *backward { steps - 1 - step } else { step };
                self.budget
                    .spend(tensor.len() as u64 / steps as u64)
                    .map_err(|reason| self.refused(node, reason))?;
                given.push(Arc::new(element(tensor, *axis, index).map_err(at)?));
            }
            let mut made = self.step(node, body, &given)?.into_iter();
            states = made.by_ref().take(scan.states).collect();
            self.put(node, &mut parts, made)?;
        }
        let stated = body.stated.get(scan.states..).unwrap_or_default();
        states.extend(self.together(node, parts, &scan.output_axes, stated)?);
        Ok(states)
    }

    /// The `Scan` of opset 8: each element of a batch by itself.
    fn scanned_of_batch(
        &mut self,
        node: &Node,
        operation: &Operation,
        body: &Body,
        inputs: &Given,
    ) -> Result<Vec<Arc<Tensor>>, EvaluateError> {
        let at = |reason: String| wrong(node, reason);
        let (lengths, given) = inputs
            .split_first()
            .ok_or_else(|| at("it has no inputs".into()))?;
        if lengths.is_some() {
            return Err(at("its sequence_lens are not evaluated".into()));
        }
        let given = all(given).map_err(at)?;
        let scan = scanned(operation, given.len(), node.outputs.len()).map_err(at)?;
        let batch = given
            .first()
            .and_then(|t| t.shape().first().copied())
            .unwrap_or(0);
        if batch == 0 || given.iter().any(|t| t.shape().first() != Some(&batch)) {
            return Err(at("its inputs have no batch, or not the same".into()));
        }
        let mut parts = Parts(vec![Vec::new(); node.outputs.len()]);
        for index in 0..batch {
            let of_one = given.iter().map(|tensor| element(tensor, 0, index).map(Arc::new));
            let of_one: Vec<_> = of_one.collect::<Step<_>>().map_err(at)?;
            let made = self.scanned(node, body, &scan, &of_one)?;
            self.put(node, &mut parts, made.into_iter())?;
        }
        let axes = vec![(0, false); parts.0.len()];
        self.together(node, parts, &axes, &[])
    }

    /// Keeps what a step made.
    fn put(
        &mut self,
        node: &Node,
        parts: &mut Parts,
        made: impl Iterator<Item = Arc<Tensor>>,
    ) -> Result<(), EvaluateError> {
        for (part, made) in parts.0.iter_mut().zip(made) {
            self.live += made.len();
            part.push(made);
        }
        if self.live > MAX_LIVE {
            return Err(wrong(node, format!("more than {MAX_LIVE} values are alive")));
        }
        Ok(())
    }

    /// Puts together what the steps made. Of no step the file says what there would be of it.
    fn together(
        &mut self,
        node: &Node,
        parts: Parts,
        axes: &[(i64, bool)],
        stated: &[Option<Stated>],
    ) -> Result<Vec<Arc<Tensor>>, EvaluateError> {
        let mut together = Vec::with_capacity(parts.0.len());
        for (at, (mut parts, (axis, backward))) in parts.0.into_iter().zip(axes).enumerate() {
            let len: usize = parts.iter().map(|part| part.len()).sum();
            self.live -= len;
            self.budget
                .spend((len as u64).saturating_mul(STEP))
                .map_err(|reason| self.refused(node, reason))?;
            if *backward {
                parts.reverse();
            }
            let made = if parts.is_empty() {
                nothing(stated.get(at).and_then(Option::as_ref), *axis)
            } else {
                stacked(&parts, *axis)
            };
            together.push(Arc::new(made.map_err(|reason| wrong(node, reason))?));
        }
        Ok(together)
    }
}

/// No elements along a new axis of a tensor of this type and shape.
fn nothing(stated: Option<&Stated>, axis: i64) -> Step<Tensor> {
    let (element, shape) =
        stated.ok_or("it makes no step, and the file does not say what its body would make")?;
    let mut shape = shape.clone();
    shape.insert(layout::axis(axis, shape.len() + 1)?, 0);
    let values = match element {
        ElementType::Bool => Values::Bool(Vec::new()),
        kind if kind.is_float() => Values::Float(Vec::new()),
        _ => Values::Int(Vec::new()),
    };
    Tensor::make(*element, shape, values)
}

/// All of them; none may be left out.
fn all(inputs: &Given) -> Step<Vec<Arc<Tensor>>> {
    let given = inputs.iter().cloned();
    let given: Option<Vec<_>> = given.collect();
    given.ok_or_else(|| "an input is missing".into())
}
