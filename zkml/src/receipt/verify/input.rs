//! Depth (c): whether the receipt answers the requester's own input, and how that was rounded.

use std::collections::BTreeSet;

use super::super::report::{Report, number, share};
use super::tensors::Tensors;
use super::{Against, Verification};
use crate::accuracy::{COARSE, output_error};
use crate::graph::{
    FloatInput, IntTensor, Ranks, TensorInfo, dequantise, given_floats, quantise_input, rows,
};
use crate::receipt::Receipt;

/// What the float model is run on.
pub(super) struct Own {
    /// By input: the requester's own or, without any, the floats that the receipt's integers stand for. Of all rows of a batch.
    pub(super) floats: Vec<Vec<f64>>,
    /// How many inputs these are; a batch is filled up with the last.
    pub(super) rows: usize,
}

/// See [`Own`].
pub(super) fn own(
    receipt: &Receipt,
    tensors: &Tensors<'_>,
    verification: &Verification<'_>,
    report: &mut Report,
) -> Option<Own> {
    let manifest = &receipt.manifest;
    let infos: Vec<&TensorInfo> = manifest
        .inputs
        .iter()
        .filter_map(|id| manifest.tensor(*id))
        .collect();
    let proved = || infos.iter().copied().zip(&tensors.input);
    let Some(given) = verification.input else {
        let steps: Vec<String> = proved().map(|(info, t)| stepped(info, t)).collect();
        report.not_checked(format!(
            "Whose input this is was not checked (give --input): the answer is to the integers in the receipt, {}.",
            steps.join("; ")
        ));
        let floats = proved().map(|(info, t)| given_floats(info, &t.values));
        let Some(floats) = floats.collect() else {
            report.fails("The receipt's input has a rank that no value has.");
            return None;
        };
        return Some(Own {
            floats,
            rows: manifest.batch as usize,
        });
    };
    let given = match rows::fill(&infos, manifest.batch, given) {
        Ok(given) => given,
        Err(e) => {
            report.fails(format!("Your input is not one that the model takes: {e}."));
            return None;
        }
    };
    let mut said = Vec::new();
    for ((info, proved), own) in proved().zip(&given.tensors) {
        match one(info, proved, own, (manifest.batch, given.count), verification) {
            Ok(text) => said.push(text),
            Err(why) => {
                report.fails(why);
                return None;
            }
        }
    }
    report.holds(format!(
        "The receipt's input is your input, {} by the manifest's rule: {}.",
        if infos.iter().all(|info| info.ranks.is_some()) {
            "ranked"
        } else {
            "rounded"
        },
        said.join("; ")
    ));
    report.scope.own_input = true;
    if manifest.batch > 1 {
        report.scope.rows = Some(given.count);
        report.holds(format!(
            "Of the {} rows of the receipt's batch the first {} are your inputs, in their order; the rest are the last of them \
             again.",
            manifest.batch, given.count
        ));
    }
    Some(Own {
        floats: given.tensors.into_iter().map(|own| own.values).collect(),
        rows: given.count,
    })
}

/// How one input was rounded, or why it is not the receipt's.
fn one(
    info: &TensorInfo,
    proved: &IntTensor,
    own: &FloatInput,
    (batch, count): (u32, usize),
    verification: &Verification<'_>,
) -> Result<String, String> {
    let name = &info.name;
    match quantise_input(info, own) {
        Ok(integers) if integers == *proved => {}
        Ok(_) => return Err(format!("The receipt's input `{name}` is not your input.")),
        Err(e) => {
            return Err(format!(
                "Your input `{name}` is not one that the model takes: {e}."
            ));
        }
    }
    if let Some(ranks) = &info.ranks {
        return Ok(format!("`{name}` {}, exactly", ranked(ranks)));
    }
    let values = dequantise(info, &proved.values);
    // Each input by itself: what is small beside another is not small for its own answer.
    let rounded = |scale: f64| {
        let of = |at: usize| {
            output_error(
                rows::row(&values, batch, at),
                rows::row(&own.values, batch, at),
                scale,
            )
        };
        (0..count).map(of).fold(0f64, f64::max)
    };
    // With a model, what the rounding does to the answer is measured. With a manifest alone nothing shows it, so that it
    // is held against what the input usually is.
    let usual = verification.qualification.and_then(|q| q.input_magnitude(name));
    let rounding = rounded(usual.unwrap_or(0.0));
    if rounding > COARSE && matches!(verification.against, Against::Manifest { .. }) {
        return Err(format!(
            "Your input `{name}` was rounded to steps of {}, off by {} of its greatest value: the receipt answers another \
             input than yours (what that does to the answer, --model shows).",
            number(info.step()),
            share(rounding)
        ));
    }
    let rounding = rounded(0.0);
    Ok(format!(
        "`{name}` to steps of {}, {}",
        number(info.step()),
        if rounding == 0.0 {
            "exactly".to_owned()
        } else {
            format!("off by at most {} of its greatest value", share(rounding))
        }
    ))
}

/// By what an input is held that is held by ranks: which side of each bound a value is on is all that its model asks of it.
fn ranked(ranks: &Ranks) -> String {
    let bounds = ranks.bounds();
    format!(
        "by its place among the {bounds} threshold{} that the model compares it with",
        if bounds == 1 { "" } else { "s" }
    )
}

fn stepped(info: &TensorInfo, tensor: &IntTensor) -> String {
    let distinct: BTreeSet<i64> = tensor.values.iter().copied().collect();
    let held = match &info.ranks {
        Some(ranks) => ranked(ranks),
        None => format!("in steps of {}", number(info.step())),
    };
    format!(
        "`{}` {held} with {} distinct value{}",
        info.name,
        distinct.len(),
        if distinct.len() == 1 { "" } else { "s" }
    )
}
