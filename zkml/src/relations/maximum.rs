//! `Maximum`: `z[t] = max(x[windows[t]])`.
//!
//! As a tournament of pairs: `m − a >= 0`, `m − b >= 0`, `(m − a)(m − b) = 0`. *Bounds:* windows are never empty, and input and
//! output have one range, so differences are below its width. *Fixes its output:* a maximum is unique.

use super::Relation;
use super::check::{CheckError, Values};
use super::lower::{Lower, LowerError, Site};
use crate::graph::{self, TensorId, Windows};

impl Lower for graph::Max {
    fn lower(&self, site: &Site<'_>) -> Result<Relation, LowerError> {
        Ok(Relation::Maximum {
            input: site.input(),
            range: site.range(site.input())?,
            windows: self.windows.clone(),
            output: site.output(),
        })
    }
}

/// Each value is the greatest of its window; a window that reads nothing of the tensor has none.
pub(super) fn check(
    values: &Values<'_>,
    input: TensorId,
    windows: &Windows,
    output: TensorId,
) -> Result<(), CheckError> {
    values.expect(output, &made(values, input, windows)?)
}

/// The greatest value of each window.
pub(super) fn made(
    values: &Values<'_>,
    input: TensorId,
    windows: &Windows,
) -> Result<Vec<Option<i64>>, CheckError> {
    let x = values.of(input)?;
    let greatest = |w: &[u32]| w.iter().filter_map(|&i| x.get(i as usize).copied()).max();
    Ok(windows.iter().map(greatest).collect())
}
