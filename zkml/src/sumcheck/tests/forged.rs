//! Provers that override a committed column and let all that follows be made of it: the tensor that the column holds, every relation
//! behind it, multiplicities, public outputs. Each column of each relation, at a value, at padding, and everywhere.

use std::collections::BTreeMap;

use p3_field::{PrimeCharacteristicRing, PrimeField64};

use super::lying::{Case, slices};
use crate::graph::TensorId;
use crate::relations::SliceRelations;
use crate::sumcheck::columns::{Columns, Values};
use crate::sumcheck::field::{F, Ring};
use crate::sumcheck::layout::{Home, Layout, Limbs};
use crate::sumcheck::relation::requantised::Quotient;
use crate::sumcheck::relation::{Argue, Placed, range};
use crate::sumcheck::witness::Witness;
use crate::sumcheck::*;

/// Cells by group, column and place.
type Forged = BTreeMap<(usize, usize, usize), F>;

/// The integer that a cell stands for, if it is one of a tensor's.
fn integer(cell: F) -> Option<i64> {
    let value = cell.as_canonical_u64();
    let below = |v: u64| i64::try_from(v).ok().filter(|v| *v < 1 << 48);
    below(value).or_else(|| below(F::ORDER_U64 - value).map(|v| -v))
}

/// What a tensor's columns now say that it is; `None` where it has none, or where they say nothing that is read on.
fn read(layout: &Layout, id: TensorId, cell: impl Fn(usize, usize, usize) -> F) -> Option<Vec<i64>> {
    let tensor = layout.tensor(id)?;
    let places: Vec<usize> = (0..tensor.axes.len()).collect();
    let mut of_place = vec![None; 1 << tensor.axes.arity()];
    tensor.axes.scatter_with(&places, Some, &mut of_place);
    let mut values = vec![0; places.len()];
    for (at, index) in of_place
        .into_iter()
        .enumerate()
        .filter_map(|(at, i)| Some((at, i?)))
    {
        values[index] = integer(match &tensor.home {
            Home::Column { group, column } => cell(*group, *column, at),
            Home::Limbs { group, limbs, offset } => {
                let parts: Vec<F> = limbs.columns().map(|c| cell(*group, c, at)).collect();
                Limbs::less(limbs.value_of(&parts), *offset, F::integer(1))
            }
            _ => return None,
        })?;
    }
    Some(values)
}

/// The witness with these cells, and everything after them made of it.
///
/// # Errors
/// What follows has no witness.
fn forge(case: &mut Case, slice: &SliceRelations, forged: &Forged) -> Result<(), ProveError> {
    let key = case.key.clone();
    let plan = &key.inner.plan;
    let layout = &plan.layout;
    let mut columns = Columns::new(layout);
    let ids = slice.inputs.iter().map(|t| t.id);
    let mut values: Values = ids.zip(case.inputs.iter().cloned()).collect();
    let place = |group: usize, column: usize, at: usize| (column << layout.groups[group].axes.arity()) + at;
    for (step, relation) in plan.steps.iter().zip(&slice.relations) {
        let made = step.fill(relation, &mut columns, &values)?;
        for (&(group, column, at), value) in forged {
            columns.groups[group].1[place(group, column, at)] = *value;
        }
        if let Some((output, made)) = made {
            let cell =
                |group: usize, column: usize, at: usize| columns.groups[group].1[place(group, column, at)];
            values.insert(output, read(layout, output, cell).unwrap_or(made));
        }
    }
    let (groups, named) = columns.finish();
    case.witness = Witness {
        values,
        groups,
        named,
    };
    let apply = |case: &mut Case| {
        for (&(group, column, at), value) in forged {
            *case.cell(group, column, at) = *value;
        }
    };
    // Multiplicities of explicit tables and of reads are columns, too.
    apply(case);
    case.recount();
    apply(case);
    Ok(())
}

