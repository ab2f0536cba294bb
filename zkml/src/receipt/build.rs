//! Builds a receipt from a run: values once, then one proof per slice.

use std::collections::BTreeMap;
use std::sync::Arc;

use zkinfer_crds::{ClaimId, Digest, Identity, RequestUid, SliceIndex};

use super::{BoundaryValues, Receipt, RunStatement, SliceReceipt, VERSION};
use crate::canonical::CanonicalError;
use crate::envelope::Envelope;
use crate::graph::{IntTensor, TensorId};
use crate::manifest::Manifest;

/// Why a receipt cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A boundary tensor was not evaluated.
    #[error("tensor {0} has no value")]
    Tensor(u32),
    /// The manifest has no such slice.
    #[error("the manifest has no slice {0}")]
    NoSlice(SliceIndex),
    /// A slice has no proof yet.
    #[error("slice {0} has no proof")]
    Unproved(usize),
    /// Not an envelope.
    #[error("not a proof envelope: {0}")]
    Envelope(#[from] CanonicalError),
}

/// Values of a slice's inputs and of its outputs, by tensor.
pub type SliceValues<'a> = (Vec<&'a [i64]>, Vec<&'a [i64]>);

/// What all slices of a run are proved of: its values and its statement, which no proof changes. One that verifies proofs shares it
/// and copies nothing: with many slices, the values of all of them for each would be their square.
#[derive(Debug)]
pub struct RunValues {
    /// Without slices.
    receipt: Receipt,
    run: RunStatement,
    /// Where a tensor's values stand among the receipt's inputs, inner tensors and outputs.
    places: BTreeMap<TensorId, (Part, usize)>,
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Input,
    Inner,
    Output,
}

impl RunValues {
    /// The digest that a proof of this claim must be bound to.
    #[must_use]
    pub fn statement(&self, slice: SliceIndex, claim: ClaimId, identity: Identity) -> Digest {
        self.run.slice(slice, claim, identity).digest()
    }

    /// Values of a slice's inputs and outputs, in the manifest's order.
    ///
    /// # Errors
    /// A slice that the manifest does not have.
    pub fn boundary(&self, slice: SliceIndex) -> Result<SliceValues<'_>, BuildError> {
        let slices = &self.receipt.manifest.slices;
        let entry = slices.get(slice.0 as usize).ok_or(BuildError::NoSlice(slice))?;
        let values = |ids: &[TensorId]| {
            ids.iter()
                .map(|&id| self.of(id).ok_or(BuildError::Tensor(id.0)))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok((values(&entry.inputs)?, values(&entry.outputs)?))
    }

    fn of(&self, id: TensorId) -> Option<&[i64]> {
        let &(part, at) = self.places.get(&id)?;
        let values = match part {
            Part::Input => self.receipt.input.get(at),
            Part::Inner => self.receipt.inner.get(at),
            Part::Output => self.receipt.output.get(at),
        };
        values.map(|tensor| tensor.values.as_slice())
    }
}

/// A receipt in the making. Proofs must have been verified by the caller.
#[derive(Debug, Clone)]
pub struct ReceiptBuilder {
    values: Arc<RunValues>,
    proofs: Vec<Option<SliceReceipt>>,
}

impl ReceiptBuilder {
    /// Starts a receipt; `tensors` are all values of the integer graph, by id.
    ///
    /// # Errors
    /// A boundary tensor that is not among them.
    pub fn new(
        manifest: &Manifest,
        network: &str,
        request: RequestUid,
        tensors: &[IntTensor],
    ) -> Result<Self, BuildError> {
        let tensor = |id: TensorId| tensors.get(id.0 as usize).ok_or(BuildError::Tensor(id.0));
        let of = |ids: &[TensorId]| {
            ids.iter()
                .map(|&id| tensor(id).cloned())
                .collect::<Result<Vec<_>, _>>()
        };
        let values = |ids: &[TensorId]| {
            ids.iter()
                .map(|&id| {
                    tensor(id).map(|t| BoundaryValues {
                        id,
                        values: t.values.clone(),
                    })
                })
                .collect::<Result<Vec<_>, _>>()
        };
        let inner: Vec<_> = manifest.inner().map(|t| t.id).collect();
        let receipt = Receipt {
            version: VERSION,
            srs: manifest.srs,
            manifest: manifest.clone(),
            request,
            network: network.to_owned(),
            input: values(&manifest.inputs)?,
            inner: values(&inner)?,
            output: values(&manifest.outputs)?,
            slices: Vec::new(),
        };
        let run = RunStatement::new(
            manifest,
            network,
            request,
            &of(&manifest.inputs)?,
            &of(&manifest.outputs)?,
        );
        let parts = [
            (Part::Input, &receipt.input),
            (Part::Inner, &receipt.inner),
            (Part::Output, &receipt.output),
        ];
        let places = parts.iter().flat_map(|(part, tensors)| {
            let places = tensors.iter().enumerate();
            places.map(move |(at, tensor)| (tensor.id, (*part, at)))
        });
        let places = places.collect();
        Ok(Self {
            values: Arc::new(RunValues { receipt, run, places }),
            proofs: vec![None; manifest.slices.len()],
        })
    }

    /// What proofs are verified of, to be shared.
    #[must_use]
    pub fn values(&self) -> Arc<RunValues> {
        Arc::clone(&self.values)
    }

    /// As [`RunValues::statement`].
    #[must_use]
    pub fn statement(&self, slice: SliceIndex, claim: ClaimId, identity: Identity) -> Digest {
        self.values.statement(slice, claim, identity)
    }

    /// As [`RunValues::boundary`].
    ///
    /// # Errors
    /// A slice that the manifest does not have.
    pub fn boundary(&self, slice: SliceIndex) -> Result<SliceValues<'_>, BuildError> {
        self.values.boundary(slice)
    }

    /// Adds the verified proof of a slice.
    ///
    /// # Errors
    /// A slice that the manifest does not have, or bytes that are no envelope.
    pub fn add(
        &mut self,
        slice: SliceIndex,
        claim: ClaimId,
        identity: Identity,
        envelope: &[u8],
    ) -> Result<(), BuildError> {
        let place = self
            .proofs
            .get_mut(slice.0 as usize)
            .ok_or(BuildError::NoSlice(slice))?;
        *place = Some(SliceReceipt {
            claim,
            identity,
            proof: Envelope::from_bytes(envelope)?.proof,
        });
        Ok(())
    }

    /// The receipt.
    ///
    /// # Errors
    /// A slice without a proof.
    pub fn finish(self) -> Result<Receipt, BuildError> {
        let slices = self
            .proofs
            .into_iter()
            .enumerate()
            .map(|(index, proof)| proof.ok_or(BuildError::Unproved(index)))
            .collect::<Result<_, _>>()?;
        let receipt = match Arc::try_unwrap(self.values) {
            Ok(alone) => alone.receipt,
            Err(shared) => shared.receipt.clone(),
        };
        Ok(Receipt { slices, ..receipt })
    }
}
