//! Lengths of tensors, and the axes that their relations want.
//!
//! A relation that keeps positions (an element-wise map, a wiring that keeps the order) gives its tensors the same axes;
//! a batched dense layer or a convolution wants its tensors cut where its own axes end. A cut that does not fit those
//! already there is left out: the relation then takes the slower general form, which needs no cut.

use std::collections::BTreeMap;

use super::axes::Axes;
use super::error::LayoutError;
use crate::graph::TensorId;
use crate::graph::linear::MAX_TENSOR_LEN;
use crate::relations::SliceTensor;

/// The length of every tensor, by the relation that makes it.
pub(super) struct Lengths(BTreeMap<TensorId, usize>);

impl Lengths {
    /// Of a slice's inputs.
    ///
    /// # Errors
    /// An input that is listed twice, or one that is empty or too long.
    pub(super) fn new(inputs: &[SliceTensor]) -> Result<Self, LayoutError> {
        let mut lens = Self(BTreeMap::new());
        for tensor in inputs {
            lens.make(tensor.id, tensor.len)?;
        }
        Ok(lens)
    }

    /// The length of a tensor that is made already.
    ///
    /// # Errors
    /// One that is not.
    pub(super) fn of(&self, id: TensorId) -> Result<usize, LayoutError> {
        self.0
            .get(&id)
            .copied()
            .ok_or(LayoutError::Unmade { tensor: id.0 })
    }

    /// A tensor is made.
    ///
    /// # Errors
    /// One that was made before, or one that is empty or too long.
    pub(super) fn make(&mut self, id: TensorId, len: usize) -> Result<(), LayoutError> {
        if len == 0 || len > MAX_TENSOR_LEN || self.0.insert(id, len).is_some() {
            return Err(LayoutError::Unmade { tensor: id.0 });
        }
        Ok(())
    }
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

/// Which tensors have the same axes, and where these are cut.
pub(super) struct Classes {
    lens: Lengths,
    class_of: BTreeMap<TensorId, TensorId>,
    /// By their roots, once they are cut.
    classes: BTreeMap<TensorId, Class>,
}

impl Classes {
    /// Every tensor by itself, uncut.
    pub(super) fn new(lens: Lengths) -> Self {
        Self {
            lens,
            class_of: BTreeMap::new(),
            classes: BTreeMap::new(),
        }
    }

    /// Two tensors of one length have the same axes. All are joined before any is cut.
    pub(super) fn join(&mut self, a: TensorId, b: TensorId) {
        let (a, b) = (self.root(a), self.root(b));
        if a != b {
            self.class_of.insert(a, b);
        }
    }

    fn root(&self, mut id: TensorId) -> TensorId {
        while let Some(&up) = self.class_of.get(&id) {
            id = up;
        }
        id
    }

    /// Cuts a tensor's axes if the cut fits those already there.
    pub(super) fn cut(&mut self, id: TensorId, at: usize) {
        let root = self.root(id);
        if let Some(&len) = self.lens.0.get(&root) {
            let class = self.classes.entry(root).or_insert(Class {
                len,
                cuts: Vec::new(),
            });
            class.cut(at);
        }
    }

    /// Where a tensor's axes are cut.
    pub(super) fn cuts(&self, id: TensorId) -> &[usize] {
        let class = self.classes.get(&self.root(id));
        class.map(|c| c.cuts.as_slice()).unwrap_or_default()
    }

    /// The axes that follow.
    pub(super) fn finish(&self) -> Shapes {
        let axes = |(&id, &len)| (id, Axes::new(len, self.cuts(id)));
        Shapes {
            axes: self.lens.0.iter().map(axes).collect(),
        }
    }
}

/// The axes of every tensor.
pub(super) struct Shapes {
    axes: BTreeMap<TensorId, Axes>,
}

impl Shapes {
    /// The axes of a tensor.
    ///
    /// # Errors
    /// One that no relation makes.
    pub(super) fn axes(&self, id: TensorId) -> Result<Axes, LayoutError> {
        self.axes
            .get(&id)
            .cloned()
            .ok_or(LayoutError::Unmade { tensor: id.0 })
    }
}
