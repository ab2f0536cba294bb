//! Tables: integer functions of one integer, given by their rows.
//!
//! Invariant: the rows are the function. They are integers that stand in the graph itself, so neither a verifier nor another
//! machine needs to know how they were made; the name is for people.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use zkinfer_crds::Digest;

use super::tensor::IntRange;
use crate::canonical::Integers;
use crate::canonical::integers::Borrowed;

/// Most rows of a table.
pub const MAX_ROWS: usize = 1 << 16;
/// Most columns: what a function gives for one index.
pub const MAX_COLUMNS: usize = 2;
/// Most rows of all tables of a graph.
pub const MAX_TOTAL_ROWS: usize = 1 << 22;
/// Most tables of a graph: each is read by a node.
pub const MAX_TABLES: usize = 4096;
/// Every entry is less than this in absolute value.
pub const ENTRY_LIMIT: i64 = 1 << 48;
/// What a digest's preimage begins with: no list, tensor or document of ours does ([`Table::digest`]).
const DOMAIN: &[u8] = b"zkinfer/table/v1";

/// `T_c[first], T_c[first + 1], …` for each column `c`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// What the function is called, with what it was made from. For people; bound by the graph's digest alone.
    pub name: String,
    /// The least index.
    pub first: i64,
    /// Values by index, a column for each output; all of one length.
    #[serde(with = "columns")]
    pub columns: Vec<Arc<[i64]>>,
}

/// What is wrong with a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// No row, or too many.
    #[error("table `{name}` has {rows} rows, 1 to {MAX_ROWS} are supported")]
    Rows {
        /// The table.
        name: String,
        /// How many it has.
        rows: usize,
    },
    /// No column, too many, or columns of different lengths.
    #[error("table `{name}` needs 1 to {MAX_COLUMNS} columns of one length")]
    Columns {
        /// The table.
        name: String,
    },
    /// An entry that is too large.
    #[error("table `{name}` has an entry of 2^48 or more at row {row}")]
    Entry {
        /// The table.
        name: String,
        /// Where.
        row: usize,
    },
    /// Its indices are not the values of a range.
    #[error(
        "table `{name}`: its {rows} indices from {first} on are not all values of a range of at most 32 bits"
    )]
    Indices {
        /// The table.
        name: String,
        /// The least index.
        first: i64,
        /// Number of indices.
        rows: usize,
    },
}

impl Table {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |c| c.len())
    }

    /// The row of an index, if it has one.
    #[must_use]
    pub fn row(&self, index: i64) -> Option<usize> {
        let row = usize::try_from(index.checked_sub(self.first)?).ok()?;
        (row < self.rows()).then_some(row)
    }

    /// The range whose values are exactly the indices, if one is.
    #[must_use]
    pub fn index_range(&self) -> Option<IntRange> {
        let rows = self.rows();
        let bits = u8::try_from(rows.checked_ilog2()?).ok()?;
        let fits = rows.is_power_of_two() && (1..=IntRange::MAX_BITS).contains(&bits);
        [IntRange::unsigned(bits), IntRange::signed(bits)]
            .into_iter()
            .find(|range| fits && range.lo() == self.first)
    }

    /// The range of fewest values that holds a column; `None` where 32 bits do not, or there is no such column.
    #[must_use]
    pub fn column_range(&self, column: usize) -> Option<IntRange> {
        let entries = self.columns.get(column)?;
        let (least, greatest) = (*entries.iter().min()?, *entries.iter().max()?);
        let ranges = (1..=IntRange::MAX_BITS).flat_map(|b| [IntRange::unsigned(b), IntRange::signed(b)]);
        ranges
            .into_iter()
            .find(|r| r.contains(least) && r.contains(greatest))
    }

    /// Refuses what no table may be.
    ///
    /// # Errors
    /// See [`TableError`].
    pub fn check(&self) -> Result<(), TableError> {
        let (name, rows) = (self.name.clone(), self.rows());
        let even = self.columns.iter().all(|c| c.len() == rows);
        if !even || !(1..=MAX_COLUMNS).contains(&self.columns.len()) {
            return Err(TableError::Columns { name });
        }
        if !(1..=MAX_ROWS).contains(&rows) {
            return Err(TableError::Rows { name, rows });
        }
        let large = |c: &Arc<[i64]>| {
            c.iter()
                .position(|v| v.unsigned_abs() >= ENTRY_LIMIT.unsigned_abs())
        };
        if let Some(row) = self.columns.iter().find_map(large) {
            return Err(TableError::Entry { name, row });
        }
        match self.index_range() {
            Some(_) => Ok(()),
            None => Err(TableError::Indices {
                name,
                first: self.first,
                rows,
            }),
        }
    }

    /// The table's name in a key: SHA-256 of `"zkinfer/table/v1" ‖ columns u32le ‖ rows u32le ‖ first i64le ‖ column 0,
    /// rows × i64le ‖ column 1 …`. The header has a fixed length and gives all lengths that follow, so no two tables share a
    /// preimage. The name is not in it: two names of one function are one function.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hash = Sha256::new();
        hash.update(DOMAIN);
        hash.update((self.columns.len() as u32).to_le_bytes());
        hash.update((self.rows() as u32).to_le_bytes());
        hash.update(self.first.to_le_bytes());
        for column in &self.columns {
            let bytes: Vec<u8> = column.iter().flat_map(|v| v.to_le_bytes()).collect();
            hash.update(bytes);
        }
        Digest::new(hash.finalize().into())
    }
}

