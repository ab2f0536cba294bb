//! `Wired`: `z[t] = x[source[t]]`, by constant indices.
//!
//! *Bounds:* each index lies in the input. *Fixes its output:* it is a copy. No range has to be proved: the input's holds.

use super::Relation;
use super::check::{CheckError, Values};
use super::lower::{Lower, LowerError, Site};
use crate::graph::{self, TensorId};

impl Lower for graph::Wiring {
    fn lower(&self, site: &Site<'_>) -> Result<Relation, LowerError> {
        Ok(Relation::Wired {
            input: site.input(),
            source: self.source.clone(),
            output: site.output(),
        })
    }
}

/// Each value is the input's at its source; without sources, at its own place.
pub(super) fn check(
    values: &Values<'_>,
    input: TensorId,
    source: Option<&[u32]>,
    output: TensorId,
) -> Result<(), CheckError> {
    values.expect(output, &made(values, input, source)?)
}

/// The input's values at their sources.
pub(super) fn made(
    values: &Values<'_>,
    input: TensorId,
    source: Option<&[u32]>,
) -> Result<Vec<Option<i64>>, CheckError> {
    let x = values.of(input)?;
    Ok(match source {
        None => x.iter().map(|v| Some(*v)).collect(),
        Some(source) => source.iter().map(|&i| x.get(i as usize).copied()).collect(),
    })
}
