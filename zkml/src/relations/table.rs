//! `Table`: `z_c[t] = T_c[x[t]]`: each index is one of the table's, each output the entry of its column there.
//!
//! *Bounds:* entries are below 2^48, rows as [`Table::check`](crate::graph::Table::check) says; the index has exactly the
//! table's range. *Fixes its outputs:* rows are integers of the graph and no index stands in two; an index that is none of the
//! table's has no output.

use super::Relation;
use super::check::{CheckError, Values};
use super::lower::{Lower, LowerError, Site};
use crate::graph::{self, Table, TensorId};

impl Lower for graph::Lookup {
    fn lower(&self, site: &Site<'_>) -> Result<Relation, LowerError> {
        Ok(Relation::Table {
            table: site.table(self.table)?.clone(),
            index: site.input(),
            outputs: vec![site.output()],
        })
    }
}

/// Each output is its column's entry in the row of the index.
pub(super) fn check(
    values: &Values<'_>,
    table: &Table,
    index: TensorId,
    outputs: &[TensorId],
) -> Result<(), CheckError> {
    if outputs.len() != table.columns.len() {
        return Err(CheckError::Tensor(index));
    }
    for (column, output) in outputs.iter().enumerate() {
        values.expect(*output, &made(values, table, index, column)?)?;
    }
    Ok(())
}

/// The entries of a column at the indices.
pub(super) fn made(
    values: &Values<'_>,
    table: &Table,
    index: TensorId,
    column: usize,
) -> Result<Vec<Option<i64>>, CheckError> {
    let column = table.columns.get(column).ok_or(CheckError::Tensor(index))?;
    let entry = |&i: &i64| table.row(i).and_then(|row| column.get(row).copied());
    Ok(values.of(index)?.iter().map(entry).collect())
}
