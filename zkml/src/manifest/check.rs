//! What makes a manifest well-formed.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    BoundaryTensor, MAX_BATCH, MAX_BOUNDARY, MAX_READS, MAX_SLICES, MAX_TENSOR_LEN, Manifest, ManifestError,
    VERSION,
};
use crate::backend::{CircuitError, NO_SRS, System, Systems};
use crate::graph::{IntRange, TensorId};

impl Manifest {
    /// Checks everything that the module's invariant states, and that these proof systems have the manifest's.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn check(&self, systems: Systems<'_, dyn System>) -> Result<(), ManifestError> {
        if self.version != VERSION {
            return Err(ManifestError::Version(self.version));
        }
        let system = systems.find(self.proof_system)?;
        if self.parameter_id != system.parameter_id() {
            let Self {
                proof_system,
                parameter_id,
                ..
            } = *self;
            return Err(ManifestError::Parameters {
                proof_system,
                parameter_id,
            });
        }
        if self.slices.is_empty() || self.slices.len() > MAX_SLICES {
            return Err(ManifestError::Limit("the number of slices"));
        }
        if self.boundary.len() > MAX_BOUNDARY {
            return Err(ManifestError::Limit("the number of boundary tensors"));
        }
        let slices = self.slices.iter().map(|s| (s.inputs.len(), s.outputs.len()));
        let (reads, makes) = slices.fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
        if reads > MAX_READS || makes.max(self.inputs.len()).max(self.outputs.len()) > MAX_BOUNDARY {
            return Err(ManifestError::Limit(
                "the number of tensors that slices read or make",
            ));
        }
        self.check_system(system, systems)?;
        self.check_tensors()?;
        self.check_cover()?;
        self.check_wiring()?;
        self.check_batch()
    }

    /// Inputs have a row for each of the batch, and outputs as many as can be shared out among them.
    fn check_batch(&self) -> Result<(), ManifestError> {
        if !(1..=MAX_BATCH).contains(&self.batch) {
            return Err(ManifestError::Limit("the size of the batch"));
        }
        if self.batch == 1 {
            return Ok(());
        }
        let first = |id: &TensorId| self.tensor(*id).and_then(|info| info.shape.first()).copied();
        let rows = |id: &&TensorId| first(id) != Some(self.batch);
        let shared = |id: &&TensorId| first(id).is_none_or(|d| d % self.batch != 0);
        match self.inputs.iter().find(rows).or(self.outputs.iter().find(shared)) {
            Some(id) => Err(ManifestError::Wiring {
                tensor: id.0,
                what: "it has no row for each input of the batch",
            }),
            None => Ok(()),
        }
    }

    /// Every part is of the one proof system.
    fn check_system(
        &self,
        system: &dyn System,
        systems: Systems<'_, dyn System>,
    ) -> Result<(), ManifestError> {
        let proof_system = self.proof_system;
        let needs = match (system.needs_srs(), self.srs == NO_SRS) {
            (true, true) => Some("needs a trusted setup"),
            (false, false) => Some("has no trusted setup"),
            _ => None,
        };
        if let Some(needs) = needs {
            return Err(ManifestError::Srs { proof_system, needs });
        }
        for (slice, s) in self.slices.iter().enumerate() {
            match system.parameters(&s.circuit) {
                Ok(_) => {}
                Err(CircuitError::Limits) => return Err(ManifestError::Limit("a slice's circuit")),
                Err(CircuitError::Form(_)) => {
                    let of_form =
                        |o: &&dyn System| !matches!(o.parameters(&s.circuit), Err(CircuitError::Form(_)));
                    return Err(match systems.iter().find(of_form) {
                        Some(other) => ManifestError::Circuit {
                            slice,
                            proof_system,
                            got: other.id(),
                        },
                        None => ManifestError::NoCircuit { slice, proof_system },
                    });
                }
            }
        }
        Ok(())
    }

    fn check_tensors(&self) -> Result<(), ManifestError> {
        if let Some(pair) = self.boundary.windows(2).find(|p| p[0].id >= p[1].id) {
            return Err(ManifestError::Tensor(pair[1].id.0));
        }
        for BoundaryTensor { id, info } in &self.boundary {
            let len = info
                .shape
                .iter()
                .try_fold(1usize, |len, &d| len.checked_mul(d as usize));
            if info.shape.len() > 16 || !len.is_some_and(|len| (1..=MAX_TENSOR_LEN).contains(&len)) {
                return Err(ManifestError::Limit("a tensor's shape"));
            }
            if !(1..=IntRange::MAX_BITS).contains(&info.range.bits) {
                return Err(ManifestError::Limit("a tensor's range"));
            }
            if let Some(ranks) = &info.ranks {
                let input = self.inputs.contains(id) && info.exponent == 0 && !info.whole;
                // Each input of a batch is ranked as the next.
                let each = info.len() / (self.batch.max(1) as usize);
                if !input || ranks.check(each, [info.range.lo(), info.range.hi()]).is_err() {
                    return Err(ManifestError::Limit("an input's ranks"));
                }
            }
        }
        Ok(())
    }

    fn check_cover(&self) -> Result<(), ManifestError> {
        let mut next = 0u32;
        for (slice, s) in self.slices.iter().enumerate() {
            let end = s.first_node.checked_add(s.node_count);
            match end {
                Some(end) if s.first_node == next && s.node_count > 0 => next = end,
                _ => return Err(ManifestError::Cover { slice }),
            }
        }
        if next == self.node_count {
            Ok(())
        } else {
            Err(ManifestError::Cover {
                slice: self.slices.len() - 1,
            })
        }
    }

    /// One producer each, before every consumer; nothing described that is not used, but for inputs that the model itself
    /// does not use.
    fn check_wiring(&self) -> Result<(), ManifestError> {
        let wiring = |id: TensorId, what| ManifestError::Wiring { tensor: id.0, what };
        // Producer of each tensor; the request itself stands before slice 0.
        let mut made: BTreeMap<TensorId, ()> = BTreeMap::new();
        let mut used: BTreeSet<TensorId> = self.outputs.iter().copied().collect();
        if self.inputs.is_empty() || self.outputs.is_empty() || used.len() != self.outputs.len() {
            return Err(ManifestError::Limit("the request's inputs or outputs"));
        }
        let mut make = |id: TensorId| {
            self.tensor(id).ok_or(ManifestError::Tensor(id.0))?;
            made.insert(id, ())
                .map_or(Ok(()), |()| Err(wiring(id, "it is made twice")))?;
            Ok::<(), ManifestError>(())
        };
        self.inputs.iter().try_for_each(|&id| make(id))?;
        let inputs: BTreeSet<TensorId> = self.inputs.iter().copied().collect();
        let mut available = inputs.clone();
        for slice in &self.slices {
            if slice.inputs.is_empty() || slice.outputs.is_empty() {
                return Err(ManifestError::Limit("a slice's inputs or outputs"));
            }
            let mut read = BTreeSet::new();
            for &id in &slice.inputs {
                if !available.contains(&id) {
                    return Err(wiring(id, "it is read before it is made"));
                }
                if !read.insert(id) {
                    return Err(wiring(id, "a slice reads it twice"));
                }
                used.insert(id);
            }
            slice.outputs.iter().try_for_each(|&id| make(id))?;
            available.extend(&slice.outputs);
        }
        if let Some(&id) = self
            .outputs
            .iter()
            .find(|id| inputs.contains(id) || !available.contains(id))
        {
            return Err(wiring(id, "it is an output that no slice makes"));
        }
        used.extend(&self.inputs);
        match self
            .boundary
            .iter()
            .find(|t| !used.contains(&t.id) || !available.contains(&t.id))
        {
            Some(t) => Err(wiring(t.id, "it is described and never used")),
            None => Ok(()),
        }
    }
}