/// What a column is, by the relation that has it.
fn names(case: &Case) -> BTreeMap<usize, &'static str> {
    let layout = case.layout();
    let mut names = BTreeMap::new();
    let made = |id: TensorId| layout.column_of(id).map(|(group, _)| group);
    for step in case.steps() {
        let product = matches!(step, Placed::Product(_));
        match step {
            Placed::Requantised(step) | Placed::Product(step) => {
                let name = match (&step.quotient, product) {
                    (Quotient::Limbs(_), false) => "map, in limbs",
                    (Quotient::Public, false) => "map, public",
                    (Quotient::Activation { .. }, false) => "map, looked up",
                    (Quotient::Signed { .. }, false) => "map, with its sign",
                    (Quotient::Limbs(_), true) => "product, in limbs",
                    (Quotient::Public, true) => "product, public",
                    (Quotient::Activation { .. }, true) => "product, looked up",
                    (Quotient::Signed { .. }, true) => "product, with its sign",
                    (Quotient::Named, _) => "named",
                };
                names.extend(step.group.map(|group| (group, name)));
            }
            Placed::Maximum(step) => {
                names.insert(step.group, "maximum");
            }
            Placed::Range(range::Placed::InnerRange { group, .. }) => {
                names.insert(*group, "range");
            }
            Placed::Read(_) | Placed::Table(_) | Placed::Permutation(_) => {}
            Placed::Range(_) | Placed::Rows(_) | Placed::Wired(_) | Placed::Derived(_) => {}
        }
    }
    for relation in &case.key.inner.relations.relations {
        use crate::relations::Relation;
        let (name, output) = match relation {
            Relation::Read { output, .. } => ("read", *output),
            Relation::Permutation { output, .. } => ("permutation", *output),
            Relation::Table { outputs, .. } => ("table", outputs[0]),
            _ => continue,
        };
        names.extend(made(output).map(|group| (group, name)));
    }
    names.extend(
        layout
            .explicit
            .iter()
            .map(|t| (t.counts, "multiplicities of a table")),
    );
    let counts = case
        .layout()
        .multisets
        .iter()
        .flat_map(|m| &m.sides)
        .filter_map(|(side, _)| match side {
            layout::Side::Rows { counts, .. } => Some(*counts),
            _ => None,
        });
    names.extend(counts.map(|group| (group, "multiplicities of a read")));
    names.extend(
        (layout.relation_groups..layout.groups.len()).map(|group| (group, "multiplicities of a range")),
    );
    names
}

/// Places of a column: one that is a value's, one of padding if there is one, and all.
fn places(layout: &Layout, group: usize) -> Vec<Vec<usize>> {
    let axes = &layout.groups[group].axes;
    let mut inside = vec![false; 1 << axes.arity()];
    axes.scatter_with(&vec![true; axes.len()], |v| v, &mut inside);
    let (values, padding): (Vec<usize>, Vec<usize>) = (0..inside.len()).partition(|at| inside[*at]);
    let mut places = vec![
        values[values.len() / 2..][..1].to_vec(),
        (0..inside.len()).collect(),
    ];
    places.extend(padding.last().map(|at| vec![*at]));
    places
}

#[test]
fn rejects_any_column_from_which_all_else_follows() {
    let (mut followed, mut alone, mut lied) = (BTreeMap::new(), 0, 0);
    for (slice, limb_bits) in slices() {
        let honest = Case::new(&slice, limb_bits, 2);
        let names = names(&honest);
        let outputs = |case: &Case| -> Vec<Vec<i64>> {
            slice
                .outputs
                .iter()
                .map(|t| case.witness.values[&t.id].clone())
                .collect()
        };
        let right = outputs(&honest);
        for (group, g) in honest.layout().groups.iter().enumerate() {
            let name = names
                .get(&group)
                .copied()
                .unwrap_or_else(|| panic!("nobody has group {group}"));
            for (column, places) in
                (0..g.columns).flat_map(|c| places(honest.layout(), group).into_iter().map(move |p| (c, p)))
            {
                let mut case = Case::new(&slice, limb_bits, 2);
                // Up or down, as what follows has a witness.
                let lie = |by: F, case: &mut Case| {
                    let cells = places
                        .iter()
                        .map(|&at| ((group, column, at), *case.cell(group, column, at) + by));
                    let forged = cells.collect();
                    forge(case, &slice, &forged)
                };
                let ways = [F::ONE, -F::ONE, F::TWO, -F::TWO];
                if ways.iter().any(|by| lie(*by, &mut case).is_ok()) {
                    *followed.entry(name).or_insert(0) += 1;
                    lied += usize::from(outputs(&case) != right);
                } else {
                    // Nothing follows: then all else is as it was.
                    places
                        .iter()
                        .for_each(|&at| *case.cell(group, column, at) += F::ONE);
                    case.recount();
                    alone += 1;
                }
                assert!(
                    !case.accepted(),
                    "{name}: group {group}, column {column}, {places:?}, limbs of {limb_bits}"
                );
            }
        }
    }
    let all: Vec<&str> = followed.keys().copied().collect();
    let expected = [
        "map, in limbs",
        "map, looked up",
        "map, public",
        "map, with its sign",
        "maximum",
        "multiplicities of a range",
        "multiplicities of a read",
        "multiplicities of a table",
        "permutation",
        "product, in limbs",
        "product, looked up",
        "product, public",
        "product, with its sign",
        "range",
        "read",
        "table",
    ];
    assert_eq!(all, expected);
    let tried: usize = followed.values().sum();
    assert!(
        alone * 20 < tried && lied > 50,
        "{tried} followed, {alone} did not, {lied} lied about an output"
    );
}
