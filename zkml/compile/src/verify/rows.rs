//! The answers of a batch, each judged as the answer of one is.
//!
//! Invariant: a row is judged by what its input makes alone. The float model has one input at a time; the integer graph is
//! evaluated with that input in every row, and must give it the row that the receipt has. So no error is small because another
//! row's values are large, and no row's answer hangs on what stands beside it. Rows that fill the batch up are copies of the
//! last input, and are not looked at again.

use zkml::graph::{IntTensor, TensorInfo, rows};
use zkml::receipt::{Outcome, Proved, Report};

use super::answer::{Asked, judge_one};
use crate::compile::Derived;
use crate::float_model::FloatModel;

pub(super) fn judge(
    model: &FloatModel,
    derived: &Derived,
    proved: &Proved<'_>,
    report: &mut Report,
) -> Option<()> {
    let batch = proved.receipt.manifest.batch;
    let mut worst: Option<(usize, Report)> = None;
    for at in (0..proved.rows).filter(|at| !repeats(proved, *at)) {
        let mut of_row = Report {
            scope: report.scope,
            ..Report::default()
        };
        let judged = row(model, derived, proved, at, &mut of_row);
        if judged.is_none() {
            told(at, of_row, report);
            return None;
        }
        let error = |report: &Report| report.judged.as_ref().map_or(0.0, |j| j.verdict.error);
        if worst
            .as_ref()
            .is_none_or(|(_, worst)| error(&of_row) > error(worst))
        {
            worst = Some((at, of_row));
        }
    }
    let Some((at, worst)) = worst else {
        report.fails("No row of the receipt's batch answers an input.");
        return None;
    };
    report.holds(format!(
        "Each of the first {} of the batch's {batch} rows is the answer that its input has alone, and each is accepted as such; \
         the furthest off is row {at}, of which the rest is said.",
        proved.rows
    ));
    told(at, worst, report);
    Some(())
}

/// Whether a row is the one before it again, in input and output: then it is judged already.
fn repeats(proved: &Proved<'_>, at: usize) -> bool {
    let Some(before) = at.checked_sub(1) else {
        return false;
    };
    let batch = proved.receipt.manifest.batch;
    let same =
        |tensor: &IntTensor| rows::row(&tensor.values, batch, at) == rows::row(&tensor.values, batch, before);
    let floats = |values: &Vec<f64>| rows::row(values, batch, at) == rows::row(values, batch, before);
    proved.input.iter().chain(proved.output).all(same) && proved.floats.iter().all(floats)
}

/// What was found of a row, as a part of the whole.
fn told(at: usize, of_row: Report, report: &mut Report) {
    for sentence in of_row.sentences {
        let text = format!("Row {at}: {}", sentence.text);
        match sentence.outcome {
            Outcome::Holds => report.holds(text),
            Outcome::Fails => report.fails(text),
            Outcome::NotChecked => report.not_checked(text),
        }
    }
    report.judged = of_row.judged;
}

fn row(
    model: &FloatModel,
    derived: &Derived,
    proved: &Proved<'_>,
    at: usize,
    report: &mut Report,
) -> Option<()> {
    let (graph, batch) = (&derived.graph, proved.receipt.manifest.batch);
    let everywhere = |tensor: &IntTensor| IntTensor {
        shape: tensor.shape.clone(),
        values: rows::repeated(rows::row(&tensor.values, batch, at), batch),
    };
    let input: Vec<IntTensor> = proved.input.iter().map(everywhere).collect();
    let values = match graph.evaluate(&input) {
        Ok(values) => values,
        Err(e) => {
            report.fails(format!(
                "The integer graph has no answer to this input alone: {e}."
            ));
            return None;
        }
    };
    let infos = graph.outputs.iter().filter_map(|id| {
        let (info, alone) = graph.tensors.get(id.0 as usize).zip(values.get(id.0 as usize))?;
        Some((info, rows::row(&alone.values, batch, at)))
    });
    let mut outputs: Vec<(TensorInfo, &[i64])> = Vec::new();
    for ((info, alone), tensor) in infos.zip(proved.output) {
        let got = rows::row(&tensor.values, batch, at);
        if got != alone {
            report.fails(format!(
                "The integer graph gives `{}` other values where this input stands alone: the model mixes the inputs of a batch.",
                info.name
            ));
            return None;
        }
        outputs.push((rows::one(info, batch), got));
    }
    let floats: Vec<Vec<f64>> = proved
        .floats
        .iter()
        .map(|values| rows::row(values, batch, at).to_vec())
        .collect();
    let asked = Asked {
        batch,
        floats: &floats,
        values: &values,
        outputs: &outputs,
    };
    judge_one(model, derived, proved, &asked, report)
}
