//! Depth (c): whether the receipt answers the requester's own input, and how that was rounded.

use std::collections::BTreeSet;

use super::super::report::{Report, number, share};
use super::tensors::Tensors;
use super::{Against, Verification};
use crate::accuracy::{COARSE, output_error};
use crate::graph::{FloatInput, IntTensor, TensorInfo, dequantise, quantise_input};
use crate::receipt::Receipt;

/// The floats that the float model is run on, by input: the requester's own or, without any, those that the receipt's
/// integers stand for.
pub(super) fn own(
    receipt: &Receipt,
    tensors: &Tensors<'_>,
    verification: &Verification<'_>,
    report: &mut Report,
) -> Option<Vec<Vec<f64>>> {
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
        return Some(proved().map(|(info, t)| dequantise(info, &t.values)).collect());
    };
    let names: Vec<&str> = infos.iter().map(|info| info.name.as_str()).collect();
    let given = match given.in_order(&names) {
        Ok(given) => given,
        Err(e) => {
            report.fails(format!("Your input is not one that the model takes: {e}."));
            return None;
        }
    };
    let mut said = Vec::new();
    for ((info, proved), own) in proved().zip(&given) {
        match one(info, proved, own, verification) {
            Ok(text) => said.push(text),
            Err(why) => {
                report.fails(why);
                return None;
            }
        }
    }
    report.holds(format!(
        "The receipt's input is your input, rounded by the manifest's rule: {}.",
        said.join("; ")
    ));
    report.scope.own_input = true;
    Some(given.into_iter().map(|own| own.values.clone()).collect())
}

/// How one input was rounded, or why it is not the receipt's.
fn one(
    info: &TensorInfo,
    proved: &IntTensor,
    own: &FloatInput,
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
    let values = dequantise(info, &proved.values);
    // With a model, what the rounding does to the answer is measured. With a manifest alone nothing shows it, so that it
    // is held against what the input usually is.
    let usual = verification.qualification.and_then(|q| q.input_magnitude(name));
    let rounding = output_error(&values, &own.values, usual.unwrap_or(0.0));
    if rounding > COARSE && matches!(verification.against, Against::Manifest { .. }) {
        return Err(format!(
            "Your input `{name}` was rounded to steps of {}, off by {} of its greatest value: the receipt answers another \
             input than yours (what that does to the answer, --model shows).",
            number(info.step()),
            share(rounding)
        ));
    }
    let rounding = output_error(&values, &own.values, 0.0);
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

fn stepped(info: &TensorInfo, tensor: &IntTensor) -> String {
    let distinct: BTreeSet<i64> = tensor.values.iter().copied().collect();
    format!(
        "`{}` in steps of {} with {} distinct value{}",
        info.name,
        number(info.step()),
        distinct.len(),
        if distinct.len() == 1 { "" } else { "s" }
    )
}
