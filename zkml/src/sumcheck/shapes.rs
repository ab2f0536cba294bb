//! Lengths of tensors, the axes that their relations want, and how many claims each will get.
//!
//! A relation that keeps positions (an element-wise map, a wiring that keeps the order) gives its tensors the same axes;
//! a batched dense layer or a convolution wants its tensors cut where its own axes end. A cut that does not fit those
//! already there is left out: the relation then takes the slower general form, which needs no cut.

use std::collections::BTreeMap;

use super::axes::Axes;
use super::error::LayoutError;
use super::plan::{Group, Home, Plan, Quotient, Step};
use crate::graph::linear::MAX_TENSOR_LEN;
use crate::graph::{LinearMap, TensorId};
use crate::relations::{Product, Relation, SliceRelations};

/// Lengths and axes of every tensor.
pub(super) struct Shapes {
    axes: BTreeMap<TensorId, Axes>,
}

/// Tensors that share their axes.
struct Class {
    len: usize,
    /// Ascending; each divides the next and the last divides `len`.
    cuts: Vec<usize>,
}

impl Class {
    /// Adds a cut if it fits those already there.
    fn cut(&mut self, at: usize) {
        if at <= 1 || at >= self.len {
            return;
        }
        let next = self.cuts.partition_point(|c| *c < at);
        let below = next.checked_sub(1).map_or(1, |i| self.cuts[i]);
        let above = self.cuts.get(next).copied().unwrap_or(self.len);
        if above != at && at.is_multiple_of(below) && above.is_multiple_of(at) {
            self.cuts.insert(next, at);
        }
    }
}

impl Shapes {
    /// Checks that every relation fits its tensors, and chooses axes.
    ///
    /// # Errors
    /// A tensor that is read before it is made, a map that does not fit, an index outside its tensor.
    pub(super) fn new(relations: &SliceRelations) -> Result<Self, LayoutError> {
        let lens = lengths(relations)?;
        let mut class_of: BTreeMap<TensorId, TensorId> = BTreeMap::new();
        for relation in &relations.relations {
            match relation {
                Relation::Requantised {
                    inputs,
                    map: LinearMap::Affine { .. },
                    output,
                    ..
                } => inputs.iter().for_each(|i| join(&mut class_of, *i, *output)),
                Relation::Wired {
                    input,
                    source: None,
                    output,
                } => join(&mut class_of, *input, *output),
                Relation::Product {
                    factors,
                    product: Product::Elements,
                    output,
                    ..
                } => factors.iter().for_each(|f| join(&mut class_of, *f, *output)),
                Relation::Permutation { input, output }
                | Relation::Read {
                    index: input, output, ..
                } => join(&mut class_of, *input, *output),
                Relation::Table { index, outputs, .. } => {
                    outputs.iter().for_each(|o| join(&mut class_of, *index, *o));
                }
                _ => {}
            }
        }
        let mut classes: BTreeMap<TensorId, Class> = BTreeMap::new();
        for (&id, &len) in &lens {
            let class = Class {
                len,
                cuts: Vec::new(),
            };
            classes.entry(root(&class_of, id)).or_insert(class);
        }
        for relation in &relations.relations {
            if let Relation::Product {
                factors: [left, right],
                product: Product::Matrix { inner, columns, .. },
                output,
                ..
            } = relation
            {
                for (id, at) in [(left, inner), (right, columns), (output, columns)] {
                    if let Some(class) = classes.get_mut(&root(&class_of, *id)) {
                        class.cut(*at as usize);
                    }
                }
            }
            if let Relation::Requantised {
                inputs, map, output, ..
            } = relation
            {
                let mut cut = |id: TensorId, at: u32| {
                    if let Some(class) = classes.get_mut(&root(&class_of, id)) {
                        class.cut(at as usize);
                    }
                };
                match (map, inputs.first()) {
                    (
                        LinearMap::Dense {
                            inputs: n,
                            outputs: m,
                            ..
                        },
                        Some(&input),
                    ) => {
                        cut(input, *n);
                        cut(*output, *m);
                    }
                    (
                        LinearMap::Conv2d {
                            input: [_, h, w],
                            output: [_, oh, ow],
                            ..
                        },
                        Some(&input),
                    ) => {
                        for (id, h, w) in [(input, h, w), (*output, oh, ow)] {
                            cut(id, h.saturating_mul(*w));
                            // Rows and columns apart make a verifier's work light, where they cost a prover no padding.
                            let padded = |d: u32| d.checked_next_power_of_two();
                            let apart = padded(*h).and_then(|h| h.checked_mul(padded(*w)?));
                            if apart.is_some() && apart == padded(h.saturating_mul(*w)) {
                                cut(id, *w);
                            }
                        }
                    }
                    (LinearMap::Affine { channels, inner, .. }, _) if *channels > 1 => {
                        cut(*output, *inner);
                        cut(*output, inner.saturating_mul(*channels));
                    }
                    _ => {}
                }
            }
        }
        for relation in &relations.relations {
            match_batches(relation, &class_of, &mut classes);
        }
        for relation in relations.relations.iter().rev() {
            match_batches(relation, &class_of, &mut classes);
        }
        let axes = |(&id, &len): (&TensorId, &usize)| {
            let cuts = classes.get(&root(&class_of, id)).map(|c| c.cuts.as_slice());
            (id, Axes::new(len, cuts.unwrap_or_default()))
        };
        Ok(Self {
            axes: lens.iter().map(axes).collect(),
        })
    }

