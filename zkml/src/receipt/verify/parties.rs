//! Whom a receipt names: its request, its network, its miners.
//!
//! Invariant: the names are bound into every proof, so that nobody can change them afterwards, and signed by nobody, so
//! that whoever makes a proof can put any name there. The report says so, unless the verifier knows the names.

use std::collections::BTreeSet;

use zkinfer_crds::{Identity, RequestUid};

use super::super::report::Report;
use crate::receipt::Receipt;

/// Names that a receipt must bear; what is left out is not checked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected<'a> {
    /// The network's id.
    pub network: Option<&'a str>,
    /// The request.
    pub request: Option<RequestUid>,
    /// Every slice must be of one of these; empty: of anybody.
    pub miners: &'a [Identity],
}

/// One proof per slice, each of its own claim.
pub(super) fn claims(receipt: &Receipt, report: &mut Report) -> Option<()> {
    let expected = receipt.manifest.slices.len();
    if receipt.slices.len() != expected {
        report.fails(format!(
            "The receipt has {} slice proofs, the manifest {expected} slices.",
            receipt.slices.len()
        ));
        return None;
    }
    let mut ids: Vec<_> = receipt.slices.iter().map(|s| s.claim).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() != expected {
        report.fails("Two slices carry the same claim.");
        return None;
    }
    Some(())
}

/// Holds the names against the verifier's.
pub(super) fn expected(receipt: &Receipt, expected: &Expected<'_>, report: &mut Report) -> Option<()> {
    let mut yours = Vec::new();
    if let Some(own) = expected.request {
        if own != receipt.request {
            report.fails(format!(
                "The receipt names request {}, not yours, {own}.",
                receipt.request
            ));
            return None;
        }
        yours.push(format!("request {own}"));
    }
    if let Some(own) = expected.network {
        if own != receipt.network {
            report.fails(format!(
                "The receipt names network {:?}, not yours, {own:?}.",
                receipt.network
            ));
            return None;
        }
        yours.push(format!("network {own:?}"));
    }
    if !expected.miners.is_empty() {
        let mut slices = receipt.slices.iter().enumerate();
        if let Some((slice, other)) = slices.find(|(_, s)| !expected.miners.contains(&s.identity)) {
            let identity = other.identity;
            report.fails(format!(
                "Slice {slice} names miner {identity}, which is none of yours."
            ));
            return None;
        }
        yours.push(miners(receipt));
    }
    if !yours.is_empty() {
        report.holds(format!(
            "The receipt names what you expect: {}.",
            yours.join(", ")
        ));
    }
    Some(())
}

/// All that a receipt names.
pub(super) fn names(receipt: &Receipt) -> String {
    let (request, network) = (receipt.request, &receipt.network);
    format!("request {request}, network {network:?}, {}", miners(receipt))
}

fn miners(receipt: &Receipt) -> String {
    let miners: BTreeSet<Identity> = receipt.slices.iter().map(|s| s.identity).collect();
    match (miners.len(), miners.first()) {
        (1, Some(miner)) => format!("miner {miner}"),
        (count, _) => format!("{count} miners"),
    }
}
