//! The answer against the float model, by the verifier's rule.
//!
//! Invariant: the float model runs on the requester's own floats wherever they were given; nothing that the manifest says
//! of its own precision decides.

use zkml::accuracy::{Rule, Verdict, names_classes, top1};
use zkml::graph::{IntTensor, TensorId, TensorInfo, rows as graph_rows};
use zkml::receipt::{Judged, Proved, Receipt, Report, judge_outputs, number, share};

use super::rows;
use crate::compile::Derived;
use crate::fidelity::Fidelity;
use crate::float_model::FloatModel;

/// What is judged: one answer.
pub(super) struct Asked<'a> {
    /// How many rows the graph has; all of them are this input.
    pub(super) batch: u32,
    /// By input: the floats.
    pub(super) floats: &'a [Vec<f64>],
    /// Every tensor of the integer graph.
    pub(super) values: &'a [IntTensor],
    /// The outputs' descriptions, as one input has them, and their proved integers.
    pub(super) outputs: &'a [(TensorInfo, &'a [i64])],
}

pub(super) fn judge(onnx: &[u8], derived: &Derived, proved: &Proved<'_>, report: &mut Report) -> Option<()> {
    let values = evaluated(proved, derived, report)?;
    let model = match FloatModel::read(onnx) {
        Ok(model) => model,
        Err(e) => {
            report.fails(format!("The float model has no answer to this input: {e}."));
            return None;
        }
    };
    if proved.receipt.manifest.batch > 1 {
        return rows::judge(&model, derived, proved, report);
    }
    let infos = derived.graph.outputs.iter();
    let infos = infos.filter_map(|id| derived.graph.tensors.get(id.0 as usize).cloned());
    let outputs: Vec<(TensorInfo, &[i64])> = infos
        .zip(proved.output.iter().map(|t| t.values.as_slice()))
        .collect();
    let asked = Asked {
        batch: 1,
        floats: proved.floats,
        values: &values,
        outputs: &outputs,
    };
    judge_one(&model, derived, proved, &asked, report)
}

pub(super) fn judge_one(
    model: &FloatModel,
    derived: &Derived,
    proved: &Proved<'_>,
    asked: &Asked<'_>,
    report: &mut Report,
) -> Option<()> {
    let &Proved { receipt, rule, .. } = proved;
    let answer = model.settled_row(&derived.graph, asked.batch, asked.floats, &rule.output_scale);
    let (answer, exact) = match answer {
        Ok(answer) => (answer, model.exact()),
        Err(e) => {
            report.fails(format!("The float model has no answer to this input: {e}."));
            return None;
        }
    };
    // What is wrong is said from every side: which tensor was too coarse, how far the answer is off, which class it is.
    let resolved = resolution(derived, asked, &answer, rule, report);
    let outputs: Vec<(&TensorInfo, &[i64])> = asked.outputs.iter().map(|(info, v)| (info, *v)).collect();
    let verdict = judge_outputs(rule, &outputs, &answer, &exact);
    error(receipt, &verdict, rule, report);
    classes(&outputs, &answer, &exact, &verdict, rule, report);
    wholes(&outputs, &exact, &verdict, report);
    let accepted = verdict.accepted();
    report.judged = Some(Judged {
        verdict,
        output_scale: rule.output_scale.clone(),
    });
    (accepted && resolved.is_some()).then_some(())
}

/// Every tensor of the integer graph, evaluated here; the receipt's must be among them.
fn evaluated(proved: &Proved<'_>, derived: &Derived, report: &mut Report) -> Option<Vec<IntTensor>> {
    let receipt = proved.receipt;
    let values = match derived.graph.evaluate(proved.input) {
        Ok(values) => values,
        Err(e) => {
            report.fails(format!(
                "The integer graph has no answer to the receipt's input: {e}."
            ));
            return None;
        }
    };
    let other = receipt.inner.iter().chain(&receipt.output).find(|boundary| {
        let evaluated = values.get(boundary.id.0 as usize);
        evaluated.is_none_or(|t| t.values != boundary.values)
    });
    if let Some(boundary) = other {
        let name = receipt
            .manifest
            .tensor(boundary.id)
            .map(|info| info.name.as_str());
        report.fails(format!(
            "The integer graph, evaluated here, has other values for `{}`.",
            name.unwrap_or_default()
        ));
        return None;
    }
    report.holds(
        "The integer graph, evaluated here, gives the receipt's output and every tensor between its slices.",
    );
    Some(values)
}