    pub(super) fn axes(&self, id: TensorId) -> Option<Axes> {
        self.axes.get(&id).cloned()
    }
}

/// Gives the batch of a dense layer the same cuts on both sides: it is kept in place.
fn match_batches(
    relation: &Relation,
    class_of: &BTreeMap<TensorId, TensorId>,
    classes: &mut BTreeMap<TensorId, Class>,
) {
    if let Relation::Requantised {
        inputs,
        map: LinearMap::Dense {
            inputs: n,
            outputs: m,
            ..
        },
        output,
        ..
    } = relation
        && let Some(&input) = inputs.first()
    {
        let (n, m) = (*n as usize, *m as usize);
        let (from, to) = (root(class_of, input), root(class_of, *output));
        for (from, to, n, m) in [(from, to, n, m), (to, from, m, n)] {
            let outer = classes.get(&from).map(|c| c.cuts.clone()).unwrap_or_default();
            if let Some(class) = classes.get_mut(&to) {
                outer
                    .iter()
                    .filter(|c| **c > n)
                    .for_each(|c| class.cut(c / n * m));
            }
        }
    }
}

fn root(class_of: &BTreeMap<TensorId, TensorId>, mut id: TensorId) -> TensorId {
    while let Some(&up) = class_of.get(&id) {
        id = up;
    }
    id
}

fn join(class_of: &mut BTreeMap<TensorId, TensorId>, a: TensorId, b: TensorId) {
    let (a, b) = (root(class_of, a), root(class_of, b));
    if a != b {
        class_of.insert(a, b);
    }
}

