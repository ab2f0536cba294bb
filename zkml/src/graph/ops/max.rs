//! The maximum of windows.

use serde::{Deserialize, Serialize};

use super::{Misfit, Operator, OutOfRange, Site};
use crate::graph::shared::Shared;
use crate::graph::table::TableRef;

/// `z[t] = max over windows[t] of x`: indices into the flattened input, at least one per output.
/// Range and exponent of the output are the input's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Max {
    /// Indices of each output's window, each window sorted and without repeats.
    pub windows: Windows,
}

impl Max {
    pub(crate) const fn claimed(&self) -> &Self {
        self
    }
}

impl Operator for Max {
    fn name(&self) -> &'static str {
        "Max"
    }

    fn check(&self, site: &Site<'_>) -> Result<(), Misfit> {
        let input = site.one_like_output()?;
        if self.windows.len() != site.output.len() {
            return Err(Misfit::Reason("one window per output value"));
        }
        let sorted = |w: &[u32]| w.windows(2).all(|p| p[0] < p[1]);
        let inside = |i: &u32| (*i as usize) < input.len();
        if self
            .windows
            .iter()
            .any(|w| w.is_empty() || !sorted(w) || !w.iter().all(inside))
        {
            return Err(Misfit::Reason(
                "a window is empty, not sorted, or leaves the tensor",
            ));
        }
        Ok(())
    }

    fn evaluate(&self, x: &[&[i64]], _: &[TableRef]) -> Result<Vec<i64>, OutOfRange> {
        let greatest = |w: &[u32]| w.iter().map(|&i| x[0][i as usize]).max();
        Ok(self.windows.iter().filter_map(greatest).collect())
    }

    fn kept(&self) -> usize {
        self.windows.entries().len()
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
        false
    }
}

/// Windows of a maximum: per output value the indices that it is of, into the flattened input. One list for all of them, so
/// that they are as long in memory as in a file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Cuts")]
pub struct Windows {
    ends: Shared<u32>,
    entries: Shared<u32>,
}

/// [`Windows`] whose ends may be anything.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cuts {
    ends: Shared<u32>,
    entries: Shared<u32>,
}

impl TryFrom<Cuts> for Windows {
    type Error = &'static str;

    fn try_from(Cuts { ends, entries }: Cuts) -> Result<Self, Self::Error> {
        let last = ends.last().copied().unwrap_or(0) as usize;
        if ends.is_sorted() && last == entries.len() {
            Ok(Self { ends, entries })
        } else {
            Err("the ends of windows do not cut their entries")
        }
    }
}

impl Windows {
    /// Number of windows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none (never in a valid graph).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Indices of all windows.
    #[must_use]
    pub fn entries(&self) -> &Shared<u32> {
        &self.entries
    }

    /// A window's indices.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&[u32]> {
        let start = match at.checked_sub(1) {
            None => 0,
            Some(before) => *self.ends.get(before)?,
        };
        self.entries.get(start as usize..*self.ends.get(at)? as usize)
    }

    /// Each window's indices, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> + Clone {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        let cuts = starts.zip(self.ends.iter());
        cuts.map(|(start, &end)| &self.entries[start as usize..end as usize])
    }
}

impl<W: AsRef<[u32]>> FromIterator<W> for Windows {
    fn from_iter<I: IntoIterator<Item = W>>(windows: I) -> Self {
        let (mut ends, mut entries) = (Vec::new(), Vec::new());
        for window in windows {
            entries.extend_from_slice(window.as_ref());
            ends.push(entries.len() as u32);
        }
        Self {
            ends: ends.into(),
            entries: entries.into(),
        }
    }
}
