//! A function of one value, by its rows.

use serde::{Deserialize, Serialize};

use super::{Misfit, Operator, OutOfRange, Site};
use crate::graph::table::TableRef;

/// `z[t] = T[x[t]]`. The range of `x` holds exactly the table's indices, that of `z` is the least that holds its column;
/// exponents are for people, since the rows say all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// The table's place in [`IntGraph::tables`](crate::graph::IntGraph::tables).
    pub table: u32,
}

impl Lookup {
    pub(crate) const fn claimed(&self) -> &Self {
        self
    }
}

impl Operator for Lookup {
    fn name(&self) -> &'static str {
        "Table"
    }

    fn check(&self, site: &Site<'_>) -> Result<(), Misfit> {
        let table = site.tables.get(self.table as usize);
        let table = table.ok_or(Misfit::Reason("its table does not exist"))?;
        let (index, output) = (site.one_input()?, site.output);
        if table.columns.len() != 1 {
            return Err(Misfit::Reason(
                "its table has two columns, and a node makes one tensor",
            ));
        }
        if table.index_range() != Some(index.range) {
            return Err(Misfit::Reason("the range of its indices is not the table's"));
        }
        if table.column_range(0) != Some(output.range) {
            return Err(Misfit::Reason(
                "the output's range is not the least that holds the table's column",
            ));
        }
        if index.len() != output.len() {
            return Err(Misfit::Reason("the length changes"));
        }
        Ok(())
    }

    /// The index's range is exactly the table's, so that every value has a row.
    fn evaluate(&self, x: &[&[i64]], tables: &[TableRef]) -> Result<Vec<i64>, OutOfRange> {
        let table = &tables[self.table as usize];
        let entry = |&i: &i64| table.row(i).map(|row| table.columns[0][row]);
        Ok(x[0].iter().filter_map(entry).collect())
    }

    /// Its rows are counted with the tables.
    fn kept(&self) -> usize {
        0
    }

    fn multiplications(&self, _: usize) -> u64 {
        0
    }

    fn weights(&self) -> usize {
        0
    }

    fn table(&self) -> Option<u32> {
        Some(self.table)
    }

    fn moves(&self) -> bool {
        false
    }
}