/// The length of every tensor, by the relation that makes it.
fn lengths(relations: &SliceRelations) -> Result<BTreeMap<TensorId, usize>, LayoutError> {
    let mut lens = BTreeMap::new();
    for tensor in &relations.inputs {
        if tensor.len == 0 || tensor.len > MAX_TENSOR_LEN || lens.insert(tensor.id, tensor.len).is_some() {
            return Err(LayoutError::Unmade { tensor: tensor.id.0 });
        }
    }
    for relation in &relations.relations {
        let len = |id: &TensorId| lens.get(id).copied().ok_or(LayoutError::Unmade { tensor: id.0 });
        let (output, made) = match relation {
            Relation::Range { tensor, .. } => {
                len(tensor)?;
                continue;
            }
            Relation::Requantised {
                inputs, map, output, ..
            } => {
                let lens = inputs.iter().map(len).collect::<Result<Vec<_>, _>>()?;
                let made = map.output_len(&lens).map_err(|source| LayoutError::Geometry {
                    output: output.0,
                    source,
                })?;
                (output, made)
            }
            Relation::Product {
                factors,
                product,
                output,
                ..
            } => {
                let made = product.output_len(len(&factors[0])?, len(&factors[1])?);
                (output, made.ok_or(LayoutError::Factors { output: output.0 })?)
            }
            Relation::Maximum {
                input,
                windows,
                output,
                ..
            } => {
                let n = len(input)?;
                let inside = |w: &Vec<u32>| !w.is_empty() && w.iter().all(|&i| (i as usize) < n);
                if windows.iter().all(inside) {
                    (output, windows.len())
                } else {
                    return Err(LayoutError::Index { output: output.0 });
                }
            }
            Relation::Permutation { input, output } => (output, len(input)?),
            // Each of several outputs has the index's length; the plan refuses what it does not prove.
            Relation::Table { index, outputs, .. } => match outputs.as_slice() {
                [output] => (output, len(index)?),
                _ => return Err(LayoutError::Unsupported { tensor: index.0 }),
            },
            Relation::Read { input, index, output } => {
                len(input)?;
                (output, len(index)?)
            }
            Relation::Wired {
                input,
                source,
                output,
            } => {
                let n = len(input)?;
                let source = source.as_deref();
                if source.is_some_and(|s| s.iter().any(|&i| i as usize >= n)) {
                    return Err(LayoutError::Index { output: output.0 });
                }
                (output, source.map_or(n, <[u32]>::len))
            }
        };
        if made == 0 || made > MAX_TENSOR_LEN || lens.insert(*output, made).is_some() {
            return Err(LayoutError::Unmade { tensor: output.0 });
        }
    }
    Ok(lens)
}

/// Walks the relations as a proof does, last first, and notes every claim and every opening. A relation makes one claim on
/// each tensor that it reads; a wiring whose output is neither public nor claimed makes none.
pub(super) fn count_claims(plan: &mut Plan) {
    // What the lookup argument compares it claims first, where it does not open a column anyway.
    for id in plan.compared() {
        if matches!(plan.tensor(id), Some(t) if matches!(t.home, Home::Wired)) {
            claim(plan, id);
        }
    }
    for step in plan.steps.clone().iter().rev() {
        match step {
            Step::PublicRange | Step::Multiset(_) | Step::Table { .. } => {}
            Step::InnerRange { tensor, .. } => claim(plan, *tensor),
            Step::Requantised(step) => {
                if let (Some(group), Quotient::Signed { limbs, sign }) = (step.group, &step.quotient) {
                    let factors = limbs.columns().chain([*sign]).collect();
                    plan.groups[group].openings.push(factors);
                }
                step.forms.iter().for_each(|f| claim(plan, f.input));
                step.factors().for_each(|id| claim(plan, id));
            }
            Step::Maximum(step) => {
                plan.groups[step.group].openings.push(step.factors());
                claim(plan, step.input);
            }
            Step::Wired { input, output, .. } => {
                let made = plan.tensor(*output);
                if made.is_some_and(|t| t.claims > 0 || matches!(t.home, Home::Output(_))) {
                    claim(plan, *input);
                }
            }
        }
    }
}

fn claim(plan: &mut Plan, id: TensorId) {
    let Some(tensor) = plan.tensors.get_mut(&id) else {
        return;
    };
    tensor.claims += 1;
    let (group, columns) = match &tensor.home {
        Home::Column { group, column } => (*group, vec![*column]),
        Home::Limbs { group, limbs, .. } => (*group, limbs.columns().collect()),
        Home::Input(_) | Home::Output(_) | Home::Wired => return,
    };
    let group: &mut Group = &mut plan.groups[group];
    group.openings.push(columns);
}