/// A table as graphs and relations hold it: it is not changed any more, and what is asked of all its rows is computed once,
/// since a graph is checked at every step and a slice may read it thousands of times. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TableRef(Arc<Known>);

/// A table with what its rows say.
#[derive(Debug)]
struct Known {
    table: Table,
    digest: Digest,
    checked: Result<(), TableError>,
    ranges: Vec<Option<IntRange>>,
}

impl TableRef {
    /// Reads all rows.
    #[must_use]
    pub fn new(table: Table) -> Self {
        Self(Arc::new(Known {
            digest: table.digest(),
            checked: table.check(),
            ranges: (0..table.columns.len()).map(|c| table.column_range(c)).collect(),
            table,
        }))
    }

    /// [`Table::digest`], as it was computed once.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// [`Table::check`], as it was found once.
    ///
    /// # Errors
    /// See [`TableError`].
    pub fn check(&self) -> Result<(), TableError> {
        self.0.checked.clone()
    }

    /// [`Table::column_range`], as it was found once.
    #[must_use]
    pub fn column_range(&self, column: usize) -> Option<IntRange> {
        self.0.ranges.get(column).copied().flatten()
    }
}

impl Deref for TableRef {
    type Target = Table;

    fn deref(&self) -> &Table {
        &self.0.table
    }
}

impl PartialEq for TableRef {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || **self == **other
    }
}

impl Eq for TableRef {}

impl Serialize for TableRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Table::serialize(self, serializer)
    }
}

/// Columns as byte strings, for `#[serde(with = …)]`.
mod columns {
    use super::*;

    struct Columns;

    impl<'de> Visitor<'de> for Columns {
        type Value = Vec<Arc<[i64]>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("at most two byte strings of little-endian integers")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut columns = Vec::new();
            while let Some(Integers(column)) = list.next_element()? {
                if columns.len() == MAX_COLUMNS || column.len() > MAX_ROWS {
                    return Err(A::Error::custom("a table has too many columns or rows"));
                }
                columns.push(column.into());
            }
            Ok(columns)
        }
    }

    pub(super) fn serialize<S: Serializer>(columns: &[Arc<[i64]>], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(columns.iter().map(|column| Borrowed(column)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Arc<[i64]>>, D::Error> {
        deserializer.deserialize_seq(Columns)
    }
}

struct Tables;

impl<'de> Visitor<'de> for Tables {
    type Value = Vec<TableRef>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tables")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let (mut tables, mut rows) = (Vec::<TableRef>::new(), 0);
        while let Some(table) = list.next_element::<Table>()? {
            rows += table.rows();
            if tables.len() == MAX_TABLES || rows > MAX_TOTAL_ROWS {
                return Err(A::Error::custom("there are too many tables or rows of them"));
            }
            tables.push(TableRef::new(table));
        }
        Ok(tables)
    }
}

/// The tables of a graph: no more than there may be, whatever the bytes say. For `#[serde(deserialize_with = …)]`.
///
/// # Errors
/// More tables or rows than a graph has, or other data.
pub(super) fn deserialize_tables<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<TableRef>, D::Error> {
    deserializer.deserialize_seq(Tables)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(first: i64, columns: &[&[i64]]) -> Table {
        Table {
            name: "t".to_owned(),
            first,
            columns: columns.iter().map(|c| Arc::from(*c)).collect(),
        }
    }

    #[test]
    fn refuses_what_no_table_may_be() {
        assert_eq!(table(0, &[&[1, 2]]).check(), Ok(()));
        assert_eq!(table(-2, &[&[1, 2, 3, 4], &[0; 4]]).check(), Ok(()));
        let bad = [
            table(0, &[]),
            table(0, &[&[]]),
            table(0, &[&[1, 2], &[1]]),
            table(0, &[&[1, 2], &[1, 2], &[1, 2]]),
            table(0, &[&[1]]),
            table(0, &[&[1, 2, 3]]),
            table(1, &[&[1, 2]]),
            table(i64::MIN, &[&[1, 2]]),
            table(0, &[&[0, ENTRY_LIMIT]]),
            table(0, &[&[0, i64::MIN]]),
            table(0, &[&vec![0; 2 * MAX_ROWS]]),
        ];
        for table in bad {
            assert!(table.check().is_err(), "{table:?}");
        }
    }

    #[test]
    fn the_digest_is_of_all_that_a_table_is() {
        let of = |first, columns: &[&[i64]]| table(first, columns).digest();
        let one = of(0, &[&[1, 2, 3, 4]]);
        for other in [
            of(-2, &[&[1, 2, 3, 4]]),
            of(0, &[&[1, 2], &[3, 4]]),
            of(0, &[&[1, 2, 4, 3]]),
            of(0, &[&[1, 2]]),
        ] {
            assert_ne!(one, other);
        }
        let named = Table {
            name: "another".to_owned(),
            ..table(0, &[&[1, 2, 3, 4]])
        };
        assert_eq!(one, named.digest());
    }

    #[test]
    fn an_index_outside_has_no_row() {
        let table = table(-2, &[&[5, 6, 7, 8]]);
        assert_eq!(
            [-3, -2, 1, 2, i64::MIN, i64::MAX].map(|i| table.row(i)),
            [None, Some(0), Some(3), None, None, None]
        );
    }
}
