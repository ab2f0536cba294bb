//! Values moved: reshape, transpose, slice.

use serde::{Deserialize, Serialize};

use super::{Misfit, Operator, OutOfRange, Site};
use crate::graph::shared::Shared;
use crate::graph::table::TableRef;

/// `z[t] = x[source[t]]`: reshape (`source` = None: the same order), transpose, slice. Range and exponent of the output are the
/// input's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wiring {
    /// Index into the flattened input per output value; `None` keeps the order.
    pub source: Option<Shared<u32>>,
}

impl Wiring {
    pub(crate) const fn claimed(&self) -> &Self {
        self
    }
}

impl Operator for Wiring {
    fn name(&self) -> &'static str {
        "Wiring"
    }

    fn check(&self, site: &Site<'_>) -> Result<(), Misfit> {
        let (input, output) = (site.one_like_output()?, site.output);
        match self.source.as_deref() {
            None if input.len() != output.len() => Err(Misfit::Reason("the length changes")),
            Some(source) if source.len() != output.len() => {
                Err(Misfit::Reason("one source per output value"))
            }
            Some(source) if source.iter().any(|&i| i as usize >= input.len()) => {
                Err(Misfit::Reason("a source leaves the tensor"))
            }
            None | Some(_) => Ok(()),
        }
    }

    fn evaluate(&self, x: &[&[i64]], _: &[TableRef]) -> Result<Vec<i64>, OutOfRange> {
        Ok(match &self.source {
            None => x[0].to_vec(),
            Some(source) => source.iter().map(|&i| x[0][i as usize]).collect(),
        })
    }

    fn kept(&self) -> usize {
        self.source.as_deref().map_or(0, <[u32]>::len)
    }

    fn multiplications(&self, _: usize) -> u64 {
        0
    }

    fn weights(&self) -> usize {
        0
    }

    fn table(&self) -> Option<u32> {
        None
    }

    fn moves(&self) -> bool {
        true
    }
}