/// Each tensor's resolution on this input, as `fidelity` bounds it.
fn resolution(
    derived: &Derived,
    asked: &Asked<'_>,
    answer: &[Vec<f64>],
    rule: &Rule,
    report: &mut Report,
) -> Option<()> {
    let (float, int, values) = (&derived.float, &derived.graph, asked.values);
    // Of a batch, the graph with this input in every row: no other makes a tensor look fine.
    let everywhere = |all: &[Vec<f64>]| -> Vec<Vec<f64>> {
        all.iter().map(|v| graph_rows::repeated(v, asked.batch)).collect()
    };
    let (floats, answer) = (&everywhere(asked.floats)[..], &everywhere(answer)[..]);
    let measured = Fidelity::new(float, int, floats, values).and_then(|fidelity| {
        let effect = fidelity.effect((float, int), floats, values, answer, rule)?;
        Ok((fidelity, effect))
    });
    let (fidelity, effect) = match measured {
        Ok(measured) => measured,
        Err(e) => {
            report.fails(format!("The float graph does not run on this input: {e}."));
            return None;
        }
    };
    let describe = |id: TensorId| {
        let (info, measured) = int
            .tensors
            .get(id.0 as usize)
            .zip(fidelity.tensors.get(id.0 as usize))?;
        Some(format!(
            "`{}`, in steps of {}, by {} of its greatest value, {}",
            info.name,
            number(info.step()),
            share(measured.error),
            number(measured.magnitude)
        ))
    };
    match effect {
        None => {
            let worst = fidelity.worst().and_then(|(id, _)| describe(id));
            report.holds(format!(
                "Each of the {} tensors is close to its float value on this input; the furthest off is {}.",
                fidelity.tensors.len(),
                worst.unwrap_or_default()
            ));
            Some(())
        }
        Some(effect) => {
            let first = effect
                .coarse
                .first()
                .copied()
                .and_then(describe)
                .unwrap_or_default();
            let (count, moved) = (effect.coarse.len(), amount(effect.error));
            if effect.harmless(rule) {
                report.holds(format!(
                    "Too coarse for this input are {count} of {} tensors, the first off is {first}; it does no harm: these \
                     alone would put the answer {moved} off.",
                    fidelity.tensors.len()
                ));
                Some(())
            } else {
                report.fails(format!(
                    "Too coarse for this input are {count} of {} tensors, the first off is {first}: these alone put the \
                     answer {moved} off.",
                    fidelity.tensors.len()
                ));
                None
            }
        }
    }
}

fn error(receipt: &Receipt, verdict: &Verdict, rule: &Rule, report: &mut Report) {
    let on = if report.scope.own_input {
        "your input"
    } else {
        "the receipt's integers"
    };
    let scale = if rule.output_scale.iter().any(|s| *s > 0.0) {
        " or of its natural magnitude"
    } else {
        ""
    };
    let text = format!(
        "on {on} the greatest error against the float model is {} of its greatest value{scale}, you accept {}",
        amount(verdict.error),
        amount(verdict.max_error)
    );
    if verdict.error <= verdict.max_error {
        report.holds(format!("Within your greatest error: {text}."));
        return;
    }
    let budget = f64::from(receipt.manifest.error_budget_millionths) / 1e6;
    let would = if verdict.error <= budget {
        format!(
            " (the manifest would allow {}; what it allows decides nothing)",
            amount(budget)
        )
    } else {
        String::new()
    };
    report.fails(format!("Beyond your greatest error: {text}{would}."));
}

fn classes(
    outputs: &[(&TensorInfo, &[i64])],
    answer: &[Vec<f64>],
    exact: &[bool],
    verdict: &Verdict,
    rule: &Rule,
    report: &mut Report,
) {
    if let Some(other) = &verdict.other_class {
        report.fails(format!(
            "Another class: the answer's `{}` is greatest at {}, the float model's at {}.",
            other.output, other.got, other.float
        ));
        return;
    }
    let named: Vec<String> = outputs
        .iter()
        .zip(answer)
        .zip(exact)
        .filter(|(((info, _), _), exact)| !**exact && names_classes(&info.shape))
        .filter_map(|(((info, _), float), _)| {
            top1(float).map(|at| format!("`{}` is greatest at {at}", info.name))
        })
        .collect();
    match (named.is_empty(), rule.compare_top1) {
        (true, _) => {}
        (false, true) => report.holds(format!(
            "The same class as the float model's: {}.",
            named.join(", ")
        )),
        (false, false) => {
            report
                .not_checked("Whether the greatest output is the float model's was not checked (--no-top1).");
        }
    }
}

/// Outputs that the model says are whole numbers, or yes and no.
fn wholes(outputs: &[(&TensorInfo, &[i64])], exact: &[bool], verdict: &Verdict, report: &mut Report) {
    if let Some(other) = &verdict.other_value {
        report.fails(format!(
            "Another value: the answer's `{}` is {} at {}, the float model's {}.",
            other.output, other.got, other.at, other.float
        ));
        return;
    }
    let whole = outputs.iter().zip(exact).filter(|(_, exact)| **exact);
    let named: Vec<String> = whole.map(|((info, _), _)| format!("`{}`", info.name)).collect();
    if !named.is_empty() {
        report.holds(format!(
            "Whole numbers, and exactly the float model's: {}.",
            named.join(", ")
        ));
    }
}

/// An error for people.
fn amount(error: f64) -> String {
    if error.is_finite() {
        format!("{error:.2e}")
    } else {
        "infinitely much".to_owned()
    }
}
