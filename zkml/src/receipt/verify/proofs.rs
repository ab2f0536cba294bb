//! The slices' proofs.

use rayon::prelude::*;
use zkinfer_crds::SliceIndex;

use super::super::report::Report;
use super::parties;
use super::tensors::Tensors;
use crate::proof::SliceVerifier;
use crate::receipt::{Receipt, RunStatement};

/// Verifies each slice's proof against a statement made from the receipt's own tensors.
pub(super) fn proofs(
    receipt: &Receipt,
    tensors: &Tensors<'_>,
    verifiers: &[SliceVerifier],
    report: &mut Report,
) -> Option<()> {
    let manifest = &receipt.manifest;
    let run = RunStatement::new(
        manifest,
        &receipt.network,
        receipt.request,
        &tensors.input,
        &tensors.output,
    );
    let verdicts: Vec<_> = (&receipt.slices, verifiers)
        .into_par_iter()
        .enumerate()
        .map(|(index, (proved, verifier))| {
            let statement = run
                .slice(SliceIndex(index as u32), proved.claim, proved.identity)
                .digest();
            let (inputs, outputs) = (
                tensors.values(verifier.inputs()),
                tensors.values(verifier.outputs()),
            );
            verifier.verify_proof(&proved.proof, &statement, &inputs, &outputs)
        })
        .collect();
    let mut bad = 0;
    for (index, verdict) in verdicts.iter().enumerate() {
        if let Err(e) = verdict {
            bad += 1;
            report.fails(format!("Slice {index}: {e}."));
        }
    }
    if bad > 0 {
        return None;
    }
    report.holds(format!(
        "All {} slice proofs hold for this input and output. They are bound to the names in the receipt, which nobody has \
         signed: {}.",
        verdicts.len(),
        parties::names(receipt)
    ));
    let accounts = verifiers.iter().filter_map(SliceVerifier::security);
    if let Some(least) = accounts.min_by(|a, b| a.bits.total_cmp(&b.bits)) {
        report.holds(format!(
            "By the verifier's own account a wrong proof of any of them costs at least 2^{:.1} hashes of attack work, {}.",
            least.bits, least.regime
        ));
    }
    Some(())
}
