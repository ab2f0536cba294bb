//! What relations make: lengths and ranges before any input, then the values.

use std::collections::BTreeMap;

use zkml::graph::{IntRange, Requantise, Shared, TensorId, range_of_rows};
use zkml::relations::{Relation, SliceRelations};

use super::ClearError;

/// A tensor that a relation makes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made {
    pub(super) id: TensorId,
    pub(super) len: usize,
    pub(super) range: IntRange,
}

/// The tensors that relations make, in order.
pub(super) fn made(relations: &SliceRelations) -> Result<Vec<Made>, ClearError> {
    let inputs = relations.inputs.iter().map(|t| Made {
        id: t.id,
        len: t.len,
        range: t.range,
    });
    let mut known: Vec<Made> = inputs.collect();
    let given = known.len();
    for relation in &relations.relations {
        let find = |id: &TensorId| {
            let found = known.iter().find(|m| m.id == *id);
            found.copied().ok_or(ClearError::Unsupported(id.0))
        };
        let tensors: Vec<Made> = match relation {
            Relation::Range { .. } => Vec::new(),
            Relation::Requantised {
                inputs,
                map,
                requantise,
                output,
                ..
            } => {
                let lens = inputs.iter().map(|id| find(id).map(|m| m.len));
                let lens = lens.collect::<Result<Vec<_>, _>>()?;
                let len = map
                    .output_len(&lens)
                    .map_err(|_| ClearError::Unsupported(output.0))?;
                vec![Made {
                    id: *output,
                    len,
                    range: requantise.output_range(),
                }]
            }
            Relation::Maximum {
                range,
                windows,
                output,
                ..
            } => vec![Made {
                id: *output,
                len: windows.len(),
                range: *range,
            }],
            Relation::Wired {
                input,
                source,
                output,
            } => {
                let read = find(input)?;
                vec![Made {
                    id: *output,
                    len: source.as_ref().map_or(read.len, |s| s.len()),
                    range: read.range,
                }]
            }
            Relation::Table {
                table,
                index,
                outputs,
            } => {
                let len = find(index)?.len;
                let column = |(c, id): (usize, &TensorId)| {
                    let range = table.column_range(c).ok_or(ClearError::Unsupported(id.0))?;
                    Ok(Made { id: *id, len, range })
                };
                outputs
                    .iter()
                    .enumerate()
                    .map(column)
                    .collect::<Result<_, ClearError>>()?
            }
            Relation::Product {
                factors,
                product,
                requantise,
                output,
                ..
            } => {
                let len = product.output_len(find(&factors[0])?.len, find(&factors[1])?.len);
                vec![Made {
                    id: *output,
                    len: len.ok_or(ClearError::Unsupported(output.0))?,
                    range: requantise.output_range(),
                }]
            }
            Relation::Rows {
                table,
                width,
                index,
                output,
            } => {
                let ends = table.iter().min().zip(table.iter().max());
                let range = ends.and_then(|(least, most)| range_of_rows(*least, *most));
                vec![Made {
                    id: *output,
                    len: find(index)?.len * *width as usize,
                    range: range.ok_or(ClearError::Unsupported(output.0))?,
                }]
            }
            Relation::Read { output, .. } | Relation::Permutation { output, .. } => {
                return Err(ClearError::Unsupported(output.0));
            }
        };
        known.extend(tensors);
    }
    Ok(known.split_off(given))
}

