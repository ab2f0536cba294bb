//! Whether manifest, trusted setup and qualification are the verifier's own.

use super::super::report::{Report, number};
use super::{Against, Verification};
use crate::accuracy::Rule;
use crate::backend::{System, Systems};
use crate::receipt::Receipt;
use crate::setup::{VerifierSrs, development_srs_digest};

pub(super) fn trusted(
    receipt: &Receipt,
    against: &Against<'_>,
    systems: Systems<'_, dyn System>,
    report: &mut Report,
) -> Option<()> {
    if let Err(e) = receipt.manifest.check(systems) {
        report.fails(format!("The receipt's manifest is not well-formed: {e}."));
        return None;
    }
    let digest = receipt.manifest.digest();
    let trusted = match against {
        Against::Manifest { manifest, .. } => Some(*manifest),
        Against::Model { manifest, .. } => *manifest,
    };
    match trusted {
        Some(manifest) if manifest.digest() != digest => {
            report.fails(format!(
                "The receipt is for manifest {digest}, not for yours, {} (model {}).",
                manifest.digest(),
                manifest.model
            ));
            return None;
        }
        Some(_) => report.holds(format!("The receipt is for your manifest, {digest}.")),
        None => {}
    }
    report.holds(format!(
        "By the manifest's wiring, {} slices cover all {} nodes of the model once, in order, and every boundary tensor \
         has one producer, before its consumers.",
        receipt.manifest.slices.len(),
        receipt.manifest.node_count
    ));
    Some(())
}

/// The SRS that the proofs rest on; `Some(None)` where the proof system has none.
pub(super) fn trusted_srs(
    receipt: &Receipt,
    verification: &Verification<'_>,
    report: &mut Report,
) -> Option<Option<VerifierSrs>> {
    let (digest, system) = (receipt.srs, receipt.manifest.proof_system);
    if digest != receipt.manifest.srs {
        report.fails("The receipt names another SRS than its manifest.");
        return None;
    }
    let of_proofs = match verification.systems.find(system) {
        Ok(known) => known,
        Err(e) => {
            report.fails(format!("The proofs cannot be verified: {e}."));
            return None;
        }
    };
    report.holds(format!("The proofs are of {system}: {}.", of_proofs.rests_on()));
    if !of_proofs.needs_srs() {
        return Some(None);
    }
    if digest == development_srs_digest() {
        if verification.allow_development_srs {
            report.holds(
                "Keys and proofs were made with the development SRS: this receipt is FORGEABLE BY ANYONE and convinces \
                 nobody. You allowed that.",
            );
            return Some(Some(VerifierSrs::development()));
        }
        report.fails(
            "Keys and proofs were made with the development SRS, so the receipt is FORGEABLE BY ANYONE. To look at it \
             all the same, give --allow-dev-srs.",
        );
        return None;
    }
    match verification.srs.iter().find(|srs| srs.digest() == digest) {
        Some(srs) => {
            report.holds(format!(
                "The SRS {digest} is one that you trust; whoever knows its secret could forge."
            ));
            Some(Some(srs.clone()))
        }
        None => {
            report.fails(format!(
                "The SRS {digest} is none that you trust (give it with --srs)."
            ));
            None
        }
    }
}

/// The rule that the answer is judged by: the verifier's, with the output scales that a qualification measured where the
/// verifier names none.
pub(super) fn rule(receipt: &Receipt, verification: &Verification<'_>, report: &mut Report) -> Option<Rule> {
    let mut rule = verification.rule.clone();
    let outputs = receipt.manifest.outputs.len();
    if !rule.output_scale.is_empty() && rule.output_scale.len() != outputs {
        report.fails(format!(
            "You gave {} output scales, the model has {outputs} outputs.",
            rule.output_scale.len()
        ));
        return None;
    }
    let Some(qualification) = verification.qualification else {
        if let Against::Manifest { manifest, .. } = &verification.against {
            report.not_checked(format!(
                "Your manifest is not qualified: whether it follows from the model {}, and how far its integers are from \
                 it, was not checked (give --qualified, or --model).",
                manifest.model
            ));
        }
        return Some(rule);
    };
    if qualification.manifest != receipt.manifest.digest() {
        report.fails(format!(
            "Your qualification is of manifest {}, the receipt is for {}.",
            qualification.manifest,
            receipt.manifest.digest()
        ));
        return None;
    }
    // A file of these that was not written by `qualify` says of itself what it likes; it must not contradict the manifest.
    if qualification.model != receipt.manifest.model {
        report.fails(format!(
            "Your qualification is of the model {}, the receipt's manifest of {}.",
            qualification.model, receipt.manifest.model
        ));
        return None;
    }
    if qualification.output_scale.len() != outputs {
        report.fails(format!(
            "Your qualification has {} output scales, the model has {outputs} outputs.",
            qualification.output_scale.len()
        ));
        return None;
    }
    let judged_then = || {
        let by = number(qualification.max_error);
        let why = format!("`qualify` found so when you accepted {by}; run it again with what you accept now");
        (!qualification.qualified).then_some(why)
    };
    if let Some(why) = qualification.refusal(&rule).or_else(judged_then) {
        report.fails(format!("The manifest is not qualified: {why}."));
        return None;
    }
    report.scope.qualified = true;
    let q = qualification;
    let alone = match &verification.against {
        Against::Manifest { .. } => "; how far this answer is from it was not measured",
        Against::Model { .. } => "",
    };
    let class = q
        .same_class
        .map(|same| format!(", with the same class on {same}"));
    let class = class.unwrap_or_default();
    report.holds(format!(
        "The manifest was qualified: it follows from the model {}, and on {} samples of your data its integers were at most \
         {} from the float model{class}{alone}.",
        q.model,
        q.accepted_samples(),
        number(q.greatest_error),
    ));
    if rule.output_scale.is_empty() {
        rule.output_scale.clone_from(&q.output_scale);
    }
    Some(rule)
}