/// The values of every tensor of the slice.
pub(super) fn witness(
    relations: &SliceRelations,
    inputs: &[&[i64]],
) -> Result<BTreeMap<TensorId, Vec<i64>>, ClearError> {
    let mut values: BTreeMap<TensorId, Vec<i64>> = BTreeMap::new();
    if inputs.len() != relations.inputs.len() {
        return Err(ClearError::Shape);
    }
    for (tensor, input) in relations.inputs.iter().zip(inputs) {
        if input.len() != tensor.len || !input.iter().all(|v| tensor.range.contains(*v)) {
            return Err(ClearError::Witness(tensor.id.0));
        }
        values.insert(tensor.id, input.to_vec());
    }
    for relation in &relations.relations {
        let get = |id: &TensorId| {
            let found = values.get(id).map(Vec::as_slice);
            found.ok_or(ClearError::Unsupported(id.0))
        };
        let made: Vec<(TensorId, Vec<i64>)> = match relation {
            Relation::Range { .. } => Vec::new(),
            Relation::Requantised {
                inputs,
                map,
                requantise,
                output,
                ..
            } => {
                let x = inputs.iter().map(get).collect::<Result<Vec<_>, _>>()?;
                vec![(*output, requantised(*requantise, map.accumulate(&x), *output)?)]
            }
            Relation::Product {
                factors,
                product,
                requantise,
                output,
                ..
            } => {
                let made = product.accumulate(get(&factors[0])?, get(&factors[1])?);
                vec![(*output, requantised(*requantise, made, *output)?)]
            }
            Relation::Maximum {
                input,
                windows,
                output,
                ..
            } => {
                let x = get(input)?;
                let greatest = windows
                    .iter()
                    .filter_map(|w| w.iter().filter_map(|&i| x.get(i as usize).copied()).max());
                vec![(*output, greatest.collect())]
            }
            Relation::Wired {
                input,
                source,
                output,
            } => {
                let x = get(input)?;
                let read = |source: &Shared<u32>| {
                    let entries = source.iter();
                    entries.filter_map(|&i| x.get(i as usize).copied()).collect()
                };
                vec![(*output, source.as_ref().map_or_else(|| x.to_vec(), read))]
            }
            Relation::Table {
                table,
                index,
                outputs,
            } => {
                let x = get(index)?;
                let columns = table.columns.iter().map(|column| {
                    let entry = |&i: &i64| table.row(i).and_then(|row| column.get(row).copied());
                    x.iter().filter_map(entry).collect::<Vec<i64>>()
                });
                outputs.iter().copied().zip(columns).collect()
            }
            Relation::Rows {
                table,
                width,
                index,
                output,
            } => {
                let (width, count) = (*width as usize, table.len() / (*width).max(1) as usize);
                let row = |&i: &i64| {
                    let at = usize::try_from(if i < 0 { i + count as i64 } else { i }).ok()?;
                    table.get(at * width..(at + 1) * width)
                };
                let rows: Option<Vec<&[i64]>> = get(index)?.iter().map(row).collect();
                vec![(*output, rows.ok_or(ClearError::Witness(output.0))?.concat())]
            }
            Relation::Read { output, .. } | Relation::Permutation { output, .. } => {
                return Err(ClearError::Unsupported(output.0));
            }
        };
        values.extend(made);
    }
    Ok(values)
}

fn requantised(
    requantise: Requantise,
    accumulators: Vec<i64>,
    output: TensorId,
) -> Result<Vec<i64>, ClearError> {
    let (quotients, least) = (IntRange::signed(requantise.bits), requantise.output_range().lo());
    let quotient = |acc| {
        let q = requantise.quotient(acc);
        quotients.contains(q).then(|| q.max(least))
    };
    let values: Option<Vec<i64>> = accumulators.into_iter().map(quotient).collect();
    values.ok_or(ClearError::Witness(output.0))
}

/// The relation that makes a tensor, for people.
pub(super) fn name_of(relations: &SliceRelations, tensor: TensorId) -> &'static str {
    let name = |relation: &Relation| match relation {
        Relation::Range { .. } => None,
        Relation::Requantised { output, .. } => (*output == tensor).then_some("Requantised"),
        Relation::Maximum { output, .. } => (*output == tensor).then_some("Maximum"),
        Relation::Wired { output, .. } => (*output == tensor).then_some("Wired"),
        Relation::Product { output, .. } => (*output == tensor).then_some("Product"),
        Relation::Read { output, .. } => (*output == tensor).then_some("Read"),
        Relation::Rows { output, .. } => (*output == tensor).then_some("Rows"),
        Relation::Permutation { output, .. } => (*output == tensor).then_some("Permutation"),
        Relation::Table { outputs, .. } => outputs.contains(&tensor).then_some("Table"),
    };
    relations.relations.iter().find_map(name).unwrap_or("Range")
}
